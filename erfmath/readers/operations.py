"""What each operation of a record becomes: convolutions, pools, norms, resampling, reductions."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..layers import AvgPool, BatchNorm, Concat, Conv, Dropout, GlobalAvgPool, LayerNorm, Pad, Random, Scale, Upsample
from ..layers.base import Layer
from ..layers.weights import Fixed
from ..networks.network import Network
from .axes import BATCH, CHANNELS, Digit, merged, regrouped, whole
from .builder import Builder, Unsupported, View
from .records import Array, Record

__all__ = ["RULES", "affine", "rule"]

#: By operation: what makes a view of the record and its inputs.
RULES: dict[str, Callable[..., View]] = {}


def rule(*ops: str) -> Callable[[Callable[..., View]], Callable[..., View]]:
    """Enter a rule for `ops`: (builder, record, *inputs) -> view."""
    def enter(function: Callable[..., View]) -> Callable[..., View]:
        RULES.update(dict.fromkeys(ops, function))
        return function
    return enter


def _arranged(values: Sequence[Any], axes: Sequence[int], ndim: int, rest: Any) -> tuple[Any, ...]:
    """Values of tensor axes, by axis of the map."""
    return tuple(values[axes.index(axis)] if axis in axes else rest for axis in range(ndim))


def _tidy(pads: Sequence[tuple[int, int]]) -> Any:
    """Padding as one number, where it is one."""
    return pads[0][0] if len({n for pair in pads for n in pair}) == 1 else tuple(pads)


def _through(b: Builder, layer: Layer, view: View, path: str, channels: int | None = None) -> str:
    """The node of a layer with windows on a settled view."""
    place = b.places[view.node]
    space = tuple(axis.out(n) for axis, n in zip(layer.geometry(b.ndim), place.space))
    if min(space) < 1:
        raise ValueError(f"{path}: has no output site for its input of {place.space}")
    return b.emit(layer, [view.node], path, channels, space)


# ---------------------------------------------------------------------------------------------
# convolutions
# ---------------------------------------------------------------------------------------------

def _weighted(b: Builder, name: str, layer: Layer, array: Array, bias: Any) -> None:
    b.weights[name] = array
    if bias is not None:
        b.weights[f"{name}.bias"] = np.asarray(bias).reshape(-1)


def _spec(b: Builder, array: Array, fan_in: float) -> Any:
    """How the weights of such an array were drawn: their gain is measured."""
    gain = float(fan_in * np.mean(np.square(array, dtype=float)))
    return Random() if b.init == "he" or gain == 0 else Random(gain=gain)


@rule("conv")
def conv(b: Builder, r: Record, x: View, weights: Array, bias: Any = None) -> View:
    if not isinstance(weights, np.ndarray):
        raise Unsupported("convolution with computed weights")
    a, taps = r.attributes, weights.shape[2:]
    if len(x.layout) != len(taps) + 2:
        raise Unsupported(f"convolution over {len(taps)} axes of a tensor of shape {x.shape}")
    if not x.layout[1] and len(taps) == 1 and _is_channels(b, x, 2):
        return _over_channels(b, r, x, weights)
    view, axes = b.spatial(x)
    ndim, transposed = b.ndim, a.get("transposed", False)
    kernel = _arranged(taps, axes, ndim, 1)
    stride, dilation = (_arranged(a.get(key) or (1,) * len(taps), axes, ndim, 1) for key in ("stride", "dilation"))
    pads: Any = a.get("padding") or ((0, 0),) * len(taps)
    if pads != "same":
        pads = _tidy(_arranged([tuple(pair) for pair in pads], axes, ndim, (0, 0)))
    array = np.transpose(weights, (0, 1, *(2 + i for i in np.argsort(axes)))).reshape(*weights.shape[:2], *kernel)
    c_in, groups = b.places[view.node].channels, a.get("groups", 1)
    c_out = array.shape[1] * groups if transposed else array.shape[0]
    fan_in = math.prod(kernel) * c_in / groups / (math.prod(stride) if transposed else 1)
    fields: dict[str, Any] = {"stride": stride, "padding": pads, "groups": groups}
    if max(dilation) > 1:
        fields["dilation"] = dilation
    if transposed:
        extra = _arranged(a.get("output_padding") or (0,) * len(taps), axes, ndim, 0)
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
            node = _through(b, b.layer("conv", kernel, c_out, weights=spec, **fields), view, r.path, c_out)
            b.stand_in(node, f"{missing.what}, {mode}", "the same but at borders")
            _weighted(b, node, b.nodes[node][0], array, bias)
            return b.opened(view, axes, node)
    name = _through(b, layer, view, r.path, c_out)
    _weighted(b, name, layer, array, bias)
    if not array.any() and b.init != "weights":
        name = b.emit(Scale(0.0), [name], f"{name}.zero")
    return b.opened(view, axes, name)


def _is_channels(b: Builder, x: View, axis: int) -> bool:
    place = b.places[x.node]
    return x.layout[axis] == whole(CHANNELS, place.channels) and math.prod(place.space) == 1


def _over_channels(b: Builder, r: Record, x: View, weights: Array) -> View:
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
    name = b.emit(Conv((1,) * b.ndim, channels, weights=_spec(b, array, channels)), [view.node], r.path)
    b.weights[name] = array
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
    layer = Conv(kernel, len(weights), padding=0, weights=_spec(b, array, math.prod(array.shape[1:])))
    name = b.emit(layer, [x.node], r.path, len(weights), space)
    _weighted(b, name, layer, array, bias)
    return View(name, (*x.layout[:-1], whole(CHANNELS, len(weights))))


# ---------------------------------------------------------------------------------------------
# norms
# ---------------------------------------------------------------------------------------------

def affine(b: Builder, node: str, scale: Any, shift: Any, path: str) -> str:
    """A scale and a shift per channel: the root mean square of the scales as one factor."""
    if shift is not None and np.any(shift):
        b.note(f"{path}: constants per channel are added, which no layer holds; gradients do not see them, gates "
               "after them do")
    if scale is None:
        return node
    scale = np.asarray(scale, dtype=float).reshape(-1)
    factor = float(np.sqrt(np.mean(scale**2)))
    if (scale < 0).all():
        factor = -factor
    if np.ptp(scale) == 0:
        factor = float(scale[0])
    return node if factor == 1 else b.emit(Scale(factor), [node], path)


@rule("batch_norm")
def batch_norm(b: Builder, r: Record, x: View, scale: Any, shift: Any, mean: Any, var: Any) -> View:
    view, _ = b.spatial(x)
    channels = b.places[view.node].channels
    name = b.emit(BatchNorm(), [view.node], r.path)
    given = [np.ones(channels) if scale is None else scale, np.zeros(channels) if shift is None else shift,
             np.zeros(channels) if mean is None else mean, np.ones(channels) if var is None else var]
    eps = 0.0 if var is None else r.attributes.get("eps", 1e-5)
    b.weights[name] = np.stack([np.broadcast_to(np.asarray(v, dtype=float).reshape(-1), channels) for v in given]
                               ) + np.array([[0], [0], [0], [eps]])
    if b.init == "module":
        name = affine(b, name, scale, shift, f"{r.path}.scale")
    return View(name, view.layout)


def _normalised(b: Builder, r: Record, x: View, digits: Sequence[Digit], scale: Any, shift: Any) -> View:
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
        layer: Layer = LayerNorm() if centred else b.layer("rms_norm")
    elif not centred:
        raise Unsupported("an RMS norm over space")
    elif size == 1:
        layer = b.layer("instance_norm")
    else:
        layer = b.layer("group_norm", place.channels // size)
    name = b.emit(layer, [view.node], r.path)
    if b.init != "he":
        name = affine(b, name, scale, shift, f"{r.path}.scale")
    return View(name, view.layout)


@rule("layer_norm", "rms_norm")
def layer_norm(b: Builder, r: Record, x: View, scale: Any = None, shift: Any = None) -> View:
    x = b.plain(x)
    return _normalised(b, r, x, [d for axis in r.attributes["axes"] for d in x.layout[axis]], scale, shift)


@rule("group_norm")
def group_norm(b: Builder, r: Record, x: View, scale: Any = None, shift: Any = None) -> View:
    view, _ = b.spatial(x)
    channels, groups = b.places[view.node].channels, r.attributes["groups"]
    space = [digit for digits in view.layout[2:] for digit in digits]
    return _normalised(b, r, view, [*whole(CHANNELS, channels // groups), *space], scale, shift)


@rule("instance_norm")
def instance_norm(b: Builder, r: Record, x: View, scale: Any = None, shift: Any = None) -> View:
    x = b.plain(x)
    return _normalised(b, r, x, [digit for digits in x.layout[2:] for digit in digits], scale, shift)


# ---------------------------------------------------------------------------------------------
# pools and resampling
# ---------------------------------------------------------------------------------------------

@rule("max_pool", "avg_pool")
def pool(b: Builder, r: Record, x: View) -> View:
    view, axes = b.spatial(x)
    a, ndim = r.attributes, b.ndim
    kernel = _arranged(a["kernel"], axes, ndim, 1)
    stride = _arranged(a.get("stride") or a["kernel"], axes, ndim, 1)
    dilation = _arranged(a.get("dilation") or (1,) * len(axes), axes, ndim, 1)
    pads: Any = a.get("padding") or ((0, 0),) * len(axes)
    if pads != "same":
        pads = _tidy(_arranged([tuple(pair) for pair in pads], axes, ndim, (0, 0)))
    fields: dict[str, Any] = {"stride": stride, "padding": pads}
    if max(dilation) > 1:
        fields["dilation"] = dilation
    if r.op == "avg_pool" and not a.get("count_include_pad", True) and pads != 0:
        fields["count_include_pad"] = False
    layer = b.layer(r.op, kernel, **fields)
    space = b.places[view.node].space
    wanted = tuple(r.shape[2 + axes.index(axis)] if axis in axes else n for axis, n in enumerate(space))
    if a.get("ceil"):
        layer = _rounded_up(b, r, layer, space, wanted, kernel, fields)
    return b.opened(view, axes, _through(b, layer, view, r.path))


def _rounded_up(b: Builder, r: Record, layer: Layer, space: tuple[int, ...], wanted: tuple[int, ...], kernel: Any,
                fields: dict[str, Any]) -> Layer:
    """A pool whose last window may begin inside and end outside: as a rule, or as padding for this size of map."""
    geometry = layer.geometry(b.ndim)
    if tuple(axis.out(n) for axis, n in zip(geometry, space)) == wanted:
        return layer
    try:
        return b.layer(r.op, kernel, ceil_mode=True, **fields)
    except Unsupported:
        pairs = [axis.pads(n) for axis, n in zip(geometry, space)]
        if r.op == "avg_pool":
            if any(n for pair in pairs for n in pair) and fields.get("count_include_pad", True):
                raise
            fields["count_include_pad"] = False
        after = [(m - 1) * axis.stride + axis.extent - n - low
                 for axis, n, m, (low, _) in zip(geometry, space, wanted, pairs)]
        fields["padding"] = tuple((low, max(high, more)) for (low, high), more in zip(pairs, after))
        b.note(f"{r.path}: rounds its size up, which is padding for the size of image that was read")
        return b.layer(r.op, kernel, **fields)


@rule("adaptive_avg_pool", "adaptive_max_pool")
def adaptive(b: Builder, r: Record, x: View) -> View:
    view, axes = b.spatial(x)
    space = b.places[view.node].space
    size = tuple(space[axis] if n is None else n for axis, n in zip(axes, r.attributes["size"]))
    size = _arranged(size, axes, b.ndim, 1)
    if size == space:
        return view
    if r.op == "adaptive_avg_pool" and math.prod(size) == 1:
        return b.opened(view, axes, b.emit(GlobalAvgPool(), [view.node], r.path, None, size))
    if all(n % m == 0 for n, m in zip(space, size)):
        kernel = tuple(n // m for n, m in zip(space, size))
        return b.opened(view, axes, _through(b, b.layer(r.op.removeprefix("adaptive_"), kernel), view, r.path))
    name = b.emit(b.layer(r.op, size), [view.node], r.path, None, size)
    return b.opened(view, axes, name)


@rule("resize")
def resize(b: Builder, r: Record, x: View) -> View:
    view, axes = b.spatial(x)
    space, mode = b.places[view.node].space, r.attributes["mode"]
    size = _arranged(r.shape[2:], axes, b.ndim, 1)
    if size == space:
        return view
    corners = bool(r.attributes.get("align_corners")) and mode != "nearest"
    growing = all(m % n == 0 for n, m in zip(space, size))
    shrinking = all(n % m == 0 for n, m in zip(space, size))
    single = all(n == 1 or n == m for n, m in zip(space, size))
    if growing and (single or not corners and mode in ("nearest", "bilinear")):
        scale = tuple(m // n for n, m in zip(space, size))
        layer = b.layer("upsample", scale, "nearest" if single else mode)
    elif shrinking and mode == "nearest":
        layer = AvgPool((1,) * b.ndim, tuple(n // m for n, m in zip(space, size)))
    elif mode == "bilinear" and not corners and space == tuple(2 * m for m in size):
        layer = AvgPool((2,) * b.ndim)  # half-pixel centres lie in the middle of two sites
    else:
        layer = b.layer("upsample", None, mode, size=size, **({"align_corners": True} if corners else {}))
    return b.opened(view, axes, b.emit(layer, [view.node], r.path, None, size))


@rule("pad")
def pad(b: Builder, r: Record, x: View) -> View:
    pads, mode = [tuple(pair) for pair in r.attributes["pads"]], r.attributes.get("mode", "zeros")
    if not any(n for pair in pads for n in pair):
        return x
    if any(pads[1]) and not any(n for pair in (*pads[:1], *pads[2:]) for n in pair) and mode == "zeros":
        return _pad_channels(b, r, x, pads[1])
    first = 2 if not any(n for pair in pads[:2] for n in pair) else 1  # channels first, or last
    order = list(range(len(pads))) if first == 2 else [0, len(pads) - 1, *range(1, len(pads) - 1)]
    moved = permuted(x, order)
    view, axes = b.spatial(moved)
    sizes = _arranged([pads[axis] for axis in order[2:]], axes, b.ndim, (0, 0))
    if any(n for axis in order[:2] for n in pads[axis]):
        raise Unsupported("padding of batch and space together")
    if mode == "zeros" and r.attributes.get("value", 0) not in (0, None):
        b.note(f"{r.path}: pads with {r.attributes['value']}; gradients do not see it, gates near borders do")
    try:
        layer: Layer = Pad(_tidy(sizes)) if mode == "zeros" else b.layer("pad", _tidy(sizes), mode=mode)
        name = _through(b, layer, view, r.path)
    except Unsupported as missing:
        name = _through(b, Pad(_tidy(sizes)), view, r.path)
        b.stand_in(name, f"{missing.what}, {mode}", "the same but at borders")
    return permuted(b.opened(view, axes, name), list(np.argsort(order)))


def _pad_channels(b: Builder, r: Record, x: View, pads: tuple[int, ...]) -> View:
    """Channels of zeros: the map through a fixed matrix."""
    view, axes = b.spatial(x)
    channels = b.places[view.node].channels
    matrix = np.pad(np.eye(channels), (pads, (0, 0)))
    return b.opened(view, axes, _fixed(b, view, matrix, r.path))


def _fixed(b: Builder, view: View, matrix: Array, path: str) -> str:
    """The node of a fixed matrix over the channels."""
    if matrix.size > 2**22:
        raise Unsupported(f"a fixed matrix of {matrix.shape} over channels")
    layer = Conv((1,) * b.ndim, weights=Fixed(matrix.reshape(*matrix.shape, *(1,) * b.ndim)))
    return b.emit(layer, [view.node], path, len(matrix))


@rule("pixel_shuffle", "pixel_unshuffle")
def shuffle(b: Builder, r: Record, x: View) -> View:
    """By views: what is left of them settles as a shuffle."""
    factor, shape = r.attributes["factor"], x.shape
    count = len(shape) - 2
    if r.op == "pixel_shuffle":
        apart = (shape[0], shape[1] // factor**count, *(factor,) * count, *shape[2:])
        order = [0, 1, *(axis for i in range(count) for axis in (2 + count + i, 2 + i))]
    else:
        apart = (*shape[:2], *(n for size in shape[2:] for n in (size // factor, factor)))
        order = [0, 1, *(3 + 2 * i for i in range(count)), *(2 + 2 * i for i in range(count))]
    layout = regrouped(x.layout, apart)
    layout = None if layout is None else regrouped(tuple(layout[axis] for axis in order), r.shape)
    if layout is None:
        raise Unsupported(r.op.replace("_", " "))
    return b.settled(x.moved(layout))


# ---------------------------------------------------------------------------------------------
# axes
# ---------------------------------------------------------------------------------------------

def permuted(x: View, order: Sequence[int]) -> View:
    return x.moved(tuple(x.layout[axis] for axis in order))


@rule("permute")
def permute(b: Builder, r: Record, x: View) -> View:
    return permuted(x, r.attributes["order"])


@rule("reshape")
def reshape(b: Builder, r: Record, x: View) -> View:
    layout = regrouped(x.layout, r.shape)
    if layout is None:
        settled = b.settled(x)
        layout = regrouped(settled.layout, r.shape)
        x = settled
    if layout is None:
        raise Unsupported(f"a reshape of {x.shape} to {r.shape}")
    return x.moved(layout)


@rule("expand")
def expand(b: Builder, r: Record, x: View) -> View:
    """Sites and channels are laid out again where a map meets them."""
    return x.moved(((),) * (len(r.shape) - len(x.layout)) + x.layout)


@rule("identity")
def identity(b: Builder, r: Record, x: View) -> View:
    return x


@rule("dropout")
def dropout(b: Builder, r: Record, x: View) -> View:
    view = b.plain(x)
    return View(b.emit(Dropout(r.attributes["p"]), [view.node], r.path), view.layout)


@rule("slice")
def cut(b: Builder, r: Record, x: View) -> View:
    axis, start, stop, step = (r.attributes[key] for key in ("axis", "start", "stop", "step"))
    if (start, stop, step) == (0, x.shape[axis], 1):
        return x
    if not x.layout[axis] or x.layout[axis][0].axis == BATCH:
        raise Unsupported("a slice of the batch")
    if len(x.layout[axis]) > 1:
        x = b.settled(x)
    x = b.plain(x)
    (digit,), place = x.layout[axis], b.places[x.node]
    if digit.axis == CHANNELS:
        if step != 1 or digit.size * digit.step != place.channels:
            raise Unsupported("a slice of every so many channels")
        low, high = start * digit.step, stop * digit.step
        return _sliced(b, r, x, axis, digit, low, high)
    if digit.step != 1 or digit.size != place.space[digit.axis]:
        raise Unsupported("a slice of a view that mixes axes")
    node, space = x.node, list(place.space)
    crop = [(0, 0)] * b.ndim
    crop[digit.axis] = (-start, stop - digit.size)
    if any(crop[digit.axis]):
        space[digit.axis] = stop - start
        node = b.emit(Pad(tuple(crop)), [node], r.path, None, space)
    if step > 1:
        strides = tuple(step if i == digit.axis else 1 for i in range(b.ndim))
        space[digit.axis] = -(-(stop - start) // step)
        node = b.emit(AvgPool((1,) * b.ndim, strides), [node], r.path, None, space)
    layout = list(x.layout)
    layout[axis] = whole(digit.axis, space[digit.axis])
    return View(node, tuple(layout))


def _sliced(b: Builder, r: Record, x: View, axis: int, digit: Digit, low: int, high: int) -> View:
    place = b.places[x.node]
    layout = list(x.layout)
    layout[axis] = merged([Digit(CHANNELS, digit.step, (high - low) // digit.step)])
    try:
        node = b.emit(b.layer("slice", low, high), [x.node], r.path, high - low)
    except Unsupported as missing:
        node = b.emit(Conv((1,) * b.ndim, high - low, weights=Random(gain=1.0)), [x.node], r.path, high - low)
        b.stand_in(node, missing.what, f"channels {low} to {high} of {place.channels} as a mix of all")
    return View(node, tuple(layout))


@rule("select")
def select(b: Builder, r: Record, x: View) -> View:
    """One position along an axis, which goes."""
    axis, index = r.attributes["axis"], r.attributes["index"]
    part = cut(b, _with(r, axis=axis, start=index, stop=index + 1, step=1), x)
    return part.moved(part.layout[:axis] + part.layout[axis + 1:])


def _with(r: Record, **attributes: Any) -> Record:
    return dataclasses.replace(r, attributes=attributes)


@rule("stack")
def stack(b: Builder, r: Record, *parts: View) -> View:
    axis = r.attributes["axis"]
    return concat(b, r, *(part.moved((*part.layout[:axis], (), *part.layout[axis:])) for part in parts))


@rule("channel_shuffle")
def channel_shuffle(b: Builder, r: Record, x: View) -> View:
    groups, shape = r.attributes["groups"], x.shape
    layout = regrouped(x.layout, (shape[0], groups, shape[1] // groups, *shape[2:]))
    if layout is None:
        raise Unsupported("channel shuffle")
    layout = (layout[0], merged((*layout[2], *layout[1])), *layout[3:])
    return x.moved(layout)


@rule("matmul")
def matmul(b: Builder, r: Record, x: Any, y: Any) -> View:
    if isinstance(x, View) and isinstance(y, np.ndarray) and y.ndim == 2:
        return linear(b, r, x, y.T)
    raise Unsupported("attention (a product of two computed matrices)")


@rule("concat")
def concat(b: Builder, r: Record, *parts: View) -> View:
    axis = r.attributes["axis"]
    views = [b.settled(part) for part in parts]
    if len(views) == 1:
        return views[0]
    kinds = {digits[0].axis for view in views if (digits := view.layout[axis])}
    wide = max(views, key=lambda view: math.prod(b.places[view.node].space))
    counts = [b.places[view.node].channels for view in views]
    stacked = not kinds and len(set(counts)) == 1 and max(counts) > 1
    if kinds - {CHANNELS} or not kinds and not stacked and max(counts) > 1:
        raise Unsupported("a concatenation in space")
    nodes = meeting(b, views, r.path)
    total = sum(counts)
    layout = list(wide.layout)
    if stacked:  # several maps as one more axis: the slow digit of the channels
        layout[axis] = (Digit(CHANNELS, counts[0], len(views)),)
    else:
        layout[axis] = whole(CHANNELS, total)
    return View(b.emit(Concat(), nodes, r.path, total), tuple(layout))


def spread(b: Builder, view: View, space: tuple[int, ...], path: str) -> str:
    """A node with the sites of `space`: one site is laid out over all."""
    have = b.places[view.node].space
    if have == space:
        return view.node
    if any(n not in (1, m) for n, m in zip(have, space)):
        raise Unsupported(f"maps of {have} and {space} sites together")
    scale = tuple(m // n for n, m in zip(have, space))
    return b.emit(b.layer("upsample", scale), [view.node], f"{path}.spread", None, space)


@functools.lru_cache(maxsize=1)
def global_meets_map() -> bool:
    """Whether a network may lay a globally pooled map out over a map that it meets."""
    try:
        Network([GlobalAvgPool(), Upsample(4), Concat()], [(-1,), (0,), (-1, 1)], 2).shapes(4)
    except ValueError:
        return False
    return True


def meeting(b: Builder, views: Sequence[View], path: str) -> list[str]:
    """Nodes of views that meet, all with the sites of the widest.

    A globally pooled branch stands in as a map where networks cannot hold it.
    """
    wide = max(views, key=lambda view: math.prod(b.places[view.node].space))
    space, nodes = b.places[wide.node].space, []
    for view in views:
        if b.places[view.node].space == space and not (view.node in b.pooled and not global_meets_map()):
            nodes.append(view.node)
        elif view.node not in b.pooled or global_meets_map():
            nodes.append(spread(b, view, space, path))
        else:
            channels = b.places[view.node].channels
            mix = Conv((1,) * b.ndim, channels, weights=Random(gain=1.0))
            node = b.emit(mix, [wide.node], f"{path}.spread", channels)
            b.stand_in(node, "a global pool laid out over the map again", "a mix of the map's channels instead")
            nodes.append(node)
    return nodes


# ---------------------------------------------------------------------------------------------
# reductions
# ---------------------------------------------------------------------------------------------

@rule("reduce")
def reduce(b: Builder, r: Record, x: View) -> View:
    function, keep = r.attributes["function"], r.attributes["keep"]
    axes = {axis % len(x.layout) for axis in r.attributes["axes"]}
    if function not in ("mean", "sum", "max"):
        raise Unsupported(f"{function} over axes {sorted(axes)} of {x.shape}")
    x = b.plain(x)
    digits = [digit for axis in sorted(axes) for digit in x.layout[axis]]
    if any(digit.axis >= 0 and digit.size < b.places[x.node].space[digit.axis] for digit in digits):
        before = len(digits)
        x = b.settled(x)
        digits = [digit for axis in sorted(axes) for digit in x.layout[axis]]
        if before == len(digits) and any(digit.axis >= 0 and digit.size < b.places[x.node].space[digit.axis]
                                         for digit in digits):
            raise Unsupported(f"{function} over a part of the map")
    node, place = x.node, b.places[x.node]
    rest = [digit for i, group in enumerate(x.layout) if i not in axes for digit in group]
    over = {digit.axis for digit in digits}
    sites = {axis for axis in over if axis >= 0}
    if BATCH in over:
        raise Unsupported(f"{function} over the batch")
    if sites:
        space = tuple(1 if axis in sites else n for axis, n in enumerate(place.space))
        kernel = tuple(n if axis in sites else 1 for axis, n in enumerate(place.space))
        if function != "max" and all(axis in sites or n == 1 for axis, n in enumerate(place.space)):
            layer: Layer = GlobalAvgPool()
        else:
            layer = b.layer("max_pool" if function == "max" else "avg_pool", kernel)
        node = b.emit(layer, [node], r.path, None, space)
        if function == "sum":
            node = b.emit(Scale(float(math.prod(kernel))), [node], r.path)
    if CHANNELS in over:
        node, change = _reduced_channels(b, r, View(node, x.layout), [d for d in digits if d.axis == CHANNELS], rest)
    else:
        change = {}
    kept = [() if axis in axes else merged(change.get(d, d) for d in group) for axis, group in enumerate(x.layout)]
    return View(node, tuple(group for axis, group in enumerate(kept) if keep or axis not in axes))


def _reduced_channels(b: Builder, r: Record, view: View, digits: Sequence[Digit], rest: Sequence[Digit]
                      ) -> tuple[str, dict[Digit, Digit]]:
    """Channels added up, all or a digit of them, by a fixed matrix."""
    channels, function = b.places[view.node].channels, r.attributes["function"]
    if function == "max":
        raise Unsupported("maximum over channels")
    left = sorted((d for d in rest if d.axis == CHANNELS), key=lambda d: -d.step)
    step, change = 1, {}
    for digit in reversed(left):
        change[digit] = Digit(CHANNELS, step, digit.size)
        step *= digit.size
    index, place = np.arange(channels), np.zeros(channels, dtype=int)
    for digit, fresh in change.items():
        place += index // digit.step % digit.size * fresh.step
    matrix = np.zeros((step, channels))
    matrix[place, index] = 1 if function == "sum" else step / channels
    return _fixed(b, view, matrix, r.path), change


@rule("softmax")
def softmax(b: Builder, r: Record, x: View) -> View:
    """Part of the channels against part."""
    x = b.plain(x)
    (digit, *more), place = x.layout[r.attributes["axis"]] or (None,), b.places[x.node]
    if more or digit is None or digit.axis != CHANNELS or digit.size * digit.step != place.channels:
        raise Unsupported("softmax over space" if digit and digit.axis >= 0 else "softmax")
    return View(b.emit(b.layer("softmax", digit.size), [x.node], r.path), x.layout)
