"""Write the pages of `docs/api` from the docstrings.

    python docs/make_api.py            write the pages
    python docs/make_api.py --check    only say which of them are out of date

Every public name stands on the page of the module that defines it (`PAGES`). Docstrings are numpydoc;
what comes out is plain Markdown that depends on nothing but the source.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import functools
import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parent / "api"
sys.path.insert(0, str(FOLDER.parent.parent))  # of the package beside this folder, installed or not

import erfmath as em  # noqa: E402
from erfmath.cli import build_parser  # noqa: E402


class Name(NamedTuple):
    """A public name: how it is written after `em.`, and what it stands for."""

    path: str
    value: Any

    @property
    def module(self) -> str:
        """The module that it is asked of, or else the one that defines it, below `erfmath`."""
        asked = self.path.rpartition(".")[0]
        return asked or str(self.value.__module__).removeprefix("erfmath.")


class Page(NamedTuple):
    """One page: public names of these modules; `more` are names of results, met but not called."""

    name: str
    title: str
    about: str
    modules: tuple[str, ...]
    more: tuple[str, ...] = ()

    def holds(self, name: Name) -> str:
        """The longest of its modules that a name is of; empty if it is of none."""
        return max((m for m in self.modules if f"{name.module}.".startswith(f"{m}.")), key=len, default="")


PAGES = (
    Page("layers", "Layers", "Specs without arrays: what a layer is. One int for a size, stride or dilation "
         "stands for all axes; a tuple has one value per axis and fixes the dimension.", ("layers",),
         ("layers.base.Layer", "layers.geometry.AxisGeometry")),
    Page("weights", "Weights", "How the weights of a convolution are drawn, or what they are: the `weights=` of "
         "`Conv` and `ConvTranspose`.", ("layers.weights",)),
    Page("networks", "Networks", "How layers become networks. A network is a value: it never changes, and it "
         "compares equal to another one with the same nodes.",
         ("networks.network", "networks.building", "networks.builder"), ("networks.network.Node",)),
    Page("readers", "Readers", "Networks of models that live elsewhere: PyTorch modules, ONNX files, Keras models. A "
         "framework is imported only by the function that is handed one of its objects.", ("readers",),
         ("readers.model.Model", "readers.builder.StandIn")),
    Page("zoo", "The zoo", "Networks that have a name. Each is a function, and `em.zoo.build` takes the name as a "
         "string, as the command line does.", ("zoo",)),
    Page("receptive_fields", "Theoretical receptive fields", "Which pixels can act on a unit at all.",
         ("networks.trf", "networks.support")),
    Page("theory", "Effective receptive fields from theory", "How strongly each pixel acts on a unit, computed.",
         ("theory.predict", "theory.trained", "theory"),
         ("results.assumptions.Assumption",)),
    Page("results", "Results", "What `predict` and `measure` return, and its numbers.", ("results.field",)),
    Page("shapes", "Sizes and shapes", "Functions of a result: how far it extends, and what form it has.",
         ("sizes", "shapes")),
    Page("growth", "Growth", "How sizes grow with depth, kernel, dilation and stride.", ("analysis.growth",
         "analysis.power_law")),
    Page("design", "Design", "Which layers widen the view, what would widen it further and what that costs; what a "
         "whole map, an object or a tile needs.",
         ("analysis.closed_forms", "analysis.design", "analysis.remedies", "analysis.layer_shares",
          "analysis.border_layers", "analysis.costs", "analysis.size_map", "analysis.coverage",
          "analysis.tiles", "analysis.signals"), ("analysis.design.Design",)),
    Page("measuring", "Measuring", "The same by sampling: random networks, run and back-propagated.",
         ("empirics.measure", "empirics"), ("results.measured.MeasuredReceptiveField",)),
    Page("gradients", "Gradients from elsewhere", "Results from gradients that another framework computed.",
         ("gradients",)),
    Page("comparing", "Comparing", "Theory against measurement, in standard errors.", ("comparison",),
         ("comparison.Estimate",)),
    Page("training", "Training", "Small networks trained here, to see what becomes of the field.",
         ("training",)),
    Page("walks", "Chains on their own", "Laws of sums of independent steps: the effective receptive field of a "
         "chain without borders.", ("walks",), ("walks.base.Walk", "walks.scaled.Scaled")),
    Page("kernels", "Kernels", "How one layer spreads a gradient over its taps.", ("kernels",)),
    Page("lattice", "Fields on the lattice", "Arrays that know the integer coordinate of their first element.",
         ("lattice",)),
    Page("plotting", "Pictures", "Results, drawn. Nothing is computed here.", ("plotting",)),
    Page("figures", "Figures of the paper", "Each figure as data and as a picture.", ("figures",)),
    Page("errors", "Errors", "What is refused because it would not fit in memory. Arguments that do not fit raise "
         "`ValueError` or `TypeError` with the argument, its value and what is allowed; where the theory has no rule "
         "for a layer, `NotImplementedError` says so.", ("base.errors",),
         ("base.errors.SizeError", "base.errors.MEMORY_LIMIT")),
)

LISTED = ("Parameters", "Other Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns")
HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}[ ]*$", re.MULTILINE)
QUOTED = re.compile(r"(:math:`[^`]+`|``.+?``|`[^`]+`)", re.DOTALL)


# ---------------------------------------------------------------------------------------------
# what there is
# ---------------------------------------------------------------------------------------------

def public() -> list[Name]:
    """All public names: those of `erfmath`, and those of its public modules."""
    names = []
    for name in em.__all__:
        value = getattr(em, name)
        if isinstance(value, types.ModuleType):
            names += [Name(f"{name}.{inner}", getattr(value, inner)) for inner in value.__all__]
        else:
            names.append(Name(name, value))
    return names


def page_of(name: Name) -> Page:
    """The page that holds a name: that of the longest module name that its own begins with."""
    found = [page for page in PAGES if page.holds(name)]
    if not found:
        raise SystemExit(f"{name.path} is of erfmath.{name.module}, which no page holds: add it to PAGES in "
                         f"{Path(__file__).name}")
    return max(found, key=lambda page: len(page.holds(name)))


@functools.cache
def names_on(page: Page) -> list[Name]:
    """Names of one page, module by module in the order of their definition, results last."""
    names = [name for name in public() if page_of(name) is page]
    names.sort(key=lambda name: (page.modules.index(page.holds(name)), *_place(name.value)))
    return names + [Name(path, _find(path)) for path in dict.fromkeys((*_returned(names), *page.more))]


def _returned(names: list[Name]) -> list[str]:
    """The other classes of the same modules that these names or their classes speak of: what they return."""
    modules = dict.fromkeys(name.value.__module__ for name in names if has_docstring(name.value))
    known = [name.value for name in public()]
    others = {f"{module}.{key}".removeprefix("erfmath."): value for module in modules
              for key, value in vars(importlib.import_module(module)).items()
              if key in importlib.import_module(module).__all__ and inspect.isclass(value)
              and value.__module__ == module and value not in known}
    told = [(value, f"{value.__doc__} {inspect.signature(value)}") for value in
            (*(name.value for name in names if has_docstring(name.value)), *others.values())]
    return [path for path, value in others.items()
            if any(re.search(rf"\b{value.__name__}\b", text) for one, text in told if one is not value)]


def _find(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"erfmath.{module}"), name)


def has_docstring(value: Any) -> bool:
    """Whether it is a class or function, not a constant or a type's other name."""
    return inspect.isclass(value) or inspect.isroutine(value)


@functools.cache
def _source(module: str) -> str:
    name = module.removeprefix("erfmath.")
    value = getattr(em, name, None)
    return inspect.getsource(value if isinstance(value, types.ModuleType) else importlib.import_module(module))


def _place(value: Any) -> tuple[str, int]:
    """Module and line where something is defined; constants come first."""
    if not has_docstring(value):
        return "", 0
    found = re.search(rf"^(?:class|def) {value.__name__}\b", _source(value.__module__), re.MULTILINE)
    return value.__module__, found.start() if found else 0


def remark(name: Name) -> str:
    """What the comment ``#: ...`` above a constant says."""
    module, _, short = name.path.rpartition(".")
    found = re.search(rf"((?:^#:.*\n)+){short}\b", _source(f"erfmath.{module}".rstrip(".")), re.MULTILINE)
    return " ".join(found[1].replace("#:", "").split()) if found else ""


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class is the first to document, in order."""
    for name, value in vars(kind).items():
        inner = getattr(value, "__func__", getattr(value, "fget", getattr(value, "func", value)))
        if name.startswith("_") or not isinstance(inner, types.FunctionType):
            continue
        above = next((vars(base)[name] for base in kind.__mro__[1:] if name in vars(base)), None)
        if not value.__doc__ and above is not None:
            continue  # as the base class says
        yield name, value


def is_property(value: Any) -> bool:
    return isinstance(value, (property, functools.cached_property))


# ---------------------------------------------------------------------------------------------
# docstrings
# ---------------------------------------------------------------------------------------------

class Entry(NamedTuple):
    """One item of a section: ``names : kind``, and what is said of it."""

    names: tuple[str, ...]
    kind: str
    text: str


class Doc(NamedTuple):
    """A numpydoc docstring, taken apart."""

    text: str
    entries: dict[str, list[Entry]]
    sections: dict[str, str]

    @property
    def summary(self) -> str:
        return " ".join(self.text.split("\n\n")[0].split())

    def described(self, *sections: str) -> list[str]:
        """Names that these sections describe."""
        return [name for section in sections for entry in self.entries.get(section, ()) for name in entry.names]


def parse(docstring: str | None) -> Doc:
    """Take a docstring apart: text, then sections under underlined headings."""
    text = inspect.cleandoc(docstring or "")
    text, *parts = HEADING.split(text)
    entries, sections = {}, {}
    for heading, body in zip(parts[::2], parts[1::2]):
        if heading in LISTED:
            entries[heading] = list(_entries(body, heading))
        else:
            sections[heading] = body.strip("\n")
    return Doc(text.strip(), entries, sections)


def _entries(body: str, heading: str) -> Iterator[Entry]:
    for head, text in re.findall(r"^(\S.*)\n?((?:(?:[ ]+.*|[ ]*)(?:\n|\Z))*)", body.strip("\n") + "\n", re.MULTILINE):
        names, colon, kind = head.partition(" : ")
        if not colon and heading in ("Returns", "Yields"):
            names, kind = "", head
        yield Entry(tuple(name.strip() for name in names.split(",") if name.strip()), kind.strip(),
                    inspect.cleandoc("\n" + text))


# ---------------------------------------------------------------------------------------------
# Markdown
# ---------------------------------------------------------------------------------------------

@functools.cache
def links(on: str = "") -> dict[str, str]:
    """Where each name is explained, as seen from a page.

    A bare name that is also one of a member, or of several public names, links nowhere: `support` of a walk is not
    `em.support`. Names of modules are written with the module, but on its own page.
    """
    found: dict[str, str] = {}
    inner = {key for page in PAGES for name in names_on(page) if inspect.isclass(name.value)
             for key in (*vars(name.value), *parse(name.value.__doc__).described("Attributes", "Parameters"))}
    for page in PAGES:
        for name in names_on(page):
            target = f"{'' if page.name == on else page.name + '.md'}#{anchor(heading_of(name))}"
            module, _, short = name.path.rpartition(".")
            found[f"em.{name.path}"] = target
            if module:
                found[name.path] = target
            if short not in inner and (page.name == on or not module or name not in public()):
                found[short] = target
    return found


def anchor(heading: str) -> str:
    """What a heading is called in a link, as GitHub and most others have it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def heading_of(name: Name) -> str:
    return f"em.{name.path}" if name in public() else name.path.rpartition(".")[2]


def inline(text: str, here: str = "") -> str:
    """A run of prose: quoted names become code, public ones links; `here` is page and name, ``page name``."""
    on, _, self = here.partition(" ")
    out = []
    for part in QUOTED.split(text):
        if part.startswith(":math:"):
            out.append(f"${part[7:-1]}$")
        elif part.startswith("`"):
            code = part.strip("`")
            target = "" if part.startswith("``") or code == self else links(on).get(code, "")
            out.append(f"[`{code}`]({target})" if target else f"`{code}`")
        else:
            plain = re.sub(r"(?<![\w*])\*(?!\w(?:[^*\n]*\w)?\*(?!\w))|(?<=\w)\*(?=\w)", r"\\*", part)
            out.append(plain.replace("<", "&lt;"))
    return "".join(out)


def prose(text: str, here: str = "") -> list[str]:
    """Lines of Markdown for the paragraphs of a docstring."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if not block.strip():
            continue
        if block.startswith(">>>"):
            lines += ["```python", *block.splitlines(), "```", ""]
        elif block.startswith("=="):
            lines += [*_table(block.splitlines(), here), ""]
        elif block.startswith(" "):
            lines += ["```text", *inspect.cleandoc("\n" + block).splitlines(), "```", ""]
        else:
            block = re.sub(r"::$", ":", block)
            items = re.split(r"\n(?=[*-] )", block)  # lists keep their lines, paragraphs do not
            for item in items:
                flat = " ".join(item.split())
                bullet = re.match(r"[*-] ", flat)
                lines.append(("- " + inline(flat[2:], here)) if bullet else inline(flat, here))
                if not bullet and len(items) > 1:
                    lines.append("")
            lines.append("")
    return _joined(lines)


def _joined(lines: list[str]) -> list[str]:
    """Examples that a blank line separates run as one block; no blank line at the end."""
    text = "\n".join(lines).rstrip()
    return text.replace("```\n\n```python\n", "\n").split("\n") if text else []


def _table(lines: list[str], here: str) -> list[str]:
    """A table of reStructuredText; a line whose first cell is empty continues the row above."""
    rules = [i for i, line in enumerate(lines) if line.startswith("=")]
    starts = [m.start() for m in re.finditer("=+", lines[0])]
    rows: list[list[str]] = []
    for i, line in enumerate(lines):
        if i in rules:
            continue
        cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None])]
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], cells)]
    if len(rules) < 3:
        rows.insert(0, [""] * len(starts))
    rows.insert(1, ["---"] * len(starts))
    return ["| " + " | ".join(inline(cell, here).replace("|", r"\|") for cell in row) + " |" for row in rows]


def signature(path: str, value: Any, *, bound: bool = False) -> list[str]:
    """The call as Python writes it, on as many lines as it needs."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return [path]
    parts: list[str] = []
    kinds = [p.kind for p in found.parameters.values()]
    for i, parameter in enumerate(found.parameters.values()):
        if bound and i == 0:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and (i == 0 or kinds[i - 1] not in (
                parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)):
            parts.append("*")
        parts.append(_parameter(parameter, value))
    end = f") -> {_annotation(found.return_annotation)}"
    if inspect.isclass(value) or found.return_annotation is found.empty:
        end = ")"
    line = f"{path}({', '.join(parts)}{end}"
    if len(line) <= 100:
        return [line]
    return [f"{path}(", *(f"    {part}," for part in parts), end]


def _parameter(parameter: inspect.Parameter, owner: Any) -> str:
    text = str(parameter.replace(annotation=parameter.empty, default=parameter.empty))  # with its stars
    typed = parameter.annotation is not parameter.empty
    if typed:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += f"{' = ' if typed else '='}{_default(parameter, owner)}"
    return text


def _annotation(value: Any) -> str:
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    return text.strip("'\"")


def _default(parameter: inspect.Parameter, owner: Any) -> str:
    value: Any = parameter.default
    if repr(value) == "<factory>":  # of a dataclass
        field: Any = next(f for f in dataclasses.fields(owner) if f.name == parameter.name)
        value = field.default_factory()
    if dataclasses.is_dataclass(value) and value == type(value)():  # type: ignore[misc]
        return f"{type(value).__name__}()"
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}" if value != int(value) else repr(value)
    if inspect.isroutine(value) or inspect.isclass(value):
        return str(value.__name__)
    return re.sub(r"<[\w. ]+ at 0x\w+>", "...", repr(value))


def rendered(doc: Doc, here: str = "") -> list[str]:
    """A docstring in Markdown."""
    lines = prose(doc.text, here) + [""]
    for heading, entries in doc.entries.items():
        lines += [f"**{heading}**", ""]
        for entry in entries:
            lines += _item(entry, heading, here)
        lines.append("")
    for heading, body in doc.sections.items():
        lines += [f"**{heading}**", "", *prose(body, here), ""]
    return lines


def _item(entry: Entry, heading: str, here: str) -> list[str]:
    quoted = [f"`{name}`" if heading != "Raises" else name for name in entry.names]
    head = ", ".join(quoted)
    if entry.kind:
        head = f"{head} ({inline(entry.kind, here)})" if head else inline(entry.kind, here)
    first, *rest = prose(entry.text, here) or [""]
    if first.startswith(("- ", "|", "```")):
        first, rest = "", ["", first, *rest]
    return [f"- {head}: {first}" if first else f"- {head}", *(f"  {line}".rstrip() for line in rest)]


# ---------------------------------------------------------------------------------------------
# pages
# ---------------------------------------------------------------------------------------------

def section(name: Name, on: str) -> list[str]:
    """A name with all that belongs to it, for the page `on`."""
    heading, short = heading_of(name), name.path.rpartition(".")[2]
    here = f"{on} {short}"
    lines = [f"## {heading}", ""]
    if not has_docstring(name.value):
        return lines + ["```text", f"{heading} = {_value(name.value)}", "```", "", inline(remark(name), here), ""]
    doc = parse(name.value.__doc__)
    if "Parameters" in doc.entries or not inspect.isclass(name.value):
        lines += ["```text", *signature(heading, name.value), "```", ""]
    if inspect.isclass(name.value):
        bases = [base.__name__ for base in name.value.__mro__[1:] if base.__module__.startswith("erfmath")]
        known = [base for base in bases if base in links(on) and base != "Layer"]
        if known:
            lines += [f"Has all that {inline(f'`{known[0]}`', here)} has, and:", ""]
    lines += rendered(doc, here)
    if inspect.isclass(name.value):
        found = list(members(name.value))
        properties = [(key, value) for key, value in found if is_property(value)]
        if properties:
            lines += ["**Properties**", ""]
            for key, value in properties:
                first, *rest = rendered(parse(value.__doc__), f"{on} {key}")
                lines += [f"- `{key}`: {first}", *(f"  {line}".rstrip() for line in rest)]
                while not lines[-1]:
                    lines.pop()
            lines.append("")
        for key, value in found:
            if not is_property(value):
                lines += method(short, key, value, on)
    return lines


def method(owner: str, key: str, value: Any, on: str) -> list[str]:
    """A method: under the name of its class if it is called on that, else after a dot."""
    static = isinstance(value, (staticmethod, classmethod))
    inner = getattr(value, "__func__", value)
    call = signature(f"{owner if static else ''}.{key}", inner, bound=not isinstance(value, staticmethod))
    return [f"### {owner}.{key}", "", "```text", *call, "```", "", *rendered(parse(inner.__doc__), f"{on} {key}")]


def _value(value: Any) -> str:
    if typing.get_origin(value) is typing.Literal:
        return " | ".join(repr(word) for word in typing.get_args(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: ..." for key in value) + "}"
    return repr(value)


def page_text(which: Page) -> str:
    """The text of one page."""
    lines = [f"# {which.title}", "", inline(which.about, which.name), "",
             "[All names](index.md). Equation numbers are those of [theory](../theory.md); W1, W2, ... those of "
             "[walks](../walks.md).", "", "```python", ">>> import erfmath as em", "```", ""]
    for name in names_on(which):
        lines += section(name, which.name)
    return _finished(lines)


def index() -> str:
    """The list of all names, a line each."""
    lines = ["# Names", "", "Every public name in a line; each leads to its page. `import erfmath as em` is assumed, "
             "and `help(em.predict)` shows the same text. The command line is on [a page of its own](commands.md).",
             "", "These pages are written from the docstrings by `python docs/make_api.py`.", ""]
    for which in filter(names_on, PAGES):
        lines += [f"## {which.title}", "", inline(which.about), "", "| name | what it is |", "|---|---|"]
        for name in names_on(which):
            heading = heading_of(name)
            summary = parse(name.value.__doc__).summary if has_docstring(name.value) else (
                remark(name) or f"``{_value(name.value)}``")
            lines.append(f"| [`{heading}`]({which.name}.md#{anchor(heading)}) | "
                         + inline(summary).replace("|", r"\|") + " |")
        lines.append("")
    return _finished(lines)


def commands() -> str:
    """The command line, from its parser."""
    parser = build_parser()
    table = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    purposes = {choice.dest: choice.help or "" for choice in table._choices_actions}
    lines = ["# Commands", "", "`erfmath COMMAND ...`, or `python -m erfmath COMMAND ...` without an installation. "
             "Tables go to standard output, progress and errors to standard error. Bad input costs one line there and "
             "exit status 2, and nothing is written.", "", "| command | purpose |", "|---|---|"]
    lines += [f"| [`{name}`](#erfmath-{anchor(name)}) | {purposes[name]} |" for name in table.choices]
    for name, sub in table.choices.items():
        lines += ["", f"## erfmath {name}", "", f"{purposes[name][:1].upper()}{purposes[name][1:]}.", ""]
        rows = [(_flag(a), (a.help or "") % {"default": a.default, "prog": sub.prog}) for a in sub._actions
                if not isinstance(a, argparse._HelpAction)]
        if rows:
            lines += ["| argument | what it says |", "|---|---|",
                      *(f"| `{flag}` | {inline(told)} |" for flag, told in rows), ""]
        more, _, examples = (sub.epilog or "").partition("examples:")
        if more.strip():
            lines += ["```text", more.strip(), "```", ""]
        lines += ["```bash", *(line.strip() for line in examples.strip().splitlines()), "```"]
    return _finished(lines)


def _flag(action: argparse.Action) -> str:
    words = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    if action.choices is not None and action.metavar is None:
        words = "{" + ",".join(map(str, action.choices)) + "}"
    value = words if isinstance(words, str) else " ".join(words)
    if not action.option_strings:
        return f"[{value} ...]" if action.nargs == "*" else value
    return action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")


def _finished(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def pages() -> dict[str, str]:
    """File name -> text of every page."""
    return {"index.md": index(), "commands.md": commands(),
            **{f"{which.name}.md": page_text(which) for which in PAGES if names_on(which)}}


def stale(folder: Path = FOLDER) -> list[str]:
    """Pages that are missing, out of date, or of nothing any more."""
    wanted = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    return sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print(__doc__, file=sys.stderr)
        return 2
    wanted, old = pages(), stale()
    for name in old:
        print(name)
        if not check and name in wanted:
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        elif not check:
            (FOLDER / name).unlink()
    return int(check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
