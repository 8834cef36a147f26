"""Axes and channels: views, slices, concatenations, reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..layers import Activation, Add, AvgPool, Concat, Dropout, GlobalAvgPool, Pad, Scale, Slice, Softmax, Upsample
from ..layers.base import Layer
from .axes import BATCH, CHANNELS, Digit, merged, regrouped, whole
from .builder import Builder, Unsupported, View
from .records import Record
from .rules import RULES, fixed, permuted, rule, with_attributes
from .statistics import statistic_of
from .weighted import linear

__all__ = ["ATTENTION", "cut", "extreme", "meeting"]

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
        if step != 1:
            return RULES["take"](b, with_attributes(r, axis=axis, places=list(range(start, stop, step))), x)
        if digit.size * digit.step != place.channels:
            raise Unsupported("a slice of a view that mixes channels")
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
    part = cut(b, with_attributes(r, axis=axis, start=index, stop=index + 1, step=1), x)
    return part.moved(part.layout[:axis] + part.layout[axis + 1:])


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
    """A map by a matrix from the right, or from the left."""
    left = isinstance(x, np.ndarray)
    matrix, view = (x, y) if left else (y, x)
    if not isinstance(matrix, np.ndarray) or not isinstance(view, View) or matrix.ndim < 2 or (
            matrix.size != matrix.shape[-1] * matrix.shape[-2]):
        raise Unsupported(ATTENTION)
    matrix = matrix.reshape(matrix.shape[-2:])
    view = view.moved(((),) * (len(r.shape) - len(view.layout)) + view.layout)
    if not left:
        return linear(b, r, view, matrix.T)
    order = [*range(len(r.shape) - 2), len(r.shape) - 1, len(r.shape) - 2]
    return permuted(linear(b, r, permuted(view, order), matrix), order)


@rule("einsum")
def einsum(b: Builder, r: Record, *parts: Any) -> View:
    """A contraction of one axis of a map with a matrix."""
    words, out = r.attributes.get("inputs", ()), r.attributes.get("output", "")
    found = {isinstance(part, View): (part, word) for part, word in zip(parts, words)}
    if len(parts) != 2 or len(found) != 2 or not isinstance(found[False][0], np.ndarray):
        raise Unsupported(ATTENTION if all(isinstance(part, View) for part in parts) else "einsum")
    (view, axes), (matrix, pair) = found[True], found[False]
    inner = [letter for letter in pair if letter in axes and letter not in out]
    if len(pair) != 2 or len(inner) != 1 or len({*axes}) != len(axes) or {*out} != {*axes, *pair} - {*inner}:
        raise Unsupported(f"einsum {','.join(words)}->{out}")
    outer = pair.replace(inner[0], "")
    last = axes.replace(inner[0], "") + inner[0]
    view = linear(b, r, permuted(view, [axes.index(letter) for letter in last]),
                  matrix if pair == outer + inner[0] else matrix.T)
    last = last[:-1] + outer
    return permuted(view, [last.index(letter) for letter in out])


@rule("concat")
def concat(b: Builder, r: Record, *parts: View) -> View:
    axis = r.attributes["axis"]
    if not all(isinstance(part, View) for part in parts):
        return _with_constants(b, r, axis, parts)
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


def _with_constants(b: Builder, r: Record, axis: int, parts: Sequence[Any]) -> View:
    """Maps and constant channels, as coordinates: zeros in their place."""
    view = next(part for part in parts if isinstance(part, View))
    view = b.settled(view)
    channels = b.places[view.node].channels
    if len(view.layout) != b.ndim + 2 or view.layout[axis] != whole(CHANNELS, channels) and (
            channels > 1 or view.layout[axis] or axis != 1):
        raise Unsupported("a concatenation with an array of the model's own, as a class token")
    made = [part if isinstance(part, View) else View(
        fixed(b, view, np.zeros((np.asarray(part).shape[axis], channels)), f"{r.path}.zeros"),
        tuple(whole(CHANNELS, np.asarray(part).shape[axis]) if i == axis else d for i, d in enumerate(view.layout)))
        for part in parts]
    found = concat(b, r, *made)
    if any(np.any(part) for part in parts if not isinstance(part, View)):
        b.stand_in(found.node, "a concatenation with constant maps", "zeros, which gradients see as little; gates "
                   "after it differ")
    return found


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
    if function == "min":
        x = b.plain(x)
        minus = View(b.emit(Scale(-1.0), [x.node], f"{r.path}.minus"), x.layout)
        most = reduce(b, with_attributes(r, **{**r.attributes, "function": "max"}), minus)
        return View(b.emit(Scale(-1.0), [most.node], f"{r.path}.less"), most.layout)
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
    left = sorted((d for d in rest if d.axis == CHANNELS), key=lambda d: -d.step)
    step, change = 1, {}
    for digit in reversed(left):
        change[digit] = Digit(CHANNELS, step, digit.size)
        step *= digit.size
    parts = channels // step
    if function == "max":
        index, place = np.arange(channels), np.zeros(channels, dtype=int)
        for digit, fresh in change.items():
            place += index // digit.step % digit.size * fresh.step
        order = np.argsort(place, kind="stable").reshape(step, parts).T.reshape(-1)  # what is compared goes first
        node = view.node if np.array_equal(order, index) else fixed(b, view, np.eye(channels)[order], f"{r.path}.order")
        return _largest(b, r, node, parts, step), change
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


def _largest(b: Builder, r: Record, node: str, parts: int, step: int) -> str:
    """The largest of `parts` of `step` channels each: the larger ones of halves of them, until one is left."""
    while parts > 1:
        half, odd = divmod(parts, 2)
        ends = [b.emit(Slice(i * half * step, (i + 1) * half * step), [node], f"{r.path}.half", half * step)
                for i in (0, 1)]
        name = extreme(b, ends[0], ends[1], r.path, "maximum")
        if odd:
            last = b.emit(Slice((parts - 1) * step, parts * step), [node], f"{r.path}.last", step)
            name = b.emit(Concat(), [name, last], f"{r.path}.left", (half + 1) * step)
        node, parts = name, half + odd
    return node


def extreme(b: Builder, x: str, y: str, path: str, function: str) -> str:
    """The node of max(x, y) = y + relu(x - y), or min(x, y) = y - relu(y - x)."""
    first, second = (x, y) if function == "maximum" else (y, x)
    minus = b.emit(Scale(-1.0), [second], f"{path}.minus")
    part = b.emit(Activation("relu"), [b.emit(Add(), [first, minus], f"{path}.difference")], f"{path}.relu")
    if function == "minimum":
        part = b.emit(Scale(-1.0), [part], f"{path}.less")
    return b.emit(Add(), [y, part], path)


@rule("softmax")
def softmax(b: Builder, r: Record, x: View) -> View:
    """Part of the channels against part."""
    x = b.plain(x)
    (digit, *more), place = x.layout[r.attributes["axis"]] or (None,), b.places[x.node]
    if more or digit is None or digit.axis != CHANNELS or digit.size * digit.step != place.channels:
        raise Unsupported("softmax over space" if digit and digit.axis >= 0 else "softmax")
    return View(b.emit(Softmax(digit.size), [x.node], r.path), x.layout)
