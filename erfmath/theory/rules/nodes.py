"""The nodes of a network while it is rewired: who reads whom, which may be changed, what is known of their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...layers import Activation, Identity, Layer, Scale
from .order import readers_of
from .traits import slope_below, unnamed

__all__ = ["Lists", "Nodes"]


@dataclass
class Lists:
    """A network that is rewired, by position of the node; the lists stay the same objects.

    Attributes
    ----------
    names : list of str
    layers : list of Layer
    sources : list of tuple of int
        What each node reads; -1 is the input.
    sizes, channels : list
        Of the nodes, then of the input.
    last : int
        The map that the field is on: it stays, and so does what lies below.
    """

    names: list[str]
    layers: list[Layer]
    sources: list[tuple[int, ...]]
    sizes: list[Any]
    channels: list[int]
    last: int

    def take(self, kept: Sequence[int]) -> dict[int, int]:
        """Leave the nodes `kept`, each as often as it is there; where each of them, or its last copy, is then."""
        where = {-1: -1, **{i: n for n, i in enumerate(kept)}}
        self.names[:] = [self.names[i] for i in kept]
        self.layers[:] = [self.layers[i] for i in kept]
        self.sources[:] = [tuple(where[j] for j in self.sources[i]) for i in kept]
        self.sizes[:], self.channels[:] = ([each[i] for i in (*kept, -1)] for each in (self.sizes, self.channels))
        self.last = where[self.last]
        return where


class Nodes:
    """A network with its readers counted, and what is known of its nodes.

    Attributes
    ----------
    readers, most : list of int
        How many nodes that lead to the last one read each node, and how many did at most so far.
    reader : dict
        The last of those that have read each node from the beginning.
    made : dict
        Nodes that read one map, by this map, of those that have been visited.
    same : dict
        Nodes that do nothing, and what they hand on.
    origin : dict
        Of channels that are only moved: the node and the channels that they come from.
    positive : set
        Nodes that are never below zero, and lose gradients where they are zero.
    normed : dict
        By what norm the values of a node have been normalised, and nothing else since.
    """

    def __init__(self, lists: Lists, steady: frozenset[str]) -> None:
        self.lists, self.last, self.steady = lists, lists.last, steady
        self.names, self.layers, self.sources = lists.names, lists.layers, lists.sources
        self.sizes, self.channels = lists.sizes, lists.channels
        self.ndim, self.top = len(self.sizes[-1]), len(self.layers) - 1
        self.readers = readers_of(self.sources)
        self.most = self.readers.copy()
        self.reader = {j: i for i, inputs in enumerate(self.sources) for j in inputs}
        self.made: dict[int, tuple[int, ...]] = {}
        self.same: dict[int, int] = {}
        self.origin: dict[int, Any] = {}
        self.positive: set[int] = set()
        self.normed: dict[int, Layer] = {}

    def _inner(self, j: int) -> bool:
        """Whether a node may be changed."""
        return j > self.last and self.names[j] not in self.steady

    def _own(self, j: int, times: int = 1) -> bool:
        """Whether one node alone reads a node that may be changed, so many times."""
        return self.readers[j] == times and self._inner(j)

    def _left(self) -> list[int]:
        """The nodes that still lead to the last one, that, and the map that the field is on."""
        self.readers = readers_of(self.sources)
        return [i for i in range(len(self.layers)) if self.readers[i] or i in (self.last, self.top)]

    def _hand_on(self, i: int, j: int) -> None:
        """What reads node `i` reads node `j` from now on, and `i` nothing; the last node only hands on."""
        if i == self.top:
            self._put(i, Identity(), (j,))
            return
        self._count(j, self.readers[i])
        self._count(i, -self.readers[i])
        self.most[j] = max(self.most[j], self.readers[j])
        self.same[i] = j

    def _put(self, i: int, layer: Layer, inputs: tuple[int, ...]) -> None:
        """Another layer in place of a node."""
        before, self.layers[i], self.sources[i] = self.sources[i], layer, inputs
        if self.readers[i] or i == self.top:
            for k in inputs:
                self._count(k, 1)
            for k in before:
                self._count(k, -1)

    def _count(self, j: int, more: int) -> None:
        """So many more readers of a node; one that nobody reads does not read either."""
        changes = [(j, more)]
        while changes:
            j, more = changes.pop()
            before, self.readers[j] = self.readers[j], self.readers[j] + more
            if j >= 0 and not (before and self.readers[j]) and more:
                changes += [(k, 1 if more > 0 else -1) for k in self.sources[j]]

    def _move_up(self, i: int, j: int, inputs: tuple[int, ...], size: Any, channels: int) -> None:
        """Let nodes `i` and `j`, which it reads, change places; the layer below reads `inputs`."""
        below, above = self.layers[i], unnamed(self.layers[j])
        self._put(j, below, inputs)
        self._put(i, above, (j,))
        self.sizes[j], self.channels[j] = size, channels
        self.names[i], self.names[j] = self.names[j], self.names[i]
        for known in (self.origin, self.normed):
            known.pop(j, None)
        self.positive.discard(j)

    def _look_up(self, i: int) -> None:
        """What node `i` reads, of what others hand on."""
        self.sources[i] = tuple(self.same.get(j, j) for j in self.sources[i])

    def _beside(self, k: int, i: int) -> bool:
        """Whether two nodes are parts of one concatenation, after which what they have in common comes."""
        above = self.reader.get(i)
        return above is not None and above == self.reader.get(k) and self.layers[above].joins_channels

    def _multiplied(self, i: int) -> bool:
        """Whether a node is a multiple that a product reads, after which the factor comes."""
        above = self.reader.get(i)
        return isinstance(self.layers[i], Scale) and above is not None and self.layers[above].multiplies

    def _slopes(self, j: int) -> tuple[int, tuple[float, float], list[int]]:
        """What node `j` is a rectifier of, its slopes above and below zero, and the nodes that make it, read only here.
        """
        way = []
        while self._own(j) and (isinstance(self.layers[j], Scale) or (
                isinstance(self.layers[j], Activation) and slope_below(self.layers[j]) is not None)):
            way.append(j)
            j, = self.sources[j]
        above, below = 1.0, 1.0
        for k in reversed(way):
            layer = self.layers[k]
            if isinstance(layer, Scale):
                above, below = above * layer.factor, below * layer.factor
            else:
                least = slope_below(layer) or 0.0
                above, below = above * (1.0 if above > 0 else least), below * (1.0 if below < 0 else least)
        return j, (above, below), way
