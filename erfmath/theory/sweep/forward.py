"""The forward sweep: second moments of every node's values at initialisation.

Per node and channel group it carries M(x, tau) = E[v(x) v(x + tau)] (lag 0 is the second moment q, a
map where borders matter), the far covariance c = E[v v'] between distant sites or independent inputs
of one channel, its correlation rho at one place, and the one-site law where it is not Gaussian.
What the backward sweep needs of all this are the gates: E[phi'^2], 1/variance, and so on
(docs/theory.md, equations 29 to 48).
"""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...layers import Activation, Add, BatchNorm, Concat, Dropout, GlobalAvgPool, LayerNorm
from ..rules import functions as activations
from ..rules.functions import Function
from ..rules.neighbours import Line, through_activation, through_pool, through_taps, within_windows
from ..rules.pooling import Route, max_pool
from . import site_distribution as laws
from .inputs import InputModel
from .lowering import Linear, reach
from .moments import Activated, LawLike, Moments, at, concatenate, far_factor, linear, overlap, ratio, shared_behind
from .plan import SAMPLE, Graph, Plan, widest
from .site_distribution import Law
from .taps import Array

__all__ = ["Gates", "Stream", "forward"]


@dataclass(frozen=True)
class Stream:
    """A gate behind the sum of a residual stream, x = phi(x_before + f).

    Attributes
    ----------
    transition : ndarray, shape (values before, values behind)
        phi'^2 times the probability to get from one value to another.
    p_before, p_behind : ndarray
        Probabilities of the values.
    """

    transition: Array
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
        Per max pool, who wins, and how much wider than others the gate before stands open for winners.
    streams : dict
        Per activation behind a residual sum, how its gate hangs on those before.
    """

    power: dict[int, Array] = field(default_factory=dict)
    routes: dict[int, Route] = field(default_factory=dict)
    streams: dict[int, Stream] = field(default_factory=dict)


def forward(graph: Graph, plan: Plan, inputs: InputModel) -> Gates:
    """The gates of all nodes for the given kind of inputs."""
    sweep = _Forward(graph, plan, inputs)
    phases = any(taps.geometry[0].transposed for op in graph.ops for taps in op.taps)
    if graph.sizes[-1][0] is not None and sweep.neighbours and not phases:
        # Away from borders neighbours are correlated alike everywhere: once at a point will do.
        plane = _Forward(replace(graph, sizes=((None,) * graph.ndim,) * len(graph.sizes)), plan, inputs)
        plane.run()
        sweep.plane, sweep.need = plane.done, {i: (0,) * graph.ndim for i in sweep.need}
    return sweep.run()


class _Forward:
    def __init__(self, graph: Graph, plan: Plan, inputs: InputModel) -> None:
        self.graph, self.plan, self.inputs = graph, plan, inputs
        self.gates = Gates()
        self.plane: dict[int, Moments] = {}
        self.done: dict[int, Moments] = {}
        self.hangs: dict[int, frozenset[int]] = {-1: frozenset((-1,))}
        # Per residual sum: its one input that is not Gaussian, and q, c at one place of the rest.
        self.sums: dict[int, tuple[int, Law, float, float]] = {}
        self.need = self._lags()
        self.neighbours = any(map(any, self.need.values()))
        self.extent = self._extents()
        self.toward_pools = self._toward_pools()
        self.lines: dict[int, tuple[Line, ...]] = {}

    def _lags(self) -> dict[int, tuple[int, ...]]:
        """Lags to carry: needed by what lies above, and possibly different from c."""
        graph, zero = self.graph, (0,) * self.graph.ndim
        need = {i: zero for i in range(-1, graph.top + 1)}
        for i in range(graph.top, -1, -1):
            here = widest([need[i], self.plan.lags[i]]) if graph.ops[i].kind == "gate" else need[i]
            before = reach(graph.ops[i], here, back=True)
            for j in graph.sources[i]:
                need[j] = before if need[j] == zero else widest([need[j], before])
        made = {-1: self.inputs.reach(graph.ndim)}
        for i in range(graph.top + 1):
            made[i] = reach(graph.ops[i], widest([made[j] for j in graph.sources[i]]), back=False)
        return {i: zero if zero in (need[i], made[i]) else tuple(map(min, need[i], made[i])) for i in made}

    def _extents(self) -> dict[int, tuple[int, ...]]:
        """Extent of every map: that of the image; on the plane a torus where lags matter, else a point."""
        graph = self.graph
        if graph.sizes[-1][0] is not None:
            return {i: tuple(n or 1 for n in graph.sizes[i]) for i in self.need}
        if not self.neighbours or not any(taps.geometry[0].transposed for op in graph.ops for taps in op.taps):
            return {i: (1,) * graph.ndim for i in self.need}
        strides: dict[int, tuple[Fraction, ...]] = {-1: (Fraction(1),) * graph.ndim}
        for i in range(graph.top + 1):
            per_axis = list(strides[graph.sources[i][0]])
            for taps in graph.ops[i].taps:
                for axis, g in zip(taps.axes, taps.geometry):
                    per_axis[axis] *= Fraction(1, g.stride) if g.transposed else g.stride
            strides[i] = tuple(per_axis)
        # Every map gets whole periods, and is wide enough that its lags do not meet around the torus.
        whole = [math.lcm(*(s[axis].numerator for s in strides.values())) for axis in range(graph.ndim)]
        times = [max(math.ceil((2 * self.need[i][axis] + 3) * s[axis] / whole[axis]) for i, s in strides.items())
                 for axis in range(graph.ndim)]
        return {i: tuple(int(w * t / step) for w, t, step in zip(whole, times, s)) for i, s in strides.items()}

    def run(self) -> Gates:
        graph = self.graph
        wraps = graph.sizes[-1][0] is None
        values = self.inputs.values(self.need[-1], self.extent[-1], wraps)
        far, rho = np.array([self.inputs.far]), np.array([self.inputs.far / self.inputs.second])
        self.done[-1] = Moments(values, far, rho, (None,), wraps, self.plane.get(-1))
        for i in range(graph.top + 1):
            if self.plan.edges[i] or i == graph.top:
                here = self._node(i, [self.done[j] for j in graph.sources[i]])
                if i in self.toward_pools:
                    self.lines[i] = self._sharing(i, self.done[graph.sources[i][0]])
                self.done[i] = here.beside(self.plane[i]) if self.plane else here
                if not wraps:  # what lies on the plane is small, and read once more by the sweep over the image
                    for j in set(graph.sources[i]):
                        if self.plan.edges[j][0].reader == i:  # the last one
                            del self.done[j]
                self.hangs[i] = frozenset((i,)) if graph.ops[i].random else functools.reduce(
                    operator.or_, [self.hangs[j] for j in graph.sources[i]])
        return self.gates

    # -- neighbours near borders ----------------------------------------------------------------

    def _toward_pools(self) -> set[int]:
        """Nodes of an image from which chains of convolutions, activations and pools lead on to a max pool."""
        found: set[int] = set()
        if self.graph.sizes[-1][0] is not None:
            for i in range(self.graph.top, -1, -1):
                j, op = self.graph.sources[i][0], self.graph.ops[i]
                if op.kind == "route" or (i in found and _passes_sharing(self.graph.layers[i], op)):
                    found.add(j)
        return found

    def _sharing(self, i: int, m: Moments) -> tuple[Line, ...]:
        """How much of the correlation of distant sites neighbours have, along each axis."""
        graph, op, layer, j = self.graph, self.graph.ops[i], self.graph.layers[i], self.graph.sources[i][0]
        none: tuple[Line, ...] = (None,) * graph.ndim
        lines, sizes, behind = self.lines.get(j, none), self.extent[j], self.extent[i]
        if not _passes_sharing(layer, op) or not m.rho.any() or len(m.rho) > 1:
            return none
        if isinstance(layer, Activation) and m.laws[0] is not None:
            return lines
        levels = [np.add.reduce(m.second, axis=tuple(a for a in range(1 + m.ndim) if a != 1 + axis))
                  for axis in range(m.ndim)] if op.random else []
        found: list[Line] = []
        for axis, (line, n, n_out) in enumerate(zip(lines, sizes, behind)):
            alike = line is lines[0] and op.like_axes and n == sizes[0]
            if axis and alike and (not levels or np.allclose(levels[axis], levels[0], rtol=1e-12, atol=0)):
                found.append(found[0])  # rows and columns alike
            elif isinstance(layer, Activation):
                phi, q, rho = activations.function(layer), m.average, m.rho
                found.append(through_activation(line, lambda r: activations.cross(phi, q, rho * r)))
            elif op.kind == "route":
                found.append(through_pool(line, op.taps[axis].geometry[0], n, n_out))
            else:
                found.append(through_taps(line, levels[axis], op.taps[axis], n_out))
        return tuple(found)

    # -- one node -----------------------------------------------------------------------------

    def _node(self, i: int, inputs: list[Moments]) -> Moments:
        layer, op = self.graph.layers[i], self.graph.ops[i]
        m, want = inputs[0], self.need[i]
        if isinstance(layer, Activation) and op.kind == "gate":
            return self._activation(i, activations.function(layer), m)
        if isinstance(layer, BatchNorm) and op.kind == "gate":
            return self._batch_norm(i, m)
        if isinstance(layer, LayerNorm):
            return self._layer_norm(i, m)
        if isinstance(layer, Add):
            return self._add(i, inputs)
        if isinstance(layer, Concat):
            return concatenate([one.with_lags(want) for one in inputs])
        if isinstance(layer, Dropout):
            values = m.values.copy()
            values[at(m.lags)] /= 1 - layer.p
            return replace(m, values=values, rho=m.rho * (1 - layer.p))
        if isinstance(layer, GlobalAvgPool):
            q = m.far + (m.average - m.same) / m.second[0].size
            return Moments(m.per_pair(q), m.far, ratio(m.far, q), (None,) * len(q), m.wraps)
        if op.kind == "route":
            j = self.graph.sources[i][0]
            alike = within_windows(self.lines.get(j, ()), [taps.geometry[0] for taps in op.taps], self.extent[j],
                                   self.extent[i])
            pooled, self.gates.routes[i] = max_pool(op, m, self.graph.shares(j), self.graph.sizes[j],
                                                    self.graph.sizes[i], self.extent[i], want, alike)
            return pooled
        if op.kind in ("constant", "full"):
            raise NotImplementedError("a gate in a network with weights that are equal or given for all "
                                      f"channels: {SAMPLE}")
        return self._linear(i, m)

    def _linear(self, i: int, m: Moments) -> Moments:
        graph, op, j = self.graph, self.graph.ops[i], self.graph.sources[i][0]
        if op.random and len(graph.groups[i]) < len(m.far):
            m = m.mixed(graph.shares(j))
        if op.random and i not in graph.biases and all(taps.trivial for taps in op.taps):
            gain = op.gain * math.prod(taps.weights.item() for taps in op.taps)
            return m.with_lags(self.need[i]).multiple(gain, m.far * gain, m.rho, (None,) * len(m.far))
        far = m.far * far_factor(op, m, graph.sizes[j], graph.sizes[i]) if m.far.any() else m.far
        if not op.taps:
            scaled = tuple(None if law is None else m.law(g).scaled(op.gain) for g, law in enumerate(m.laws))
            return replace(m, values=m.values * op.gain**2, far=far, laws=scaled)
        values = linear(op, m, graph.sizes[j], self.extent[i], self.need[i])
        rho = shared_behind(op, m, values, graph.sizes[j])
        behind = Moments(values, far, rho, (None,) * len(far), m.wraps)
        if i not in graph.biases:
            return behind
        bias = graph.biases[i]
        return replace(behind, values=values + bias, far=far + bias,
                       rho=ratio(behind.same + bias, behind.average + bias))

    # -- activations --------------------------------------------------------------------------

    def _activation(self, i: int, phi: Function, m: Moments) -> Moments:
        """phi of Gaussian sites, or of sites whose law is known; their laws are carried on."""
        a = self.graph.sources[i][0]
        if a in self.sums:
            return self._stream(i, phi, m, *self.sums[a])
        q, lags, rectifies = m.average, self.plan.lags[i], phi.below is not None
        # Both c and what a rectifier makes of it fall towards borders as the deviation does.
        level = m.level if rectifies else np.ones(len(q))
        if any(m.far.tolist()) or any(m.rho.tolist()):
            apart, near = activations.cross(phi, q, np.array([ratio(m.far, q * level), m.rho]))
        else:  # behind batch norms nothing is shared
            apart = near = activations.cross(phi, q, m.rho)
        mean, gate0 = activations.second(phi, q), activations.gate(phi, q)
        far, rho, pair_gate = apart * level, ratio(near, mean), np.zeros(len(q))
        kinds: list[LawLike] = [Activated(a, b, phi) for a, b in zip(q.tolist(), m.same.tolist())]
        odd = [g for g, law in enumerate(m.laws) if law is not None]
        for g in odd:
            before = m.law(g)
            law = before.through(phi)
            kinds[g], gate0[g], pair_gate[g] = law, law.mean_gate, law.pair_gate
            rho[g] = law.same / law.second if law.second else 0.0
            far[g] = laws.distant(before.row_means, law.row_means, law.share, m.far[g] / level[g]) * level[g]
            mean[g] = law.second
        gate = m.per_pair(gate0)
        if any(lags):
            near = activations.gate_pair(phi, m.per_site(q), m.correlations(lags))
            near[odd] = m.per_site(pair_gate)[odd]
            near[at(lags)] = gate0
            gate = near[(..., *(None,) * m.ndim)]
        if rectifies:
            behind = m.with_lags((0,) * m.ndim).multiple(ratio(mean, q), far, rho, tuple(kinds))
        else:
            second = activations.second(phi, m.second)
            second[odd] = m.second[odd] * m.per_site(ratio(mean, q))[odd]
            behind = Moments(second[(slice(None), *(None,) * m.ndim)], far, rho, tuple(kinds), m.wraps)
        if len(odd) < len(q) and (any(m.lags) or not rectifies):
            gate, behind = _site_by_site(phi, m, lags, gate, behind, np.array([law is None for law in m.laws]))
        self.gates.power[i] = gate
        return behind.with_lags(self.need[i])

    def _stream(self, i: int, phi: Function, m: Moments, before: int, old: Law, q: float, c: float) -> Moments:
        """x = phi(x_before + f) where x_before is not Gaussian: its law, and the gate's memory."""
        total, law, transition = laws.gated_sum(old, laws.rounded(q), laws.rounded(c), phi)
        self.gates.streams[i] = Stream(transition, old.marginal, law.marginal)
        layer = self.graph.layers[before]
        if before not in self.gates.streams and isinstance(layer, Activation) and not any(self.plan.lags[before]):
            # Where the stream begins, the first gate: what passed the later ones passes it more often.
            opened = old.share @ (old.p * old.slope**2)
            self.gates.streams[before] = Stream(opened[None], np.ones(1), old.marginal)
        far = laws.distant(total.row_means, law.row_means, law.share, float(m.far[0] / m.level[0])) * m.level
        rho = ratio(law.same, law.second)[None]
        behind = m.with_lags((0,) * m.ndim).multiple(law.second / (old.second + q), far, rho, (law,))
        return behind.with_lags(self.need[i])

    # -- normalisations -----------------------------------------------------------------------

    def _batch_norm(self, i: int, m: Moments) -> Moments:
        """Less the mean of each channel, over its deviation, both taken over inputs and the map."""
        spread, parts = m.average - m.far, list(zip(m.average.tolist(), m.far.tolist()))
        if any(q - c <= 1e-9 * q for q, c in parts):
            raise ValueError("batch norm of values that do not vary between inputs or sites: the variance is zero; "
                             "give input_moments with E[x x'] below E[x^2]")
        self.gates.power[i] = m.per_pair(1 / spread)
        # E[v(x) mean] follows the q map, p = q / average q: less of the mean is in what stands near a border.
        if any(m.lags):
            p = m.second / m.per_site(m.average)
            shared = m.products(p, m.lags) - m.products(p - 1, m.lags)  # p + p' - 1, in pairs
            values = (m.values - m.per_pair(m.far) * shared) / m.per_pair(spread)
        else:
            values = m.values * m.per_pair((1 - 2 * m.far / m.average) / spread)
            values += m.per_pair(m.far / spread)
        steep = any(2 * c > q for q, c in parts)
        if steep:  # c is an average: its fall is not exact
            values[at(m.lags)] = np.maximum(values[at(m.lags)], 0.0)
        kinds = tuple(None if law is None else m.law(g).standardised() for g, law in enumerate(m.laws))
        if i in self.graph.norms:
            norm = self.graph.norms[i]
            self.gates.power[i] = np.full(m.per_pair(spread).shape, norm.gain)
            far = np.full(len(spread), norm.shift)
            values = values * norm.scale + norm.shift
            return Moments(values, far, far / (norm.scale + norm.shift), (None,) * len(spread), m.wraps)
        behind = Moments(values, np.zeros(len(spread)), np.zeros(len(spread)), kinds, m.wraps)
        if not steep:  # nothing was cut off
            vars(behind)["average"] = np.ones(len(spread))
        return behind

    def _layer_norm(self, i: int, m: Moments) -> Moments:
        """Each site by itself: less the mean over its channels, over their deviation."""
        share, lags = np.asarray(self.graph.shares(i)), self.plan.lags[i]
        mean = float(share @ [0.0 if law is None else m.law(g).mean for g, law in enumerate(m.laws)])
        spread = np.tensordot(share, m.second, 1)[None] - mean**2
        root = np.divide(1, np.sqrt(spread), out=np.zeros(spread.shape), where=spread > 0)
        self.gates.power[i] = np.repeat(m.products(root, lags), len(m.far), axis=0)
        values = (m.values - mean**2) * m.products(root, m.lags)
        apart = ratio(m.far, m.level * m.average)  # over sqrt(q q')
        far = apart * m.mean(root * m.deviation)**2 - (mean * root.mean())**2
        rho = ratio(m.same - mean**2, m.average - mean**2)
        return Moments(values, far, rho, (None,) * len(m.far), m.wraps)

    # -- joints and pools ---------------------------------------------------------------------

    def _add(self, i: int, inputs: list[Moments]) -> Moments:
        graph, sources = self.graph, self.graph.sources[i]
        if not all(self.hangs[j].isdisjoint(self.hangs[k]) for n, j in enumerate(sources) for k in sources[:n]):
            raise NotImplementedError("before a gate, a sum of values that hang on the same random layer (or the "
                                      f"input) with none between: {SAMPLE}")
        parts = [one.with_lags(self.need[i]).regrouped(graph.groups[j], graph.groups[i])
                 for one, j in zip(inputs, sources)]
        gaussian = (None,) * len(graph.groups[i])
        values, far, same, q = (functools.reduce(np.add, [getattr(part, what) for part in parts])
                                for what in ("values", "far", "same", "average"))
        total = Moments(values, far, ratio(same, q), gaussian, parts[0].wraps)
        vars(total)["average"] = q
        odd = [(j, part) for j, part in zip(sources, parts) if part.laws != gaussian]
        if len(odd) == len(gaussian) == 1 and len(parts) > 1:
            (before, stream), = odd
            q, c = (float(sum(getattr(part, what)[0] for part in parts if part is not stream))
                    for what in ("average", "same"))
            self.sums[i] = before, stream.law(0), q, c
        return total


def _site_by_site(phi: Function, m: Moments, lags: tuple[int, ...], gate: Array, behind: Moments,
                  gaussian: Array) -> tuple[Array, Moments]:
    """Gates and moments of Gaussian groups where they vary over the map or with a carried lag."""
    chosen: Any = slice(None) if gaussian.all() else gaussian  # a view where it can be
    site = m.second[chosen]
    both = np.sqrt(m.products(site, m.lags))
    rho = ratio(m.values[chosen], both)
    near = activations.cross(phi, both, rho) * (both > 0)
    values = near if gaussian.all() else behind.with_lags(m.lags).values.copy()
    values[chosen] = near
    values[at(m.lags)] = behind.second
    open_pair = activations.gate_pair(phi, both, rho) if any(lags) else np.zeros(both.shape)
    open_pair[at(m.lags)] = activations.gate(phi, site)
    gate = np.broadcast_to(gate, (*gate.shape[:1 + m.ndim], *m.second.shape[1:])).copy()
    held, there = overlap(m.lags, lags)
    inner: Any = (chosen, *there[1:])
    gate[inner] = open_pair[held]
    return gate, replace(behind, values=values)


def _passes_sharing(layer: Any, op: Linear) -> bool:
    """Whether what neighbours share near borders can be followed through a layer."""
    if op.random:
        return len(op.taps) == len(layer.geometry(len(op.taps))) and not any(
            g.transposed for taps in op.taps for g in taps.geometry)
    return op.kind == "route" or isinstance(layer, Activation)
