"""Channels that are only moved about: where they come from, and nodes that have the same in the same order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...layers import Layer, PixelShuffle, PixelUnshuffle
from .nodes import Nodes

__all__ = ["shuffled_back", "unmoved"]


def _origin(j: int, channels: list[int], origin: dict[int, Any]) -> Any:
    """For each channel of a node, the node and the channel that it is, moved about; shape (2, channels)."""
    return origin[j] if j in origin else np.stack([np.full(channels[j], j), np.arange(channels[j])])


def unmoved(i: int, layer: Layer, sources: list[tuple[int, ...]], channels: list[int], origin: dict[int, Any],
            ndim: int, there: Callable[[int], bool]) -> int | None:
    """The node whose channels, in their order, are those of this one: one that is not moved, or another that is.

    `there` tells whether a node may be taken.
    """
    parts = [_origin(j, channels, origin) for j in sources[i]]
    if layer.moves_channels:
        parts = [np.concatenate([layer.channel_reads([row], channels[i], ndim) for row in parts[0]])]
    elif not layer.joins_channels:
        return None
    whole = origin[i] = np.concatenate(parts, axis=1)
    base = int(whole[0, 0])
    if np.array_equal(whole, _origin(base, channels, {})):
        return base
    return next((j for j, other in origin.items() if j != i and there(j) and np.array_equal(other, whole)), None)


def shuffled_back(nodes: Nodes, i: int) -> int | None:
    """The node whose values pixel shuffle or unshuffle `i` puts out, of what the other of the two has shuffled."""
    layer, (j,) = nodes.layers[i], nodes.sources[i]
    if not nodes._inner(j):
        return None
    below, k = nodes.layers[j], nodes.sources[j][0]
    back = isinstance(layer, (PixelShuffle, PixelUnshuffle)) and isinstance(below, (PixelShuffle, PixelUnshuffle)) and (
        type(below) is not type(layer) and below.scale == layer.scale and nodes.sizes[k] == nodes.sizes[i])
    return k if back else None
