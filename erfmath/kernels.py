"""How one layer spreads a gradient over its taps: distributions on the integer lattice.

A kernel with weights w(a), a = 0..k-1, moves a gradient by a taps with probability
w(a) / sum w; for random weights w is the second moment per tap, for fixed ones the weight itself
(equation W1 in ``docs/walks.md``). Tap numbers start at `offset`, by default 0 as in the paper.

Weights given as ints or Fractions stay exact: what is computed from them by exact methods carries
no rounding of 1/3. Floats are taken at their exact binary value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache, reduce
from math import comb, fsum
from typing import Any, Literal, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "KernelStack", "LatticeDistribution", "binomial", "corners", "from_weights", "residual",
    "soft_rim", "triangular", "uniform",
]

Exact = Union[int, Fraction]
Moments = Union[float, NDArray[np.float64]]
#: Relative size of the rounding in a product of floats, per axis: what still counts as rank one.
_PRODUCT_ROUNDING = 4 * np.finfo(float).eps


@dataclass(frozen=True, eq=False)
class LatticeDistribution:
    """Weights on a box of lattice sites; where none is negative, a probability law.

    Parameters
    ----------
    weights : array of shape (k_1, ..., k_d)
        As given, not normalised. Integers and Fractions are kept exact (an object array).
    offset : int or tuple of int
        Coordinate of the first weight along each axis.
    mass : float or Fraction
        Total weight that the law stands for, carried beside it (`walk(...).log_mass`); 1 by
        default. A signed kernel has no such factor: its weights are used as they are.

    Raises
    ------
    ValueError
        Empty, not finite, or all zero.

    Examples
    --------
    >>> from erfmath import kernels
    >>> k = kernels.from_weights([1, 2, 3])
    >>> k.pmf.round(3).tolist(), round(k.mean, 3), k.offset
    ([0.167, 0.333, 0.5], 1.333, (0,))
    """

    weights: NDArray[Any]
    offset: tuple[int, ...] = (0,)
    mass: float | Exact = 1

    def __init__(self, weights: ArrayLike, offset: int | Sequence[int] = 0,
                 mass: float | Exact = 1) -> None:
        array = _as_weights(weights)
        shift = (offset,) * array.ndim if isinstance(offset, int) else tuple(offset)
        if len(shift) != array.ndim:
            raise ValueError(f"offset={offset!r} has {len(shift)} entries for a kernel of "
                             f"{array.ndim} dimensions: give one int per axis, or a single int")
        object.__setattr__(self, "weights", array)
        object.__setattr__(self, "offset", tuple(operator.index(o) for o in shift))
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
        """Whether a weight is negative, so that the kernel is no law."""
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
        self.require_law("pmf")
        if self.is_exact:
            pmf = (self.weights / self.total).astype(float)
        else:
            pmf = self.weights / fsum(self.weights.flat)
        pmf.flags.writeable = False
        return pmf

    def require_law(self, what: str) -> None:
        """Refuse `what`, which needs a probability law, for a signed kernel."""
        if self.is_signed:
            raise ValueError(
                f"{what} needs a probability law, but this kernel has negative weights "
                f"(smallest {float(self.weights.min()):.6g}): take its second moments "
                "(from_weights(w, of='square')) or magnitudes (of='abs')")

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
            law = self.pmf.sum(axis=tuple(a for a in range(self.ndim) if a != axis))
            x = np.arange(self.offset[axis], self.offset[axis] + law.size, dtype=float)
            mean = float(law @ x)
            rows.append([mean, law @ (x - mean) ** 2, law @ (x - mean) ** 4])
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
        """Law of one coordinate, exact if the weights are."""
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
        """The 1-D laws whose product this is, or None; floats may miss it by their rounding."""
        return None if self.split is None else self.split[0]

    def mirrored(self, axes: Sequence[int] | None = None) -> LatticeDistribution:
        """The law of -X along `axes` (all by default)."""
        flip = range(self.ndim) if axes is None else axes
        offset = [-(o + k - 1) if a in flip else o
                  for a, (o, k) in enumerate(zip(self.offset, self.shape))]
        return LatticeDistribution(np.flip(self.weights, tuple(flip)), offset, self.mass)

    def centred(self) -> LatticeDistribution:
        """The same weights with tap (k-1)//2 at site 0, as under padding "half"."""
        return LatticeDistribution(self.weights, [-((k - 1) // 2) for k in self.shape], self.mass)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LatticeDistribution):
            return NotImplemented
        return (self.offset == other.offset and self.mass == other.mass
                and np.array_equal(self.weights, other.weights))

    def __hash__(self) -> int:
        return hash((self.offset, self.shape, *self.weights.flat))

    def __repr__(self) -> str:
        weights = np.array2string(self.weights, separator=", ", threshold=16, edgeitems=2)
        return f"LatticeDistribution({weights.replace(chr(10), '')}, offset={self.offset})"


@dataclass(frozen=True, eq=False)
class KernelStack:
    """Many different 1-D laws of one width, a row each: layers too many to list one by one.

    `walk([(stack, jump, count)])` takes every row `count` times.

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
        rows = np.array(self.rows, dtype=float)
        if rows.ndim != 2 or not rows.size:
            raise ValueError(f"rows has shape {rows.shape}: give a (kernels, taps) array")
        if not np.isfinite(rows).all() or (rows < 0).any() or not rows.any(axis=1).all():
            raise ValueError("rows must be finite and non-negative, and no row all zero")
        rows.flags.writeable = False
        object.__setattr__(self, "rows", rows)


def _as_weights(weights: ArrayLike) -> NDArray[Any]:
    """Read-only copy: object array of ints and Fractions where all are exact, else float64."""
    array = np.array(weights)
    if array.dtype == object or array.dtype.kind in "biu":
        flat = array.ravel().tolist()
        if all(isinstance(v, (int, Fraction)) for v in flat):
            exact = np.empty(array.size, dtype=object)
            exact[:] = [int(v) if isinstance(v, int) else v for v in flat]
            array = exact.reshape(array.shape)
    if array.dtype != object or not all(isinstance(v, (int, Fraction)) for v in array.flat):
        if array.dtype.kind not in "biufO":
            raise TypeError(f"weights must be ints, Fractions or real floats, not {array.dtype}")
        array = array.astype(float)
        if not np.isfinite(array).all():
            raise ValueError("weights contain nan or infinity: every weight must be finite")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"weights have shape {array.shape}: give at least one tap on each axis")
    if not (array != 0).any():
        raise ValueError("weights are all zero: at least one must not be")
    array.flags.writeable = False
    return array


def _separable(k: int | Sequence[int], make: Callable[..., list[Any]],
               *parameters: Any) -> LatticeDistribution:
    """Product over the axes of the 1-D weights make(k_axis, ...); an int is one axis."""
    sizes = (k,) if isinstance(k, (int, np.integer)) else tuple(k)
    for size in sizes:
        if operator.index(size) < 1:
            raise ValueError(f"kernel size {k!r}: every entry must be at least 1")
    return _product(tuple(map(int, sizes)), make, *parameters)


@lru_cache(maxsize=256, typed=True)
def _product(sizes: tuple[int, ...], make: Callable[..., list[Any]],
             *parameters: Any) -> LatticeDistribution:
    rows = []
    for size in sizes:
        row = np.array(make(size, *parameters))
        rows.append(row if row.dtype.kind == "f" else row.astype(object))
    return LatticeDistribution(reduce(np.multiply.outer, rows))


def _uniform(n: int) -> list[int]:
    return [1] * n


def _binomial(n: int) -> list[int]:
    return [comb(n - 1, a) for a in range(n)]


def _triangular(n: int) -> list[int]:
    return [min(a + 1, n - a) for a in range(n)]


def _corners(n: int) -> list[int]:
    return [int(a in (0, n - 1)) for a in range(n)]


def _soft_rim(n: int, rim: float | Fraction) -> list[float | Fraction]:
    one = 1.0 if isinstance(rim, float) else Fraction(1)
    ends = len({0, n - 1})
    return [(one - rim) / n + (one * rim / ends if a in (0, n - 1) else 0) for a in range(n)]


def uniform(k: int | Sequence[int]) -> LatticeDistribution:
    """Equal weights, 1/k per tap: variance (k^2 - 1) / 12.

    Examples
    --------
    >>> from erfmath import kernels
    >>> kernels.uniform(3).var, kernels.uniform((3, 5)).shape
    (0.6666666666666666, (3, 5))
    """
    return _separable(k, _uniform)


def binomial(k: int | Sequence[int]) -> LatticeDistribution:
    """Weights C(k-1, a): k - 1 fair coin tosses, variance (k - 1) / 4."""
    return _separable(k, _binomial)


def triangular(k: int | Sequence[int]) -> LatticeDistribution:
    """Weights 1, 2, ..., 2, 1, rising and falling by one a tap."""
    return _separable(k, _triangular)


def corners(k: int | Sequence[int]) -> LatticeDistribution:
    """All weight on the outermost taps, 1/2^d each: the largest variance, ((k - 1) / 2)^2."""
    return _separable(k, _corners)


def soft_rim(k: int | Sequence[int], rim: float | Fraction) -> LatticeDistribution:
    """From `uniform` (rim = 0) to `corners` (rim = 1), linearly along each axis.

    The paper's section 4: an initialisation whose centre is smaller and whose rim is larger.
    An int or Fraction keeps the weights exact.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from erfmath import kernels
    >>> print(*kernels.soft_rim(3, Fraction(1, 4)).weights)
    3/8 1/4 3/8
    """
    if not 0 <= rim <= 1:
        raise ValueError(f"rim={rim!r}: must lie between 0 (uniform) and 1 (corners)")
    return _separable(k, _soft_rim, rim)


def from_weights(weights: ArrayLike, of: Literal["value", "abs", "square"] = "value",
                 offset: int | Sequence[int] = 0) -> LatticeDistribution:
    """A kernel from given weights w: the law of w, abs(w) or w^2 (equation W1).

    `mass` is the sum of what is taken. Negative weights are kept under ``of="value"``, where the
    kernel is signed: no law, but still convolved by `walk` (methods "fft" and "rational").

    Examples
    --------
    >>> from erfmath import kernels
    >>> kernels.from_weights([1, -2, 1], of="square").pmf.round(3).tolist()
    [0.167, 0.667, 0.167]
    """
    taken = _as_weights(weights)
    if of not in ("value", "abs", "square"):
        raise ValueError(f'of={of!r}: must be "value", "abs" or "square"')
    if of != "value":
        taken = abs(taken) if of == "abs" else taken * taken
    kernel = LatticeDistribution(taken, offset)
    if kernel.is_signed:
        return kernel
    mass = kernel.total if kernel.is_exact else float(kernel.total)
    return LatticeDistribution(taken, offset, mass)


def residual(kernel: LatticeDistribution, a: float | Exact = 1,
             b: float | Exact = 1) -> LatticeDistribution:
    """One residual layer a * identity + b * kernel as a kernel: n of them give (a + b w)^n.

    The identity sits at site 0, so centre the kernel first where its layer is padded by half:
    ``residual(uniform(3).centred())``. The mass is a + b times the kernel's.

    Examples
    --------
    >>> from erfmath import kernels
    >>> print(*kernels.residual(kernels.uniform(3).centred()).weights)
    1/3 4/3 1/3
    """
    kernel.require_law("residual")
    if a < 0 or b < 0 or not a + b:
        raise ValueError(f"a={a!r}, b={b!r}: neither may be negative, nor both zero")
    exact = kernel.is_exact and all(isinstance(v, (int, Fraction)) for v in (a, b, kernel.mass))
    lo = [min(0, o) for o in kernel.offset]
    hi = [max(0, o + k - 1) for o, k in zip(kernel.offset, kernel.shape)]
    shape = [h - c + 1 for c, h in zip(lo, hi)]
    taps = np.zeros(shape, dtype=object if exact else float)
    if exact:
        part = kernel.weights * (Fraction(b) * kernel.mass / kernel.total)
    else:
        part = kernel.pmf * (float(b) * float(kernel.mass))
    taps[tuple(slice(o - c, o - c + k)
               for o, c, k in zip(kernel.offset, lo, kernel.shape))] += part
    taps[tuple(-c for c in lo)] += a
    return LatticeDistribution(taps, lo, a + b * kernel.mass)
