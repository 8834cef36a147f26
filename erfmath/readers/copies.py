"""Values laid out again, in another order, or next to themselves: expand, tile, and lists of positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..layers import Concat, Upsample
from .axes import BATCH, CHANNELS, Digit, merged, whole
from .builder import Builder, Unsupported, View
from .channels import cut
from .records import Record
from .rules import fixed, rule, with_attributes

__all__ = ["LAZY", "laid_out"]

#: Operations that take a value as it is, whatever it is laid out to: maps that it meets have the sites.
LAZY = {"binary", "expand", "where", "unary", "identity"}


def laid_out(b: Builder, view: View, shape: Sequence[int], path: str) -> View:
    """The view with its axes of one position repeated to `shape`, by nodes.

    Raises
    ------
    Unsupported
        If no layer repeats them so.
    """
    view = b.plain(view)
    view = view.moved(((),) * (len(shape) - len(view.layout)) + view.layout)
    for axis, size in enumerate(shape):
        if size != 1 and not view.layout[axis]:
            view = _repeated(b, view, axis, size, f"{path}.repeat")
    return view


def _repeated(b: Builder, view: View, axis: int, size: int, path: str) -> View:
    """One axis: sites of a pool over the map, sites or channels next to themselves, or all channels anew."""
    layout, place = list(view.layout), b.places[view.node]
    channels = next((i for i, digits in enumerate(layout) if digits and digits[0].axis == CHANNELS), 1)
    before = layout[axis - 1] if axis else ()
    if len(layout) == b.ndim + 2 and axis and axis != channels:
        space = axis - 1 - (channels < axis)
        if place.space[space] == 1:
            node = _grown(b, view.node, space, size, path)
            layout[axis] = whole(space, size)
            return View(node, tuple(layout))
    if before and before[0].axis >= 0 and before == whole(before[0].axis, place.space[before[0].axis]):
        node = _grown(b, view.node, before[0].axis, size, path)
        layout[axis - 1:axis + 1] = (Digit(before[0].axis, size, before[0].size),), (Digit(before[0].axis, 1, size),)
        return View(node, tuple(layout))
    every = whole(CHANNELS, place.channels)
    if axis == channels and place.channels == 1 or before and before == every:
        node = fixed(b, view, np.kron(np.eye(place.channels), np.ones((size, 1))), path)
        layout[axis] = (Digit(CHANNELS, 1, size),)
        if before and before == every:
            layout[axis - 1] = (Digit(CHANNELS, size, place.channels),)
        return View(node, tuple(layout))
    if axis + 1 < len(layout) and layout[axis + 1] == every and every:
        layout[axis] = (Digit(CHANNELS, place.channels, size),)
        return View(_beside_itself(b, view.node, size, path), tuple(layout))
    raise Unsupported(f"a tensor of shape {view.shape} that is repeated along axis {axis}")


def _grown(b: Builder, node: str, axis: int, size: int, path: str) -> str:
    space = tuple(n * size if i == axis else n for i, n in enumerate(b.places[node].space))
    return b.emit(Upsample(tuple(size if i == axis else 1 for i in range(b.ndim))), [node], path, None, space)


def _beside_itself(b: Builder, node: str, times: int, path: str) -> str:
    return b.emit(Concat(), [node] * times, path, times * b.places[node].channels)


@rule("tile")
def tile(b: Builder, r: Record, x: View) -> View:
    times = list(r.attributes["times"])
    x = b.plain(x)
    x = x.moved(((),) * (len(times) - len(x.layout)) + x.layout)
    times = [1] * (len(x.layout) - len(times)) + times
    for axis, count in enumerate(times):
        if count == 1 or not x.layout[axis]:
            continue
        x = b.settled(x)
        if x.layout[axis] != whole(CHANNELS, b.places[x.node].channels):
            raise Unsupported("a map beside itself in space")
        node = _beside_itself(b, x.node, count, r.path)
        x = View(node, tuple(whole(CHANNELS, b.places[node].channels) if i == axis else digits
                             for i, digits in enumerate(x.layout)))
    return laid_out(b, x, r.shape, r.path)


@rule("take")
def take(b: Builder, r: Record, x: View) -> View:
    """Positions of an axis by a list: a slice, every so many sites, or channels in any order by a fixed matrix."""
    axis, places = r.attributes["axis"], r.attributes["places"]
    steps = set(np.diff(places).tolist()) or {1}
    times = len(places) // x.shape[axis]
    if times > 1 and places == [i for i in range(x.shape[axis]) for _ in range(times)]:  # each next to itself
        shape = list(x.shape)
        apart = x.moved((*x.layout[:axis + 1], (), *x.layout[axis + 1:]))
        found = laid_out(b, apart, [*shape[:axis + 1], times, *shape[axis + 1:]], r.path)
        return found.moved((*found.layout[:axis], merged((*found.layout[axis], *found.layout[axis + 1])),
                            *found.layout[axis + 2:]))
    if len(steps) == 1 and min(steps) > 0 and (min(steps) == 1 or _along_space(x, axis)):
        return cut(b, with_attributes(r, axis=axis, start=places[0], stop=places[-1] + 1, step=min(steps)), x)
    x = b.settled(x)
    channels = b.places[x.node].channels
    if x.layout[axis] != whole(CHANNELS, channels) or not places:
        raise Unsupported("the batch in another order" if x.layout[axis] and x.layout[axis][0].axis == BATCH else
                          "sites in another order")
    matrix = np.zeros((len(places), channels))
    matrix[np.arange(len(places)), places] = 1
    layout = tuple(whole(CHANNELS, len(places)) if i == axis else digits for i, digits in enumerate(x.layout))
    return View(fixed(b, x, matrix, r.path), layout)


def _along_space(x: View, axis: int) -> Any:
    return x.layout[axis] and x.layout[axis][0].axis >= 0
