"""Half of all lags: M(x, -tau) = M(x - tau, tau), so that those from 0 on along the first axis tell the others.

Arrays are of shape (groups, *lags, *lattice), the first of the lags from 0 on, all others to both sides of 0.  Layers
that look at lags as they come (random layers, gates) take them as they are; a fixed layer moves some of them over 0,
and gets as many of the others as it needs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..memory import remembered
from .lowering import Linear
from .pairs import blank, close_pairs, cut_pairs, one_end_then_other
from .taps import Array, Taps, border_gain

__all__ = ["half_fixed", "half_routed", "halved", "keeps_half", "mirrored", "nearby"]


def halved(values: Array) -> Array:
    """A view of half of all lags."""
    return values[:, values.shape[1] // 2:]


def mirrored(values: Array) -> Array:
    """All lags."""
    return _extended(values, values.shape[1] - 1)


def nearby(values: Array, lags: tuple[int, ...]) -> Array:
    """All lags of a box of half-widths `lags`, which are among those given."""
    ndim = len(lags)
    inner = tuple(slice(n // 2 - h, n // 2 + h + 1) for n, h in zip(values.shape[2:1 + ndim], lags[1:]))
    return mirrored(values[(slice(None), slice(lags[0] + 1), *inner)])


def _extended(values: Array, more: int) -> Array:
    """With so many lags below 0 along the first axis."""
    if not more:
        return values
    out = blank((len(values), values.shape[1] + more, *values.shape[2:]))
    out[:, more:] = values
    for into, read in _turned(values.shape[1:], more):
        out[into] = values[read]
    return out


@remembered(256)
def _turned(shape: tuple[int, ...], more: int) -> list[tuple[Any, Any]]:
    """Where so many lags below 0 are to be put, and where they are read."""
    ndim, found = len(shape) // 2, []
    sites, ends = shape[ndim:], [n - 1 for n in shape[1:ndim]]
    for lag in range(1, min(more + 1, shape[0])):
        for place in np.ndindex(*shape[1:ndim]):
            tau = (-lag, *(k - end // 2 for k, end in zip(place, ends)))
            here = [slice(max(-t, 0), max(n - max(t, 0), 0)) for t, n in zip(tau, sites)]
            there = [slice(max(t, 0), max(n - max(-t, 0), 0)) for t, n in zip(tau, sites)]
            turned = [end - k for k, end in zip(place, ends)]
            found.append(((slice(None), more - lag, *place, *here), (slice(None), lag, *turned, *there)))
    return found


def keeps_half(op: Linear) -> bool:
    """Whether a fixed layer is one of filters along axes, which half of all lags do for."""
    return not any(len(taps.axes) > 1 or taps.rows is not None or taps.geometry[0].transposed for taps in op.taps)


def half_fixed(values: Array, start: tuple[int, ...], op: Linear, sizes: tuple[int | None, ...], lags: tuple[int, ...]
               ) -> tuple[Array, tuple[int, ...]]:
    """Filters along axes on both sites of each pair, of which half of all lags are given and found."""
    flat = [taps.weights.item(0) if taps.flat else 1.0 for taps in op.taps]
    values = values * (op.gain * math.prod(flat))**2
    for taps in op.taps if op.inside_only else ():
        _at_borders(values, start, taps, sizes)
    for taps in op.taps:
        taps = taps._replace(weights=np.ones(len(taps.weights))) if taps.flat else taps
        (axis,), (g,), have = taps.axes, taps.geometry, values.shape[1 + taps.axes[0]]
        low, want = -(have // 2), -lags[axis]
        if axis == 0:  # of lags below 0, those that come over it
            low, want = -min((g.extent - 1) // g.stride, have - 1), 0
            values = _extended(values, -low)
        ends = low, low + values.shape[1 + axis] - 1
        values, start = one_end_then_other(values, start, taps, sizes, ends, (want, lags[axis]))
        values, start = cut_pairs(values, start, sizes, taps.axes, half=True)
    return values, start


def _at_borders(values: Array, start: tuple[int, ...], taps: Taps, sizes: tuple[int | None, ...]) -> None:
    """Multiply, in place, both sites of pairs at windows that overlap the border, as `border_gain` says."""
    (axis,), lags = taps.axes, values.shape[1 + taps.axes[0]]
    count, low = values.shape[axis - len(start)], 0 if axis == 0 else -(lags // 2)
    gain = border_gain(taps, start[axis], count, sizes[axis])
    if gain is None:
        return
    index: list[Any] = [slice(None)] * values.ndim
    for x in np.flatnonzero(gain != 1).tolist():
        index[1 + axis], index[axis - len(start)] = slice(None), x
        values[tuple(index)] *= gain[x]
        for index[1 + axis] in range(max(0, x - count + 1 - low), min(lags, x + 1 - low)):  # as the second of a pair
            index[axis - len(start)] = x - low - index[1 + axis]
            values[tuple(index)] *= gain[x]


def half_routed(values: Array, start: tuple[int, ...], op: Linear, sizes: tuple[int | None, ...],
                lags: tuple[int, ...], near: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """A max pool on the gradients of pairs of windows, of which those up to lags `near` overlap (`routed_pairs`)."""
    inner = (slice(None), slice(near[0] + 1), *(
        slice(n // 2 - m, n // 2 + m + 1) for n, m in zip(values.shape[2:], near[1:])))
    rest = values.copy()
    rest[inner] = 0.0
    apart, first = half_fixed(rest, start, op.evenly, sizes, lags)
    geometry = [taps.geometry[0] for taps in op.taps]
    close = tuple(min(lag, g.stride * m + g.extent - 1) for lag, g, m in zip(lags, geometry, near))
    together, there = close_pairs(nearby(values, near), start, op, sizes, close, half=True)
    assert there == first
    others = (slice(h - c, h + c + 1) for h, c in zip(lags[1:], close[1:]))
    apart[(slice(None), slice(close[0] + 1), *others)] += together
    return apart, first
