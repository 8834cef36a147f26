"""Where branches meet: sums and concatenations."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...layers import Add, Concat
from ..sweep.covariance import MIXED, Covariance, Factor
from ..sweep.lowering import SAMPLE, Linear
from ..sweep.moments import Moments, concatenate, ratio
from ..sweep.taps import Array
from .base import Rule, rule_for
from .context import Above, Before, Below

__all__ = ["AddRule", "ConcatRule"]


@rule_for(Add)
class AddRule(Rule):
    """Moments of independent values add; all inputs get the same gradient."""

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        graph, i, sources = at.graph, at.i, at.graph.sources[at.i]
        if not at.independent:
            raise NotImplementedError("before a gate, a sum of values that depend on the same random layer (or the "
                                      f"input) with none between: {SAMPLE}")
        parts = [one.with_lags(at.want).regrouped(graph.groups[j], graph.groups[i])
                 for one, j in zip(inputs, sources)]
        values, cov_far, cov_site, q = (functools.reduce(np.add, [getattr(part, what) for part in parts])
                                        for what in ("values", "cov_far", "cov_site", "average"))
        total = Moments(values, cov_far, ratio(cov_site, q), (None,) * len(graph.groups[i]), parts[0].wraps)
        vars(total)["average"] = q
        at.streams.added(i, sources, parts)
        return total

    def backward(self, at: Below, state: Covariance) -> Covariance:
        return state.regrouped(at.graph.groups[at.i], at.graph.groups[at.j])

    def transpose(self, at: Above) -> Array:
        return at.summed(at.i, at.graph.sources[at.i])


@rule_for(Concat)
class ConcatRule(Rule):
    """Channels side by side: each input gets the gradient of its own."""

    def groups(self, op: Linear, incoming: Sequence[tuple[int, ...]], channels: int) -> tuple[int, ...]:
        return tuple(c for groups in incoming for c in groups)

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        return concatenate([one.with_lags(at.want) for one in inputs])

    def backward(self, at: Below, state: Covariance) -> Covariance:
        if state.mixing == MIXED or (state.mixing and at.j in at.plan.ones):
            raise NotImplementedError(f"a concatenation between deterministic layers that mix channels: {SAMPLE}")
        groups = at.graph.groups
        first = sum(len(groups[k]) for k in at.before)
        return replace(state, bare=state.bare[first:first + len(groups[at.j])], uniform=None)

    def factor(self, at: Below, factor: Factor) -> Factor:
        c_in, c_out = at.channels
        if at.plan.channels != "explicit":
            return factor.times((c_in / c_out)**0.5)
        first = sum(at.graph.channels[k] for k in at.before)
        return replace(factor, values=factor.values[:, first:first + c_in])

    def transpose(self, at: Above) -> Array:
        return np.concatenate([at.with_lags(at.values[j]) for j in at.graph.sources[at.i]], axis=1)
