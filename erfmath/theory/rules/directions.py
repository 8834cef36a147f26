"""Batch norm after a convolution of few directions: E[w_a^2 / variance] is not E[w_a^2] / E[variance].

A channel of random weights w has the variance w' S w, S the covariance of what its taps read.  Where few directions
of S carry it, as on photographs, its inverse is large on average, and larger for taps that add little (equation 71).
"""

from __future__ import annotations

import numpy as np

from ..sweep.inputs import InputModel
from ..sweep.taps import Array

__all__ = ["MOST", "inverse_moments", "tap_ratios"]

#: More directions than this are many.
MOST = 512
#: Points of the quadrature, in the logarithm of its variable, and where it ends.
POINTS, LOW, HIGH = 801, -40.0, 120.0


def inverse_moments(covariance: Array) -> Array:
    """E[w_a^2 / (w' S w)] for independent standard normal w: the integral of |T|^(-1/2) [T^(-1)]_aa, T = I + 2 t S."""
    levels, axes = np.linalg.eigh(covariance)
    top = float(levels.max(initial=0.0))
    if not top > 0:
        raise ValueError("a covariance without variance")
    levels = np.maximum(levels / top, 0.0)
    u = np.linspace(LOW, HIGH, POINTS)
    spread = 1 + 2 * np.exp(u)[:, None] * levels
    density = np.exp(u - np.log(spread).sum(axis=1) / 2)
    inner = (density[:, None] / spread).sum(axis=0) * (u[1] - u[0])
    return np.asarray(axes**2 @ inner / top)


def tap_ratios(pixels: InputModel, variances: Array, dilation: tuple[int, ...], channels: int) -> Array | None:
    """E[w_a^2 / variance] E[variance] / E[w_a^2] for the taps that read `channels` of such pixels, or None for many.

    `variances` are those of the taps, over all axes.
    """
    taps = np.stack(np.unravel_index(np.arange(variances.size), variances.shape), axis=1) * dilation
    if variances.size * channels > MOST:
        return None
    apart = taps[:, None] - taps[None]
    values = np.array([pixels.at(tau) for tau in apart.reshape(-1, len(dilation)).tolist()]) - pixels.cov_far
    between = np.full((channels, channels), pixels.channel_correlation)
    np.fill_diagonal(between, 1.0)
    root = np.sqrt(np.tile(variances.ravel(), channels))
    covariance = np.kron(between, values.reshape(len(taps), -1)) * np.outer(root, root)
    found = inverse_moments(covariance) * np.trace(covariance)
    return np.asarray(found.reshape(channels, -1).mean(axis=0).reshape(variances.shape))
