"""Layers that pick, order or rearrange channels (docs/theory.md, section on channels)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...layers import Activation, Layer, PixelShuffle, PixelUnshuffle, Shuffle, Slice, Softmax
from ...results.assumptions import Assumption
from ..memory import remembered, replace
from ..sweep import groups, patterns
from ..sweep.covariance import MIXED, Covariance
from ..sweep.factor import Factor
from ..sweep.groups import Labels
from ..sweep.lowering import SAMPLE, Linear, box
from ..sweep.moments import Common, Moments, at as lag_zero, in_parts, ratio
from ..sweep.pairs import cut_pairs, select_lags
from ..sweep.patterns import Known
from ..sweep.taps import Array
from ..sweep.values import Gaussian
from . import functions
from .base import Rule, rule_for
from .context import Above, Before, Below

__all__ = ["PixelShuffleRule", "PixelUnshuffleRule", "ShuffleRule", "SliceRule", "SoftmaxRule"]

Sizes = tuple[int | None, ...]


class _Moved(Rule):
    """Base of layers whose channels are those of the input in another order, or a part of them."""

    moves = True

    def walk_gain(self, op: Linear, mean: bool) -> float | None:
        return None

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        return inputs[0].with_lags(at.want).of_groups(at.graph.owners[at.i][0][0])

    def backward(self, at: Below, state: Covariance) -> Covariance:
        refuse_mixed(at, state)
        return replace(state.into_groups(at.owner, len(at.graph.groups[at.j])), uniform=None)

    def factor(self, at: Below, factor: Factor) -> Factor:
        read = at.graph.reads(at.i, at.edge.slot)[0]
        values = np.zeros((len(factor.values), at.channels[0], *factor.values.shape[2:]))
        values[:, read] = factor.values
        return replace(factor, values=values)

    def transpose(self, at: Above) -> Array:
        return at.with_lags(at.input[:, at.graph.owners[at.i][0][0]])


def refuse_mixed(at: Below, state: Covariance) -> None:
    """Refuse to part channels that a deterministic layer has tied."""
    if state.mixing == MIXED or (state.mixing and at.j in at.plan.ones):
        raise NotImplementedError(f"{at.graph.name(at.i)} ({at.layer.kind}): channels are parted between deterministic "
                                  f"layers that mix them: {SAMPLE}")


@rule_for(Slice)
class SliceRule(_Moved):
    """Some channels: the others get no gradient."""

    fields = frozenset({"start", "stop"})

    def reads(self, layer: Any, slot: int, incoming: Sequence[int], channels: int, ndim: int) -> Labels:
        return np.arange(layer.start, layer.stop)[None]


@rule_for(Shuffle)
class ShuffleRule(_Moved):
    """Channels in another order."""

    fields = frozenset({"groups"})

    def commutes(self, layer: Layer, ndim: int, phi: functions.Function) -> bool:
        return True

    def reads(self, layer: Any, slot: int, incoming: Sequence[int], channels: int, ndim: int) -> Labels:
        return np.asarray(layer.channel_reads([np.arange(channels)], channels, ndim))


@rule_for(Softmax)
class SoftmaxRule(Rule):
    """g = sigmoid(z - log of the sum of the others' exponentials), as if that were Gaussian, too.

    Exact for two parts.  The power of the gradient that passes to all logits is exact for any number.
    """

    fields = frozenset({"parts"})
    compares = True

    def reads(self, layer: Any, slot: int, incoming: Sequence[int], channels: int, ndim: int) -> Labels:
        return np.asarray(layer.channel_reads([np.arange(channels)], channels, ndim))

    def assumptions(self, op: Linear) -> tuple[Assumption, ...]:
        return (Assumption.SMALL_LOGITS,)

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        m, parts = inputs[0], at.layer.parts  # type: ignore[attr-defined]
        if any(site is not None for site in m.sites) or len(m.sites) > 1:
            raise NotImplementedError(f"{at.graph.name(at.i)} ({at.layer.kind}): logits other than what one random "
                                      f"layer puts out: {SAMPLE}")
        phi, more = _share(parts, float(m.average[0]))
        q, near = m.average * more, functions.cross(phi, m.average * more, m.corr_site)
        far = functions.cross(phi, q, ratio(m.cov_far, m.average * m.level))
        site = Gaussian.of(float(q[0]), float(m.cov_site[0]) * more).value().through(phi)
        at.gates.power[at.i] = m.per_pair(np.array([_passed(parts, float(m.average[0]))]))
        values, second = m.products(np.ones(m.second.shape), at.want), functions.second(phi, q)
        if any(at.want):
            alike = functions.cross(phi, m.per_site(q), m.correlations(at.want))
            values = alike[(..., *(None,) * m.ndim)] * values
        values[lag_zero(at.want)] = second.reshape(-1, *(1,) * m.ndim)
        return Moments(values, far, ratio(near, second), (site,), m.wraps)


@remembered(64, lasting=False)
def _share(parts: int, q: float) -> tuple[functions.Function, float]:
    """The share of a part as a function of one Gaussian, and the variance of that over q.

    The sum of the others' exponentials is taken to be log-normal (Fenton), which it is for two parts.
    """
    if parts == 1:
        return functions.Function(np.ones_like, np.zeros_like), 1.0
    spread = math.log1p(math.expm1(min(q, 700.0)) / (parts - 1))
    middle = math.log(parts - 1) + (q - spread) / 2
    z, weights = functions.normal_points(256, 0.1)
    part = functions.function(Activation("sigmoid"))
    scale = 1 / (parts * float(weights @ part.value(math.sqrt(q + spread) * z - middle)))  # they add up to 1
    return (functions.Function(lambda z: scale * part.value(z - middle), lambda z: scale * part.slope(z - middle)),
            1 + spread / q if q else parts / (parts - 1))


@remembered(64, lasting=False)
def _passed(parts: int, q: float) -> float:
    """E[g^2 ((1 - g)^2 + sum of the others' squares)], for logits of variance q: the power that passes to all of them.

    With 1 / S^n as the integral of t^(n - 1) exp(-t S) / (n - 1)! over t, S the sum of exponentials, expectations are
    products of those of one logit.
    """
    if parts == 1:
        return 0.0
    root, (z, weights) = math.sqrt(q), functions.normal_points(256, 1.0)
    reach = 9 * root
    t = np.linspace(-reach - math.log(parts) - 18, reach + 6, 64 + math.ceil(20 * reach))  # its logarithm
    x = np.minimum(t[:, None] + root * z, 700.0)
    decay = np.exp(x)
    of = [np.exp(n * x - decay) @ weights for n in range(5)]  # E[(t e^z)^n exp(-t e^z)]
    second, third, fourth, pair = ((t[1] - t[0]) / math.gamma(n) * float(one @ of[0]**(parts - m)) for n, one, m in (
        (2, of[2], 1), (3, of[3], 1), (4, of[4], 1), (4, of[2]**2, 2)))
    return second - 2 * third + fourth + (parts - 1) * pair


# ---------------------------------------------------------------------------------------------
# between channels and sites
# ---------------------------------------------------------------------------------------------

class _Phased(_Moved):
    """Base of layers between r x ... x r channels of a site and as many sites of a channel, its phases."""

    fields = frozenset({"scale"})

    def commutes(self, layer: Layer, ndim: int, phi: functions.Function) -> bool:
        return True

    def lower(self, layer: Layer, sizes: Sizes, c_in: int, c_out: int) -> Linear:
        # As taps of equal variances: lags pass without mixing, and so does the total power.
        return Linear(box(layer.geometry(len(sizes))), variances=True)

    def reads(self, layer: Any, slot: int, incoming: Sequence[int], channels: int, ndim: int) -> Labels:
        return np.asarray(layer.channel_reads([np.arange(incoming[0])], channels, ndim))

    @staticmethod
    def phases(op: Linear) -> Iterator[tuple[int, ...]]:
        """All phases, row by row, as channels count them."""
        return itertools.product(*(range(taps.geometry[0].stride) for taps in op.taps))

    @staticmethod
    def strides(op: Linear) -> tuple[int, ...]:
        """Phases along each axis."""
        return tuple(taps.geometry[0].stride for taps in op.taps)


def _every(strides: Sequence[int], first: Sequence[int]) -> Any:
    """Index of sites first, first + stride, ... along the last axes."""
    return (..., *(slice(f, None, s) for f, s in zip(first, strides)))


def _upto(extent: Sequence[int]) -> Any:
    """Index of the first sites along the last axes."""
    return (..., *(slice(0, n) for n in extent))


def _coarse(values: Array, start: tuple[int, ...], strides: tuple[int, ...], phase: tuple[int, ...]
            ) -> tuple[Array, tuple[int, ...]]:
    """The sites s x + phase of a lattice along the last axes."""
    first = [(p - a) % s for a, s, p in zip(start, strides, phase)]
    begin = tuple((a + f - p) // s for a, s, p, f in zip(start, strides, phase, first))
    return values[_every(strides, first)], begin


def _lags_of_phases(values: Array, first: int, op: Linear, lags: tuple[int, ...], coarser: bool) -> Array:
    """Lags tau of the coarse lattice from lags s tau of the fine one, or the other way; from axis `first` on."""
    for axis, taps in enumerate(op.taps):
        g = taps.geometry[0]._replace(transposed=coarser)
        values = select_lags(values, first + axis, g, values.shape[first + axis] // 2, lags[axis])
    return values


@rule_for(PixelShuffle)
class PixelShuffleRule(_Phased):
    """Channels of a site become sites of a channel: sites of different phases are of different channels below."""

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        m, op, strides = inputs[0], at.op, self.strides(at.op)
        owner, extent, means = at.graph.owners[at.i][0], at.extents[at.i], m.means
        sites = tuple(m.sites[k] for k in owner[0])
        if any(m.sites[k] is not m.sites[here] for row in owner for k, here in zip(row, owner[0])):
            raise NotImplementedError(f"{at.graph.name(at.i)} ({at.layer.kind}): the channels of a block are of "
                                      f"different distributions: {SAMPLE}")
        whole, ndim = extent == (1,) * m.ndim, m.ndim
        shape = *(2 * h + 1 for h in at.want), *extent
        values = np.zeros((owner.shape[1], *shape))
        coarse = _lags_of_phases(m.with_lags(tuple(h // s for h, s in zip(at.want, strides))).values, 1, op, at.want,
                                 coarser=False)
        for phase, k in zip(self.phases(op), owner):
            index: Any = ... if whole else _every(strides, phase)
            values[index] += coarse[k] / (len(owner) if whole else 1)
        if means.any() and any(at.want):  # sites of different phases have their means in common
            multiple = np.ones(shape[:ndim], bool)
            for axis, s in enumerate(strides):
                tau = np.abs(np.arange(-at.want[axis], at.want[axis] + 1)) % s == 0
                multiple &= tau.reshape([-1 if a == axis else 1 for a in range(ndim)])
            values[:, ~multiple] = m.products(self._level(at, m), at.want)[:, ~multiple]
        count, means = len(owner), m.mean(m.level_map) * means
        apart = means[owner].sum(axis=0)**2 - (means[owner]**2).sum(axis=0)  # of sites of different phases
        q, cov_far, cov_site = (per_group[owner].sum(axis=0) for per_group in (m.average, m.cov_far, m.cov_site))
        if self._one_channel(at):  # an unshuffled map: all its sites have in common what they had
            if any(at.want):
                raise NotImplementedError(f"{at.graph.name(at.i)} ({at.layer.kind}): neighbours of a map that was "
                                          f"unshuffled with no random layer between: {SAMPLE}")
            return Moments(values, cov_far / count, ratio(cov_site, q), sites, m.wraps)
        after = Moments(values, (cov_far + apart) / count**2, ratio(cov_site, q), sites, m.wraps)
        return after.with_common(functools.partial(self._common, at, m, means)) if after.coupled else after

    def _common(self, at: Before, m: Moments, means: Array) -> Array:
        """What distant sites have in common: those of a site's phase what they had, others their `means`."""
        found, owner = self._level(at, m), at.graph.owners[at.i][0]
        far, total = m.common_map * m.per_site(m.cov_far), means[owner].sum(axis=0)
        for phase, k in zip(self.phases(at.op), owner):
            here = _every(self.strides(at.op), phase)
            found[here] = far[k] + found[here] * m.per_site(total - means[k])
        return in_parts(found)

    def _level(self, at: Before, m: Moments) -> Array:
        """Means of the sites of each channel group, which fall towards borders; on the plane over all phases."""
        owner, extent = at.graph.owners[at.i][0], at.extents[at.i]
        whole, means = extent == (1,) * m.ndim, m.level_map * m.per_site(m.means)
        level = np.zeros((owner.shape[1], *extent))
        for phase, k in zip(self.phases(at.op), owner):
            level[... if whole else _every(self.strides(at.op), phase)] += means[k] / (len(owner) if whole else 1)
        return level

    def shared(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Known:
        """Sites of one phase have what they had below; those of two have their means."""
        known, owner, extent = at.gates.shared.get(at.source), at.graph.owners[at.i][0], at.extents[at.i]
        if known is None or max(extent) > patterns.APART or self._one_channel(at):
            return (None,) * len(after.sites)
        lines = [np.repeat(np.eye(n), s, axis=0) for n, s in zip(at.extents[at.source], self.strides(at.op))]
        phase = np.zeros(extent, int)
        for n, place in enumerate(self.phases(at.op)):
            phase[_every(self.strides(at.op), place)] = n
        levels, phase = self._level(at, inputs[0]).reshape(len(after.sites), -1), phase.ravel()
        found: list[Array | None] = []
        for level, below in zip(levels, owner.T):
            alone = {k: known[k] for k in set(below.tolist())}
            if any(one is None for one in alone.values()):
                found.append(None)
                continue
            pairs = np.multiply.outer(level, level)
            for k, one in alone.items():
                here = (phase[:, None] == phase) & (below[phase] == k)
                pairs[here] = patterns.through_filter(lines, one)[here]
            found.append(pairs)
        return tuple(found)

    @staticmethod
    def _one_channel(at: Before) -> bool:
        """Whether the channels of a block come from the same channel of a random layer."""
        reads = at.graph.reads(at.i, 0)
        return len(reads) > 1 and any(
            channels is not None and bool(((channels[reads] == channels[reads[0]]) & (channels[reads] >= 0)).all())
            for channels in at.depends_on[at.source].roots.values())

    def backward(self, at: Below, state: Covariance) -> Covariance:
        refuse_mixed(at, state)
        total, op = None, at.op
        for phase, owner in zip(self.phases(op), at.graph.owners[at.i][at.edge.slot]):
            values, start = _coarse(_lags_of_phases(state.values, 1, op, at.lags, coarser=True), state.start,
                                    self.strides(op), phase)
            values, start = cut_pairs(values.copy(), start, at.sizes, tuple(range(state.ndim)))
            part = Covariance(groups.collected(values, owner, len(at.graph.groups[at.j])), start)
            if values.size:
                total = part if total is None else total.merge(part, at.channels[0], False)
        return part if total is None else replace(total, mixing=state.mixing)

    def factor(self, at: Below, factor: Factor) -> Factor:
        total: Any = None
        for phase, read in zip(self.phases(at.op), at.graph.reads(at.i, at.edge.slot)):
            part, start = _coarse(factor.values, factor.start, self.strides(at.op), phase)
            if total is not None and not part.size:
                continue
            values = np.zeros((len(part), at.channels[0], *part.shape[2:]))
            values[:, read] = part
            total = Factor(values, start) if total is None else total + Factor(values, start)
        return total

    def transpose(self, at: Above) -> Array:
        strides, coarse = self.strides(at.op), at.input
        coarse = _lags_of_phases(coarse, 2, at.op, at.lags, coarser=False)
        owner = at.graph.owners[at.i][0]
        extent = tuple(n * s for n, s in zip(coarse.shape[-len(strides):], strides))
        out = np.zeros((len(coarse), owner.shape[1], *coarse.shape[2:-len(strides)], *extent))
        for phase, k in zip(self.phases(at.op), owner):
            out[_every(strides, phase)] = coarse[:, k]
        return out


@rule_for(PixelUnshuffle)
class PixelUnshuffleRule(_Phased):
    """Sites of a channel become channels of a site, one group for each phase."""

    def labels(self, layer: Any, op: Linear, incoming: Sequence[Labels], channels: int, ndim: int) -> Labels:
        count = math.prod(self.strides(op))
        phase = np.arange(channels) % count
        return groups.distinct(np.stack([np.repeat(incoming[0], count), phase]))

    def _each(self, at: Before | Below | Above, op: Linear) -> list[tuple[int, tuple[int, ...], int]]:
        """Group, phase, and group of the input."""
        graph, phases = at.graph, list(self.phases(op))
        for axis, taps in enumerate(op.taps):
            if not taps.weights.all():  # all sites of a block count as the one that is left
                left = int(np.argmax(taps.weights))
                phases = [(*phase[:axis], left, *phase[axis + 1:]) for phase in phases]
        _, first = np.unique(graph.labels[at.i], return_index=True)
        return [(g, phases[channel % len(phases)], int(graph.owners[at.i][0][0, g])) for g, channel in enumerate(first)]

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        op, strides, extent = at.op, self.strides(at.op), at.extents[at.i]
        m = inputs[0].with_lags(tuple(h * s for h, s in zip(at.want, strides)))
        fine, each = _lags_of_phases(m.values, 1, op, at.want, coarser=True), self._each(at, op)
        values = np.empty((len(each), *(2 * h + 1 for h in at.want), *extent))
        alone = m.second[0].size == 1
        for g, phase, k in each:
            part = fine[k] if alone else fine[k][_every(strides, phase)]
            values[g] = part[_upto(extent)]
        owner = np.array([k for _, _, k in each])
        cov_far = m.cov_far[owner]
        if not (m.coupled and not alone):
            return Moments(values, cov_far, m.corr_site[owner], tuple(m.sites[k] for k in owner), m.wraps)
        common = np.stack([m.common_map[k][_every(strides, phase)][_upto(extent)] for _, phase, k in each])
        return Moments(values, cov_far * m.mean(common)**2, m.corr_site[owner], tuple(m.sites[k] for k in owner),
                       m.wraps, common=Common.of(functools.partial(in_parts, common)))

    def shared(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Known:
        known, nothing = at.gates.shared.get(at.source), (None,) * len(after.sites)
        if known is None:
            return nothing
        found = list[Array | None](nothing)
        for g, phase, k in self._each(at, at.op):
            lines = [np.eye(n)[p::s][:m] for n, p, s, m in zip(
                at.extents[at.source], phase, self.strides(at.op), at.extents[at.i])]
            found[g] = None if (one := known[k]) is None else patterns.through_filter(lines, one)
        return tuple(found)

    def backward(self, at: Below, state: Covariance) -> Covariance:
        refuse_mixed(at, state)
        op, strides, ndim = at.op, self.strides(at.op), state.ndim
        values = _lags_of_phases(state.values, 1, op, at.lags, coarser=False)
        count = [n * s for n, s in zip(values.shape[1 + ndim:], strides)]
        out = np.zeros((len(at.graph.groups[at.j]), *values.shape[1:1 + ndim], *count))
        for g, phase, k in self._each(at, op):
            out[k][_every(strides, phase)] += values[g]
        start = tuple(a * s for a, s in zip(state.start, strides))
        return Covariance(*cut_pairs(out, start, at.sizes, tuple(range(ndim))), None, state.mixing)

    def factor(self, at: Below, factor: Factor) -> Factor:
        strides, read = self.strides(at.op), at.graph.reads(at.i, at.edge.slot)[0]
        shape = [n * s for n, s in zip(factor.values.shape[2:], strides)]
        values, phases = np.zeros((len(factor.values), at.channels[0], *shape)), list(self.phases(at.op))
        for n, phase in enumerate(phases):
            values[_every(strides, phase)][:, read[n::len(phases)]] = factor.values[:, n::len(phases)]
        return Factor(values, tuple(a * s for a, s in zip(factor.start, strides)))

    def transpose(self, at: Above) -> Array:
        op, strides = at.op, self.strides(at.op)
        fine = _lags_of_phases(at.input, 2, op, at.lags, coarser=True)
        parts = []
        for _, phase, k in self._each(at, op):
            whole = [n // s for n, s in zip(fine.shape[-len(strides):], strides)]
            parts.append(fine[:, k][_every(strides, phase)][_upto(whole)])
        return np.stack(parts, axis=1)
