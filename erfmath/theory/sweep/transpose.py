"""The backward sweep read the other way: one number of the field of every unit at once.

`backward` sends the gradient of one unit down to the pixels.  That is linear in the covariance of the
gradient, so its transpose carries any function f of the pixels up, and ends with

    sum_i P_u(i) f(i)    for every unit u of the top node,

P_u being the power map of unit u.  With f = 1, x, x^2 these are mass, centroid and spread of all
fields for the price of a few.  Gates, lags, pools and residual streams pass as they do in
`backward`, transposed (docs/theory.md, equations 18 to 26).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..rules.context import Above
from .forward import Gates
from .moments import at as lag_zero
from .plan import Plan
from .streams import Entries
from .taps import Array

__all__ = ["can_read", "readout"]

#: Half-open range of sites per axis of a node's map.
Spans = tuple[tuple[int, int], ...]


def can_read(plan: Plan) -> bool:
    """Whether all of a plan has a transpose here: no weights that tie channels, no branches to contract."""
    graph = plan.graph
    tied = any(op.ties_channels for i, op in enumerate(graph.ops) if plan.edges[i] or i == graph.top)
    # Branches of the unit's own gradient that meet again add as amplitudes.
    met = any(len(plan.edges[i]) > 1 for i in plan.factor if i != graph.top)
    return not (plan.mean or tied or met or plan.meetings) and graph.sizes[-1][0] is not None


def readout(plan: Plan, gates: Gates, fields: Array, keep: Mapping[int, Spans] | None = None) -> Array:
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
    ndarray, shape (number, *map)
    """
    return _Readout(plan, gates, keep or {}).run(np.asarray(fields, dtype=float))


class _Readout:
    def __init__(self, plan: Plan, gates: Gates, keep: Mapping[int, Spans]) -> None:
        self.plan, self.graph, self.gates, self.keep = plan, plan.graph, gates, keep
        self.ndim = plan.graph.ndim
        self.values: dict[int, Array] = {}  # per node, (fields, groups, *lags, *map)
        self.streams = Entries(plan, gates.streams)

    def run(self, fields: Array) -> Array:
        graph = self.graph
        self.values[-1] = self._kept(-1, fields.reshape(len(fields), 1, *(1,) * self.ndim, *fields.shape[1:]))
        reads = {i: set(graph.sources[i]) for i in range(graph.top + 1)}
        for i in self.gates.streams:  # look through the sum before them
            reads[i].update(*(graph.sources[j] for j in graph.sources[i] if j >= 0))
        last = {j: i for i in sorted(reads) for j in reads[i]}
        for i in sorted(reads):
            if self.plan.edges[i] or i == graph.top:
                at = Above(self.plan, self.gates, i, self.values)
                self.values[i] = self._kept(i, self.streams.pass_gate(at) if i in self.streams
                                            else graph.rules[i].transpose(at))
            for j in reads[i]:
                if last[j] == i:
                    self.values.pop(j, None)
        alone = self.values[graph.top][(slice(None), *lag_zero(self.plan.lags[graph.top]))]
        return np.einsum("g,fg...->f...", np.asarray(graph.shares(graph.top)), alone)

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
