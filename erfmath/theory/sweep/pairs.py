"""Pairs of sites through linear layers: M(x, tau) for all lags of a box, shape (groups, *lags, *lattice).

Random layers keep every lag and mix sites, fixed ones mix lags (docs/theory.md, equations 18 to 26).  Where `half` is
asked for, lags along the first axis are those from 0 on: M(x, -tau) = M(x - tau, tau) tells the others (`mirror`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...base.errors import check_bytes
from ...lattice.field import add_on_hull
from ...layers.geometry import AxisGeometry
from ..memory import remembered
from .lowering import Linear
from .taps import REMEDY, Array, Taps, adjoint, border_gain

__all__ = ["blank", "border", "border_pairs", "by_lag", "close_pairs", "cut", "cut_pairs", "fixed_pairs", "inverse",
           "of_both", "one_end_then_other", "opened", "opened_more", "overlapping", "refit_lags", "routed",
           "routed_pairs", "select_lags", "windows"]


def cut(values: Array, start: tuple[int, ...], sizes: tuple[int | None, ...],
        axes: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Drop what lies outside the map along `axes`: a path that leaves any layer's map is gone."""
    ndim, begin = len(start), list(start)
    index: list[Any] = [slice(None)] * values.ndim
    for axis in axes:
        s, n, count = start[axis], sizes[axis], values.shape[axis - ndim]
        if n is not None:
            begin[axis] = max(s, 0)
            index[axis - ndim] = slice(begin[axis] - s, max(min(s + count, n), begin[axis]) - s)
    return values[tuple(index)], tuple(begin)


def blank(shape: Sequence[int], anything: bool = False) -> Array:
    """Zeros, or `anything`, of shape (groups, *lags, *lattice), with all lags of a site side by side in memory.

    Layers move sites: what moves is then long runs of numbers.
    """
    ndim = len(shape) // 2
    make = np.empty if anything else np.zeros
    sites = make((shape[0], *shape[1 + ndim:], *shape[1:1 + ndim]))
    return sites.transpose(0, *range(1 + ndim, 1 + 2 * ndim), *range(1, 1 + ndim))


def of_both(values: Array, lags: tuple[int, ...]) -> Array:
    """The sum of a map's values, (groups, *sites), at the two sites of each pair, (groups, *lags, *sites)."""
    ndim = len(lags)
    padded = np.pad(values, [(0, 0), *((h, h) for h in lags)])
    other = sliding_window_view(padded, [2 * h + 1 for h in lags], tuple(range(1, 1 + ndim)))
    each: Any = (slice(None), *(None,) * ndim)
    return np.moveaxis(other, range(1 + ndim, 1 + 2 * ndim), range(1, 1 + ndim)) + values[each]


def by_lag(weights: tuple[Any, Any], lags: tuple[int, ...]) -> Array:
    """The first at lag 0, the second elsewhere, shape (groups, *lags, 1, ...); each one number or one a group."""
    here, there = (np.reshape(each, (-1, *(1,) * (2 * len(lags)))) for each in weights)
    found = np.zeros((len(here), *(2 * h + 1 for h in lags), *(1,) * len(lags))) + there
    found[(slice(None), *(slice(h, h + 1) for h in lags))] = here
    return found


def refit_lags(values: Array, have: tuple[int, ...], want: tuple[int, ...], half: bool = False) -> Array:
    """Cut, or filled with zeros, from a box of lags of half-widths `have` to one of `want`."""
    into, out, counts = [], [], []
    for axis, (h, w) in enumerate(zip(have, want)):
        least = min(h, w)
        low, first, zero = (0, 0, 0) if half and axis == 0 else (least, h, w)  # where lag 0 is, before and after
        out.append(slice(first - low, first + least + 1))
        into.append(slice(zero - low, zero + least + 1))
        counts.append(zero + w + 1)
    shape = (len(values), *counts, *values.shape[1 + len(want):])
    check_bytes(8 * math.prod(shape), f"a covariance of shape {shape}", REMEDY)
    if all(h >= w for h, w in zip(have, want)):
        return values[(slice(None), *out)]
    fitted = blank(shape)
    fitted[(slice(None), *into)] = values[(slice(None), *out)]
    return fitted


def select_lags(values: Array, axis: int, g: AxisGeometry, have: int, want: int, half: bool = False) -> Array:
    """Lags below a random layer: lag tau' comes from lag tau with tau' = s tau (transposed: tau = s tau')."""
    if g.stride == 1 and have == want:
        return values
    lead, (before, after) = (slice(None),) * axis, (0, 0) if half else (have, want)  # where lag 0 is
    shape = list(values.shape)
    shape[axis] = after + want + 1
    chosen = np.zeros_like(values, shape=shape)
    wide, narrow = (1, g.stride) if g.transposed else (g.stride, 1)
    reach = min(want // wide, have // narrow)
    down = 0 if half else reach
    chosen[lead + (slice(after - down * wide, after + reach * wide + 1, wide),)] = values[
        lead + (slice(before - down * narrow, before + reach * narrow + 1, narrow),)]
    return chosen


def cut_pairs(values: Array, start: tuple[int, ...], sizes: tuple[int | None, ...], axes: tuple[int, ...],
              half: bool = False) -> tuple[Array, tuple[int, ...]]:
    """Drop sites outside the map, and, in place, pairs whose partner is outside."""
    ndim = len(start)
    values, start = cut(values, start, sizes, axes)
    for axis in axes:
        n, lags, count = sizes[axis], values.shape[1 + axis], values.shape[1 + ndim + axis]
        if n is None or lags == 1:
            continue
        index: list[Any] = [slice(None)] * values.ndim
        for index[1 + axis], index[1 + ndim + axis] in _alone(start[axis], n, 0 if half and axis == 0 else -(lags // 2),
                                                              lags, count):
            values[tuple(index)] = 0.0
    return values, start


@remembered(1024)
def _alone(start: int, n: int, first: int, lags: int, count: int) -> tuple[tuple[int, slice], ...]:
    """Per lag, from `first` on, which of `count` sites from `start` on have no partner on a map of `n`."""
    found = []
    for place, tau in enumerate(range(first, first + lags)):
        low, high = -start - tau, n - start - tau  # sites with a partner
        for none in (slice(0, min(max(low, 0), count)), slice(min(max(high, 0), count), count)):
            if none.start < none.stop:
                found.append((place, none))
    return tuple(found)


def border(values: Array, start: tuple[int, ...], taps: Taps, sizes: tuple[int | None, ...]) -> Array:
    """What lies at windows that overlap the border, multiplied as `border_gain` says."""
    axis, = taps.axes
    count = values.shape[axis - len(start)]
    gain = border_gain(taps, start[axis], count, sizes[axis])
    return values if gain is None else _along(values, gain, axis - len(start))


def border_pairs(values: Array, start: tuple[int, ...], taps: Taps, sizes: tuple[int | None, ...],
                 first: int | None = None) -> Array:
    """The same for both sites of each pair; lags along the axis go from `first` on, by default to both sides of 0."""
    axis, = taps.axes
    lags, count = values.shape[1 + axis], values.shape[axis - len(start)]
    low = -(lags // 2) if first is None else first
    gain = border_gain(taps, start[axis] + low, count + lags - 1, sizes[axis])
    if gain is None:
        return values
    pair = gain[-low:count - low, None] * sliding_window_view(gain, lags)
    return _along(values, pair.T, 1 + axis, axis - len(start))


def _along(values: Array, factors: Array, *axes: int) -> Array:
    """`values` times `factors`, whose axes are those named."""
    if (factors == 1).all():
        return values
    shape = [1] * values.ndim
    for axis, n in zip(axes, factors.shape):
        shape[axis] = n
    return values * factors.reshape(shape)


def fixed_pairs(values: Array, start: tuple[int, ...], op: Linear, sizes: tuple[int | None, ...],
                lags: tuple[int, ...], weights: Array | None = None) -> tuple[Array, tuple[int, ...]]:
    """A fixed layer on both sites of each pair.

    `weights[a, b]` multiplies what taps a and b hand on; by default it is w_a w_b.
    """
    values = values * op.gain**2 if op.gain != 1 else values
    for taps in op.taps:
        if taps.rows is not None:
            axis, = taps.axes
            values, first = taps.rows.pairs(values, 1 + axis, axis - len(start), start[axis], lags[axis])
            start = (*start[:axis], first, *start[axis + 1:])
            continue
        if op.inside_only:
            values = border_pairs(values, start, taps, sizes)
        flat = taps.weights.reshape(-1)
        check_bytes(8 * flat.size**2, f"the pairs of {flat.size} taps of a filter", "take a smaller filter")
        product = np.outer(flat, flat) if weights is None else weights
        have = tuple(values.shape[1 + axis] // 2 for axis in taps.axes)
        want = tuple(lags[axis] for axis in taps.axes)
        if weights is None and any(have + want) and len(taps.axes) == 1 and (
                not taps.geometry[0].transposed or taps.geometry[0].stride == 1):
            values, start = one_end_then_other(values, start, _downward(taps, sizes), sizes, (-have[0], have[0]),
                                               (-want[0], want[0]))
            values, start = cut_pairs(values, start, sizes, taps.axes)
            continue
        mix = _LagMix(taps, have, want, product)
        alike = taps.flat and weights is None and not any(have + want)
        values, start = adjoint(values, start, taps, sizes, mix, alike)
        values, start = cut_pairs(values, start, sizes, taps.axes)
    return values, start


def _downward(taps: Taps, sizes: tuple[int | None, ...]) -> Taps:
    """Transposed taps of stride 1 along an axis as others, with the kernel turned round."""
    (axis,), (g,) = taps.axes, taps.geometry
    if not g.transposed:
        return taps
    before, after = g.pads(sizes[axis])
    turned = g._replace(padding=(g.extent - 1 - before, g.extent - 1 - after), transposed=False)
    return taps._replace(geometry=(turned,), weights=taps.weights[::-1])


def one_end_then_other(values: Array, start: tuple[int, ...], taps: Taps, sizes: tuple[int | None, ...],
                       have: tuple[int, int], want: tuple[int, int]) -> tuple[Array, tuple[int, ...]]:
    """A filter along one axis on the second site of each pair, which moves lags, then on the first, as sums of taps.

    `have` and `want` are the first and the last lag above and below.
    """
    (axis,), (g,), ndim = taps.axes, taps.geometry, len(start)
    lag, site = 1 + axis, 1 + ndim + axis
    count, ends, stride = values.shape[site], g.extent - 1, g.stride
    least = max(want[0], stride * have[0])  # lags between the two steps, of which the second needs so many
    most = min(want[1] + ends, stride * have[1] + ends)
    weights = taps.weights.tolist()
    if taps.flat:
        values, weights = values if weights[0] == 1 else values * weights[0]**2, [1.0] * len(weights)
    shape = list(values.shape)
    shape[lag] = max(most - least + 1, 0)
    # Where each tap tells all lags, the first need not be added to anything.
    every = stride == 1 and least - ends >= have[0] and most <= have[1]
    middle = blank(shape, every)
    lead = (slice(None),) * lag
    for tap, w in enumerate(weights):
        shift = g.dilation * tap
        first, last = max(-((shift - least) // stride), have[0]), min((most - shift) // stride, have[1])
        if first <= last:
            to = stride * first + shift - least
            part = values[(*lead, slice(first - have[0], last - have[0] + 1))]
            part = part if w == 1 else w * part
            if every and not tap:
                middle[...] = part
            else:
                middle[(*lead, slice(to, to + stride * (last - first) + 1, stride))] += part
    shape[lag], shape[site] = want[1] - want[0] + 1, stride * (count - 1) + g.extent
    every = stride == 1 and least <= want[0] and want[1] + ends <= most
    out = blank(shape, every)
    for tap, w in enumerate(weights):
        shift = g.dilation * tap
        low, high = max(want[0], least - shift), min(want[1], most - shift)
        if low <= high:
            index = [slice(None)] * out.ndim
            index[lag] = slice(low - want[0], high - want[0] + 1)
            index[site] = slice(shift, shift + stride * (count - 1) + 1, stride)
            part = middle[(*lead, slice(low + shift - least, high + shift - least + 1))]
            part = part if w == 1 else w * part
            if every and not tap:
                out[tuple(index)] = part
                out[(slice(None),) * site + (slice(count, None),)] = 0.0
            else:
                out[tuple(index)] += part
    begin = list(start)
    begin[axis] = stride * start[axis] - g.pads(sizes[axis])[0]
    return out, tuple(begin)


def routed(values: Array, start: tuple[int, ...], op: Linear, sizes: tuple[int | None, ...]
           ) -> tuple[Array, tuple[int, ...]]:
    """Power spread evenly over the sites of each window that lie inside."""
    for taps in op.taps:
        w = taps.weights
        values = border(values, start, taps, sizes)
        values, start = adjoint(values, start, taps, sizes, lambda tap, part: w[tap] * part, taps.flat)
        values, start = cut(values, start, sizes, taps.axes)
    return values, start


def routed_pairs(values: Array, start: tuple[int, ...], op: Linear, sizes: tuple[int | None, ...],
                 lags: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """A max pool on the gradients of pairs of windows: where they overlap they have winners in common.

    With U sites in the union of two windows of |A| and |B| sites, the winners are z and w with probability
    [z = w in both]/U + [z in A only, w in B]/(U |B|) + [w in B only, z in A]/(U |A|).  A site that wins both is the
    largest of more, and its gate open more often.  `pooled_pairs` is the other direction.
    """
    geometry, ndim = tuple(taps.geometry[0] for taps in op.taps), len(start)
    have = tuple(n // 2 for n in values.shape[1:1 + ndim])
    near = overlapping(geometry, have)  # further apart, both winners are anywhere
    if near != have:
        inner = (slice(None), *(slice(h - m, h + m + 1) for h, m in zip(have, near)))
        rest = values.copy()
        rest[inner] = 0.0
        apart, first = fixed_pairs(rest, start, op.evenly, sizes, lags)
        close = tuple(min(lag, g.stride * h + g.extent - 1) for lag, g, h in zip(lags, geometry, near))
        together, there = close_pairs(values[inner], start, op, sizes, close)
        if there != first or together.shape[1 + ndim:] != apart.shape[1 + ndim:]:
            return add_on_hull(apart, first, refit_lags(together, close, lags), there)
        apart[(slice(None), *(slice(h - c, h + c + 1) for h, c in zip(lags, close)))] += together
        return apart, first
    close = tuple(min(lag, g.stride * h + g.extent - 1) for lag, g, h in zip(lags, geometry, near))
    total, first = close_pairs(values, start, op, sizes, close)
    return total if close == lags else refit_lags(total, close, lags), first


def close_pairs(values: Array, start: tuple[int, ...], op: Linear, sizes: tuple[int | None, ...],
                close: tuple[int, ...], half: bool = False) -> tuple[Array, tuple[int, ...]]:
    """`routed_pairs` of windows that overlap, for sites that are up to lags `close` apart, or half of these lags."""
    geometry, ndim = tuple(taps.geometry[0] for taps in op.taps), len(start)
    near = tuple(n // 2 for n in values.shape[1:1 + ndim])
    one, other, union = windows(geometry, start, values.shape[1 + ndim:], sizes, near)
    chance = inverse(union)
    both = chance
    if op.opened is not None:
        more = opened(op, one, other, union)
        both = chance * np.concatenate([more] * (len(values) // len(more)))
    power, first = _won_twice(values * both, start, geometry, sizes)
    if not any(close):  # one site cannot be in one window only and in the other
        return power.reshape(len(power), *(1,) * ndim, *power.shape[1:]), first
    weighted = np.stack([values * (chance * inverse(count)) for count in (other, one)], axis=1)
    matrices, counts = _to_others(geometry, near, close, half), values.shape[1 + ndim:]

    def weigh(tap: tuple[int, ...], part: Array) -> Array:
        return np.matmul(matrices[tap], part.reshape(*part.shape[:2], -1)).reshape(len(part), -1, *counts)

    flat = weighted.reshape(len(values), -1, *counts)
    total, first = adjoint(flat, start, _all_taps(op, geometry).taps[0], sizes, weigh)
    before = 0 if half else close[0]  # lags below 0 along the first axis
    lags = before + close[0] + 1, *(2 * h + 1 for h in close[1:])
    total = total.reshape(len(total), *lags, *total.shape[2:])
    total, first = cut_pairs(total, first, sizes, tuple(range(ndim)), half)
    middle: Any = (slice(None), before, *close[1:])
    total[middle] += power
    return total, first


def opened_more(values: Array, start: tuple[int, ...], ops: Sequence[Linear], sizes: tuple[int | None, ...],
                besides: float = 1.0) -> Array:
    """What gates that sites open which win both of two windows add to the power below, shape (groups, *lattice).

    `values` has nothing at lag 0; `routed_pairs` with and without `opened` differ by that.  `ops` are one for all
    groups or one for each.  With `besides` 0 all that such sites get.
    """
    geometry, ndim = tuple(taps.geometry[0] for taps in ops[0].taps), len(start)
    have = tuple(n // 2 for n in values.shape[1:1 + ndim])
    near = overlapping(geometry, have)
    inner: Any = (slice(None), slice(have[0], have[0] + near[0] + 1), *(
        slice(h - m, h + m + 1) for h, m in zip(have[1:], near[1:])))
    values = values[inner]  # pairs that are each other's mirror images give the same
    one, other, union = (np.broadcast_to(count, (1, *(2 * m + 1 for m in near), *count.shape[1 + ndim:]))[:, near[0]:]
                         for count in windows(geometry, start, values.shape[1 + ndim:], sizes, near))
    gain = np.concatenate([np.ones(union.shape) if op.opened is None else opened(op, one, other, union) for op in ops])
    found, _ = _won_twice(values * inverse(union) * (gain - besides), start, geometry, sizes, half=True)
    return found


def _won_twice(values: Array, start: tuple[int, ...], geometry: Sequence[AxisGeometry], sizes: tuple[int | None, ...],
               half: bool = False) -> tuple[Array, tuple[int, ...]]:
    """What each site gets that is in both of two windows, from each pair of windows, shape (groups, *lattice).

    Where `half`, of lags from 0 on along the first axis, those of pairs whose mirror images give the same.
    """
    ndim, counts = len(start), values.shape[1 + len(start):]
    ends = [g.stride * (n - 1) + g.extent for g, n in zip(geometry, counts)]
    total = np.zeros((len(values), *ends))
    middle = [0 if half and axis == 0 else n // 2 for axis, n in enumerate(values.shape[1:1 + ndim])]
    for place in np.ndindex(*values.shape[1:1 + ndim]):
        tau = tuple(k - h for k, h in zip(place, middle))
        common = [_in_both(g, t) for g, t in zip(geometry, tau)]
        if not all(common) or (half and tau <= (0,) * ndim):
            continue
        part = values[(slice(None), *place)]
        for axis, (g, taps, n) in enumerate(zip(geometry, common, counts)):
            out = total if axis == ndim - 1 else np.zeros((len(values), *ends[:axis + 1], *counts[axis + 1:]))
            for tap in taps:
                out[(slice(None),) * (1 + axis) + (slice(tap, tap + g.stride * (n - 1) + 1, g.stride),)] += part
            part = out
    begin = tuple(g.stride * first - g.pads(n)[0] for g, first, n in zip(geometry, start, sizes))
    return cut(2 * total if half else total, begin, sizes, tuple(range(ndim)))


def _in_both(g: AxisGeometry, lag: int) -> range:
    """Sites of a window, from its first, that are in the one so many windows on, too."""
    apart = g.stride * lag
    return range(max(apart, 0), min(g.extent, g.extent + apart), g.dilation) if apart % g.dilation == 0 else range(0)


@remembered(64)
def _to_others(geometry: tuple[AxisGeometry, ...], near: tuple[int, ...], close: tuple[int, ...], half: bool
               ) -> dict[tuple[int, ...], Array]:
    """Per tap of the first window, from pairs of windows to pairs of sites of which one is in one window only.

    Shape (lags of sites, which of both is alone and lags of windows).
    """
    found, winners = {}, _winners(geometry, near)[1:]
    kernel = tuple(g.kernel for g in geometry)
    for tap, (valid, index) in _partners(geometry, near, close).items():
        lag, place = np.arange(valid.shape[1]), np.ravel_multi_index(tap, kernel)
        matrix = np.concatenate([np.where(valid, alone[lag, place, index], 0.0) for alone in winners], axis=1)
        found[tap] = matrix[len(matrix) // (2 * close[0] + 1) * close[0]:] if half else matrix
    return found


def overlapping(geometry: Sequence[AxisGeometry], lags: Sequence[int]) -> tuple[int, ...]:
    """Up to which of the lags two windows have sites in common."""
    return tuple(min(h, (g.extent - 1) // g.stride) for h, g in zip(lags, geometry))


def _all_taps(op: Linear, geometry: tuple[AxisGeometry, ...]) -> Linear:
    """The layer with taps of one on all axes together."""
    taps = Taps(tuple(range(len(geometry))), geometry, np.ones([g.kernel for g in geometry]))
    return op._replace(taps=(taps,), inside_only=False, gain=1.0)


def windows(geometry: Sequence[AxisGeometry], first: tuple[int, ...], counts: Sequence[int],
            sizes: Sequence[int | None], lags: Sequence[int]) -> tuple[Array, Array, Array]:
    """Sites of windows, of their partners and of both together, shape (1, *lags, *lattice)."""
    one, other, both = (np.asarray(math.prod(each)) for each in zip(*(
        _window_counts(g, first[axis], counts[axis], sizes[axis], lags[axis], axis, len(first))
        for axis, g in enumerate(geometry))))
    return one, other, one + other - both


def inverse(counts: Array) -> Array:
    """1 over numbers, 0 of none."""
    return np.divide(1.0, counts, out=np.zeros(counts.shape), where=counts > 0)


def opened(op: Linear, one: Array, other: Array, union: Array) -> Array:
    """How much more often than those of single windows gates of sites are open that win both."""
    assert op.opened is not None
    alone = op.opened(one) * op.opened(other)
    return np.asarray(op.opened(union) / np.sqrt(np.where(alone > 0, alone, 1.0)))


@remembered(512)
def _window_counts(g: AxisGeometry, first: int, count: int, n: int | None, reach: int, axis: int, ndim: int
                   ) -> tuple[Array, Array, Array]:
    """Sites inside the map of windows, of their partners and of both, along one axis of (groups, lags, lattice)."""
    begin = g.stride * (first + np.arange(count)) - g.pads(n)[0]
    apart = g.stride * np.arange(-reach, reach + 1)[:, None]
    inside = np.zeros((3, len(apart), count))
    for tap in range(g.kernel):
        site = begin + g.dilation * tap
        here = np.ones(count, bool) if n is None else (site >= 0) & (site < n)
        other = site + apart
        there = np.ones(other.shape, bool) if n is None else (other >= 0) & (other < n)
        shift = g.dilation * tap - apart
        common = (shift >= 0) & (shift < g.dilation * g.kernel) & (shift % g.dilation == 0)
        inside += np.stack([np.broadcast_to(here, there.shape), there, here & common])
    shape = [1] * (1 + 2 * ndim)
    shape[1 + axis], shape[1 + ndim + axis] = len(apart), count
    return inside[0].reshape(shape), inside[1].reshape(shape), inside[2].reshape(shape)


def _winners(geometry: tuple[AxisGeometry, ...], lags: tuple[int, ...]) -> tuple[Array, ...]:
    """Whether taps a and b of two windows are the same site, a is of the first only, b of the second only.

    Each of shape (lags, taps, taps).
    """
    stride, dilation = (np.array([getattr(g, name) for g in geometry]) for name in ("stride", "dilation"))
    taps = np.array(list(itertools.product(*(range(g.kernel) for g in geometry)))) * dilation
    lag = np.array(list(itertools.product(*(range(-h, h + 1) for h in lags))))
    distance = taps[None, None] + (stride * lag)[:, None, None] - taps[None, :, None]
    same = (distance == 0).all(axis=-1)
    only_a = np.broadcast_to(~same.any(axis=2, keepdims=True), same.shape)
    only_b = np.broadcast_to(~same.any(axis=1, keepdims=True), same.shape)
    return same * 1.0, only_a * 1.0, only_b * 1.0


class _LagMix:
    """What tap a hands on of the pairs at lag tau: to lag tau', through the tap b that fits."""

    def __init__(self, taps: Taps, have: tuple[int, ...], want: tuple[int, ...], weights: Array) -> None:
        self.axes, self.weights = taps.axes, weights
        self.kernel = tuple(g.kernel for g in taps.geometry)
        self.above = 1 if taps.geometry[0].transposed else 2  # which axis of the matrices counts lags above
        self.shape = tuple(2 * h + 1 for h in want)
        self.fits = _partners(taps.geometry, have, want)

    def __call__(self, tap: tuple[int, ...], part: Array) -> Array:
        valid, index = self.fits[tap]
        place = np.ravel_multi_index(tap, self.kernel)
        if self.weights.ndim == 2:
            matrix = np.where(valid, self.weights[place][index], 0.0)
        else:
            lag = np.arange(valid.shape[self.above - 1])
            matrix = np.where(valid, self.weights[lag[:, None] if self.above == 1 else lag, place, index], 0.0)
        if matrix.size == 1:
            return part * matrix.item()
        if len(self.axes) == (part.ndim - 1) // 2:  # all lags, in order
            flat = part.reshape(len(part), matrix.shape[1], -1)
            mixed = np.matmul(flat.swapaxes(1, 2), matrix.T).swapaxes(1, 2)
            return mixed.reshape(len(part), *self.shape, *part.shape[1 + len(self.axes):])
        lag_axes = [1 + axis for axis in self.axes]
        front = np.moveaxis(part, lag_axes, range(len(lag_axes)))
        rest = front.shape[len(lag_axes):]
        mixed = (matrix @ front.reshape(matrix.shape[1], -1)).reshape(*self.shape, *rest)
        return np.moveaxis(mixed, range(len(lag_axes)), lag_axes)


@remembered(256)
def _partners(geometry: tuple[AxisGeometry, ...], have: tuple[int, ...], want: tuple[int, ...]
              ) -> dict[tuple[int, ...], tuple[Array, Array]]:
    """Per tap a, for lags after and before, whether there is a tap b that fits, and which."""
    before, after = (np.array(list(itertools.product(*(range(-h, h + 1) for h in half)))) for half in (have, want))
    stride, dilation = (np.array([getattr(g, name) for g in geometry]) for name in ("stride", "dilation"))
    if geometry[0].transposed:
        step = before[None, :, :] - stride * after[:, None, :]
    else:
        step = after[:, None, :] - stride * before[None, :, :]
    fits, step, kernel = (step % dilation == 0).all(axis=-1), step // dilation, tuple(g.kernel for g in geometry)
    found = {}
    for tap in itertools.product(*map(range, kernel)):
        other = np.array(tap) + step
        valid = fits & ((other >= 0) & (other < kernel)).all(axis=-1)
        found[tap] = valid, np.ravel_multi_index(np.moveaxis(other * valid[..., None], -1, 0), kernel)
    return found
