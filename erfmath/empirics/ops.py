"""Layers other than convolutions as pairs: forward, and the adjoint that takes gradients back.

Arrays are indexed (draws, channels, images, *space), in float32 or float64; every function works
in 1 to 3 dimensions.  In memory the channels may be last, as convolutions in training leave them:
results keep the order of their inputs.  An activation's or pool's forward also returns what its
backward needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .convolution import conv_out, on_space, taps

__all__ = ["EPS", "activate", "average_rows", "batch_norm", "batch_norm_grad", "bilinear_rows", "blur_rows",
           "channel_sums", "channels_last", "fit", "global_rows", "layer_norm", "layer_norm_grad", "max_pool",
           "max_pool_grad", "max_pool_winner", "nearest_rows", "per_channel", "scaled_batch_norm",
           "scaled_batch_norm_grad", "spread", "spread_grad"]

Array = npt.NDArray[Any]

#: Added to variances before dividing by their root, as frameworks do.
EPS = 1e-5
#: Numbers per block where a map is worked on in several passes.
BLOCK = 2**17
#: Of numbers per channel: at most so many in a row, unless a line of sites is longer.
REPEATED = 2**14


def fit(x: Array, pads: Sequence[tuple[int, int]], fill: float = 0.0) -> Array:
    """Pad the space of `x` by `pads` (before, after) with `fill`; negative pads crop.

    The adjoint is ``fit(dy, [(-a, -b) for a, b in pads])``.
    """
    space = x.shape[x.ndim - len(pads):]
    kept = x[on_space(slice(max(-a, 0), max(n - max(-b, 0), max(-a, 0))) for n, (a, b) in zip(space, pads))]
    if all(a <= 0 and b <= 0 for a, b in pads):
        return kept
    shape = [max(n + a + b, 0) for n, (a, b) in zip(space, pads)]
    y = np.full_like(x, fill, shape=(*x.shape[:x.ndim - len(pads)], *shape))
    if kept.size:
        y[on_space(slice(max(a, 0), max(a, 0) + n) for (a, _), n in
                   zip(pads, kept.shape[x.ndim - len(pads):]))] = kept
    return y


# -- order in memory --------------------------------------------------------------------------

def channels_last(x: Array) -> bool:
    """Whether channels lie closer together in memory than the sites of a line."""
    return x.strides[1] < x.strides[-1]


def per_channel(values: Array, like: Array) -> Array:
    """Numbers per channel, (draws or 1, channels) or (channels,), to combine with arrays like `like`.

    Where channels are last they are repeated along lines, planes, ... of sites: loops over channels alone are short.
    """
    values = values.reshape(-1, like.shape[1], *(1,) * (like.ndim - 2)).astype(like.dtype, copy=False)
    if not channels_last(like):
        return values
    axis = like.ndim - 1
    while axis > 3 and like.shape[1] * math.prod(like.shape[axis - 1:]) <= REPEATED:
        axis -= 1
    shape = len(values), *(1,) * (axis - 2), *like.shape[axis:], like.shape[1]
    repeated = np.moveaxis(np.empty(shape, like.dtype), -1, 1)
    repeated[...] = values
    return repeated


def channel_sums(x: Array) -> Array:
    """Sums over images and space, (draws, channels)."""
    if not channels_last(x):
        return x.sum(axis=tuple(range(2, x.ndim)))
    lines = np.moveaxis(x, 1, -1).reshape(len(x), -1, x.shape[-1] * x.shape[1])
    return (np.ones(lines.shape[1], x.dtype) @ lines).reshape(len(x), -1, x.shape[1]).sum(axis=1)


# -- pooling and resampling -------------------------------------------------------------------

def max_pool(x: Array, kernel: Sequence[int], stride: Sequence[int]) -> Array:
    """Largest value of each window, axis by axis.

    Pad with ``fit(x, pads, -inf)``: then padded sites never win.
    """
    for axis, (k, s) in enumerate(zip(kernel, stride)):
        one = [1] * len(kernel)
        along, step = list(one), list(one)
        along[axis], step[axis] = k, s
        out = conv_out(x.shape[3:], along, step, one)
        first, *rest = taps(x, along, step, one, out)
        x = first.copy(order="K")
        for view in rest:
            np.maximum(x, view, out=x)
    return x


def max_pool_winner(x: Array, y: Array, kernel: Sequence[int], stride: Sequence[int]) -> Array:
    """Which tap each value of ``y = max_pool(x)`` came from: the first of equals."""
    winner = np.zeros_like(y, np.min_scalar_type(max(math.prod(kernel) - 1, 1)))
    views = list(taps(x, kernel, stride, (1,) * len(kernel), y.shape[3:]))
    for a in reversed(range(len(views))):
        np.copyto(winner, a, where=views[a] == y)
    return winner


def max_pool_grad(dy: Array, winner: Array, space: Sequence[int], kernel: Sequence[int],
                  stride: Sequence[int]) -> Array:
    """Each window's gradient goes to its winner, on `space` input sites."""
    dx = np.zeros_like(dy, shape=(*dy.shape[:3], *space))
    for a, view in enumerate(taps(dx, kernel, stride, (1,) * len(kernel), dy.shape[3:])):
        view += dy * (winner == a)
    return dx


def spread(x: Array, rows: Sequence[Array | None]) -> Array:
    """Apply a matrix (out, in) to each axis of space; None leaves the axis as it is.

    Average pooling and every upsampling are such products: see the functions `*_rows`.
    """
    last = channels_last(x)
    x = np.moveaxis(x, 1, -1) if last else x
    for axis, matrix in enumerate(rows, start=2 if last else 3):
        if matrix is not None:
            shape = x.shape
            flat = x.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:]))
            matrix = matrix.astype(x.dtype)
            flat = flat[..., 0] @ matrix.T if flat.shape[2] == 1 else matrix @ flat
            x = flat.reshape(*shape[:axis], len(matrix), *shape[axis + 1:])
    return np.moveaxis(x, -1, 1) if last else x


def spread_grad(dy: Array, rows: Sequence[Array | None]) -> Array:
    """Adjoint of `spread`: the transposed matrices."""
    return spread(dy, [None if matrix is None else matrix.T for matrix in rows])


def average_rows(out: Array, sites: Array, kernel: int, stride: int, before: int, inside: bool,
                 n: int | None) -> Array:
    """Average pooling along an axis: weights of input `sites` in output sites `out`.

    Windows count `kernel` sites, or with `inside` only those in 0..n-1.
    """
    first = stride * out[:, None] - before
    hit = (sites >= first) & (sites < first + kernel)
    if not inside or n is None:
        return hit / kernel
    count = np.minimum(first + kernel, n) - np.maximum(first, 0)
    return hit / np.maximum(count, 1)


def blur_rows(out: Array, sites: Array, kernel: int, stride: int, before: int) -> Array:
    """Binomial blur along an axis: k - 1 steps of 0 or 1, each with probability 1/2."""
    weights = np.ones(1)
    for _ in range(kernel - 1):
        weights = np.convolve(weights, [0.5, 0.5])
    tap = sites - (stride * out[:, None] - before)
    return np.where((tap >= 0) & (tap < kernel), weights[np.clip(tap, 0, kernel - 1)], 0.0)


def global_rows(out: Array, sites: Array) -> Array:
    """The mean over all `sites` of an axis."""
    return np.full((len(out), len(sites)), 1.0 / max(len(sites), 1))


def nearest_rows(out: Array, sites: Array, scale: int) -> Array:
    """Nearest upsampling along an axis: output site x copies input site x // scale."""
    return (sites == out[:, None] // scale).astype(float)


def bilinear_rows(out: Array, sites: Array, scale: int, n: int | None) -> Array:
    """Linear upsampling along an axis between half-pixel centres, clamped to 0..n-1 (None: nowhere)."""
    source = (out[:, None] + 0.5) / scale - 0.5
    if n is not None:
        source = np.clip(source, 0, n - 1)
    return np.maximum(1 - np.abs(source - sites), 0)


# -- element by element -----------------------------------------------------------------------

def _relu(x: Array, slope: float) -> tuple[Array, Array]:
    return np.maximum(x, 0), x > 0


def _leaky_relu(x: Array, slope: float) -> tuple[Array, Array]:
    gate = np.where(x > 0, 1, slope).astype(x.dtype)
    return x * gate, gate


def _tanh(x: Array, slope: float) -> tuple[Array, Array]:
    y = np.tanh(x)
    return y, 1 - y * y


def _logistic(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # does not overflow


def _sigmoid(x: Array, slope: float) -> tuple[Array, Array]:
    y = _logistic(x)
    return y, y * (1 - y)


def _gelu(x: Array, slope: float) -> tuple[Array, Array]:
    from scipy.special import ndtr
    below = ndtr(x)
    return x * below, below + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _silu(x: Array, slope: float) -> tuple[Array, Array]:
    y = _logistic(x)
    return x * y, y * (1 + x * (1 - y))


def _elu(x: Array, slope: float) -> tuple[Array, Array]:
    low = np.exp(np.minimum(x, 0))
    return np.where(x > 0, x, low - 1), np.where(x > 0, 1, low).astype(x.dtype)


def _softplus(x: Array, slope: float) -> tuple[Array, Array]:
    return np.logaddexp(x, x.dtype.type(0)), _logistic(x)


def _identity(x: Array, slope: float) -> tuple[Array, Array]:
    return x, np.ones(x.shape, bool)


_FUNCTIONS: dict[str, Callable[[Array, float], tuple[Array, Array]]] = {
    "relu": _relu, "leaky_relu": _leaky_relu, "tanh": _tanh, "sigmoid": _sigmoid, "gelu": _gelu,
    "silu": _silu, "elu": _elu, "softplus": _softplus, "identity": _identity,
}


def activate(x: Array, function: str, slope: float = 0.01) -> tuple[Array, Array]:
    """phi(x) and phi'(x); the gradient to the input is ``dy * phi'(x)``.  ReLU's derivative is bool."""
    return _FUNCTIONS[function](x, slope)


# -- normalisation ----------------------------------------------------------------------------

def batch_norm(x: Array, eps: float = EPS) -> tuple[Array, Array]:
    """(x - mean) / sqrt(variance + eps) per channel, by the batch's own statistics, and the factor 1 / sqrt(...)."""
    y = x - x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)
    flat = y.reshape(*y.shape[:2], -1)
    factor = 1 / np.sqrt(np.einsum("dci,dci->dc", flat, flat) / x.dtype.type(flat.shape[-1]) + x.dtype.type(eps))
    factor = per_channel(factor, x)
    y *= factor
    return y, factor


def _blocks(x: Array) -> list[Any]:
    """Cuts of images, each of about as much as a core's own cache holds together with its copies."""
    step = max(1, BLOCK * x.shape[2] // max(x.size, 1))
    return [np.s_[:, :, i:i + step] for i in range(0, x.shape[2], step)]


def scaled_batch_norm(x: Array, scale: Array, shift: Array) -> tuple[Array, Array, Array]:
    """scale * `batch_norm` + shift, with the mean and variance met, all per channel (draws, channels)."""
    y, blocks, n = np.empty_like(x), _blocks(x), x.dtype.type(math.prod(x.shape[2:]))
    mean = np.sum([channel_sums(x[cut]) for cut in blocks], axis=0) / n
    centre = per_channel(mean, x)
    variance = np.sum([channel_sums(np.square(x[cut] - centre)) for cut in blocks], axis=0) / n
    factor = scale / np.sqrt(variance + x.dtype.type(EPS))
    slope, level = per_channel(factor, x), per_channel(shift - mean * factor, x)
    for cut in blocks:
        np.multiply(x[cut], slope, out=y[cut])
        y[cut] += level
    return y, mean, variance


def scaled_batch_norm_grad(dy: Array, x: Array, scale: Array, mean: Array, variance: Array,
                           ) -> tuple[Array, Array, Array]:
    """Adjoint of `scaled_batch_norm`: gradients to x, scale and shift."""
    dx, blocks, n = np.empty_like(x), _blocks(x), x.dtype.type(math.prod(x.shape[2:]))
    factor, centre = 1 / np.sqrt(variance + x.dtype.type(EPS)), per_channel(mean, x)
    to_shift = np.sum([channel_sums(dy[cut]) for cut in blocks], axis=0)
    to_scale = np.sum([channel_sums(dy[cut] * (x[cut] - centre)) for cut in blocks], axis=0) * factor
    # factor scale (dy - mean(dy) - unit mean(dy unit)), unit = (x - mean) factor
    on_dy = factor * scale
    on_x = -on_dy * factor * to_scale / n
    level = per_channel(-on_dy * to_shift / n - on_x * mean, x)
    on_dy, on_x = per_channel(on_dy, x), per_channel(on_x, x)
    for cut in blocks:
        part = np.multiply(x[cut], on_x, out=dx[cut])
        part += level
        part += dy[cut] * on_dy
    return dx, to_scale, to_shift


def batch_norm_grad(dy: Array, y: Array, factor: Array) -> Array:
    """Adjoint of `batch_norm` through its statistics: `y` and `factor` are what it returned."""
    axes = tuple(range(2, y.ndim))
    return factor * (dy - dy.mean(axes, keepdims=True) - y * (dy * y).mean(axes, keepdims=True))


def layer_norm(x: Array, eps: float = EPS) -> tuple[Array, Array]:
    """Each site normalised over its channels; returns the result and 1 / sqrt(variance + eps)."""
    centred = x - x.mean(axis=1, keepdims=True)
    factor = 1 / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + x.dtype.type(eps))
    return centred * factor, factor


def layer_norm_grad(dy: Array, y: Array, factor: Array) -> Array:
    """Adjoint of `layer_norm`: `y` and `factor` are what it returned."""
    return factor * (dy - dy.mean(1, keepdims=True) - y * (dy * y).mean(1, keepdims=True))
