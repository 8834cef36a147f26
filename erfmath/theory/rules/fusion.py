"""One layer alone in its simplest form, and two in a row as one: what specs tell of layers that are the same function.

`simplify` brings networks to the form that has nothing to join.
"""

from __future__ import annotations

import functools
import math
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ...layers import (Activation, AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, BlurPool, Conv, ConvTranspose, Dropout,
                       GlobalAvgPool, Identity, Layer, MaxPool, Pad, PixelShuffle, PixelUnshuffle, Scale, Upsample)
from ...layers.base import Windowed
from ...layers.geometry import SITE, AxisGeometry
from ...layers.weights import Fixed, Random
from ..memory import remembered
from ..sweep.values import rounded
from .base import rule_of

__all__ = ["alone", "as_one", "beside", "homogeneous", "like", "nothing", "of_sites", "one_convolution", "related",
           "slope_below", "unnamed"]

#: Taps along an axis of a filter that stands for two in a row, at most.
MOST = 32
#: Gains of one layer that stands for two lie between this and one over it.
LIMIT = 1e30
#: The same of factors.
LARGEST = 1e100
#: Layers that may be written as simpler ones.
SIMPLER = (Conv, ConvTranspose, AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, GlobalAvgPool, Upsample, Activation)
#: Layers some of which are one with another kind of them.
WINDOWS = (Windowed, Pad, Upsample, GlobalAvgPool, AdaptiveAvgPool, PixelUnshuffle, PixelShuffle)
#: Functions that change nothing a second time.
CLIPS = ("relu6", "hardtanh")
Sizes = tuple[Any, ...]


def alone(layer: Layer, sizes: Sizes, ndim: int) -> Layer:
    """A layer that reads one map of `sizes`, as simple as it can be written."""
    if not isinstance(layer, SIMPLER):
        return layer
    if isinstance(layer, ConvTranspose):
        layer = _forwards(layer, ndim)
    if isinstance(layer, Conv):
        return layer if layer.random else _one_tap(_trimmed(layer, ndim), ndim)
    if isinstance(layer, (AdaptiveAvgPool, AdaptiveMaxPool)):
        layer = _equal_bins(layer, sizes, ndim)
    elif isinstance(layer, Upsample):
        return _by_scale(layer, sizes, ndim)
    if isinstance(layer, AvgPool) and None not in sizes and all(
            g.kernel == n and g.dilation == 1 and not (isinstance(g.padding, str) or any(g.pads(n)))
            for g, n in zip(layer.geometry(ndim), sizes)):
        layer = GlobalAvgPool()
    if isinstance(layer, GlobalAvgPool):
        return Identity() if set(sizes) == {1} else layer
    if isinstance(layer, Activation):
        if layer.function == "prelu":
            layer = Activation("leaky_relu", slope=layer.slope)
        if slope_below(layer) == 0:
            return _RELU
    return layer


_RELU = Activation("relu")


def _one_tap(layer: Layer, ndim: int) -> Layer:
    """A filter of one tap, alike for all channels, as a factor, or as what picks sites."""
    weights, axes = getattr(layer, "weights", None), layer.geometry(ndim)
    if not isinstance(weights, Fixed) or layer.bias_variance(1, 1, 1) or any(g.kernel > 1 for g in axes):
        return layer
    array, factor = weights.array, float(weights.array.flat[0])
    if not weights.per_channel(ndim) and not (getattr(layer, "groups") == 1 and array.size == len(array)**2 and (
            array.reshape(len(array), -1) == factor * np.eye(len(array))).all()):
        return layer
    if factor == 1 and all(_plain(g._replace(stride=1)) for g in axes) and max(g.stride for g in axes) > 1:
        return AvgPool(1, tuple(g.stride for g in axes))
    return (_scale(factor) if all(map(_plain, axes)) else None) or layer


def _scale(factor: float) -> Layer | None:
    """A factor as a layer, None where it is too large or too small for one."""
    return Scale(rounded(factor)) if not factor or 1 / LARGEST < abs(factor) < LARGEST else None


def nothing(layer: Layer, ndim: int) -> bool:
    """Whether a layer hands on its only input as it is."""
    if layer.is_identity or layer.many_inputs:
        return True
    if isinstance(layer, (MaxPool, AvgPool, BlurPool)):
        return all(g.kernel == g.stride == 1 and g.padding in ((0, 0), "same") for g in layer.geometry(ndim))
    if isinstance(layer, (Conv, ConvTranspose)) and isinstance(layer.weights, Fixed) and not layer.bias:
        array = layer.weights.array
        return (array.size == 1 and layer.weights.per_channel(ndim) and array.item() == 1
                and all(map(_plain, layer.geometry(ndim))))
    return False


def _plain(g: AxisGeometry) -> bool:
    """Whether nothing happens along an axis."""
    return g._replace(transposed=False, dilation=1, border="zeros",
                      padding=(0, 0) if g.padding == "same" and g.kernel == 1 else g.padding) == SITE


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


def _equal_bins(layer: Layer, sizes: Sizes, ndim: int) -> Layer:
    """A pool to bins of one size as one of this kernel and stride."""
    axes = layer.geometry(ndim)
    counts = [1 if g.padding == "whole" else g.resize.size if g.resize else None for g in axes]
    if None in sizes or None in counts:
        return layer
    if any(n % count for n, count in zip(sizes, counts)):
        return layer
    kernel = tuple(n // count for n, count in zip(sizes, counts))
    return MaxPool(kernel, kernel) if layer.routes else AvgPool(kernel, kernel)


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


def related(first: Layer, second: Layer) -> bool:
    """Whether there are layers of these kinds that in a row are one."""
    return type(first) is type(second) or isinstance(first, Scale) or (
        isinstance(first, WINDOWS) and isinstance(second, WINDOWS))


def as_one(first: Layer, second: Layer, sizes: tuple[Sizes, Sizes], channels: tuple[int, int, int], gated: bool,
           ndim: int) -> Layer | None:
    """One layer that does what two in a row do, None where there is none; `sizes` and `channels` are of what they read
    and, the channels, of what comes out, too.
    """
    if isinstance(first, Scale):
        return _scaled(second, first.factor)
    if not related(first, second):
        return None
    if isinstance(first, Pad) and isinstance(second, Pad) and first.mode == second.mode == "zeros":
        pads = [(a.pads(None), b.pads(None)) for a, b in zip(first.geometry(ndim), second.geometry(ndim))]
        if any(p < 0 < q for one, other in pads for p, q in zip(one, other)):
            return None  # cropped, and then zeros instead
        return Pad(tuple((one[0] + other[0], one[1] + other[1]) for one, other in pads))
    if isinstance(first, Dropout) and isinstance(second, Dropout):
        return Dropout(1 - (1 - first.p) * (1 - second.p))
    if isinstance(first, Activation) and isinstance(second, Activation):
        if first.function in CLIPS and first == replace(second, name=first.name):
            return second
        below, then = slope_below(first), slope_below(second)
        if below == 0 and second.function == "relu6":
            return second
        if below is None or then is None:
            return None
        slope = below * (then if below > 0 else 1.0)
        return Activation("leaky_relu", slope=slope) if slope else Activation("relu")
    if isinstance(first, Upsample) and first.mode == "nearest" and first.by_taps:
        return _of_copies(first, second, ndim)
    if isinstance(first, AvgPool) and isinstance(second, GlobalAvgPool) and not first.ceil_mode and all(
            g.kernel == g.stride and g.padding == (0, 0) and n is not None and n % g.kernel == 0
            for g, n in zip(first.geometry(ndim), sizes[0])):
        return second
    if isinstance(first, ConvTranspose):
        return (_gathered if isinstance(second, PixelUnshuffle) else _spread)(first, second, ndim)
    if isinstance(first, AvgPool) and isinstance(second, AvgPool):
        pool = _bins_of_bins(first, second, ndim)
        if pool is not None:
            return pool
    if isinstance(first, PixelUnshuffle):
        return _unshuffled(first, second, sizes[0], channels, ndim)
    if isinstance(second, PixelShuffle):
        return _shuffled(first, second, channels, ndim)
    if gated and isinstance(first, Pad):
        padded = (_padded if first.mode == "zeros" else _bordered)(first, second, ndim)
        if padded is not None:
            return padded
    return _strided(first, second, sizes[0], ndim) or (
        _filter(first, second, sizes, channels, ndim) if gated else None)


def _scaled(layer: Layer, factor: float) -> Layer | None:
    """A layer that reads a multiple of its input as one that reads this, which also puts out what that would."""
    if isinstance(layer, Scale):
        return _scale(factor * layer.factor)
    if layer.statistics and layer.op != "grn" and factor > 0:
        return layer
    return _louder(layer, factor)


def _louder(layer: Layer, factor: float) -> Layer | None:
    """A layer of random weights that are `factor` times as large; layers of single channels may have others beside."""
    weights = getattr(layer, "weights", None)
    if not isinstance(weights, Random) or layer.bias_variance(1, 1, 1) or getattr(layer, "groups") == "depthwise":
        return None
    gain = weights.gain * factor**2
    if not 1 / LIMIT < gain < LIMIT:
        return None
    spec: Any = layer
    louder: Layer = replace(spec, weights=replace(weights, gain=gain))
    return louder


def of_sites(layer: Layer, ndim: int) -> bool:
    """Whether a convolution reads the site alone that it makes."""
    return isinstance(layer, Conv) and all(map(_plain, layer.geometry(ndim)))


def homogeneous(layer: Layer, factor: float) -> bool:
    """Whether a layer makes `factor` times as much of a map that is this times as large."""
    if isinstance(layer, Activation):
        return factor > 0 and slope_below(layer) is not None
    if isinstance(layer, (Conv, ConvTranspose)):
        return not (layer.random or layer.bias)
    if isinstance(layer, (MaxPool, AdaptiveMaxPool)) or (isinstance(layer, Upsample) and layer.mode == "nearest"):
        return factor > 0
    return layer.moves_channels or isinstance(layer, (AvgPool, BlurPool, GlobalAvgPool, AdaptiveAvgPool, Upsample, Pad,
                                                      Dropout, PixelShuffle, PixelUnshuffle))


def _of_copies(up: Upsample, second: Layer, ndim: int) -> Layer | None:
    """A layer that reads copies of sites as one that reads these."""
    scales = [g.stride for g in up.geometry(ndim)]
    if isinstance(second, Upsample) and second.mode == "nearest" and second.by_taps:
        return Upsample(tuple(s * g.stride for s, g in zip(scales, second.geometry(ndim))))
    if isinstance(second, (MaxPool, AvgPool)) and all(
            g.extent <= g.stride and s % g.stride == 0 and g.padding == (0, 0)
            for g, s in zip(second.geometry(ndim), scales)):
        return Upsample(tuple(s // g.stride for g, s in zip(second.geometry(ndim), scales)))
    return second if isinstance(second, GlobalAvgPool) else None


def _bins_of_bins(first: AvgPool, second: AvgPool, ndim: int) -> Layer | None:
    """Means of means of sites side by side."""
    axes = list(zip(first.geometry(ndim), second.geometry(ndim)))
    if first.ceil_mode or second.ceil_mode or any(
            a.kernel != a.stride or isinstance(g.padding, str) or any(g.pads(None)) for a, b in axes for g in (a, b)):
        return None
    return AvgPool(tuple(a.kernel * b.kernel for a, b in axes), tuple(a.stride * b.stride for a, b in axes))


def _spread(first: ConvTranspose, conv: Layer, ndim: int) -> Layer | None:
    """A random convolution of a map with zeros between its sites as a transposed one."""
    weights, taps = getattr(conv, "weights", None), first.weights
    if not isinstance(taps, Fixed) or taps.array.size != 1 or taps.array.item() != 1 or first.bias or (
            first.output_padding):
        return None
    if not isinstance(conv, Conv) or not isinstance(weights, Random) or weights.fan != "in":
        return None
    axes = list(zip(first.geometry(ndim), conv.geometry(ndim)))
    if conv.groups != 1 or conv.bias or any(
            a.kernel > 1 or a.pads(None) != (0, 0) or b.stride > 1 or b.dilation > 1
            or b.border != "zeros" or isinstance(b.padding, str) or max(b.pads(None)) >= b.kernel for a, b in axes):
        return None
    profile = None if weights.profile is None else np.flip(np.asarray(weights.profile))
    gain = weights.gain / math.prod(a.stride for a, _ in axes)
    around = tuple((b.kernel - 1 - p, b.kernel - 1 - q) for _, b in axes for p, q in (b.pads(None),))
    return ConvTranspose(tuple(b.kernel for _, b in axes), conv.channels, stride=tuple(a.stride for a, _ in axes),
                         padding=around, weights=replace(weights, gain=gain, profile=profile))


def _unshuffled(first: PixelUnshuffle, conv: Layer, sizes: Sizes, channels: tuple[int, int, int], ndim: int
                ) -> Layer | None:
    """A convolution of sites that have been brought to channels as one with a larger kernel and stride."""
    weights, r = getattr(conv, "weights", None), [g.stride for g in first.geometry(ndim)]
    if not isinstance(conv, Conv) or not isinstance(weights, Random) or conv.groups != 1 or conv.bias:
        return None
    if any(n is not None and n % s for n, s in zip(sizes, r)):  # sites are left out
        return None
    axes = conv.geometry(ndim)
    if any(g.dilation > 1 and g.kernel > 1 or isinstance(g.padding, str) or g.border != "zeros" for g in axes):
        return None
    profile = _repeated(weights.profile, r, ndim)
    gain = weights.gain * {"in": 1.0, "out": channels[1] / channels[2]}.get(weights.fan, math.nan)
    if math.isnan(gain):
        return None
    return Conv(tuple(s * g.kernel for s, g in zip(r, axes)), conv.channels,
                stride=tuple(s * g.stride for s, g in zip(r, axes)),
                padding=tuple((s * p, s * q) for s, (p, q) in zip(r, (g.pads(None) for g in axes))),
                weights=Random(gain=gain, profile=profile, law=weights.law))


def _shuffled(conv: Layer, second: PixelShuffle, channels: tuple[int, int, int], ndim: int) -> Layer | None:
    """A random convolution whose channels are brought to sites as a transposed one."""
    weights, r = getattr(conv, "weights", None), [g.stride for g in second.geometry(ndim)]
    if not isinstance(conv, Conv) or not isinstance(weights, Random) or conv.groups != 1 or conv.bias:
        return None
    axes = conv.geometry(ndim)
    if any(g.stride > 1 or g.dilation > 1 and g.kernel > 1 or isinstance(g.padding, str) or g.border != "zeros"
           or max(g.pads(None)) >= g.kernel for g in axes):
        return None
    profile = _repeated(weights.profile, r, ndim)
    gain = weights.gain * {"in": 1.0, "out": channels[0] / channels[1]}.get(weights.fan, math.nan)
    if math.isnan(gain):
        return None
    around = tuple((s * (g.kernel - 1 - p), s * (g.kernel - 1 - q)) for s, g in zip(r, axes) for p, q in (
        g.pads(None),))
    return ConvTranspose(tuple(s * g.kernel for s, g in zip(r, axes)), channels[2], stride=tuple(r), padding=around,
                         weights=Random(gain=gain, profile=None if profile is None else np.flip(profile),
                                        law=weights.law))


def _gathered(conv: Layer, second: Layer, ndim: int) -> Layer | None:
    """A random transposed convolution whose sites are brought to channels as a convolution."""
    weights, r = getattr(conv, "weights", None), [g.stride for g in second.geometry(ndim)]
    axes = conv.geometry(ndim)
    if not isinstance(conv, ConvTranspose) or not isinstance(weights, Random) or conv.groups != 1 or conv.bias or (
            weights.fan != "in" or conv.output_padding):
        return None
    if any(isinstance(g.padding, str) or g.dilation > 1 or g.stride != s or g.kernel % s or any(
            p % s or p // s >= g.kernel // s for p in g.pads(None)) for g, s in zip(axes, r)):
        return None
    profile = _repeated(weights.profile, [1] * ndim, ndim)
    if profile is not None:
        parts = profile.reshape([n for g, s in zip(axes, r) for n in (g.kernel // s, s)])
        each = parts[(slice(None), slice(1)) * ndim]
        if (parts != each).any():  # channels that differ in their weights
            return None
        profile = np.flip(each.reshape([g.kernel // s for g, s in zip(axes, r)]))
    channels = None if conv.channels is None else conv.channels * math.prod(r)
    around = tuple((g.kernel // s - 1 - p // s, g.kernel // s - 1 - q // s) for g, s in zip(axes, r) for p, q in (
        g.pads(None),))
    return Conv(tuple(g.kernel // s for g, s in zip(axes, r)), channels, padding=around,
                weights=replace(weights, profile=profile))


def _repeated(profile: Any, times: list[int], ndim: int) -> Any:
    """A profile each tap of which stands for so many along each axis."""
    if profile is None:
        return None
    if np.ndim(profile) != ndim:  # the same line along all axes
        profile = functools.reduce(np.multiply.outer, [np.asarray(profile)] * ndim)
    return np.kron(profile, np.ones(times))


def _padded(pad: Pad, window: Layer, ndim: int) -> Layer | None:
    """A window on what has been padded as one with this padding."""
    mean = isinstance(window, AvgPool) and window.count_include_pad and not window.ceil_mode
    if not (mean or isinstance(window, (BlurPool, Conv))):
        return None
    spec: Any = window
    axes = window.geometry(ndim)
    around = [g.pads(None) for g in pad.geometry(ndim)]
    if min(map(min, around)) < 0 or any(isinstance(g.padding, str) or g.border != "zeros" for g in axes):
        return None
    try:
        return replace(spec, padding=tuple((p + a, q + b) for (p, q), (a, b) in zip(
            around, (g.pads(None) for g in axes))))
    except ValueError:  # windows that would lie outside
        return None


def _bordered(pad: Pad, conv: Layer, ndim: int) -> Layer | None:
    """A convolution without padding of what has been padded by parts of the map as one with this padding."""
    axes = pad.geometry(ndim)
    if not isinstance(conv, Conv) or any(g.pads(None) != (0, 0) if not isinstance(g.padding, str) else True
                                         for g in conv.geometry(ndim)) or min(min(g.pads(None)) for g in axes) < 0:
        return None
    return replace(conv, padding=tuple(g.pads(None) for g in axes), padding_mode=pad.mode)


def _strided(conv: Layer, pick: Layer, sizes: Sizes, ndim: int) -> Layer | None:
    """A random convolution of which the next layer picks sites, as one with a larger stride."""
    steps = pick.geometry(ndim)
    if not (conv.random and isinstance(conv, Windowed) and not conv.transposed and pick.single_tap(ndim)
            and isinstance(pick, Windowed) and not (pick.takes_weights or pick.transposed)):
        return None
    if any(g._replace(stride=1) != SITE for g in steps) or all(g.stride == 1 for g in steps):
        return None
    geometry = conv.geometry(ndim)
    spec: Any = conv
    return replace(spec, stride=tuple(a.stride * b.stride for a, b in zip(geometry, steps)),
                   padding=[g.pads(n) for g, n in zip(geometry, sizes)])


def one_convolution(layers: list[Layer], ndim: int) -> Layer | None:
    """The sum of convolutions of one map with random weights as one, whose taps have the variances of all of them."""
    first: Any = layers[0]
    if any(not isinstance(one, Conv) or not isinstance(one.weights, Random) or one.groups != 1 or one.bias
           or one.weights.fan != "in" or one.channels != first.channels or one.weights.law != first.weights.law
           for one in layers):
        return None
    axes = [one.geometry(ndim) for one in layers]
    if any(g.border != "zeros" or isinstance(g.padding, str) or g.dilation > 1 and g.kernel > 1 or g.stride != h.stride
           for geometry in axes for g, h in zip(geometry, axes[0])):
        return None
    before = [max(geometry[axis].pads(None)[0] for geometry in axes) for axis in range(ndim)]
    after = [max(geometry[axis].kernel - geometry[axis].pads(None)[0] for geometry in axes) for axis in range(ndim)]
    total = np.zeros([p + q for p, q in zip(before, after)])
    for one, geometry in zip(layers, axes):
        weights: Any = getattr(one, "weights")
        kernel = tuple(g.kernel for g in geometry)
        parts = weights.variances(kernel)
        power = parts[0] if len(parts) == 1 else functools.reduce(np.multiply.outer, parts)
        at = tuple(slice(p - g.pads(None)[0], p - g.pads(None)[0] + g.kernel) for p, g in zip(before, geometry))
        total[at] += weights.gain * power.reshape(kernel) / power.sum()
    pads = tuple((p, max(geometry[axis].pads(None)[1] + total.shape[axis] - geometry[axis].kernel - (
        p - geometry[axis].pads(None)[0]) for geometry in axes)) for axis, p in enumerate(before))
    return Conv(total.shape, first.channels, stride=tuple(g.stride for g in axes[0]), padding=pads,
                weights=Random(gain=float(total.sum()), profile=total, law=first.weights.law))


def beside(one: Layer, other: Layer, channels: tuple[int, int]) -> Layer | None:
    """Convolutions of one map with independent weights, of `channels` side by side, as one of all these."""
    weights = getattr(one, "weights", None)
    if not isinstance(one, Conv) or not isinstance(other, Conv) or one.groups != 1 or not isinstance(
            weights, Random) or weights.fan != "in" or other.weights != weights:
        return None
    return replace(one, channels=sum(channels), name=None) if like(one, other, "channels") else None


def unnamed(layer: Any) -> Layer:
    """A layer whatever it is called."""
    unnamed: Layer = layer if layer.name is None else replace(layer, name=None)
    return unnamed


@remembered(256)
def _fields(kind: type[Layer]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != "name")


def like(one: Layer, other: Layer | None, but: str | None = None) -> bool:
    """Whether two layers are one but for their names, and the field `but`."""
    return one is other or (type(one) is type(other) and all(
        getattr(one, name) == getattr(other, name) for name in _fields(type(one)) if name != but))


def slope_below(layer: Any) -> float | None:
    """Of a rectifier, below zero."""
    return {"relu": 0.0, "leaky_relu": layer.slope}.get(layer.function)


def _filter(first: Layer, second: Layer, sizes: tuple[Sizes, Sizes], channels: tuple[int, int, int], ndim: int
            ) -> Layer | None:
    """Two filters of each channel as one."""
    if isinstance(second, GlobalAvgPool):
        second = _equal_bins(second, sizes[1], ndim)
    one, other = _taps(first, sizes[0], channels[:2]), _taps(second, sizes[1], channels[1:])
    if one is None or other is None:
        return None
    kernels, strides, pads = [], [], []
    for a, b, n, m in zip(first.geometry(ndim), second.geometry(ndim), *sizes):
        padded = a.pads(n), b.pads(m)
        if (n is not None or "same" in (a.padding, b.padding)) and any(padded[1]) and not _plain(a):
            return None  # sites that lie outside the map between
        kernels.append((a.dilation * (a.kernel - 1), a.stride * b.dilation * (b.kernel - 1)))
        strides.append(a.stride * b.stride)
        pads.append((padded[0][0] + a.stride * padded[1][0], padded[0][1] + a.stride * padded[1][1]))
    if max(p + q for p, q in kernels) >= MOST:
        return None
    total = np.zeros([p + q + 1 for p, q in kernels])
    for tap in np.ndindex(*other.shape):
        start = [g.stride * h.dilation * t for g, h, t in zip(first.geometry(ndim), second.geometry(ndim), tap)]
        total[tuple(slice(s, s + p + 1, g.dilation) for s, (p, _), g in zip(start, kernels, first.geometry(ndim)))] += (
            other[tap] * one)
    if not total.any():
        return None
    return Conv(total.shape, stride=tuple(strides), padding=tuple(pads), groups="depthwise", weights=Fixed(total))


def _taps(layer: Layer, sizes: Sizes, channels: tuple[int, ...]) -> Any:
    """Weights of a filter that is the same for each channel, None for all else, as where channels are mixed."""
    if not isinstance(layer, Windowed) or layer.random or layer.transposed or layer.routes or layer.bias_variance(
            1, 1, len(sizes)):
        return None
    op = rule_of(layer).lower(layer, sizes, *channels)
    plain = all(g.border == "zeros" and not (g.ceil_mode or g.resize) for g in layer.geometry(len(sizes)))
    if (not plain or op.gate or op.equal or op.inside_only or op.fold or op.matrix is not None or op.fresh
            or any(taps.rows is not None for taps in op.taps)):
        return None
    total = np.full((1,) * len(sizes), op.gain)
    for taps in op.taps:
        total = total * taps.weights.reshape([n if axis in taps.axes else 1 for axis, n in enumerate(
            g.kernel for g in layer.geometry(len(sizes)))])
    return total
