"""Batch norm after a convolution of few directions: E[w_a^2 / variance] is not E[w_a^2] / E[variance].

A channel of random weights w has the variance w' S w, S the covariance of what its taps read.  Where few directions
of S carry it, as on photographs, its inverse is large on average, and larger for taps that add little (equation 71).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..sweep.inputs import InputModel
from ..sweep.moments import Moments
from ..sweep.taps import Array
from .functions import chi_square

__all__ = ["EVEN_T", "EVEN_WEIGHTS", "LEAST", "MOST", "Patterns", "Reads", "WEAK", "along_axes", "border_patterns",
           "by_spread", "faint", "faint_in_place", "inverse_moments", "of_patterns", "tap_ratios", "within_groups"]

#: Variances that are too small for floats: what is divided by them is not.
LEAST = 1e-300
#: More directions than this are many.
MOST = 512
#: The quadrature of integrals over t from 0 on: even steps in u, t = exp(u - exp(-u)) (Takahasi and Mori 1974), which
#: leave errors of 2e-14 of exp(-t), what many directions come to, and of the powers of t that few do.
LOW, HIGH, STEP = -3.7, 120.0, 0.15
_U = np.arange(LOW, HIGH, STEP)
EVEN_T = np.exp(_U - np.exp(-_U))
EVEN_WEIGHTS = EVEN_T * (1 + np.exp(-_U)) * STEP
#: Of the logarithm of the integrand: what lies so much below its peak is no part of the sum in floats.
LOST = 40.0
#: A pattern at the borders with a smaller part of the variance makes no difference.
FAINT = 0.02
#: The same of one that all inputs share.
WEAK = 0.05


def inverse_moments(covariance: Array) -> Array:
    """E[w_a^2 / (w' S w)] for independent standard normal w: the integral of |T|^(-1/2) [T^(-1)]_aa, T = I + 2 t S."""
    levels, axes = np.linalg.eigh(covariance)
    return np.asarray(axes**2 @ along_axes(levels))


def along_axes(levels: Array) -> Array:
    """The same along the eigenvectors of S, from its eigenvalues."""
    levels = np.maximum(levels, 0.0)
    total = float(np.add.reduce(levels))
    if not total > 0:
        raise ValueError("a covariance without variance")
    spread = 1 + 2 * EVEN_T[:, None] * (levels / total)
    density = EVEN_WEIGHTS * np.exp(-np.log(spread).sum(axis=1) / 2)
    return np.asarray(density @ (1 / spread) / total)


class Patterns(NamedTuple):
    """Batch norm where few directions carry the variance, as where every channel has a pattern of its own.

    Attributes
    ----------
    ratios : ndarray, of the taps' shape
        E[w_a^2 / variance] E[variance] / E[w_a^2].
    own : float
        E[own part of the variance / variance].
    power : ndarray, shape (*sites), optional
        E[pattern^2 / variance]; None without a pattern.
    """

    ratios: Array
    own: float = 1.0
    power: Array | None = None


def tap_ratios(pixels: InputModel, variances: Array, dilation: tuple[int, ...], channels: int) -> Patterns | None:
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
    return Patterns(found.reshape(channels, -1).mean(axis=0).reshape(variances.shape))


def _outer(parts: Sequence[Array]) -> Array:
    """Products over all axes, shape (taps,)."""
    return np.asarray(functools.reduce(np.multiply.outer, parts).ravel())


class Reads(NamedTuple):
    """What the taps of one axis read of a line, 0 outside the map.

    Attributes
    ----------
    within : ndarray, shape (taps, sites)
    mean : ndarray, shape (taps,)
        Over the sites.
    pairs : ndarray, shape (taps, taps)
        The same of products of what two taps read.
    """

    within: Array
    mean: Array
    pairs: Array

    @staticmethod
    def of(within: Array) -> Reads:
        """With the means."""
        sites = within.shape[1]
        return Reads(within, np.add.reduce(within, axis=1) / sites, np.dot(within, within.T) / sites)


def _over_axes(pairs: Sequence[Array]) -> Array:
    """Products over all axes of numbers for pairs of taps, shape (taps, taps)."""
    total = pairs[0]
    for each in pairs[1:]:
        count = len(total) * len(each)
        total = np.multiply.outer(total, each).swapaxes(1, 2).reshape(count, count)
    return total


def _quadratic(weights: Array, mean: Array, axes: Sequence[Reads]) -> Array:
    """(r - m)' W (r - m) at each site for what taps read there, shape (*sites): axis by axis, as r is a product."""
    counts, ndim = [len(read.mean) for read in axes], len(axes)
    gone = np.dot(weights, mean)
    square, cross = weights, 2 * gone
    if ndim > 1:  # both taps of an axis side by side
        square = weights.reshape(counts + counts).transpose([axis + side for axis in range(ndim) for side in (0, ndim)])
    for n, read in enumerate(axes):
        if not n or read is not axes[n - 1]:
            products = (read.within[:, None] * read.within).reshape(-1, read.within.shape[1])
        square = np.dot(square.reshape(len(products), -1).T, products)
        cross = np.dot(cross.reshape(len(read.mean), -1).T, read.within)
    square -= cross
    square += float(np.dot(mean, gone))
    return np.maximum(square, 0.0).reshape([read.within.shape[1] for read in axes])


def faint(shared: float, channels: int, axes: Sequence[tuple[Array, Array, Array]], times: int = 1) -> bool:
    """Whether a pattern at the borders makes no difference, of taps that are a product over axes, so many like each.

    `shared` is what all `channels` have in common over what each has of its own; per axis there are the variances of
    the taps, and the means of what these read and of its square.
    """
    alone = apart = square = 1.0
    for power, mean, squared in axes:
        alone *= float(np.dot(power, mean))**times
        apart *= float(np.dot(power, squared))**times
        square *= float(np.dot(power, mean * mean))**times
    varied = shared * (apart - square)
    return varied < FAINT * (channels * alone + varied)


def faint_in_place(shared: float, channels: int, common: Array) -> bool:
    """The same where each site reads itself, and there is what all channels have in common there, of mean 1.

    Lines of means along the axes, as `faint` takes them, together vary by no more than the map does.
    """
    ndim = common.ndim - 1
    varied = shared * ((1 + (float(np.vdot(common, common)) / common.size - 1) / ndim)**ndim - 1)
    return varied < FAINT * (channels + varied)


def border_patterns(own: float, shared: float, variances: Array, axes: Sequence[Reads], channels: int
                    ) -> Patterns | None:
    """The same where borders give every channel a pattern of its own; None where that is faint.

    Each of `channels` has values of variance `own` about a mean of square `shared`, of which taps read `axes`.  The
    mean makes one direction a tap: its sum over the channels.
    """
    if not own > 0:
        return None
    shared *= channels / own  # ratios do not depend on the scale of values, which may be beyond that of floats
    mean, covariance = _outer([read.mean for read in axes]), _over_axes([read.pairs for read in axes])
    power = variances.ravel()
    alone, root, many = mean * power, np.sqrt(power), len(mean)
    covariance -= np.multiply.outer(mean, mean)
    both_roots = np.multiply.outer(root, root)
    covariance *= both_roots * shared
    diagonal = covariance.ravel()[::many + 1]
    total = channels * float(np.add.reduce(alone))
    varied = float(np.add.reduce(diagonal))
    total += varied
    if varied < FAINT * total:
        return None
    diagonal += alone
    levels, modes = np.linalg.eigh(covariance) if many > 1 else (covariance[0], np.ones((1, 1)))
    both = np.concatenate([alone, np.maximum(levels, 0.0)])
    both *= 2 / total
    count = _points(float(np.minimum.reduce(alone)) / total, many * channels)
    t = EVEN_T[:count]
    spread = np.multiply.outer(both, t)
    spread += 1
    direct = many * math.log1p(t.item(-1) * both.item(-1)) < 600  # the last is the largest: products are floats
    others = np.dot([(1 - channels) / 2, -0.5], _log_products(spread.reshape(2, many, -1), direct))
    density = np.exp(others)
    density *= EVEN_WEIGHTS[:count]
    density /= total
    inverse = np.dot(1 / spread, density)
    found = (channels - 1) * inverse[:many] + np.dot(modes * modes, inverse[many:])
    weights = np.dot(modes * inverse[many:], modes.T) * both_roots
    return Patterns((found * (total / channels)).reshape(variances.shape), float(np.dot(found, alone)),
                    _quadratic(weights * shared, mean, axes))


def _log_products(factors: Array, direct: bool) -> Array:
    """Logarithms of products over the middle axis, of which all are within the range of floats where `direct`."""
    if direct:
        return np.asarray(np.log(np.multiply.reduce(factors, axis=1)))
    return np.asarray(np.add.reduce(np.log(factors), axis=1))


def _points(least: float, count: int) -> int:
    """How many points of the quadrature there are before the integrand is lost.

    Of `count` levels that add up to 1 none is less than `least`.  At t = 1 the logarithm of the integrand is within 1
    of that of its variable, and what multiplies the integrand falls.
    """
    u = 2.0
    while u < HIGH and u - count / 2 * math.log1p(2 * least * math.exp(u)) > -1 - LOST:
        u += 4 * STEP
    return int((u - LOW) / STEP) + 1


def of_patterns(q: float, site: float, far: float, freedoms: int) -> float:
    """E[1 / variance] of a channel over that of the mean variance, where its map is a pattern that all inputs share.

    After nearly constant values (sigmoid, softplus) borders make most of what varies, a few numbers a channel:
    one at each end of each axis.
    """
    own, pattern = max(q - site, 0.0), site - far
    if pattern <= WEAK * (q - far):
        return 1.0
    t, p = chi_square(freedoms)
    return float(p @ (1 / (own + pattern * t / freedoms))) * (own + pattern)


def by_spread(k: int, own: float, between: float, fluctuates: bool) -> tuple[float, float]:
    """E[1 / s^2] and E[b / s^2] of s^2 = own + b, b = between t / k with t of k - 1 freedoms."""
    if k == 1 or not between:
        return 1 / own, 0.0
    if k > 300 or not fluctuates:  # beyond so many it hardly does
        mean = between * (1 - 1 / k)
        return 1 / (own + mean), mean / (own + mean)
    t, p = chi_square(k - 1)
    part = between * t / k
    return float(p @ (1 / (own + part))), float(p @ (part / (own + part)))


def within_groups(m: Moments, labels: Array, fluctuates: bool) -> tuple[Array, Array, Array, Array]:
    """Per channel group: E[1 / s^2], what is taken off E[v v'] and comes back of it over s^2, and the mean taken off.

    `labels` has the channels of each norm's group as a row; one channel alone loses what it shares with distant sites.
    """
    kinds, count = np.unique(np.sort(labels, axis=1), axis=0, return_counts=True)
    # Means of sites that differ, as windows of fewer sites at borders do, are no more than what distant sites share.
    means = np.sign(m.means) * np.minimum(np.abs(m.means), np.sqrt(np.maximum(m.cov_far, 0.0)))
    k, found = labels.shape[1], np.zeros((5, len(m.cov_far)))
    apart = np.maximum(m.cov_far - means**2, 0.0)
    for row, times in zip(kinds, count.tolist()):
        each = np.bincount(row, minlength=len(means))
        share = each / k
        mean = float(share @ means)
        taken = m.cov_far if k == 1 else 2 * mean * means - mean**2 + apart
        between, own = float(share @ apart), float(share @ (m.average - taken))
        if own + between * (1 - 1 / k) <= max(1e-9 * float(share @ m.average), LEAST):
            raise ValueError("norm of values that do not vary within a group: their variance is zero, or too "
                             "small for floats")
        inverse, rest = by_spread(k, own, between, fluctuates)
        found += times * each * np.stack(np.broadcast_arrays(
            1.0, inverse, taken * inverse, rest * apart / between if between else 0.0, mean))
    return tuple(found[1:] / found[0])
