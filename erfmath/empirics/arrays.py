"""Arrays of the measurement: where their sites lie, and in which order their channels.

Arrays are indexed (draws, channels, images, *space), in float32 or float64.  In memory the channels
may be last, as convolutions in training leave them: results keep the order of their inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..layers.geometry import Box

__all__ = ["Array", "channel_sums", "channels_last", "on_space", "per_channel", "place"]

Array = npt.NDArray[Any]

#: Of numbers per channel: at most so many in a row, unless a line of sites is longer.
REPEATED = 2**14


def on_space(cuts: Iterable[slice]) -> tuple[Any, ...]:
    """An index that cuts the last axes."""
    return (Ellipsis, *cuts)


def place(x: Array, held: Box, wanted: Box, fill: float = 0.0) -> Array:
    """The map `x` on the sites of `held`, as one on those of `wanted`: cropped, and filled in where there is nothing.

    The adjoint exchanges the boxes.
    """
    pads = held.pads(wanted)
    space = x.shape[x.ndim - len(pads):]
    kept = x[on_space(slice(max(-a, 0), max(n - max(-b, 0), max(-a, 0))) for n, (a, b) in zip(space, pads))]
    if all(a <= 0 and b <= 0 for a, b in pads):
        return kept
    shape = [max(n + a + b, 0) for n, (a, b) in zip(space, pads)]
    y = np.full_like(x, fill, shape=(*x.shape[:x.ndim - len(pads)], *shape))
    if kept.size:
        y[on_space(slice(max(a, 0), max(a, 0) + n) for (a, _), n in
                   zip(pads, kept.shape[x.ndim - len(pads):]))] = kept
    return y


def channels_last(x: Array) -> bool:
    """Whether channels lie closer together in memory than the sites of a line."""
    return x.strides[1] < x.strides[-1]


def per_channel(values: Array, like: Array) -> Array:
    """Numbers per channel, (draws or 1, channels) or (channels,), to combine with arrays like `like`.

    Where channels are last they are repeated along lines, planes, ... of sites: loops over channels alone are short.
    """
    values = values.reshape(-1, like.shape[1], *(1,) * (like.ndim - 2)).astype(like.dtype, copy=False)
    if not channels_last(like):
        return values
    axis = like.ndim - 1
    while axis > 3 and like.shape[1] * math.prod(like.shape[axis - 1:]) <= REPEATED:
        axis -= 1
    shape = len(values), *(1,) * (axis - 2), *like.shape[axis:], like.shape[1]
    repeated = np.moveaxis(np.empty(shape, like.dtype), -1, 1)
    repeated[...] = values
    return repeated


def channel_sums(x: Array) -> Array:
    """Sums over images and space, (draws, channels)."""
    if not channels_last(x):
        return x.sum(axis=tuple(range(2, x.ndim)))
    lines = np.moveaxis(x, 1, -1).reshape(len(x), -1, x.shape[-1] * x.shape[1])
    return (np.ones(lines.shape[1], x.dtype) @ lines).reshape(len(x), -1, x.shape[1]).sum(axis=1)
