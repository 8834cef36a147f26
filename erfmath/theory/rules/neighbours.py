"""How much neighbours near a border share, of what sites far from it do (docs/theory.md, equation 62).

What two sites of a channel share they share through taps that both of them have, and near a border
they have fewer in common than each has.  In deep networks without batch norm sites differ little,
so that this decides who wins in a max pool.  Along one axis, with one row per distance,
``line[d, x]`` is the correlation of sites x and x + d over that of distant sites.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Union

import numpy as np

from ...layers.geometry import AxisGeometry
from ..memory import remembered
from ..sweep.moments import Moments, ratio
from ..sweep.taps import Array, Taps, forward

if TYPE_CHECKING:
    from ..sweep.plan import Graph

__all__ = ["Borders", "Line", "Passage", "through_activation", "through_pool", "through_taps", "within_windows"]

#: Along an axis; None where all sites share alike.
Line = Union[Array, None]
#: Distances that are followed: a pool of stride s divides them by s.
REACH = 32
#: What counts as no difference.
ROUNDING = 1e-12


class Passage(NamedTuple):
    """How a layer passes lines on: ``through(axis, line, m, level, n_out)`` is the line after it.

    `m` are the moments before it; with `by_level`, `level` is their second moment along the axis.
    """

    through: Callable[[int, Line, Moments, Array, int], Line]
    by_level: bool = False


class Borders:
    """The lines of the nodes of an image from which layers that pass them lead on to a max pool."""

    def __init__(self, graph: Graph, extents: Mapping[int, tuple[int, ...]]) -> None:
        self._graph, self._extents = graph, extents
        self._none: tuple[Line, ...] = (None,) * graph.ndim
        self._followed: set[int] = set()
        self.lines: dict[int, tuple[Line, ...]] = {}
        if graph.sizes[-1][0] is not None:
            for i in range(graph.top, -1, -1):
                if graph.ops[i].routes or (i in self._followed and self._passage(i) is not None):
                    self._followed.add(graph.sources[i][0])

    def _passage(self, i: int) -> Passage | None:
        if len(self._graph.sources[i]) > 1:
            return None
        return self._graph.rules[i].passage(self._graph.layers[i], self._graph.ops[i], self._graph.ndim)

    def follow(self, i: int, m: Moments) -> None:
        """Note the lines after node `i`, where they matter; `m` are the moments of its input."""
        if i not in self._followed:
            return
        op, passage = self._graph.ops[i], self._passage(i)
        if passage is None or not any(m.corr_site.tolist()) or len(m.corr_site) > 1:
            self.lines[i] = self._none
            return
        lines, sizes = self.lines.get(self._graph.sources[i][0], self._none), m.second.shape[1:]
        if m.alike and all(line is lines[0] for line in lines):
            level = _along(m, 0) if passage.by_level else np.zeros(0)
            self.lines[i] = (passage.through(0, lines[0], m, level, self._extents[i][0]),) * m.ndim
            return
        levels = [_along(m, axis) for axis in range(m.ndim)] if passage.by_level else [np.zeros(0)] * m.ndim
        found: list[Line] = []
        for axis, (line, n, level, n_out) in enumerate(zip(lines, sizes, levels, self._extents[i])):
            like = line is lines[0] and op.like_axes and n == sizes[0]
            if axis and like and np.allclose(level, levels[0], rtol=1e-12, atol=0):
                found.append(found[0])  # rows and columns alike
            else:
                found.append(passage.through(axis, line, m, level, n_out))
        self.lines[i] = tuple(found)

    def within(self, i: int) -> Line:
        """For each window of the pool `i`, how much of the correlation of distant sites its sites have."""
        j = self._graph.sources[i][0]
        geometry = [taps.geometry[0] for taps in self._graph.ops[i].taps]
        return within_windows(self.lines.get(j, ()), geometry, self._extents[j], self._extents[i])


def _along(m: Moments, axis: int) -> Array:
    """Second moments along an axis."""
    return np.asarray(np.add.reduce(m.second, axis=tuple(a for a in range(1 + m.ndim) if a != 1 + axis)))


def _even(line: Line, n: int) -> Array:
    return np.ones((min(REACH, n - 1) + 1, n)) if line is None else line


def through_taps(line: Line, level: Array, taps: Taps, n_out: int) -> Line:
    """After a random convolution; `level` is the second moment along the axis before it."""
    n, stride = len(level), taps.geometry[0].stride
    line = _even(line, n)[::stride]
    both = forward(line * _products(level, len(line), stride), taps._replace(axes=(0,)), (n,), (n_out,))
    return _uneven(ratio(both, _products(both[0], len(both), 1), 1.0))


def _uneven(line: Array) -> Line:
    """The line, unless it says of all sites alike but for rounding, so that it is none."""
    return None if (np.abs(line - 1) < ROUNDING).all() else line


def _products(own: Array, distances: int, step: int) -> Array:
    """Root of own(x) own(x + d) for d = 0, step, ...; 0 where that is beyond the map."""
    root = np.zeros(len(own) + step * (distances - 1))
    np.sqrt(own, out=root[:len(own)])
    return root[:len(own)] * np.lib.stride_tricks.sliding_window_view(root, len(own))[::step]


def through_activation(line: Line, correlation: Callable[[Array], Array]) -> Line:
    """`correlation(r)` is that after the activation where it was r times that of distant sites before."""
    if line is None:
        return None
    after = np.ones(line.shape)
    near, whole = line < 1, correlation(np.ones(1))
    after[near] = correlation(line[near]) / whole if whole.all() else line[near]  # of values below floats: as before
    return after


def through_pool(line: Line, g: AxisGeometry, n: int, n_out: int) -> Line:
    """Between windows of a pool: the mean over pairs of their sites."""
    if line is None:
        return None
    reach = max((len(line) - g.extent) // g.stride, 0)
    after = np.ones((reach + 1, n_out))
    for d in range(1, reach + 1):
        after[d, :max(n_out - d, 0)] = ratio(*_pairs(line, g, n, n_out - d, d), 1.0)
    return after


def within_windows(lines: Sequence[Line], geometry: Sequence[AxisGeometry], sizes: Sequence[int],
                   sizes_out: Sequence[int]) -> Line:
    """For each window of a pool, the mean of the product of `lines` over pairs of different sites."""
    if all(line is None for line in lines):
        return None
    along = [_pairs(_even(line, n), g, n, m, 0) for line, g, n, m in zip(lines, geometry, sizes, sizes_out)]
    total, pairs = (np.asarray(math.prod(np.ix_(*both))) for both in zip(*along))
    sites = np.sqrt(pairs)  # each with each, and with itself
    return ratio(total - sites, pairs - sites, 1.0)


def _pairs(line: Array, g: AxisGeometry, n: int, windows: int, d: int) -> tuple[Array, Array]:
    """Sum over pairs of sites of windows y and y + d, and how many pairs there are."""
    distance, first, there, count = _places(len(line), g, n, windows, d)
    return np.add.reduce(there * line[distance, first], axis=(0, 1)), count


@remembered(256)
def _places(distances: int, g: AxisGeometry, n: int, windows: int, d: int) -> tuple[Array, Array, Array, Array]:
    """Of these pairs the distance, the first site, whether both are on the map, and how many are, per window."""
    first = g.stride * np.arange(max(windows, 0)) - g.pads(n)[0]
    taps = np.arange(0, g.extent, g.dilation)
    x, z = first + taps[:, None, None], first + g.stride * d + taps[:, None]
    there = (x >= 0) & (x < n) & (z >= 0) & (z < n)
    distance = np.minimum(np.abs(z - x), distances - 1)
    return distance, np.clip(np.minimum(x, z), 0, n - 1), there * 1.0, there.sum(axis=(0, 1)) * 1.0
