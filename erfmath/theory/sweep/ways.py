"""How far the ways between two nodes move a gradient: what branches that meet share is then found near by.

Between two maps of the same lattice, a gradient at one site comes to few sites further down if every layer between is a
window.  The response of all sites is then told from that of few patterns, of sites that lie far enough apart
(equation 24, as a band of the matrix).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...base.errors import check_bytes
from .taps import REMEDY, Array

if TYPE_CHECKING:
    from .plan import Edge, Graph

__all__ = ["Band", "Span", "band_of", "patterns", "shared", "span"]


class Span(NamedTuple):
    """Per axis, the first and the last site to which a gradient may come, relative to where it was."""

    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def width(self) -> tuple[int, ...]:
        """Sites from the first to the last."""
        return tuple(b - a + 1 for a, b in zip(self.low, self.high))

    @property
    def apart(self) -> tuple[int, ...]:
        """By how much two gradients that come along different ways may be further apart than they were."""
        return tuple(b - a for a, b in zip(self.low, self.high))


def span(graph: Graph, below: Mapping[int, Sequence[tuple[int, Edge]]], begin: int, end: int, above: int
         ) -> Span | None:
    """Where all ways from the output of node `begin` to that of `end` lead; None where one is no row of windows.

    `above` are the nodes that lead to `end`, as bits from -1.
    """
    found: dict[int, Span] = {begin: Span((0,) * graph.ndim, (0,) * graph.ndim)}
    for k in range(begin, end, -1):
        here = found.pop(k, None)
        if here is None or graph.ops[k].fresh:
            continue
        for j, edge in below.get(k, ()):
            if not above >> (j + 1) & 1:
                continue
            low, high = list(here.low), list(here.high)
            op = graph.ops[k]
            if op.fold or graph.rules[k].moves or (k, edge.slot) in graph.one_site:
                return None
            for taps in op.taps:
                for axis, g in zip(taps.axes, taps.geometry):
                    if taps.rows is not None or g.transposed or g.stride != 1 or g.resize or g.padding == "whole":
                        return None
                    before = g.pads(graph.sizes[j][axis])[0]
                    low[axis], high[axis] = low[axis] - before, high[axis] + g.extent - 1 - before
            if j in found:
                low, high = list(map(min, low, found[j].low)), list(map(max, high, found[j].high))
            found[j] = Span(tuple(low), tuple(high))
    return found.get(end)


def patterns(sites: tuple[int, ...], reach: Span) -> Array:
    """Gradients of 1 at sites that lie so far apart that none comes where another does, (numbers, 1, *sites)."""
    number = _numbers(sites, reach)
    return np.asarray((number == np.arange(number.max() + 1).reshape(-1, *(1,) * len(sites)))[:, None] * 1.0)


def _numbers(sites: tuple[int, ...], reach: Span) -> Array:
    """In which of `patterns` each site is."""
    number = np.zeros(sites, np.intp)
    for axis, (n, width) in enumerate(zip(sites, reach.width)):
        shape = [1] * len(sites)
        shape[axis] = n
        number = number * min(width, n) + (np.arange(n) % width).reshape(shape)
    return number


class Band(NamedTuple):
    """What a gradient at each site is at those near it: for each step along the axes, if any, a map over sites."""

    reach: Span
    maps: Mapping[tuple[int, ...], Array]


def band_of(values: Array, first: tuple[int, ...], sites: tuple[int, ...], reach: Span) -> Band:
    """From the response to `patterns` of `sites`, (numbers, 1, *map), whose map begins at `first` relative to them."""
    number, maps = _numbers(sites, reach), {}
    for step in itertools.product(*map(range, reach.width)):
        places = [np.arange(n) + low + d - a for n, low, d, a in zip(sites, reach.low, step, first)]
        there = [((at >= 0) & (at < n)) * 1.0 for at, n in zip(places, values.shape[2:])]
        index = np.ix_(*(np.clip(at, 0, n - 1) for at, n in zip(places, values.shape[2:])))
        found = values[(number, 0, *index)] * math.prod(np.ix_(*there))
        if found.any():
            maps[step] = found
    return Band(reach, maps)


def shared(group: Array, one: Band, other: Band, first: tuple[int, ...], extent: tuple[int, ...],
           lags: tuple[int, ...]) -> Array:
    """T M T'^T and its transpose for M(x, tau), shape (1, *lags, *extent), on a map that begins at `first`."""
    ndim, reach = len(extent), one.reach
    sites, have = group.shape[ndim:], tuple(n // 2 for n in group.shape[:ndim])
    shape = *(2 * h + w for h, w in zip(have, reach.width)), *sites
    check_bytes(16 * math.prod(shape), f"a covariance of shape {shape}", REMEDY)
    moved = np.zeros(shape)  # the second site of each pair, to where it comes
    for step, values in other.maps.items():
        around = np.pad(values, [(h, h) for h in have])
        there = np.lib.stride_tricks.sliding_window_view(around, sites)
        moved[tuple(slice(d, d + 2 * h + 1) for d, h in zip(step, have))] += group * there
    out = np.zeros((*(2 * h + 1 for h in lags), *extent))
    for step, values in one.maps.items():  # then the first one
        into, read = [], []
        for d, h, want, n in zip(step, have, lags, shape):
            begin = d + h - want  # which lag before comes to the first one after
            low, high = max(begin, 0), min(begin + 2 * want + 1, n)
            into.append(slice(low - begin, high - begin))
            read.append(slice(low, high))
        for d, low, a, n, m in zip(step, reach.low, first, sites, extent):
            begin = low + d - a
            into.append(slice(max(begin, 0), max(min(begin + n, m), 0)))
            read.append(slice(max(-begin, 0), max(min(n, m - begin), 0)))
        out[tuple(into)] += values[tuple(read[ndim:])] * moved[tuple(read)]
    both = out.copy()
    turned = out[(slice(None, None, -1),) * ndim]
    for place in np.ndindex(*out.shape[:ndim]):
        tau = tuple(t - h for t, h in zip(place, lags))
        here = tuple(slice(max(-t, 0), max(n - max(t, 0), 0)) for t, n in zip(tau, extent))
        away = tuple(slice(max(t, 0), max(n - max(-t, 0), 0)) for t, n in zip(tau, extent))
        both[(*place, *here)] += turned[(*place, *away)]
    return both[None]
