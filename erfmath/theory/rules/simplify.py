"""Layers that do nothing, and layers in a row that are one: networks are brought to the form that has neither.

What these are is told by the specs alone, so that one function written in several ways becomes one network.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...layers import (Activation, AdaptiveAvgPool, AvgPool, BlurPool, Conv, ConvTranspose, Dropout, GlobalAvgPool,
                       Layer, MaxPool, Pad, PixelShuffle, PixelUnshuffle, Scale, Upsample)
from ...layers.base import Windowed
from ...layers.geometry import SITE, AxisGeometry
from ...layers.weights import Fixed, Random
from .base import rule_of
from .order import readers_of

__all__ = ["simplified"]

#: Functions that are never below zero, and those that leave alone what is not.
POSITIVE, RECTIFIERS = ("relu", "relu6", "sigmoid", "hardsigmoid", "softplus"), ("relu", "leaky_relu", "prelu")
RELU = Activation("relu")
#: Taps along an axis of a filter that stands for two in a row, at most.
MOST = 32
#: Layers that do the same with each channel.
OF_CHANNELS = (Activation, MaxPool, AvgPool, BlurPool)
#: Layers some of which are one with another kind of them.
WINDOWS = (Windowed, Pad, Upsample, GlobalAvgPool, AdaptiveAvgPool)
Sizes = tuple[Any, ...]


def simplified(names: list[str], layers: list[Layer], sources: list[tuple[int, ...]], sizes: list[Any],
               channels: list[int], last: int, given: Mapping[str, Any]) -> list[int]:
    """Rewire what reads a node that does nothing, and replace pairs of layers by one.

    Parameters
    ----------
    names, layers, sources, sizes, channels
        By position of the node; `layers`, `sources` and `sizes` are changed.
    last : int
        The map that the field is on, which stays.
    given : mapping from str to array
        Given weights, whose nodes stay.

    Returns
    -------
    list of int
        The nodes that are left.
    """
    ndim, top = len(sizes[-1]), len(layers) - 1
    gated, moved = any(layer.is_gate for layer in layers), any(layer.moves_channels for layer in layers)
    readers = readers_of(sources)
    same: dict[int, int] = {}        # nodes that do nothing, and what they hand on
    origin: dict[int, Any] = {}      # of channels that are only moved: the node and the channels that they come from
    positive: set[int] = set()       # nodes that are never below zero, and lose gradients where they are zero
    constant: dict[int, float] = {}  # nodes of one value, whatever comes in
    steady = frozenset(name.removesuffix(".bias") for name in given)

    def hand_on(i: int, j: int) -> None:
        """What reads `i` reads `j` from now on, and `i` no longer does."""
        same[i] = j
        readers[j] += readers[i] - (j in sources[i])

    unread = {i for i in range(len(layers)) if not readers[i]}
    for i, layer in enumerate(layers):
        inputs = sources[i]
        if same:
            inputs = sources[i] = tuple(same.get(j, j) for j in inputs)
        if names[i] in steady or i == last:
            if i > last and _dead(names[i], layer, given, channels[inputs[0]], channels[i], ndim):
                constant[i] = 0.0
            continue
        j = inputs[0]
        if constant or getattr(layer, "factor", 1) == 0:
            layer, inputs = _with_constants(i, layers, sources, sizes, channels, constant)
            j = inputs[0]
        if len(inputs) == 1:
            if isinstance(layer, ConvTranspose):
                layer = layers[i] = _forwards(layer, ndim)
            if isinstance(layer, Conv) and not layer.random:
                layer = layers[i] = _trimmed(layer, ndim)
            if isinstance(layer, AdaptiveAvgPool):
                layer = layers[i] = _equal_bins(layer, sizes[j], ndim)
            if isinstance(layer, Activation) and _slope(layer) == 0:
                layer = layers[i] = RELU
            if i != top and _nothing(layer, ndim):
                hand_on(i, j)
                continue
            if j > last and readers[j] == 1 and names[j] not in steady:
                k = sources[j][0]
                one = _as_one(layers[j], layer, (sizes[k], sizes[j]), (channels[k], channels[j], channels[i]), gated,
                              ndim)
                if one is not None:
                    layer = layers[i] = one
                    same[j] = j = sources[j][0]
                    inputs = sources[i] = (j,)
                    if i != top and _nothing(layer, ndim):
                        hand_on(i, j)
                        continue
            if isinstance(layer, Activation) and j in positive and layer.function in RECTIFIERS and i != top:
                hand_on(i, j)
                continue
        if gated and layer.statistics and j > last and layers[j].sums and readers[j] == 1:
            terms = sources[j]  # a norm tells what the channels of both together are like
            if len(set(terms)) == len(terms) > 1 and min(terms) > last and all(
                    readers[k] == 1 and names[k] not in steady and sources[k] == sources[terms[0]] for k in terms):
                whole = _one_convolution([layers[k] for k in terms], ndim)
                if whole is not None:
                    layers[j], sources[j] = whole, sources[terms[0]]
                    same.update((k, sources[k][0]) for k in terms)
        if gated and _positive(layer, inputs, positive):
            positive.add(i)
        if moved and layer.joins_channels:
            layer, inputs = _whole_again(i, layers, sources, channels, origin, readers)
            j = inputs[0]
        if moved:
            found = _unmoved(i, layer, layers, sources, channels, origin, ndim)
            if found is not None and i != top and sizes[found] == sizes[i]:
                hand_on(i, found)
                continue
        if len(inputs) == 1 and isinstance(layer, PixelShuffle) and i != top and j > last:
            below = layers[j]
            if isinstance(below, PixelUnshuffle) and below.scale == layer.scale and sizes[sources[j][0]] == sizes[i]:
                hand_on(i, sources[j][0])
    after = readers_of(sources) if same or moved else readers
    return [i for i in range(len(layers)) if i not in same and (after[i] or i in unread or i in (last, top))]


def _dead(name: str, layer: Layer, given: Mapping[str, Any], c_in: int, c_out: int, ndim: int) -> bool:
    """Whether given weights make a node zero, as those at the end of a residual branch often do at initialisation."""
    if name not in given or np.any(given.get(f"{name}.bias", getattr(layer, "bias", 0.0))):
        return False
    array = np.asarray(given[name])
    if np.any(array[:2] if layer.statistics else array):  # scales and shifts
        return False
    try:
        rule_of(layer).given(layer, array, ndim, c_in, c_out)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return True


def _with_constants(i: int, layers: list[Layer], sources: list[tuple[int, ...]], sizes: list[Any], channels: list[int],
                    constant: dict[int, float]) -> tuple[Layer, tuple[int, ...]]:
    """Note whether a node is constant; take constant factors, and terms of zero, out of products and sums."""
    layer, inputs = layers[i], sources[i]
    if len(inputs) == 1:
        below, factor = constant.get(inputs[0]), getattr(layer, "factor", None)
        if factor == 0:
            constant[i] = 0.0
        elif below is not None:
            phi = rule_of(layer).function(layer)
            if phi is not None:
                constant[i] = float(phi.value(np.array([below]))[0])
            elif factor is not None or layer.is_identity:
                constant[i] = below * (1.0 if factor is None else factor)
        return layer, inputs
    rest = tuple(j for j in inputs if j not in constant)
    alike = all(sizes[j] == sizes[i] and channels[j] == channels[i] for j in rest)
    if len(rest) == 1 and alike and layer.multiplies:
        layers[i] = Scale(math.prod(constant[j] for j in inputs if j in constant))
        sources[i] = rest
    elif rest and alike and layer.sums and not any(constant.get(j) for j in inputs):
        sources[i] = rest
    return layers[i], sources[i]


def _nothing(layer: Layer, ndim: int) -> bool:
    """Whether a layer hands on its only input as it is."""
    if layer.is_identity or layer.many_inputs:
        return True
    if isinstance(layer, (MaxPool, AvgPool, BlurPool)):
        return all(g.kernel == g.stride == 1 and g.padding in ((0, 0), "same") for g in layer.geometry(ndim))
    if isinstance(layer, (Conv, ConvTranspose)) and isinstance(layer.weights, Fixed) and not layer.bias:
        array = layer.weights.array
        return (array.size == 1 and layer.weights.per_channel(ndim) and array.item() == 1
                and all(_plain(g) for g in layer.geometry(ndim)))
    return False


def _positive(layer: Layer, inputs: tuple[int, ...], positive: set[int]) -> bool:
    """Whether a layer puts out nothing below zero, and no gradient passes where it puts out zero."""
    if isinstance(layer, Activation):
        return layer.function in POSITIVE
    if not positive or not positive.issuperset(inputs):
        return False
    if isinstance(layer, Scale):
        return layer.factor > 0
    return (layer.many_inputs or layer.draws_noise or layer.moves_channels
            or isinstance(layer, (MaxPool, AvgPool, BlurPool, Pad)) or (isinstance(layer, Upsample) and layer.by_taps))


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


def _equal_bins(layer: Layer, sizes: Sizes, ndim: int, whole: bool = False) -> Layer:
    """A pool to bins of one size as one of this kernel and stride; where `whole`, also one of the whole map."""
    axes = layer.geometry(ndim)
    counts = [1 if g.padding == "whole" else g.resize.size if g.resize else None for g in axes]
    if None in sizes or None in counts or (set(counts) == {1} and not whole):
        return layer
    if any(n % count for n, count in zip(sizes, counts)):
        return layer
    kernel = tuple(n // count for n, count in zip(sizes, counts))
    return AvgPool(kernel, kernel)


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


def _as_one(first: Layer, second: Layer, sizes: tuple[Sizes, Sizes], channels: tuple[int, int, int], gated: bool,
            ndim: int) -> Layer | None:
    """One layer that does what two in a row do, None where there is none; `sizes` and `channels` are of what they read
    and, the channels, of what comes out, too.
    """
    if type(first) is not type(second) and not (isinstance(first, WINDOWS) and isinstance(second, WINDOWS)):
        return None
    if isinstance(first, Pad) and isinstance(second, Pad) and first.mode == second.mode == "zeros":
        pads = [(a.pads(None), b.pads(None)) for a, b in zip(first.geometry(ndim), second.geometry(ndim))]
        if any(p < 0 < q for one, other in pads for p, q in zip(one, other)):
            return None  # cropped, and then zeros instead
        return Pad(tuple((one[0] + other[0], one[1] + other[1]) for one, other in pads))
    if isinstance(first, Dropout) and isinstance(second, Dropout):
        return Dropout(1 - (1 - first.p) * (1 - second.p))
    if isinstance(first, Activation) and isinstance(second, Activation):
        below, then = _slope(first), _slope(second)
        if below is None or then is None:
            return None
        slope = below * (then if below > 0 else 1.0)
        return Activation("leaky_relu", slope=slope) if slope else RELU
    if first.statistics and first.statistics == second.statistics and _unnamed(first) == _unnamed(second) and not (
            getattr(first, "scale_var", 0) or getattr(first, "shift_var", 0)) and first.op != "grn":
        return second  # what is normalised stays as it is
    if isinstance(first, Upsample) and first.mode == "nearest" and isinstance(second, (MaxPool, AvgPool)):
        scales = [g.stride for g in first.geometry(ndim)] if first.by_taps else []
        if scales and all(g.extent <= s == g.stride and g.padding == (0, 0)
                          for g, s in zip(second.geometry(ndim), scales)):
            return Pad(0)
    if gated and isinstance(first, Pad) and first.mode == "zeros":
        padded = _padded(first, second, ndim)
        if padded is not None:
            return padded
    return _strided(first, second, sizes[0], ndim) or (
        _filter(first, second, sizes, channels, ndim) if gated else None)


def _padded(pad: Pad, window: Layer, ndim: int) -> Layer | None:
    """A filter of what has been padded as one with this padding."""
    mean = isinstance(window, AvgPool) and window.count_include_pad and not window.ceil_mode
    if not (mean or isinstance(window, BlurPool) or (isinstance(window, Conv) and isinstance(window.weights, Fixed))):
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


def _one_convolution(layers: list[Layer], ndim: int) -> Layer | None:
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


def _unnamed(layer: Any) -> Layer:
    """A layer whatever it is called."""
    unnamed: Layer = replace(layer, name=None)
    return unnamed


def _slope(layer: Activation) -> float | None:
    """Of a rectifier, below zero."""
    return {"relu": 0.0, "leaky_relu": layer.slope}.get(layer.function)


def _filter(first: Layer, second: Layer, sizes: tuple[Sizes, Sizes], channels: tuple[int, int, int], ndim: int
            ) -> Layer | None:
    """Two filters of each channel as one."""
    if isinstance(second, (GlobalAvgPool, AdaptiveAvgPool)):
        second = _equal_bins(second, sizes[1], ndim, True)
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


def _whole_again(i: int, layers: list[Layer], sources: list[tuple[int, ...]], channels: list[int],
                 origin: dict[int, Any], readers: list[int]) -> tuple[Layer, tuple[int, ...]]:
    """All channels of a node in their order, each part through the same activation or pool: that of the node."""
    inputs, gate = sources[i], layers[sources[i][0]] if sources[i][0] >= 0 else None
    if not isinstance(gate, OF_CHANNELS) or any(
            j < 0 or readers[j] != 1 or not isinstance(layers[j], OF_CHANNELS) or _unnamed(layers[j]) != _unnamed(gate)
            for j in inputs):
        return layers[i], inputs
    base = _all_of([_origin(k, channels, origin) for k, in (sources[j] for j in inputs)], channels)
    if base is None:
        return layers[i], inputs
    layers[i], sources[i] = _unnamed(gate), (base,)
    readers[base] += 1
    return layers[i], sources[i]


def _origin(j: int, channels: list[int], origin: dict[int, Any]) -> Any:
    """For each channel of a node, the node and the channel that it is, moved about; shape (2, channels)."""
    return origin[j] if j in origin else np.stack([np.full(channels[j], j), np.arange(channels[j])])


def _all_of(parts: list[Any], channels: list[int]) -> int | None:
    """The node of which these are all channels in their order, if they are that."""
    bases, reads = np.concatenate(parts, axis=1)
    base = int(bases[0])
    return base if (bases == base).all() and np.array_equal(reads, np.arange(channels[base])) else None


def _unmoved(i: int, layer: Layer, layers: list[Layer], sources: list[tuple[int, ...]], channels: list[int],
             origin: dict[int, Any], ndim: int) -> int | None:
    """The node of which this one is all channels in their order, moved about and back."""
    parts = [_origin(j, channels, origin) for j in sources[i]]
    if layer.moves_channels:
        parts = [np.concatenate([layer.channel_reads([row], channels[i], ndim) for row in parts[0]])]
    elif not layer.joins_channels:
        return None
    origin[i] = np.concatenate(parts, axis=1)
    return _all_of(parts, channels)
