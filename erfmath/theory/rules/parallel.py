"""Convolutions of one map that are summed, or whose channels are joined, as one convolution."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np

from ...layers import Conv, Layer, Slice
from ...layers.weights import Random
from .traits import like

__all__ = ["beside", "of_fan_in", "one_convolution"]


def of_fan_in(layer: Any, channels: int) -> Any:
    """A layer of random weights whose variance is that over the incoming `channels`; others as they are."""
    weights = getattr(layer, "weights", None)
    if not isinstance(weights, Random) or weights.fan == "in":
        return layer
    gain = weights.gain * channels / weights.fan_channels(channels, layer.channels or channels)
    return replace(layer, weights=replace(weights, gain=gain, fan="in"))


def one_convolution(layers: list[Layer], channels: int, ndim: int) -> Layer | None:
    """The sum of convolutions of one map of `channels` with random weights as one, whose taps have all variances."""
    layers = [of_fan_in(one, channels) for one in layers]
    first: Any = layers[0]
    if any(not isinstance(one, Conv) or not isinstance(one.weights, Random) or one.groups != 1 or one.bias
           or one.channels != first.channels or one.weights.law != first.weights.law
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


def beside(one: Layer, other: Layer, channels: tuple[int, int, int]) -> Layer | None:
    """Convolutions of one map with independent weights side by side as one; `channels` of the map, and of the two.

    Or parts of it that follow on one another.
    """
    if isinstance(one, Slice) and isinstance(other, Slice) and one.stop == other.start:
        return Slice(one.start, other.stop)
    one, other = (of_fan_in(layer, channels[0]) for layer in (one, other))
    weights = getattr(one, "weights", None)
    if not isinstance(one, Conv) or not isinstance(other, Conv) or one.groups != 1 or not isinstance(
            weights, Random) or other.weights != weights:
        return None
    return replace(one, channels=sum(channels[1:]), name=None) if like(one, other, "channels") else None
