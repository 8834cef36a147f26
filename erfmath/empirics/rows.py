"""Convolutions of training, on rows: one row of memory a site, its channels side by side.

A tap of the kernel is then a shift by whole rows, so that no tap is ever copied: the products read the map itself.
Gaps of zeros behind each line of sites, which neighbouring lines share, stand for the padding.  Taps that follow
each other in memory are taken together: their channels are one longer row, if every k-th site at a time is worked
on.  With a stride s the sites are dealt out to s maps per axis, and each tap reads one of them.

Maps come and go as everywhere, (draws, channels, images, *space), but the results are views of such rows: channels
are last in memory.  There is one draw, and channels are all mixed or not at all (see `fits`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .convolution import on_space

__all__ = ["Rows", "fits"]

Array = npt.NDArray[Any]

#: OpenBLAS multiplies without packing up to so many multiplications (its kernels for AVX-512).
SMALL = 10**6
#: Rows of a tile at least and at most: few calls, and tiles that the caches hold.
LEAST, MOST = 900, 6000
#: Numbers of a tile where channels are not mixed.
TILE = 2**14


def fits(x: Array, w: Array, groups: int) -> bool:
    """Whether a convolution can be done on rows: one draw, in one group or in as many as there are channels."""
    return len(x) == len(w) == 1 and (groups == 1 or groups == x.shape[1] == w.shape[1])


class _Run(NamedTuple):
    """Taps that follow each other in memory: the map of the stride that they read, where, and which they are."""

    phase: int
    first: int
    taps: list[int]


class Rows(NamedTuple):
    """Where a convolution finds its sites: of an input of `space` it makes an output of `out`."""

    space: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    grid: tuple[int, ...]               # a line of sites with its gap, per axis
    margin: int                         # rows of zeros before and behind all
    phases: list[tuple[int, ...]]       # maps of the stride, by their first site
    runs: list[_Run]
    apart: bool                         # channels are not mixed

    @classmethod
    def of(cls, x: Array, out: Sequence[int], w: Array, stride: Sequence[int], dilation: Sequence[int],
           before: Sequence[int], groups: int) -> Rows:
        """For the map `x` and kernels `w`; output site i reads s i + d a - before."""
        space, kernel = x.shape[3:], w.shape[3:]
        grid, reach, places = [], [], []
        for n, m, k, s, d, b in zip(space, out, kernel, stride, dilation, before):
            along = [divmod(d * a - b, s) for a in range(k)]
            back, ahead = max(-along[0][0], 0), max(along[-1][0], 0)
            # Whoever leaves a line must land in a gap: taps that of the input, their adjoints that of the output.
            grid.append(max(m + ahead, -(-n // s) + back))
            reach.append(max(back, ahead))
            places.append(along)
        pitch = [math.prod(grid[axis + 1:]) for axis in range(len(grid))]
        found: list[tuple[tuple[int, ...], int]] = []   # phase and shift of each tap
        for tap in itertools.product(*places):
            found.append((tuple(r for _, r in tap), sum(q * p for (q, _), p in zip(tap, pitch))))
        apart = groups == x.shape[1] == w.shape[1]
        phases = sorted({phase for phase, _ in found})
        runs: list[_Run] = []
        for tap, (phase, shift) in sorted(enumerate(found), key=lambda item: item[1]):
            last = runs[-1] if runs else None
            if last and not apart and phases[last.phase] == phase and shift == last.first + len(last.taps):
                last.taps.append(tap)
            else:
                runs.append(_Run(phases.index(phase), shift, [tap]))
        return cls(space, tuple(out), kernel, tuple(stride), tuple(grid), sum(r * p for r, p in zip(reach, pitch)),
                   phases, runs, apart)

    def lay_input(self, x: Array) -> Array:
        """Rows of an input, (phases, margin + sites of the grid + margin, channels)."""
        return self._lay(x, [on_space(slice(r, None, s) for r, s in zip(phase, self.stride)) for phase in self.phases])

    def lay_output(self, dy: Array) -> Array:
        """Rows of an output, or of its gradient: the same for a single phase."""
        return self._lay(dy, [...])

    def _lay(self, x: Array, cuts: Sequence[Any]) -> Array:
        channels, images = x.shape[1:3]
        rows = np.zeros((len(cuts), images * math.prod(self.grid) + 2 * self.margin, channels), x.dtype)
        for part, cut in zip(rows, cuts):
            sites = x[0][cut]
            self._sites(part[self.margin:len(part) - self.margin], sites.shape[2:])[...] = sites
        return rows

    def _sites(self, rows: Array, space: Iterable[int]) -> Array:
        """The sites of `space` among rows without margins, as (channels, images, *space)."""
        whole = rows.reshape(-1, *self.grid, rows.shape[-1])
        return np.moveaxis(whole, -1, 0)[on_space(slice(n) for n in space)]

    def conv(self, x: Array, w: Array) -> Array:
        """Correlation y[o, i] = sum over c, a of w[o, c, a] x[c, s i + d a - before], of an input that is laid out."""
        factors = w[0].reshape(*w.shape[1:3], -1).transpose(2, 1, 0)
        y = self._correlate([(x[run.phase], run.first, factors[run.taps]) for run in self.runs])
        return self._sites(y, self.out)[None]

    def input_grad(self, dy: Array, w: Array) -> Array:
        """Adjoint of `conv` in x, of an output that is laid out."""
        factors = w[0].reshape(*w.shape[1:3], -1).transpose(2, 0, 1)
        if self.apart:
            factors = factors.swapaxes(1, 2)
        parts = []
        for number in range(len(self.phases)):
            terms = [(dy[0], 1 - run.first - len(run.taps), factors[run.taps[::-1]])
                     for run in self.runs if run.phase == number]
            parts.append(self._correlate(terms))
        if max(self.stride) == 1:
            return self._sites(parts[0], self.space)[None]
        images = len(parts[0]) // math.prod(self.grid)
        dx = np.zeros((images, *self.space, parts[0].shape[1]), dy.dtype)
        whole = np.moveaxis(dx, -1, 0)
        for phase, part in zip(self.phases, parts):
            sites = whole[on_space(slice(r, None, s) for r, s in zip(phase, self.stride))]
            sites[...] = self._sites(part, sites.shape[2:])
        return whole[None]

    def weight_grad(self, x: Array, dy: Array) -> Array:
        """Adjoint of `conv` in w, of an input and an output that are laid out."""
        c_in, c_out = x.shape[2], dy.shape[2]
        tile = self._tile(c_in, c_out)
        total = len(dy[0]) - 2 * self.margin
        shape = (tile * c_in,) if self.apart else (c_in, c_out)
        sums = [np.zeros((len(run.taps) * shape[0], *shape[1:]), x.dtype) for run in self.runs]
        for start in range(0, total, tile):
            count = min(tile, total - start)
            given = dy[0][self.margin + start:self.margin + start + count]
            for run, into in zip(self.runs, sums):
                if self.apart:
                    first = self.margin + start + run.first
                    into[:given.size] += (x[run.phase][first:first + count] * given).ravel()
                    continue
                for r, strip in self._strips(x[run.phase], start + run.first, count, len(run.taps)):
                    into += strip.T @ given[r::len(run.taps)]
        dw = np.empty((math.prod(self.kernel), 1 if self.apart else c_in, c_out), x.dtype)
        for run, into in zip(self.runs, sums):
            dw[run.taps] = into.reshape(tile, 1, c_in).sum(0) if self.apart else into.reshape(-1, c_in, c_out)
        return np.ascontiguousarray(dw.transpose(2, 1, 0)).reshape(1, c_out, -1, *self.kernel)

    def _tile(self, c_in: int, c_out: int) -> int:
        """Rows that are worked on at once."""
        return max(TILE // c_in, 1) if self.apart else min(max(SMALL // (c_in * c_out), LEAST), MOST)

    def _strips(self, rows: Array, start: int, count: int, k: int) -> Iterator[tuple[int, Array]]:
        """k rows from each site on as one, of `count` sites from `start` on: sites r, r + k, ... for each r < k."""
        channels = rows.shape[1]
        for r in range(min(k, count)):
            first, number = self.margin + start + r, len(range(r, count, k))
            yield r, rows[first:first + number * k].reshape(number, k * channels)

    def _correlate(self, terms: Sequence[tuple[Array, int, Array]]) -> Array:
        """Sum over terms (rows, shift, factors of consecutive taps) of factors times the rows from i + shift on."""
        rows, _, factors = terms[0]
        c_in, c_out = factors.shape[1:]
        c_in, c_out = (c_out, c_out) if self.apart else (c_in, c_out)
        tile = self._tile(c_in, c_out)
        y = np.empty((len(rows) - 2 * self.margin, c_out), rows.dtype)
        spare = np.empty((tile, c_out), rows.dtype)
        matrices = [np.tile(f.reshape(-1), tile) if self.apart else f.reshape(-1, c_out) for _, _, f in terms]
        for start in range(0, len(y), tile):
            part = y[start:start + tile]
            for number, ((rows, shift, _), matrix) in enumerate(zip(terms, matrices)):
                into = spare[:len(part)] if number else part
                if self.apart:
                    first = self.margin + start + shift
                    np.multiply(rows[first:first + len(part)].reshape(-1), matrix[:part.size], out=into.reshape(-1))
                else:
                    k = len(matrix) // c_in
                    for r, strip in self._strips(rows, start + shift, len(part), k):
                        np.matmul(strip, matrix, out=into[r::k])
                if number:
                    part += into
        return y
