"""The documentation as a site: ``python -m sphinx -W --keep-going docs build/docs``.

Pages are plain Markdown, to be read anywhere.  What only a site can have is made here, below `generated`:
pages of the API from the docstrings, one per topic of `reference.py`; the help of every command; README and
changelog; the navigation, from the tables of `index.md`; links from `em.name` in the text to the API.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import erfmath as em  # noqa: E402
import reference  # noqa: E402
from erfmath.cli import build_parser  # noqa: E402

project, author = "erfmath", "the erfmath authors"
version = release = em.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc", "myst_parser"]
root_doc, html_title, html_theme = "index", f"erfmath {release}", "alabaster"
html_theme_options = {"description": "Effective receptive fields, computed analytically", "fixed_sidebar": False,
                      "page_width": "70rem", "sidebar_width": "15rem", "body_max_width": "52rem"}
exclude_patterns = ["figures/parts"]
default_role = "autolink"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
suppress_warnings = ["misc.highlighting_failure"]  # doctests print what is no Python

GENERATED = HERE / "generated"
ABOVE = ("README", "CHANGELOG")  # pages of the folder above
PUBLIC = {name.path: name.value for name in reference.public()}
for _name in em.__all__:  # modules by the names that they have here
    if isinstance(getattr(em, _name), type(em)):
        sys.modules.setdefault(f"erfmath.{_name}", getattr(em, _name))


def directive(path: str, value: Any) -> list[str]:
    """What documents a name of `erfmath`, or of a module below it."""
    kind = "autoclass" if isinstance(value, type) else "autofunction" if callable(value) else "autodata"
    lines = [f".. {kind}:: {path}"]
    if kind == "autoclass":
        lines.append("   :members:")
    return [*lines, *(["   :no-value:"] if kind == "autodata" else []), ""]


def topic_page(topic: reference.Page) -> str:
    """One topic of the API."""
    lines = [topic.title, "=" * len(topic.title), "", topic.about.replace("`", "``"), ""]
    for name in reference.names_on(topic):
        module, _, short = name.path.rpartition(".")
        lines += [f".. currentmodule:: {'.'.join(['erfmath', *filter(None, [module])])}", "",
                  *directive(short, name.value)]
    return "\n".join(lines)


def commands_page() -> str:
    """The help of every command."""
    table = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    lines = ["Options of every command", "========================", ""]
    for name, parser in table.choices.items():
        parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=96)
        title = f"erfmath {name}"
        lines += [title, "-" * len(title), "", ".. code-block:: text", "",
                  *(f"   {line}".rstrip() for line in parser.format_help().splitlines()), ""]
    return "\n".join(lines)


def moved(text: str) -> str:
    """A page of the folder above as one of `generated`."""
    text = re.sub(r"\]\(docs/", "](../", text)
    text = re.sub(r"\[([^\]]*)\]\((LICENSE|CITATION\.cff)\)", r"\1", text)
    return re.sub(r"<!--.*?-->\n", "", text)


def generate() -> None:
    """Write the pages that are made here; unchanged ones stay."""
    GENERATED.mkdir(exist_ok=True)
    pages = {f"{topic.name}.rst": topic_page(topic) for topic in reference.PAGES if reference.names_on(topic)}
    pages["options.rst"] = commands_page()
    for name in ABOVE:
        pages[f"{name.lower()}.md"] = moved((HERE.parent / f"{name}.md").read_text(encoding="utf-8"))
    for name, text in pages.items():
        path = GENERATED / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


generate()


def toctree(pages: list[str], caption: str = "") -> str:
    """Pages below another one, for the navigation."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *pages, "```", ""])


def linked(found: re.Match[str]) -> str:
    """A public name in the text, as a link."""
    return f"{{py:obj}}`em.{found[1]} <erfmath.{found[1]}>`" if found[1] in PUBLIC else found[0]


def as_site(app: Any, page: str, source: list[str]) -> None:
    """Add to a page what only a site can have."""
    text = source[0]
    if page.startswith("generated/") and not page.endswith(tuple(name.lower() for name in ABOVE)):
        return
    for name in ABOVE:
        text = text.replace(f"(../{name}.md", f"(generated/{name.lower()}.md")
    text = re.sub(r"(?<!`)`em\.([\w.]+)`(?!`)", linked, text)
    if page == "index":
        seen: set[str] = set()
        for caption, part in re.findall(r"^## (.+)\n([^#]*(?:#[^#\n]+\n[^#]*)*)", text, re.MULTILINE):
            targets = re.findall(r"^\| \[[^\]]*\]\(([^)#]+)\.md\)", part, re.MULTILINE)
            own = [target for target in targets if target not in seen]
            seen |= set(own)
            text += toctree(own, caption)
    elif page == "api":
        text += toctree([f"generated/{topic.name}" for topic in reference.PAGES if reference.names_on(topic)])
    elif page == "commands":
        text += toctree(["generated/options"])
    source[0] = text


def plain_signs(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Stars of shapes, ``*space``, and bars of absolute values are no markup."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...", "=")) and "`" not in line:
            line = re.sub(r"(?<![\w*\\])\*(?=\w)(?![^*]*\w\*(?!\w))", r"\\*", line)
            lines[i] = re.sub(r"\|(?=\w+\|)", r"\\|", line)


def lighter(app: Any, exception: Exception | None) -> None:
    """Pictures of the site in 256 colours, without dots that were not there; the files in docs stay as they are."""
    from PIL import Image
    for path in sorted(Path(app.outdir, "_images").glob("*.png")):
        with Image.open(path) as picture:
            if picture.mode != "P":
                small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
                small.save(path, optimize=True, dpi=picture.info.get("dpi", (300, 300)))


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("build-finished", lighter)
    app.connect("source-read", as_site)
    app.connect("autodoc-process-docstring", plain_signs, priority=400)  # before numpydoc
