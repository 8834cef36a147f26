"""Where branches meet: sums and concatenations."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...layers import Add, Concat
from ..sweep.covariance import MIXED, Covariance, Factor
from ..sweep.lowering import SAMPLE, Linear
from ..sweep.moments import Moments, concatenate, ratio
from ..sweep.sources import Sum
from ..sweep.taps import Array
from ..sweep.values import SiteValue
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
        values, cov_far, cov_site = (functools.reduce(np.add, [getattr(part, what) for part in parts])
                                     for what in ("values", "cov_far", "cov_site"))
        q = functools.reduce(np.add, [part.average for part in parts])
        means = [part.means for part in parts]
        for one, other in itertools.permutations([n for n, mean in enumerate(means) if mean.any()], 2):
            # Independent values have their means in common, wherever they are.
            a, b = (part.per_site(mean) * part.level_map for part, mean in
                    ((parts[one], means[one]), (parts[other], means[other])))
            whole, first, second = (parts[one].products(level, at.want) for level in (a + b, a, b))
            both = means[one] * means[other]
            values, cov_far, cov_site = values + (whole - first - second) / 2, cov_far + both, cov_site + both
            q = q + parts[one].mean(a * b)
        total = Moments(values, cov_far, ratio(cov_site, q), (None,) * len(graph.groups[i]), parts[0].wraps)
        vars(total)["average"] = q
        return replace(total, sites=tuple(self._site(at, g, parts) for g in range(len(q))))

    @staticmethod
    def _site(at: Before, g: int, parts: Sequence[Moments]) -> SiteValue:
        """The sum of the values of a group; the gates remember which is which part of it."""
        known = [(slot, part.value(g)) for slot, part in enumerate(parts) if part.sites[g] is not None]
        if not known:
            return None
        rest = [part for part in parts if part.sites[g] is None]
        q, cov_site = (float(sum(getattr(part, what)[g] for part in rest)) for what in ("average", "cov_site"))
        if len(known) == 1 and not q:
            return known[0][1]
        at.gates.parts[at.i, g] = {slot: n for n, (slot, _) in enumerate(known)}
        return Sum.of([value for _, value in known], q, cov_site).value()

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
