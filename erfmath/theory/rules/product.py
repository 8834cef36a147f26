"""Products of values after different random layers (docs/theory.md, section on products).

The factors are independent, so that second moments multiply lag by lag, and the gradient of each is multiplied by the
others.  A factor of one site or one channel serves all of them and gathers their gradients.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence

import numpy as np

from ...layers import Multiply
from ...results.assumptions import Assumption
from ..sweep.covariance import Covariance
from ..sweep.factor import Factor
from ..sweep.lowering import SAMPLE, Linear
from ..sweep.moments import Moments, ratio
from ..sweep.products import Product, constant_of
from ..sweep.taps import Array
from ..sweep.values import SiteValue
from .alignment import PIXELS, Along, mean
from .base import Rule, rule_for
from .context import Above, Before, Below

__all__ = ["MultiplyRule"]


@rule_for(Multiply)
class MultiplyRule(Rule):
    """Q' = Q_a Q_b; M_a = Q_b M, M_b = Q_a M."""

    def assumptions(self, op: Linear) -> tuple[Assumption, ...]:
        return (Assumption.INDEPENDENT_FACTORS,)

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        graph, i, slots = at.graph, at.i, range(len(inputs))
        parts = [m.of_groups(graph.owners[i][slot][0]) for slot, m in enumerate(inputs)]
        constant = [_constants(part) for part in parts]
        self._refuse_dependent(at, [n for n in slots if constant[n] is None])
        if at.depends_on:
            at.gates.centred[i] = [at.dependence(slot) for slot, m in enumerate(inputs) if not m.means.any()]
        one_site = [(i, slot) in graph.one_site for slot in slots]
        for slot in slots:
            others = [_values(part, at.lags, one) for k, (part, one) in enumerate(zip(parts, one_site)) if k != slot]
            at.gates.factors[i, slot] = functools.reduce(operator.mul, others, np.ones(()))
        at.gates.power[i] = np.ones((len(graph.groups[i]), *(1,) * (2 * graph.ndim)))
        values = functools.reduce(operator.mul, [_values(part, at.want, one) for part, one in zip(parts, one_site)])
        whole = Moments(values, np.zeros(len(values)), np.zeros(len(values)), (None,) * len(values), inputs[0].wraps)
        # Correlations multiply, of distant sites and of independent inputs at one place.
        apart, near = np.ones(len(values)), np.ones(len(values))
        for part in parts:
            apart, near = apart * ratio(part.cov_far, part.level * part.average), near * part.corr_site
        sites = tuple(self._site(at, g, parts, [None if c is None else c[g] for c in constant])
                      for g in range(len(values)))
        shared = _by_map([part for part, one in zip(parts, one_site) if not one])
        return Moments(values, apart * whole.level * whole.average + shared, near, sites, whole.wraps)

    def along(self, at: Before, inputs: Sequence[Moments]) -> list[Along]:
        maps = [slot for slot in range(len(inputs)) if (at.i, slot) not in at.graph.one_site]
        if not maps:
            return super().along(at, inputs)
        return [self._along(at, inputs, maps, g, below) for g, below in enumerate(at.below(at.gates.along, PIXELS))]

    @staticmethod
    def _along(at: Before, inputs: Sequence[Moments], maps: Sequence[int], g: int, below: Sequence[Along]) -> Along:
        """Of a gradient along a b each factor gets that along its own times b^2, of which large b have most."""
        graph, weights, found = at.graph, [], []
        owners = [int(owner[0, g]) for owner in graph.owners[at.i]]
        for slot in maps:
            j, fourth, power = graph.sources[at.i][slot], 1.0, 1.0
            for other in maps:
                if other != slot:
                    second, more = _second_and_fourth(inputs[other], owners[other])
                    power, fourth = power * second, fourth * more
            gate = at.gates.power.get(j, np.ones(len(graph.groups[j])))
            weights.append(power * float(gate[owners[slot]].mean()))
            found.append(below[slot].with_more(fourth - 1))
        whole = sum(weights) or 1.0
        return mean(found, [weight / whole for weight in weights])

    @staticmethod
    def _refuse_dependent(at: Before, slots: Sequence[int]) -> None:
        """Refuse factors that depend on one value; constant ones depend on none."""
        dependence = [at.dependence(slot) for slot in slots]
        if any(one.meets(other) for n, one in enumerate(dependence) for other in dependence[:n]):
            raise NotImplementedError(f"{at.graph.name(at.i)} ({at.layer.kind}): factors that depend on the same value "
                                      f"with no random layer between, as x and sigmoid(x): {SAMPLE}")

    @staticmethod
    def _site(at: Before, g: int, parts: Sequence[Moments], constant: Sequence[float | None]) -> SiteValue:
        """The product of the values of a group; the gates remember which input is which part of it."""
        slots = [n for n, c in enumerate(constant) if c is None] or [0]
        number = float(np.prod([c for n, c in enumerate(constant) if c is not None and n not in slots]))
        if len(slots) == 1:  # a multiple of one input
            at.gates.parts[at.i, g] = {slots[0]: 0}
            known = parts[slots[0]].sites[g]
            return None if known is None else parts[slots[0]].value(g).times(number)
        values = [parts[slot].value(g) for slot in slots]
        product = Product.of(tuple(values))
        at.gates.parts[at.i, g] = {slot: next(n for n, part in enumerate(product.parts) if part is value)
                                   for slot, value in zip(slots, values)}
        return product.value().times(number)

    def backward(self, at: Below, state: Covariance) -> Covariance:
        if state.mixing:
            raise NotImplementedError(f"{at.graph.name(at.i)} ({at.layer.kind}): a product between deterministic "
                                      f"layers that mix channels: {SAMPLE}")
        state = state.gated(at.gates.factors[at.i, at.edge.slot])
        state = state.into_groups(at.owner, len(at.graph.groups[at.j]))
        return state.gathered() if at.gathers else state

    def mean_gain(self, at: Below) -> float:
        """The product of the means of the other factors."""
        means, share = np.ones(len(at.graph.groups[at.i])), at.graph.shares(at.i)
        for slot, j in enumerate(at.graph.sources[at.i]):
            if slot != at.edge.slot:
                sites = at.gates.sites.get(j, (None,) * len(at.graph.groups[j]))
                each = np.array([0.0 if site is None else site.mean for site in sites])
                means = means * each[at.graph.owners[at.i][slot][0]]
        return float(np.dot(share, means))

    def mean_factor(self, at: Below, factor: Factor) -> Factor:
        factor = factor.times(self.mean_gain(at))
        return factor.gathered() if at.gathers else factor

    def transpose(self, at: Above) -> Array:
        total = np.zeros(())
        for slot, j in enumerate(at.graph.sources[at.i]):
            total = total + at.gates.factors[at.i, slot] * at.spread(at.values[j], slot)
        return np.asarray(total)


def _values(part: Moments, lags: tuple[int, ...], one_site: bool) -> Array:
    """M(x, tau) over a box of lags; that of one site is the same everywhere."""
    return part.per_pair(part.average) if one_site else part.with_lags(lags).values


def _second_and_fourth(m: Moments, g: int) -> tuple[float, float]:
    """E[v^2], and E[v^4] over its square."""
    if m.sites[g] is None:
        return float(m.average[g]), 3.0
    value = m.value(g)
    squares = value.at(value.nodes.u)**2
    second = float(value.nodes.p @ squares)
    return second, float(value.nodes.p @ squares**2) / (second**2 or 1.0)


def _by_map(parts: Sequence[Moments]) -> Array:
    """What distant sites of a product share beyond the product of what they share of its factors.

    Two factors that random layers have made from one map share at two sites what the map has in common there, a
    mean over its channels: the mean of its square is more than the square of its mean.  Means over many sites see it.
    """
    nothing = np.zeros(len(parts[0].cov_far)) if parts else np.zeros(1)
    if len(parts) != 2 or parts[0].made_from is None or parts[1].made_from is None:
        return nothing
    one, other = parts[0].made_from, parts[1].made_from
    if one.node != other.node:
        return nothing
    return parts[0].average * parts[1].average * math.sqrt(one.varies * other.varies)


def _constants(part: Moments) -> list[float] | None:
    """The values of an input that is constant in every channel group."""
    found = [None if site is None else constant_of(part.value(g)) for g, site in enumerate(part.sites)]
    return None if None in found else found  # type: ignore[return-value]
