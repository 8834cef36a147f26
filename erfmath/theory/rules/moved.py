"""Channels that are only moved about: where they come from, and nodes that have them all back in their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Layer

__all__ = ["unmoved"]


def _origin(j: int, channels: list[int], origin: dict[int, Any]) -> Any:
    """For each channel of a node, the node and the channel that it is, moved about; shape (2, channels)."""
    return origin[j] if j in origin else np.stack([np.full(channels[j], j), np.arange(channels[j])])


def _all_of(parts: list[Any], channels: list[int]) -> int | None:
    """The node of which these are all channels in their order, if they are that."""
    bases, reads = np.concatenate(parts, axis=1)
    base = int(bases[0])
    return base if (bases == base).all() and np.array_equal(reads, np.arange(channels[base])) else None


def unmoved(i: int, layer: Layer, sources: list[tuple[int, ...]], channels: list[int], origin: dict[int, Any],
            ndim: int) -> int | None:
    """The node of which this one is all channels in their order, moved about and back."""
    parts = [_origin(j, channels, origin) for j in sources[i]]
    if layer.moves_channels:
        parts = [np.concatenate([layer.channel_reads([row], channels[i], ndim) for row in parts[0]])]
    elif not layer.joins_channels:
        return None
    origin[i] = np.concatenate(parts, axis=1)
    return _all_of(parts, channels)
