"""From pairs of sites up to pairs of windows that sites win: the transpose of what a max pool does to pairs.

Sums over the sites of two windows, and over those that both have, are sums along one axis after another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...layers.geometry import AxisGeometry
from .lowering import Linear
from .pairs import inverse, opened, windows
from .taps import Array

__all__ = ["pooled_pairs"]


def pooled_pairs(values: Array, op: Linear, extent: tuple[int, ...], lags: tuple[int, ...]) -> Array:
    """What pairs of windows take from the pairs of sites that win them, on the map of the windows.

    Parameters
    ----------
    values : ndarray, shape (groups, *lags, *sites)
        M(z, z + tau), zero where a site lies outside the map.
    op : Linear
        A max pool whose geometry is transposed.
    extent : tuple of int
        Of the map of windows.
    lags : tuple of int
        To be found, as half-widths of a box.

    Returns
    -------
    ndarray, shape (groups, *lags, *extent)
        For windows A and B with U sites in their union, the mean of M over z in A and w in B with the probabilities of
        `pairs.routed_pairs`.
    """
    geometry, ndim = tuple(taps.geometry[0] for taps in op.taps), len(extent)
    sites = values.shape[1 + ndim:]
    middle = (slice(None), *(slice(n // 2, n // 2 + 1) for n in values.shape[1:1 + ndim]))
    both, every, first, second = values[middle], values, values, values
    for axis, g in enumerate(geometry):
        size = extent[axis], lags[axis]
        both = _sums(both, axis, ndim, g, *size, within=(True, False), alone=True)
        every = _sums(every, axis, ndim, g, *size)
        first = _sums(first, axis, ndim, g, *size, within=(True, False))
        second = _sums(second, axis, ndim, g, *size, within=(False, True))
    one, other, union = windows(geometry, (0,) * ndim, extent, sites, lags)
    chance = inverse(union)
    for axis, (n, h) in enumerate(zip(extent, lags)):  # both windows are on the map
        there = np.arange(n) + np.arange(-h, h + 1)[:, None]
        shape = [1] * chance.ndim
        shape[1 + axis], shape[1 + ndim + axis] = there.shape
        chance = chance * ((there >= 0) & (there < n)).reshape(shape)
    if op.opened is not None:
        more = opened(op, one, other, union)
        both = both * np.concatenate([more] * (len(both) // len(more)))
    # A site of A alone and one of B, and a site of B alone and one of A.
    return np.asarray(chance * (both + inverse(other) * (every - first) + inverse(one) * (every - second)))


def _sums(values: Array, axis: int, ndim: int, g: AxisGeometry, count: int, reach: int,
          within: Sequence[bool] = (False, False), alone: bool = False) -> Array:
    """Sums over the sites of `count` windows and of others up to `reach` windows on, along one axis.

    `within` says of the sites of the one and of the other whether only those count that are in both; where `alone`
    there is no other site, and `values` has one lag.
    """
    lag, site = 1 + axis, 1 + ndim + axis
    step = g.stride * np.arange(-reach, reach + 1)
    n, have, extent = values.shape[site], values.shape[lag] // 2, g.extent
    before, after = g.pads(n)[0], max(g.stride * (count - 1) + extent - g.pads(n)[0] - n, 0)
    around = [(0, 0)] * values.ndim
    around[site] = max(before, 0), after
    if not alone:  # sums of lags up to each, in steps of the dilation
        room = max(g.stride * reach + extent - have, 0)
        around[lag] = room + g.dilation, room
        values = np.pad(values, around)
        values = _running(values, lag, g.dilation)
        zero = have + room + g.dilation
    else:
        values = np.pad(values, around)
    shape = list(values.shape)
    shape[lag], shape[site] = len(step), count
    out = np.zeros(shape)
    mask = [1] * values.ndim
    mask[lag] = len(step)
    for tap in range(0, extent, g.dilation):
        first = g.dilation * (tap // g.dilation) - before + max(before, 0)
        index = [slice(None)] * values.ndim
        index[site] = slice(first, first + g.stride * (count - 1) + 1, g.stride)
        part = values[tuple(index)]
        met = (tap >= step) & (tap < step + extent) & ((tap - step) % g.dilation == 0)
        if not alone:
            low = np.maximum(step, 0) if within[1] else step
            high = np.minimum(step + extent, extent) if within[1] else step + extent
            low = low + (step - low) % g.dilation
            empty = (high <= low) | (within[1] & (step % g.dilation != 0))
            last = np.where(empty, low, high - 1 - (high - 1 - low) % g.dilation + g.dilation) - g.dilation
            part = np.take(part, zero + last - tap, axis=lag) - np.take(part, zero + low - g.dilation - tap, axis=lag)
        if within[0]:
            part = part * met.reshape(mask)
        out += part
    return out


def _running(values: Array, axis: int, step: int) -> Array:
    """Running sums along an axis over every so many."""
    if step == 1:
        return np.cumsum(values, axis=axis)
    lines = np.moveaxis(values, axis, 0)
    for n in range(step, len(lines)):
        lines[n] += lines[n - step]
    return values
