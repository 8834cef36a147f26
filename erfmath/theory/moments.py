"""The forward sweep: second moments of every node's values at initialisation.

Per node and channel group it carries M(x, tau) = E[v(x) v(x + tau)] (its lag 0 is the second moment
q, a map where borders matter), the far covariance c = E[v v'] between distant sites or independent
inputs of one channel, averaged over the map, and the one-site law where it is not Gaussian.  What
the backward sweep needs of all this are the gates: E[phi'^2], 1/variance, and so on.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

from ..geometry import AxisGeometry
from ..layers import Activation, Add, BatchNorm, Concat, Dropout, GlobalAvgPool, LayerNorm
from . import activations, laws
from .activations import Function
from .laws import Law
from .linear import Linear
from .plan import SAMPLE, Graph, Plan
from .states import border_pairs, cut_pairs, fixed_pairs, select_lags
from .taps import Array, Taps, adjoint, reads

__all__ = ["Gates", "Stream", "forward"]


#: A law that is not Gaussian, or how to make it when it is asked for.
LawLike = Union[Law, Callable[[], Law], None]


def _activated(q: float, c: float, phi: Function) -> Law:
    return laws.gaussian(q, c).through(phi)


@dataclass(frozen=True)
class Moments:
    """Moments of one node's values; maps have extent 1 along each axis on the infinite plane."""

    values: Array                     # (groups, *lags, *lattice)
    far: Array                        # (groups,)
    laws: tuple[LawLike, ...]         # None: Gaussian

    @property
    def ndim(self) -> int:
        return (self.values.ndim - 1) // 2

    @property
    def lags(self) -> tuple[int, ...]:
        return tuple(n // 2 for n in self.values.shape[1:1 + self.ndim])

    @property
    def second(self) -> Array:
        """q per group and site, shape (groups, *lattice)."""
        return self.values[(slice(None), *self.lags)]

    @property
    def average(self) -> Array:
        """q per group, averaged over the map."""
        return self.second.reshape(len(self.values), -1).mean(axis=1)

    def law(self, group: int) -> Law:
        """The one-site law of a group, scaled to the average second moment."""
        known = self.laws[group]
        q = float(self.average[group])
        if known is None:
            return laws.gaussian(q, float(self.far[group]))
        if not isinstance(known, Law):
            known = known()
        return known.scaled(math.sqrt(q / known.second)) if known.second else known


@dataclass(frozen=True)
class Stream:
    """A gate behind the sum of a residual stream: x = phi(x_before + f)."""

    before: int        # node of x_before
    transition: Array  # phi'^2 times the probability from values before to values behind
    p_before: Array
    p_behind: Array


@dataclass
class Gates:
    """What the forward sweep tells the backward one.

    Attributes
    ----------
    power : dict
        Per node with a gate, the factor on M(x, tau): shape (groups, *lags, *lattice), extents 1
        where it does not vary.
    routes : dict
        Per max pool, E[phi'(winner)^2] / E[phi'^2] of the activation it follows, per group.
    streams : dict
        Per activation behind a residual sum, how its gate hangs on those before.
    """

    power: dict[int, Array] = field(default_factory=dict)
    routes: dict[int, Array] = field(default_factory=dict)
    streams: dict[int, Stream] = field(default_factory=dict)


def forward(graph: Graph, plan: Plan, q: float, c: float) -> Gates:
    """Moments of all nodes for inputs of second moment `q` and far covariance `c`; returns the gates."""
    return _Forward(graph, plan).run(q, c)


class _Forward:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan = graph, plan
        self.gates = Gates()
        # Per residual sum: the node of its one input that is not Gaussian, its law, and q, c of the rest.
        self.sums: dict[int, tuple[int, Law, tuple[float, float]]] = {}
        self.need = self._lags()

    def _lags(self) -> dict[int, tuple[int, ...]]:
        """Lags to carry: needed by what lies above, and possibly different from c."""
        graph, zero = self.graph, (0,) * self.graph.ndim
        need = {i: zero for i in range(-1, graph.top + 1)}
        for i in range(graph.top, -1, -1):
            here = need[i]
            if isinstance(graph.layers[i], (Activation, BatchNorm, LayerNorm)):
                here = tuple(map(max, here, self.plan.lags[i]))
            for j in graph.sources[i]:
                need[j] = tuple(map(max, need[j], _reach(graph.ops[i], here, back=True)))
        made = {-1: zero}
        for i in range(graph.top + 1):
            inputs = [made[j] for j in graph.sources[i]]
            made[i] = _reach(graph.ops[i], tuple(map(max, zip(*inputs))), back=False)
        return {i: tuple(map(min, need[i], made[i])) for i in made}

    def run(self, q: float, c: float) -> Gates:
        graph = self.graph
        space = tuple(n or 1 for n in graph.sizes[-1])
        white = np.full((1, *(1,) * graph.ndim, *space), float(q))
        done = {-1: Moments(white, np.array([float(c)]), (None,))}
        for i in range(graph.top + 1):
            if self.plan.edges[i] or i == graph.top:
                done[i] = self._node(i, [done[j] for j in graph.sources[i]])
        return self.gates

    # -- one node -----------------------------------------------------------------------------

    def _node(self, i: int, inputs: list[Moments]) -> Moments:
        graph, layer, op = self.graph, self.graph.layers[i], self.graph.ops[i]
        m = inputs[0]
        if isinstance(layer, Activation):
            return self._activation(i, activations.function(layer), m)
        if isinstance(layer, BatchNorm):
            return self._batch_norm(i, m) if layer.mode == "data" else m
        if isinstance(layer, LayerNorm):
            return self._layer_norm(i, m)
        if isinstance(layer, Add):
            return self._add(i, inputs)
        if isinstance(layer, Concat):
            same = [_with_lags(one, self.need[i], graph.sizes[i]) for one in inputs]
            return Moments(np.concatenate([one.values for one in same]), np.concatenate([one.far for one in same]),
                           tuple(law for one in same for law in one.laws))
        if isinstance(layer, Dropout):
            values = m.values.copy()
            values[(slice(None), *m.lags)] /= 1 - layer.p
            return Moments(values, m.far, m.laws)
        if isinstance(layer, GlobalAvgPool):
            count = math.prod(n or 1 for n in graph.sizes[graph.sources[i][0]])
            q = m.far + (m.average - m.far) / count
            return Moments(q.reshape(-1, *(1,) * (2 * graph.ndim)), m.far, (None,) * len(q))
        if op.kind == "route":
            return self._max_pool(i, m)
        if op.kind in ("random", "fixed"):
            return self._linear(i, m)
        raise NotImplementedError(f"moments behind weights that are equal or given for all channels: {SAMPLE}")

    def _linear(self, i: int, m: Moments) -> Moments:
        graph, op, lags = self.graph, self.graph.ops[i], self.need[i]
        sizes_in, sizes = graph.sizes[graph.sources[i][0]], graph.sizes[i]
        keeps = not op.random or op.groups == graph.channels[i] == graph.channels[graph.sources[i][0]]
        if not keeps and len(m.far) > 1:
            share = np.asarray(graph.shares(graph.sources[i][0]))
            m = Moments(np.tensordot(share, m.values, 1)[None], np.array([share @ m.far]), (None,))
        far = m.far * _far_factor(op, sizes_in, sizes)
        if not op.taps:
            return Moments(m.values * op.gain**2, far, tuple(
                None if law is None else m.law(g).scaled(op.gain) for g, law in enumerate(m.laws)))
        flipped = op._replace(taps=tuple(_flip(taps, sizes_in) for taps in op.taps), inside_only=False)
        if sizes[0] is None:
            values = _on_plane(op, m, lags)
        elif op.random:
            values = _random_forward(flipped, m, sizes, _reach(op, lags, back=True), lags)
        else:
            values = _fixed_forward(op, flipped, m, sizes_in, sizes, lags)
        law = (None,) * len(far) if op.random or not all(t.trivial for t in op.taps) else m.laws
        return Moments(values, far, law)

    def _activation(self, i: int, phi: Function, m: Moments) -> Moments:
        """phi of Gaussian sites, or of a residual sum, whose law is then carried on."""
        stream = self._stream(i, phi, m)
        if stream is not None:
            return stream
        shape = (len(m.far), *(2 * h + 1 for h in self.plan.lags[i]), *(1,) * m.ndim)
        q, rho = m.average, np.divide(m.far, m.average, out=np.zeros(len(m.far)), where=m.average > 0)
        far, gate0 = activations.cross(phi, q, rho), activations.gate(phi, q)
        far_gate = activations.gate_pair(phi, q, rho)
        kinds: list[LawLike] = [functools.partial(_activated, float(a), float(b), phi) for a, b in zip(q, m.far)]
        second = activations.second(phi, m.second)
        for g in (g for g, law in enumerate(m.laws) if law is not None):
            law = m.law(g).through(phi)
            kinds[g], far[g], gate0[g], far_gate[g] = law, law.far, law.mean_gate, law.far_gate
            second[g] = m.second[g] * (law.second / q[g])
        gate = np.broadcast_to(far_gate.reshape(-1, *(1,) * (2 * m.ndim)), shape).copy()
        gate[(slice(None), *self.plan.lags[i])] = gate0.reshape(-1, *(1,) * m.ndim)
        behind = Moments(second[(slice(None), *(None,) * m.ndim)], far, tuple(kinds))
        gaussian = np.array([law is None for law in m.laws])
        if gaussian.any() and (any(m.lags) or phi.below is None):
            gate, behind = self._site_by_site(i, phi, m, gate, behind, gaussian)
        self.gates.power[i] = gate
        return _with_lags(behind, self.need[i], self.graph.sizes[i])

    def _site_by_site(self, i: int, phi: Function, m: Moments, gate: Array, behind: Moments,
                      gaussian: Array) -> tuple[Array, Moments]:
        """Gates and moments of Gaussian groups where they vary over the map or with a carried lag."""
        gate = np.broadcast_to(gate, (*gate.shape[:1 + m.ndim], *m.second.shape[1:])).copy()
        values = _with_lags(behind, m.lags, self.graph.sizes[i]).values.copy()
        site = m.second[gaussian]
        for tau in np.ndindex(*values.shape[1:1 + m.ndim]):
            away = tuple(t - h for t, h in zip(tau, m.lags))
            place = tuple(a + h for a, h in zip(away, self.plan.lags[i]))
            gated = all(0 <= t <= 2 * h for t, h in zip(place, self.plan.lags[i]))
            if not any(away):
                gate[(gaussian, *place)] = activations.gate(phi, site)
                continue
            both = np.sqrt(site * _shifted(site, away))
            rho = np.divide(m.values[(gaussian, *tau)], both, out=np.zeros(both.shape), where=both > 0)
            values[(gaussian, *tau)] = activations.cross(phi, both, rho) * (both > 0)
            if gated:
                gate[(gaussian, *place)] = activations.gate_pair(phi, both, rho)
        return gate, Moments(values, behind.far, behind.laws)

    def _stream(self, i: int, phi: Function, m: Moments) -> Moments | None:
        """x = phi(x_before + f) where x_before is not Gaussian: its law, and the gate's memory."""
        graph = self.graph
        a = graph.sources[i][0]
        if a not in self.sums or len(m.far) > 1:
            return None
        before, old, (q, c) = self.sums[a]
        law, transition = laws.rectified_sum(old, q, c, phi)
        self.gates.streams[i] = Stream(before, transition, old.p.mean(axis=0), law.p.mean(axis=0))
        self.gates.power[i] = np.full((1,) * m.values.ndim, float(old.p.mean(axis=0) @ transition.sum(axis=1)))
        return Moments(m.values * (law.second / (old.second + q)), np.array([law.far]), (law,))

    def _batch_norm(self, i: int, m: Moments) -> Moments:
        """Less the mean of each channel, over the deviation, both taken over inputs and the map."""
        spread = m.average - m.far
        column = (-1, *(1,) * (m.values.ndim - 1))
        self.gates.power[i] = (1 / spread).reshape(column)
        root = np.sqrt(m.second / m.average.reshape(-1, *(1,) * m.ndim))
        values = m.values.copy()
        for tau in np.ndindex(*values.shape[1:1 + m.ndim]):
            other = _shifted(root, tuple(t - h for t, h in zip(tau, m.lags)))
            shared = m.far.reshape(-1, *(1,) * m.ndim) * root * other
            values[(slice(None), *tau)] -= shared
        return Moments(values / spread.reshape(column), np.zeros(len(m.far)),
                       tuple(None if law is None else m.law(g).standardised() for g, law in enumerate(m.laws)))

    def _layer_norm(self, i: int, m: Moments) -> Moments:
        """Each site by itself: less the mean over its channels, over their deviation."""
        share = np.asarray(self.graph.shares(i))
        means = [0.0 if law is None else float((law.p * law.x).sum(axis=1).mean())
                 for law in (None if known is None else m.law(g) for g, known in enumerate(m.laws))]
        mean = float(share @ means)
        spread = np.tensordot(share, m.second, 1)[None] - mean**2
        gate = np.empty((1, *m.values.shape[1:]))
        want = tuple(map(max, self.need[i], self.plan.lags[i]))
        gate = np.empty((1, *(2 * h + 1 for h in want), *spread.shape[1:]))
        for tau in np.ndindex(*gate.shape[1:1 + m.ndim]):
            other = _shifted(spread, tuple(t - h for t, h in zip(tau, want)))
            gate[(slice(None), *tau)] = np.divide(1, np.sqrt(spread * other), out=np.zeros(other.shape),
                                                  where=other > 0)
        self.gates.power[i] = np.repeat(gate, len(m.far), axis=0)
        inner = gate[(slice(None), *(slice(w - h, w + h + 1) for w, h in zip(want, m.lags)))]
        values = (m.values - mean**2) * inner if mean else m.values * inner
        return Moments(values, (m.far - mean**2) * float((1 / spread).mean()), (None,) * len(m.far))

    def _add(self, i: int, inputs: list[Moments]) -> Moments:
        graph, sources = self.graph, self.graph.sources[i]
        for k, j in enumerate(sources):
            if any(self._source_set(j) & self._source_set(other) for other in sources[:k]):
                raise NotImplementedError(f"a sum of values that hang on the same random layer, before a gate: {SAMPLE}")
        groups = graph.groups[i]
        parts = [_regrouped(_with_lags(one, self.need[i], graph.sizes[i]), graph.groups[j], groups)
                 for one, j in zip(inputs, sources)]
        total = Moments(sum(part.values for part in parts), sum(part.far for part in parts), (None,) * len(groups))
        odd = [k for k, part in enumerate(parts) if part.laws != (None,) * len(groups)]
        if len(odd) == 1 and len(groups) == 1:
            rest = [part for k, part in enumerate(parts) if k != odd[0]]
            if rest:
                q, c = (float(sum(part.average[0] for part in rest)), float(sum(part.far[0] for part in rest)))
                self.sums[i] = sources[odd[0]], parts[odd[0]].law(0), (q, c)
            else:
                return parts[0]
        return total

    def _source_set(self, i: int) -> frozenset[int]:
        """The random layers (and the input) on which the values of node `i` hang without another between."""
        stack, found = [i], set()
        seen = set()
        while stack:
            j = stack.pop()
            if j in seen:
                continue
            seen.add(j)
            if j < 0 or self.graph.ops[j].random:
                found.add(j)
            else:
                stack.extend(self.graph.sources[j])
        return frozenset(found)

    def _max_pool(self, i: int, m: Moments) -> Moments:
        """The largest of N equicorrelated sites; N counts those inside the map."""
        graph, op = self.graph, self.graph.ops[i]
        sizes_in, sizes = graph.sizes[graph.sources[i][0]], graph.sizes[i]
        full = math.prod(taps.geometry[0].kernel for taps in op.taps)
        inside = [np.full(1, float(taps.geometry[0].kernel)) if n is None
                  else _inside(taps.geometry[0], n, n_out) for taps, n, n_out in zip(op.taps, sizes_in, sizes)]
        count = np.asarray(math.prod(np.ix_(*inside)))  # type: ignore[arg-type]
        kinds, place, often = np.unique(count, return_inverse=True, return_counts=True)
        values, far, pooled_laws, ratios = [], [], [], []
        for g in range(len(m.far)):
            law = m.law(g)
            pooled = [law.largest_of(int(n)) for n in kinds]
            values.append(np.array([one.second for one in pooled])[place].reshape(count.shape))
            means = np.average([one.row_means for one in pooled], axis=0, weights=often)
            far.append(float((means**2).mean()))
            most = law.largest_of(full)
            pooled_laws.append(most)
            ratios.append(most.mean_gate / law.mean_gate if law.mean_gate else 1.0)
        self.gates.routes[i] = np.array(ratios)
        lag0 = np.stack(values)[(slice(None), *(None,) * m.ndim)]
        return _with_lags(Moments(lag0, np.array(far), tuple(pooled_laws)), self.need[i], sizes)


# ---------------------------------------------------------------------------------------------
# linear layers, forwards
# ---------------------------------------------------------------------------------------------

def _reach(op: Linear, lags: tuple[int, ...], back: bool) -> tuple[int, ...]:
    """Lags before a layer that reach those behind it (`back`), or behind that come from those before."""
    out = list(lags)
    for taps in op.taps:
        for axis, g in zip(taps.axes, taps.geometry):
            spread = g.extent - 1 if op.kind == "fixed" else 0
            grows = g.transposed != back  # the lattice behind is finer than the one before, or seen from it
            out[axis] = lags[axis] * g.stride + spread if grows else (lags[axis] + spread) // g.stride
    return tuple(out)


def _flip(taps: Taps, sizes: tuple[int | None, ...]) -> Taps:
    """Taps whose adjoint is the layer itself, forwards."""
    geometry = tuple(AxisGeometry(g.kernel, g.stride, g.dilation, g.pads(sizes[axis]), not g.transposed)
                     for axis, g in zip(taps.axes, taps.geometry))
    return taps._replace(geometry=geometry)


def _random_forward(op: Linear, m: Moments, sizes: tuple[int | None, ...], before: tuple[int, ...],
                    lags: tuple[int, ...]) -> Array:
    values, start = _with_lags(m, before, None).values, (0,) * m.ndim
    for axis, g in enumerate(g for taps in op.taps for g in taps.geometry):
        values = select_lags(values, 1 + axis, g, before[axis], lags[axis])
    for taps in op.taps:
        w = taps.weights
        if not taps.trivial:
            values, start = adjoint(values, start, taps, sizes, lambda tap, part: w[tap] * part, taps.flat)
            values, start = cut_pairs(values, start, sizes, taps.axes)
    return _placed(values, start, sizes) * (op.gain * math.prod(t.weights.item() for t in op.taps if t.trivial))


def _fixed_forward(op: Linear, flipped: Linear, m: Moments, sizes_in: tuple[int | None, ...],
                   sizes: tuple[int | None, ...], lags: tuple[int, ...]) -> Array:
    before = _with_lags(m, _reach(op, lags, back=True), sizes_in)
    values, start = fixed_pairs(before.values, (0,) * m.ndim, flipped, sizes, lags)
    values = _placed(values, start, sizes)
    if op.inside_only:
        for taps in op.taps:
            values = border_pairs(values, (0,) * m.ndim, taps, sizes_in)
    return values


def _on_plane(op: Linear, m: Moments, lags: tuple[int, ...]) -> Array:
    """Second moments far from all borders, averaged over the phases of upsampling."""
    if any(lags) or any(m.lags):
        raise NotImplementedError("correlated neighbours under a gate on the infinite plane; give image=")
    phases = math.prod(g.stride for taps in op.taps for g in taps.geometry if g.transposed)
    total = math.prod(float(taps.weights.sum()) for taps in op.taps)
    if op.random:
        return m.values * (op.gain * total / phases)
    squares = math.prod(float((taps.weights**2).sum()) for taps in op.taps)
    far = m.far.reshape(-1, *(1,) * (2 * m.ndim))
    return ((m.values - far) * squares / phases + far * (total / phases)**2) * op.gain**2


def _far_factor(op: Linear, sizes_in: tuple[int | None, ...], sizes: tuple[int | None, ...]) -> float:
    """What a layer makes of c: pairs of distant sites read through the same tap, or through any two."""
    factor = op.gain if op.random else op.gain**2
    for taps in op.taps:
        present = [np.full(g.kernel, 1 / g.stride if g.transposed else 1.0) if sizes_in[axis] is None
                   else _presence(g, sizes_in[axis], sizes[axis]) for axis, g in zip(taps.axes, taps.geometry)]
        inside = np.asarray(math.prod(np.ix_(*present)))  # type: ignore[arg-type]
        if op.random:
            factor *= float((taps.weights * inside**2).sum())
        elif not op.inside_only:
            factor *= float((taps.weights * inside).sum())**2
    return factor


def _presence(g: AxisGeometry, n: Any, n_out: Any) -> Array:
    """For each tap, the share of output sites for which it reads a site inside the map."""
    z, hit = reads(g, np.arange(n_out), n)
    return (hit & (z >= 0) & (z < n)).mean(axis=0)


def _inside(g: AxisGeometry, n: int, n_out: Any) -> Array:
    """For each output site, how many of its taps read a site inside the map."""
    z, hit = reads(g, np.arange(n_out), n)
    return (hit & (z >= 0) & (z < n)).sum(axis=1).astype(float)


def _placed(values: Array, start: tuple[int, ...], sizes: tuple[int | None, ...]) -> Array:
    """`values` on the whole map, zero where nothing was written."""
    ndim = len(start)
    if values.shape[-ndim:] == sizes and not any(start):
        return values
    whole = np.zeros((*values.shape[:-ndim], *(n or 1 for n in sizes)))
    whole[(..., *(slice(s, s + n) for s, n in zip(start, values.shape[-ndim:])))] = values
    return whole


def _with_lags(m: Moments, want: tuple[int, ...], sizes: Any) -> Moments:
    """The box of lags `want`: lags that were not carried are those of distant sites."""
    if want == m.lags:
        return m
    root = np.sqrt(m.second / np.where(m.average > 0, m.average, 1).reshape(-1, *(1,) * m.ndim))
    values = np.empty((len(m.values), *(2 * h + 1 for h in want), *m.second.shape[1:]))
    for tau in np.ndindex(*values.shape[1:1 + m.ndim]):
        away = tuple(t - h for t, h in zip(tau, want))
        held = tuple(a + h for a, h in zip(away, m.lags))
        if all(0 <= t <= 2 * h for t, h in zip(held, m.lags)):
            values[(slice(None), *tau)] = m.values[(slice(None), *held)]
        else:
            values[(slice(None), *tau)] = m.far.reshape(-1, *(1,) * m.ndim) * root * _shifted(root, away)
    return Moments(values, m.far, m.laws)


def _shifted(values: Array, by: tuple[int, ...]) -> Array:
    """values(x + by), zero where that is outside; maps of extent 1 stand for the plane."""
    out = values
    for axis, step in enumerate(by):
        n = values.shape[1 + axis]
        if step and n > 1:
            moved = np.zeros_like(out)
            lead = (slice(None),) * (1 + axis)
            if abs(step) < n:
                moved[lead + (slice(max(-step, 0), n - max(step, 0)),)] = out[
                    lead + (slice(max(step, 0), n - max(-step, 0)),)]
            out = moved
    return out


def _regrouped(m: Moments, have: tuple[int, ...], want: tuple[int, ...]) -> Moments:
    """Moments of the finer groups `want`."""
    if have == want:
        return m
    owner = np.searchsorted(np.cumsum(have), np.cumsum(want))
    return Moments(m.values[owner], m.far[owner], tuple(m.laws[k] for k in owner))

