"""Layers in the parts of concatenations that are one with what is there.

The largest of a window is taken channel by channel, and of a window of windows it is the largest of one larger window.
Above a concatenation nobody sees that; in each part a pool is one with the one below, and a function goes before it.
A norm does nothing to a part that it has normalised already, nor a rectifier to one that is positive, and functions in
a row may be one.  In the same way a factor that several layers read is one for each of them, which may be part of it;
those of a product come after it, and so do copies of sites and pads.  Sums of concatenations are concatenations of
sums, and channels of one are channels of its parts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from ...layers import (Activation, Add, BatchNorm, Concat, Identity, InstanceNorm, Layer, MaxPool, Multiply, Pad,
                       Scale, Shuffle, Slice)
from ..sweep.values import rounded
from .fusion import Row, as_one
from .nodes import Lists
from .order import readers_of
from .traits import copies, curved, drawn, keeps_positive, like, rising, spares_positive

__all__ = ["belongs_to_parts", "into_parts"]

#: Layers that commute with max pools, some of them.
FUNCTIONS = (Activation, Scale, Identity)
#: Norms of each channel by itself.
NORMS = (BatchNorm, InstanceNorm)


def belongs_to_parts(layer: Layer, parts: Sequence[int], lists: Lists, positive: Collection[int] = ()) -> bool:
    """Whether a layer goes into the `parts` of a concatenation rather than after it.

    `positive` are nodes that are never below zero, of which rectifiers do nothing.
    """
    if isinstance(layer, Activation) and any(j in positive for j in parts) and spares_positive(layer):
        return True
    if isinstance(layer, MaxPool) and any(_rises_curved(j, lists) for j in parts):
        return True
    return isinstance(layer, (Activation, MaxPool)) and any(_pooled(j, lists) for j in parts) and (
        isinstance(layer, MaxPool) or rising(layer))


def _rises_curved(j: int, lists: Lists) -> bool:
    """Whether node `j` is a function that never falls, and it or one right below it is curved: pools go before it."""
    while j > lists.last and rising(lists.layers[j]) and not curved(lists.layers[j]):
        j, = lists.sources[j]
    return j > lists.last and curved(lists.layers[j]) and rising(lists.layers[j])


def _pooled(j: int, lists: Lists) -> bool:
    """Whether node `j` is a max pool, or made of one (or more) by layers with which max pools commute."""
    waiting = [j]
    while waiting:
        j = waiting.pop()
        if j <= lists.last:
            continue
        layer = lists.layers[j]
        if isinstance(layer, MaxPool):
            return True
        if layer.joins_channels or isinstance(layer, Shuffle) or rising(layer):
            waiting += lists.sources[j]
    return False


def into_parts(lists: Lists, given: Collection[str]) -> bool:
    """Put max pools and functions into the parts of concatenations that hold pooled values, norms into normalised ones.

    Parameters
    ----------
    lists : Lists
        Changed.  Copies have the name of what they copy.  What nothing reads any more stays.
    given : collection of str
        Nodes with given weights, which stay.

    Returns
    -------
    bool
        Whether anything has changed.
    """
    names, layers, sources, sizes, channels, last = (
        lists.names, lists.layers, lists.sources, lists.sizes, lists.channels, lists.last)
    kinds = [type(layer) for layer in layers]
    if not {Concat, Scale, Multiply}.intersection(kinds):
        return False
    readers, ways = readers_of(sources), {}
    moving, positive = (*NORMS, MaxPool, Activation), _positive(lists)
    factors = {i for i, kind in enumerate(kinds) if kind is Scale and i > last and readers[i] > 1}
    for i, kind in enumerate(kinds):
        if kind not in moving or i <= last or not (readers[i] or i == len(layers) - 1) or kinds[sources[i][0]] not in (
                Concat, *FUNCTIONS):
            continue
        way = _way(i, lists, readers)
        parts = sources[way[0]] if way else ()
        if any(names[j] in given for j in way) or any(sizes[j] != sizes[way[0]] for j in parts):
            continue  # one site that serves all stays one
        free = [j for j in parts if j > last and names[j] not in given]
        next_to = [layers[j] for j in free if kind in NORMS or readers[j] == 1] if len(way) == 2 else []
        if _one_with(layers[i], next_to, sizes[i]) or belongs_to_parts(layers[i], parts, lists, positive):
            ways[i] = way
    scaled = {i: held for i, kind in enumerate(kinds) if kind is Multiply and i > last and Scale in kinds and (
        held := [j for j in sources[i] if j > last and kinds[j] is Scale and names[j] not in given])}
    copied = {i: j for i, kind in enumerate(kinds) if kind is Multiply and i > last for j in sources[i]
              if j > last and readers[j] == 1 and (kinds[j] is Pad or copies(layers[j])) and names[j] not in given
              and all(j == k or set(sizes[k]) == {1} for k in sources[i])}
    summed = [i for i, kind in enumerate(kinds) if kind is Add and i > last and len(sources[i]) > 1 and all(
        j > last and kinds[j] is Concat for j in sources[i])]
    summed = [i for i in summed if _side_by_side([sources[j] for j in sources[i]], sizes, channels)]
    sliced = {i for i, kind in enumerate(kinds) if kind is Slice and (j := sources[i][0]) > last and (
        kinds[j] is Concat and all(sizes[k] == sizes[i] for k in sources[j]))}
    if not (ways or factors or scaled or copied or summed or sliced):
        return False
    place: dict[int, int] = {-1: -1}
    made: list[tuple[str, Layer, tuple[int, ...], Any, int]] = []

    def add(like: int, inputs: tuple[int, ...], size: Any, count: int, layer: Layer | None = None) -> int:
        made.append((names[like], layer or layers[like], inputs, size, count))
        return len(made) - 1

    def end_of(j: int) -> int:
        """Where a node is, or a new copy of a factor."""
        base, factor = j, 1.0
        while base in factors:
            factor, base = factor * getattr(layers[base], "factor"), sources[base][0]
        return place[j] if j == base else add(j, (place[base],), sizes[j], channels[j], Scale(rounded(factor)))

    for i, inputs in enumerate(sources):
        if i in factors:
            continue
        if i in scaled:  # the product of what the factors multiply, then these
            bare = tuple(end_of(sources[j][0]) if j in scaled[i] else end_of(j) for j in inputs)
            factor = math.prod(getattr(layers[j], "factor") for j in scaled[i])
            place[i] = add(scaled[i][0], (add(i, bare, sizes[i], channels[i]),), sizes[i], channels[i],
                           Scale(rounded(factor)))
            continue
        if i in copied:  # the product of what is copied, and factors of one site
            j = copied[i]
            bare = tuple(end_of(sources[j][0] if k == j else k) for k in inputs)
            place[i] = add(j, (add(i, bare, sizes[sources[j][0]], channels[i]),), sizes[i], channels[i])
            continue
        if i in summed:  # part by part
            terms = [add(i, tuple(map(end_of, each)), sizes[i], channels[each[0]])
                     for each in zip(*(sources[j] for j in inputs))]
            place[i] = add(inputs[0], tuple(terms), sizes[i], channels[i])
            continue
        if i in sliced:
            joint, = inputs
            ends = [add(i, (end_of(k),), sizes[i], part.stop - part.start, part)
                    for k, part in zip(sources[joint], _within(layers[i], [channels[k] for k in sources[joint]]))
                    if part]
            place[i] = ends[0] if len(ends) == 1 else add(joint, tuple(ends), sizes[i], channels[i])
            continue
        if i not in ways:
            place[i] = add(i, tuple(map(end_of, inputs)), sizes[i], channels[i])
            continue
        joint, *way = ways[i]
        ends = []
        for part in sources[joint]:
            end = end_of(part)
            for j in way:
                end = add(j, (end,), sizes[j], channels[part])
            ends.append(end)
        place[i] = add(joint, tuple(ends), sizes[i], channels[i])
    names[:], layers[:], sources[:], here, counts = map(list, zip(*made))
    sizes[:], channels[:] = [*here, sizes[-1]], [*counts, channels[-1]]
    lists.last = place[last]
    return True


def _within(whole: Any, channels: Sequence[int]) -> list[Slice | None]:
    """Of parts with so many channels side by side those that are in a slice of all, None of others."""
    found: list[Slice | None] = []
    first = 0
    for count in channels:
        start, stop = (min(max(end - first, 0), count) for end in (whole.start, whole.stop))
        found.append(Slice(start, stop) if start < stop else None)
        first += count
    return found


def _positive(lists: Lists) -> set[int]:
    """Nodes that are never below zero."""
    found: set[int] = set()
    for i, layer in enumerate(lists.layers):
        if i > lists.last and keeps_positive(layer, found.issuperset(lists.sources[i])):
            found.add(i)
    return found


def _way(i: int, lists: Lists, readers: Sequence[int]) -> list[int]:
    """From a concatenation to node `i`, with what lies between and commutes with pools; nothing if there is none."""
    way = [i]
    while (j := lists.sources[way[-1]][0]) > lists.last:
        if lists.layers[j].joins_channels:
            return [j, *way[::-1]]
        if readers[j] > 1 or not rising(lists.layers[j]):
            break
        way.append(j)
    return []


def _side_by_side(parts: Sequence[tuple[int, ...]], sizes: Sequence[Any], channels: Sequence[int]) -> bool:
    """Whether concatenations of these parts have maps of one size and the same numbers of channels side by side."""
    return len({tuple(channels[j] for j in each) for each in parts}) == 1 and len(
        {sizes[j] for each in parts for j in each}) == 1


def _one_with(layer: Any, parts: Sequence[Layer], size: Any) -> bool:
    """Whether one of these parts has been normalised by this norm, or is a function that this one is one with."""
    if isinstance(layer, NORMS):
        return not drawn(layer) and any(like(layer, part) for part in parts)
    return isinstance(layer, Activation) and any(
        isinstance(part, Activation) and as_one(Row(part, layer, (size, size), (1, 1, 1), True, len(size))) is not None
        for part in parts)
