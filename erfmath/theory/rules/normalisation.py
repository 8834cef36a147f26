"""Normalisations: by the batch, by sites, by groups of channels (equations 40 and 41, and section 9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...layers import BatchNorm, GroupNorm, InstanceNorm, Layer, LayerNorm, RMSNorm
from ...layers.normalisation import BATCH
from ...results.assumptions import Assumption
from ..memory import replace
from ..sweep import patterns
from ..sweep.covariance import Covariance
from ..sweep.factor import Factor
from ..sweep.few_terms import FewTerms
from ..sweep.lowering import Linear, Norm
from ..sweep.moments import Moments, at as lag_zero, inside, ratio, refit
from ..sweep.pairs import by_lag, of_both
from ..sweep.patterns import Known
from ..sweep.products import Product
from ..sweep.sources import Standardised, Sum
from ..sweep.taps import Array
from ..sweep.values import Affine, Value
from . import images
from .alignment import PIXELS, Along, Even, above_norm, through_norm
from .base import Rule, rule_for
from .context import Above, Before, Below
from .directions import LEAST, WEAK, of_patterns, within_groups
from .few_channels import kind_of, over_few
from .functions import Function
from .images import Images

if TYPE_CHECKING:
    from ..sweep.plan import Graph

#: Means that are smaller, in deviations, are none.
SMALL = 1e-9

__all__ = ["BatchNormRule", "GroupNormRule", "LayerNormRule", "RMSNormRule"]

Sizes = tuple[Any, ...]
Pair = tuple[Any, Any]  # numbers, or one a group
#: Of a channel group q, c, q - c and E[v v'] at one place.
Part = tuple[float, float, float, float]
#: Part of the variance of a channel that is the same for all inputs, beyond which the errors of totals are large.
PATTERNED = 0.45
#: Negative power that a norm over a map may leave, in parts of what comes to it.
SHORT = 0.01
#: Lags up to which gradients that pass the statistics of a map are correlated as values are.
NEAR = 2


class NormRule(Rule):
    """Base of norms: after what they normalise a scale and a shift for each channel, random at initialisation."""

    normalises = True

    @staticmethod
    def affine(layer: Any) -> tuple[float, float]:
        """Mean square of the scales, about 1, and variance of the shifts."""
        return 1 + getattr(layer, "scale_var", 0.0), getattr(layer, "shift_var", 0.0)

    def given(self, layer: Any, weights: Any, ndim: int, c_in: int, c_out: int) -> tuple[Linear, Norm | None]:
        """Scales and shifts, shape (2, channels), or (channels,) of norms without shifts: their mean squares act."""
        array = np.asarray(weights, dtype=float)
        shape = (2, c_out) if hasattr(layer, "shift_var") else (c_out,)
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"weights: an array of shape {array.shape}; must be scales"
                             f"{' and shifts' * (len(shape) > 1)}, finite, of shape {shape}")
        squares = np.mean(array.reshape(-1, c_out)**2, axis=1).tolist()
        return Linear(gate=layer.is_gate), Norm(squares[0], squares[0], sum(squares[1:]))

    def _affine_at(self, at: Any) -> tuple[float, float]:
        norm = at.graph.norms.get(at.i)
        return self.affine(at.graph.layers[at.i]) if norm is None else (norm.scale, norm.shift)

    def scaled(self, at: Before, m: Moments) -> Moments:
        """Moments after scale and shift, which all sites of a channel share."""
        if at.gates.products and not self.centres_far:
            m = m.with_map(at.done[at.source].made_from)
        scale, shift = self._affine_at(at)
        if (scale, shift) == (1, 0):
            vars(m)["normed"] = (self.key(at),) * len(m.cov_far)
            return m
        if at.i in at.gates.power:
            at.gates.power[at.i] = at.gates.power[at.i] * scale
        average = m.average * scale + shift
        sites = []
        for g, site in enumerate(m.sites):
            value = None if site is None else m.value(g).times(math.sqrt(scale))
            if value is not None and shift:
                at.gates.parts[at.i, g] = {0: 0}
                value = Sum.of((value,), shift, shift).value()
            sites.append(value)
        return replace(m, values=m.values * scale + shift, cov_far=m.cov_far * scale + shift,
                       corr_site=(m.cov_site * scale + shift) / average, sites=tuple(sites))

    def even(self, at: Before, inputs: Sequence[Moments]) -> list[Even]:
        if not at.op.gate:
            return super().even(at, inputs)
        lefts = [one.left * self.spares(at) for one, in at.below(at.gates.even, Even())]
        return [Even(left, left, (at.i, g) if left != 1 else None) for g, left in enumerate(lefts)]

    def along(self, at: Before, inputs: Sequence[Moments]) -> list[Along]:
        below = super().along(at, inputs)
        if not at.layer.through_statistics:
            return below
        channels, _ = self.shared_by(at.layer, at.graph.channels[at.i], at.graph.ndim)
        return [through_norm(one, channels) for one in below]

    def assumptions(self, op: Linear) -> tuple[Assumption, ...]:
        return (Assumption.NORM_STATISTICS,)

    def key(self, at: Before) -> tuple[str, int]:
        """What it normalises over."""
        return at.layer.op, 1

    def again(self, at: Before, m: Moments) -> bool:
        """Whether the values are normalised by the same statistics already: then these do not fluctuate."""
        again = np.array(self.again_in(at, m) if m.normed else [False])
        if again.any() and (again.all() or self.shared_by(at.layer, at.graph.channels[at.i], m.ndim)[0] == 1):
            at.gates.idle[at.i] = again
        return bool(again.all())

    def again_in(self, at: Before, m: Moments) -> list[bool]:
        """The same of each channel group, for norms of single channels."""
        return [norm == self.key(at) for norm in m.normed or (None,) * len(m.cov_far)]

    def shared_by(self, layer: Any, channels: int, ndim: int) -> tuple[int, int]:
        """Channels of one site, and images, that share statistics; no images where gradients do not pass them."""
        return channels, 1

    def spares(self, at: Before) -> float:
        """What is left of the power of a gradient that is the same at all sites."""
        return 1.0

    def mean_factor(self, at: Below, factor: Factor) -> Factor:
        return super().mean_factor(at, factor).times(self._affine_at(at)[0]**-0.5)


class MapNormRule(NormRule):
    """Base of those whose statistics are taken over the map, if gradients pass them.

    Of n numbers that share statistics each loses its parts along their mean and along the values, 1 / n of its power
    for each, twice, as both act on the gradient and its square; what is taken away spreads evenly over the n.  The
    half that comes from the mean is the same everywhere, and mostly ends at the next such norm further down.
    """

    def key(self, at: Before) -> tuple[str, int]:
        return "map", math.prod(self.shared_by(at.layer, at.graph.channels[at.i], at.graph.ndim)) or -1

    @staticmethod
    def few(each: int, sizes: Sizes) -> float:
        """The mean of 1 / variance over that of many values, where `each` site of a map has so many."""
        if None in sizes:
            return 1.0
        count = each * math.prod(sizes)
        if count <= 3:
            raise NotImplementedError(f"over {count} values the mean of 1 / variance does not exist; take a larger "
                                      "image or fewer groups, or use erfmath.measure")
        return count / (count - 3)

    @staticmethod
    def patterned(at: Before, m: Moments, normalised: Callable[[], Array]) -> Array:
        """Values over the variance of each channel, where few directions carry it; the gates of taps are noted."""
        readers = at.graph.readers
        powers = []
        for g, way, ratios in m.tilts:
            few = ratios() if [readers[node] for node in way].count(1) == len(way) else None
            if few is not None:
                at.gates.tilts[way[0]] = few.ratios
                powers += [] if few.power is None else [(g, few.own, few.power)]
        if not powers:
            return normalised()
        alone = len(m.cov_far) == 1 and not any(m.lags)
        values = m.values if alone else normalised()
        found = values[lag_zero(m.lags)].copy()
        for g, own, power in powers:
            found[g] = m.second[g] * (own / m.average[g]) + power
        if not any(m.lags):
            return found.reshape(m.values.shape)
        # A mean taken off where little is left may leave less than nothing: such a site has no neighbours.
        pairs = values * m.products(np.sqrt(ratio(found, np.maximum(values[lag_zero(m.lags)], 0))), m.lags)
        pairs[lag_zero(m.lags)] = found
        return pairs

    def spares(self, at: Before) -> float:
        k, images = self.shared_by(at.layer, at.graph.channels[at.i], at.graph.ndim)
        return 1 - 1 / k if images else 1.0

    def _kept(self, at: Below | Above, sizes: Sizes) -> tuple[Array, Array, Pair, Pair, Pair, int] | None:
        """What is left of a site's power, E[v^2] of the values, and what each site gets of the power of the map.

        The first two are maps per group.  Of the last there are two: what is the same everywhere, and what goes with
        the values, each for gradients of one site and for what two sites have in common; then of both kinds what a site
        loses for each that its gradient is correlated with.  Last, how many values share statistics.  None without
        borders.
        """
        graph, i = at.graph, at.i
        k, images = self.shared_by(graph.layers[i], graph.channels[i], len(sizes))
        idle = at.gates.idle.get(i, np.zeros(1, bool))
        if not images or None in sizes or not at.op.gate or idle.all():
            return None
        sites = math.prod(sizes)
        count = sites * k * images
        fourth = 3 * (count - 1) / (count + 1)  # of a number over the deviation of all
        pair = max((count - fourth - 2) / (count - 1), 0.0) if count > 1 else 0.0  # E[v^2 v'^2] + 2 E[v v'] of two
        left = np.array([one.left for one in at.gates.even.get(graph.sources[i][0], [Even()])])
        level = at.gates.levels[i][(slice(None), *(n // 2 for n in at.gates.levels[i].shape[1:1 + len(sizes)]))]
        numbers = at.gates.steep.get(i, np.ones(1)), 1.0 - idle, left, at.gates.aligned[i]
        steep, takes, _, _ = (each.reshape(-1, *(1,) * len(sizes)) for each in numbers)
        stays = 1 - takes * (2 * (1 + steep * level) / count - (1 + fourth) / count**2)
        steep, takes, left, aligned = (each.reshape(-1, *(1,) * (2 * len(sizes))) for each in numbers)
        even, lost = takes / (count * sites * images), 2 * takes / count
        along = steep * even * pair * aligned, steep * even
        return np.maximum(stays, 0.0), level, (left * even, even), along, (lost, lost * steep), count

    def _pairs(self, at: Below | Above, lags: tuple[int, ...], level: Array, count: float) -> Array:
        """E[g g' v v'] / E[g g'] of pairs of sites, E[g^2 v^2] / E[g^2] at a site being `level`, up to steepness.

        Values add up to zero over all `count` that share statistics.  Gradients that distant sites share go with the
        values although these have nothing in common: a global pool after ReLU hands 1(v > 0) to each site, of which the
        norm takes off its parts E[1(v > 0)] along one and E[1(v > 0) v] along the values.
        """
        known, ndim = at.gates.levels[at.i], len(lags)
        axes, each = tuple(range(1, 1 + ndim)), (slice(None), *(None,) * ndim)
        inner = inside(known.shape[-ndim:], tuple(n // 2 for n in known.shape[1:1 + ndim]))
        mean = ((known * inner).sum(axis=axes) / count)[each]
        pairs = (refit(known, lags, 1) - mean) / np.maximum(1 - ratio(mean, level[each]), 1 / count)
        steep, slant, more = (np.reshape(each, (-1, *(1,) * (2 * ndim))) for each in (
            at.gates.steep.get(at.i, 1.0), *at.gates.slant.get(at.i, (0.0, 0.0))))
        if slant.any() or (steep != 1).any():
            root = np.sqrt(level)
            whole = (root * root.mean(axis=tuple(range(1, 1 + ndim)), keepdims=True))[each]
            rho = ratio(pairs, whole)
            both = slant + rho + (steep * (1 + more) - 1 - slant) * rho**2
            pairs = both / (steep * (1 + slant * rho + (more - slant) * rho**3)) * whole
        pairs[(slice(None), *lags)] = level
        return pairs

    def spreads(self, layer: Any) -> bool:
        return layer.through_statistics

    def spared(self, graph: Graph, i: int, taken: float) -> float:
        sizes = graph.sizes[i]
        count = math.prod(self.shared_by(graph.layers[i], graph.channels[i], len(sizes))) * math.prod(
            n or 0 for n in sizes)
        return 1 / (1 - 2 * taken / count) if count > 2 and i not in graph.norms else 1.0

    def levelled(self, at: Before, m: Moments, values: Array) -> None:
        """Note q of the normalised values, with which gradients that pass statistics go."""
        k, images = self.shared_by(at.layer, at.graph.channels[at.i], m.ndim)
        if images:
            gates, alone, shares = at.gates, [PIXELS] * len(m.sites), at.graph.shares(at.source)
            along, made = gates.along.get(at.source, alone), gates.made.get(at.source, alone)
            found = above_norm(along, made, m.sites, shares, k / at.graph.channels[at.i], k)
            gates.levels[at.i], gates.aligned[at.i], gates.again[at.i] = values, *found

    def number(self, at: Below) -> float | None:
        power = at.gates.power[at.i] if at.op.gate else np.array(at.op.gain**2)
        return power.item() if power.size == 1 and self._kept(at, at.sizes) is None else None

    def backward(self, at: Below, state: Covariance) -> Covariance:
        below = super().backward(at, state)
        kept = self._kept(at, at.sizes)
        if kept is None or not below.bare.size:
            return below
        stays, level, even, along, lost, count = kept
        # What is the same everywhere takes the sum of the gradient, what goes with the values its sum with them.
        whole, axes = below.values, tuple(range(1, below.values.ndim))
        here: Any = (..., *(slice(first, first + n) for first, n in zip(below.start, whole.shape[1 + below.ndim:])))
        every = _every(below.lags, at.sizes)
        if every:  # pairs of sites lose what all have in common, so that nothing of it comes to norms further down
            even = even[1], even[1]
            values = np.zeros((*whole.shape[:1 + below.ndim], *at.sizes))
            values[here] = whole
            whole, here = values, (...,)
            below = replace(below.holding(whole), start=(0,) * below.ndim)
        pairs = self._pairs(at, below.lags, level, count)[here]
        evenly, with_values = ((whole * part * weights).sum(axis=axes) for part, weights in (
            (1.0, by_lag(even, below.lags)), (pairs, by_lag(along, below.lags))))
        middle: Any = (slice(None), *below.lags)
        others = whole * (lost[0] + lost[1] * pairs)
        others[middle] = 0.0
        gone = others.sum(axis=axes[:below.ndim])
        if every:
            rows = of_both(whole.sum(axis=axes[:below.ndim]), below.lags) / count
            inner = inside(whole.shape[-below.ndim:], below.lags)
            rest = whole - lost[0] * count / 2 * inner * (rows - evenly.reshape((-1, *(1,) * (2 * below.ndim))))
            rest[middle] = whole[middle]
            below = below.holding(rest)
        below = below.with_lags(at.lags)
        center: Any = (slice(None), *below.lags)
        each = (-1, *(1,) * (2 * below.ndim))
        spread = np.zeros((*below.values.shape[:1 + below.ndim], *(n or 1 for n in at.sizes)))
        # Neighbours get what goes with the values as these are correlated.
        spread += refit(at.gates.levels[at.i], below.lags, 1) * with_values.reshape(each)
        spread[center] += evenly.reshape(each[:1 + below.ndim])
        values = below.values.copy()
        values[center] = values[center] * stays[here] - gone
        least, alone = -spread[center][here], values[center]
        # What two branches have in common may be negative.
        if below.values[center].min() >= 0 and (short := np.maximum(least - alone, 0.0).sum()) and (
                short > SHORT * (alone - least).sum()):
            # Hardly anything is left: it is not known to first order in 1 / n.
            alone = np.maximum(alone, least)
            values[:] = 0.0
            values[center] = alone
        return below.holding(values).merge(Covariance(spread, (0,) * below.ndim), at.channels[0], False)

    def transpose(self, at: Above) -> Array:
        below = super().transpose(at)
        ndim = at.graph.ndim
        kept = self._kept(at, below.shape[-ndim:])
        if kept is None:
            return below
        stays, level, even, along, lost, count = kept
        center: Any = (slice(None), slice(None), *at.lags)
        alone, axes = below[center], tuple(range(2, 2 + ndim))
        out = below.copy()
        wide = tuple(n // 2 for n in at.input.shape[2:2 + ndim])
        levels = refit(at.gates.levels[at.i] * at.gates.power[at.i], wide, 1)
        with_values = (at.input * levels).sum(axis=tuple(range(2, 2 + 2 * ndim)))
        both = with_values.reshape(*with_values.shape, *(1,) * (2 * ndim))
        inner = inside(below.shape[-ndim:], at.lags)
        total = alone.sum(axis=axes).reshape(both.shape)
        others = self._pairs(at, at.lags, level, count) * inner
        if _every(at.lags, below.shape[-ndim:]):
            even, apart = (even[1], even[1]), below * inner
            apart[center] = 0.0
            of_rows = np.stack([of_both(one, at.lags) for one in apart.sum(axis=axes[:ndim])])
            out -= lost[0] / 2 * of_rows * inner
            total = total + apart.sum(axis=tuple(range(2, 2 + 2 * ndim))).reshape(both.shape)
        out += by_lag(along, at.lags) * others * both + by_lag(even, at.lags) * total * inner
        lags: Any = (slice(None), slice(None), *(None,) * ndim)
        fallen = alone[lags] * (lost[0] + lost[1] * others) * inner
        fallen[center] = alone * (1 - stays)
        out -= fallen
        return out


def _every(lags: tuple[int, ...], sizes: Sizes) -> bool:
    """Whether so many lags are those of all pairs of sites."""
    return all(h >= n - 1 for h, n in zip(lags, sizes))


@rule_for(BatchNorm)
class BatchNormRule(MapNormRule):
    """Less the mean of each channel, over its deviation, both taken over inputs and the map.

    Of n independent values the mean of 1 / variance is n / (n - 3) of that of many: it matters after a global pool.
    """

    centres_far = True
    fields = frozenset({"mode", "scale_var", "shift_var"})

    def scales_all(self, layer: Layer, channels: int, ndim: int) -> bool:
        return True

    def commutes(self, layer: Layer, ndim: int, phi: Function) -> bool:
        return layer.is_identity

    def lower(self, layer: Any, sizes: Sizes, c_in: int, c_out: int) -> Linear:
        if layer.is_gate:
            return super().lower(layer, sizes, c_in, c_out)
        return Linear(gain=math.sqrt(self.affine(layer)[0]))

    def keeps_factor(self, op: Linear, mean: bool) -> bool:
        return super().keeps_factor(op, mean) and op.gain == 1

    def key(self, at: Before) -> tuple[str, int]:
        return at.layer.op, BATCH

    def shared_by(self, layer: Any, channels: int, ndim: int) -> tuple[int, int]:
        return 1, BATCH if layer.through_statistics else 0

    def given(self, layer: Any, weights: Any, ndim: int, c_in: int, c_out: int) -> tuple[Linear, Norm | None]:
        """Scale, shift, mean and variance per channel, shape (4, channels)."""
        array = np.asarray(weights, dtype=float)
        if array.shape != (4, c_out) or not np.isfinite(array).all():
            raise ValueError(f"weights: an array of shape {array.shape}; must be scale, shift, mean and variance, "
                             f"of shape (4, {c_out})")
        if array[3].min() <= 0:
            raise ValueError("weights: variances of a batch norm must be positive")
        scale, shift, _, variance = array
        norm = Norm(float((scale**2 / variance).mean()), float((scale**2).mean()), float((shift**2).mean()))
        return Linear(gate=True), norm

    def assumptions(self, op: Linear) -> tuple[Assumption, ...]:
        return (Assumption.BATCH_STATISTICS,) if op.gate else ()

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        if not at.op.gate:
            return self._frozen(at, super().forward(at, inputs))
        m, i = inputs[0], at.i
        parts = []
        for q, c, site in zip(m.average.tolist(), m.cov_far.tolist(), m.cov_site.tolist()):
            c = min(c, site)  # no pair shares more than a site
            if q - c <= max(1e-9 * q, LEAST):
                raise ValueError("batch norm of values that do not vary between inputs or sites: the variance is zero, "
                                 "or too small for floats; give input_moments with E[x x'] below E[x^2]")
            parts.append((q, c, q - c, site))
        once = 1.0 if self.again(at, m) else self.few(BATCH, at.graph.sizes[i])
        fluctuate = [1.0 if idle else once for idle in self.again_in(at, m)] if m.normed else [once] * len(parts)
        at.gates.power[i] = m.per_pair(np.array([more / own for more, (_, _, own, _) in zip(fluctuate, parts)]))
        values = self.patterned(at, m, lambda: self._centred(m, parts))
        known = self._by_pairs(at, m)
        if m.coupled and not m.wraps:
            self._patterned_maps(at, m, parts, known)
        if at.source in at.gates.images and i not in at.graph.norms and not any(self.again_in(at, m)):
            values = self._of_images(at, m, values)
        if m.coupled and max([(site - c) / own for _, c, own, site in parts]) > PATTERNED or (
                any([one is not None and patterns.at_one_place(m, one) > PATTERNED for one in known])):
            at.gates.patterned.add(i)
        self.levelled(at, m, values)
        # Where it is steep something may have to be cut off: c is an average, its fall is not exact, nor are floats.
        cut = np.minimum.reduce(values[lag_zero(m.lags)], axis=None) < 0
        if cut:
            values[lag_zero(m.lags)] = np.maximum(values[lag_zero(m.lags)], 0.0)
        sites = m.sites if m.gaussian else tuple(
            None if site is None else _standardised(m.value(g), parts[g][2]) for g, site in enumerate(m.sites))
        if i in at.graph.norms:
            norm = at.graph.norms[i]
            at.gates.power[i] = np.full(at.gates.power[i].shape, norm.gain)
            cov_far = np.full(len(parts), norm.shift)
            values = values * norm.scale + norm.shift
            corr_site = cov_far / ((norm.scale + norm.shift) or 1.0)
            return Moments(values, cov_far, corr_site, (None,) * len(parts), m.wraps)
        nothing = np.zeros(len(parts))
        after = Moments(values, nothing, nothing, sites, m.wraps)
        vars(after).update(average=after.mean(after.second) if cut else nothing + 1.0, lags=m.lags, coupled=False)
        if not (m.gaussian or m.wraps) and m.common is not None:
            offset = (m.common_map - 1) * m.per_site(m.means / np.sqrt([own for _, _, own, _ in parts]))
            offset[np.abs(offset) <= SMALL] = 0.0
            if offset.any():
                vars(after)["offset"] = offset
        return self.scaled(at, after)

    @staticmethod
    def _patterned_maps(at: Before, m: Moments, parts: Sequence[Part], known: Known) -> None:
        """More power where the maps of Gaussian channels are patterns that are not `known`."""
        few = [of_patterns(q, site, c, 2 * m.ndim) if one is value is None and c and site - c > WEAK * own else 1.0
               for (q, c, own, site), value, one in zip(parts, m.sites, known)]
        for g, (node, *_), _ in m.tilts:
            if node in at.gates.tilts and m.sites.count(None):
                few[g] /= at.gates.tilts[node].mean()
        if few.count(1.0) < len(few):
            at.gates.power[at.i] = at.gates.power[at.i] * m.per_pair(np.maximum(few, 1.0))

    @staticmethod
    def _of_images(at: Before, m: Moments, values: Array) -> Array:
        """Values less what goes with few directions, and the gain with what their fluctuations make of it."""
        known = at.gates.images[at.source]
        gain, left = images.through_batch_norm(known, at.graph.sizes[at.i], BATCH)
        at.gates.power[at.i] = at.gates.power[at.i] * gain
        at.gates.images[at.i] = left
        if not any(m.lags):
            return values
        change = left.within - known.within / known.variance
        here = tuple(slice(max(n // 2 - h, 0), n // 2 + h + 1) for n, h in zip(change.shape, m.lags))
        return values + refit(change[here], m.lags, 0)[(None, ..., *(None,) * m.ndim)] * (values != 0)

    def images(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Images | None:
        known = at.gates.images.get(at.i)
        if known is None or not at.op.gate:
            return None if at.op.gate else super().images(at, inputs, after)
        return known.times(self._affine_at(at)[0])

    def _by_pairs(self, at: Before, m: Moments) -> Known:
        """Take the gain of a group from what any two sites have in common, where that is followed; what is left."""
        known = list(at.shared())
        if at.source not in at.gates.shared or at.i in at.graph.norms:
            return (None,) * len(known)
        scene = at.gates.images.get(at.source)
        tilts = {g: at.gates.tilts[node].mean() for g, (node, *_), _ in m.tilts if node in at.gates.tilts and (
            scene is None or scene.normed is None)}  # directions of pixels come on top of patterns
        for g, (one, idle) in enumerate(zip(known, self.again_in(at, m))):
            if one is not None and not idle:
                known[g], gain = patterns.through_batch_norm(m, one, BATCH, g)
                at.gates.power[at.i][g] = gain / tilts.get(g, 1.0) or at.gates.power[at.i][g]
        at.gates.shared[at.i] = tuple(known)
        return tuple(known)

    def shared(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Known:
        known, (scale, shift) = at.gates.shared.get(at.i, (None,) * len(after.sites)), self._affine_at(at)
        if not at.op.gate:
            known, scale = super().shared(at, inputs, after), 1.0
        return tuple([None if one is None else one if scale == 1 and not shift else one * scale + shift
                      for one in known])

    @staticmethod
    def _centred(m: Moments, parts: Sequence[Part]) -> Array:
        """Values less the mean of each channel, over its deviation."""
        # E[v(x) mean] falls towards borders: less of the mean is in the values near one.
        if any(m.lags):
            cov_far, spread = (m.per_pair(np.array([part[n] for part in parts])) for n in (1, 2))
            shared: Any = 1.0  # p + p' - 1, in pairs
            low = m.wraps and not m.gaussian and bool((m.second < m.per_site(m.cov_far)).any())
            p = m.falling(m.deviation) if low else m.common_map  # phases of less than the mean have a lower one
            if low or not m.wraps or (m.gaussian and p.size > len(p)):  # filters leave it the same in all phases
                shared = m.products(p, m.lags) - m.products(p - 1, m.lags)
            return (m.values - cov_far * shared) / spread
        each: Any = parts[0] if len(parts) == 1 else [m.per_site(np.array(numbers)) for numbers in zip(*parts)]
        q, c, own, _ = each
        values = m.second * ((1 - 2 * c / q if m.common is None else 1.0) / own)
        if m.common is not None:
            values -= m.common() * (2 * c / own)
        values += c / own
        return values.reshape(m.values.shape)

    def _frozen(self, at: Before, m: Moments) -> Moments:
        """As the identity: the scale is the layer's gain already."""
        shift = self.affine(at.layer)[1]
        if not shift:
            return m
        sites = tuple(None if site is None else Sum.of((m.value(g),), shift, shift).value()
                      for g, site in enumerate(m.sites))
        at.gates.parts.update({(at.i, g): {0: 0} for g, site in enumerate(sites) if site is not None})
        return replace(m, values=m.values + shift, cov_far=m.cov_far + shift,
                       corr_site=(m.cov_site + shift) / (m.average + shift), sites=sites)

    def mean_factor(self, at: Below, factor: Factor) -> Factor:
        return super().mean_factor(at, factor) if at.op.gate else factor


@rule_for(LayerNorm)
class LayerNormRule(NormRule):
    """Each site by itself: less the mean over its channels, over their deviation.

    The variance of C channels fluctuates; with the gradient's parts along their mean and along themselves, which are
    lost, the gain is (C - 2) / (C - 3) of that of many channels where values are Gaussian.
    """

    fields = frozenset({"scale_var", "shift_var"})
    centres = True

    def scales_all(self, layer: Layer, channels: int, ndim: int) -> bool:
        return True

    def _few(self, at: Before, m: Moments, share: Array) -> float:
        """The gain over that of many channels."""
        count = at.graph.channels[at.i]
        free = count - self.centres
        unit = math.sqrt(float(share @ m.average)) or 1.0  # fourth powers of small values are below floats
        mean = float(share @ m.means) / unit * self.centres
        more = over_few(free, share.tolist(), [
            kind_of(None if site is None else m.value(g), float(m.average[g]), mean, unit)
            for g, site in enumerate(m.sites)])
        if more is None:
            raise NotImplementedError(f"{at.graph.names[at.i]}: over {count} channels the mean of 1 / variance "
                                      "does not exist; take more channels, or use erfmath.measure")
        return (count - 1 - self.centres) / free * more

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        m, share, lags = inputs[0], np.asarray(at.graph.shares(at.i)), at.lags
        means = m.means * self.centres
        centres = bool(means.any())
        spread = np.dot(share, m.second.reshape(len(share), -1)).reshape(1, *m.second.shape[1:])
        if centres:
            own = m.mean_map
            mean = np.tensordot(share, own, 1)[None]
            spread = spread - mean**2
        if not spread.max(initial=0.0) > LEAST:
            raise ValueError("norm of values that do not vary over the channels: their variance is zero, or too "
                             "small for floats")
        root = np.divide(1, np.sqrt(spread), out=np.zeros(spread.shape), where=spread > 0)
        power = np.repeat(m.products(root, lags), len(m.cov_far), axis=0)
        power[lag_zero(lags)] *= 1.0 if self.again(at, m) else self._few(at, m, share)
        at.gates.power[at.i] = power
        values, q, near = m.values, m.average, m.cov_site
        cov_far = ratio(m.cov_far, m.level * q) * m.mean(root * m.deviation)**2  # over sqrt(q q')
        if centres:  # less the mean over all channels, from which that of a group may differ
            values = values - (m.products(own, m.lags) - m.products(own - mean, m.lags))
            cov_far -= m.mean(own * root)**2 - (m.mean(own * root) - (mean * root).mean())**2
            square = m.mean(own * own - (own - mean)**2)
            q, near = q - square, near - square
        scale = float(ratio(1.0, np.sqrt(max(float(spread.mean()), 0.0))))
        sites = tuple(None if site is None else m.value(g).times(scale, -float(share @ means) * scale)
                      for g, site in enumerate(m.sites))
        return self.scaled(at, Moments(values * m.products(root, m.lags), cov_far, ratio(near, q), sites, m.wraps))


@rule_for(RMSNorm)
class RMSNormRule(LayerNormRule):
    """Each site by itself, over the root of its mean square over channels."""

    fields = frozenset({"scale_var"})
    centres = False


@rule_for(GroupNorm, InstanceNorm)
class GroupNormRule(MapNormRule):
    """Over the sites of an image and the channels of a group; the gradient passes their statistics, too.

    With k channels a group, m the mean and c the covariance of distant sites, values vary within a group by
    s^2 = q - c + (c - m^2) t / k, t the chi-square variable of k - 1 freedoms that the channels' means make.
    """

    fields = frozenset({"groups", "scale_var", "shift_var"})

    def shared_by(self, layer: Any, channels: int, ndim: int) -> tuple[int, int]:
        return channels // layer.group_count(channels, ndim), 1

    def lags_below(self, op: Linear, lags: tuple[int, ...]) -> tuple[int, ...]:
        """What goes with the values is correlated as these are, and mostly between neighbours."""
        return tuple(max(NEAR, lag) for lag in lags)

    def scales_all(self, layer: Layer, channels: int, ndim: int) -> bool:
        return self.shared_by(layer, channels, ndim)[0] == channels

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        m = inputs[0]
        k, _ = self.shared_by(at.layer, at.graph.channels[at.i], m.ndim)
        again = self.again(at, m)
        inverse, taken, rest, mean = within_groups(m, at.graph.labels[at.i].reshape(-1, k), fluctuates=not again)
        fluctuates = 1.0 if again else np.where(at.gates.idle.get(at.i, False), 1.0, self.few(k, at.graph.sizes[at.i]))
        at.gates.power[at.i] = m.per_pair(inverse * fluctuates)
        # The mean of a channel is the same everywhere; what a site has of it follows the q map (as for batch norm).
        p = m.second / m.per_site(m.average)
        level = m.products(p, m.lags) - m.products(p - 1, m.lags)
        centred = m.values * m.per_pair(inverse) + m.per_pair(rest - taken) * level
        values = self.patterned(at, m, lambda: centred) if k == 1 else centred
        values[lag_zero(m.lags)] = np.maximum(values[lag_zero(m.lags)], 0.0)
        self.levelled(at, m, values)
        cov_far = m.cov_far * inverse - taken + rest
        corr_site = ratio(m.cov_site * inverse - taken + rest, m.average * inverse - taken + rest)
        sites = tuple(None if site is None else _standardised(m.value(g), 1 / inverse[g]) if k == 1 else
                      m.value(g).times(inverse[g]**0.5, -mean[g] * inverse[g]**0.5) for g, site in enumerate(m.sites))
        return self.scaled(at, Moments(values, cov_far, corr_site, sites, m.wraps))


def _standardised(value: Value, spread: float) -> Value:
    """Less the mean of each channel, over its deviation.

    Factors that a channel has in common (squeeze and excite) are in both, so that the other factor is as before.
    """
    if isinstance(value.source, FewTerms) and all(isinstance(step, Affine) for step in value.steps):
        return value.source.standardised().value()
    if np.ptp(value.rows[0]) <= 1e-12 * math.sqrt(spread) or isinstance(
            value.source, Product) and value.source.lasting:
        return value.times(spread**-0.5, -value.mean * spread**-0.5)
    return Standardised.of(value).value()
