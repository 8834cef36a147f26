"""What the theory takes a network's inputs to be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...base.checks import is_sequence, numbers, real
from ...base.errors import check_bytes, quoted
from ...networks.images import NaturalImages
from .taps import Array

__all__ = ["InputModel", "input_model"]


@dataclass(frozen=True)
class InputModel:
    """Second moments of the pixels of one channel; channels are independent and alike.

    Attributes
    ----------
    second : float
        E[x^2].
    cov_far : float
        E[x x'] between distant pixels or independent images.
    covariance : ndarray, optional
        E[x(z) x(z + tau)] over a box of lags; its centre is E[x^2].  None: white.
    channel_correlation : float
        Between channels of a pixel; random weights make nothing of it, but their variances do.
    """

    second: float = 1.0
    cov_far: float = 0.0
    covariance: Array | None = None
    channel_correlation: float = 0.0

    def reach(self, ndim: int) -> tuple[int, ...]:
        """Half-widths of the box of lags at which pixels are correlated."""
        return (0,) * ndim if self.covariance is None else tuple(n // 2 for n in self.covariance.shape)

    def values(self, lags: tuple[int, ...], extent: tuple[int, ...], wraps: bool) -> Array:
        """M(x, tau) on a map, shape (1, *lags, *extent); pairs that leave an image are 0."""
        check_bytes(8 * math.prod(2 * h + 1 for h in lags) * math.prod(extent), f"second moments of {extent} pixels",
                    "take a smaller image")
        if not any(lags):  # one number, which is everywhere
            return np.broadcast_to(np.float64(self.second), (1, *(1,) * len(lags), *extent))
        out = np.zeros((1, *(2 * h + 1 for h in lags), *extent))
        for place in np.ndindex(*out.shape[1:1 + len(lags)]):
            tau = [t - h for t, h in zip(place, lags)]
            inner = [slice(None) if wraps else slice(max(-t, 0), max(n - max(t, 0), 0)) for t, n in zip(tau, extent)]
            out[(0, *place, *inner)] = self.at(tau)
        return out

    def at(self, tau: list[int]) -> float:
        """E[x(z) x(z + tau)]."""
        if not any(tau):
            return self.second
        if self.covariance is not None:
            place = [t + n // 2 for t, n in zip(tau, self.covariance.shape)]
            if all(0 <= t < n for t, n in zip(place, self.covariance.shape)):
                return float(self.covariance[tuple(place)])
        return self.cov_far


def input_model(moments: Any, covariance: npt.ArrayLike | NaturalImages | None, ndim: int) -> InputModel:
    """Check what the user gives as `input_moments` and `input_covariance`."""
    between = 0.0
    if isinstance(covariance, NaturalImages):
        between = covariance.channel_correlation
        moments, covariance = covariance.moments, covariance.covariance(ndim)
    if not is_sequence(moments) or len(moments) != 2:
        raise ValueError(f"input_moments={quoted(moments)}: must be a pair (E[x^2], E[x x'] of distant pixels)")
    second, cov_far = real(moments[0], "input_moments[0]"), real(moments[1], "input_moments[1]")
    if covariance is None:
        if not 0 <= cov_far <= second or second == 0:
            raise ValueError(f"input_moments={quoted(moments)}: E[x^2] must be positive and at least E[x x'] >= 0")
        return InputModel(second, cov_far)
    array = numbers(covariance, "input_covariance")
    if array.ndim != ndim or any(n % 2 == 0 for n in array.shape):
        raise ValueError(f"input_covariance: has shape {array.shape}; must be over an odd number of lags "
                         f"along each of {ndim} axes, lag 0 in the middle")
    middle = float(array[tuple(n // 2 for n in array.shape)])
    if middle <= 0 or np.abs(array).max() > middle or not np.array_equal(array, array[(slice(None, None, -1),) * ndim]):
        raise ValueError("input_covariance: must be largest at lag 0, and the same for tau and -tau")
    if not 0 <= cov_far <= middle:
        raise ValueError(f"input_moments={quoted(moments)}: E[x x'] must lie between 0 and the covariance at lag 0")
    return InputModel(middle, cov_far, array, between)
