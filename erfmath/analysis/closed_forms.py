"""Closed forms: the spread that a depth of equal layers reaches and its inverse, and sizes of a Gaussian field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.checks import choice, integer, is_sequence, real
from ..base.errors import quoted
from ..results.sizes import KINDS, LEVEL

__all__ = ["RATIOS", "gaussian_size", "reached_std", "required_depth", "uniform_variance"]

#: Kinds of sizes that are fractions of an image or window, and not in pixels.
RATIOS = ("area_ratio", "area_ratio_log10")


def uniform_variance(kernel_size: int) -> Fraction:
    """Variance of a uniform kernel of k taps, (k^2 - 1) / 12 (equation 10)."""
    return Fraction(kernel_size**2 - 1, 12)


def reached_std(depth: int, kernel_size: int = 3, *, stride: int = 1, every: int = 1,
                dilation: int | Sequence[int] = 1) -> float:
    r"""Standard deviation, in input pixels, of the field of `depth` equal convolutions (equation 10).

    With jump J_l, the product of the strides before layer l,

        std^2 = (k^2 - 1) / 12 * sum_l J_l^2 d_l^2 ,

    which is n d^2 (k^2 - 1) / 12 without strides.

    Parameters
    ----------
    depth : int
        Number n of layers.
    kernel_size : int
        Kernel size k.
    stride, every : int
        Layers `every`, 2 `every`, ... have this stride, all others 1.
    dilation : int or sequence of int
        Dilation d; several are taken in turn.

    Returns
    -------
    float
        Standard deviation in input pixels.

    Raises
    ------
    ValueError
        For values below 1.

    See Also
    --------
    required_depth : Fewest equal convolutions whose field reaches a standard deviation.

    Examples
    --------
    >>> import erfmath as em
    >>> round(em.reached_std(15), 3), round(em.reached_std(15, stride=2, every=4), 3)
    (3.162, 13.565)
    """
    k, s, m, cycle = _checked(kernel_size, stride, every, dilation)
    n, total, block = integer(depth, "depth", 0), 0, 0
    while n > 0:
        length = n if s == 1 else min(m, n)
        total += s**(2 * block) * _squares(cycle, block * m, length)
        n, block = n - length, block + 1
    return math.sqrt(uniform_variance(k) * total)


def required_depth(target_std: float, kernel_size: int = 3, *, stride: int = 1, every: int = 1,
                   dilation: int | Sequence[int] = 1) -> int:
    """Fewest equal convolutions whose field reaches a standard deviation: the inverse of `reached_std`.

    Without strides n = ceil(12 std^2 / (d^2 (k^2 - 1))); a stride every m layers multiplies what each
    later block of m adds, so that depth grows with the logarithm of the target.

    Parameters
    ----------
    target_std : float
        In input pixels.
    kernel_size, stride, every, dilation : int, or sequence of int
        As in `reached_std`.

    Returns
    -------
    int
        Number of layers.

    Raises
    ------
    ValueError
        For a target that is not positive, or kernels of one tap, which widen nothing.

    See Also
    --------
    reached_std : Standard deviation, in input pixels.
    design : Networks that reach a size.

    Examples
    --------
    >>> import erfmath as em
    >>> em.required_depth(40), em.required_depth(40, dilation=(1, 2, 4)), em.required_depth(40, stride=2, every=4)
    (2400, 345, 22)
    """
    k, s, m, cycle = _checked(kernel_size, stride, every, dilation)
    target = real(target_std, "target_std")
    if target <= 0 or k == 1:
        raise ValueError(f"target_std={quoted(target_std)}, kernel_size={k}: the target must be positive and the "
                         "kernel larger than 1")
    # A rounded root asks for no layer more than its square.
    left = Fraction(target)**2 / uniform_variance(k) * (1 - Fraction(1, 10**15))
    n = block = 0
    while s > 1:
        whole = s**(2 * block) * _squares(cycle, n, m)
        if whole >= left:
            break
        left, n, block = left - whole, n + m, block + 1
    need = math.ceil(left / s**(2 * block))
    turns = max(need - 1, 0) // sum(d * d for d in cycle)
    need -= turns * sum(d * d for d in cycle)
    n += turns * len(cycle)
    while need > 0:
        need -= cycle[n % len(cycle)]**2
        n += 1
    return n


def _checked(kernel_size: int, stride: int, every: int,
             dilation: int | Sequence[int]) -> tuple[int, int, int, tuple[int, ...]]:
    cycle: Any = dilation if is_sequence(dilation) else (dilation,)
    if not cycle:
        raise ValueError("dilation: must hold one integer at least")
    return (integer(kernel_size, "kernel_size", 1), integer(stride, "stride", 1), integer(every, "every", 1),
            tuple(integer(d, "dilation", 1) for d in cycle))


def _squares(cycle: tuple[int, ...], first: int, count: int) -> int:
    """Sum of the squares of `count` dilations, from the layer `first` on."""
    turns, rest = divmod(count, len(cycle))
    return (turns * sum(d * d for d in cycle)
            + sum(cycle[(first + i) % len(cycle)]**2 for i in range(rest)))


def gaussian_size(std: npt.ArrayLike, kind: str = "threshold", *, ndim: int = 2, statistic: str = "power",
                  p: float = 0.95, level: float = LEVEL) -> npt.NDArray[np.float64]:
    """Size of a round Gaussian field of standard deviation `std` per axis (equation 28 and its like).

    =============  ==================================================================
    threshold      (V_d)^(1/d) sigma_A sqrt(2 ln(1/level)), V_d the unit ball, sigma_A
                   the amplitude's: sqrt(2) std for the power, std for the mean
    half_max       the same at level 1/2
    std            std
    mass           2 std z with P(abs(N) < z)^d = p
    participation  (2 sqrt(pi) std)^d, a number of pixels
    =============  ==================================================================

    Parameters
    ----------
    std : array_like
        In pixels.
    kind : str
    ndim : int
    statistic : {"power", "mean"}
    p, level : float
        Of the mass, of the threshold.

    Raises
    ------
    ValueError
        For kinds that are ratios.

    Examples
    --------
    >>> round(float(gaussian_size(1.0)), 3), round(float(gaussian_size(1.0, "mass")), 3)
    (6.231, 4.473)
    """
    choice(kind, "kind", tuple(KINDS))
    if kind in RATIOS:
        raise ValueError(f"kind={quoted(kind)}: is a part of an image, and no size in pixels")
    sigma = np.asarray(std, dtype=float)
    if kind == "std":
        return sigma
    if kind == "participation":
        return np.asarray((2 * math.sqrt(math.pi) * sigma)**ndim)
    if kind == "mass":
        from scipy.special import ndtri
        return np.asarray(2 * sigma * float(ndtri((1 + p**(1 / ndim)) / 2)))
    ball = math.pi**(ndim / 2) / math.gamma(ndim / 2 + 1)
    below = 0.5 if kind == "half_max" else level
    amplitude = sigma * (math.sqrt(2) if statistic == "power" else 1.0)
    return np.asarray(ball**(1 / ndim) * amplitude * math.sqrt(2 * math.log(1 / below)))
