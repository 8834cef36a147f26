"""What the backward sweep must know before it starts: sizes, channel groups, lags, meeting points.

Below a random layer the gradient is a fresh source, uncorrelated with everything that did not pass
the same layer.  Between random layers it is a linear function of its source.  So every gradient
has the names of the sources it comes from; where two branches of one source meet again with no
random layer between, their powers do not add, and the part between must be contracted as a whole.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Union

import numpy as np

from ...layers import Layer
from ...networks.network import Network
from ...networks.settings import RunSettings
from ..memory import Recent
from ..rules.merging import Merged, Wiring, merged
from ..rules.nodes import Lists
from ..rules.order import leading, ordered, readers_of
from ..rules.registry import Rule, rule_of
from ..rules.simplest import simplest
from ..rules.sums import with_places
from .dependence import SEVERAL, meet, pulled_through
from .groups import ONE, Labels, count, owners, side_by_side, sizes as group_sizes, spread_over, whole
from .lowering import SAMPLE, Linear, Norm, reach
from .taps import Array
from .ways import span

__all__ = ["Edge", "Graph", "Meeting", "Plan", "RECENT", "widest"]

#: Edges through gates, routes, noise and concatenations that a gradient has passed, as (reader, slot).
Marks = tuple[tuple[int, int], ...]
#: A source, and what has been passed since.
Name = tuple[int, Marks]
EVERY_LAG = 10**9
#: Lags up to which norms of maps are told what gradients of neighbours have in common: all that a pool has made, where
#: a map has so few pairs of sites.
SUMMED, MOST_PAIRS = 4, 2**20
#: How many networks made ready are remembered for the next call.
RECENT = 4


class Edge(NamedTuple):
    """`reader` reads a node through its input `slot`, `times` over (an Add may list it twice)."""

    reader: int
    slot: int
    times: float = 1.0


#: Where gradients part: a source, as (node, None), or an edge that all have passed, as (reader, slot).
Start = tuple[int, Union[int, None]]


class Pair(NamedTuple):
    """Two correlated gradients that come to one node along different edges."""

    one: tuple[Edge, Name]
    other: tuple[Edge, Name]


class Meeting(NamedTuple):
    """Two correlated gradients at a node: where they parted, and by which edge and through what each has come."""

    start: Start
    one: tuple[Edge, Marks]
    other: tuple[Edge, Marks]


@dataclass(frozen=True, eq=False)
class Graph:
    """A network made ready for one run: the nodes up to a top node, all numbers resolved.

    Position -1, the last entry of `sizes`, `channels` and `groups`, is the network's input.  A max pool right after
    another reads what that one reads, through a larger window.  `source` is the position of the map that the field is
    on, at which the backward sweep ends.
    """

    names: tuple[str, ...]
    layers: tuple[Layer, ...]
    sources: tuple[tuple[int, ...], ...]
    sizes: tuple[tuple[int | None, ...], ...]
    channels: tuple[int, ...]
    labels: tuple[Labels, ...]                # which channels are alike
    groups: tuple[tuple[int, ...], ...]       # channels of each group
    owners: tuple[tuple[Labels, ...], ...]    # per input, the group there of each group here, shape (any, groups)
    one_site: frozenset[tuple[int, int]]      # inputs, as (node, slot), of one site that serves all sites
    ops: tuple[Linear, ...]
    rules: tuple[Rule, ...]
    ndim: int
    norms: Mapping[int, Norm]      # batch norms whose statistics are given
    biases: Mapping[int, float]    # mean squares of biases, given ones or drawn
    merged: Merged
    source: int = -1

    @staticmethod
    def of(net: Network, settings: RunSettings, flat: bool = True, lean: bool = True,
           apart: frozenset[str] = frozenset()) -> Graph:
        """Collect what the sweep needs of `net` up to the node of the run.

        Without given weights the last few graphs are remembered, by the identity of `net`.  Where `flat`, a sum that
        only another one reads is part of that, and activations go before layers with which they commute; else every
        node has the map that it has in `net`.  Where also `lean`, layers that do nothing are left out, and those in a
        row that are one are one, but for the nodes `apart`.
        """
        top, collect = net.index(settings.node), lambda: Graph._collect(net, settings, flat, lean and flat, apart)
        if settings.weights:  # arrays may change
            return collect()
        return _graphs.get(net, (top, settings.image, settings.ndim, settings.width, settings.channels_in,
                                 settings.source, flat, lean, apart), collect)

    @staticmethod
    def _collect(net: Network, settings: RunSettings, flat: bool, lean: bool,
                 apart: frozenset[str]) -> Graph:
        top, ndim, channels_in, shapes = (net.index(settings.node), settings.ndim, settings.channels_in,
                                          settings.shapes(net))
        source = net.index(settings.source or "input")
        names, layers, sources = list(net.names[:top + 1]), list(net.layers[:top + 1]), list(net.sources[:top + 1])
        channels = [*settings.channels(net).values()][:top + 1] + [channels_in]
        sizes: list[Any] = [(None,) * ndim] * (top + 2)
        if shapes is not None:
            sizes = [*shapes.values()][:top + 1] + [settings.image]
        given = _check_names(net, settings.weights)
        if given:
            layers = [layer.with_given(given[name]) if name in given else layer for name, layer in zip(names, layers)]
        lists = Lists(names, layers, sources, sizes, channels, source)
        if lean:
            simplest(lists, given, apart)
        if flat:
            with_places(lists)
        source = lists.last
        read = list(sources)
        ops: list[Linear] = []
        labels: list[Labels] = [*[whole(1)] * len(layers), whole(channels_in)]
        owned: list[tuple[Labels, ...]] = []
        norms: dict[int, Norm] = {}
        seen: dict[Any, Linear] = {}  # repeated parts hold the same layer objects
        rules = [_rule(name, layer) for name, layer in zip(names, layers)]
        free: set[int] = set()  # functions that may move: those that one node alone reads
        if flat:
            ordered(names, layers, rules, sources, sizes, source, given)
            readers = readers_of(sources)
            free.update(i for i, name in enumerate(names) if i > source and readers[i] == 1 and (
                layers[i].is_gate or layers[i].kind == "scale") and name not in given and name not in apart)
        for i, (name, layer, rule, inputs) in enumerate(zip(names, layers, rules, read)):
            below = inputs[0]
            place = id(layer), sizes[below], channels[below], channels[i]
            try:
                op = seen.get(place)
                if op is None:
                    rule.refuse_unknown(layer)
                    op = seen[place] = rule.lower(layer, *place[1:])
                if name in given:
                    lowered = op
                    op, norm = rule.given(layer, given[name], ndim, channels[below], channels[i])
                    op = op.folded_as(lowered)
                    norms.update({} if norm is None else {i: norm})
            except (ValueError, NotImplementedError) as error:
                raise type(error)(f"{name}: {error}") from None
            ops.append(op)
            _stack(i, source, layers, rules, ops, sources, sizes, free)
            incoming = [labels[j] for j in inputs]
            labels[i] = rule.labels(layer, op, incoming, channels[i], ndim)
            owned.append(_owners(rule, layer, op, incoming, labels[i], ndim))
        drawn = {i: layer.bias_variance(channels[read[i][0]], channels[i], ndim)
                 for i, layer in enumerate(layers)}
        biases = {i: float(np.mean(np.square(given[f"{name}.bias"]))) if f"{name}.bias" in given else drawn[i]
                  for i, name in enumerate(names) if drawn[i] or f"{name}.bias" in given}
        wiring = Wiring(layers, sources, ops, rules, labels, channels, sizes, biases,
                        [i for i, name in enumerate(names) if name in apart])
        changed = merged(wiring, source, flat)
        if flat and changed.nodes and ordered(names, layers, rules, sources, sizes, source, {
                *given, *(names[i] for i in biases)}, ops):
            for i in range(len(layers)):
                _stack(i, source, layers, rules, ops, sources, sizes, free)
        if changed.nodes:  # what has moved has other channels
            for i, layer in enumerate(layers):
                labels[i] = rules[i].labels(layer, ops[i], [labels[j] for j in sources[i]], channels[i], ndim)
        for i in changed.nodes:
            owned[i] = _owners(rules[i], layers[i], ops[i], [labels[j] for j in sources[i]], labels[i],
                               ndim)
        one_site = frozenset((i, slot) for i in range(len(layers)) if len(sources[i]) > 1 and shapes is not None
                             for slot, j in enumerate(sources[i]) if sizes[j] != sizes[i])
        return Graph(tuple(names), tuple(layers), tuple(sources),
                     tuple(sizes), tuple(channels), tuple(labels), tuple(_sizes_of(labels)), tuple(owned),
                     one_site, tuple(ops), tuple(rules), ndim, norms, biases, changed, source)

    @functools.cached_property
    def used(self) -> list[int]:
        """The nodes that lead from the source to the top."""
        if self.source < 0:
            return self._leading
        found = {self.source}
        for i in self._leading:
            if i > self.source and not found.isdisjoint(self.sources[i]):
                found.add(i)
        return sorted(found - {self.source})

    @functools.cached_property
    def met(self) -> frozenset[int]:
        """Nodes that not only dense random layers read: others need to know what the value of a site is."""
        return frozenset(j for i in self._leading if not self.ops[i].fresh or self.ops[i].groups > 1
                         for j in self.sources[i])

    @functools.cached_property
    def readers(self) -> Counter[int]:
        """How many nodes that lead to the top read each node."""
        return Counter(j for i in self._leading for j in set(self.sources[i]))

    @functools.cached_property
    def _leading(self) -> list[int]:
        """The nodes that lead to the top."""
        return leading(self.sources)

    @functools.cached_property
    def top(self) -> int:
        """Position of the node whose unit is looked at."""
        return len(self.layers) - 1

    def times(self, i: int, j: int) -> float:
        """How often node `i`, a sum, has node `j` in it."""
        return self.merged.times.get((i, j), 1.0) * self.sources[i].count(j)

    def shares(self, i: int) -> list[float]:
        """Share of the channels of node `i` that each of its groups has."""
        return [c / self.channels[i] for c in self.groups[i]]

    def owner(self, i: int, j: int) -> Array:
        """For each group of node `i` that of the same channels of node `j`, which has as many channels or one."""
        if len(self.groups[i]) == len(self.groups[j]) == 1:
            return ONE[0]
        one, other = self.labels[i], self.labels[j]
        return owners(one, np.arange(len(one))[None] % len(other), other)[0]

    def reads(self, i: int, slot: int) -> Labels:
        """Channels of an input that each channel of a node is made of, shape (any, channels); -1 is none."""
        incoming = [self.channels[j] for j in self.sources[i]]
        return self.rules[i].reads(self.layers[i], slot, incoming, self.channels[i], self.ndim)

    def name(self, i: int) -> str:
        """What a message calls a node."""
        return "the input" if i < 0 else self.names[i]

    def mixture(self, i: int) -> Array:
        """What part of what each group of node `i` reads, through weights, is of each group of its input."""
        j = self.sources[i][0]
        if len(self.groups[j]) == 1:
            return np.ones((len(self.groups[i]), 1))
        if self.ops[i].groups == 1:
            return np.array([self.shares(j)] * len(self.groups[i]))
        return spread_over(self.labels[i], self.labels[j], self.ops[i].groups)


def _stack(i: int, source: int, layers: list[Layer], rules: list[Rule], ops: list[Linear],
           sources: list[tuple[int, ...]], sizes: list[Any], free: Collection[int]) -> None:
    """Let a layer that does with the one before it what one layer does read what that reads.

    Functions between that are `free` and commute with it read that, too: the one before has other readers.
    """
    ndim, functions = len(sizes[-1]), [i]
    while (below := sources[functions[-1]][0]) >= 0 and below != source:
        phi = rules[below].function(layers[below]) if below in free else None
        if phi is not None and len(sources[below]) == 1 and rules[i].commutes(layers[i], ndim, phi):
            functions.append(below)
            continue
        before = sources[below]
        joint = rules[i].stacked(layers[i], ops[i], layers[below], ops[below], sizes[before[0]], sizes[below])
        if joint is None:
            return
        ops[i], sources[functions[-1]] = joint, before
        for j in functions[1:]:
            sizes[j] = sizes[before[0]]


def _rule(name: str, layer: Layer) -> Rule:
    try:
        return rule_of(layer)
    except NotImplementedError as error:
        raise NotImplementedError(f"{name}: {error}") from None


def _owners(rule: Rule, layer: Layer, op: Linear, incoming: Sequence[Labels], labels: Labels, ndim: int
            ) -> tuple[Labels, ...]:
    """Per input, the group there that each group of the output is made of."""
    if not rule.moves and not labels.strides[0] and not any([below.strides[0] for below in incoming]):
        return (ONE,) * len(incoming)
    if op.fresh and op.groups > 1:  # sums of few terms are known by those of the group that they are of
        return (spread_over(labels, incoming[0], op.groups).argmax(axis=1)[None],)
    if op.fresh or op.ties_channels:
        return (np.zeros((1, count(labels)), np.intp),)
    if len(incoming) == 1 and not rule.moves and incoming[0] is labels:
        return (np.arange(count(labels))[None],)
    if layer.joins_channels:
        return side_by_side([count(below) for below in incoming])
    counts = [len(below) for below in incoming]
    return tuple(owners(labels, rule.reads(layer, slot, counts, len(labels), ndim), below)
                 for slot, below in enumerate(incoming))


def _sizes_of(labels: Sequence[Labels]) -> list[tuple[int, ...]]:
    """Channels of each group of each node; many have the labels of the node below."""
    known = {key: group_sizes(each) for key, each in {id(each): each for each in labels}.items()}
    return [known[id(each)] for each in labels]


_graphs: Recent[Graph] = Recent(RECENT)


def _check_names(net: Network, weights: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in weights:
        net.index(name.removesuffix(".bias"))  # an unknown node raises
    return weights


class Plan:
    """What happens where in a backward sweep from the top of `graph`.

    Attributes
    ----------
    edges : dict
        Per node (and -1), the edges through which it is read by nodes that lead to the top.
    paths : dict
        Those of the edges that lead on from the map that the field is on.
    gated, routed : bool
        Whether any node is a gate, or a max pool of a whole map, whose sites win less often near its borders, so that
        a forward sweep must come first.
    factor : set of int
        Nodes whose gradient is still linear in the random numbers of the unit itself.
    channels : str
        How those gradients carry channels: "one" for all, "ones" (the direction of equal channels
        only), "modes" (that direction and all others) or "explicit".
    meetings : dict
        Nodes where branches of one source meet without a random layer between: which of them.
    compared : dict
        The same, of nodes that compare parts of the channels, for gradients that come to different parts.
    cuts : set of int
        Nodes that all of several correlated gradients come through: below, these are one.
    above : dict
        Per node where branches may meet, those that lead to it with no random layer between, as bits from -1.
    near : dict
        Per source of gradients and node where they meet, where the ways between lead; None if that is not near by.
    ones : set of int
        Nodes below which a `Constant` convolution reads the sum over channels.
    lags : dict
        Half-widths of the box of lags to carry at each node's output.
    """

    def __init__(self, graph: Graph, mean: bool) -> None:
        self.graph, self.mean = graph, mean
        self.edges = _edges(graph)
        self.paths = _paths(graph, self.edges)
        used = [i for i in range(len(graph.ops)) if self.edges[i] or i == graph.top]
        self.gated = any(graph.ops[i].gate for i in used)
        self.routed = any(graph.ops[i].routes and set(graph.sizes[i]) == {1} for i in used)
        self.moved = any(rule.moves for rule in graph.rules)
        self.channels = "explicit"
        self.factor = self._factor_region()
        self.channels = self._channels()
        if self.moved and self.channels != "explicit":  # one channel cannot stand for all
            self.factor = self._factor_region()
        self.meetings: dict[int, list[Meeting]] = {}
        self.compared: dict[int, list[Meeting]] = {}
        self._known: dict[Name, Array] = {}
        self.above: dict[int, int] = {}
        self.cuts: set[int] = set()
        self._find_meetings()
        self.near = {(start, i): span(graph, self.below, self.begin(start), i, self.above[i])
                     for i, meetings in self.meetings.items() for start in {met.start for met in meetings}}
        self.ones = self._ones()
        self.lags = self._lags()

    @functools.cached_property
    def below(self) -> dict[int, list[tuple[int, Edge]]]:
        """Per node, what it reads and how."""
        found: dict[int, list[tuple[int, Edge]]] = {}
        for j, edges in self.paths.items():
            for edge in edges:
                found.setdefault(edge.reader, []).append((j, edge))
        return found

    def _factor_region(self) -> set[int]:
        region = {self.graph.top}
        for i in range(self.graph.top - 1, -2, -1):
            if self.paths[i] and all(e.reader in region and self.keeps_factor(e.reader) for e in self.paths[i]):
                region.add(i)
        return region

    def keeps_factor(self, reader: int) -> bool:
        """Whether node `reader` hands on a gradient that stays linear in the unit's own numbers."""
        rule = self.graph.rules[reader]
        return (self.channels == "explicit" or not rule.moves) and rule.keeps_factor(self.graph.ops[reader], self.mean)

    def _channels(self) -> str:
        inner = [i for i in self.factor if i >= 0]
        equal = [self.graph.ops[i].groups for i in inner if self.graph.ops[i].equal]
        joined = any(self.graph.layers[i].joins_channels for i in inner)
        moved = any(self.graph.rules[i].moves for i in inner)
        given = any(self.graph.ops[i].matrix is not None for i in inner)
        if given or (not self.mean and equal and (max(equal) > 1 or joined)) or (moved and (self.mean or equal)):
            return "explicit"
        return "ones" if self.mean else "modes" if equal else "one"

    def _joining(self) -> int:
        """Nodes with two edges that lead up to one node with no random layer between, and all above: as bits, from -1.

        Most networks have none, and streams of many blocks few.
        """
        graph, found, above = self.graph, 0, self.above
        fixed = {i: [e.reader for e in edges if not graph.ops[e.reader].fresh] for i, edges in self.paths.items()}
        if all(len(readers) < 2 for readers in fixed.values()):
            return 0
        for i in range(graph.top, -2, -1):
            ways, seen, both = [above[reader] for reader in fixed[i]], 0, 0
            for way in ways:
                seen, both = seen | way, both | seen & way
            above[i] = seen | 1 << (i + 1)
            if both:
                found |= above[i]
        return found

    def _find_meetings(self) -> None:
        graph, joining = self.graph, self._joining()
        names: dict[int, set[Name]] = {}
        passing: list[tuple[int, set[int]]] = []  # how far down nodes above hand gradients, and from which sources
        one_kind = not any(rule.compares for rule in graph.rules)
        mixed: set[int] = set()  # nodes whose channels a deterministic layer above has correlated
        for i in range(graph.top, -2, -1) if joining else ():
            edges = self.paths[i]
            if i != graph.top and not edges:
                continue
            fixed = [e for e in edges if not graph.ops[e.reader].fresh]
            if any(graph.ops[e.reader].ties_channels or e.reader in mixed for e in fixed) and graph.channels[i] > 1:
                mixed.add(i)
            if not joining >> (i + 1) & 1:
                continue
            per_edge = [{self._after(e, name) for name in names[e.reader]} for e in fixed]
            own: list[set[Name]] = [{(i, ())}] if i == graph.top or len(fixed) < len(edges) else []
            names[i] = functools.reduce(operator.or_, per_edge + own)
            pairs = [Pair((fixed[k], one), (fixed[n], other)) for k in range(len(fixed)) for n in range(k)
                     for one in per_edge[k] for other in per_edge[n] if self._correlated(one, other, i in mixed)]
            if i >= 0 and graph.rules[i].compares:
                self.compared[i] = [pair for k in range(len(fixed)) for n in range(k) for one in per_edge[k]
                                    for other in per_edge[n] if one[0] == other[0]
                                    for pair in self._parted(Pair((fixed[k], one), (fixed[n], other)))]
            if pairs and not (i in self.factor and all(one == other for (_, one), (_, other) in pairs)):
                self.factor.discard(i)
                self.meetings[i] = self._late(i, [self._met(i, pair) for pair in pairs])
            sources = {source for source, _ in names[i]}
            passing = [(low, others) for low, others in passing if low < i]
            if (len(names[i]) > 1 and one_kind and i not in mixed and i not in self.factor and i > graph.source
                    and not any(others & sources for _, others in passing)
                    and not any(self.parts_channels(k) for _, marks in names[i] for k, _ in marks)):
                names[i], sources = {(i, ())}, {i}
                self.cuts.add(i)
            if i >= 0 and not graph.ops[i].fresh:
                passing.append((min((j for j, _ in self.below.get(i, ())), default=i), sources))

    def _after(self, edge: Edge, name: Name) -> Name:
        """A gradient's name below `edge`: gates, routes, noise and concatenations are noted."""
        i, source, passed = edge.reader, *name
        joins = self.parts_channels(i)
        if joins and i in self.factor and self.channels != "one":  # channels are carried: nothing parts
            return name
        if joins or not self.graph.rules[i].keeps_factor(self.graph.ops[i], mean=False):
            return source, (*passed, (i, edge.slot))
        return name

    def _correlated(self, one: Name, other: Name, mixed: bool) -> bool:
        """Whether two gradients have one source, and no concatenation has parted them (unless channels are mixed)."""
        if one[0] != other[0]:
            return False
        if mixed:
            return True
        if self.moved:
            return meet(*(self._channels_of(name) for name in (one, other)))
        return not any(a == b and m != n and self.graph.layers[a].joins_channels
                       for a, m in one[1] for b, n in other[1])

    def _channels_of(self, name: Name) -> Array:
        """For each channel that a gradient comes to, the one of its source."""
        source, marks = name
        if not marks:
            return np.arange(self.graph.channels[source])
        if name not in self._known:
            above, (i, slot) = self._channels_of((source, marks[:-1])), marks[-1]
            if len(above) != self.graph.channels[i]:  # weights that tie channels lie between
                above = np.full(self.graph.channels[i], SEVERAL)
            reads, count = self.graph.reads(i, slot), self.graph.channels[self.graph.sources[i][slot]]
            alike = reads.shape == (1, count) and (reads[0] == np.arange(count)).all()
            self._known[name] = above if alike or reads.shape[1] != len(above) else pulled_through(above, reads, count)
        return self._known[name]

    def _met(self, i: int, pair: Pair) -> Meeting:
        """Where the two have parted, and what each has passed since."""
        (edge, (source, one)), (other_edge, (_, other)) = pair
        start, since = _parting(source, one, other)
        parts = [k for marks in since for k, _ in marks if self.parts_channels(k)]
        if parts:
            raise NotImplementedError(
                f"{self.graph.name(parts[0])} ({self.graph.layers[parts[0]].kind}): some channels of "
                f"{self.graph.name(i)} come to the same channels by two ways, one of them through this layer, and "
                f"others do not, with no random layer between; {SAMPLE}")
        return Meeting(start, (edge, since[0]), (other_edge, since[1]))

    def _late(self, i: int, meetings: list[Meeting]) -> list[Meeting]:
        """The same at node `i`, counted from the last edge up to which all ways there are one.

        There are fewer sites, and they are nearer by.  Whatever passes the edge is meant: none may come around it.
        """
        late = {met.start: self._latest(met.start, i) for met in meetings}
        for start, edge in late.items():
            if edge != start and any(other != edge and self.above[edge[0]] >> (self.begin(one) + 1) & 1
                                     for one, other in late.items()):
                return list(dict.fromkeys(meetings))
        return list(dict.fromkeys(met._replace(start=late[met.start]) for met in meetings))

    def _latest(self, start: Start, i: int) -> Start:
        """The last edge from `start` on up to which all ways to node `i` are one; `start` where they part at once."""
        while True:
            k = self.begin(start)
            ways = [(j, edge) for j, edge in self.below.get(k, ()) if self.above[i] >> (j + 1) & 1]
            op = self.graph.ops[k]
            if (len(ways) != 1 or ways[0][0] == i or op.ties_channels or self.parts_channels(k)
                    or not self.graph.rules[k].keeps_factor(op, mean=False)):
                return start
            start = k, ways[0][1].slot

    def _parted(self, pair: Pair) -> list[Meeting]:
        """Where two gradients have parted that come to like channels of different parts; none if they do not."""
        (edge, one), (other_edge, other) = pair
        a, b = (self._channels_of(name) for name in (one, other))
        if len(a) != len(b) or not np.array_equal(a[a >= 0], b[b >= 0]):
            return []
        start, since = _parting(one[0], one[1], other[1])
        return [Meeting(start, (edge, since[0]), (other_edge, since[1]))]

    def parts_channels(self, i: int) -> bool:
        """Whether node `i` hands different channels to, or takes them from, its inputs."""
        return self.graph.layers[i].joins_channels or self.graph.rules[i].moves

    def begin(self, start: Start) -> int:
        """The node at whose output two gradients part."""
        node, slot = start
        return node if slot is None else self.graph.sources[node][slot]

    def _ones(self) -> set[int]:
        found: set[int] = set()
        for i, op in enumerate(self.graph.ops):
            if op.equal or (found and not op.fresh and not found.isdisjoint(self.graph.sources[i])):
                found.add(i)
        return found

    def _made(self, apart: Mapping[tuple[int, int], tuple[int, ...]] | None) -> dict[int, tuple[int, ...]]:
        """Lags that layers make, per node, as half-widths.

        `apart` is how far branches that meet lie apart; without it, lags end at the next random layer.
        """
        graph, zero, met = self.graph, (0,) * self.graph.ndim, {i for _, i in self.near}
        made: dict[int, tuple[int, ...]] = {graph.top: zero}
        for i in range(graph.top - 1, -2, -1):
            above = [zero if apart is None and graph.ops[e.reader].fresh else graph.rules[e.reader].lags_below(
                graph.ops[e.reader], made[e.reader]) for e in self.paths[i]]
            made[i] = above[0] if len(above) == 1 else widest(above) if above else zero
            if i in met and apart is not None:
                made[i] = (EVERY_LAG,) * graph.ndim if any(
                    reach is None for (_, j), reach in self.near.items() if j == i) else widest(
                        [made[i], *(more(made[begin], by) for (begin, j), by in apart.items() if j == i)])
        return made

    def _has_mean(self, k: int, slot: int) -> bool:
        """Whether what factor `slot` of product `k` gathers over sites may have a mean: its lags count then."""
        return not all(j >= 0 and self.graph.ops[j].fresh for n, j in enumerate(self.graph.sources[k]) if n != slot)

    def _seen(self) -> dict[int, tuple[int, ...]]:
        """Per node, an upper bound for the sites along each axis that the gradient of one unit reaches."""
        graph = self.graph
        seen: dict[int, tuple[int, ...]] = {graph.top: (1,) * graph.ndim}
        for i in range(graph.top, -1, -1):
            if i not in seen:
                continue
            below = list(seen[i])
            for taps in (*graph.ops[i].taps, *graph.ops[i].fold):
                for axis, g in zip(taps.axes, taps.geometry):
                    if taps.rows is not None:
                        below[axis] = taps.rows.matrix.shape[1]
                        continue
                    below[axis] = ((below[axis] + g.extent - 2) // g.stride + 1 if g.transposed
                                   else (below[axis] - 1) * g.stride + g.extent)
            for j in graph.sources[i]:
                seen[j] = tuple(map(max, zip(seen[j], below))) if j in seen else tuple(below)
        # Branches may lie apart by what padding shifts them: their windows together are no wider than twice each.
        return {i: tuple(2 * n for n in seen.get(i, (1,) * graph.ndim)) for i in range(-1, graph.top + 1)}

    def _lags(self) -> dict[int, tuple[int, ...]]:
        """Lags that are both needed below and made above, as half-widths per axis."""
        graph, zero = self.graph, (0,) * self.graph.ndim
        far = {self.begin(start) for (start, _), reach in self.near.items() if reach is None}
        apart = {(self.begin(start), i): reach.apart for (start, i), reach in self.near.items() if reach is not None}
        begins = {begin for begin, _ in apart}
        products = {k for k, slot in graph.one_site if graph.layers[k].multiplies and self._has_mean(k, slot)}
        gathering = {k for k, _ in graph.one_site if not graph.layers[k].multiplies or k in products and any(
            self.above[i] >> (k + 1) & self.above[k] >> (self.begin(start) + 1) & 1 for start, i in self.near)}
        near = self._made(None) if products else {}
        image = graph.sizes[-1][0] is not None
        need: dict[int, tuple[int, ...]] = {-1: zero}
        for i, (inputs, op) in enumerate(zip(graph.sources, graph.ops)):
            here = need[inputs[0]] if len(inputs) == 1 else widest([need[j] for j in inputs])
            need[i] = here = zero if i <= graph.source else here if not op.taps else reach(op, here, back=False)
            if i in begins:
                need[i] = widest([here, *(more(need[j], by) for (begin, j), by in apart.items() if begin == i)])
            if i in far or i in gathering:
                need[i] = (EVERY_LAG,) * graph.ndim
            elif i in products:
                need[i] = widest([need[i], near[i]])
            elif image and graph.rules[i].spreads(graph.layers[i]):  # sums all of its gradient
                sizes = [n or 1 for n in graph.sizes[i]]
                every = math.prod(sizes) * math.prod(2 * n - 1 for n in sizes) <= MOST_PAIRS
                need[i] = widest([need[i], tuple(n - 1 for n in sizes) if every else (SUMMED,) * graph.ndim])
        if not any(map(any, need.values())):
            return need
        made = self._made(apart)
        carried = {i: zero if zero in (h, made[i]) else tuple(map(min, h, made[i])) for i, h in need.items()}
        if zero in carried.values() and len(set(carried.values())) == 1:
            return carried
        seen = self._seen()
        return {i: h if h == zero else tuple(min(lag, reached - 1, lag if n is None else n - 1) for lag, n, reached in
                                             zip(h, graph.sizes[i], seen[i])) for i, h in carried.items()}


def _parting(source: int, one: Marks, other: Marks) -> tuple[Start, tuple[Marks, ...]]:
    """Where two gradients of a source have parted, and what each has passed since."""
    # Whatever passed one edge is one gradient below it: only what came after parts it.
    both = [mark for mark in one if mark in other]
    since = tuple(marks[marks.index(both[-1]) + 1:] if both else marks for marks in (one, other))
    return both[-1] if both else (source, None), since


def _edges(graph: Graph) -> dict[int, list[Edge]]:
    edges: dict[int, list[Edge]] = {i: [] for i in range(-1, graph.top + 1)}
    for i in range(graph.top, -1, -1):
        if i != graph.top and not edges[i]:
            continue
        inputs = graph.sources[i]
        if graph.layers[i].sums:
            for j in dict.fromkeys(inputs):
                edges[j].append(Edge(i, inputs.index(j), graph.times(i, j)))
        else:
            for slot, j in enumerate(inputs):
                edges[j].append(Edge(i, slot))
    return edges


def _paths(graph: Graph, edges: dict[int, list[Edge]]) -> dict[int, list[Edge]]:
    if graph.source < 0:
        return edges
    reached = {graph.source}
    for i in range(graph.source + 1, graph.top + 1):
        if not reached.isdisjoint(graph.sources[i]):
            reached.add(i)
    return {i: some if i in reached else [] for i, some in edges.items()}


def more(lags: tuple[int, ...], by: tuple[int, ...]) -> tuple[int, ...]:
    """Lags up to so much more."""
    return tuple(map(operator.add, lags, by))


def widest(lags: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Half-widths of the smallest box of lags that holds all of `lags`."""
    first = lags[0]
    return first if lags.count(first) == len(lags) else tuple(map(max, *lags))
