"""Distributions over the taps of a kernel: weights on a box of the integer lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, reduce
from math import fsum
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.checks import integer, numbers, point, real
from ..base.errors import quoted

__all__ = ["Exact", "KernelStack", "LatticeDistribution", "as_weights"]

Exact = Union[int, Fraction]
Moments = Union[float, NDArray[np.float64]]
#: Relative size of the rounding in a product of floats, per axis: what still counts as rank one.
_PRODUCT_ROUNDING = 4 * np.finfo(float).eps


@dataclass(frozen=True, eq=False)
class LatticeDistribution:
    """Weights on a box of lattice sites; where none is negative, a probability distribution.

    Parameters
    ----------
    weights : array of shape (k_1, ..., k_d)
        As given, not normalised. Integers and Fractions are kept exact (an object array).
    offset : int or tuple of int
        Coordinate of the first weight along each axis.
    mass : float or Fraction
        Total weight that the distribution represents, carried beside it (`walk(...).log_mass`); 1 by
        default. A signed kernel has no such factor: its weights are used as they are.

    Raises
    ------
    ValueError
        Empty, not finite, or all zero; an offset that is no int per axis; a mass that is not positive.

    See Also
    --------
    KernelStack : Many different 1-D distributions of one width, a row each.

    Examples
    --------
    >>> import erfmath as em
    >>> k = em.kernels.from_weights([1, 2, 3])
    >>> k.pmf.round(3).tolist(), round(k.mean, 3), k.offset
    ([0.167, 0.333, 0.5], 1.333, (0,))
    """

    weights: NDArray[Any]
    offset: tuple[int, ...] = (0,)
    mass: float | Exact = 1

    def __init__(self, weights: ArrayLike, offset: int | Sequence[int] = 0, mass: float | Exact = 1) -> None:
        array = as_weights(weights)
        if not isinstance(mass, Fraction) and real(mass, "mass") <= 0 or mass <= 0:
            raise ValueError(f"mass={quoted(mass)}: must be positive")
        object.__setattr__(self, "weights", array)
        object.__setattr__(self, "offset", point(offset, "offset", array.ndim))
        object.__setattr__(self, "mass", mass)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.weights.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of taps along each axis."""
        return self.weights.shape

    @property
    def is_exact(self) -> bool:
        """Whether the weights are ints or Fractions."""
        return self.weights.dtype == object

    @cached_property
    def is_signed(self) -> bool:
        """Whether a weight is negative, so that the kernel is no distribution."""
        return bool((self.weights < 0).any())

    @cached_property
    def total(self) -> Exact:
        """Exact sum of the weights."""
        if self.is_exact:
            return sum(self.weights.flat)
        return sum(map(Fraction, self.weights.flat), Fraction(0))

    @cached_property
    def pmf(self) -> NDArray[np.float64]:
        """Weights divided by their exact sum, rounded once; read-only."""
        self.require_distribution("pmf")
        if self.is_exact:
            pmf = (self.weights / self.total).astype(float)
        else:
            pmf = self.weights / fsum(self.weights.flat)
        pmf.flags.writeable = False
        return pmf

    def require_distribution(self, what: str) -> None:
        """Refuse `what`, which needs a probability distribution, for a signed kernel."""
        if self.is_signed:
            raise ValueError(
                f"{what} needs a probability distribution, but this kernel has negative weights (smallest "
                f"{float(self.weights.min()):.6g}): take its second moments (from_weights(w, of='square')) or "
                "magnitudes (of='abs')")

    @cached_property
    def nonzero(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Taps that carry weight: their tap numbers, shape (taps, ndim), and their weights."""
        where = np.nonzero(self.weights != 0)
        return np.stack(where, axis=1), self.weights[where]

    @cached_property
    def _axis_moments(self) -> tuple[NDArray[np.float64], ...]:
        """Per axis: mean, and the second and fourth moments about it."""
        rows = []
        for axis in range(self.ndim):
            pmf = self.pmf.sum(axis=tuple(a for a in range(self.ndim) if a != axis))
            x = np.arange(self.offset[axis], self.offset[axis] + pmf.size, dtype=float)
            mean = float(pmf @ x)
            rows.append([mean, pmf @ (x - mean) ** 2, pmf @ (x - mean) ** 4])
        return tuple(np.array(rows).T)

    def _scalar(self, value: NDArray[np.float64]) -> Moments:
        return float(value[0]) if self.ndim == 1 else value

    @property
    def mean(self) -> Moments:
        """Mean tap coordinate, offset included: a float in 1-D, else one entry per axis."""
        return self._scalar(self._axis_moments[0])

    @property
    def var(self) -> Moments:
        """Variance along each axis (a float in 1-D)."""
        return self._scalar(self._axis_moments[1])

    @property
    def kurtosis(self) -> Moments:
        """Excess kurtosis along each axis (a float in 1-D); nan for a point mass."""
        _, var, fourth = self._axis_moments
        safe = np.where(var > 0, var, np.nan)
        return self._scalar(fourth / safe**2 - 3)

    def marginal(self, axis: int) -> LatticeDistribution:
        """Distribution of the coordinate along `axis`, exact if the weights are."""
        others = tuple(a for a in range(self.ndim) if a != axis % self.ndim)
        return LatticeDistribution(self.weights.sum(axis=others), self.offset[axis], self.mass)

    @cached_property
    def split(self) -> tuple[tuple[LatticeDistribution, ...], float] | None:
        """The 1-D factors, and by how much (relatively) their product misses the weights."""
        parts = [self.marginal(axis) for axis in range(self.ndim)]
        parts = [parts[0], *(LatticeDistribution(p.weights, p.offset) for p in parts[1:])]
        if self.ndim == 1:
            return (self,), 0.0
        if not self.total:
            return None
        product = reduce(np.multiply.outer, [p.weights for p in parts])
        if self.is_exact:
            equal = np.array_equal(product, self.weights * self.total ** (self.ndim - 1))
            return (tuple(parts), 0.0) if equal else None
        product = product / float(self.total) ** (self.ndim - 1)
        miss = np.abs(product - self.weights)
        if not (miss <= self.ndim * _PRODUCT_ROUNDING * np.abs(self.weights)).all():
            return None
        nonzero = self.weights != 0
        return tuple(parts), float((miss[nonzero] / np.abs(self.weights[nonzero])).max())

    def separable_factors(self) -> tuple[LatticeDistribution, ...] | None:
        """The 1-D distributions whose product this is, or None; floats may miss it by their rounding."""
        return None if self.split is None else self.split[0]

    def mirrored(self, axes: Sequence[int] | None = None) -> LatticeDistribution:
        """The distribution of -X along `axes` (all by default)."""
        flip = range(self.ndim) if axes is None else axes
        offset = [-(o + k - 1) if a in flip else o for a, (o, k) in enumerate(zip(self.offset, self.shape))]
        return LatticeDistribution(np.flip(self.weights, tuple(flip)), offset, self.mass)

    def centred(self) -> LatticeDistribution:
        """The same weights with tap (k-1)//2 at site 0, as under padding "half"."""
        return LatticeDistribution(self.weights, [-((k - 1) // 2) for k in self.shape], self.mass)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LatticeDistribution):
            return NotImplemented
        return (self.offset == other.offset and self.mass == other.mass and np.array_equal(self.weights, other.weights))

    def __hash__(self) -> int:
        return hash((self.offset, self.shape, *self.weights.flat))

    def __repr__(self) -> str:
        weights = np.array2string(self.weights, separator=", ", threshold=16, edgeitems=2)
        return f"LatticeDistribution({weights.replace(chr(10), '')}, offset={self.offset})"


@dataclass(frozen=True, eq=False)
class KernelStack:
    """Many different 1-D distributions of one width, a row each: layers too many to list one by one.

    `walk([(stack, jump, count)])` takes every row `count` times.

    Parameters
    ----------
    rows : array of shape (kernels, taps)
        A distribution a row, not normalised.
    offset : int
        Coordinate of the first tap of every row.

    Raises
    ------
    ValueError
        If there are no rows, or one of them is all zero, negative somewhere or not finite.

    See Also
    --------
    LatticeDistribution : Weights on a box of lattice sites.

    Examples
    --------
    >>> import numpy as np, erfmath as em
    >>> rows = np.random.default_rng(0).random((1000, 3))
    >>> walk = em.walk([(em.kernels.KernelStack(rows), 1, 1)], method="window")
    >>> bool(abs(walk.pmf(np.arange(2001)).sum() - 1) < 1e-13)
    True
    """

    rows: NDArray[np.float64]
    offset: int = 0

    def __post_init__(self) -> None:
        rows = numbers(self.rows, "rows", False).copy()
        integer(self.offset, "offset")
        if rows.ndim != 2 or not rows.size:
            raise ValueError(f"rows has shape {rows.shape}: give a (kernels, taps) array")
        if not np.isfinite(rows).all() or (rows < 0).any() or not rows.any(axis=1).all():
            raise ValueError("rows must be finite and non-negative, and no row all zero")
        rows.flags.writeable = False
        object.__setattr__(self, "rows", rows)


def as_weights(weights: ArrayLike) -> NDArray[Any]:
    """Read-only copy: object array of ints and Fractions where all are exact, else float64."""
    try:
        array = np.array(weights)
    except ValueError:  # rows of unequal lengths
        raise ValueError(f"weights={quoted(weights)}: must be an array of numbers, one a tap") from None
    if array.dtype == object or array.dtype.kind in "biu":
        flat = array.ravel().tolist()
        if all(isinstance(v, (int, Fraction)) for v in flat):
            exact = np.empty(array.size, dtype=object)
            exact[:] = [int(v) if isinstance(v, int) else v for v in flat]
            array = exact.reshape(array.shape)
    if array.dtype != object or not all(isinstance(v, (int, Fraction)) for v in array.flat):
        if array.dtype.kind not in "biufO":
            raise TypeError(f"weights={quoted(weights)}: must be ints, Fractions or real floats, not {array.dtype}")
        try:
            array = array.astype(float)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"weights={quoted(weights)}: must be ints, Fractions or real floats") from None
        if not np.isfinite(array).all():
            raise ValueError("weights contain nan or infinity: every weight must be finite")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"weights have shape {array.shape}: give at least one tap on each axis")
    if not (array != 0).any():
        raise ValueError("weights are all zero: at least one must not be")
    array.flags.writeable = False
    return array
