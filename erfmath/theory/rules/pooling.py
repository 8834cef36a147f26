"""Pools: averages and blurs as fixed filters, and the largest of a window (equations 22, 42 to 44 and 61)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...layers import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, BlurPool, GlobalAvgPool, Layer, MaxPool
from ...layers.geometry import AxisGeometry, window_of_windows
from ...results.assumptions import Assumption
from ..memory import remembered, replace
from ..sweep.covariance import Covariance
from ..sweep.factor import Factor
from ..sweep.lowering import Linear, box, by_place, separable
from ..sweep.linear_layers import filtered_values, linear, read_sites, shared_after
from ..sweep.moments import Moments, at as lag_zero, inside, ratio
from ..sweep.rows import Rows
from ..sweep.site_distribution import OVERLAPS, SiteDistribution, distant
from ..sweep.sources import Largest
from ..sweep.taps import Array, Taps, border_gain
from ..sweep.values import Gaussian, SiteValue, Value
from . import functions, images
from .base import Rule, filtered, filtered_level, rule_for
from .context import Above, Before, Below
from .alignment import Even
from .images import Images
from .neighbours import Passage, through_pool
from .order import rises

__all__ = ["AvgPoolRule", "BlurPoolRule", "GlobalAvgPoolRule", "MaxPoolRule", "Route", "max_pool", "winning"]

Sizes = tuple[int | None, ...]
#: Sites that differ by less of their variance are one.
ALIKE = 1e-9
#: Windows of more sites an axis hold mostly distant ones.
NEAR = 4
#: Over so many lags sums are left out (photographs).
MANY_LAGS = 400
#: Correlations at which the distribution of the largest is made, where those of windows differ.
NODES = 4


class Route(NamedTuple):
    """How a max pool passes gradients on.

    Attributes
    ----------
    ops : tuple of Linear
        The pool, its taps the probabilities to win along each axis: one for all channel groups, or one for each.
    bias : ndarray, shape (groups,) or (groups, *lattice)
        How much more often than in most windows the activation before it is open for winners.
    """

    ops: tuple[Linear, ...]
    bias: Array


@rule_for(AvgPool)
class AvgPoolRule(Rule):
    """Equal weights; of windows that reach beyond the padding, on the sites before its end."""

    fields = frozenset({"kernel_size", "stride", "padding", "count_include_pad", "ceil_mode"})

    def commutes(self, layer: AvgPool, ndim: int, phi: functions.Function) -> bool:  # type: ignore[override]
        return all(g.kernel == 1 and g.padding == (0, 0) for g in layer.geometry(ndim))

    def stacked(self, layer: Layer, op: Linear, before: Layer, lower: Linear, sizes: Sizes, between: Sizes
                ) -> Linear | None:
        """Over copies of sites: the mean of these."""
        return _of_originals(op, lower, between) if _copies(lower) and op.taps else None

    def lower(self, layer: AvgPool, sizes: Sizes, c_in: int, c_out: int) -> Linear:  # type: ignore[override]
        geometry = layer.geometry(len(sizes))
        if layer.ceil_mode and not layer.counts_inside_only and None not in sizes:
            if any(g.pads(n) != g._replace(ceil_mode=False).pads(n) for g, n in zip(geometry, sizes)):
                return Linear(by_place([_windows(g, n) for g, n in zip(geometry, sizes) if n is not None]))
        return Linear(box(geometry), inside_only=layer.counts_inside_only)

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        return super().forward(at, _averaged(at, inputs))


def _averaged(at: Before, inputs: list[Moments]) -> list[Moments]:
    """Moments before an average over many sites, most of which are distant ones."""
    m, = inputs
    if max((len(taps.weights) for taps in at.op.taps), default=1) <= NEAR:
        return inputs
    return [replace(m, corr_site=np.minimum(ratio(m.cov_far, m.average * m.level), m.corr_site))]


def _copies(op: Linear) -> bool:
    """Whether a layer copies each site as often as it has taps."""
    return bool(op.taps) and op.gain == 1 and not (op.fresh or op.inside_only) and all(
        isinstance(taps, Taps) and len(taps.axes) == 1 and (taps.weights == 1).all()
        and taps.geometry[0]._replace(kernel=1, stride=1, transposed=False) == AxisGeometry()
        and taps.geometry[0].transposed and taps.geometry[0].kernel == taps.geometry[0].stride
        for taps in op.taps)


def _of_originals(op: Linear, copies: Linear, sizes: Sizes) -> Linear | None:
    """A pool of copies as one of what was copied, None where its windows hold parts of the copies of a site."""
    geometry = []
    for taps, below, n in zip(op.taps, copies.taps, sizes):
        g, s = taps.geometry[0], below.geometry[0].stride
        pads = g.pads(n)
        if g.dilation > 1 or g.ceil_mode or g.stride % s or any(pad % s for pad in pads) or (
                g.kernel % s and not op.routes):
            return None
        geometry.append(AxisGeometry(-(-g.kernel // s), g.stride // s, padding=(pads[0] // s, pads[1] // s)))
    routes = op.routes and any(g.kernel > 1 for g in geometry)
    return op._replace(taps=box(tuple(geometry)), routes=routes, inside_only=routes if op.routes else op.inside_only)


@rule_for(BlurPool)
class BlurPoolRule(Rule):
    """Binomial weights."""

    fields = frozenset({"kernel_size", "stride", "padding"})

    def commutes(self, layer: BlurPool, ndim: int, phi: functions.Function) -> bool:  # type: ignore[override]
        return all(g.kernel == 1 and g.padding == (0, 0) for g in layer.geometry(ndim))

    def lower(self, layer: BlurPool, sizes: Sizes, c_in: int, c_out: int) -> Linear:  # type: ignore[override]
        geometry = layer.geometry(len(sizes))
        return Linear(separable(geometry, [layer.axis_weights(g.kernel) for g in geometry]))


def _windows(g: AxisGeometry, n: int) -> Array:
    """Weights of the windows of an average pool, over the sites of map and padding that they hold."""
    end = n + g._replace(ceil_mode=False).pads(n)[1]
    first = g.stride * np.arange(g.out(n))[:, None] - g.pads(n)[0]
    z = np.arange(n)
    return ((z >= first) & (z < first + g.kernel)) / (np.minimum(first + g.kernel, end) - first)


def _bins(layer: Layer, sizes: Sizes) -> tuple[AxisGeometry, ...] | None:
    """Bins of equal sizes as windows, None where sizes differ."""
    if None in sizes:
        raise ValueError(f"{layer.op} needs the size of the image; give image=")
    geometry = layer.geometry(len(sizes))
    bins = [g.out(n) for g, n in zip(geometry, sizes) if n is not None]
    if any(n is None or n % m for n, m in zip(sizes, bins)):
        return None
    return tuple(AxisGeometry(n // m, n // m) for n, m in zip(sizes, bins) if n is not None)


def _unequal(layer: Layer, sizes: Sizes) -> list[Array]:
    """Per axis, for each bin the weights of its sites, of sum 1."""
    found = []
    for g, n in zip(layer.geometry(len(sizes)), sizes):
        assert n is not None
        m, z = g.out(n), np.arange(n)
        x = np.arange(m)[:, None]
        hit = (z >= x * n // m) & (z < -(-(x + 1) * n // m))
        found.append(hit / hit.sum(axis=1, keepdims=True))
    return found


@rule_for(AdaptiveAvgPool)
class AdaptiveAvgPoolRule(Rule):
    """Windows of one size where bins are equal, else weights by the place; one bin is the global pool."""

    fields = frozenset({"size"})

    def lower(self, layer: Layer, sizes: Sizes, c_in: int, c_out: int) -> Linear:
        equal = _bins(layer, sizes)
        if equal is not None:
            return Linear(box(equal))
        return Linear(by_place(_unequal(layer, sizes)))

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        return super().forward(at, _averaged(at, inputs))


@rule_for(GlobalAvgPool)
class GlobalAvgPoolRule(Rule):
    """Equal weights on the whole map, whose sites are mostly distant ones."""

    def lower(self, layer: Layer, sizes: Sizes, c_in: int, c_out: int) -> Linear:
        if None in sizes:
            raise ValueError("global average pooling needs the size of the image; give image=")
        return Linear(box(tuple(AxisGeometry(n, n) for n in sizes)))  # type: ignore[arg-type]

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        m = inputs[0]
        # Neighbours that a norm has made unlike beyond the lags that are carried may leave less than nothing.
        q = np.maximum(m.cov_far + (m.average - m.cov_far / m.level + _of_neighbours(m)) / m.second[0].size, 0.0)
        sites: tuple[SiteValue, ...] = (None,) * len(q)
        if at.met and any(site is not None for site in m.sites):
            shared = _averaged(at, inputs)[0].corr_site * m.average
            sites = tuple(None if site is None else filtered(at.op, m.value(g), float(q[g]), float(shared[g]))
                          for g, site in enumerate(m.sites))
        return Moments(m.per_pair(q), m.cov_far, ratio(m.cov_far, q), sites, m.wraps)


def _of_neighbours(m: Moments) -> Array:
    """Per group, what a site shares with its neighbours beyond what distant sites share, summed over these."""
    lags = m.lags if any(m.lags) or m.plane is None else m.plane.lags
    if not any(lags) or math.prod(2 * h + 1 for h in lags) > MANY_LAGS:
        return np.zeros(len(m.cov_far))
    pairs = m.with_lags(lags).values - m.per_pair(m.cov_far / m.level) * m.products(m.level_map, lags)
    pairs[lag_zero(lags)] = 0.0
    return np.asarray(pairs.reshape(len(pairs), -1).sum(axis=1) / m.second[0].size)


@rule_for(MaxPool)
class MaxPoolRule(Rule):
    """Each window hands its gradient to one of its sites, by the probability to win."""

    fields = frozenset({"kernel_size", "stride", "padding", "dilation", "ceil_mode"})

    def lower(self, layer: Layer, sizes: Sizes, c_in: int, c_out: int) -> Linear:
        geometry = layer.geometry(len(sizes))
        routes = any(g.kernel > 1 for g in geometry)  # else it only leaves sites out
        return Linear(box(geometry), inside_only=routes, routes=routes)

    def commutes(self, layer: Layer, ndim: int, phi: functions.Function) -> bool:
        return rises(phi) or layer.single_tap(ndim)

    def stacked(self, layer: Layer, op: Linear, before: Layer, lower: Linear, sizes: Sizes, between: Sizes
                ) -> Linear | None:
        """The largest of the largest, unless the pool before leaves sites out; of copies one will do."""
        if op.by_rows or lower.by_rows:
            return None
        if _copies(lower) and op.taps:
            return _of_originals(op, lower, between)
        if not (op.routes and lower.routes):
            return None
        geometry = [window_of_windows(a.geometry[0], b.geometry[0], n, m)
                    for a, b, n, m in zip(lower.taps, op.taps, sizes, between)]
        return None if None in geometry else op._replace(taps=box(tuple(g for g in geometry if g)))

    def keeps_factor(self, op: Linear, mean: bool) -> bool:
        return not op.routes

    def lags_below(self, op: Linear, lags: tuple[int, ...]) -> tuple[int, ...]:
        """The gradient of one window ends in one place."""
        return super().lags_below(op, lags) if any(lags) or not op.routes else lags

    def walk_gain(self, op: Linear, mean: bool) -> float | None:
        if not op.routes:
            return super().walk_gain(op, mean)
        return super().walk_gain(op._replace(variances=True), mean) if not mean else None

    def assumptions(self, op: Linear) -> tuple[Assumption, ...]:
        return (Assumption.MAX_POOL_ROUTING, Assumption.EQUICORRELATED_POOLS) if op.routes else ()

    def passage(self, layer: Layer, op: Linear, ndim: int) -> Passage | None:
        return None if not op.routes or op.by_rows else Passage(lambda axis, line, m, level, n_out: through_pool(
            line, op.taps[axis].geometry[0], m.second.shape[1 + axis], n_out))

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        graph, i, j = at.graph, at.i, at.source
        if not at.op.routes:
            return super().forward(at, inputs)
        at.refuse_joint(inputs[0])
        pooled, at.gates.routes[i] = max_pool(at.op, inputs[0], graph.sizes[j], graph.sizes[i], at.extents[i], at.want,
                                              at.borders.within(i))
        return pooled

    def images(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Images | None:
        known = at.gates.images.get(at.source)
        if known is None or not at.op.routes:
            return super().images(at, inputs, after)
        return images.through_pool(at.op, known, inputs[0], after)

    def even(self, at: Before, inputs: Sequence[Moments]) -> list[Even]:
        found, known = super().even(at, inputs), at.gates.even.get(at.source)
        if not at.op.routes or known is None or None in at.graph.sizes[at.i]:
            return found
        near, gathers = _near(at.op, inputs[0], at.graph.sizes[at.source], at.extents[at.i]), self.gathers(at)
        return [Even(max(gathers - _won(at) * _of_winners(at, inputs[0], g, one, near[g]), 0.0)) if one.norm else below
                for g, (one, below) in enumerate(zip(known, found))]

    def evenly(self, at: Before, left: float) -> float:
        """Where no norm comes right after it, further down, which sites win is random."""
        return self.gathers(at) - (1 - left) * _won(at) if at.op.routes else super().evenly(at, left)

    def gathers(self, at: Before) -> float:
        """Windows that overlap have winners in common, which gather."""
        axes, sizes = [], at.graph.sizes
        for taps, n, m in zip(at.op.taps, sizes[at.source], sizes[at.i]):
            sites, there = read_sites(taps.geometry[0], n or 1, m or 1)
            held = np.zeros((m or 1, n or 1))
            np.add.at(held, (np.arange(len(held))[:, None], sites), there)
            both, count = held @ held.T, held.sum(axis=1)
            axes.append([(both.diagonal(lag), count[max(-lag, 0):len(count) - max(lag, 0)],
                          count[max(lag, 0):len(count) - max(-lag, 0)])
                         for lag in range(1 - len(both), len(both)) if both.diagonal(lag).any()])
        shared = 0.0
        for lags in itertools.product(*axes):
            met, one, other = (np.asarray(math.prod(np.ix_(*parts))) for parts in zip(*lags))
            shared += float((met / (one + other - met)).sum())
        return shared / math.prod(m or 1 for m in sizes[at.i])

    def backward(self, at: Below, state: Covariance) -> Covariance:
        if not at.op.routes:
            return super().backward(at, state)
        ops, bias = at.gates.routes.get(at.i, ((at.op,), None))
        return state.through_route(ops, at.sizes, at.lags, at.channels[1], bias)

    def mean_factor(self, at: Below, factor: Factor) -> Factor:
        """Every site of a window has the same part in it."""
        return factor.through(at.op._replace(routes=False), at.sizes)

    def transpose(self, at: Above) -> Array:
        """The gradient of one window ends in one site."""
        if not at.op.routes:
            return super().transpose(at)
        route = at.gates.routes.get(at.i)
        if route is None or len(route.ops) == 1:
            found = self._taken(at, at.op if route is None else route.ops[0], at.input)
        else:
            found = np.concatenate([self._taken(at, op, at.input[:, g:g + 1]) for g, op in enumerate(route.ops)],
                                   axis=1)
        return found if route is None else found * _of_windows(route.bias, at.graph.ndim)

    @staticmethod
    def _taken(at: Above, op: Linear, values: Array) -> Array:
        """What windows take of the sites that win them, of channels that are alike in this."""
        ndim, lags = at.graph.ndim, at.lags
        zero, sizes = (0,) * ndim, at.graph.sizes[at.graph.sources[at.i][0]]
        middle = (slice(None), slice(None), *(slice(n // 2, n // 2 + 1) for n in values.shape[2:2 + ndim]))
        alone = at.linear(op._replace(variances=True, inside_only=False), values[middle], zero)
        for taps in op.taps:
            axis, = taps.axes
            gain = border_gain(taps, 0, alone.shape[axis - ndim], sizes[axis])
            if gain is not None:
                alone = alone * gain.reshape(-1, *(1,) * (ndim - 1 - axis))
        if any(lags):
            pairs = at.linear(op._replace(inside_only=False), values, lags)
            pairs[(slice(None), *lag_zero(lags))] = alone[(slice(None), *lag_zero(zero))]
            alone = pairs
        return alone


@rule_for(AdaptiveMaxPool)
class AdaptiveMaxPoolRule(MaxPoolRule):
    """The largest of each bin.

    Of bins of unequal sizes neighbours may have a site in common; their winners count as independent.
    """

    fields = frozenset({"size"})

    def lower(self, layer: Layer, sizes: Sizes, c_in: int, c_out: int) -> Linear:
        equal = _bins(layer, sizes)
        if equal is None:
            return Linear(by_place(_unequal(layer, sizes)), routes=True)
        routes = any(g.kernel > 1 for g in equal)
        return Linear(box(equal), inside_only=routes, routes=routes)

    def gathers(self, at: Before) -> float:
        return 1.0 if at.op.by_rows else super().gathers(at)

    def backward(self, at: Below, state: Covariance) -> Covariance:
        if not at.op.by_rows:
            return super().backward(at, state)
        zero = (0,) * state.ndim
        if at.i in at.gates.routes:
            state = state.gated(_of_windows(at.gates.routes[at.i].bias, state.ndim))
        alone = state.with_lags(zero).through_fixed(_by_place(at.op, np.sqrt), at.sizes, zero).with_lags(at.lags)
        if any(state.lags):
            center: Any = (slice(None), *state.lags)
            rest = state.values.copy()
            rest[center] = 0.0
            apart = state.holding(rest).through_fixed(at.op._replace(routes=False), at.sizes, at.lags)
            alone = alone.merge(apart, at.channels[0], False)
        return alone

    def transpose(self, at: Above) -> Array:
        if not at.op.by_rows:
            return super().transpose(at)
        ndim, zero = at.graph.ndim, (0,) * at.graph.ndim
        middle = (slice(None), slice(None), *(slice(n // 2, n // 2 + 1) for n in at.input.shape[2:2 + ndim]))
        alone = at.linear(_by_place(at.op, np.sqrt), at.input[middle], zero)
        if any(at.lags):
            pairs = at.linear(at.op._replace(routes=False), at.input, at.lags)
            pairs[(slice(None), *lag_zero(at.lags))] = alone[(slice(None), *lag_zero(zero))]
            alone = pairs
        return alone * _of_windows(at.gates.routes[at.i].bias, ndim) if at.i in at.gates.routes else alone


def _won(at: Before) -> float:
    """Windows per site."""
    return math.prod((m or 1) / (n or 1) for m, n in zip(at.graph.sizes[at.i], at.graph.sizes[at.source]))


def _of_winners(at: Before, m: Moments, g: int, known: Even, near: float | None) -> float:
    """What a norm, of whose values those of a group are a function, takes of a gradient that all windows share.

    Winners are sites of large values, so that this has a part in proportion to these besides the one in proportion to
    one: of sites that win each E[phi']^2 and E[phi' v]^2 / Var[v], over E[phi'^2].
    """
    assert known.norm is not None
    norm, group = known.norm
    left, along, _ = at.gates.even[norm][group]
    often = np.bincount(_inside(at.op, at.graph.sizes[at.source], at.graph.sizes[at.i]).reshape(-1))
    counts, weight = np.flatnonzero(often), often[often > 0] / often.sum()
    value = m.value(g) if near is None else m.value(g).sharing(near)
    site = at.gates.sites[norm][group]
    steps = 0 if site is None else len(site.steps)
    base, before = value.source.distribution(value.knots), value.distribution
    v = Value.of(value.source, value.steps[:steps]).at(base.x)
    slope, far = Value.of(value.source, value.steps[steps:]).slope(v), float(m.cov_far[g] / m.level[g])
    passed = [[replace(before, slope=a).largest_of(int(n)) for n in counts] for a in (slope, slope * v)]
    even, rise = (distant(before.row_means, weight @ np.stack([one.row_slopes for one in part]), before.share, far)
                  for part in passed)
    power, with_values = (float(weight @ [one.mean_gate for one in part]) for part in passed)
    variance = replace(base, x=v).second - replace(base, x=v).mean**2
    if at.graph.readers[norm] == at.graph.readers[at.source] == 1:
        at.gates.winners[known.norm] = with_values / (variance * power or 1.0)
    return float((1 - left) * even + (1 - along) * rise / variance) / (power or 1.0)


def _of_windows(bias: Array, ndim: int) -> Array:
    """A factor on pairs of windows, shape (groups, *lags, *lattice)."""
    return bias.reshape(len(bias), *(1,) * ndim, *(bias.shape[1:] or (1,) * ndim))


def _by_place(op: Linear, change: Any) -> Linear:
    """The filter of the changed weights."""
    return op._replace(routes=False, taps=tuple(
        taps if taps.rows is None else taps._replace(rows=Rows(change(taps.rows.matrix))) for taps in op.taps))


# ---------------------------------------------------------------------------------------------
# the largest of a window
# ---------------------------------------------------------------------------------------------

def max_pool(op: Linear, m: Moments, sizes_in: Sizes, sizes: Sizes, extent: tuple[int, ...], lags: tuple[int, ...],
             alike: Array | None = None) -> tuple[Moments, Route]:
    """Moments after the pool, and its route.

    For the distribution of the largest, the sites of a window are equally correlated; those outside the map never win.
    `alike`, per window, is how much of this correlation its sites have, if not all of it.
    """
    zero = (0,) * m.ndim
    count = _inside(op, sizes_in, sizes)
    often = np.bincount(count.reshape(-1))
    kinds = np.flatnonzero(often)
    place = np.searchsorted(kinds, count)
    # Windows near a border see the lower level of the values there.
    middle = (slice(None), *(slice(h, h + 1) for h in m.lags))
    if op.by_rows:
        mixed = filtered_level(op, m.second, sizes_in, extent)
    else:
        mixed = linear(op._replace(variances=True, inside_only=False), replace(m, values=m.values[middle]), sizes_in,
                       extent, zero)[lag_zero(zero)] * (kinds[-1] / count)
    scale = mixed / m.per_site(np.where(m.average > 0, m.average, 1.0))
    second, cov_far, corr_site, known, bias, level, before, best = [], [], [], [], [], [], [], []
    for g, near in enumerate(_near(op, m, sizes_in, extent)):
        site, whole = m.value(g) if near is None else m.value(g).sharing(near), float(m.average[g])
        distribution = site.distribution
        shared = max(float(m.cov_site[g]) if near is None else near, 0.0) / whole if whole else 0.0
        # Sites differ by the root of what they do not share, and so does what is made of them.
        own = np.sqrt(np.maximum(1 - shared * (1.0 if alike is None else alike), 0.0))
        nodes = np.linspace(math.sqrt(max(1 - shared, 0.0)), own.max(), 1 if alike is None else NODES)
        table = [[one.largest_of(int(n)) for n in kinds]
                 for one in (distribution, *(m.distribution(g, whole * (1 - x**2)) for x in nodes[1:]))]
        largest = table[0]
        second.append(_per_window([[one.second for one in row] for row in table], place, nodes, own))
        # Windows near a border have lower means, and may have fewer sites.
        heights = np.broadcast_to(np.sqrt(scale[g]), extent)
        weight = np.bincount(np.broadcast_to(place, extent).reshape(-1), heights.reshape(-1)) / heights.size
        rows = np.stack([one.row_means for one in largest])
        cov_far.append(distant(distribution.row_means, weight @ rows, distribution.share,
                               float(m.cov_far[g] / m.level[g])))
        level.append((rows @ distribution.share)[place] * heights)
        winner = largest[-1]
        together = distant(distribution.row_means, winner.row_means, distribution.share, float(m.cov_site[g]))
        corr_site.append(together / winner.second if winner.second else 0.0)
        local = near is not None and len(m.value(g).distribution.share) == 1
        own_source = m.value(g) if site.source.parts else site  # conditioning goes on below
        known.append(Largest.of(own_source, int(kinds[-1]), local, site).value())
        before.append(distribution)
        best.append(winner)
        gates = np.array([[one.mean_gate for one in row] for row in table]) / (distribution.mean_gate or 1.0)
        even = alike is None and len(kinds) == 1
        bias.append(np.ones(()) if even else _per_window(gates / (gates[0, -1] or 1.0), place, nodes, own))
    q = np.broadcast_to(np.stack(second) * scale, (len(cov_far), *extent))
    pooled = Moments(q[(slice(None), *(None,) * m.ndim)], np.array(cov_far), np.array(corr_site), tuple(known), m.wraps,
                     windows=np.broadcast_to(count.astype(float), q.shape) if len(kinds) > 1 else None)
    means = np.broadcast_to(np.stack(level), q.shape)
    pooled = pooled.with_common(lambda: pooled.falling(means))
    after = pooled
    if any(lags):
        apart = _apart(op) and all(len(one.share) > 1 for one in before)
        overlaps = [] if apart else [one.overlap(int(kinds[-1])) for one in before]
        after = _correlated(op, m, pooled, sizes_in, lags, overlaps, list(zip(before, best)) if apart else [])
    winners = winning(op, m, sizes)
    opened = [before] if len(winners) == 1 else [[one] for one in before]
    return after, Route(tuple(one._replace(opened=_Opened(those)) for one, those in zip(winners, opened)),
                        np.array(bias))


class _Opened:
    """How often the gates of the largest of so many sites are open, shape (groups, *counts[0]); 1 of none."""

    def __init__(self, before: Sequence[SiteDistribution]) -> None:
        self._before = before
        self._known: dict[int, tuple[float, ...]] = {0: (1.0,) * len(before)}

    def __call__(self, counts: Array) -> Array:
        which = counts[0].astype(int)
        often = np.bincount(which.ravel())
        there = np.flatnonzero(often).tolist()
        new = [n for n in there if n not in self._known]
        if new:
            self._known.update(zip(new, zip(*(one.gates_of_largest(new) for one in self._before))))
        table = np.ones((len(self._before), len(often)))
        for n in there:
            table[:, n] = self._known[n]
        return np.asarray(table[:, which])


def _per_window(table: Any, place: Array, nodes: Array, at: Array) -> Array:
    """A table over `nodes`, evenly apart, and numbers of sites, read `at` the node and `place` of each window."""
    table, step = np.asarray(table), (nodes[-1] - nodes[0]) / max(len(nodes) - 1, 1)
    if not step:
        return np.asarray(table[-1][place])
    where = (at - nodes[0]) / step
    low = np.minimum(where.astype(np.intp), len(nodes) - 2)
    below = table[low, place]
    return np.asarray(below + (where - low) * (table[low + 1, place] - below))


def _inside(op: Linear, sizes_in: Sizes, sizes: Sizes) -> Array:
    """For each window, how many of its sites lie inside the map."""
    counts: list[Array] = []
    if op.by_rows:
        held = {taps.axes[0]: taps.rows.matrix for taps in op.taps if taps.rows is not None}
        return np.asarray(math.prod(np.ix_(*((held[axis] > 0).sum(axis=1) if axis in held else np.ones(n or 1, int)
                                             for axis, n in enumerate(sizes_in)))))
    for taps, n, n_out in zip(op.taps, sizes_in, sizes):
        g, = taps.geometry
        counts.append(np.full(1, g.kernel) if n is None else read_sites(g, n, n_out or 0)[1].sum(axis=1))
    return np.asarray(math.prod(np.ix_(*counts)))


def winning(op: Linear, m: Moments, sizes: Sizes) -> list[Linear]:
    """The pool with probabilities to win: the more a site has in common with its window, the fewer.

    Of one window for the whole map (`sizes` of one site), also the lower the level of a site: at borders.  One for
    all channel groups, or one for each.
    """
    windows = [taps.geometry[0] for taps in op.taps]
    kernel = tuple(w.kernel for w in windows)
    if op.by_rows:
        return [op]
    if set(sizes) == {1} and m.second.shape[1:] == kernel:
        wins = [None if np.ptp(level) <= ALIKE * whole else _wins_by_level(level, _shared(m.value(g)))
                for g, (level, whole) in enumerate(zip(m.second, m.average))]
    elif not _neighbours(m) or max(kernel) < 3:
        return [op]
    else:
        count = math.prod(kernel)
        wins = []
        for between, shared in zip(_between_taps(windows, m), m.corr_site):
            excess = np.lib.stride_tricks.sliding_window_view((between - shared) / max(1 - shared, ALIKE), kernel)
            excess = excess.sum(axis=tuple(range(excess.ndim // 2, excess.ndim)))
            wins.append(None if shared > 1 - ALIKE else np.maximum(
                1 / count - count / 2 * _lead(count) * (excess - excess.mean()), 0.0))
    ops = [op if one is None else _with_wins(op, one) for one in wins]
    return ops[:1] if all(_same(ops[0], one) for one in ops) else ops


def _same(one: Linear, other: Linear) -> bool:
    """Whether sites win alike."""
    return all(np.array_equal(a.weights, b.weights) for a, b in zip(one.taps, other.taps))


def _with_wins(op: Linear, wins: Array) -> Linear:
    """The pool whose taps along each axis have the sums of `wins` over the others."""
    return op._replace(taps=tuple(
        taps._replace(weights=wins.sum(axis=tuple(a for a in range(wins.ndim) if a != axis)) / wins.sum())
        for axis, taps in enumerate(op.taps)))


def _shared(value: Value) -> float:
    """What part of the variance of the Gaussian value that a value is a function of all sites share; 0 of others."""
    source = value.source
    return source.c / source.q if isinstance(source, Gaussian) and source.q else 0.0


def _wins_by_level(level: Array, shared: float) -> Array:
    """Probability of each of Gaussian values, of variances in proportion to `level`, to be the largest.

    They have the part `shared` of their variance in common, and are independent otherwise.
    """
    from scipy.special import log_ndtr
    scales, place, count = np.unique(np.round(np.sqrt(level / level.max()), 9), return_inverse=True, return_counts=True)
    there = np.flatnonzero(scales > 0)
    v, (common, often) = np.linspace(-4.0, 9.0, 400), functions.normal_points(16, 1.0, 4.0)
    wins = np.zeros(scales.shape)
    for t, p in zip(common * math.sqrt(shared), often):
        z = (v / scales[there, None] - t) / math.sqrt(max(1 - shared, 1e-3))
        largest = count[there] @ log_ndtr(z)  # logarithm of the probability that all are smaller
        wins[there] += p * (np.exp(largest - log_ndtr(z) - z**2 / 2) / scales[there, None]).sum(axis=1)
    return wins[place.reshape(level.shape)] / (wins @ count)


@remembered(64)
def _lead(count: int) -> float:
    """The density of three of `count` independent values being the largest together, over the trios (61)."""
    z, weights = functions.normal_points(256, 0.1)
    return float(weights @ (np.exp(-z**2) / (2 * np.pi) * functions.normal_cdf(z)**(count - 3)))


def _between_taps(windows: Sequence[AxisGeometry], m: Moments) -> Array:
    """Correlations between sites of one window, by the distance in taps along each axis."""
    found = m.correlations(tuple(w.extent - 1 for w in windows))
    return found[(slice(None), *(slice(None, None, w.dilation) for w in windows))]


def _neighbours(m: Moments) -> bool:
    """Whether lags say how neighbours are correlated."""
    return any(m.lags) or (m.plane is not None and any(m.plane.lags))


def _near(op: Linear, m: Moments, sizes_in: Sizes, extent: tuple[int, ...]) -> list[float | None]:
    """Mean of M over the pairs of sites of one window, where lags say how neighbours are correlated.

    Where sites differ by phase, as after upsampling, those of a window may be copies of one, others not.
    """
    if not _neighbours(m):
        return [None] * len(m.cov_far)
    windows = [AxisGeometry()] * m.ndim  # along axes without bins of unequal sizes
    for taps in op.taps:
        windows[taps.axes[0]] = taps.geometry[0]
    if any(m.lags) and m.second[0].size > 1 and not op.by_rows and all(
            h + 1 >= w.extent for h, w in zip(m.lags, windows)):
        return _within(op, m, sizes_in, extent)
    middle = tuple(w.kernel - 1 for w in windows)
    pairs = np.asarray(math.prod(np.ix_(*(w.kernel - np.abs(np.arange(1 - w.kernel, w.kernel)) for w in windows))))
    pairs[middle] = 0
    if not pairs.any():
        return [None] * len(m.cov_far)
    near = (_between_taps(windows, m) * pairs).reshape(len(m.cov_far), -1).sum(axis=1) / pairs.sum()
    return [float(one) for one in near * m.average]


def _within(op: Linear, m: Moments, sizes_in: Sizes, extent: tuple[int, ...]) -> list[float | None]:
    """Mean of M over the pairs of sites of each window that lies inside the map: that of an average, less its sites."""
    zero = (0,) * m.ndim
    average = op._replace(routes=False, inside_only=False)
    both = linear(average, m, sizes_in, extent, zero)[lag_zero(zero)]
    alone = linear(average._replace(variances=True), m.with_lags(zero), sizes_in, extent, zero)[lag_zero(zero)]
    whole = _inside(op, sizes_in, tuple(None if n is None else k for n, k in zip(sizes_in, extent)))
    count = int(whole.max())
    inside = np.broadcast_to(whole == count, both.shape[1:])
    found = [(count**2 * float(one[inside].mean()) - count * float(each[inside].mean())) / (count**2 - count)
             if count > 1 else None for one, each in zip(both, alone)]
    return [None if near is None else min(near, q) for near, q in zip(found, m.average.tolist())]


def _apart(op: Linear) -> bool:
    """Whether no site is in two windows."""
    return not op.by_rows and all(g.stride >= g.extent for taps in op.taps for g in taps.geometry)


def _correlated(op: Linear, m: Moments, pooled: Moments, sizes_in: Sizes, lags: tuple[int, ...],
                overlaps: Sequence[Array], largest: Sequence[tuple[SiteDistribution, SiteDistribution]]) -> Moments:
    """Neighbours after the pool: what they share beyond `corr_site`.

    Windows have as many sites in common as the covariance of an average pool says, which is proportional to them.
    Those with none share what their sites have in common, given which the `largest` of each, after the value of a site,
    are independent.
    """
    op = op._replace(routes=False)  # as an average
    values = filtered_values(op, m, sizes_in, pooled.second.shape[1:], lags)
    mean = replace(m, values=values, corr_site=shared_after(op, m, values, sizes_in))
    excess = mean.values - mean.shared(lags)
    excess *= mean.per_pair(ratio(1.0, excess[lag_zero(lags)].mean(axis=tuple(range(1, 1 + m.ndim)))))
    whole = pooled.average - pooled.cov_site
    inner = inside(pooled.second.shape[1:], lags, m.wraps)
    for g, (site, winner) in enumerate(largest):
        pairs = values[g].reshape(*values.shape[1:1 + m.ndim], -1).mean(axis=-1)
        both = np.array([distant(site.row_means, winner.row_means, site.share, pair)
                         for pair in pairs.ravel().tolist()])
        part = ratio(both.reshape(pairs.shape) - pooled.cov_site[g], whole[g])
        excess[g] = np.maximum(part, 0.0)[(..., *(None,) * m.ndim)] * inner
    for g, (part, most) in enumerate(zip(overlaps, whole)):
        # What sites have of their own is compared with fewer of another window than they are averaged with.
        own = part[-1] / most if most else 0.0
        excess[g] *= 1 - own + np.interp(excess[g], OVERLAPS, own * ratio(part, part[-1] * OVERLAPS))
    values = pooled.with_lags(lags).values + excess * m.per_pair(whole)
    values[lag_zero(lags)] = pooled.second
    return replace(pooled, values=values)
