"""Gaussian expectations of piecewise polynomials, in closed form.

A piecewise polynomial of a Gaussian z of variance s^2 is written as the polynomial around zero plus truncated powers
(z - k)_+^m of the knots k >= 0 and (k - z)_+^m of those below.  Moments of two truncated powers,

    T_mn(a, b) = E[(z - a)_+^m (z' - b)_+^n],

follow from those of lower order by Stein's lemma, E[z h] = E[h_z] + rho E[h_z'], down to T_00, the probability of a
quadrant (Owen, Tables for computing bivariate normal probabilities, 1956).
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST", "Piecewise"]

Array = npt.NDArray[np.float64]

#: Variance above which differences of truncated powers lose too many digits.
LARGEST = 1e12
#: Knots at more deviations than this are never passed.
BEYOND = 40.0
#: Moments E[z^i z'^j] as polynomials in the correlation.
_MOMENTS: dict[tuple[int, int], tuple[float, ...]] = {
    (0, 0): (1,), (0, 2): (1,), (1, 1): (0, 1), (2, 2): (1, 0, 2)}


class Piecewise(NamedTuple):
    """sum_i `base[i]` x^i and, for each (k, m, j) of `tails`, j times (x - k)_+^m, or (k - x)_+^m where k < 0."""

    base: tuple[float, ...]
    tails: tuple[tuple[float, int, float], ...]

    def at(self, x: Array) -> Array:
        """f(x)."""
        total = np.polynomial.polynomial.polyval(x, np.array(self.base))
        for k, m, weight in self.tails:
            beyond = x - k if k >= 0 else k - x
            total = total + weight * (beyond > 0) * np.maximum(beyond, 0)**m
        return np.asarray(total)

    def pair(self, q: Array, rho: Array) -> Array:
        """E[f(x) f(x')] for x, x' ~ N(0, q) of correlation rho, elementwise.

        Raises
        ------
        NotImplementedError
            Above a variance of `LARGEST`.
        """
        shape = np.broadcast_shapes(np.shape(q), np.shape(rho))
        q, rho = (np.broadcast_to(part, shape).reshape(-1) for part in (q, rho))
        if q.size and q.max() > LARGEST:
            raise NotImplementedError(f"a piecewise function of values of variance {q.max():.3g}; at most {LARGEST:g}; "
                                      "normalise them, or use erfmath.measure")
        s = np.sqrt(q)
        total = np.zeros(q.shape)
        for (i, one), (j, other) in itertools.product(enumerate(self.base), repeat=2):
            moment = _MOMENTS.get((min(i, j), max(i, j)))
            if one and other and moment:
                total = total + one * other * s**(i + j) * np.polynomial.polynomial.polyval(rho, np.array(moment))
        ends = {k: np.minimum(abs(k) / np.maximum(s, 1e-100), BEYOND) for k, _, _ in self.tails}
        for k, n, weight in self.tails:
            alone = [_alone(ends[k], order) for order in range(n + len(self.base))]
            for i, one in enumerate(self.base):
                if one:
                    part = _with_power(ends[k], alone, i, n, rho)
                    total = total + 2 * one * weight * s**(i + n) * (-1 if k < 0 and i % 2 else 1) * part
        for (k, m, one), (other_k, n, other) in itertools.product(self.tails, repeat=2):
            same = (k < 0) == (other_k < 0)
            total = total + one * other * s**(m + n) * _both(ends[k], ends[other_k], m, n, rho if same else -rho)
        return np.asarray(total).reshape(shape)


def _normal(a: Array) -> Array:
    return np.exp(-a * a / 2) / math.sqrt(2 * math.pi)


def _above(a: Array) -> Array:
    from scipy.special import ndtr
    return np.asarray(ndtr(-a))


def _alone(a: Array, n: int) -> Array:
    """E[(z - a)_+^n]."""
    if n == 0:
        return _above(a)
    if n == 1:
        return np.asarray(np.maximum(_normal(a) - a * _above(a), 0.0))
    return -a * _alone(a, n - 1) + (n - 1) * _alone(a, n - 2)


def _with_power(b: Array, alone: list[Array], i: int, n: int, rho: Array) -> Array:
    """E[z^i (z' - b)_+^n] for i up to 2; `alone[n]` is E[(z' - b)_+^n]."""
    if i == 0:
        return alone[n]
    first = alone[n + 1] + b * alone[n]
    if i == 1:
        return rho * first
    return rho**2 * (alone[n + 2] + b * alone[n + 1] + b * first) + (1 - rho**2) * alone[n]


def _given(a: Array, b: Array, n: int, rho: Array) -> Array:
    """Density of z at a times E[(z' - b)_+^n | z = a]."""
    spread = np.sqrt(np.maximum((1 - rho) * (1 + rho), 0.0))
    mean = rho * a - b
    at = np.divide(mean, spread, out=np.sign(mean) * BEYOND, where=spread > 1e-9)
    at = np.clip(at, -BEYOND, BEYOND)
    level = [_above(-at), mean * _above(-at) + spread * _normal(at)]
    for order in range(2, n + 1):
        level.append(mean * level[-1] + (order - 1) * spread**2 * level[-2])
    return np.asarray(_normal(a) * level[n])


def _both(a: Array, b: Array, m: int, n: int, rho: Array) -> Array:
    """T_mn(a, b)."""
    if m == n == 0:
        return _quadrant(a, b, rho)
    if m == 0:
        return _both(b, a, n, 0, rho)
    total = -a * _both(a, b, m - 1, n, rho)
    total = total + ((m - 1) * _both(a, b, m - 2, n, rho) if m > 1 else _given(a, b, n, rho))
    if n:
        return total + rho * n * _both(a, b, m - 1, n - 1, rho)
    return np.asarray(total + rho * _given(b, a, m - 1, rho))


def _quadrant(a: Any, b: Any, rho: Array) -> Array:
    """P(z > a, z' > b) for a, b >= 0."""
    from scipy.special import owens_t
    spread = np.sqrt(np.maximum((1 - rho) * (1 + rho), 1e-300))
    total = (_above(a) + _above(b)) / 2
    for one, other in ((a, b), (b, a)):
        slope = np.divide(other - rho * one, one * spread, out=np.full(np.shape(one), np.inf), where=one * spread > 0)
        total = total - owens_t(one, slope)
    total = np.where((a == 0) & (b == 0), 0.25 + np.arcsin(rho) / (2 * np.pi), total)
    total = np.where(rho >= 1, _above(np.maximum(a, b)), total)
    return np.asarray(np.where(rho <= -1, 0.0, total))
