"""Separable distributions in d dimensions: a 1-D walk along each axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import inf

import numpy as np
from numpy.typing import NDArray

from ..lattice.kernels import KernelStack
from .base import Walk
from .scaled import Scaled
from .steps import Problem, Step

__all__ = ["ProductWalk", "axis_steps"]


def axis_steps(steps: Sequence[Step]) -> tuple[list[list[Step]], float] | None:
    """The steps along each axis, and the relative error of splitting them; None if impossible.

    A kernel that is a product only up to the rounding of its float weights is split all the same;
    n layers of it then differ by n times that rounding, which is returned.
    """
    axes: list[list[Step]] = []
    error = 0.0
    for kernel, jump, count in steps:
        if isinstance(kernel, KernelStack) or kernel.is_signed:
            return None
        split = kernel.split
        if split is None:
            return None
        factors, miss = split
        axes = axes or [[] for _ in factors]
        error += count * miss
        for axis, factor in enumerate(factors):
            axes[axis].append((factor, jump if isinstance(jump, int) else jump[axis], count))
    return axes, error


class ProductWalk(Walk):
    """Product of independent 1-D walks, one an axis: probabilities multiply, exponents add.

    Contract: with peaks m_a and sup-norm errors e_a of the factors, the error is at most
    prod(m_a + e_a) - prod(m_a) (equation W16); relative errors add.
    """

    def __init__(self, problem: Problem, steps: Sequence[Sequence[Step]], error: float,
                 solve: Callable[[Problem], Walk]) -> None:
        factors = tuple(solve(Problem(axis)) for axis in steps)
        super().__init__(problem, " x ".join(dict.fromkeys(f.method for f in factors)))
        #: The 1-D walks, one an axis.
        self.factors = factors
        self._split_error = error

    def _box(self) -> tuple[Sequence[int], Sequence[int]]:
        boxes = [f._box() for f in self.factors]
        return [lo[0] for lo, _ in boxes], [hi[0] for _, hi in boxes]

    @property
    def mass_outside(self) -> float:
        """Sum of the factors' mass outside their windows."""
        return min(1.0, sum(f.mass_outside for f in self.factors))

    @property
    def peak_bound(self) -> float:
        """Product of the factors' peaks."""
        return float(np.prod([f.peak_bound for f in self.factors]))

    @property
    def errors(self) -> dict[str, float]:
        """Sums of the factors' parts; "separation": from splitting rounded weights."""
        names = dict.fromkeys(name for f in self.factors for name in f.errors)
        parts = {name: sum(f.errors.get(name, inf if name == "relative" else 0.0)
                           for f in self.factors) for name in names}
        if self._split_error:
            parts["separation"] = self._split_error * self.peak_bound
            if "relative" in parts:
                parts["relative"] += self._split_error
        return parts

    @property
    def error_bound(self) -> float:
        """Upper bound of abs(pmf(x) - exact) over all sites x."""
        peaks = np.array([f.peak_bound for f in self.factors])
        errors = np.array([f.error_bound for f in self.factors])
        own = sum(e * np.prod(np.delete(peaks + errors, a)) for a, e in enumerate(errors))
        return float(own + self._split_error * np.prod(peaks))

    def _at(self, s: NDArray[np.int64]) -> Scaled:
        return reduce(Scaled.__mul__, [f._at(s[:, [a]]) for a, f in enumerate(self.factors)])

    def _dense(self, lo: Sequence[int], hi: Sequence[int]) -> NDArray[np.float64]:
        return reduce(np.multiply.outer, [f._dense(lo[a:a + 1], hi[a:a + 1]) for a, f in enumerate(self.factors)])
