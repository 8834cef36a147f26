"""Copies of sites, borders, shuffles and functions for each reader on its own: it may change places with them then."""

from __future__ import annotations

from collections.abc import Sequence

from ...layers import Layer, Pad, Shuffle
from .nodes import Nodes
from .traits import copies, curved

__all__ = ["each_its_own", "repeats", "some_repeat"]


def repeats(layer: Layer) -> bool:
    """Whether a layer only copies sites, puts a border around them, shuffles channels, or is a curved function."""
    return copies(layer) or isinstance(layer, (Pad, Shuffle)) or curved(layer)


def some_repeat(layers: Sequence[Layer]) -> bool:
    """Whether there may be any of these that are better repeated."""
    pooled = any(layer.routes for layer in layers)
    return any(repeats(layer) and (pooled or not curved(layer)) for layer in layers)


def each_its_own(nodes: Nodes) -> bool:
    """Repeat nodes of such layers for each of their readers, functions where a max pool is one of them.

    Parameters
    ----------
    nodes : Nodes
        Their lists are changed, of which they know nothing then.

    Returns
    -------
    bool
        Whether there were any with several readers.
    """
    lists, layers, sources = nodes.lists, nodes.layers, nodes.sources
    readers: dict[int, list[int]] = {}
    for i, inputs in enumerate(sources):
        if nodes.readers[i] or i == nodes.top:
            for j in inputs:
                if nodes._inner(j) and repeats(layers[j]):
                    readers.setdefault(j, []).append(i)
    readers = {j: read for j, read in readers.items() if len(read) > 1 and (
        not curved(layers[j]) or any(layers[i].routes for i in read))}
    if not readers:
        return False
    where = lists.take([i for i in range(len(sources)) for _ in range(max(1, len(readers.get(i, ()))))])
    for j, read in readers.items():
        for n, i in enumerate(read):  # the last of them has not changed its place
            slots = list(sources[where[i]])
            slots[slots.index(where[j])] = where[j] - (len(read) - 1 - n)
            sources[where[i]] = tuple(slots)
    return True
