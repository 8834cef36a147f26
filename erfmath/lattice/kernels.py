"""How one layer spreads a gradient over its taps: distributions on the integer lattice.

A kernel with weights w(a), a = 0..k-1, moves a gradient by a taps with probability
w(a) / sum w; for random weights w is the second moment per tap, for fixed ones the weight itself
(equation W1 in ``docs/walks.md``). Tap numbers start at `offset`, by default 0 as in the paper.

Weights given as ints or Fractions stay exact: what is computed from them by exact methods carries
no rounding of 1/3. Floats are taken at their exact binary value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache, reduce
from math import comb, prod
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ..base.checks import integer, is_sequence, real
from ..base.errors import check_bytes, quoted
from .distribution import Exact, KernelStack, LatticeDistribution, as_weights

__all__ = [
    "KernelStack", "LatticeDistribution", "binomial", "corners", "from_weights", "residual",
    "soft_rim", "triangular", "uniform",
]
__dir__ = __all__.copy  # tab completion offers public names only


#: As many as arrays of every NumPy may have.
MOST_AXES = 32


def _separable(k: int | Sequence[int], make: Callable[..., list[Any]], *parameters: Any) -> LatticeDistribution:
    """Product over the axes of the 1-D weights make(k_axis, ...); an int is one axis."""
    listed: Any = k if is_sequence(k) else (k,)
    sizes = tuple(integer(size, "k", 1) for size in listed)
    if not 1 <= len(sizes) <= MOST_AXES:
        raise ValueError(f"k={quoted(k)}: must be the number of taps, or one per axis of at most {MOST_AXES}")
    digits = sum(sizes) // 8 if make is _binomial else 0
    check_bytes(prod(sizes) * (64 + digits), f"a kernel of {' x '.join(map(quoted, sizes))} taps", "take fewer taps")
    return _product(sizes, make, *parameters)


@lru_cache(maxsize=256, typed=True)
def _product(sizes: tuple[int, ...], make: Callable[..., list[Any]], *parameters: Any) -> LatticeDistribution:
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

    Parameters
    ----------
    k : int or sequence of int
        Taps; one value is one axis, several make a product of distributions.

    Returns
    -------
    LatticeDistribution
        The kernel.

    Raises
    ------
    ValueError
        If a size is below 1.

    See Also
    --------
    binomial : Weights C(k-1, a): k - 1 fair coin tosses, variance (k - 1) / 4.
    triangular : Weights 1, 2, ..., 2, 1, rising and falling by one a tap.

    Examples
    --------
    >>> import erfmath as em
    >>> em.kernels.uniform(3).var, em.kernels.uniform((3, 5)).shape
    (0.6666666666666666, (3, 5))
    """
    return _separable(k, _uniform)


def binomial(k: int | Sequence[int]) -> LatticeDistribution:
    """Kernel of weights C(k-1, a): k - 1 fair coin tosses, variance (k - 1) / 4.

    Parameters
    ----------
    k : int or sequence of int
        Taps; one value is one axis, several make a product of distributions.

    Returns
    -------
    LatticeDistribution
        The kernel.

    Raises
    ------
    ValueError
        If a size is below 1.

    See Also
    --------
    uniform : Equal weights, 1/k per tap: variance (k^2 - 1) / 12.
    triangular : Weights 1, 2, ..., 2, 1, rising and falling by one a tap.

    Examples
    --------
    >>> import erfmath as em
    >>> print(*em.kernels.binomial(5).weights)
    1 4 6 4 1
    """
    return _separable(k, _binomial)


def triangular(k: int | Sequence[int]) -> LatticeDistribution:
    """Kernel of weights 1, 2, ..., 2, 1, rising and falling by one a tap.

    Parameters
    ----------
    k : int or sequence of int
        Taps; one value is one axis, several make a product of distributions.

    Returns
    -------
    LatticeDistribution
        The kernel.

    Raises
    ------
    ValueError
        If a size is below 1.

    See Also
    --------
    binomial : Weights C(k-1, a): k - 1 fair coin tosses, variance (k - 1) / 4.
    corners : All weight on the outermost taps, 1/2^d each.

    Examples
    --------
    >>> import erfmath as em
    >>> print(*em.kernels.triangular(5).weights)
    1 2 3 2 1
    """
    return _separable(k, _triangular)


def corners(k: int | Sequence[int]) -> LatticeDistribution:
    """All weight on the outermost taps, 1/2^d each: the largest variance, ((k - 1) / 2)^2.

    Parameters
    ----------
    k : int or sequence of int
        Taps; one value is one axis, several make a product of distributions.

    Returns
    -------
    LatticeDistribution
        The kernel.

    Raises
    ------
    ValueError
        If a size is below 1.

    See Also
    --------
    triangular : Weights 1, 2, ..., 2, 1, rising and falling by one a tap.
    soft_rim : From `uniform` (rim = 0) to `corners`.

    Examples
    --------
    >>> import erfmath as em
    >>> em.kernels.corners(5).var
    4.0
    """
    return _separable(k, _corners)


def soft_rim(k: int | Sequence[int], rim: float | Fraction) -> LatticeDistribution:
    """From `uniform` (rim = 0) to `corners` (rim = 1), linearly along each axis.

    The paper's section 4: an initialisation whose centre is smaller and whose rim is larger.
    An int or Fraction keeps the weights exact.

    Parameters
    ----------
    k : int or sequence of int
        Taps; one value is one axis, several make a product of distributions.
    rim : float or Fraction
        Part of the weight that is moved to the rim, 0 to 1.

    Returns
    -------
    LatticeDistribution
        The kernel.

    Raises
    ------
    ValueError
        If a size is below 1, or `rim` out of range.

    See Also
    --------
    corners : All weight on the outermost taps, 1/2^d each.
    from_weights : A kernel from given weights w.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import erfmath as em
    >>> print(*em.kernels.soft_rim(3, Fraction(1, 4)).weights)
    3/8 1/4 3/8
    """
    if not isinstance(rim, Fraction):
        real(rim, "rim")
    if not 0 <= rim <= 1:
        raise ValueError(f"rim={quoted(rim)}: must lie between 0 (uniform) and 1 (corners)")
    return _separable(k, _soft_rim, rim)


def from_weights(weights: ArrayLike, of: Literal["value", "abs", "square"] = "value",
                 offset: int | Sequence[int] = 0) -> LatticeDistribution:
    """A kernel from given weights w: the distribution of w, abs(w) or w^2 (equation W1).

    `mass` is the sum of what is taken. Negative weights are kept under ``of="value"``, where the
    kernel is signed: no distribution, but still convolved by `walk` (methods "fft" and "rational").

    Parameters
    ----------
    weights : array_like of shape (k_1, ..., k_d)
        One filter, in 1 to 3 dimensions; ints and Fractions stay exact.
    of : {"value", "abs", "square"}
        What is taken of each weight.
    offset : int or sequence of int
        Coordinate of the first weight along each axis.

    Returns
    -------
    LatticeDistribution
        The kernel.

    Raises
    ------
    ValueError
        If the weights are empty, not finite or all zero, or `of` is unknown.
    TypeError
        If they are no real numbers.

    See Also
    --------
    soft_rim : From `uniform` (rim = 0) to `corners`.
    residual : One residual layer a * identity + b * kernel as a kernel.

    Examples
    --------
    >>> import erfmath as em
    >>> em.kernels.from_weights([1, -2, 1], of="square").pmf.round(3).tolist()
    [0.167, 0.667, 0.167]
    """
    taken = as_weights(weights)
    if not isinstance(of, str) or of not in ("value", "abs", "square"):
        raise ValueError(f'of={quoted(of)}: must be "value", "abs" or "square"')
    if of != "value":
        taken = abs(taken) if of == "abs" else taken * taken
    kernel = LatticeDistribution(taken, offset)
    if kernel.is_signed:
        return kernel
    mass = kernel.total if kernel.is_exact or kernel.total > sys.float_info.max else float(kernel.total)
    return LatticeDistribution(taken, offset, mass)


def residual(kernel: LatticeDistribution, a: float | Exact = 1, b: float | Exact = 1) -> LatticeDistribution:
    """One residual layer a * identity + b * kernel as a kernel: n of them give (a + b w)^n.

    The identity sits at site 0, so centre the kernel first where its layer is padded by half:
    ``residual(uniform(3).centred())``. The mass is a + b times the kernel's.

    Parameters
    ----------
    kernel : LatticeDistribution
        Distribution of the branch.
    a, b : float or Fraction
        Power gains of identity and branch, not negative.

    Returns
    -------
    LatticeDistribution
        The kernel.

    Raises
    ------
    ValueError
        If a factor is negative, both are zero, or the kernel is signed.

    See Also
    --------
    from_weights : A kernel from given weights w.
    soft_rim : From `uniform` (rim = 0) to `corners`.

    Examples
    --------
    >>> import erfmath as em
    >>> print(*em.kernels.residual(em.kernels.uniform(3).centred()).weights)
    1/3 4/3 1/3
    """
    if not isinstance(kernel, LatticeDistribution):
        raise TypeError(f"kernel={quoted(kernel)}: must be a LatticeDistribution, as kernels.uniform(3)")
    kernel.require_distribution("residual")
    for name, value in (("a", a), ("b", b)):
        if not isinstance(value, Fraction):
            real(value, name)
    if a < 0 or b < 0 or not a + b:
        raise ValueError(f"a={quoted(a)}, b={quoted(b)}: neither may be negative, nor both zero")
    exact = kernel.is_exact and all(isinstance(v, (int, Fraction)) for v in (a, b, kernel.mass))
    lo = [min(0, o) for o in kernel.offset]
    hi = [max(0, o + k - 1) for o, k in zip(kernel.offset, kernel.shape)]
    shape = [h - c + 1 for c, h in zip(lo, hi)]
    taps = np.zeros(shape, dtype=object if exact else float)
    if exact:
        part = kernel.weights * (Fraction(b) * kernel.mass / kernel.total)
    else:
        part = kernel.pmf * (float(b) * float(kernel.mass))
    taps[tuple(slice(o - c, o - c + k) for o, c, k in zip(kernel.offset, lo, kernel.shape))] += part
    taps[tuple(-c for c in lo)] += a
    return LatticeDistribution(taps, lo, a + b * kernel.mass)
