"""Activations: phi of Gaussian sites, or of sites whose distribution is known (equations 35 to 39)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...layers import Activation
from ...results.assumptions import Assumption
from ..sweep import site_distribution as laws
from ..sweep.lowering import Linear
from ..sweep.moments import Activated, LawLike, Moments, at as lag_zero, overlap, ratio
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
            if m.laws[0] is not None:
                return line
            phi, q, rho = self.function(layer), m.average, m.rho
            return through_activation(line, lambda r: functions.cross(phi, q, rho * r))
        return Passage(through)

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        """phi of sites; what they have in common with distant ones, with those at their place, and near them."""
        if not at.op.gate:
            return super().forward(at, inputs)
        phi, m = self.function(at.layer), inputs[0]  # type: ignore[arg-type]
        behind = at.streams.forward(at, phi, m)
        if behind is not None:
            return behind
        q, lags, rectifies = m.average, at.lags, phi.below is not None
        # Both c and what a rectifier makes of it fall towards borders as the deviation does.
        level = m.level if rectifies else np.ones(len(q))
        if any(m.far.tolist()) or any(m.rho.tolist()):
            apart, near = functions.cross(phi, q, np.array([ratio(m.far, q * level), m.rho]))
        else:  # behind batch norms nothing is shared
            apart = near = functions.cross(phi, q, m.rho)
        mean, gate0 = functions.second(phi, q), functions.gate(phi, q)
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
            near = functions.gate_pair(phi, m.per_site(q), m.correlations(lags))
            near[odd] = m.per_site(pair_gate)[odd]
            near[lag_zero(lags)] = gate0
            gate = near[(..., *(None,) * m.ndim)]
        if rectifies:
            behind = m.with_lags((0,) * m.ndim).multiple(ratio(mean, q), far, rho, tuple(kinds))
        else:
            second = functions.second(phi, m.second)
            second[odd] = m.second[odd] * m.per_site(ratio(mean, q))[odd]
            behind = Moments(second[(slice(None), *(None,) * m.ndim)], far, rho, tuple(kinds), m.wraps)
        if len(odd) < len(q) and (any(m.lags) or not rectifies):
            gate, behind = _site_by_site(phi, m, lags, gate, behind, np.array([law is None for law in m.laws]))
        at.gates.power[at.i] = gate
        return behind.with_lags(at.want)


def _site_by_site(phi: Function, m: Moments, lags: tuple[int, ...], gate: Array, behind: Moments,
                  gaussian: Array) -> tuple[Array, Moments]:
    """Gates and moments of Gaussian groups where they vary over the map or with a carried lag."""
    chosen: Any = slice(None) if gaussian.all() else gaussian  # a view where it can be
    site = m.second[chosen]
    both = np.sqrt(m.products(site, m.lags))
    rho = ratio(m.values[chosen], both)
    near = functions.cross(phi, both, rho) * (both > 0)
    values = near if gaussian.all() else behind.with_lags(m.lags).values.copy()
    values[chosen] = near
    values[lag_zero(m.lags)] = behind.second
    open_pair = functions.gate_pair(phi, both, rho) if any(lags) else np.zeros(both.shape)
    open_pair[lag_zero(m.lags)] = functions.gate(phi, site)
    gate = np.broadcast_to(gate, (*gate.shape[:1 + m.ndim], *m.second.shape[1:])).copy()
    held, there = overlap(m.lags, lags)
    inner: Any = (chosen, *there[1:])
    gate[inner] = open_pair[held]
    return gate, replace(behind, values=values)
