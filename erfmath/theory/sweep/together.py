"""What two values of a site have in common that are made of one: x and the largest x of a window, enlarged again.

With u the value that both are made of, E[a b] = E[E[a | u] E[b | u]] where they are independent given u.  What a value
is on average given one of those that it was made of goes down the layers as a table: through a sum as the sum with the
means of the others, through a max pool as the mean of the larger of it and all others (equation 46b).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .moments import Moments
from .taps import Array
from .values import Affine, Nodes, Value

if TYPE_CHECKING:
    from .plan import Graph

__all__ = ["covariance", "made_of"]

#: Layers between a value and what is made of it, at most.
LONGEST = 64

#: Functions of a value, as numbers at nodes of its source.
Line = tuple[Nodes, Array]


def covariance(graph: Graph, done: Mapping[int, Moments], parts: Mapping[tuple[int, int], Mapping[int, int]], one: int,
               other: int) -> float | None:
    """E[a b] - E[a] E[b] at a site, of the values of two nodes; None where it is not known.

    Parameters
    ----------
    graph : Graph
    done : mapping
        Moments of nodes, of a single channel group.
    parts : mapping
        As in `Gates`.
    one, other : int
        The nodes.
    """
    left, right = made_of(graph, one), made_of(graph, other)
    for root in sorted(left & right, reverse=True):
        if root < 0 or len(done[root].cov_far) != 1:
            continue
        found = _Descent(graph, done, parts, root)
        lines = [found.of(node) for node in (one, other)]
        if all(lines):
            return _product(*lines)
    return None


def made_of(graph: Graph, node: int) -> set[int]:
    """The nodes that a value is made of with no random layer between, and itself."""
    found, waiting = {node}, [node]
    while waiting and len(found) < LONGEST:
        k = waiting.pop()
        if k < 0 or graph.ops[k].fresh:
            continue
        new = set(graph.sources[k]) - found
        found |= new
        waiting += new
    return found


def _product(one: list[Line], other: list[Line]) -> float:
    total = 0.0
    for first in one:
        for second in other:
            # Whichever comes first: on the finer nodes.
            lines = sorted((first, second), key=lambda line: (len(line[0].u), float(line[1] @ line[1])))
            (there, b), (nodes, a) = lines
            if there is not nodes:
                b = there.table_at(b, nodes.u)
            total += float(nodes.p @ (a * b)) - float(nodes.p @ a) * float(nodes.p @ b)
    return total


class _Descent:
    """From values down to that of node `root`: the mean of each given that, up to a constant, in parts that add."""

    def __init__(self, graph: Graph, done: Mapping[int, Moments], parts: Mapping[tuple[int, int], Mapping[int, int]],
                 root: int) -> None:
        self.graph, self.done, self.parts, self.root = graph, done, parts, root
        self.leads = {root}
        for k in range(root + 1, graph.top + 1):
            if not graph.ops[k].fresh and not self.leads.isdisjoint(graph.sources[k]):
                self.leads.add(k)

    def of(self, node: int, factor: float = 1.0) -> list[Line]:
        """Of `factor` times the value of a node."""
        if node not in self.leads or not factor:
            return []
        value = self._value(node)
        if node == self.root:
            return [(value.nodes, factor * value.at(value.nodes.u))]
        sources = self.graph.sources[node]
        if self.graph.layers[node].sums:
            return [line for j in dict.fromkeys(sources) for line in self.of(j, factor * self.graph.times(node, j))]
        op = self.graph.ops[node]
        if self.done[node].sites[0] is None and not op.gate and all(taps.trivial for taps in op.taps):
            return self.of(sources[0], factor * op.gain * math.prod(taps.weights.item() for taps in op.taps))
        below = self._value(sources[0])
        steps = value.steps[len(below.steps):]
        if value.source is below.source and value.steps[:len(below.steps)] == below.steps and all(
                isinstance(step, Affine) for step in steps):
            slope = float(np.prod([step.a for step in steps if isinstance(step, Affine)]))
            return self.of(sources[0], factor * slope)
        line = self._down(node, (value.nodes, factor * value.at(value.nodes.u)))
        return [] if line is None else [line]

    def _value(self, node: int) -> Value:
        return self.done[node].value(0)

    def _down(self, node: int, line: Line) -> Line | None:
        """A function of the value's source at `node`, on average given the value of the root."""
        nodes, table = line[0], line[1][None]
        while node != self.root:
            value = self._value(node)
            slots = [slot for slot, j in enumerate(self.graph.sources[node]) if j in self.leads]
            if len(slots) != 1:
                return None
            slot, = slots
            j = self.graph.sources[node][slot]
            below, part = self._value(j), self.parts.get((node, 0), {0: 0}).get(slot)
            if value.source is not below.source:
                if part is None or part >= len(value.source.parts):
                    return None
                gone = value.source.given(part, nodes, table)
                inner = value.source.parts[part]
                if gone is None or inner.source is not below.source:
                    return None
                nodes, table = gone
            node = j
        return nodes, table[0]
