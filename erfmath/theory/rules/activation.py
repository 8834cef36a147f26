"""Activations: phi of Gaussian sites, or of sites whose distribution is known (equations 35 to 39)."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...layers import Activation
from ...results.assumptions import Assumption
from ..memory import remembered, replace
from ..sweep import patterns
from ..sweep.factor import Factor
from ..sweep.lowering import Linear, Norm
from ..sweep.moments import Moments, at as lag_zero, in_parts, overlap, ratio, refit
from ..sweep.patterns import Known
from ..sweep.site_distribution import distant
from ..sweep.sources import Largest
from ..sweep.taps import Array
from ..sweep.values import Value
from . import functions, images
from .alignment import Along, Even, through_function
from .base import Rule, rule_for
from .context import Before, Below
from .functions import Function
from .images import Images
from .neighbours import Line, Passage, through_activation

#: Part of the second moment below which a mean counts as none.
LEAST = 1e-6
#: Deviations of sites at which gates are found, between the smallest and the largest of a map.
LEVELS = 5
#: Kinds of groups that are taken one by one.
KINDS = 2
#: Second moments of sites that differ by rounding.
SAME = 1 - 8e-15

__all__ = ["ActivationRule"]


@rule_for(Activation)
class ActivationRule(Rule):
    """A gate E[phi'^2] at each site, and the distribution of what passed it."""

    fields = frozenset({"function", "slope"})

    def function(self, layer: Activation) -> Function:  # type: ignore[override]
        return functions.function(layer)

    def given(self, layer: Activation, weights: Any, ndim: int, c_in: int, c_out: int  # type: ignore[override]
              ) -> tuple[Linear, Norm | None]:
        """Slopes of PReLU, one a channel, act through their root mean square, which the layer has by now."""
        if layer.function != "prelu":
            return super().given(layer, weights, ndim, c_in, c_out)
        shape = np.shape(weights)
        if shape not in ((1,), (c_out,)):
            raise ValueError(f"weights: slopes of shape {shape}; must be 1 or {c_out}")
        return Linear(gate=layer.is_gate), None

    def assumptions(self, op: Linear) -> tuple[Assumption, ...]:
        return (Assumption.INDEPENDENT_GATES,)

    def passage(self, layer: Activation, op: Linear, ndim: int) -> Passage:  # type: ignore[override]
        def through(axis: int, line: Line, m: Moments, level: Array, n_out: int) -> Line:
            if m.sites[0] is not None:
                return line
            phi, q, corr_site = self.function(layer), m.average, m.corr_site
            return through_activation(line, lambda r: functions.cross(phi, q, corr_site * r))
        return Passage(through)

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        """phi of sites; what they have in common with distant ones, with those at their place, and near them."""
        if not at.op.gate:
            return super().forward(at, inputs)
        phi, m = self.function(at.layer), inputs[0]  # type: ignore[arg-type]
        rectifies = phi.below is not None
        point = m.second[0].size == 1
        if not m.gaussian:
            at.refuse_joint(m)
            if _positive(phi, m):
                at.gates.power[at.i] = np.ones((len(m.sites), *(1,) * (2 * m.ndim)))
                return m.with_lags(at.want)
        even = m.offset is None and m.windows is None
        if rectifies and len(m.sites) == 1 and even and not any(at.lags) and not any(m.lags):
            return self._rectified(at, phi, m)
        if rectifies and point and m.wraps and m.gaussian and any(m.lags) and not any(
                [h > k for h, k in zip(at.lags, m.lags)]):
            return self._at_point(at, phi, m)
        if not (point or rectifies or any(m.lags)) and m.gaussian and m.offset is None:
            point = bool(np.minimum.reduce(m.second, axis=None) >= SAME * np.maximum.reduce(m.second, axis=None)) and (
                len(m.sites) == 1)  # all sites are alike, as after layer norms
        q, lags = m.average, at.lags
        # Both c and what a rectifier makes of it fall towards borders as the deviation does.
        level = m.level if rectifies else np.ones(len(q))
        apart, near, mean, gate0 = _of_gaussians(phi, q, _far(m, level), m.corr_site)
        if m.far_phases is not None:  # more than of the mean correlation
            of_each = functions.cross(phi, q[:, None], m.far_phases).mean(axis=1)
            apart = apart + of_each - functions.cross(phi, q, m.far_phases.mean(axis=1))
        cov_far, corr_site, pair_gate = apart * level, ratio(near, mean), np.zeros(len(q))
        before = [m.value(g) for g in range(len(q))]
        sites = [value.through(phi) for value in before]
        non_gaussian = [] if m.gaussian else [g for g, site in enumerate(m.sites) if site is not None]
        for g in non_gaussian:
            # Gates down to one source multiply to the moments of the whole slope.
            site = sites[g]
            gate0[g] = over(site.squared_slope, before[g].squared_slope)
            pair_gate[g] = over(site.distribution.pair_gate, before[g].distribution.pair_gate) if any(lags) else 0.0
            corr_site[g] = over(site.cov_site, site.second)
            cov_far[g] = level[g] * distant(before[g].rows[0], *site.rows, m.cov_far[g] / level[g])
            mean[g] = site.second
        gate = m.per_pair(gate0)
        # Far from borders rectifiers are open together as often as they are on the plane.
        opened = m.plane.opened(phi, lags) if rectifies and m.plane is not None and not non_gaussian else None
        if opened is not None:
            gate = opened
        elif any(lags):
            if non_gaussian or not any(m.lags) or any(h > k for h, k in zip(lags, m.lags)):
                near = functions.gate_pair(phi, m.per_site(q), m.correlations(lags))
                near[non_gaussian] = m.per_site(pair_gate)[non_gaussian]
                near[lag_zero(lags)] = gate0
                gate = near[(..., *(None,) * m.ndim)]
            else:  # site by site, further down
                gate = np.empty((len(q), *(2 * h + 1 for h in lags), *(1,) * m.ndim))
        common = m.falling_as_deviations
        if rectifies:
            after = m.with_lags((0,) * m.ndim).multiple(ratio(mean, q), cov_far, corr_site, tuple(sites), common)
        else:
            second = np.empty(m.second.shape)
            second[:] = m.per_site(mean) if point else functions.second(phi, m.second)
            if non_gaussian:  # in proportion to what comes in; of zeros, whatever the function makes of them
                there = m.second * m.per_site(ratio(mean, q)) + m.per_site(np.where(q > 0, 0.0, mean))
                second[non_gaussian] = there[non_gaussian]
            after = Moments(second[(slice(None), *(None,) * m.ndim)], cov_far, corr_site, tuple(sites),
                            m.wraps).with_common(common)
        if len(non_gaussian) < len(q) and (any(m.lags) or not (rectifies or point)):
            gate, after = _site_by_site(phi, m, lags, gate, after, np.array([site is None for site in m.sites]))
        borders: dict[int, Varied] = {}
        if non_gaussian:
            if any(m.lags):
                after = _near(phi, m, after, non_gaussian)
            if not point and not (rectifies and even):
                borders = {g: _varied(phi, before[g], m.average.item(g), m.second[g].tobytes(), m.second.shape[1:],
                                      lags, m.wraps, *(None if one is None else one[g].tobytes()
                                                       for one in (m.offset, m.windows))) for g in non_gaussian}
                gate, after = _by_level(m, gate, after, borders)
        at.gates.power[at.i] = gate
        if m.windows is not None:
            after = after._with(windows=m.windows)
        if point or (rectifies and even):
            return after.with_lags(at.want)
        heights, inside = _means(phi, m, before, borders)
        more = m.mean(heights)**2 - inside**2
        level = np.where(m.per_site(inside**2 > LEAST * q), heights, m.level_map)
        if m.offset is not None and rectifies:  # what falls as deviations do is in c already
            moved = np.asarray(m.offset.reshape(len(q), -1).any(axis=1))
            more, level = more * moved, np.where(m.per_site(moved), level, m.deviation)
        after = replace(after, cov_far=np.maximum(after.cov_far + more, 0.0))
        return after.with_lags(at.want).with_common(functools.partial(in_parts, level))

    def _rectified(self, at: Before, phi: Function, m: Moments) -> Moments:
        """A rectifier of one group of channels, of which no lags are carried: nearly all layers of many networks."""
        q, level, c, corr_site = m.average.item(), m.level.item(), m.cov_far.item(), m.corr_site.item()
        counts = m.summed_to_zero
        corr_far = over(c, q * level) - (0.0 if counts is None else 1 / (counts.item() - 1))
        (apart,), (near,), (mean,), (gate,) = _of_gaussian(phi, q, corr_far, corr_site)
        value = m.value(0)
        site = value.through(phi)
        cov_far, corr_site = apart * level, over(near, mean)
        if m.sites[0] is not None:
            gate = over(site.squared_slope, value.squared_slope)
            mean, corr_site = site.second, over(site.cov_site, site.second)
            cov_far = level * distant(value.rows[0], *site.rows, c / level)
        at.gates.power[at.i] = np.array(gate, ndmin=1 + 2 * m.ndim)
        return m.multiple(over(mean, q), np.array([cov_far]), np.array([corr_site]), (site,),
                          m.falling_as_deviations).with_lags(at.want)

    def _at_point(self, at: Before, phi: Function, m: Moments) -> Moments:
        """A rectifier on the plane, where all sites are alike, of Gaussian values whose lags are carried."""
        q, middle = m.average, lag_zero(m.lags)
        apart, near, mean, gate = _of_gaussians(phi, q, _far(m, m.level), m.corr_site)
        both = m.per_pair(q)
        corr = ratio(m.values, both)
        values, pairs = functions.cross(phi, both, corr), functions.gate_pair(phi, both, corr)
        values[middle], pairs[middle] = m.per_site(mean), m.per_site(gate)
        pairs = refit(pairs, at.lags, 1)
        at.gates.power[at.i] = pairs
        m.open_pairs(phi, at.lags, pairs)
        sites = tuple([m.value(g).through(phi) for g in range(len(q))])
        return Moments(values, apart, ratio(near, mean), sites, True).with_lags(at.want)

    def shared(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Known:
        known = at.shared()
        if not at.op.gate or at.source not in at.gates.shared:
            return known
        phi = self.function(at.layer)  # type: ignore[arg-type]
        return patterns.through_function(phi, inputs[0], after, known)

    def images(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Images | None:
        known = at.gates.images.get(at.source)
        if known is None or not at.op.gate:
            return known
        return images.through_function(self.function(at.layer), inputs[0], after, known)  # type: ignore[arg-type]

    def along(self, at: Before, inputs: Sequence[Moments]) -> list[Along]:
        below = super().along(at, inputs)
        if not at.op.gate:
            return below
        phi = self.function(at.layer)  # type: ignore[arg-type]
        return [through_function(one, phi, q) if q else one for one, q in zip(below, inputs[0].average.tolist())]

    def even(self, at: Before, inputs: Sequence[Moments]) -> list[Even]:
        """Of a gradient that is the same everywhere, gates leave parts in proportion to one and to the values."""
        known = at.gates.even.get(at.source)
        if not at.op.gate or known is None:
            return super().even(at, inputs)
        phi, m, step = self.function(at.layer), inputs[0], 1e-3  # type: ignore[arg-type]
        if _positive(phi, m):
            return [Even(one.left) for one in known]
        q = m.average
        power, even = functions.gate(phi, q), functions.gate_pair(phi, q, np.zeros(q.shape))
        up, down = (functions.gate_pair(phi, q, np.full(q.shape, sign * step)) for sign in (1, -1))
        left, along = (np.array([one[n] for one in known]) for n in (0, 1))
        gone = ratio(even * (1 - left) + (up - down) / (2 * step) * (1 - along), power)
        return [one if one.left == one.along == 1 else Even(1 - taken, 1.0, one.norm)
                for one, taken in zip(known, gone.tolist())]

    def mean_factor(self, at: Below, factor: Factor) -> Factor:
        """E[phi'], the same at all sites; gates down to one source multiply to the mean of the whole slope."""
        after, before = at.gates.sites[at.i], at.gates.sites.get(at.j, (None,) * len(at.gates.sites[at.i]))
        slopes = [over(site.mean_slope, 1.0 if below is None else below.mean_slope)
                  for site, below in zip(after, before) if site is not None]
        return factor.times(float(np.dot(at.graph.shares(at.i), slopes)))


def _positive(phi: Function, m: Moments) -> bool:
    """Whether a rectifier leaves all values as they are."""
    return phi.below is not None and phi.above == 1 and not m.gaussian and all(
        m.value(g).positive for g in range(len(m.sites)))


def _far(m: Moments, level: Array) -> Array:
    """Correlation of distant sites or inputs per group; of n numbers of sum zero, after a norm, it is -1 / (n - 1)."""
    known = ratio(m.cov_far, m.average * level) if m.coupled else m.cov_far
    counts = m.summed_to_zero
    return known if counts is None else known - 1 / (counts - 1)


def _of_gaussians(phi: Function, q: Array, corr_far: Array, corr_site: Array) -> tuple[Array, ...]:
    """E[phi phi'] of distant sites and at one place, E[phi^2] and E[phi'^2] for values of variances q."""
    groups = list(zip(q.tolist(), corr_far.tolist(), corr_site.tolist()))
    kinds = set(groups)
    if len(kinds) <= KINDS:  # many layers, and groups of many, meet the same numbers
        known = {kind: _of_gaussian(phi, *kind) for kind in kinds}
        return tuple([np.array([known[group][n][0] for group in groups]) for n in range(4)])
    apart, near = functions.cross(phi, q, np.array([corr_far, corr_site]))
    return apart, near, functions.second(phi, q), functions.gate(phi, q)


@remembered(1024, lasting=False)
def _of_gaussian(phi: Function, q: float, corr_far: float, corr_site: float) -> tuple[list[float], ...]:
    if phi.below is not None:
        apart, near = (functions.of_rectified(phi, q, corr) for corr in (corr_far, corr_site))
        gate = (phi.above**2 + phi.below**2) / 2
        return [apart], [near], [q * gate], [gate]
    one = np.array([q])
    apart, near = functions.cross(phi, one, np.array([[corr_far], [corr_site]])).tolist()
    return apart, near, functions.second(phi, one).tolist(), functions.gate(phi, one).tolist()


def _means(phi: Function, m: Moments, values: Sequence[Value], borders: dict[int, Varied]) -> tuple[Array, Array]:
    """E[phi] at each site, which falls towards borders as values do, and at the average level, per group.

    Of such a sign that its mean over the map is positive; it is what distant sites have in common where they had
    nothing before.
    """
    maps, inside = np.empty(m.second.shape), np.empty(len(values))
    for g in range(len(values)):
        if g in borders:
            known = borders[g]
            maps[g], inside[g] = known.heights * math.copysign(1.0, known.heights.mean()), known.inside
            continue
        levels, nodes = _levels(m, g)
        ends = [*nodes.tolist(), 1.0]
        one = np.sqrt(np.maximum(functions.cross(phi, m.average[g] * np.square(ends), np.zeros(len(ends))), 0.0))
        maps[g], inside[g] = np.interp(levels, nodes, one[:-1]), one[-1]
    return maps, inside


def _levels(m: Moments, g: int) -> tuple[Array, Array]:
    """Deviation of each site in parts of the average one, and some of all sizes between."""
    levels = m.deviation[g] / math.sqrt(m.average[g]) if m.average[g] else np.zeros(m.second.shape[1:])
    return levels, np.linspace(levels.min(), levels.max(), LEVELS)


def over(part: float, whole: float) -> float:
    """part / whole, 0 where the whole is."""
    return part / whole if whole else 0.0


def _site_by_site(phi: Function, m: Moments, lags: tuple[int, ...], gate: Array, after: Moments,
                  gaussian: Array) -> tuple[Array, Moments]:
    """Gates and moments of Gaussian groups where they vary over the map or with a carried lag."""
    chosen: Any = slice(None) if gaussian.all() else gaussian  # a view where it can be
    site = m.second[chosen]
    open_pair = np.zeros((len(site), *m.values.shape[1:]))
    if any(m.lags):
        if m.wraps and site.size == len(site):  # a point is its own neighbour
            both = site[(slice(None), *(None,) * m.ndim)]
        else:
            both = np.sqrt(m.products(site, m.lags))
        corr_site = ratio(m.values[chosen], both)
        near = functions.cross(phi, both, corr_site)
        if not both.all():
            near = near * (both > 0)
        values = near if gaussian.all() else after.with_lags(m.lags).values.copy()
        values[chosen] = near
        values[lag_zero(m.lags)] = after.second
        after = replace(after, values=values)
        open_pair = functions.gate_pair(phi, both, corr_site) if any(lags) else open_pair
    open_pair[lag_zero(m.lags)] = functions.gate(phi, site)
    gate = np.broadcast_to(gate, (*gate.shape[:1 + m.ndim], *m.second.shape[1:])).copy()
    held, there = overlap(m.lags, lags)
    inner: Any = (chosen, *there[1:])
    gate[inner] = open_pair[held]
    return gate, after


def _near(phi: Function, m: Moments, after: Moments, groups: Sequence[int]) -> Moments:
    """What neighbours have in common beyond distant sites, of groups that are not Gaussian.

    Windows of a pool have winners in common; of other values, as much as if they were Gaussian.
    """
    values, chosen = after.with_lags(m.lags).values.copy(), list(groups)
    both, shared = m.products(m.deviation, m.lags)[chosen], m.per_pair(m.corr_site)[chosen]
    beyond = ratio(ratio(m.values[chosen], both) - shared, 1 - shared)
    ends = functions.cross(phi, m.average[chosen], np.array([[0.0], [1.0]]))
    rise = m.per_pair(ends[1] - ends[0])
    part = ratio(functions.cross(phi, np.broadcast_to(m.per_pair(m.average[chosen]), beyond.shape), beyond)
                 - m.per_pair(ends[0]), rise)
    level = after.products(after.deviation, m.lags)[chosen]
    apart = m.per_pair(after.corr_site)[chosen]
    for k, value in enumerate(m.value(g) for g in chosen):
        if isinstance(value.source, Largest):
            before, now = value.source.overlaps(value), value.source.overlaps(value.through(phi))
            part[k] = np.interp(beyond[k], np.append(0.0, before), np.append(0.0, now))
    values[chosen] = level * (apart + (1 - apart) * part)
    values[lag_zero(m.lags)] = after.second
    return replace(after, values=values)


def _by_level(m: Moments, gate: Array, after: Moments, borders: dict[int, Varied]) -> tuple[Array, Moments]:
    """Gates and second moments of groups that are not Gaussian, where values are smaller near borders, or lower."""
    whole = np.empty((*gate.shape[:1 + m.ndim], *m.second.shape[1:]))
    whole[:], second = gate, after.second.copy()
    for g, one in borders.items():
        if one.gates is not None:
            whole[g] *= one.gates
            second[g] = one.second
    moments = after.values.copy()
    moments[lag_zero(after.lags)] = second
    return whole, replace(after, values=moments)


class Varied(NamedTuple):
    """A function of values that are smaller near borders, or lower.

    Attributes
    ----------
    gates : ndarray, shape (*lags, *lattice), optional
        Of pairs of sites, in parts of that of the average site; None where sites are alike.
    second : ndarray, shape (*lattice)
        E[phi^2].
    heights : ndarray, shape (*lattice)
        E[phi].
    inside : float
        Size of that of the average site.
    """

    gates: Array | None
    second: Array
    heights: Array
    inside: float


@remembered(16, lasting=False)
def _varied(phi: Function, value: Value, q: float, second: bytes, shape: tuple[int, ...], lags: tuple[int, ...],
            wraps: bool, offset: bytes | None, windows: bytes | None) -> Varied:
    """The function of a group's sites; layers that read the same values after each other meet the same ones."""
    ndim, nothing = len(shape), np.zeros(1)
    q_map = np.frombuffer(second).reshape(shape)
    m = Moments(q_map[(None,) * (1 + ndim)], nothing, nothing, (value,), wraps,
                offset=None if offset is None else np.frombuffer(offset).reshape(1, *shape))
    vars(m)["average"] = np.array([q])
    whole, source = value.through(phi), value.source
    passed, squares, heights = (np.empty(shape) for _ in range(3))
    counts = np.zeros(shape) if windows is None else np.frombuffer(windows).reshape(shape)
    if not (isinstance(source, Largest) and counts.all()):
        kinds: list[tuple[Any, Array, Array, list[Value]]] = [(..., *_borders(m, 0, value))]
        alike = float(np.ptp(kinds[0][1])) < 1e-3
    else:
        alike = False
        kinds = [(counts == n, *_of_window(q_map[counts == n], Value.of(source.of_sites(int(n)), value.steps)))
                 for n in np.unique(counts)]
    for there, where, nodes, ones in kinds:
        sites = [one.through(phi) for one in ones]
        heights[there] = np.interp(where, nodes, [site.mean for site in sites])
        open_gates = [over(site.squared_slope, one.squared_slope) for one, site in zip(ones, sites)]
        passed[there] = np.interp(where, nodes, open_gates)
        # Sites that are alike so far still differ by their second moments.
        seconds = np.interp(where, nodes, [one.second for one in ones])
        level = np.where(seconds > 0, ratio(q_map[there], seconds), 1.0)  # of zeros, what the function makes of them
        squares[there] = np.interp(where, nodes, [site.second for site in sites]) * level
    if alike:
        return Varied(None, q_map, heights, abs(whole.mean))
    passed = over(1.0, over(whole.squared_slope, value.squared_slope)) * passed
    return Varied(m.products(np.sqrt(passed)[None], lags)[0], squares, heights, abs(whole.mean))


def _of_window(q: Array, value: Value) -> tuple[Array, Array, list[Value]]:
    """What tells sites that are the largest of as many apart, some of its values in order, and what a site is there."""
    levels = np.sqrt(q / value.second) if value.second else np.zeros(q.shape)
    nodes = np.linspace(levels.min(), levels.max(), LEVELS if np.ptp(levels) > 1e-9 else 1)
    return levels, nodes, [value.times(level) for level in nodes.tolist()]


def _borders(m: Moments, g: int, value: Value) -> tuple[Array, Array, list[Value]]:
    """What tells sites of a group apart, some of its values in order, and what a site is there."""
    levels, nodes = _levels(m, g)
    if m.offset is None or not m.offset[g].any():
        return levels, nodes, [value.times(level) for level in nodes.tolist()]
    offset, q = m.offset[g], m.second[g]
    nodes = np.linspace(offset.min(), offset.max(), LEVELS)
    # What is left of the second moment, at the sites that are nearest.
    own = np.maximum(q - offset**2, 0.0)
    step = (nodes[-1] - nodes[0]) / (LEVELS - 1)
    near = np.ceil(((offset - nodes[0]) / (step or 1.0) - 0.5).ravel()).astype(np.intp)
    count = np.bincount(near, minlength=LEVELS)
    met = np.flatnonzero(count)
    mean = np.interp(nodes, nodes[met], np.bincount(near, own.ravel(), LEVELS)[met] / count[met])
    ends = zip(np.sqrt(mean / value.second).tolist(), nodes.tolist())
    return offset, nodes, [value.times(level, shift) for level, shift in ends]
