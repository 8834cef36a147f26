"""The backward sweep read the other way: one number of the field of every unit at once.

`power` sends the gradient of one unit down to the pixels.  That is linear in the covariance of the
gradient, so its transpose carries any function f of the pixels up, and ends with

    sum_i P_u(i) f(i)    for every unit u of the top node,

P_u being the power map of unit u.  With f = 1, x, x^2 these are mass, centroid and spread of all
fields for the price of a few.  Gates, lags, pools and residual streams pass as they do in
`states` and `power`, transposed (docs/theory.md, equations 18 to 26).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...base.errors import check_bytes
from ...layers import Add, Concat, Dropout
from .forward import Gates
from .lowering import Linear, reach
from .moments import Moments, at, linear
from .plan import Plan
from .taps import Array, border_gain

__all__ = ["can_read", "readout"]

#: Half-open range of sites per axis of a node's map.
Spans = tuple[tuple[int, int], ...]


def can_read(plan: Plan) -> bool:
    """Whether all of a plan has a transpose here: no weights that tie channels, no branches to contract."""
    graph = plan.graph
    tied = any(op.kind in ("constant", "full") for i, op in enumerate(graph.ops) if plan.edges[i] or i == graph.top)
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
        As `moments.forward` gives them for the same graph.
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
        # Per gate of a residual stream: what lies at its input but for the stream's own, and the gate before it.
        self.entries: dict[int, tuple[Array | None, int | None]] = {}

    def run(self, fields: Array) -> Array:
        graph = self.graph
        self.values[-1] = self._kept(-1, fields.reshape(len(fields), 1, *(1,) * self.ndim, *fields.shape[1:]))
        reads = {i: set(graph.sources[i]) for i in range(graph.top + 1)}
        for i in self.gates.streams:  # look through the sum before them
            reads[i].update(*(graph.sources[j] for j in graph.sources[i] if j >= 0))
        last = {j: i for i in sorted(reads) for j in reads[i]}
        for i in sorted(reads):
            if self.plan.edges[i] or i == graph.top:
                self.values[i] = self._kept(i, self._stream(i) if i in self.gates.streams else self._node(i))
            for j in reads[i]:
                if last[j] == i:
                    self.values.pop(j, None)
        alone = self.values[graph.top][(slice(None), *at(self.plan.lags[graph.top]))]
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

    # -- layers -------------------------------------------------------------------------------

    def _node(self, i: int) -> Array:
        layer, op, sources = self.graph.layers[i], self.graph.ops[i], self.graph.sources[i]
        values = self.values[sources[0]]
        if isinstance(layer, Add):
            return self._sum(i, dict.fromkeys(sources))
        if isinstance(layer, Concat):
            return np.concatenate([self._with_lags(self.values[j], i) for j in sources], axis=1)
        if op.kind == "gate":
            return self._gated(i, values)
        if isinstance(layer, Dropout):
            values = self._with_lags(values, i).copy()
            values[(slice(None), *at(self.plan.lags[i]))] /= 1 - layer.p
            return values
        if op.kind == "route":
            return self._route(i, op, values)
        if op.kind == "random" and len(self.graph.groups[i]) < values.shape[1]:
            shares = np.asarray(self.graph.shares(sources[0]))
            values = np.einsum("g,fg...->f...", shares, values)[:, None]
        return self._linear(i, op, values, self.plan.lags[i])

    def _sum(self, i: int, sources: Any) -> Array:
        """A sum hands the same gradient to all its inputs; one listed twice gets twice of it."""
        graph, total = self.graph, np.zeros(())
        for j in sources:
            owner = np.searchsorted(np.cumsum(graph.groups[j]), np.cumsum(graph.groups[i]))
            times = graph.sources[i].count(j)
            total = total + times**2 * self._with_lags(self.values[j][:, owner], i)
        return total

    def _gated(self, i: int, values: Array) -> Array:
        values, gate = self._with_lags(values, i), self.gates.power[i]
        index = [slice(None)] + [slice(None) if n == 1 else slice(n // 2 - h, n // 2 + h + 1)
                                 for h, n in zip(self.plan.lags[i], gate.shape[1:])]
        return np.asarray(values * self._tiled(gate[tuple(index)], values.shape[2 + self.ndim:]))

    def _tiled(self, gate: Array, extent: tuple[int, ...]) -> Array:
        """A gate of the plane is given for whole periods."""
        for axis, n in enumerate(extent, 1 + self.ndim):
            if gate.shape[axis] not in (1, n):
                gate = gate.take(range(n), axis=axis, mode="wrap")
        return gate

    def _route(self, i: int, op: Linear, values: Array) -> Array:
        """The gradient of one window ends in one site; two windows are routed independently."""
        zero, lags, j = (0,) * self.ndim, self.plan.lags[i], self.graph.sources[i][0]
        op, bias = self.gates.routes.get(i, (op, None))
        middle = (slice(None), slice(None), *(slice(n // 2, n // 2 + 1) for n in values.shape[2:2 + self.ndim]))
        alone = self._linear(i, op._replace(kind="random", inside_only=False), values[middle], zero)
        for taps in op.taps:
            axis, = taps.axes
            gain = border_gain(taps, 0, alone.shape[axis - self.ndim], self.graph.sizes[j][axis])
            if gain is not None:
                alone = alone * gain.reshape(-1, *(1,) * (self.ndim - 1 - axis))
        if any(lags):
            pairs = self._linear(i, op, values, lags)
            pairs[(slice(None), *at(lags))] = alone[(slice(None), *at(zero))]
            alone = pairs
        if bias is None:
            return alone
        return alone * bias.reshape(len(bias), *(1,) * self.ndim, *(bias.shape[1:] or (1,) * self.ndim))

    def _linear(self, i: int, op: Linear, values: Array, lags: tuple[int, ...]) -> Array:
        """The layer forwards: each adjoint's adjoint."""
        graph, j = self.graph, self.graph.sources[i][0]
        flat = _refit(values, reach(op, lags, back=True)) if op.taps else _refit(values, lags)
        shape = flat.shape
        flat = flat.reshape(-1, *shape[2:])
        check_bytes(8 * len(flat) * math.prod(2 * h + 1 for h in lags) * math.prod(n or 1 for n in graph.sizes[i]),
                    f"what is read out at node {i}", "take a smaller image, or units one by one with predict")
        if not op.taps:
            return (flat * op.gain**2).reshape(shape)
        nothing = np.zeros(len(flat))
        carried = Moments(flat, far=nothing, rho=nothing, laws=(None,) * len(flat), wraps=False)
        out = linear(op, carried, graph.sizes[j], tuple(n or 1 for n in graph.sizes[i]), lags)
        return out.reshape(*shape[:2], *out.shape[1:])

    def _with_lags(self, values: Array, i: int) -> Array:
        return _refit(values, self.plan.lags[i])

    # -- residual streams ---------------------------------------------------------------------

    def _stream(self, i: int) -> Array:
        """What enters a residual stream at gate `i`: down the gates below, each as open as those above make it."""
        graph, streams = self.graph, self.gates.streams
        j = graph.sources[i][0]
        inputs = dict.fromkeys(graph.sources[j]) if j >= 0 and isinstance(graph.layers[j], Add) else {}
        before = next((k for k in inputs if k in streams), None)
        if before is None or not all(e.reader in streams for e in self.plan.edges[j]):
            self.entries[i] = self._with_lags(self.values[j], i), None
        else:
            rest = [k for k in inputs if k != before]
            self.entries[i] = self._sum(j, rest) if rest else None, before
        parts, factor, survival = [], 1.0, np.ones(1)
        gate: int | None = i
        while gate is not None:
            stream = streams[gate]
            behind = np.broadcast_to(survival, stream.p_behind.shape)
            survival = stream.transition @ behind
            factor *= float((stream.p_before @ survival) / (stream.p_behind @ behind))
            part, gate = self.entries[gate]
            if part is not None:
                parts.append(factor * part)
        return np.asarray(_refit(sum(parts[1:], parts[0]), self.plan.lags[i]))


def _refit(values: Array, want: tuple[int, ...]) -> Array:
    """The box of lags cut, or filled with zeros."""
    have = tuple(n // 2 for n in values.shape[2:2 + len(want)])
    if have == want:
        return values
    index: list[Any] = [slice(None)] * 2 + [slice(max(h - w, 0), h + min(h, w) + 1) for h, w in zip(have, want)]
    width = [(0, 0)] * 2 + [(max(w - h, 0),) * 2 for h, w in zip(have, want)]
    return np.pad(values[tuple(index)], width + [(0, 0)] * len(want))
