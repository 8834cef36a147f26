"""Arrays of the measurement: where their sites lie, and in which order their channels.

Arrays are indexed (draws, channels, images, *space), in float32 or float64.  In memory the channels
may be last, as convolutions in training leave them: results keep the order of their inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..layers.geometry import Box

__all__ = ["Array", "channel_sums", "channels_last", "folded", "give_sites", "on_space", "per_channel", "place",
           "summed_to", "take_sites"]

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


def folded(sites: Array, n: int, mode: str) -> Array:
    """The site 0..n-1 that each of `sites`, maybe outside, repeats: of padding "reflect", "replicate" or "circular"."""
    if mode == "replicate":
        return np.clip(sites, 0, n - 1)
    if mode == "circular":
        return sites % n
    period = max(2 * n - 2, 1)
    return (n - 1) - np.abs(sites % period - (n - 1))


def take_sites(x: Array, indices: Sequence[Array]) -> Array:
    """The sites with these indices along each axis of space."""
    for axis, index in enumerate(indices, start=x.ndim - len(indices)):
        x = np.take(x, index, axis)
    return x


def give_sites(dx: Array, indices: Sequence[Array], shape: Sequence[int]) -> Array:
    """Adjoint of `take_sites` from maps of `shape`."""
    for axis, (index, n) in enumerate(zip(indices, shape), start=dx.ndim - len(indices)):
        found = np.zeros_like(dx, shape=(*dx.shape[:axis], n, *dx.shape[axis + 1:]))
        ends = [0, *(np.flatnonzero(np.diff(index) != 1) + 1), len(index)]  # of runs of neighbours
        lead = (slice(None),) * axis
        for a, b in zip(ends, ends[1:]):
            if a < b:
                found[(*lead, slice(index[a], index[a] + b - a))] += dx[(*lead, slice(a, b))]
        dx = found
    return dx


def summed_to(dy: Array, shape: Sequence[int]) -> Array:
    """Adjoint of broadcasting an array of `shape`."""
    axes = tuple(axis for axis, (n, m) in enumerate(zip(shape, dy.shape)) if n == 1 < m)
    return dy.sum(axis=axes, keepdims=True) if axes else dy


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
