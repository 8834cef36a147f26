"""Activations: phi of Gaussian sites, or of sites whose distribution is known (equations 35 to 39)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...layers import Activation
from ...results.assumptions import Assumption
from ..sweep.lowering import Linear
from ..sweep.moments import Activated, DistributionLike, Moments, at as lag_zero, overlap, ratio
from ..sweep.site_distribution import distant
from ..sweep.taps import Array
from . import functions
from .base import Rule, rule_for
from .context import Before
from .functions import Function
from .neighbours import Line, Passage, through_activation

__all__ = ["ActivationRule"]


@rule_for(Activation)
class ActivationRule(Rule):
    """A gate E[phi'^2] at each site, and the distribution of what passed it."""

    begins_stream = True

    def function(self, layer: Activation) -> Function:  # type: ignore[override]
        return functions.function(layer)

    def assumptions(self, op: Linear) -> tuple[Assumption, ...]:
        return (Assumption.INDEPENDENT_GATES,)

    def passage(self, layer: Activation, op: Linear, ndim: int) -> Passage:  # type: ignore[override]
        def through(axis: int, line: Line, m: Moments, level: Array, n_out: int) -> Line:
            if m.distributions[0] is not None:
                return line
            phi, q, corr_site = self.function(layer), m.average, m.corr_site
            return through_activation(line, lambda r: functions.cross(phi, q, corr_site * r))
        return Passage(through)

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        """phi of sites; what they have in common with distant ones, with those at their place, and near them."""
        if not at.op.gate:
            return super().forward(at, inputs)
        phi, m = self.function(at.layer), inputs[0]  # type: ignore[arg-type]
        after = at.streams.forward(at, phi, m)
        if after is not None:
            return after
        q, lags, rectifies = m.average, at.lags, phi.below is not None
        # Both c and what a rectifier makes of it fall towards borders as the deviation does.
        level = m.level if rectifies else np.ones(len(q))
        if any(m.cov_far.tolist()) or any(m.corr_site.tolist()):
            far, same = functions.cross(phi, q, np.array([ratio(m.cov_far, q * level), m.corr_site]))
        else:  # after batch norms nothing is shared
            far = same = functions.cross(phi, q, m.corr_site)
        mean, gate0 = functions.second(phi, q), functions.gate(phi, q)
        cov_far, corr_site, pair_gate = far * level, ratio(same, mean), np.zeros(len(q))
        kinds: list[DistributionLike] = [Activated(a, b, phi) for a, b in zip(q.tolist(), m.cov_site.tolist())]
        non_gaussian = [g for g, distribution in enumerate(m.distributions) if distribution is not None]
        for g in non_gaussian:
            before = m.distribution(g)
            distribution = before.through(phi)
            kinds[g], gate0[g], pair_gate[g] = distribution, distribution.mean_gate, distribution.pair_gate
            corr_site[g] = distribution.cov_site / distribution.second if distribution.second else 0.0
            cov_far[g] = level[g] * distant(before.row_means, distribution.row_means, distribution.share,
                                            m.cov_far[g] / level[g])
            mean[g] = distribution.second
        gate = m.per_pair(gate0)
        if any(lags):
            pairs = functions.gate_pair(phi, m.per_site(q), m.correlations(lags))
            pairs[non_gaussian] = m.per_site(pair_gate)[non_gaussian]
            pairs[lag_zero(lags)] = gate0
            gate = pairs[(..., *(None,) * m.ndim)]
        if rectifies:
            after = m.with_lags((0,) * m.ndim).multiple(ratio(mean, q), cov_far, corr_site, tuple(kinds))
        else:
            second = functions.second(phi, m.second)
            second[non_gaussian] = m.second[non_gaussian] * m.per_site(ratio(mean, q))[non_gaussian]
            after = Moments(second[(slice(None), *(None,) * m.ndim)], cov_far, corr_site, tuple(kinds), m.wraps)
        if len(non_gaussian) < len(q) and (any(m.lags) or not rectifies):
            gate, after = _site_by_site(phi, m, lags, gate, after, np.array([one is None for one in m.distributions]))
        at.gates.power[at.i] = gate
        return after.with_lags(at.want)


def _site_by_site(phi: Function, m: Moments, lags: tuple[int, ...], gate: Array, after: Moments,
                  gaussian: Array) -> tuple[Array, Moments]:
    """Gates and moments of Gaussian groups where they vary over the map or with a carried lag."""
    chosen: Any = slice(None) if gaussian.all() else gaussian  # a view where it can be
    site = m.second[chosen]
    both = np.sqrt(m.products(site, m.lags))
    corr_site = ratio(m.values[chosen], both)
    pairs = functions.cross(phi, both, corr_site) * (both > 0)
    values = pairs if gaussian.all() else after.with_lags(m.lags).values.copy()
    values[chosen] = pairs
    values[lag_zero(m.lags)] = after.second
    open_pair = functions.gate_pair(phi, both, corr_site) if any(lags) else np.zeros(both.shape)
    open_pair[lag_zero(m.lags)] = functions.gate(phi, site)
    gate = np.broadcast_to(gate, (*gate.shape[:1 + m.ndim], *m.second.shape[1:])).copy()
    held, there = overlap(m.lags, lags)
    inner: Any = (chosen, *there[1:])
    gate[inner] = open_pair[held]
    return gate, replace(after, values=values)
