"""Two layers in a row that are one: a table by their kinds, each entry of which says what layer they make, if any.

`simplify` brings networks to the form that has nothing to join.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...layers import (Activation, AvgPool, BlurPool, Conv, ConvTranspose, Dropout, GlobalAvgPool, Layer, MaxPool, Pad,
                       PixelShuffle, PixelUnshuffle, Scale, Slice, Upsample)
from ...layers.base import Windowed
from ...layers.geometry import SITE, window_of_windows
from ...layers.weights import Fixed, Random
from ..memory import remembered
from .base import rule_of
from .parallel import of_fan_in
from .single import Sizes, equal_bins, scale
from .traits import absorbs, copies, plain, slope_below

__all__ = ["Row", "as_one", "fewer_copies", "related", "taps_of"]

#: Taps along an axis of a filter that stands for two in a row, at most.
MOST = 32
#: Gains of one layer that stands for two lie between this and one over it.
LIMIT = 1e30


class Row(NamedTuple):
    """Two layers in a row.

    Attributes
    ----------
    first, second : Layer
        The layer below, and the one that reads it.
    sizes : tuple of tuple
        Of the maps that they read.
    channels : tuple of int
        Of what they read, and of what comes out.
    gated : bool
        Whether the network has gates: filters are joined then, so that what gates meet is the same.
    ndim : int
        Number of axes.
    """

    first: Any
    second: Any
    sizes: tuple[Sizes, Sizes]
    channels: tuple[int, int, int]
    gated: bool
    ndim: int


Join = Callable[[Row], "Layer | None"]
_TABLE: list[tuple[tuple[type, ...], tuple[type, ...], Join]] = []


def joins(*kinds: type | tuple[type, ...]) -> Callable[[Join], Join]:
    """Enter a function that makes one layer of two in a row of these kinds."""
    first, second = (kind if isinstance(kind, tuple) else (kind,) for kind in kinds)

    def entered(join: Join) -> Join:
        _TABLE.append((first, second, join))
        return join
    return entered


@remembered(1024)
def related(first: type[Layer], second: type[Layer]) -> tuple[Join, ...]:
    """What may make one layer of two in a row of these kinds."""
    return tuple(join for below, above, join in _TABLE if issubclass(first, below) and issubclass(second, above))


def as_one(row: Row) -> Layer | None:
    """One layer that does what two in a row do, None where there is none."""
    for join in related(type(row.first), type(row.second)):
        one = join(row)
        if one is not None:
            return one
    return None


# ---------------------------------------------------------------------------------------------
# factors, functions, noise
# ---------------------------------------------------------------------------------------------

@joins(Scale, Layer)
def _scaled(row: Row) -> Layer | None:
    """A layer that reads a multiple of its input as one that reads this, which also puts out what that would."""
    layer, factor = row.second, row.first.factor
    if isinstance(layer, Scale):
        return scale(factor * layer.factor)
    if rule_of(layer).normalises and layer.statistics and factor > 0:
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


@joins((Conv, ConvTranspose), Scale)
def _multiple(row: Row) -> Layer | None:
    """A multiple of what random weights make as what larger ones make."""
    return _louder(row.first, row.second.factor)


@joins(Activation, Activation)
def _functions(row: Row) -> Layer | None:
    """Rectifiers as a leaky one, and a function that is the same without the one before it."""
    below, then = slope_below(row.first), slope_below(row.second)
    if below is not None and then is not None:
        slope = below * (then if below > 0 else 1.0)
        return Activation("leaky_relu", slope=slope) if slope else Activation("relu")
    return row.second if absorbs(row.second, row.first) else None


@joins(Dropout, Dropout)
def _twice_dropped(row: Row) -> Layer | None:
    return Dropout(1 - (1 - row.first.p) * (1 - row.second.p))


# ---------------------------------------------------------------------------------------------
# pads, copies of sites, bins
# ---------------------------------------------------------------------------------------------

@joins(Pad, Pad)
def _pads(row: Row) -> Layer | None:
    if not row.first.mode == row.second.mode == "zeros":
        return None
    pads = [(a.pads(None), b.pads(None)) for a, b in zip(*(pad.geometry(row.ndim) for pad in row[:2]))]
    if any(p < 0 < q for one, other in pads for p, q in zip(one, other)):
        return None  # cropped, and then zeros instead
    return Pad(tuple((one[0] + other[0], one[1] + other[1]) for one, other in pads))


@joins(Pad, (AvgPool, BlurPool, Conv))
def _padded(row: Row) -> Layer | None:
    """A window on what has been padded as one with this padding."""
    pad, window, ndim = row.first, row.second, row.ndim
    mean = isinstance(window, AvgPool) and window.count_include_pad and not window.ceil_mode
    if not row.gated or pad.mode != "zeros" or not (mean or isinstance(window, (BlurPool, Conv))):
        return None
    axes = window.geometry(ndim)
    around = [g.pads(None) for g in pad.geometry(ndim)]
    if min(map(min, around)) < 0 or any(isinstance(g.padding, str) or g.border != "zeros" for g in axes):
        return None
    try:
        return replace(window, padding=tuple((p + a, q + b) for (p, q), (a, b) in zip(
            around, (g.pads(None) for g in axes))))
    except ValueError:  # windows that would lie outside
        return None


@joins(Pad, GlobalAvgPool)
def _padded_site(row: Row) -> Layer | None:
    """The mean of one site and of zeros around it as a factor."""
    if row.first.mode != "zeros" or set(row.sizes[0]) != {1}:
        return None
    return Scale(1 / math.prod(row.sizes[1]))


@joins(Pad, Conv)
def _bordered(row: Row) -> Layer | None:
    """A convolution without padding of what has been padded by parts of the map as one with this padding."""
    pad, conv, ndim = row.first, row.second, row.ndim
    axes = pad.geometry(ndim)
    if not row.gated or pad.mode == "zeros" or min(min(g.pads(None)) for g in axes) < 0 or any(
            isinstance(g.padding, str) or any(g.pads(None)) for g in conv.geometry(ndim)):
        return None
    return replace(conv, padding=tuple(g.pads(None) for g in axes), padding_mode=pad.mode)


@joins(Upsample, (Upsample, MaxPool, AvgPool, GlobalAvgPool))
def _of_copies(row: Row) -> Layer | None:
    """A layer that reads copies of sites as one that reads these."""
    up, second, ndim = row.first, row.second, row.ndim
    if not (copies(up) and up.by_taps):
        return None
    scales = [g.stride for g in up.geometry(ndim)]
    if copies(second) and second.by_taps:
        return Upsample(tuple(s * g.stride for s, g in zip(scales, second.geometry(ndim))))
    if isinstance(second, (MaxPool, AvgPool)) and all(
            g.extent <= g.stride and s % g.stride == 0 and g.padding == (0, 0)
            for g, s in zip(second.geometry(ndim), scales)):
        return Upsample(tuple(s // g.stride for g, s in zip(second.geometry(ndim), scales)))
    fewer = fewer_copies(up, second, ndim)
    if fewer is not None and all(g.stride == 1 for g in fewer[0].geometry(ndim)):
        return fewer[1]
    return second if isinstance(second, GlobalAvgPool) else None


def fewer_copies(up: Any, pool: Any, ndim: int) -> tuple[Upsample, Layer] | None:
    """The same of fewer copies of sites, where windows begin and steps end between copies of different sites."""
    if not (copies(up) and up.by_taps) or not isinstance(pool, (MaxPool, AvgPool)) or pool.ceil_mode:
        return None
    axes = list(zip(up.geometry(ndim), pool.geometry(ndim)))
    if any(g.dilation > 1 or isinstance(g.padding, str) for _, g in axes):
        return None
    shared = [math.gcd(each.stride, g.stride, *g.pads(None), *(() if pool.routes else (g.kernel,)))
              for each, g in axes]
    if max(shared) == 1:
        return None
    return Upsample(tuple(each.stride // d for (each, _), d in zip(axes, shared))), replace(
        pool, kernel_size=tuple(-(-g.kernel // d) for (_, g), d in zip(axes, shared)),
        stride=tuple(g.stride // d for (_, g), d in zip(axes, shared)),
        padding=tuple((p // d, q // d) for (_, g), d in zip(axes, shared) for p, q in (g.pads(None),)))


@joins(AvgPool, AvgPool)
def _bins_of_bins(row: Row) -> Layer | None:
    """Means of means of sites side by side."""
    first, second, ndim = row.first, row.second, row.ndim
    axes = list(zip(first.geometry(ndim), second.geometry(ndim)))
    if first.ceil_mode or second.ceil_mode or any(
            a.kernel != a.stride or isinstance(g.padding, str) or any(g.pads(None)) for a, b in axes for g in (a, b)):
        return None
    return AvgPool(tuple(a.kernel * b.kernel for a, b in axes), tuple(a.stride * b.stride for a, b in axes))


@joins(MaxPool, MaxPool)
def _largest_of_largest(row: Row) -> Layer | None:
    """The largest of the largest."""
    first, second, (sizes, between) = row.first, row.second, row.sizes
    axes = list(zip(first.geometry(row.ndim), second.geometry(row.ndim), sizes, between))
    if second.single_tap(row.ndim) or any(g.ceil_mode or isinstance(g.padding, str) for axis in axes for g in axis[:2]):
        return None  # one that only leaves sites out may be written as another layer
    whole = [g for axis in axes if (g := window_of_windows(*axis)) is not None]
    return None if len(whole) < row.ndim else MaxPool(
        tuple(g.kernel for g in whole), tuple(g.stride for g in whole), tuple(g.pads(None) for g in whole))


@joins(AvgPool, GlobalAvgPool)
def _bins_of_all(row: Row) -> Layer | None:
    """The mean of means of all sites."""
    whole = not row.first.ceil_mode and all(
        g.kernel == g.stride and g.padding == (0, 0) and n is not None and n % g.kernel == 0
        for g, n in zip(row.first.geometry(row.ndim), row.sizes[0]))
    return row.second if whole else None


# ---------------------------------------------------------------------------------------------
# sites and channels
# ---------------------------------------------------------------------------------------------

@joins(Conv, Slice)
def _fewer_channels(row: Row) -> Layer | None:
    """Some of the channels that a random convolution makes."""
    conv, part, weights = row.first, row.second, row.first.weights
    if not isinstance(weights, Random) or conv.groups != 1:
        return None
    return replace(of_fan_in(conv, row.channels[0]), channels=part.stop - part.start)


@joins(Slice, Slice)
def _part_of_part(row: Row) -> Layer | None:
    """Channels of channels."""
    first, second = row.first, row.second
    return Slice(first.start + second.start, first.start + second.stop)


@joins(PixelUnshuffle, Conv)
def _unshuffled(row: Row) -> Layer | None:
    """A convolution of sites that have been brought to channels as one with a larger kernel and stride."""
    (first, conv), ndim, channels = row[:2], row.ndim, row.channels
    weights, r = conv.weights, [g.stride for g in first.geometry(ndim)]
    if not isinstance(weights, Random) or conv.groups != 1 or conv.bias:
        return None
    if any(n is not None and n % s for n, s in zip(row.sizes[0], r)):  # sites are left out
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


@joins(Conv, PixelShuffle)
def _shuffled(row: Row) -> Layer | None:
    """A random convolution whose channels are brought to sites as a transposed one."""
    (conv, second), ndim, channels = row[:2], row.ndim, row.channels
    weights, r = conv.weights, [g.stride for g in second.geometry(ndim)]
    if not isinstance(weights, Random) or conv.groups != 1 or conv.bias:
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


@joins(ConvTranspose, PixelUnshuffle)
def _gathered(row: Row) -> Layer | None:
    """A random transposed convolution whose sites are brought to channels as a convolution."""
    (conv, second), ndim = row[:2], row.ndim
    weights, r = conv.weights, [g.stride for g in second.geometry(ndim)]
    axes = conv.geometry(ndim)
    if not isinstance(weights, Random) or conv.groups != 1 or conv.bias or (
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


# ---------------------------------------------------------------------------------------------
# windows
# ---------------------------------------------------------------------------------------------

@joins(ConvTranspose, Conv)
def _spread(row: Row) -> Layer | None:
    """A random convolution of a map with zeros between its sites as a transposed one."""
    (first, conv), ndim = row[:2], row.ndim
    weights, taps = conv.weights, first.weights
    if not isinstance(taps, Fixed) or taps.array.size != 1 or taps.array.item() != 1 or first.bias or (
            first.output_padding):
        return None
    if not isinstance(weights, Random) or weights.fan != "in":
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


@joins(Windowed, Windowed)
def _strided(row: Row) -> Layer | None:
    """A random convolution of which the next layer picks sites, as one with a larger stride."""
    (conv, pick), ndim = row[:2], row.ndim
    steps = pick.geometry(ndim)
    if not conv.random or conv.transposed or not pick.single_tap(ndim) or pick.takes_weights or pick.transposed:
        return None
    if any(g._replace(stride=1) != SITE for g in steps) or all(g.stride == 1 for g in steps):
        return None
    geometry = conv.geometry(ndim)
    return replace(conv, stride=tuple(a.stride * b.stride for a, b in zip(geometry, steps)),
                   padding=[g.pads(n) for g, n in zip(geometry, row.sizes[0])])


@joins(Windowed, (Windowed, GlobalAvgPool))
def _filter(row: Row) -> Layer | None:
    """Two filters of each channel as one."""
    (first, second), sizes, channels, ndim = row[:2], row.sizes, row.channels, row.ndim
    if not row.gated:
        return None
    if isinstance(second, GlobalAvgPool):
        second = equal_bins(second, sizes[1], ndim)
    one, other = taps_of(first, sizes[0], channels[:2]), taps_of(second, sizes[1], channels[1:])
    if one is None or other is None:
        return None
    kernels, strides, pads = [], [], []
    for a, b, n, m in zip(first.geometry(ndim), second.geometry(ndim), *sizes):
        padded = a.pads(n), b.pads(m)
        if (n is not None or "same" in (a.padding, b.padding)) and any(padded[1]) and not plain(a):
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


def taps_of(layer: Layer, sizes: Sizes, channels: tuple[int, ...]) -> Any:
    """Weights of a filter that is the same for each channel, None for all else, as where channels are mixed."""
    if not isinstance(layer, Windowed) or layer.random or layer.transposed or layer.routes or layer.bias_variance(
            1, 1, len(sizes)):
        return None
    op = rule_of(layer).lower(layer, sizes, *channels)
    zeros = all(g.border == "zeros" and not (g.ceil_mode or g.resize) for g in layer.geometry(len(sizes)))
    if (not zeros or op.gate or op.equal or op.inside_only or op.fold or op.matrix is not None or op.fresh
            or any(taps.rows is not None for taps in op.taps)):
        return None
    total = np.full((1,) * len(sizes), op.gain)
    for taps in op.taps:
        total = total * taps.weights.reshape([n if axis in taps.axes else 1 for axis, n in enumerate(
            g.kernel for g in layer.geometry(len(sizes)))])
    return total
