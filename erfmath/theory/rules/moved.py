"""Channels that are only moved about: where they come from, and nodes that have the same in the same order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...layers import Layer

__all__ = ["unmoved"]


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
