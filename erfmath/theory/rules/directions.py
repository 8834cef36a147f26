"""Batch norm after a convolution of few directions: E[w_a^2 / variance] is not E[w_a^2] / E[variance].

A channel of random weights w has the variance w' S w, S the covariance of what its taps read.  Where few directions
of S carry it, as on photographs, its inverse is large on average, and larger for taps that add little (equation 71).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..sweep.inputs import InputModel
from ..sweep.taps import Array

__all__ = ["MOST", "border_ratios", "inverse_moments", "presence", "tap_ratios"]

#: More directions than this are many.
MOST = 512
#: Points of the quadrature, in the logarithm of its variable, and where it ends.
POINTS, LOW, HIGH = 801, -40.0, 120.0
#: Of the logarithm of the integrand: what lies so much below its peak is no part of the sum in floats.
LOST = 40.0
#: A pattern at the borders with a smaller part of the variance makes no difference.
FAINT = 0.02


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


def presence(within: Sequence[Array]) -> tuple[Array, Array]:
    """Means over sites of whether a tap lies inside the map, shape (taps,), and their covariances, over all axes.

    `within`, per axis of shape (taps, sites), says which taps do.
    """
    mean, both = np.ones(1), np.ones((1, 1))
    for inside in within:
        mean = np.multiply.outer(mean, inside.mean(axis=1)).ravel()
        pairs = np.multiply.outer(both, inside @ inside.T / inside.shape[1])
        both = pairs.swapaxes(1, 2).reshape(len(mean), len(mean))
    return mean, both - np.outer(mean, mean)


def border_ratios(own: float, shared: float, variances: Array, present: tuple[Array, Array], channels: int
                  ) -> Array | None:
    """The same where zero padding gives every channel a pattern at the borders of its own; None where that is faint.

    Each of `channels` has values of variance `own` about a mean of square `shared`; `present` is what `presence` says
    of the taps.  The mean makes one direction a tap: its sum over the channels.
    """
    if not own > 0:
        return None
    shared /= own  # ratios do not depend on the scale of values, which may be beyond that of floats
    mean, apart = present
    power = variances.ravel()
    alone = mean * power
    varied = channels * shared * float(np.dot(apart.diagonal(), power))
    total = channels * alone.sum() + varied
    if varied < FAINT * total:
        return None
    root = np.sqrt(power)
    levels, axes = np.linalg.eigh(np.diag(alone) + channels * shared * apart * np.outer(root, root))
    top = float(levels.max())
    levels = np.maximum(levels, 0.0)
    u, step = _points(alone / top, channels - 1, levels / top)
    t = 2 * np.exp(u)[:, None] / top
    others, whole = 1 + t * alone, 1 + t * levels
    density = np.exp(u - ((channels - 1) * np.log(others).sum(axis=1) + np.log(whole).sum(axis=1)) / 2)
    along = axes**2 @ (density[:, None] / whole).sum(axis=0)
    found = ((channels - 1) * (density[:, None] / others).sum(axis=0) + along) * step / top
    return np.asarray((found * total / channels).reshape(variances.shape))


def _points(many: Array, times: int, once: Array) -> tuple[Array, float]:
    """Points of the quadrature, and their distance, without those beyond which the integrand is lost.

    Levels are there `times`, or once.  The logarithm of the integrand is concave, and what multiplies that falls.
    """
    u, skip = np.linspace(LOW, HIGH, POINTS), (POINTS - 1) // 40
    coarse = u[::skip]
    logs = np.log1p(2 * np.exp(coarse)[:, None] * np.concatenate([many, once]))
    height = coarse - (times * logs[:, :len(many)].sum(axis=1) + logs[:, len(many):].sum(axis=1)) / 2
    return u[:(np.flatnonzero(height > height.max() - LOST)[-1] + 1) * skip + 1], float(u[1] - u[0])
