"""Convolutions, linear layers and norms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..layers import BatchNorm, Conv, GroupNorm, InstanceNorm, LayerNorm, RMSNorm, Random, Scale
from ..layers.base import Layer
from ..layers.weights import Fixed
from .axes import BATCH, CHANNELS, Digit, merged, whole
from .builder import Builder, Unsupported, View
from .records import Array, Record, mean_square
from .rules import arranged, rule, through, tidy

__all__ = ["linear", "normalised"]

#: Of variances of order one; larger ones are told.
MOST_EPSILON = 1e-4


# ---------------------------------------------------------------------------------------------
# convolutions
# ---------------------------------------------------------------------------------------------

def _weighted(b: Builder, name: str, layer: Layer, array: Array, bias: Any) -> None:
    b.weights[name] = array
    if bias is not None:
        b.weights[f"{name}.bias"] = np.asarray(bias).reshape(-1)


def _spec(b: Builder, array: Array, fan_in: float) -> Any:
    """How the weights of such an array were drawn: their gain is measured."""
    gain = fan_in * mean_square(array)
    return Random() if b.init == "he" or gain == 0 else Random(gain=gain)


def _bias(b: Builder, bias: Any) -> dict[str, Any]:
    """The variance of biases as the module has them, as a field."""
    size = 0.0 if bias is None or b.init != "module" else float(np.mean(np.square(bias, dtype=float)))
    return {"bias": size} if size and b.has("conv", "bias") else {}


@rule("conv")
def conv(b: Builder, r: Record, x: View, weights: Array, bias: Any = None) -> View:
    if not isinstance(weights, np.ndarray):
        raise Unsupported("convolution with computed weights")
    a, taps = r.attributes, weights.shape[2:]
    if len(x.layout) != len(taps) + 2:
        raise Unsupported(f"convolution over {len(taps)} axes of a tensor of shape {x.shape}")
    if not x.layout[1] and len(taps) == 1 and _is_channels(b, x, 2):
        return _over_channels(b, r, x, weights, bias)
    view, axes = b.spatial(x)
    ndim, transposed = b.ndim, a.get("transposed", False)
    kernel = arranged(taps, axes, ndim, 1)
    stride, dilation = (arranged(a.get(key) or (1,) * len(taps), axes, ndim, 1) for key in ("stride", "dilation"))
    pads: Any = a.get("padding") or ((0, 0),) * len(taps)
    if pads != "same":
        pads = tidy(arranged([tuple(pair) for pair in pads], axes, ndim, (0, 0)))
    array = np.transpose(weights, (0, 1, *(2 + i for i in np.argsort(axes)))).reshape(*weights.shape[:2], *kernel)
    c_in, groups = b.places[view.node].channels, a.get("groups", 1)
    c_out = array.shape[1] * groups if transposed else array.shape[0]
    fan_in = math.prod(kernel) * c_in / groups / (math.prod(stride) if transposed else 1)
    fields: dict[str, Any] = {"stride": stride, "padding": pads, "groups": groups, **_bias(b, bias)}
    if max(dilation) > 1:
        fields["dilation"] = dilation
    if transposed:
        extra = arranged(a.get("output_padding") or (0,) * len(taps), axes, ndim, 0)
        if pads != "same" and any(extra):
            pairs = [(pads, pads)] * ndim if isinstance(pads, int) else pads
            fields["padding"] = tuple((p, q - e) for (p, q), e in zip(pairs, extra))
        layer = b.layer("conv_transpose", kernel, c_out, weights=_spec(b, array, fan_in), **fields)
    else:
        if a.get("mode", "zeros") != "zeros":
            fields["padding_mode"] = a["mode"]
        same_filter = groups == c_in == c_out and max(kernel) > 1 and bool((array == array[:1]).all())
        spec: Any = Fixed(array[0, 0]) if same_filter and array.any() else _spec(b, array, fan_in)
        try:
            layer = b.layer("conv", kernel, c_out, weights=spec, **fields)
        except Unsupported as missing:
            mode = fields.pop("padding_mode", None)
            if mode is None:
                raise
            node = through(b, b.layer("conv", kernel, c_out, weights=spec, **fields), view, r.path, c_out)
            b.stand_in(node, f"{missing.what}, {mode}", "the same but at borders")
            _weighted(b, node, b.nodes[node][0], array, bias)
            return b.opened(view, axes, node)
    name = through(b, layer, view, r.path, c_out)
    _weighted(b, name, layer, array, bias)
    if not array.any() and b.init != "weights":
        name = b.emit(Scale(0.0), [name], f"{name}.zero")
    return b.opened(view, axes, name)


def _is_channels(b: Builder, x: View, axis: int) -> bool:
    place = b.places[x.node]
    return x.layout[axis] == whole(CHANNELS, place.channels) and math.prod(place.space) == 1


def _over_channels(b: Builder, r: Record, x: View, weights: Array, bias: Any) -> View:
    """A convolution along the channels of one site: a full matrix with the taps on its diagonals."""
    view = b.settled(x)
    channels, (pads,) = b.places[view.node].channels, r.attributes["padding"]
    if weights.shape[:2] != (1, 1) or r.attributes["stride"] != [1] and r.attributes["stride"] != (1,):
        raise Unsupported("convolution along the channels")
    matrix = np.zeros((channels, channels))
    for tap, value in enumerate(weights[0, 0]):
        shift = tap * (r.attributes.get("dilation") or (1,))[0] - pads[0]
        matrix += value * np.eye(channels, k=shift)
    array = matrix.reshape(channels, channels, *(1,) * b.ndim)
    bias = None if bias is None else np.repeat(bias, channels)
    layer = Conv((1,) * b.ndim, channels, weights=_spec(b, array, channels), **_bias(b, bias))
    name = b.emit(layer, [view.node], r.path)
    _weighted(b, name, layer, array, bias)
    return View(name, view.layout)


@rule("linear")
def linear(b: Builder, r: Record, x: View, weights: Array, bias: Any = None) -> View:
    """A contraction of the last axis: of the channels, or of a whole map that was made flat."""
    if not isinstance(weights, np.ndarray) or not isinstance(x, View):
        raise Unsupported("product of two computed matrices")
    x = b.plain(x)
    place = b.places[x.node]
    last = x.layout[-1]
    if last == whole(CHANNELS, place.channels):
        kernel, array = (1,) * b.ndim, weights
        space = place.space
    else:
        if any(digits and digits[0].axis > BATCH for digits in x.layout[:-1]):
            view = b.settled(x)
            if view.layout[-1] != whole(CHANNELS, b.places[view.node].channels):
                raise Unsupported("a linear layer over space")
            return linear(b, r, view, weights, bias)
        sizes = {CHANNELS: place.channels, **dict(enumerate(place.space))}
        if any(digit.step != 1 or digit.size != sizes[digit.axis] for digit in last):
            raise Unsupported("a linear layer over a tensor that mixes axes")
        axes = [digit.axis for digit in last]
        array = weights.reshape(len(weights), *(digit.size for digit in last))
        order = [1 + axes.index(axis) for axis in (CHANNELS, *range(b.ndim)) if axis in axes]
        array, kernel, space = array.transpose(0, *order), place.space, (1,) * b.ndim
    array = array.reshape(len(weights), place.channels, *kernel)
    layer = Conv(kernel, len(weights), padding=0, weights=_spec(b, array, math.prod(array.shape[1:])), **_bias(b, bias))
    name = b.emit(layer, [x.node], r.path, len(weights), space)
    _weighted(b, name, layer, array, bias)
    return View(name, (*x.layout[:-1], whole(CHANNELS, len(weights))))


# ---------------------------------------------------------------------------------------------
# norms
# ---------------------------------------------------------------------------------------------

@rule("batch_norm")
def batch_norm(b: Builder, r: Record, x: View, scale: Any, shift: Any, mean: Any, var: Any) -> View:
    view, _ = b.spatial(x)
    channels = b.places[view.node].channels
    layer, scale_left = _affine_norm(b, BatchNorm(), scale, shift)
    name = b.emit(layer, [view.node], r.path)
    if r.attributes.get("frozen", True) and var is not None:
        given = [1 if scale is None else scale, 0 if shift is None else shift, mean, var]
        b.weights[name] = np.stack([np.broadcast_to(np.asarray(v, dtype=float).reshape(-1), channels) for v in given])
        b.weights[name][3] += r.attributes.get("eps", 1e-5)
    if name not in b.weights:
        _without_epsilon(b, r)
    if b.init == "module" or b.init == "weights" and name not in b.weights:  # in training: statistics of the data
        name = b.affine(name, *scale_left, f"{r.path}.affine")
    return View(name, view.layout)


def _without_epsilon(b: Builder, r: Record) -> None:
    if b.init == "weights" and r.attributes.get("eps", 0) > MOST_EPSILON:
        b.note(f"norms add {r.attributes['eps']:.3g} to their variances, which layers with statistics of their own do "
               "not")


def _affine_norm(b: Builder, layer: Any, scale: Any, shift: Any) -> tuple[Layer, tuple[Any, Any]]:
    """A norm with the variances of its scales and shifts, and what of both is left for a node of its own."""
    scales = np.ones(1) if scale is None else np.asarray(scale, dtype=float)
    size, shifts = float(np.mean(scales**2)), 0.0 if shift is None else float(np.mean(np.square(shift, dtype=float)))
    fields = {"scale_var": max(size - 1, 0.0), **({"shift_var": shifts} if shifts else {})}
    plain = np.ptp(scales) == 0 == shifts
    if b.init != "module" or plain or size < 1 - 1e-9 or not all(b.has(layer.op, field) for field in fields):
        return layer, (scale, shift)
    return dataclasses.replace(layer, **fields), (None, None)


def normalised(b: Builder, r: Record, x: View, digits: Sequence[Digit], scale: Any, shift: Any) -> View:
    """A norm over the positions that `digits` run over."""
    view = b.plain(x)
    place = b.places[view.node]
    over = merged(sorted(digits, key=lambda digit: (digit.axis, -digit.step)))
    channels = [digit for digit in over if digit.axis == CHANNELS]
    space = {digit.axis: digit.size for digit in over if digit.axis >= 0 and digit.step == 1}
    sites = {axis: n for axis, n in enumerate(place.space) if n > 1}
    if any(digit.axis < CHANNELS for digit in over) or len(channels) > 1 or space and space != sites:
        raise Unsupported("a norm over a part of the map")
    size = channels[0].size if channels else 1
    if channels and channels[0].step != 1:
        raise Unsupported("a norm over channels that are no group")
    centred = r.attributes.get("centred", True)
    if size == place.channels and not space and (sites or size > 1):
        layer: Layer = LayerNorm() if centred else RMSNorm()
    elif not centred:
        raise Unsupported("an RMS norm over space")
    elif size == 1:
        layer = InstanceNorm()
    else:
        layer = GroupNorm(place.channels // size)
    scale, shift = (None if v is None else np.asarray(v, dtype=float).reshape(-1) for v in (scale, shift))
    scale, shift = (v[:1] if v is not None and v.size != place.channels and np.ptp(v) == 0 else v
                    for v in (scale, shift))
    arrays = [np.broadcast_to(float(i == 0), 1) if v is None else v for i, v in enumerate((scale, shift))]
    if any(v.size not in (1, place.channels) for v in arrays):
        raise Unsupported("a norm with scales and shifts site by site")
    layer, left = _affine_norm(b, layer, scale, shift)
    name = b.emit(layer, [view.node], r.path)
    _without_epsilon(b, r)
    rows = 1 + b.has(layer.op, "shift_var")
    if b.init == "weights" and arrays[0].any() and not any(v.any() for v in arrays[rows:]):
        held = np.stack([np.broadcast_to(v, place.channels) for v in arrays[:rows]])
        b.weights[name] = held if rows > 1 else held[0]
    elif b.init != "he":
        name = b.affine(name, *left, f"{r.path}.affine")
    return View(name, view.layout)


@rule("layer_norm", "rms_norm")
def layer_norm(b: Builder, r: Record, x: View, scale: Any = None, shift: Any = None) -> View:
    x = b.plain(x)
    return normalised(b, r, x, [d for axis in r.attributes["axes"] for d in x.layout[axis]], scale, shift)


@rule("group_norm")
def group_norm(b: Builder, r: Record, x: View, scale: Any = None, shift: Any = None) -> View:
    view, _ = b.spatial(x)
    channels, groups = b.places[view.node].channels, r.attributes["groups"]
    space = [digit for digits in view.layout[2:] for digit in digits]
    return normalised(b, r, view, [*whole(CHANNELS, channels // groups), *space], scale, shift)


@rule("instance_norm")
def instance_norm(b: Builder, r: Record, x: View, scale: Any = None, shift: Any = None) -> View:
    x = b.plain(x)
    return normalised(b, r, x, [digit for digits in x.layout[2:] for digit in digits], scale, shift)


@rule("local_response_norm")
def local_response_norm(b: Builder, r: Record, x: View) -> View:
    """Of small values: a factor."""
    x = b.plain(x)
    node = b.emit(Scale(r.attributes["factor"]), [x.node], r.path)
    a = r.attributes
    b.stand_in(node, "local response normalisation", "as for small values; of mean square q gradients are "
               f"(1 + {a['relative']:.3g} q)^-{a['beta']:.3g} of that")
    return View(node, x.layout)
