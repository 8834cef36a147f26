"""How far a smooth approximation can be from the distribution: bounds from their transforms."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, factorial, pi, prod, sqrt

import numpy as np
from numpy.typing import NDArray

from .charfun import chernoff
from .modes import Torus, fast_length
from .steps import Block

__all__ = ["certificate", "edgeworth_coefficients"]

EPS = float(np.finfo(float).eps)
_NATS = 44.0
#: Coefficients that a density of floats can have: to the tenth power of any distance they are still floats.
_LARGEST = 1e200


def edgeworth_coefficients(cumulants: NDArray[np.float64], order: int) -> NDArray[np.float64] | None:
    """Coefficients of (i tau)^j, and so of He_j, j = 0 to 9, for Edgeworth order 0 to 3 (W10).

    `cumulants` holds kappa_2 to kappa_5 of one axis.  None where a coefficient is too large for floats: the variance
    is next to nothing.
    """
    with np.errstate(all="ignore"):
        third, fourth, fifth = cumulants[1:] / np.sqrt(cumulants[0]) ** np.arange(3, 6)
        terms = [(1, 3, third / 6), (2, 4, fourth / 24), (2, 6, third**2 / 72), (3, 5, fifth / 120),
                 (3, 7, third * fourth / 144), (3, 9, third**3 / 1296)]
    found = np.eye(10)[0]
    for needs, power, value in terms:
        if needs <= order:
            found[power] = value
    return found if (np.abs(found) < _LARGEST).all() else None


def certificate(blocks: Sequence[Block], covariance: NDArray[np.float64],
                coefficients: NDArray[np.float64]) -> dict[str, float]:
    """Bounds for a density g, Gaussian times Hermite polynomials, in place of the distribution p.

    On a torus of L sites that holds both (equation W11)

        sup |p - g| <= (1/L) sum_l |phi - g^|(2 pi l / L) + wrapped mass + images of g^
        2 TV        <= (sum_l |phi - g^|^2)^(1/2) + ...

    the second by Cauchy and Schwarz; "centre" is the error at the mean alone, where the terms may
    cancel. Images are the part of g^ at |t| > pi, which sampling at integers folds back: a sum of unimodal terms,
    which is at most their integral and their largest value. Only the significant modes are summed: the cost is
    independent of depth.  Theorems but for the rounding of the modes and of the density, which is added.
    """
    ndim = len(covariance)
    sd = np.sqrt(np.diag(covariance))
    nats = _NATS + float(np.log(np.maximum(sd, 1)).sum())
    period = []
    for axis in range(ndim):
        below, above = chernoff(blocks, axis, nats)
        period.append(fast_length(ceil(max(below + above, 20 * sd[axis])) + 3))
    torus = Torus(blocks, [0] * ndim, [0.0] * ndim, period, nats)
    angle = 2 * pi * torus.grid / np.array(period, dtype=float)
    powers, sizes = np.arange(len(coefficients)), np.abs(coefficients)
    hat = np.exp(-np.einsum("pa,ab,pb->p", angle, covariance, angle) / 2).astype(complex)
    if len(coefficients) > 1:
        hat *= np.polynomial.polynomial.polyval(1j * angle[:, 0] * sd[0], coefficients)
    gap = torus.double * (np.exp(torus.log_amplitude + 1j * torus.args) - hat)
    volume = float(prod(period))
    left_out = exp(-nats) * (1 + float(sizes @ (2 * nats) ** (powers / 2)))
    wrapped = exp(-nats) * (2 * ndim + float(sizes @ 9.0**powers))
    peak = 1 / sqrt(float(np.linalg.det(2 * pi * covariance)))
    images = sum(peak * sqrt(2 * pi) / width * 2 / length * _tail(sizes, pi / width, 2 * pi / (length * width))
                 for width, length in zip(np.sqrt(np.diag(np.linalg.inv(covariance))), period))
    heights = [sqrt(factorial(j)) for j in powers.tolist()]  # Cramér: |He_j(y)| exp(-y^2 / 2) stays below
    evaluated = EPS * (8 + abs(np.log(peak))) * (peak * float(sizes @ heights) + float(np.abs(hat).sum()) / volume)
    slack = float(images + wrapped + left_out + torus.rounding + evaluated)
    square = float((np.abs(gap) ** 2 / torus.double).sum())
    return {"sup": float(np.abs(gap).sum()) / volume + slack,
            "total_variation": (sqrt(square) + volume * slack) / 2,
            "centre": abs(float(gap.real.sum())) / volume + slack}


def _tail(sizes: NDArray[np.float64], first: float, step: float) -> float:
    """At least the sum of sum_j sizes_j tau^j exp(-tau^2 / 2) over tau = first, first + step, ...; or from later on."""
    from scipy.special import gamma, gammaincc

    powers = np.arange(len(sizes))
    integral = 2 ** ((powers - 1) / 2) * gamma((powers + 1) / 2) * gammaincc((powers + 1) / 2, first**2 / 2)
    top = np.maximum(first, np.sqrt(powers))
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.exp(powers * np.log(top) - top**2 / 2)
    return float(sizes @ (integral / step + largest))
