"""Every public name is documented in full and listed, and every link of the pages leads somewhere."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import doctest
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import erfmath as em
from erfmath.cli import build_parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")),
         *(path for path in sorted((ROOT / "docs").glob("**/*.md")) if "generated" not in path.parts)]


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


api = _load(ROOT / "docs" / "reference.py")
NAMES = {api.heading_of(name): name.value for page in api.PAGES for name in api.names_on(page)
         if api.has_docstring(name.value)}


def test_every_public_name_is_listed_once() -> None:
    listed = re.findall(r"`em\.([\w.]+)`", (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("\n## ")[2])
    assert sorted(listed) == sorted(name.path for name in api.public())


def test_every_command_is_listed() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").partition("\n## ")[0]
    listed = set(re.findall(r"^\| `([a-z-]+)\b", text, re.MULTILINE))
    table = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert listed == set(table.choices)


# ---------------------------------------------------------------------------------------------
# docstrings
# ---------------------------------------------------------------------------------------------

def parameters(value: Any) -> list[str]:
    """Names of what a function or class takes."""
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls") and name[0] != "_"]


def lacks(value: Any, public: bool = True) -> Iterator[str]:
    """What the docstring of a public function or class does not say."""
    doc = api.parse(value.__doc__)
    if not doc.text or not doc.summary.endswith((".", ":")):
        yield "a sentence that says what it is"
        return
    # Nobody but the package makes results; of those that have a public name the docstring says who does.
    made = inspect.isclass(value) and (not public or "Parameters" not in doc.entries and bool(
        re.search(r"(made|built|returned|raised) by", doc.text, re.IGNORECASE)))
    if not made:
        taken, told = parameters(value), [n.lstrip("*") for n in doc.described("Parameters", "Other Parameters")]
        for name in taken:
            if name not in told:
                yield f"the parameter {name}"
        for name in told:
            if name not in taken:
                yield f"that there is no parameter {name}"
        if set(taken) - {"self", "name", "erf"} and "Raises" not in doc.entries:
            yield "what it raises"
    if not inspect.isclass(value) and "Returns" not in doc.entries:
        yield "what it returns"
    if not made and ">>>" not in doc.sections.get("Examples", ""):
        yield "an example"
    yield from (f"where the example has {name} from" for name in unbound(value.__doc__))
    if inspect.isclass(value):
        told = doc.described("Attributes", "Parameters")
        yield from (f"the field {name}" for name in fields(value) if name not in told)
        for name, member in api.members(value):
            yield from (f"{name}: {what}" for what in member_lacks(member))


def fields(kind: type) -> list[str]:
    """Public fields of a dataclass or named tuple."""
    known = [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    return [name for name in (*known, *getattr(kind, "_fields", ())) if not name.startswith("_")]


def member_lacks(member: Any) -> Iterator[str]:
    """The same of a method or property: shorter, but no parameter goes unmentioned."""
    inner = getattr(member, "__func__", member)
    doc = api.parse(inner.__doc__)
    if not doc.summary.endswith((".", ":")):
        yield "a sentence that says what it is"
    elif not api.is_property(member):
        for name in parameters(inner):
            described = {name, f"**{name}"} & set(doc.described("Parameters"))
            if not described and f"`{name}`" not in inner.__doc__.replace("*", ""):
                yield f"the parameter {name}"


def unbound(docstring: str | None) -> set[str]:
    """Names that the examples use without having made or imported them."""
    tree = ast.parse("\n".join(e.source for e in doctest.DocTestParser().get_examples(docstring or "")))
    bound = {alias.asname or alias.name.split(".")[0] for node in ast.walk(tree)
             if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(__builtins__))
    bound |= set(__builtins__ if isinstance(__builtins__, dict) else vars(__builtins__))
    return {node.id for node in names} - bound


@pytest.mark.parametrize("name", sorted(NAMES))
def test_docstring(name: str) -> None:
    missing = list(lacks(NAMES[name], name.startswith("em.")))
    assert not missing, f"the docstring of {name} does not say: " + "; ".join(missing)


def documented(x: int, name: str = "") -> int:
    """Add one.

    Parameters
    ----------
    x : int
        Any.
    name : str, optional

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> from test_api import documented
    >>> documented(1)
    2
    """
    return x + 1


@pytest.mark.parametrize("old, new, missing", [
    ("", "", None),
    ("Add one.", "", "a sentence that says what it is"),
    ("x : int\n", "y : int\n", "the parameter x"),
    ("name : str", "label : str", "that there is no parameter label"),
    ("Returns\n    -------", "Also\n    ----", "what it returns"),
    ("Raises\n    ------", "Also\n    ----", "what it raises"),
    (">>> ", "", "an example"),
    (">>> from test_api import documented", ">>> import test_api", "where the example has documented from"),
])
def test_a_gap_is_found(old: str, new: str, missing: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    text = inspect.cleandoc(documented.__doc__ or "")  # as the compiler does from Python 3.13 on
    old, new = (part.replace("\n    ", "\n") for part in (old, new))
    assert old in text
    monkeypatch.setattr(documented, "__doc__", text.replace(old, new))
    found = list(lacks(documented))
    assert found == [] if missing is None else missing in found


# ---------------------------------------------------------------------------------------------
# links
# ---------------------------------------------------------------------------------------------

def without_code(page: Path) -> str:
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links; equal ones are numbered."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", without_code(page), re.MULTILINE):
        name = api.anchor(re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading))
        copies = (f"{name}-{i}" if i else name for i in range(len(found) + 1))
        found.add(next(copy for copy in copies if copy not in found))
    return found | set(re.findall(r'<a (?:id|name)="(.+?)"', page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"`[^`]*`", "`code`", without_code(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, part = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target}: there is no such file"
        assert not part or there.suffix != ".md" or part in anchors(there), f"{target}: no such heading"


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "docs" / "index.md"]
    while todo:
        page = todo.pop()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        todo += [(page.parent / target.partition("#")[0]).resolve()
                 for target in re.findall(r"\]\(([^)\s]+\.md(?:#[^)]*)?)\)", without_code(page))]
    lost = sorted(str(page.relative_to(ROOT)) for page in set(PAGES) - seen)
    assert not lost, f"no link leads to {', '.join(lost)}"


def test_the_table_of_modules_is_complete() -> None:
    """Every module of the package, or the folder it is in, is named on the page about the code."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = Path(em.__file__).parent
    modules = {path.relative_to(package).with_suffix("") for path in package.rglob("*.py") if path.stem != "__init__"}
    named = set(re.findall(r"`([\w/]+)`", text))
    missing = [str(module) for module in sorted(modules)
               if not {module.stem, str(module)} & named
               and f"{module.parent}/" not in named]
    assert not missing, f"docs/architecture.md does not name {', '.join(missing)}"


#: No extended summary, no example, and of results that nobody makes by hand no parameters.
NOT_ASKED = {"ES01", "EX01", "PR01"}
#: Of methods no See Also; "Weights of ..." is no verb in the third person.
NOT_ASKED_OF_METHODS = {"ES01", "EX01", "SA01", "SS05"}


def methods() -> Iterator[tuple[str, Any]]:
    """Public methods and properties of public classes, and of those that they return."""
    classes = {name.value for page in api.PAGES for name in api.names_on(page) if isinstance(name.value, type)}
    for cls in sorted(classes, key=lambda cls: f"{cls.__module__}.{cls.__qualname__}"):
        for name, member in vars(cls).items():
            if not name.startswith("_") and isinstance(member, (property, staticmethod, classmethod, FunctionType)):
                yield f"{cls.__module__}.{cls.__qualname__}.{name}", getattr(cls, name)


def in_one_sentence(member: Any) -> bool:
    """Whether a docstring has no sections, and its text names all parameters."""
    text = member.__doc__ or ""
    names = () if isinstance(member, property) else set(inspect.signature(member).parameters) - {"self", "cls"}
    return "----" not in text and all(f"`{name}`" in text for name in names)


@pytest.mark.slow
def test_numpydoc_finds_nothing() -> None:
    validate = pytest.importorskip("numpydoc.validate").validate
    found = [f"{name.path}: {code} {message}" for name in api.public() if api.has_docstring(name.value)
             for code, message in validate(f"{name.value.__module__}.{name.value.__qualname__}")["errors"]
             if code not in NOT_ASKED]
    for path, member in methods():
        inherited = not getattr(member, "__doc__", None) and inspect.getdoc(member)
        without = NOT_ASKED_OF_METHODS | ({"PR01", "RT01"} if in_one_sentence(member) else set())
        found += [f"{path}: {code} {message}" for code, message in validate(path)["errors"]
                  if code not in without and not inherited]
    assert not found, "\n".join(found)
