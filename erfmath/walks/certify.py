"""How far a smooth approximation can be from the distribution: bounds from their transforms."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, pi, prod, sqrt

import numpy as np
from numpy.typing import NDArray

from .charfun import chernoff
from .modes import Torus, fast_length
from .steps import Block

__all__ = ["certificate", "edgeworth_coefficients"]

EPS = float(np.finfo(float).eps)
_NATS = 44.0


def edgeworth_coefficients(cumulants: NDArray[np.float64], order: int) -> dict[int, float]:
    """Power j of (i tau), and so of He_j, -> coefficient, for Edgeworth order 0 to 3 (W10).

    `cumulants` holds kappa_2 to kappa_5 of one axis; the constant term 1 is left out.
    """
    sd = sqrt(cumulants[0])
    third, fourth, fifth = (float(c) / sd**r for r, c in enumerate(cumulants[1:], 3))
    terms = [(1, 3, third / 6), (2, 4, fourth / 24), (2, 6, third**2 / 72), (3, 5, fifth / 120),
             (3, 7, third * fourth / 144), (3, 9, third**3 / 1296)]
    return {power: value for needs, power, value in terms if needs <= order}


def certificate(blocks: Sequence[Block], covariance: NDArray[np.float64],
                coefficients: dict[int, float]) -> dict[str, float]:
    """Bounds for a density g, Gaussian times Hermite polynomials, in place of the distribution p.

    On a torus of L sites that holds both (equation W11)

        sup |p - g| <= (1/L) sum_l |phi - g^|(2 pi l / L) + wrapped mass + images of g^
        2 TV        <= (sum_l |phi - g^|^2)^(1/2) + ...

    the second by Cauchy and Schwarz; "centre" is the error at the mean alone, where the terms may
    cancel. Images are the part of g^ at |t| > pi, which sampling at
    integers folds back. Only the significant modes are summed: the cost is independent of depth.
    Theorems but for the rounding of the modes, which is added.
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
    quadratic = np.einsum("pa,ab,pb->p", angle, covariance, angle)
    hat = np.exp(-quadratic / 2).astype(complex)
    if coefficients:
        tau = angle[:, 0] * sd[0]
        hat *= 1 + sum(c * (1j * tau) ** j for j, c in coefficients.items())
    gap = torus.double * (np.exp(torus.log_amplitude + 1j * torus.args) - hat)
    volume = float(prod(period))
    terms = {0: 1.0, **coefficients}
    left_out = exp(-nats) * (1 + sum(abs(c) * (2 * nats) ** (j / 2) for j, c in terms.items()))
    wrapped = exp(-nats) * (2 * ndim + sum(abs(c) * 9.0**j for j, c in terms.items()))
    peak = 1 / sqrt(float(np.linalg.det(2 * pi * covariance)))
    images = 0.0
    for width, length in zip(np.sqrt(np.diag(np.linalg.inv(covariance))), period):
        last = min(10 * length, ceil(40 * length * width / (2 * pi)))  # exp(-40^2 / 2) is nothing
        tau = 2 * pi / (length * width) * np.arange(ceil(length / 2), last)
        tail = sum(abs(c) * tau**j for j, c in terms.items()) * np.exp(-tau**2 / 2)
        images += peak * sqrt(2 * pi) / width * 2 / length * float(np.sum(tail))
    slack = float(images + wrapped + left_out + torus.rounding)
    square = float((np.abs(gap) ** 2 / torus.double).sum())
    return {"sup": float(np.abs(gap).sum()) / volume + slack,
            "total_variation": (sqrt(square) + volume * slack) / 2,
            "centre": abs(float(gap.real.sum())) / volume + slack}
