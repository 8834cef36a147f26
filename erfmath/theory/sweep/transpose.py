"""The backward sweep read the other way: one number of the field of every unit at once.

`backward` sends the gradient of one unit down to the pixels.  That is linear in the covariance of the
gradient, so its transpose carries any function f of the pixels up, and ends with

    sum_i P_u(i) f(i)    for every unit u of the top node,

P_u being the power map of unit u.  With f = 1, x, x^2 these are mass, centroid and spread of all
fields for the price of a few.  Gates, lags, pools and residual streams pass as they do in
`backward`, transposed (docs/theory.md, equations 18 to 26).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..rules.context import Above
from .conditioning import Handed, Knowns, conditional, entry, handed
from .forward import Gates
from .moments import at as lag_zero
from .plan import Edge, Plan
from .taps import Array

__all__ = ["Reading", "can_read", "readout"]

#: Values from which on, and below whose inverse, what is on its way is scaled.
LIMIT = 2.0**300

#: Half-open range of sites per axis of a node's map.
Spans = tuple[tuple[int, int], ...]


def can_read(plan: Plan) -> bool:
    """Whether all of a plan has a transpose here: no weights that tie channels, no branches to contract or compare."""
    graph = plan.graph
    tied = any(op.ties_channels for i, op in enumerate(graph.ops) if plan.edges[i] or i == graph.top)
    # Branches of the unit's own gradient that meet again add as amplitudes.
    met = any(len(plan.edges[i]) > 1 for i in plan.factor if i != graph.top)
    return not (plan.mean or tied or met or plan.meetings or plan.compared) and graph.sizes[-1][0] is not None


class Reading(NamedTuple):
    """sum_i P_u(i) f(i) for every function f and unit u: `values`, (number, *map), times exp(log_scale).

    `log_scale` is 0 unless values would leave the range of floats on the way.
    """

    values: Array
    log_scale: float


def readout(plan: Plan, gates: Gates, fields: Array, keep: Mapping[int, Spans] | None = None) -> Reading:
    """sum_i P_u(i) f(i) for every unit u and every function f.

    Parameters
    ----------
    plan : Plan
        Of the power; `can_read` must hold.
    gates : Gates
        As `forward` gives them for the same graph.
    fields : ndarray, shape (number, *image)
        Functions of the pixels.
    keep : mapping, optional
        Per node (-1: the pixels) the sites that exist: paths over others are dropped, as at borders.

    Returns
    -------
    Reading
    """
    return _Readout(plan, gates, keep or {}).run(np.asarray(fields, dtype=float))


class _Readout:
    def __init__(self, plan: Plan, gates: Gates, keep: Mapping[int, Spans]) -> None:
        self.plan, self.graph, self.gates, self.keep = plan, plan.graph, gates, keep
        self.ndim = plan.graph.ndim
        # Per node, for everything that may be known of a gradient there, (fields, groups, *lags, *map).
        self.values: dict[int, list[Array]] = {}
        self.arrivals, self.steps = self._known()
        self.log_scale = 0.0

    def _known(self) -> tuple[dict[int, list[Knowns]], dict[tuple[int, int, int], list[tuple[int, Handed]]]]:
        """What will be known of gradients at each node, and how it is handed on from there."""
        graph, gates = self.graph, self.gates
        arrivals: dict[int, list[Knowns]] = {}
        steps: dict[tuple[int, int, int], list[tuple[int, Handed]]] = {}
        for i in range(graph.top, -1, -1):
            if not (self.plan.edges[i] or i == graph.top):
                continue
            sites = gates.sites.get(i, ())
            if not conditional(sites):
                continue
            fresh = i == graph.top or any(not self._hands(e.reader) for e in self.plan.edges[i])
            known = arrivals.setdefault(i, [])
            if fresh and entry(sites) not in known:
                known.append(entry(sites))
            if not self._hands(i):
                continue
            for slot, j in enumerate(graph.sources[i]):
                for n, items in enumerate(handed(graph, gates, Edge(i, slot), j, known)):
                    for one in items:
                        below = gates.sites.get(j, ())
                        place = -1
                        if conditional(below):
                            there = arrivals.setdefault(j, [])
                            if one.knowns not in there:
                                there.append(one.knowns)
                            place = there.index(one.knowns)
                        steps.setdefault((i, slot, n), []).append((place, one))
        return arrivals, steps

    def _hands(self, i: int) -> bool:
        """Whether node `i` hands on what is known at its output."""
        return conditional(self.gates.sites.get(i, ()))

    def run(self, fields: Array) -> Reading:
        graph = self.graph
        first = self._kept(-1, fields.reshape(len(fields), 1, *(1,) * self.ndim, *fields.shape[1:]))
        self.values[-1] = [first]
        reads = {i: set(graph.sources[i]) for i in range(graph.top + 1)}
        last = {j: i for i in sorted(reads) for j in reads[i]}
        for i in sorted(reads):
            if self.plan.edges[i] or i == graph.top:
                self.values[i] = [self._node(i, n) for n in range(len(self.arrivals.get(i, [()])))]
            for j in reads[i]:
                if last[j] == i:
                    self.values.pop(j, None)
            self._rescale(i)
        whole = self._entered(graph.top)
        alone = whole[(slice(None), *lag_zero(self.plan.lags[graph.top]))]
        return Reading(np.einsum("g,fg...->f...", np.asarray(graph.shares(graph.top)), alone), self.log_scale)

    def _rescale(self, i: int) -> None:
        """Multiply all that is on its way by a power of two, if what node `i` has made nears a limit."""
        def largest(values: list[Array]) -> float:
            return max(float(np.abs(array).max(initial=0)) for array in values)

        if i not in self.values or 1 / LIMIT < largest(self.values[i]) < LIMIT:
            return
        most = max(map(largest, self.values.values()))
        if 1 / LIMIT < most < LIMIT or most == 0 or not math.isfinite(most):
            return
        exponent = -math.frexp(most)[1]
        self.log_scale -= exponent * math.log(2)
        for j, values in self.values.items():
            self.values[j] = [np.ldexp(array, exponent) for array in values]

    def _entered(self, j: int) -> Array:
        """The values of node `j` for gradients of whose value nothing is known yet."""
        if j not in self.arrivals:
            return self.values[j][0]
        return self.values[j][self.arrivals[j].index(entry(self.gates.sites[j]))]

    def _node(self, i: int, n: int) -> Array:
        """The values at node `i` for gradients of which its item number `n` is known."""
        graph, sources = self.graph, self.graph.sources[i]
        if not self._hands(i):
            at = Above(self.plan, self.gates, i, {j: self._entered(j) for j in sources})
            return self._kept(i, graph.rules[i].transpose(at))
        total = np.zeros(())
        for variant in itertools.zip_longest(*(self.steps[i, slot, n] for slot in range(len(sources)))):
            slots, gains = {}, []
            for slot, (j, step) in enumerate(zip(sources, variant)):
                if step is not None:
                    place, one = step
                    slots[j] = self.values[j][max(place, 0)]
                    gains.append((slot, one))
            total = total + self._gained(i, slots, gains)
        return self._kept(i, np.asarray(total))

    def _gained(self, i: int, values: Mapping[int, Array], gains: list[tuple[int, Handed]]) -> Array:
        """One input after the other, each times what conditioning adds to its power."""
        graph, total = self.graph, np.zeros(())
        for slot, one in gains:
            j = graph.sources[i][slot]
            if graph.sources[i].index(j) != slot:
                continue
            others = {k: np.zeros_like(self.values[k][0]) for k in graph.sources[i] if k != j}
            # As in the backward sweep: at the input of layers with taps, else at the output.
            taps = bool(graph.ops[i].taps) and not graph.rules[i].moves
            mine = self._times(values[j], one, j) if taps else values[j]
            part = graph.rules[i].transpose(Above(self.plan, self.gates, i, {**others, j: mine}))
            total = total + (part if taps else self._times(part, one, i))
        return np.asarray(total)

    def _times(self, values: Array, one: Handed, i: int) -> Array:
        """Values of node `i` times what power and pairs gain."""
        factors = np.broadcast_to(one.pairs.reshape(-1, *(1,) * (2 * self.ndim)),
                                  (len(one.pairs), *values.shape[2:2 + self.ndim], *(1,) * self.ndim)).copy()
        factors[lag_zero(self.plan.lags[i])] = one.power.reshape(-1, *(1,) * self.ndim)
        return np.asarray(values * factors)

    def _kept(self, i: int, values: Array) -> Array:
        """Zero at pairs of sites of which one does not exist."""
        for axis, (first, stop) in enumerate(self.keep.get(i, ())):
            n, lags = values.shape[axis - self.ndim], values.shape[2 + axis]
            site = np.arange(n)
            partner = site + (np.arange(lags) - lags // 2)[:, None]
            there = (site >= first) & (site < stop) & (partner >= first) & (partner < stop)
            shape = [1] * values.ndim
            shape[2 + axis], shape[axis - self.ndim] = lags, n
            values = values * there.reshape(shape)
        return values
