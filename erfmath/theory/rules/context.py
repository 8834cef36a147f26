"""What a sweep shows of a node to its rule, beside the state that it hands it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from ...base.errors import check_bytes
from ..sweep.branches import Branch
from ..sweep.lowering import SAMPLE, Linear, reach
from ..sweep.linear_layers import linear
from ..sweep.moments import Moments, inside, refit
from ..sweep.taps import Array

if TYPE_CHECKING:
    from ..sweep.dependence import Dependence
    from ..sweep.forward import Gates
    from ..sweep.patterns import Known
    from ..sweep.plan import Edge, Graph, Plan
    from .neighbours import Borders

__all__ = ["Above", "Before", "Below", "Roots"]

T = TypeVar("T")


class Roots(NamedTuple):
    """A sum of values that depend on one another as a sum of such as do not, each through filters and norms.

    Attributes
    ----------
    whole : mapping
        By node, the ways from its value to the sum.
    parts : sequence of set of int
        For each input, the nodes that it is made of.
    """

    whole: Mapping[int, tuple[Branch, ...]]
    parts: Sequence[set[int]]


class Before:
    """A node in the forward sweep, which hands over the moments of its inputs.

    Attributes
    ----------
    layer : Layer
        The layer's spec.
    op : Linear
        The layer as taps.
    source : int
        Position of the (first) input.
    need : mapping
        Lags, per node, for which the backward sweep will ask how often two sites are open together.
    lags : tuple of int
        Those at this node.
    want : tuple of int
        To be carried at the output, as half-widths of a box.
    extents : mapping
        Extent of every node's map.
    gates : Gates
        Where a gate leaves what the backward sweep needs.
    borders : Borders
        What neighbours near borders share.
    roots : Roots, optional
        Where inputs depend on the same random layer with none between: the values that they are sums of.
    done : mapping
        Moments of nodes.
    depends_on : mapping
        Random layers that a node's values depend on with none between.
    """

    __slots__ = ("borders", "depends_on", "done", "extents", "gates", "graph", "i", "lags", "layer", "need", "op",
                 "roots", "source", "want")

    def __init__(self, graph: Graph, i: int, need: Mapping[int, tuple[int, ...]], want: tuple[int, ...],
                 extents: Mapping[int, tuple[int, ...]], gates: Gates, borders: Borders, roots: Roots | None,
                 done: Mapping[int, Moments], depends_on: Mapping[int, Dependence]) -> None:
        self.graph, self.i, self.need, self.want, self.extents = graph, i, need, want, extents
        self.gates, self.borders, self.roots, self.done, self.depends_on = gates, borders, roots, done, depends_on
        # Rules ask for these many times over.
        self.layer, self.op, self.source, self.lags = graph.layers[i], graph.ops[i], graph.sources[i][0], need[i]

    @property
    def met(self) -> bool:
        """Whether anything but dense random layers reads the node, or asks what it is like."""
        return self.i in self.graph.met or not self.gates.strict

    @property
    def sites_per_input(self) -> float:
        """Sites of the map over those of the (first) input's."""
        return math.prod((m or 1) / (n or 1) for m, n in zip(self.graph.sizes[self.i], self.graph.sizes[self.source]))

    def below(self, known: Mapping[int, Sequence[T]], otherwise: T) -> list[list[T]]:
        """What is known of the channel groups of the inputs, for each of the node: of all that its channels read.

        Not asked of random layers, which read a mixture.
        """
        found: list[list[T]] = [[] for _ in self.graph.groups[self.i]]
        for j, owner in zip(self.graph.sources[self.i], self.graph.owners[self.i]):
            for row in owner.tolist():
                for g, k in enumerate(row):
                    if k >= 0:
                        found[g].append(known[j][k] if j in known else otherwise)
        return found

    def shared(self, slot: int = 0) -> Known:
        """`Gates.shared` of an input, by the channel groups of the node."""
        known, owner = self.gates.shared.get(self.graph.sources[self.i][slot]), self.graph.owners[self.i][slot][0]
        return (None,) * len(owner) if known is None else tuple([None if k < 0 else known[k] for k in owner.tolist()])

    def dependence(self, slot: int) -> Dependence:
        """The random layers that an input depends on, by the channels of the node."""
        found = self.depends_on[self.graph.sources[self.i][slot]]
        return found.through(self.graph.reads(self.i, slot)) if found.followed else found

    def spread(self, m: Moments, slot: int) -> Moments:
        """The moments of an input with the lags of the output, on its map: one site serves all of them."""
        if (self.i, slot) not in self.graph.one_site:
            return m.with_lags(self.want)
        return m.spread(self.extents[self.i], self.want)

    def refuse_joint(self, m: Moments) -> None:
        """Refuse values of functions of one source, added up, before what needs more than their moments."""
        if any(site is not None and site.source.joint for site in m.sites):
            raise NotImplementedError(f"{self.graph.name(self.i)} ({self.layer.kind}): after a sum of functions of one "
                                      f"value, as x + relu(x): {SAMPLE}")


class Below:
    """An edge in the backward sweep: the state at the output of `edge.reader` is handed to its input, node `j`.

    Attributes
    ----------
    graph : Graph
        The network made ready.
    i : int
        Position of the reader.
    layer : Layer
        Its spec.
    op : Linear
        The same as taps.
    sizes : tuple of (int or None)
        Of the input's map.
    lags : tuple of int
        To be carried at the input.
    channels : (int, int)
        Of input and output.
    """

    __slots__ = ("channels", "edge", "gates", "graph", "i", "j", "lags", "layer", "op", "plan", "sizes")

    def __init__(self, plan: Plan, gates: Gates, edge: Edge, j: int) -> None:
        self.plan, self.gates, self.edge, self.j = plan, gates, edge, j
        self.graph = graph = plan.graph
        self.i = i = edge.reader
        self.layer, self.op, self.sizes, self.lags = graph.layers[i], graph.ops[i], graph.sizes[j], plan.lags[j]
        self.channels = graph.channels[j], graph.channels[i]

    @property
    def before(self) -> tuple[int, ...]:
        """Inputs of the node before this one."""
        return self.graph.sources[self.i][:self.edge.slot]

    @property
    def gathers(self) -> bool:
        """Whether the input has one site, which serves all sites of the node."""
        return (self.i, self.edge.slot) in self.graph.one_site

    @property
    def owner(self) -> Array:
        """For each channel group of the node the one of its input; -1 for those of other inputs."""
        return self.graph.owners[self.i][self.edge.slot][0]


class Above(NamedTuple):
    """A node in the transposed sweep; `values` are those of all nodes that are still read."""

    plan: Plan
    gates: Gates
    i: int
    values: Mapping[int, Array]

    @property
    def graph(self) -> Graph:
        """The network made ready."""
        return self.plan.graph

    @property
    def op(self) -> Linear:
        """The layer as taps."""
        return self.graph.ops[self.i]

    @property
    def lags(self) -> tuple[int, ...]:
        """To be carried at the output."""
        return self.plan.lags[self.i]

    @property
    def input(self) -> Array:
        """Values of the (first) input, shape (fields, groups, *lags, *map)."""
        return self.values[self.graph.sources[self.i][0]]

    def with_lags(self, values: Array) -> Array:
        """The box of lags of the output."""
        return refit(values, self.lags, 2)

    def spread(self, values: Array, slot: int) -> Array:
        """The values of an input by the channel groups of the node, on its map and for its lags."""
        graph, i, ndim = self.graph, self.i, self.graph.ndim
        values = values[:, graph.owners[i][slot][0]]
        if (i, slot) not in graph.one_site:
            return self.with_lags(values)
        alone = values[(slice(None), slice(None), *(n // 2 for n in values.shape[2:2 + ndim]))]
        extent = tuple(n or 1 for n in graph.sizes[i])
        both = inside(extent, self.lags)
        return np.asarray(alone.reshape(*alone.shape[:2], *(1,) * (2 * ndim)) * both)

    def summed(self, i: int, sources: Iterable[int]) -> Array:
        """The sum of these inputs of node `i`; one that it lists twice counts as twice of it."""
        graph, total = self.graph, np.zeros(())
        for j in dict.fromkeys(sources):
            slot = graph.sources[i].index(j)
            total = total + graph.times(i, j)**2 * self.spread(self.values[j], slot)
        return total

    def linear(self, op: Linear, values: Array, lags: tuple[int, ...]) -> Array:
        """A layer of taps, forwards: each adjoint's adjoint."""
        graph, j = self.graph, self.graph.sources[self.i][0]
        box = reach(op, lags, back=True) if op.taps else lags
        before, extent = (tuple(n or 1 for n in graph.sizes[k]) for k in (j, self.i))
        most = max(math.prod(2 * h + 1 for h in far) * math.prod(n) for far, n in ((box, before), (lags, extent)))
        check_bytes(8 * math.prod(values.shape[:2]) * most, f"what is read out at {self.graph.name(self.i)}",
                    "take a smaller image, or units one by one with predict")
        flat = refit(values, box, 2)
        shape = flat.shape
        flat = flat.reshape(-1, *shape[2:])
        if not op.taps:
            return (flat * op.gain**2).reshape(shape)
        nothing = np.zeros(len(flat))
        carried = Moments(flat, cov_far=nothing, corr_site=nothing, sites=(None,) * len(flat), wraps=False)
        out = linear(op, carried, graph.sizes[j], extent, lags)
        return out.reshape(*shape[:2], *out.shape[1:])
