"""Norms of channels over the map that act as gates of channels (section 9)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import GRN
from ...results.assumptions import Assumption
from ..sweep.lowering import Linear, Norm
from ..sweep.moments import Moments, ratio
from ..sweep.products import Responsive
from ..sweep.site_distribution import distant
from .base import Rule, rule_for
from .context import Before

__all__ = ["GRNRule"]


@rule_for(GRN)
class GRNRule(Rule):
    """Each channel times 1 + gamma N, and beta: a gate that all sites of a channel share.

    N, the channel's norm over the map in parts of the mean one, is taken from what the sites of a channel share, and
    as a constant in the backward pass.
    """

    fields = frozenset({"gamma", "beta"})

    def given(self, layer: Any, weights: Any, ndim: int, c_in: int, c_out: int) -> tuple[Linear, Norm | None]:
        """Gamma and beta by channel, shape (2, channels), whose means are the layer's numbers, and act alone."""
        array = np.asarray(weights, dtype=float)
        means = array.reshape(2, -1).mean(axis=1) if array.shape == (2, c_out) else None
        if means is None or not np.allclose(means, (layer.gamma, layer.beta)):
            raise ValueError(f"weights: an array of shape {array.shape}; must be gamma and beta, of shape (2, {c_out}) "
                             f"and with the means {layer.gamma:g} and {layer.beta:g} that the layer has")
        return Linear(gate=layer.is_gate), None

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
        cov_far = np.array([distant(m.value(g).rows[0], *site.rows, float(m.cov_far[g]))
                            for g, site in enumerate(sites)])
        corr_site = ratio(np.array([site.cov_site for site in sites]), second)
        return Moments(m.values * m.per_pair(stretch) + m.per_pair(shift), cov_far, corr_site, sites, m.wraps)
