"""The public names by topic: what the pages of the reference hold, and what tests ask of docstrings.

`conf.py` makes a page of each topic; `tests/test_api.py` compares `api.md` with the topics and reads the docstrings.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # of the package beside this folder, installed or not

import erfmath as em  # noqa: E402


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
    Page("inputs", "Inputs", "What networks are fed with, where it is not white noise.", ("networks.images",),
         ("networks.images.NaturalImages",)),
    Page("readers", "Readers", "Networks from PyTorch modules, ONNX files and Keras models. A framework is imported "
         "only by the function that is handed one of its objects.", ("readers",),
         ("readers.model.Model", "readers.builder.StandIn")),
    Page("zoo", "Named networks", "Known networks by name. Each is a function, and `zoo.build` takes the name as a "
         "string, as the command line does.", ("zoo",)),
    Page("receptive_fields", "Theoretical receptive fields", "Which pixels can influence a unit at all.",
         ("networks.trf", "networks.support")),
    Page("theory", "Effective receptive fields from theory", "How strongly each pixel influences a unit, computed "
         "analytically.", ("theory.predict", "theory.scatter", "theory.trained", "theory"),
         ("results.assumptions.Assumption",)),
    Page("results", "Results", "What `predict` and `measure` return, and its numbers.", ("results.field",)),
    Page("shapes", "Sizes and shapes", "Functions of a result: how far it extends, and what form it has.",
         ("sizes", "shapes")),
    Page("trained", "Trained networks", "What given weights make of the field, under hypotheses about their gates: "
         "`predict` with `gates=`.", ("trained",), ("results.trained.TrainedReceptiveField",)),
    Page("growth", "Growth", "How sizes grow with depth, kernel, dilation and stride.", ("analysis.growth",
         "analysis.power_law")),
    Page("design", "Design", "Which layers widen the ERF, what would widen it further and at what cost; maps of sizes, "
         "objects and tiles.",
         ("analysis.closed_forms", "analysis.design", "analysis.remedies", "analysis.layer_shares",
          "analysis.border_layers", "analysis.costs", "analysis.size_map", "analysis.coverage",
          "analysis.tiles", "analysis.signals"), ("analysis.design.Design",)),
    Page("measuring", "Monte Carlo", "The ERF by sampling: random networks, run and back-propagated.",
         ("empirics.measure", "empirics"), ("results.measured.MeasuredReceptiveField",)),
    Page("gradients", "Gradients of other frameworks", "Results from arrays of gradients.",
         ("gradients",)),
    Page("comparing", "Comparison", "Theory against Monte Carlo, in standard errors.", ("comparison",),
         ("comparison.Estimate",)),
    Page("training", "Training", "Small networks trained in NumPy, for the ERF before and after.",
         ("training",)),
    Page("walks", "n-fold convolution", "Distributions of sums of independent steps: the effective receptive field "
         "of a chain without borders.", ("walks",), ("walks.base.Walk", "walks.scaled.Scaled")),
    Page("kernels", "Kernels", "How one layer spreads a gradient over its taps.", ("kernels",)),
    Page("lattice", "Fields on the lattice", "Arrays that know the integer coordinate of their first element.",
         ("lattice",)),
    Page("reporting", "Report", "One network on one page.", ("reporting",)),
    Page("plotting", "Pictures", "Functions that draw results.", ("plotting",)),
    Page("figures", "Figures of the paper", "Each figure as data and as a picture.", ("figures",)),
    Page("errors", "Errors", "Invalid arguments raise ValueError or TypeError with the argument, its value and what is "
         "allowed; layers for which the theory has no rule raise NotImplementedError.", ("base.errors",),
         ("base.errors.SizeError", "base.errors.MEMORY_LIMIT")),
)

LISTED = ("Parameters", "Other Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns")
HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}[ ]*$", re.MULTILINE)


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


def anchor(heading: str) -> str:
    """What a heading is called in a link, as GitHub and most others have it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def heading_of(name: Name) -> str:
    """A name as it is written in code."""
    return f"em.{name.path}" if name in public() else name.path.rpartition(".")[2]
