"""Pools, resampling, padding: what works on windows of sites, channel by channel."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..layers import AvgPool, GlobalAvgPool, Pad
from ..layers.base import Layer
from .axes import CHANNELS, regrouped
from .builder import Builder, Unsupported, View
from .records import Record
from .rules import arranged, fixed, permuted, rule, through, tidy

__all__: list[str] = []


@rule("max_pool", "avg_pool")
def pool(b: Builder, r: Record, x: View) -> View:
    view, axes = b.spatial(x)
    a, ndim = r.attributes, b.ndim
    kernel = arranged(a["kernel"], axes, ndim, 1)
    stride = arranged(a.get("stride") or a["kernel"], axes, ndim, 1)
    dilation = arranged(a.get("dilation") or (1,) * len(axes), axes, ndim, 1)
    pads: Any = a.get("padding") or ((0, 0),) * len(axes)
    if pads != "same":
        pads = tidy(arranged([tuple(pair) for pair in pads], axes, ndim, (0, 0)))
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
    return b.opened(view, axes, through(b, layer, view, r.path))


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
    size = arranged(size, axes, b.ndim, 1)
    if size == space:
        return view
    if r.op == "adaptive_avg_pool" and math.prod(size) == 1:
        return b.opened(view, axes, b.emit(GlobalAvgPool(), [view.node], r.path, None, size))
    if all(n % m == 0 for n, m in zip(space, size)):
        kernel = tuple(n // m for n, m in zip(space, size))
        return b.opened(view, axes, through(b, b.layer(r.op.removeprefix("adaptive_"), kernel), view, r.path))
    name = b.emit(b.layer(r.op, size), [view.node], r.path, None, size)
    return b.opened(view, axes, name)


@rule("resize")
def resize(b: Builder, r: Record, x: View) -> View:
    """By the coordinates of the sites that are read, along each axis: as a layer has them, or as several."""
    if x.shape[:2] != tuple(r.shape[:2]):
        raise Unsupported("resizing of batch or channels")
    view, axes = b.spatial(x)
    space, mode, given = b.places[view.node].space, r.attributes["mode"], r.attributes.get("coordinates")
    size = arranged(r.shape[2:], axes, b.ndim, 1)
    if size == space:
        return view
    corners = bool(r.attributes.get("align_corners")) and mode != "nearest"
    if given is not None:
        node, corners = _at(b, r, view.node, arranged(given, axes, b.ndim, np.zeros(1)), size)
        view, space = b.opened(view, axes, node), b.places[node].space
    if size == space:
        return view
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


def _at(b: Builder, r: Record, node: str, given: Sequence[Any], size: tuple[int, ...]) -> tuple[str, bool]:
    """The node from which a layer makes the map, or the map itself, and whether the layer aligns corners.

    `given` are the coordinates, in sites of the input, that each output site reads, rounded where that is a copy.
    """
    mode, space = r.attributes["mode"], b.places[node].space
    for corners in (False, True) if mode != "nearest" else (False,):
        if all(_same(at, _coordinates(mode, n, m, corners), n, mode) for at, n, m in zip(given, space, size)):
            return node, corners
    after, many, wanted = [(0, 0)] * b.ndim, list(space), list(space)
    for axis, (at, n, m) in enumerate(zip(given, space, size)):
        at = np.clip(at, 0, n - 1) + 0.0
        sites = np.round(at)
        if np.abs(at - sites).max() < 1e-4 and m <= n and not np.diff(sites, 2).any():  # every so many
            at = sites
            node = _every(b, r, node, axis, int(at[0]), int(at[1] - at[0]) if m > 1 else n, m)
            wanted[axis] = many[axis] = m
            continue
        if mode == "bilinear" and m < n and _between(at):  # in the middle of two
            step = int(np.round(at[1] - at[0])) if m > 1 else n
            node = _pooled(b, r, node, axis, int(at[0]), step, m)
            wanted[axis] = many[axis] = m
            continue
        factor, shift = m // n, None
        if mode == "nearest" and m % n == 0:  # copies, moved along
            shift = next((d for d in range(1 - factor, factor) if np.array_equal(
                at, np.clip((np.arange(m) - d) // factor, 0, n - 1))), None)
            wanted[axis] = m
        elif mode == "bilinear" and m % n == 0 and _same(at, np.arange(m) / factor, n, mode):
            shift, wanted[axis] = 0, factor * (n - 1) + 1  # from the first site on, the last one repeated
        if shift is None:
            words = ", ".join(f"{v:.3g}" for v in at[:3])
            raise Unsupported(f"resizing of {n} sites to {m}, {mode}, that reads sites {words}, ...")
        after[axis] = (shift, m - wanted[axis] - shift)
    if tuple(wanted) != tuple(many):
        corners = mode == "bilinear"
        scale = tuple(m // n for n, m in zip(many, wanted))
        layer = b.layer("upsample", None, mode, size=tuple(wanted), align_corners=True) if corners else b.layer(
            "upsample", scale, mode)
        node = b.emit(layer, [node], f"{r.path}.grown", None, wanted)
    if any(any(pair) for pair in after):
        node = _moved(b, node, after, r.path)
    return node, False


def _between(at: Any) -> bool:
    """Whether coordinates lie in the middle of two sites, a whole number of sites apart."""
    steps = np.diff(at)
    return bool(abs(at[0] % 1 - 0.5) < 1e-4 and (not steps.size or np.ptp(steps) < 1e-4 and (
        abs(steps[0] - np.round(steps[0])) < 1e-5)))


def _pooled(b: Builder, r: Record, node: str, axis: int, first: int, step: int, count: int) -> str:
    """Means of sites first and first + 1, first + step and the next, ... of an axis."""
    space, crop = list(b.places[node].space), [(0, 0)] * b.ndim
    crop[axis] = (-first, first + (count - 1) * step + 2 - space[axis])
    if any(crop[axis]):
        node = _moved(b, node, crop, r.path)
    space[axis] = count
    kernel, stride = (tuple(n if i == axis else 1 for i in range(b.ndim)) for n in (2, step))
    return b.emit(AvgPool(kernel, stride), [node], r.path, None, space)


def _coordinates(mode: str, n: int, m: int, corners: bool) -> Any:
    """Those of `Upsample`."""
    i = np.arange(m)
    if mode == "nearest":
        return i * n // m
    return i * (n - 1) / max(m - 1, 1) if corners else (i + 0.5) * n / m - 0.5


def _same(one: Any, other: Any, n: int, mode: str) -> bool:
    """Whether coordinates read the same of n sites; beyond the ends that is the last one but for cubic kernels."""
    if mode != "bicubic":
        one, other = np.clip(one, 0, n - 1), np.clip(other, 0, n - 1)
    return bool(np.abs(one - other).max() < 1e-4)


def _every(b: Builder, r: Record, node: str, axis: int, first: int, step: int, count: int) -> str:
    """Sites first, first + step, ... of an axis."""
    space = list(b.places[node].space)
    crop = [(0, 0)] * b.ndim
    crop[axis] = (-first, first + (count - 1) * step + 1 - space[axis])
    if any(crop[axis]):
        node = _moved(b, node, crop, r.path)
    if step > 1 and count > 1:
        space[axis] = count
        node = b.emit(AvgPool((1,) * b.ndim, tuple(step if i == axis else 1 for i in range(b.ndim))), [node], r.path,
                      None, space)
    return node


def _moved(b: Builder, node: str, pads: Sequence[tuple[int, int]], path: str) -> str:
    """Sites repeated at one end of an axis and left out at the other."""
    space = tuple(n + sum(pair) for n, pair in zip(b.places[node].space, pads))
    return b.emit(b.layer("pad", tuple(pads), mode="replicate"), [node], path, None, space)


@rule("pad")
def pad(b: Builder, r: Record, x: View) -> View:
    pads, mode = [tuple(pair) for pair in r.attributes["pads"]], r.attributes.get("mode", "zeros")
    if not any(n for pair in pads for n in pair):
        return x
    if len(pads) == 2 and not any(d.axis == CHANNELS for digits in x.layout for d in digits):
        x = x.moved((x.layout[0], (), *x.layout[1:]))  # sound as batch and samples, without an axis of channels
        return _without_axis(pad(b, dataclasses.replace(r, attributes={**r.attributes, "pads": [
            pads[0], (0, 0), *pads[1:]]}), x), 1)
    channels = not x.layout[1] or x.layout[1][0].axis == CHANNELS
    if channels and any(pads[1]) and not any(n for pair in (*pads[:1], *pads[2:]) for n in pair) and mode == "zeros":
        return _pad_channels(b, r, x, pads[1])
    first = 2 if not any(n for pair in pads[:2] for n in pair) else 1  # channels first, or last
    order = list(range(len(pads))) if first == 2 else [0, len(pads) - 1, *range(1, len(pads) - 1)]
    moved = permuted(x, order)
    view, axes = b.spatial(moved)
    sizes = arranged([pads[axis] for axis in order[2:]], axes, b.ndim, (0, 0))
    if any(n for axis in order[:2] for n in pads[axis]):
        raise Unsupported("padding of batch and space together")
    if mode == "zeros" and r.attributes.get("value", 0) not in (0, None):
        b.note(f"{r.path}: pads with {r.attributes['value']}; gradients do not see it, gates near borders do")
    try:
        layer: Layer = Pad(tidy(sizes)) if mode == "zeros" else b.layer("pad", tidy(sizes), mode=mode)
        name = through(b, layer, view, r.path)
    except Unsupported as missing:
        name = through(b, Pad(tidy(sizes)), view, r.path)
        b.stand_in(name, f"{missing.what}, {mode}", "the same but at borders")
    return permuted(b.opened(view, axes, name), list(np.argsort(order)))


def _without_axis(x: View, axis: int) -> View:
    """The tensor without an axis of one position."""
    return x.moved((*x.layout[:axis], *x.layout[axis + 1:]))


def _pad_channels(b: Builder, r: Record, x: View, pads: tuple[int, ...]) -> View:
    """Channels of zeros: the map through a fixed matrix."""
    view, axes = b.spatial(x)
    channels = b.places[view.node].channels
    matrix = np.pad(np.eye(channels), (pads, (0, 0)))
    return b.opened(view, axes, fixed(b, view, matrix, r.path))


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
