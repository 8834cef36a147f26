"""Sums, products and rows of functions of one value, as one function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...layers import Activation
from ..memory import remembered
from ..sweep.taps import Array
from ..sweep.values import Affine, Step, rounded
from .formula import resolved
from .functions import Function, function, rectifier

__all__ = ["Composed", "Steps", "combined", "composed", "function_in_row", "in_row"]

Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Composed(Activation):
    """A function of what another one makes of a value.

    Attributes
    ----------
    below : Activation
        The other one.
    """

    below: Any = field(default=None, kw_only=True)


def in_row(layer: Activation) -> list[Activation]:
    """The functions that one is made of, the lowest first."""
    above = Activation(layer.function, slope=layer.slope) if isinstance(layer, Composed) else layer
    return [*in_row(layer.below), above] if isinstance(layer, Composed) else [above]


def composed(functions: Sequence[Activation]) -> Activation:
    """One function after the other, the lowest first, as one."""
    whole, *others = functions
    for one in others:
        whole = Composed(one.function, slope=one.slope, below=replace(whole, name=None))
    return whole


def function_in_row(layer: Activation) -> Function:
    """The function of an activation, whether it is one of a row or not."""
    steps = tuple(map(function, in_row(layer)))
    return steps[0] if len(steps) == 1 else combined((steps,))


@remembered(256)
def combined(branches: tuple[Steps, ...], product: bool = False) -> Function:
    """The sum (or the `product`) of functions, each given as steps."""
    slopes = [_slopes(steps) for steps in branches]
    if all(slopes) and not product:
        above, below = (rounded(sum(pair[side] for pair in slopes if pair)) for side in (0, 1))
        return rectifier(above, below)

    def value(z: Array) -> Array:
        values = [_through(steps, z)[0] for steps in branches]
        return np.asarray(math.prod(values) if product else sum(values))

    def slope(z: Array) -> Array:
        both = [_through(steps, z) for steps in branches]
        return np.asarray(sum(slope * (math.prod(v for k, (v, _) in enumerate(both) if k != n) if product else 1.0)
                              for n, (_, slope) in enumerate(both)))

    sides = slope(np.array([-1e-12, 1e-12]))
    whole = Function(value, slope, knots=(0.0,), jumps=((0.0, float(sides[1] - sides[0])),), branches=branches)
    return whole._replace(knots=resolved(whole, whole.knots)) if product else whole


def _slopes(steps: Steps) -> tuple[float, float] | None:
    """Slopes above and below zero, None where it is not all."""
    above, below = 1.0, 1.0
    for step in steps:
        if isinstance(step, Affine):
            if step.b:
                return None
            above, below = above * step.a, below * step.a
        elif step.below is None:
            return None
        else:
            above, below = (slope * (step.above if slope * side > 0 else step.below)
                            for slope, side in ((above, 1), (below, -1)))
    return above, below


def _through(steps: Steps, z: Array) -> tuple[Array, Array]:
    """Value and slope."""
    slope = np.ones(np.shape(z))
    for step in steps:
        if isinstance(step, Affine):
            z, slope = step.a * z + step.b, step.a * slope
        else:
            z, slope = step.value(z), step.slope(z) * slope
    return z, slope
