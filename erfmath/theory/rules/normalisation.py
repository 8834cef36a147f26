"""Normalisations: batch norm and layer norm (equations 40 and 41)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...layers import GRN, BatchNorm, GroupNorm, InstanceNorm, Layer, LayerNorm, RMSNorm
from ...results.assumptions import Assumption
from ..sweep.covariance import Covariance
from ..sweep.lowering import SAMPLE, Linear, Norm
from ..sweep.moments import Moments, at as lag_zero, ratio
from ..sweep.site_distribution import distant
from ..sweep.products import Responsive
from ..sweep.sources import Standardised
from ..sweep.taps import Array
from ..sweep.values import Value
from .base import Rule, rule_for
from .context import Above, Before, Below
from .functions import Function

__all__ = ["BatchNormRule", "LayerNormRule"]


@rule_for(BatchNorm)
class BatchNormRule(Rule):
    """Less the mean of each channel, over its deviation, both taken over inputs and the map."""

    fields = frozenset({"mode"})

    def commutes(self, layer: Layer, ndim: int, phi: Function) -> bool:
        return layer == BatchNorm("identity", name=layer.name)  # type: ignore[attr-defined]

    def refuse_unknown(self, layer: Layer) -> None:
        super().refuse_unknown(layer)
        if getattr(layer, "mode") == "batch":
            raise NotImplementedError(f"mode='batch': {SAMPLE}; mode='data' takes the statistics as constants")

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
        return (Assumption.BATCH_STATISTICS,)

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        if not at.op.gate:
            return super().forward(at, inputs)
        m, i = inputs[0], at.i
        spread, parts = m.average - m.cov_far, list(zip(m.average.tolist(), m.cov_far.tolist()))
        if any(q - c <= 1e-9 * q for q, c in parts):
            raise ValueError("batch norm of values that do not vary between inputs or sites: the variance is zero, "
                             "or too small for floats; give input_moments with E[x x'] below E[x^2]")
        at.gates.power[i] = m.per_pair(1 / spread)
        # E[v(x) mean] follows the q map, p = q / average q: less of the mean is in what stands near a border.
        if any(m.lags):
            p = m.second / m.per_site(m.average)
            shared = m.products(p, m.lags) - m.products(p - 1, m.lags)  # p + p' - 1, in pairs
            values = (m.values - m.per_pair(m.cov_far) * shared) / m.per_pair(spread)
        else:
            values = m.values * m.per_pair((1 - 2 * m.cov_far / m.average) / spread)
            values += m.per_pair(m.cov_far / spread)
        steep = any(2 * c > q for q, c in parts)
        if steep:  # c is an average: its fall is not exact
            values[lag_zero(m.lags)] = np.maximum(values[lag_zero(m.lags)], 0.0)
        sites = tuple(None if site is None else _standardised(m.value(g), s) for g, (site, s) in
                      enumerate(zip(m.sites, spread.tolist())))
        if i in at.graph.norms:
            norm = at.graph.norms[i]
            at.gates.power[i] = np.full(m.per_pair(spread).shape, norm.gain)
            cov_far = np.full(len(spread), norm.shift)
            values = values * norm.scale + norm.shift
            return Moments(values, cov_far, cov_far / (norm.scale + norm.shift), (None,) * len(spread), m.wraps)
        after = Moments(values, np.zeros(len(spread)), np.zeros(len(spread)), sites, m.wraps)
        if not steep:  # nothing was cut off
            vars(after)["average"] = np.ones(len(spread))
        return after


@rule_for(LayerNorm)
class LayerNormRule(Rule):
    """Each site by itself: less the mean over its channels, over their deviation."""

    centres = True

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        m, share, lags = inputs[0], np.asarray(at.graph.shares(at.i)), at.lags
        means = m.means * self.centres
        mean = np.tensordot(share * means, m.level_map, 1)[None]
        spread = np.tensordot(share, m.second, 1)[None] - mean**2
        root = np.divide(1, np.sqrt(spread), out=np.zeros(spread.shape), where=spread > 0)
        at.gates.power[at.i] = np.repeat(m.products(root, lags), len(m.cov_far), axis=0)
        values = (m.values - m.products(mean, m.lags)) * m.products(root, m.lags)
        apart, square = ratio(m.cov_far, m.level * m.average), float((mean**2).mean())  # over sqrt(q q')
        cov_far = apart * m.mean(root * m.deviation)**2 - float((mean * root).mean())**2
        corr_site = ratio(m.cov_site - square, m.average - square)
        scale = float(ratio(1.0, np.sqrt(max(float(spread.mean()), 0.0))))
        sites = tuple(None if site is None else m.value(g).times(scale, -float(share @ means) * scale)
                      for g, site in enumerate(m.sites))
        return Moments(values, cov_far, corr_site, sites, m.wraps)


@rule_for(RMSNorm)
class RMSNormRule(LayerNormRule):
    """Each site by itself, over the root of its mean square over channels."""

    centres = False


@rule_for(GRN)
class GRNRule(Rule):
    """Each channel times 1 + gamma N, and beta: a gate that all sites of a channel share.

    N, the channel's norm over the map in parts of the mean one, is taken from what the sites of a channel share, and
    as a constant in the backward pass.
    """

    fields = frozenset({"gamma", "beta"})

    def assumptions(self, op: Linear) -> tuple[Assumption, ...]:
        return (Assumption.CHANNEL_NORMS,) if op.gate else ()

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        m, layer = inputs[0], at.layer
        gamma, beta = layer.gamma, layer.beta  # type: ignore[attr-defined]
        if not (gamma or beta):
            return super().forward(at, inputs)
        sources = [Responsive.of(m.value(g), gamma, beta) for g in range(len(m.cov_far))]
        if at.op.gate:
            at.gates.power[at.i] = m.per_pair(np.array([source.power for source in sources]))
        sites = tuple(source.value() for source in sources)
        second = np.array([site.second for site in sites])
        shift = np.array([site.distribution.mean * beta * 2 - beta**2 for site in sites])  # 2 beta E[k v] + beta^2
        stretch = ratio(second - shift, m.average, 1.0)
        rows = [m.value(g).distribution for g in range(len(sites))]
        cov_far = np.array([distant(a.row_means, site.distribution.row_means, a.share, float(c)) for a, site, c in
                            zip(rows, sites, m.cov_far)])
        corr_site = ratio(np.array([site.distribution.cov_site for site in sites]), second)
        return Moments(m.values * m.per_pair(stretch) + m.per_pair(shift), cov_far, corr_site, sites, m.wraps)


@rule_for(GroupNorm, InstanceNorm)
class GroupNormRule(Rule):
    """Over the sites of an image and the channels of a group; the gradient passes their statistics, too.

    With k channels a group, m the mean and c the covariance of distant sites, values vary within a group by
    s^2 = q - m^2 - (c - m^2) / k.  A gradient loses its parts along the mean and along the values, 1 / n each of n
    numbers that share statistics, and what is taken away is spread evenly over the map.
    """

    fields = frozenset({"groups"})

    def _size(self, layer: Any, channels: int, ndim: int) -> int:
        """Channels that share statistics."""
        return channels // layer.group_count(channels, ndim)

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        m, share = inputs[0], np.asarray(at.graph.shares(at.i))
        k = self._size(at.layer, at.graph.channels[at.i], m.ndim)
        means = m.means
        mean = float(share @ means)
        taken = mean**2 + max(float(share @ m.cov_far) - float(share @ means**2), 0.0) / k
        spread = float(share @ m.average) - taken
        if spread <= 1e-9 * float(share @ m.average):
            raise ValueError("group norm of values that do not vary within a group: their variance is zero, or too "
                             "small for floats")
        at.gates.power[at.i] = m.per_pair(np.full(len(share), 1 / spread))
        level = m.products(m.level_map, m.lags)
        values = (m.values - taken * level) / spread
        cov_far = (m.cov_far - taken) / spread
        corr_site = ratio((m.cov_site - taken) / spread, (m.average - taken) / spread)
        sites = tuple(None if site is None else _standardised(m.value(g), spread) if k == 1 else
                      m.value(g).times(spread**-0.5, -mean * spread**-0.5) for g, site in enumerate(m.sites))
        return Moments(values, cov_far, corr_site, sites, m.wraps)

    def backward(self, at: Below, state: Covariance) -> Covariance:
        below = super().backward(at, state)
        if None in at.sizes or not below.bare.size:
            return below
        sites, k = math.prod(n or 1 for n in at.sizes), self._size(at.layer, at.channels[1], below.ndim)
        count, center = sites * k, (slice(None), *below.lags)
        power = below.values[center].reshape(len(below.values), -1).sum(axis=1)  # type: ignore[index]
        spread = np.zeros((*below.values.shape[:1 + below.ndim], *(n or 1 for n in at.sizes)))
        spread[center] = (2 * power / (count * sites)).reshape(-1, *(1,) * below.ndim)  # type: ignore[index]
        even = Covariance(spread, (0,) * below.ndim)
        return below.times(max(1 - 4 / count, 0.0)**0.5).merge(even, at.channels[0], False)

    def transpose(self, at: Above) -> Array:
        below = super().transpose(at)
        layer, ndim = at.graph.layers[at.i], at.graph.ndim
        sites = math.prod(below.shape[-ndim:])
        count = sites * self._size(layer, at.graph.channels[at.i], ndim)
        center: Any = (slice(None), *lag_zero(at.lags))
        even = below[center].reshape(*below.shape[:2], -1).sum(axis=2) * (2 / (count * sites))
        out = below * max(1 - 4 / count, 0.0)
        out[center] += even.reshape(*even.shape, *(1,) * ndim)
        return out


def _standardised(value: Value, spread: float) -> Value:
    """Less the mean of each channel, over its deviation."""
    if np.ptp(value.distribution.row_means) <= 1e-12 * math.sqrt(spread):
        return value.times(spread**-0.5, -value.mean * spread**-0.5)
    return Standardised.of(value).value()
