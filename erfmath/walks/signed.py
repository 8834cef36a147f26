"""Kernels with negative weights, as of trained linear nets: no distributions, only a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from math import ceil, log, log2, prod

import numpy as np
from numpy.typing import NDArray

from ..base.errors import check_bytes
from .base import Walk
from .modes import fast_length
from .scaled import Scaled
from .steps import Problem

__all__ = ["SignedWalk"]

EPS = float(np.finfo(float).eps)


class SignedWalk(Walk):
    """Method "fft" for signed kernels: w**n by one transform of the whole support.

    Contract (equation W15): the error at every site is at most n eps mean|F|^n, up to a small
    factor, with F the transform of w scaled by its maximum, however much cancels. Small against
    the largest value, not against each: zeros change sign, so there is no logarithm, no tilting
    and no window. Kernels that are distributions enter with sum 1, signed ones with their weights as given.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, "fft")
        self._sides = tuple(fast_length(e) for e in problem.extent)
        check_bytes(64 * prod(self._sides), f"the transform on {problem.size} sites")

    @cached_property
    def _values(self) -> tuple[NDArray[np.float64], int, float]:
        """Values over 2**exponent, the exponent, and the error bound of the former."""
        axes = tuple(range(self.ndim))
        logs = np.zeros(self._sides[:-1] + (self._sides[-1] // 2 + 1,))
        args = np.zeros_like(logs)
        noise = 4.0 + sum(map(log2, self._sides))
        for block in self._problem.blocks:
            for exact, total, n in zip(block.weights.tolist(), block.totals, block.counts):
                unit = 1 if min(exact) < 0 else total  # each kernel for itself
                row = [float(Fraction(w) / unit) for w in exact]
                dense = np.zeros(tuple(r + 1 for r in block.reach))
                dense[tuple(block.taps.T)] = row
                transform = np.fft.rfftn(dense, self._sides, axes=axes)
                with np.errstate(divide="ignore"):
                    logs += n * np.log(np.abs(transform))
                args += n * np.angle(transform)
                noise += n * (4 + log2(dense.size))
        exponent = ceil(float(logs.max()) / log(2))
        size = np.exp(logs - exponent * log(2))
        values = np.fft.irfftn(size * np.exp(1j * args), self._sides, axes=axes)
        bound = EPS * noise * float(size.mean())
        return values[tuple(slice(e) for e in self._problem.extent)], exponent, bound

    @property
    def errors(self) -> dict[str, float]:
        """"rounding": absolute, per site (a first-order model)."""
        return {"rounding": self.error_bound}

    @property
    def error_bound(self) -> float:
        """Upper bound of abs(pmf(x) - exact) over all sites x."""
        _, exponent, bound = self._values
        return float(Scaled.of(bound, exponent).floats())

    @property
    def peak_bound(self) -> float:
        """The largest magnitude."""
        values, exponent, bound = self._values
        return float(Scaled.of(np.abs(values).max() + bound, exponent).floats())

    def _at(self, s: NDArray[np.int64]) -> Scaled:
        values, exponent, _ = self._values
        return Scaled.of(values[tuple(s.T)], exponent)

    def _dense(self, lo: Sequence[int], hi: Sequence[int]) -> NDArray[np.float64]:
        values, exponent, _ = self._values
        return Scaled.of(values[tuple(slice(a, b + 1) for a, b in zip(lo, hi))], exponent).floats()
