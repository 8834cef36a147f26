"""Norms over few channels: what the inverse of a variance that fluctuates is on average (equation 68)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..sweep.few_terms import FewTerms
from ..sweep.moments import SiteValue
from ..sweep.values import Affine
from .directions import EVEN_T, EVEN_WEIGHTS
from .functions import chi_square

__all__ = ["Kind", "kind_of", "over_few"]


class Kind(NamedTuple):
    """What a norm over channels needs of one kind of them.

    Attributes
    ----------
    square, fourth : float
        Moments of a value, less the mean over all channels.
    spread : float
        Sums of few terms are normal for given weights: the variance over channels of what their variance is for these,
        in parts of its squared mean.  Other values have none.
    """

    square: float
    fourth: float
    spread: float = 0.0


def kind_of(value: SiteValue, second: float, mean: float, unit: float) -> Kind:
    """Of channels of this value (None: Gaussian, of this second moment), less `mean`, in `unit` for floats to hold."""
    if value is None:
        two = second / unit**2
        return Kind(two + mean**2, 3 * two**2 + 6 * two * mean**2 + mean**4)
    x = value.at(value.nodes.u) / unit - mean
    square, fourth = float(value.nodes.p @ x**2), float(value.nodes.p @ x**4)
    if isinstance(value.source, FewTerms) and all(isinstance(step, Affine) for step in value.steps):
        return Kind(square, 3 * square**2, max(fourth / (3 * square**2) - 1, 0.0))
    return Kind(square, fourth)


def over_few(free: int, share: Sequence[float], kinds: Sequence[Kind]) -> float | None:
    """E[1 / variance] of `free` independent values, of `kinds` in these shares, times their variance.

    The variance is a gamma variable with its own mean and variance.  None where the mean does not exist.  Weights of
    few terms are those that the gradient passes, too: of them the sum of v over that of v z^2 is what counts.
    """
    square, fourth, spread = (float(np.dot(share, each)) for each in zip(*kinds))
    shape = free / max(fourth / square**2 - 1, 1e-9) if square else math.inf
    if shape <= 1 + 1e-9:  # up to rounding
        return None
    return (shape / (shape - 1) if math.isfinite(shape) else 1.0) * (_of_lengths(free, spread) if spread else 1.0)


def _of_lengths(free: int, spread: float) -> float:
    """E[sum v / sum v z^2] of `free` normal z and gamma variables v of mean 1 and this variance, over that of v = 1."""
    t, p = chi_square(2 / spread)
    v = t * spread / 2
    each = 1 / np.sqrt(1 + 2 * EVEN_T[:, None] * v)
    return float(EVEN_WEIGHTS @ (each @ (p * v) * (each @ p)**(free - 1))) * (free - 2)
