"""Axes and channels: views, slices, concatenations, reductions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..layers import Add, AvgPool, Concat, Dropout, GlobalAvgPool, Pad, Scale, Slice, Softmax, Upsample
from ..layers.base import Layer
from .axes import BATCH, CHANNELS, Digit, merged, regrouped, whole
from .builder import Builder, Unsupported, View
from .records import Record
from .rules import fixed, permuted, rule
from .statistics import statistic_of
from .weighted import linear

__all__ = ["ATTENTION", "meeting"]

#: Parts of the channels that are added up as such, not by a matrix.
MOST_PARTS = 8
ATTENTION = "attention (a product of two computed matrices)"


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
    layout = list(x.layout)
    layout[axis] = merged([Digit(CHANNELS, digit.step, (high - low) // digit.step)])
    return View(b.emit(Slice(low, high), [x.node], r.path, high - low), tuple(layout))


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
    raise Unsupported(ATTENTION)


@rule("concat")
def concat(b: Builder, r: Record, *parts: View) -> View:
    axis = r.attributes["axis"]
    if not all(isinstance(part, View) for part in parts):
        raise Unsupported("a concatenation with an array of the model's own, as a class token")
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
    return b.emit(Upsample(scale), [view.node], f"{path}.spread", None, space)


def meeting(b: Builder, views: Sequence[View], path: str) -> list[str]:
    """Nodes of views that meet: that of a global pool as it is, others laid out over the sites of all."""
    space = tuple(map(max, *(b.places[view.node].space for view in views)))
    return [view.node if view.node in b.pooled else spread(b, view, space, path) for view in views]


# ---------------------------------------------------------------------------------------------
# reductions
# ---------------------------------------------------------------------------------------------

@rule("reduce")
def reduce(b: Builder, r: Record, x: View) -> View:
    function, keep = r.attributes["function"], r.attributes["keep"]
    axes = {axis % len(x.layout) for axis in r.attributes["axes"]}
    digits = [digit for axis in sorted(axes) for digit in x.layout[axis]]
    statistic = statistic_of(function, x, digits)
    if statistic is not None and function in ("var", "norm"):
        function = "mean"  # its node is read by nothing, if a norm comes of it
    if function not in ("mean", "sum", "max"):
        raise Unsupported(f"{function} over axes {sorted(axes)} of {x.shape}")
    x = b.plain(x)
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
        node, change = _summed_channels(b, r, function, View(node, x.layout), rest)
    else:
        change = {}
    kept = [() if axis in axes else merged(change.get(d, d) for d in group) for axis, group in enumerate(x.layout)]
    if function != r.attributes["function"]:
        b.stand_in(node, f"{r.attributes['function']} over axes of a map", "the mean")
    return View(node, tuple(group for axis, group in enumerate(kept) if keep or axis not in axes), statistic=statistic)


def _summed_channels(b: Builder, r: Record, function: str, view: View, rest: Sequence[Digit]
                     ) -> tuple[str, dict[Digit, Digit]]:
    """Channels added up, all or a digit of them, by a fixed matrix."""
    channels = b.places[view.node].channels
    if function == "max":
        raise Unsupported("maximum over channels")
    left = sorted((d for d in rest if d.axis == CHANNELS), key=lambda d: -d.step)
    step, change = 1, {}
    for digit in reversed(left):
        change[digit] = Digit(CHANNELS, step, digit.size)
        step *= digit.size
    parts = channels // step
    if all(digit == fresh for digit, fresh in change.items()) and 1 < parts <= MOST_PARTS:  # one part after the other
        cuts = [b.emit(Slice(i * step, (i + 1) * step), [view.node], f"{r.path}.part", step) for i in range(parts)]
        name = b.emit(Add(), cuts, r.path)
        return (name if function == "sum" else b.emit(Scale(1 / parts), [name], f"{r.path}.mean")), change
    index, place = np.arange(channels), np.zeros(channels, dtype=int)
    for digit, fresh in change.items():
        place += index // digit.step % digit.size * fresh.step
    matrix = np.zeros((step, channels))
    matrix[place, index] = 1 if function == "sum" else step / channels
    return fixed(b, view, matrix, r.path), change


@rule("softmax")
def softmax(b: Builder, r: Record, x: View) -> View:
    """Part of the channels against part."""
    x = b.plain(x)
    (digit, *more), place = x.layout[r.attributes["axis"]] or (None,), b.places[x.node]
    if more or digit is None or digit.axis != CHANNELS or digit.size * digit.step != place.channels:
        raise Unsupported("softmax over space" if digit and digit.axis >= 0 else "softmax")
    return View(b.emit(Softmax(digit.size), [x.node], r.path), x.layout)
