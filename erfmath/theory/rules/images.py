"""What two samples of correlated pixels have in common, layer by layer: few directions beyond the first convolution.

Given the images, a channel of random weights is a Gaussian process over all sites of all images, of covariance
Q(i, j) = E[v(i) v(j)] between two samples.  Its eigenfunctions are the directions of the channel's variance, and their
parts of it have the sum of squares E[Q^2] over pairs of samples, less the mean.  Batch norms divide by variances that
fluctuate with the strongest of them, and leave these less of the values (docs/theory.md, equations 71 and 72).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..sweep.inputs import InputModel
from ..sweep.lowering import Linear
from ..sweep.moments import Moments
from ..sweep.patterns import inverse
from ..sweep.taps import Array
from .directions import MOST, along_axes
from .functions import Function, cross

__all__ = ["Images", "of_pixels", "of_sum", "through_batch_norm", "through_filter", "through_function", "through_pool",
           "through_random"]

#: Lags that are followed, from the middle, by the number of axes.
LAGS = {1: 512, 2: 64, 3: 16}
#: Squares of normal values that make the part of the variance that fluctuates: for the mean of 1 / variance the
#: strongest direction counts, for what batch norms leave of all others, too.
STRONGEST, OTHERS = 1.0, 2.0
#: How alike the sites of a window are in channels that follow the directions more than others: this part of the way
#: from the mean over channels to the directions themselves.
ALONG = 0.25
#: More of it does not fluctuate.
MOST_PART = 0.9
#: Step of derivatives by the correlation.
STEP = 0.05
#: So many values as make a variance that does not fluctuate.
MANY = 1e9


class Images(NamedTuple):
    """What two samples have in common, beyond what any two have.

    Attributes
    ----------
    varies : float
        Variance over pairs of independent images of what the channels have in common there, Q.
    along : ndarray, shape (*lags)
        How directions are correlated over the sites of an image, 1 at lag 0.
    within : ndarray, shape (*lags)
        Mean Q of two sites of one image, less that of two images; at lag 0 the variance of a channel.
    normed : Images, optional
        What a batch norm leaves right here, where all directions are known.
    """

    varies: float
    along: Array
    within: Array
    normed: Images | None = None

    @property
    def variance(self) -> float:
        """Of a channel."""
        return float(self.within[_middle(self.within)])

    def times(self, factor: float) -> Images:
        """Of values whose squares are so many times as large."""
        return Images(self.varies * factor**2, self.along, self.within * factor, self.normed)


def _middle(values: Array) -> tuple[int, ...]:
    return tuple(n // 2 for n in values.shape)


def of_pixels(pixels: InputModel, weights: Array, dilation: Sequence[int], strides: Sequence[int], channels: int,
              variance: float) -> Images | None:
    """After a first convolution whose channels have the `variance`; None of many taps."""
    ndim, count = weights.ndim, weights.size * channels
    if count > MOST or pixels.covariance is None:
        return None
    cut = tuple(slice(max(n // 2 - LAGS[ndim], 0), n // 2 + LAGS[ndim] + 1) for n in pixels.covariance.shape)
    lags = pixels.covariance[cut] - pixels.cov_far
    taps = np.stack(np.unravel_index(np.arange(weights.size), weights.shape), axis=1) * np.array(dilation)
    apart = taps[None] - taps[:, None]
    # Lags of taps that are not held count as distant.
    place = apart + np.array(_middle(lags))
    held = ((place >= 0) & (place < np.array(lags.shape))).all(axis=-1)
    values = np.where(held, lags[tuple(np.moveaxis(np.where(held[..., None], place, 0), -1, 0))], 0.0)
    between = np.full((channels, channels), pixels.channel_correlation)
    np.fill_diagonal(between, 1.0)
    root = np.sqrt(np.tile(weights.ravel(), channels))
    covariance = np.kron(between, values) * np.outer(root, root)
    covariance /= np.trace(covariance)
    levels, modes = np.linalg.eigh(covariance)
    inner = along_axes(levels)

    def by_lag(parts: Array) -> Array:
        """sum_k parts_k (direction k at a site)(the same at another), over lags."""
        pairs = ((modes * parts) @ modes.T * np.outer(root, root)).reshape(channels, weights.size, channels, -1)
        kernel = np.zeros([2 * int(most) + 1 for most in apart.reshape(-1, ndim).max(axis=0)])
        np.add.at(kernel, tuple(np.moveaxis(apart + np.array(_middle(kernel)), -1, 0)),
                  np.einsum("cadb,cd->ab", pairs, between))
        found = _shifted(lags, kernel)
        return np.asarray(found[tuple(slice(n // 2 % s, None, s) for n, s in zip(found.shape, strides))])

    parts = [by_lag(of) for of in (levels, np.ones(len(levels)), inner**2 * levels, inner)]
    along, within, after, left = (part / part[_middle(part)] for part in parts)
    return Images(float(levels @ levels) * variance**2, along, within * variance,
                  Images(float((inner * levels) @ (inner * levels)), after, left))


def _shifted(values: Array, kernel: Array) -> Array:
    """sum_d kernel(d) values(tau + d), beyond its ends as at these."""
    reach = _middle(kernel)
    padded = np.pad(values, [(h, h) for h in reach], mode="edge")
    total = np.zeros(values.shape)
    for place in zip(*np.nonzero(kernel)):
        total += kernel[place] * padded[tuple(slice(at, at + n) for at, n in zip(place, values.shape))]
    return total


def _between(op: Linear, ndim: int) -> tuple[Array, tuple[int, ...]] | None:
    """How far two taps of a layer are apart, by weight, of sum 1, and its strides; None of layers by place."""
    kernel, strides = np.ones((1,) * ndim), [1] * ndim
    for taps in op.taps:
        total = float(taps.weights.sum())
        if taps.rows is not None or not total or any(g.transposed for g in taps.geometry):
            return None
        lines = np.zeros([g.extent for g in taps.geometry])
        lines[tuple(slice(None, None, g.dilation) for g in taps.geometry)] = taps.weights / total
        own = np.zeros([2 * n - 1 for n in lines.shape])
        for place in zip(*np.nonzero(lines)):
            own[tuple(slice(n - 1 - at, 2 * n - 1 - at) for at, n in zip(place, lines.shape))] += lines[place] * lines
        shape = [1] * ndim
        for axis, g, n in zip(taps.axes, taps.geometry, own.shape):
            shape[axis], strides[axis] = n, g.stride
        kernel = kernel * own.reshape(shape)
    return kernel, tuple(strides)


def _every(values: Array, strides: Sequence[int]) -> Array:
    """Lags between sites that are left."""
    return values[tuple(slice(n // 2 % s, None, s) for n, s in zip(values.shape, strides))]


def through_random(op: Linear, known: Images) -> Images | None:
    """After random weights: two samples read through the same tap."""
    apart = _between(op, known.within.ndim)
    if apart is None or op.fold or op.groups > 1:
        return None
    kernel, strides = apart
    gain = op.gain * math.prod(float(taps.weights.sum()) for taps in op.taps)
    # Both products of a pair of samples with a third one move: T(tau, tau') with T(tau, 0) in proportion to `along`.
    reach = tuple(min(h, n // 2) for h, n in zip(_middle(kernel), known.along.shape))
    inner = tuple(slice(h - r, h + r + 1) for h, r in zip(_middle(kernel), reach))
    middle = tuple(slice(n // 2 - r, n // 2 + r + 1) for n, r in zip(known.along.shape, reach))
    weighed = kernel[inner] * known.along[middle]
    along = _shifted(known.along, weighed)
    top = float(along[_middle(along)])
    if not top > 0:
        return None
    return Images(known.varies * gain**2 * top, _every(along / top, strides), _every(known.within * gain, strides))


def through_filter(op: Linear, known: Images) -> Images | None:
    """After a fixed filter: two samples read through any two taps."""
    apart = _between(op, known.within.ndim)
    if apart is None or op.matrix is not None or op.equal:
        return None
    kernel, strides = apart
    gain = (op.gain * math.prod(float(taps.weights.sum()) for taps in op.taps))**2
    return _filtered(known, kernel, strides, gain)


def _filtered(known: Images, kernel: Array, strides: Sequence[int], gain: float, variance: float | None = None
              ) -> Images | None:
    along, within = (_shifted(values, kernel) for values in (known.along, known.within))
    top, spread = float(along[_middle(along)]), float(within[_middle(within)])
    if not (top > 0 and spread > 0):
        return None
    scale = gain if variance is None else variance / spread
    return Images(known.varies * (gain * top)**2, _every(along / top, strides), _every(within * scale, strides))


def through_pool(op: Linear, known: Images, m: Moments, after: Moments) -> Images | None:
    """After a max pool: what all sites of a window have in common is in the largest of them, too.

    It is handed on more often than by other sites where the gate before is open for winners: by how much depends on how
    alike sites are, for which both the mean over channels and what directions make of them count.
    """
    apart = _between(op, known.within.ndim)
    if apart is None:
        return None
    kernel, own, q, far = apart[0], float(apart[0][_middle(apart[0])]), float(m.average[0]), float(m.cov_far[0])
    lags = (1 - ALONG) * known.within / known.variance + ALONG * known.along
    near = (float(_shifted(lags, kernel)[_middle(lags)]) - own) / (1 - own) if own < 1 else 1.0
    values = m.value(0).sharing(far + (q - far) * min(max(near, 0.0), 1 - STEP)).distribution
    gain = (values.largest_of(round(1 / own)).mean_gate / values.mean_gate)**2
    return _filtered(known, *apart, gain, float(after.average[0] - after.cov_far[0]))


def through_function(phi: Function, m: Moments, after: Moments, known: Images) -> Images:
    """After a function of each value: by its slope, and where values are Gaussian by its curvature."""
    variance, q = float(after.average[0] - after.cov_far[0]), float(m.average[0])
    relative = known.within / known.variance
    if m.sites[0] is not None:
        value = m.value(0)
        slope = float(value.nodes.p @ phi.slope(value.at(value.nodes.u)))**2
        part = min(slope * known.variance / variance, 1.0)
        return Images(known.varies * slope**2, known.along, variance * (part * relative + (1 - part) * relative**2))
    mean = min(float(m.cov_far[0]) / q, 1 - STEP)
    below, here, above = cross(phi, np.full(3, q), mean + STEP * np.array([-1, 0, 1])).tolist()
    slope, bend = (above - below) / (2 * STEP * q), (above + below - 2 * here) / (STEP * q)**2 / 2
    rho = np.clip(mean + known.within / q, -1, 1)
    common = cross(phi, np.full(rho.shape, q), rho) - here
    varies = known.varies * slope**2 + 4 * (bend * known.varies)**2
    return Images(varies, known.along, common * (variance / common[_middle(common)]))


def of_sum(known: Sequence[Images], times: Sequence[float]) -> Images:
    """Of independent values, in which the same images are bright: what they have in common fluctuates together."""
    size = tuple(min(sides) for sides in zip(*(one.within.shape for one in known)))
    cut = [tuple(slice(n // 2 - s // 2, n // 2 + s // 2 + 1) for n, s in zip(one.within.shape, size)) for one in known]
    deviations = [factor**2 * math.sqrt(one.varies) for one, factor in zip(known, times)]
    total = sum(deviations)
    along = sum(deviation / total * one.along[part] for deviation, one, part in zip(deviations, known, cut)) if total \
        else known[0].along[cut[0]]
    within = sum(factor**2 * one.within[part] for one, factor, part in zip(known, times, cut))
    return Images(total**2, np.asarray(along), np.asarray(within))


def through_batch_norm(known: Images, sizes: Sequence[int | None], batch: int) -> tuple[float, Images]:
    """By what the mean of 1 / variance exceeds that of 1 / mean variance over many images, and what is left.

    Sites of one image have much in common: the mean over `batch` images takes a part of that, too, and the variance
    fluctuates with what each of them adds.
    """
    relative = known.within / known.variance
    left, whole = known.normed, 1.0
    if left is None:  # else the taps know
        varies = known.varies / known.variance**2
        part, _, rest = _split(varies, OTHERS)
        within = (relative - part * known.along) * ((1 - rest) / (1 - part)) + rest * known.along
        left = Images(rest**2 / OTHERS, known.along, within)
        _, whole, _ = _split(varies + _over_pairs(relative**2, sizes) / (batch - 1))
    # Slow directions lose most to the mean of a few images: it counts what is left of them.
    return whole / (1 - _over_pairs(left.within, sizes) / batch), left


def _split(varies: float, freedoms: float = STRONGEST) -> tuple[float, float, float]:
    """The part of the variance that fluctuates, E[1 / s^2], and E[part / s^2]."""
    part = min(math.sqrt(freedoms * varies), MOST_PART)
    return (part, *inverse(1 - part, MANY, part, freedoms)) if part else (0.0, 1.0, 0.0)


def _over_pairs(values: Array, sizes: Sequence[int | None]) -> float:
    """Mean over all pairs of different sites of a map; 0 of the plane, and of lags that are not held."""
    if None in sizes:
        return 0.0
    total = values
    for n in sizes:
        assert n is not None
        lag = np.abs(np.arange(total.shape[0]) - total.shape[0] // 2)
        total = np.tensordot(total, np.maximum(n - lag, 0) / n**2, axes=([0], [0]))
    return max(float(total) - float(values[_middle(values)]) / math.prod(n or 1 for n in sizes), 0.0)
