"""Distributions held as an array over the whole support: the methods "exact" and "rational"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import SizeError, check_bytes
from ..base.progress import shown
from . import direct, tilt
from .base import Walk
from .integers import as_integers, multiply, power
from .scaled import ZERO_EXPONENT, Scaled
from .steps import Problem

__all__ = ["ExactWalk", "RationalWalk"]

EPS = float(np.finfo(float).eps)
#: Relative error that the exact method promises; what misses it is computed by another route.
_RELATIVE = 1e-12
#: Multiplications below which squaring is quicker than tilting (in all, and per tap), and above which it is too slow.
_CHEAP, _PER_TAP, _DEAR = 2e7, 3e5, 3e10


class ExactWalk(Walk):
    """Method "exact": every site of the support, each with a small relative error.

    Contract (equation W6): abs(pmf(x) - p(x)) <= errors["relative"] * p(x) at every site, however
    far in the tail, and exactly 0 where no path ends. Small problems are squared directly, large
    ones tilted, and sites where the tilted bound passes 1e-12 are squared after all; should even
    that be too large (more than 3e10 multiplications), errors["relative"] says what was reached.
    """

    def __init__(self, problem: Problem) -> None:
        problem.require_distribution('method="exact"')
        check_bytes(64 * problem.size, f"the exact distribution on {problem.size} sites",
                    'use method="window", whose cost does not grow with depth')
        if problem.ndim > 1 and direct.cost(problem) > _DEAR:
            raise SizeError(f"the exact distribution of kernels that are no products, on {problem.size} "
                            f"sites, would need {direct.cost(problem):.1e} multiplications: "
                            'use method="window", whose cost does not grow with depth')
        super().__init__(problem, "exact")

    @cached_property
    def _pmf(self) -> tuple[Scaled, float]:
        """All probabilities in C order, and the largest relative error bound."""
        with shown(self._progress, "walk") as show:
            return self._computed(show)

    def _computed(self, show: Callable[[int, int], Any]) -> tuple[Scaled, float]:
        problem = self._problem
        if problem.ndim > 1 or problem.size**2 < _CHEAP:  # which is never below the cost
            return direct.direct_pmf(problem)
        cost = direct.cost(problem)
        if cost < _CHEAP:
            return direct.direct_pmf(problem)
        for block in problem.blocks:
            block.check_pairs()
        if cost < _PER_TAP * max(len(block.taps) for block in problem.blocks):
            return direct.direct_pmf(problem)
        pmf, relative = tilt.tilted_pmf(problem, show)
        doubtful = relative > _RELATIVE
        if not doubtful.any():
            return pmf, float(relative.max())
        if cost < _DEAR:
            other, bound = direct.direct_pmf(problem)
            pmf.mantissa[doubtful] = other.mantissa[doubtful]
            pmf.exponent[doubtful] = other.exponent[doubtful]
            relative[doubtful] = bound
        else:
            never = ~direct.reachable(problem)
            pmf.mantissa[never], pmf.exponent[never], relative[never] = 0, ZERO_EXPONENT, 0
        return pmf, float(relative.max())

    @cached_property
    def _floats(self) -> NDArray[np.float64]:
        return self._pmf[0].floats().reshape(self._problem.extent)

    @property
    def errors(self) -> dict[str, float]:
        """"relative": of every value; "rounding": absolute, at the peak."""
        relative = self._pmf[1]
        return {"relative": relative, "rounding": relative * float(self._floats.max())}

    @property
    def error_bound(self) -> float:
        """Upper bound of abs(pmf(x) - exact) over all sites x."""
        return self.errors["rounding"]

    @property
    def peak_bound(self) -> float:
        """The largest value."""
        return float(self._floats.max()) * (1 + self._pmf[1])

    def _at(self, s: NDArray[np.int64]) -> Scaled:
        return self._pmf[0][np.ravel_multi_index(tuple(s.T), self._problem.extent)]

    def _dense(self, lo: Sequence[int], hi: Sequence[int]) -> NDArray[np.float64]:
        return self._floats[tuple(slice(a, b + 1) for a, b in zip(lo, hi))]


class RationalWalk(Walk):
    """Method "rational": Python integers over one common denominator; the oracle.

    Contract: `exact(x)` is the Fraction itself, `pmf` its nearest float. Signed kernels are
    allowed; floats are taken at their exact binary value. Cost grows as support times digits.
    """

    def __init__(self, problem: Problem) -> None:
        bits = sum(count * max(1, sum(as_integers(row)[0]).bit_length())
                   for b in problem.blocks for row, count in zip(b.weights.tolist(), b.counts))
        check_bytes(problem.size * (bits // 8 + 64), f"the rational distribution on {problem.size} sites",
                    'use method="exact" or "window"')
        super().__init__(problem, "rational")

    @cached_property
    def _pmf(self) -> tuple[list[int], Fraction]:
        """Integer numerators on the flat box, and the factor that makes them probabilities."""
        with shown(self._progress, "walk") as show:
            return self._computed(show)

    def _computed(self, show: Callable[[int, int], Any]) -> tuple[list[int], Fraction]:
        numerators, factor = [1], Fraction(1)
        done, rows = 0, sum(len(block.counts) for block in self._problem.blocks)
        for block in self._problem.blocks:
            codes = direct.flat_taps(self._problem, block)
            codes = codes - codes[0]
            stretch = int(np.gcd.reduce(codes)) or 1
            taps = (codes // stretch).tolist()
            for row, count in zip(block.weights.tolist(), block.counts):
                integers, unit = as_integers(row)
                numerators = multiply(numerators, power(taps, integers, count), stretch)
                positive = min(integers) >= 0
                factor *= (Fraction(1, sum(integers)) if positive else unit) ** count
                done += 1
                show(done, rows)
        corner = direct.flat_corner(self._problem)
        after = self._problem.size - corner - len(numerators)
        return [0] * corner + numerators + [0] * after, factor

    @property
    def errors(self) -> dict[str, float]:
        """"relative": half a unit in the last place, from rounding to floats."""
        return {"relative": EPS / 2}

    @property
    def error_bound(self) -> float:
        """Upper bound of abs(pmf(x) - exact) over all sites x."""
        numerators, factor = self._pmf
        return EPS / 2 * float(max(abs(v) for v in numerators) * abs(factor))

    def exact(self, x: ArrayLike) -> Any:
        """P(S = x) as Fractions: one for a single site, else an object array."""
        s, inside = self._locate(x)
        numerators, factor = self._pmf
        out = np.full(inside.shape, Fraction(0), dtype=object)
        out[inside] = [numerators[i] * factor for i in self._flat(s[inside].reshape(-1, self.ndim))]
        return out[()]

    def _flat(self, s: NDArray[np.int64]) -> list[int]:
        return np.ravel_multi_index(tuple(s.T), self._problem.extent).tolist()

    def _at(self, s: NDArray[np.int64]) -> Scaled:
        numerators, factor = self._pmf
        flat = self._flat(s)
        top, bottom = factor.numerator, factor.denominator
        shifts = [bottom.bit_length() - abs(numerators[i] * top).bit_length() for i in flat]
        mantissas = [float(Fraction(numerators[i] * top << max(k, 0), bottom << max(-k, 0)))
                     for i, k in zip(flat, shifts)]
        return Scaled.of(mantissas, -np.array(shifts, dtype=np.int64))
