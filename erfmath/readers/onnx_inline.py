"""Nodes of ONNX files, and graphs inside them in their place: functions of the file's own, branches that are taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .records import Array

__all__ = ["Function", "Graph", "Node", "Reference", "branch", "inlined"]

#: Functions inside functions, and nodes in all, that a file may come to.
DEEPEST, MOST_NODES = 32, 200_000


@dataclass(frozen=True)
class Node:
    """One operation: its inputs ("" where one is left out) and outputs by name, its attributes as plain values."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    name: str
    domain: str
    notes: Mapping[str, str]


class Reference(NamedTuple):
    """The value of an attribute inside a function: that of the function's attribute `name`."""

    name: str


class Graph(NamedTuple):
    """A graph inside a node, as a branch."""

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Array]


class Function(NamedTuple):
    """A function that the file defines; `defaults` are values of attributes that a call may leave out."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    defaults: Mapping[str, Any]


def inlined(nodes: Sequence[Node], functions: Mapping[tuple[str, str], Function]) -> tuple[Node, ...]:
    """The nodes with what functions hold in the place of their calls.

    Raises
    ------
    ValueError
        If functions call each other without an end, or make very many nodes.
    """
    if not functions:
        return tuple(nodes)
    return tuple(_expanded(nodes, functions, 0, iter(range(MOST_NODES))))


def _expanded(nodes: Sequence[Node], functions: Mapping[tuple[str, str], Function], depth: int,
              calls: Iterator[int]) -> Iterator[Node]:
    if depth > DEEPEST:
        raise ValueError(f"functions inside functions, more than {DEEPEST} deep")
    for node in nodes:
        number = next(calls, None)
        if number is None:
            raise ValueError(f"its functions make more than {MOST_NODES} nodes")
        function = functions.get((node.domain, node.op))
        if function is None:
            yield node
            continue
        given = {**function.defaults, **node.attributes}
        names = dict(zip(function.inputs, [*node.inputs, *[""] * len(function.inputs)]))
        names |= dict(zip(function.outputs, node.outputs))
        inside = _renamed(function.nodes, names, f"{node.name or node.op}.{number}")
        yield from _expanded([dataclasses.replace(n, attributes={
            key: given.get(value.name) if isinstance(value, Reference) else value
            for key, value in n.attributes.items() if not isinstance(value, Reference) or value.name in given},
            ) for n in inside], functions, depth + 1, calls)


def branch(graph: Graph, node: Node) -> tuple[list[Node], dict[str, Array]]:
    """The nodes and tensors of a branch with the outputs of its node; outer values keep their names."""
    names = dict(zip(graph.outputs, node.outputs))
    prefix = f"{node.name or node.outputs[0]}.branch"
    tensors = {names.get(name, f"{prefix}/{name}"): array for name, array in graph.tensors.items()}
    names |= {name: f"{prefix}/{name}" for name in graph.tensors if name not in names}
    made = {name for n in graph.nodes for name in n.outputs}
    nodes = _renamed(graph.nodes, names, prefix)
    for name, output in zip(graph.outputs, node.outputs):
        if name not in made and name not in graph.tensors:  # a value from outside
            nodes.append(Node("Identity", (name,), (output,), {}, node.name, "", {}))
    return nodes, tensors


def _renamed(nodes: Sequence[Node], names: Mapping[str, str], prefix: str) -> list[Node]:
    """Nodes whose own values have names of their own, and that read `names`."""
    known = dict(names)
    for node in nodes:
        known |= {name: f"{prefix}/{name}" for name in node.outputs if name and name not in known}
    return [dataclasses.replace(node, inputs=tuple(known.get(name, name) for name in node.inputs),
                                outputs=tuple(known.get(name, name) for name in node.outputs),
                                name=f"{prefix}/{node.name or node.op}") for node in nodes]
