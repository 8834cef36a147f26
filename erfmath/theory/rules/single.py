"""One layer in its simplest form: what it is written as matters to no answer then."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ...layers import (Activation, AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, Conv, ConvTranspose, GlobalAvgPool,
                       GroupNorm, Identity, InstanceNorm, Layer, MaxPool, Scale, Upsample)
from ...layers.weights import Constant, Fixed, Random
from ..sweep.values import rounded
from .traits import plain

__all__ = ["Sizes", "alone", "equal_bins", "scale"]

#: Factors of one layer lie between this and one over it.
LARGEST = 1e100
#: Weights that differ by less, as a part, are equal.
ROUNDING = 1e-12
#: Layers that may be written as simpler ones.
SIMPLER = (Conv, ConvTranspose, AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, MaxPool, GlobalAvgPool, Upsample, Activation,
           GroupNorm)
Sizes = tuple[Any, ...]
_RELU = Activation("relu")


def alone(layer: Layer, sizes: Sizes, channels: int, ndim: int) -> Layer:
    """A layer that reads one map of `sizes` and `channels`, as simple as it can be written."""
    if not isinstance(layer, SIMPLER):
        return layer
    if isinstance(layer, GroupNorm):
        return InstanceNorm(scale_var=layer.scale_var, shift_var=layer.shift_var) if layer.groups == channels else layer
    if isinstance(layer, ConvTranspose):
        layer = _forwards(layer, ndim)
    if isinstance(layer, Conv):
        if layer.random:
            return _of_variances(layer)
        layer = _one_tap(_trimmed(layer, ndim), ndim)
        if not isinstance(layer, Conv):
            return layer
        layer = _mean_of_taps(layer, channels, ndim)
    if isinstance(layer, (AdaptiveAvgPool, AdaptiveMaxPool)):
        layer = equal_bins(layer, sizes, ndim)
    elif isinstance(layer, Upsample):
        return _by_scale(layer, sizes, ndim)
    if isinstance(layer, AvgPool) and None not in sizes and all(
            g.kernel == n and g.dilation == 1 and not (isinstance(g.padding, str) or any(g.pads(n)))
            for g, n in zip(layer.geometry(ndim), sizes)):
        layer = GlobalAvgPool()
    if isinstance(layer, (AvgPool, MaxPool)) and set(sizes) == {1}:
        return _of_one_site(layer, ndim)
    if isinstance(layer, (AvgPool, MaxPool)) and (layer.ceil_mode or not getattr(layer, "count_include_pad", True)):
        return _by_whole_windows(layer, sizes, ndim)
    if isinstance(layer, GlobalAvgPool):
        return Identity() if set(sizes) == {1} else layer
    if isinstance(layer, Activation):
        if layer.function == "prelu":
            layer = Activation("leaky_relu", slope=layer.slope)
        if layer.function == "leaky_relu" and layer.slope == 0:
            return _RELU
    return layer


def _of_variances(layer: Conv) -> Layer:
    """Random weights by their variances alone: neither their law nor a flat profile tells them apart."""
    weights: Any = layer.weights
    profile = None if weights.profile is None or np.ptp(weights.profile) == 0 else weights.profile
    if profile is weights.profile and weights.law == "normal":
        return layer
    return replace(layer, weights=replace(weights, profile=profile, law="normal"))


def _one_tap(layer: Layer, ndim: int) -> Layer:
    """A filter of one tap, alike for all channels, as a factor, or as what picks sites."""
    weights, axes = getattr(layer, "weights", None), layer.geometry(ndim)
    if not isinstance(weights, Fixed) or layer.bias_variance(1, 1, 1) or any(g.kernel > 1 for g in axes):
        return layer
    array, factor = weights.array, float(weights.array.flat[0])
    if not weights.per_channel(ndim) and not (getattr(layer, "groups") == 1 and array.size == len(array)**2 and (
            array.reshape(len(array), -1) == factor * np.eye(len(array))).all()):
        return layer
    if factor == 1 and all(plain(g._replace(stride=1)) for g in axes) and max(g.stride for g in axes) > 1:
        return AvgPool(1, tuple(g.stride for g in axes))
    return (scale(factor) if all(map(plain, axes)) else None) or layer


def _mean_of_taps(layer: Conv, channels: int, ndim: int) -> Layer:
    """Equal weights of single channels, of sum 1, as an average pool."""
    axes, weights = layer.geometry(ndim), layer.weights
    if isinstance(weights, Fixed):
        equal = weights.per_channel(ndim) and weights.array.size > 1 and (
            np.abs(weights.array * weights.array.size - 1) < ROUNDING).all()
    else:
        equal = isinstance(weights, Constant) and layer.groups in ("depthwise", channels)
    if not equal or layer.channels not in (None, channels) or layer.bias or any(
            g.dilation > 1 and g.kernel > 1 or g.border != "zeros" or isinstance(g.padding, str)
            or max(g.pads(None)) >= g.kernel for g in axes):
        return layer
    return AvgPool(tuple(g.kernel for g in axes), tuple(g.stride for g in axes), tuple(g.pads(None) for g in axes))


def scale(factor: float) -> Layer | None:
    """A factor as a layer, None where it is too large or too small for one."""
    return Scale(rounded(factor)) if not factor or 1 / LARGEST < abs(factor) < LARGEST else None


def _forwards(layer: ConvTranspose, ndim: int) -> Layer:
    """A transposed convolution of stride 1 as a convolution, whose taps are in the other order."""
    axes = layer.geometry(ndim)
    ones = isinstance(layer.weights, Fixed) and layer.weights.per_channel(ndim) and (layer.weights.array == 1).all()
    if ones and not layer.bias and all(g.kernel == g.stride and g.dilation == 1 and g.padding == (0, 0) for g in axes):
        return Upsample(tuple(g.stride for g in axes))
    pads = [g.pads(None) for g in axes]
    if any(g.stride > 1 or g.padding == "same" or max(p) >= g.extent for g, p in zip(axes, pads)):
        return layer
    weights = layer.weights
    if isinstance(weights, Fixed):
        array = np.flip(weights.array, tuple(range(-ndim, 0)))
        if not weights.per_channel(ndim):
            if layer.groups != 1:
                return layer
            array = np.swapaxes(array, 0, 1)
        weights = Fixed(array)
    elif isinstance(weights, Random) and weights.profile is not None:
        weights = replace(weights, profile=np.flip(np.asarray(weights.profile)))
    around = tuple((g.extent - 1 - p, g.extent - 1 - q) for g, (p, q) in zip(axes, pads))
    return Conv(tuple(g.kernel for g in axes), layer.channels, dilation=tuple(g.dilation for g in axes), padding=around,
                groups=layer.groups, weights=weights, bias=layer.bias)


def equal_bins(layer: Layer, sizes: Sizes, ndim: int) -> Layer:
    """A pool to bins of one size as one of this kernel and stride."""
    axes = layer.geometry(ndim)
    counts = [1 if g.padding == "whole" else g.resize.size if g.resize else None for g in axes]
    if None in sizes or None in counts:
        return layer
    if any(n % count for n, count in zip(sizes, counts)):
        return layer
    kernel = tuple(n // count for n, count in zip(sizes, counts))
    return MaxPool(kernel, kernel) if layer.routes else AvgPool(kernel, kernel)


def _of_one_site(layer: AvgPool | MaxPool, ndim: int) -> Layer:
    """A pool of one site to one site as a factor; the largest of one is this one."""
    axes = layer.geometry(ndim)
    if any(isinstance(g.padding, str) or g.out(1) != 1 or g.pads(1)[0] % g.dilation
           or g.pads(1)[0] // g.dilation >= g.kernel for g in axes):
        return layer
    padded = getattr(layer, "count_include_pad", False)
    return Scale(1 / math.prod(g.kernel for g in axes)) if padded else Identity()


def _by_whole_windows(layer: Any, sizes: Sizes, ndim: int) -> Layer:
    """A pool without what tells windows that end outside the map, where there are none."""
    axes = layer.geometry(ndim)
    if layer.ceil_mode and None not in sizes and all(g.out(n) == g._replace(ceil_mode=False).out(n)
                                                     for g, n in zip(axes, sizes)):
        layer = replace(layer, ceil_mode=False)
    if not (getattr(layer, "count_include_pad", True) or layer.ceil_mode or any(
            isinstance(g.padding, str) or any(g.padding) for g in axes)):
        layer = replace(layer, count_include_pad=True)
    whole: Layer = layer
    return whole


def _by_scale(layer: Upsample, sizes: Sizes, ndim: int) -> Layer:
    """Resampling to a multiple of the map's size as one by this factor."""
    if layer.size is None or layer.align_corners or None in sizes:
        return layer
    out = [g.out(n) for g, n in zip(layer.geometry(ndim), sizes)]
    if any(m % n for m, n in zip(out, sizes)):
        return layer
    return Upsample(tuple(m // n for m, n in zip(out, sizes)), layer.mode)


def _trimmed(layer: Layer, ndim: int) -> Layer:
    """A filter without taps of zero at its rim, unless its padding is less than what is cut."""
    weights, axes = getattr(layer, "weights", None), layer.geometry(ndim)
    if not isinstance(weights, Fixed) or not weights.per_channel(ndim) or axes[0].transposed:
        return layer
    array = weights.array
    if not array.any() or any(isinstance(g.padding, str) for g in axes):
        return layer
    spec: Any = layer
    cut = [(int(hit[0]), int(array.shape[axis] - 1 - hit[-1])) for axis in range(ndim) for hit in (
        np.flatnonzero(array.any(axis=tuple(a for a in range(ndim) if a != axis))),)]
    pads = [tuple(p - g.dilation * c for p, c in zip(g.pads(None), ends)) for g, ends in zip(axes, cut)]
    if not any(map(any, cut)) or min(map(min, pads)) < 0:
        return layer
    kept = array[tuple(slice(a, n - b) for (a, b), n in zip(cut, array.shape))]
    return replace(spec, kernel_size=kept.shape, padding=pads, weights=Fixed(kept))
