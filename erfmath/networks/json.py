"""Networks to and from JSON-ready objects: a list of nodes and the name of the output.

A node's fields are the parameter names of its layer's constructor; those at their defaults are left
out.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import is_sequence, meant
from ..base.errors import named, quoted
from ..layers import Identity, Layer
from ..layers.base import KINDS
from ..layers.slips import FIELDS
from ..layers.weights import Constant, Fixed, Random, Weights
from .hints import op_meant

__all__ = ["FORMAT", "Graph", "INPUT", "VERSION", "graph_from_dict", "graph_to_dict",
           "layer_from_dict", "layer_to_dict"]

FORMAT = "erfmath-network"
#: Levels of lists and objects; networks have four, kernels of `Fixed` weights six more.
DEEPEST = 32
VERSION = 1
INPUT = -1  #: Index of the network's input.

_WEIGHTS: dict[Any, Any] = {kind.__name__.lower(): kind for kind in (Random, Constant, Fixed)}
#: Window fields that say nothing, tolerated on layers without a window.
_SILENT = {"kernel_size": (1,), "stride": (1,), "dilation": (1,), "padding": (0, "same", "valid")}


# ---------------------------------------------------------------------------------------------
# layers
# ---------------------------------------------------------------------------------------------

def layer_to_dict(layer: Layer) -> dict[str, Any]:
    """The JSON fields of `layer` that differ from their defaults, and its op."""
    out: dict[str, Any] = {"op": layer.op}
    for f in dataclasses.fields(layer):
        value, default = getattr(layer, f.name), layer.default(f.name)
        if f.name != "name" and (default is dataclasses.MISSING or value != default):
            out[f.name] = _to_json(value)
    return out


def _to_json(value: Any) -> Any:
    if isinstance(value, (Random, Constant, Fixed)):
        out = {"kind": type(value).__name__.lower()}
        for f in dataclasses.fields(value):
            item = getattr(value, f.name)
            if f.default is dataclasses.MISSING or not np.array_equal(item, f.default):
                out[f.name] = _to_json(item)
        return out
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return value


def layer_from_dict(fields: dict[str, Any]) -> Layer:
    """The layer that a JSON node describes (its keys without `inputs`).

    Raises
    ------
    ValueError
        Naming the field: unknown op or field, missing field, wrong type or value.
    """
    fields = dict(fields)
    op = fields.pop("op", None)
    if not isinstance(op, str) or op not in KINDS:
        raise ValueError(f"op={quoted(op)}: must be one of {', '.join(sorted(KINDS))}{op_meant(op, KINDS)}")
    kind = KINDS[op]
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key in list(fields):
        if key in known:
            continue
        silent = _SILENT.get(key, ()) if kind.many_inputs or kind is Identity else ()
        if _is_silent(fields[key], silent):
            del fields[key]
        else:
            near = [name for name in (FIELDS.get(key), *meant(key, known)) if name in known]
            raise ValueError(f"{key}={quoted(fields[key])}: not a field of {quoted(op)}, or not one that says "
                             f"nothing there; fields are {', '.join(known)}"
                             + (f"; did you mean {near[0]!r}?" if near else ""))
    for key, f in known.items():
        needed = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if needed and key not in fields:
            raise ValueError(f"{key}: missing; {quoted(op)} needs it")
    if "weights" in fields:
        fields["weights"] = _weights_from_dict(fields["weights"])
    return kind(**fields)


def _is_silent(value: Any, allowed: tuple[Any, ...]) -> bool:
    if is_sequence(value):
        return len(value) > 0 and all(_is_silent(item, allowed) for item in value)
    return any(type(value) is type(word) and value == word for word in allowed)


def _weights_from_dict(value: Any) -> Weights:
    if isinstance(value, str):
        value = {"kind": value}
    fields = dict(value) if isinstance(value, Mapping) else {}
    name = fields.pop("kind", None)
    if not isinstance(name, str) or name not in _WEIGHTS:
        raise ValueError(f"weights={quoted(value)}: must be an object whose kind is one of "
                         f"{', '.join(_WEIGHTS)}")
    kind = _WEIGHTS[name]
    known = [f.name for f in dataclasses.fields(kind)]
    for key in fields:
        if key not in known:
            raise ValueError(f"weights.{key}: not a field of {quoted(name)}; fields are "
                             f"{', '.join(known) or 'none'}")
    if kind is Fixed and "array" not in fields:
        raise ValueError("weights.array: missing; 'fixed' needs it")
    weights: Weights = kind(**fields)
    return weights


# ---------------------------------------------------------------------------------------------
# the graph
# ---------------------------------------------------------------------------------------------

class Graph(NamedTuple):
    """A network's parts, each node after its inputs; `inputs` and `output` are positions."""

    layers: list[Layer]
    inputs: list[tuple[int, ...]]
    output: int
    names: tuple[str, ...]


def graph_to_dict(nodes: Iterable[tuple[str, Layer, tuple[str, ...]]],
                  output: str) -> dict[str, Any]:
    """JSON-ready objects for `nodes` of (name, layer, names of inputs)."""
    return {"format": FORMAT, "version": VERSION, "output": output,
            "nodes": [{"name": name, "inputs": list(inputs), **layer_to_dict(layer)}
                      for name, layer, inputs in nodes]}


def _depth(value: Any) -> int:
    """How deep lists and objects are nested, as far as that matters."""
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        level = [item for part in level if isinstance(part, (list, tuple, Mapping))
                 for item in (part.values() if isinstance(part, Mapping) else part)]
        depth += bool(level)
    return depth


def graph_from_dict(d: Any) -> Graph:
    """The parts of the network that `d` describes; nodes may come in any order.

    Raises
    ------
    ValueError
        Naming node and field: unknown op or field, missing input, cycle, wrong type.
    """
    if not isinstance(d, Mapping):
        raise ValueError(f"a network is a JSON object, not {type(d).__name__}")
    if _depth(d) > DEEPEST:
        raise ValueError(f"not a network: nested more than {DEEPEST} deep")
    version = d.get("version")
    if d.get("format") != FORMAT or type(version) is not int or version != VERSION:
        raise ValueError(f"format={quoted(d.get('format'))}, version={quoted(version)}: must be {quoted(FORMAT)} "
                         f"and {VERSION}")
    for key in d:
        if key not in ("format", "version", "nodes", "output"):
            raise ValueError(f"{key}: not a field of a network; fields are format, version, nodes, "
                             "output")
    nodes: Any = d.get("nodes")
    if not is_sequence(nodes) or not len(nodes):
        raise ValueError("nodes: must be a list of at least one node")
    layers: dict[str, Layer] = {}
    inputs: dict[str, tuple[str, ...]] = {}
    for position, item in enumerate(nodes):
        if not isinstance(item, Mapping):
            raise ValueError(f"nodes[{position}]: must be an object, not {type(item).__name__}")
        name = item.get("name")
        if not isinstance(name, str) or not name or name == "input":
            raise ValueError(f"nodes[{position}]: name={quoted(name)}: must be a non-empty string other "
                             "than 'input'")
        if name in layers:
            raise ValueError(f"{name}: name: used by two nodes")
        try:
            layers[name] = layer_from_dict({key: v for key, v in item.items() if key != "inputs"})
        except ValueError as error:
            raise named(error, name) from None
        inputs[name] = _check_inputs(name, item.get("inputs"), layers[name])
    names = _topological(inputs)
    output = d.get("output", nodes[-1]["name"])
    if not isinstance(output, str) or output not in layers:
        raise ValueError(f"output={quoted(output)}: must be the name of a node")
    position_of = {name: i for i, name in enumerate(names)} | {"input": INPUT}
    return Graph([layers[name] for name in names],
                 [tuple(position_of[source] for source in inputs[name]) for name in names],
                 position_of[output], tuple(names))


def _check_inputs(name: str, value: Any, layer: Layer) -> tuple[str, ...]:
    if not is_sequence(value) or not all(isinstance(source, str) for source in value):
        raise ValueError(f"{name}: inputs={quoted(value)}: must be a list of node names or 'input'")
    if not len(value) or (len(value) > 1 and not layer.many_inputs):
        raise ValueError(f"{name}: inputs={quoted(list(value))}: {quoted(layer.op)} takes "
                         + ("at least one" if layer.many_inputs else "exactly one"))
    return tuple(value)


def _topological(inputs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Names in an order in which each comes after its inputs, else as written."""
    names = list(inputs)
    place = {name: i for i, name in enumerate(names)}
    readers: dict[str, list[str]] = {name: [] for name in names}
    missing = {}
    for name, sources in inputs.items():
        before = [source for source in dict.fromkeys(sources) if source != "input"]
        missing[name] = len(before)
        for source in before:
            if source not in inputs:
                raise ValueError(f"{name}: inputs: no node is called {quoted(source)}")
            readers[source].append(name)
    ready = [place[name] for name in names if not missing[name]]
    order = []
    while ready:  # `ready` starts sorted, which makes it a heap
        name = names[heapq.heappop(ready)]
        order.append(name)
        for reader in readers[name]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, place[reader])
    if len(order) < len(names):
        stuck = [name for name in names if missing[name]]
        raise ValueError(f"{stuck[0]}: inputs: part of, or after, a cycle "
                         f"({', '.join(stuck[:5])})")
    return order
