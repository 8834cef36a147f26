"""Everything shown in the documentation runs, and prints what it says it prints."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import erfmath as em
from erfmath.cli import build_parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").glob("**/*.md")) if "generated" not in p.parts)]
PACKAGE = Path(em.__file__).parent
#: Modules and subpackages with examples.
EXAMPLES = [".".join(["erfmath", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
            for path in sorted(PACKAGE.rglob("*.py")) if ">>>" in path.read_text(encoding="utf-8")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
SHELL = {"bash", "sh", "shell", "console"}

#: Pages and modules whose examples take seconds.
LONG = {"design.md", "figures.md", "howto_tiles.md", "notebooks.md", "erfmath.figures.run", "erfmath.plotting.design"}

every_page = pytest.mark.parametrize("page", PAGES, ids=[path.name for path in PAGES])


def with_long(values: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Those that are named in `LONG` marked as slow."""
    return [pytest.param(value, id=name, marks=[pytest.mark.slow] if name in LONG else [])
            for value, name in zip(values, names)]


def blocks(page: Path, languages: set[str]) -> list[tuple[int, str]]:
    """Fenced blocks of these languages: line number of the first line, text."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start()) + 1, match[2])
            for match in FENCE.finditer(text) if match[1] in languages]


def run(test: doctest.DocTest) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    assert not runner.run(test, out=report.append, clear_globs=False).failed, "".join(report)


@pytest.mark.parametrize("page", with_long(PAGES, [path.name for path in PAGES]))
def test_page(page: Path, in_tmp: Path) -> None:
    """One namespace a page: later blocks build on earlier ones."""
    names: dict[str, object] = {}
    for line, block in blocks(page, {"python", "pycon"}):
        assert ">>>" in block, f"{page.name}:{line}: a python block without prompts goes untested"
        test = doctest.DocTestParser().get_doctest(block, {}, page.name, str(page), line)
        test.globs = names
        run(test)


@pytest.mark.parametrize("name", with_long(EXAMPLES, EXAMPLES))
def test_docstrings(name: str, in_tmp: Path) -> None:
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        if test.examples and not test.name.rpartition(".")[2].startswith("_"):  # private ones may be templates
            run(test)


def commands(page: Path) -> list[list[str]]:
    """Arguments of every `erfmath ...` shown in a shell block."""
    found = []
    for _, block in blocks(page, SHELL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;|>", line.removeprefix("$ ")):
                words = shlex.split(part, comments=True)
                if words[:1] == ["erfmath"]:
                    found.append(words[1:])
                elif words[:3] == ["python", "-m", "erfmath"]:
                    found.append(words[3:])
    return found


@every_page
def test_shell_commands_exist(page: Path) -> None:
    """The command line takes every command that the pages show."""
    for arguments in commands(page):
        build_parser().parse_args(arguments)


def test_the_readme_shows_its_two_commands_once() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, last in (("test", "python -m pytest"), ("main", "python -m erfmath predict vgg16")):
        found = re.findall(rf"<!-- command: {name} -->\s*```\w*\n(.+)\n```", text)
        assert len(found) == 1 and last in found[0]
