"""Gradients as they are, linear in the few random numbers of one source (docs/theory.md, equations 18 to 26)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...base.errors import check_bytes
from ...lattice.field import add_on_hull
from ..memory import replace
from .covariance import EXCHANGEABLE, MIXED, Covariance, column
from .lowering import Linear
from .pairs import border, cut
from .taps import REMEDY, Array, adjoint

__all__ = ["Factor", "correlate"]


@dataclass(eq=False)
class Factor:
    """Gradients per independent random number of the source: values (numbers, channels, *lattice).

    One channel stands for all where the layers passed treat all channels alike.
    """

    values: Array
    start: tuple[int, ...]

    def __add__(self, other: Factor) -> Factor:
        return Factor(*add_on_hull(self.values, self.start, other.values, other.start))

    def times(self, factor: float) -> Factor:
        """The gradient multiplied by a number."""
        return self if factor == 1 else replace(self, values=self.values * factor)

    def through(self, op: Linear, sizes: tuple[int | None, ...]) -> Factor:
        """Below a layer that acts on each channel by itself."""
        values, start = self.values * op.gain if op.gain != 1 else self.values, self.start
        for taps in op.taps:
            if taps.rows is not None:
                axis, = taps.axes
                values, first = taps.rows.adjoint(values, axis - len(start), start[axis])
                start = (*start[:axis], first, *start[axis + 1:])
                continue
            if op.inside_only:
                values = border(values, start, taps, sizes)
            flat = taps.flat
            values = values * taps.weights.item(0) if flat else values
            values, start = adjoint(values, start, taps, sizes, flat=flat)
            values, start = cut(values, start, sizes, taps.axes)
        return Factor(values, start)

    def gathered(self) -> Factor:
        """The sum over all sites, for one that serves all of them."""
        whole = self.values.sum(axis=tuple(range(2, self.values.ndim)), keepdims=True)
        return Factor(whole, (0,) * len(self.start))

    def gated(self, gate: Array) -> Factor:
        """Times a factor per site, given as of `Covariance.gated` for a single channel group."""
        middle = tuple(n // 2 for n in gate.shape[1:1 + len(self.start)])
        factors = gate[(slice(None), *middle)].mean(axis=0, keepdims=True)
        for axis, (first, count) in enumerate(zip(self.start, self.values.shape[2:]), 1):
            if factors.shape[axis] > 1:
                factors = factors.take(range(first, first + count), axis=axis, mode="wrap")
        return replace(self, values=self.values * factors)

    def through_constant(self, op: Linear, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Factor:
        """Below a convolution whose weights are all equal, with explicit channels."""
        shape = self.values.shape
        summed = self.values.reshape(shape[0], op.groups, c_out // op.groups, *shape[2:]).sum(axis=2)
        below = Factor(summed, self.start).through(op, sizes)
        return replace(below, values=np.repeat(below.values, c_in // op.groups, axis=1)).times(op.groups / c_in)

    def through_full(self, op: Linear, sizes: tuple[int | None, ...]) -> Factor:
        """Below a convolution with given weights that mix channels, with explicit channels."""
        assert op.matrix is not None
        taps, = op.taps
        matrix = op.matrix.reshape(op.groups, -1, *op.matrix.shape[1:])

        def weigh(tap: tuple[int, ...], part: Array) -> Array:
            grouped = part.reshape(part.shape[0], *matrix.shape[:2], *part.shape[2:])
            mixed = np.einsum("goi,bgo...->bgi...", matrix[(slice(None),) * 3 + tap], grouped)
            return mixed.reshape(part.shape[0], op.groups * matrix.shape[2], *part.shape[2:])

        return Factor(*cut(*adjoint(self.values, self.start, taps, sizes, weigh), sizes, taps.axes))

    def covariance(self, lags: tuple[int, ...], groups: Sequence[int], channels: str) -> Covariance:
        """Sum over numbers and channels of g(x) g(x + tau), per channel group.

        `channels` says how the values carry their channels, as in `Plan`.
        """
        count = sum(groups)
        if channels == "explicit":
            values = np.concatenate([correlate(part, part, lags) for part in
                                     np.split(self.values, np.cumsum(groups)[:-1], axis=1)])
            ones = self.values.sum(axis=1, keepdims=True)
            return Covariance(values, self.start, correlate(ones, ones, lags) / count, MIXED)
        power = correlate(self.values, self.values, lags) * column(np.asarray(groups) / count, self.values.ndim - 2)
        if channels == "one":
            return Covariance(power, self.start)
        return Covariance(power, self.start, correlate(self.values[:1], self.values[:1], lags), EXCHANGEABLE)


def correlate(f: Array, g: Array, lags: tuple[int, ...]) -> Array:
    """sum over the two leading axes of f(x) g(x + tau), shape (1, *lags, *lattice)."""
    lattice = f.shape[2:]
    padded = np.pad(g, [(0, 0), (0, 0), *((h, h) for h in lags)]) if any(lags) else g
    shape = (1, *(2 * h + 1 for h in lags), *lattice)
    check_bytes(8 * math.prod(shape), f"a covariance of shape {shape}", REMEDY)
    total = np.empty(shape)
    for tau in np.ndindex(*shape[1:len(lattice) + 1]):
        window: tuple[Any, ...] = tuple(slice(t, t + n) for t, n in zip(tau, lattice))
        total[(0, *tau)] = np.einsum("bc...,bc...->...", f, padded[(..., *window)])
    return total
