"""Convolutions of training, on rows: one row of memory a site, its channels side by side.

A tap of the kernel is then a shift by whole rows, and taps need not be copied side by side: products read the rows
where they are.  Some images at a time are laid out, with gaps of zeros after each line of sites, which neighbouring
lines share, for the padding.  Taps that follow each other in memory are taken together: their channels are one longer
row, if every k-th site is worked on at a time.  With a stride s the sites are dealt out to s maps per axis, and each
tap reads one of them.

Maps come and go as everywhere, (draws, channels, images, *space), but channels are last in the memory of results.
There is one draw, and channels are all mixed or not at all (see `fits_rows`).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .arrays import Array, on_space, per_channel

__all__ = ["Rows", "fits_rows"]

#: OpenBLAS multiplies without packing up to so many multiplications (its kernels for AVX-512).
SMALL = 10**6
#: Rows of a product at least and at most: few calls, and what the caches hold.
LEAST, MOST = 900, 6000
#: Numbers of the images that are laid out at a time: four times as many are in a core's own cache.
ROOM = 5 * 2**14
#: The same where channels are not mixed, and numbers that are multiplied at a time.
APART = 2**13


def fits_rows(x: Array, w: Array, groups: int) -> bool:
    """Whether a convolution can be done on rows: one draw, in one group or in as many as there are channels."""
    return len(x) == len(w) == 1 and (groups == 1 or groups == x.shape[1] == w.shape[1])


class _Run(NamedTuple):
    """Taps that follow each other in memory: which map of the stride they read, from where, and which taps they are."""

    phase: int
    shift: int
    taps: list[int]


class _Plan(NamedTuple):
    """How maps are laid out, and what is read where."""

    grid: tuple[int, ...]           # a line of sites with its gap, per axis
    margin: int                     # rows of zeros before and after all
    phases: list[tuple[int, ...]]   # maps of the stride, by their first sites
    runs: list[_Run]


@functools.lru_cache
def _plan(space: Sequence[int], out: Sequence[int], kernel: Sequence[int], stride: Sequence[int],
          dilation: Sequence[int], before: Sequence[int], together: bool) -> _Plan:
    """Without `together`, each tap is a run of its own."""
    grid, reach, axes = [], [], []
    for n, m, k, s, d, b in zip(space, out, kernel, stride, dilation, before):
        along = [divmod(d * a - b, s) for a in range(k)]
        back, ahead = max(-along[0][0], 0), max(along[-1][0], 0)
        # Who leaves a line must land in a gap: taps in that of the input, their adjoints in that of the output.
        grid.append(max(m + ahead, -(-n // s) + back))
        reach.append(max(back, ahead))
        axes.append(along)
    pitch = [math.prod(grid[axis + 1:]) for axis in range(len(grid))]
    places = [(tuple(r for _, r in tap), sum(q * p for (q, _), p in zip(tap, pitch)))
              for tap in itertools.product(*axes)]
    phases = sorted({phase for phase, _ in places})
    runs: list[_Run] = []
    for tap, (phase, shift) in sorted(enumerate(places), key=lambda item: item[1]):
        run = _Run(phases.index(phase), shift, [tap])
        last = runs[-1] if runs else run
        if together and last.phase == run.phase and last.shift + len(last.taps) == shift:
            last.taps.append(tap)
        else:
            runs.append(run)
    return _Plan(tuple(grid), sum(r * p for r, p in zip(reach, pitch)), phases, runs)


class _Room(NamedTuple):
    """Rows for some images, (margin + sites of the grid + margin, channels), by image, and their sites as a map."""

    rows: Array
    images: Array
    grid: Array

    def sites(self, like: Array) -> Array:
        """Those of a map that is no larger, of all images."""
        return self.grid[on_space(map(slice, like.shape[3:]))]


def _lay(sites: Array, x: Array) -> None:
    """Fill in a map, and zeros for images that it lacks; gaps and margins are zero and stay so."""
    count = x.shape[2]
    if count < sites.shape[2]:
        sites[:, :, count:] = 0
    sites[:, :, :count] = x


#: What to call on two arrays, and the array for the result.
_Step = tuple[np.ufunc, Array, Array, Array]


class Rows:
    """A convolution of maps like `x` by kernels `w`: output site i, of `out`, reads s i + d a - before.

    Parameters
    ----------
    x, w : ndarray
    out, stride, dilation, before : sequence of int
        Per axis.
    groups : int
    """

    def __init__(self, x: Array, w: Array, out: Sequence[int], stride: Sequence[int], dilation: Sequence[int],
                 before: Sequence[int], groups: int) -> None:
        self.x, self.w, self.out, self.stride = x, w[0].reshape(*w.shape[1:3], -1), tuple(out), tuple(stride)
        self.space, self.kernel = x.shape[3:], w.shape[3:]
        self.apart = groups == x.shape[1] == w.shape[1]   # channels are not mixed
        self.grid, self.margin, self.phases, self.runs = _plan(
            self.space, self.out, self.kernel, self.stride, tuple(dilation), tuple(before), not self.apart)
        c_out, c_in = self.w.shape[:2]
        self.tile = max(APART // c_out, 1) if self.apart else min(max(SMALL // (c_in * c_out), LEAST), MOST)
        # Some images are laid out at a time, always as many: all that is to be done to the rows is listed once.
        numbers = max(c_in, c_out) * math.prod(self.grid)
        self.images = _even(x.shape[2], (APART if self.apart else ROOM) // numbers)

    def conv(self, bias: Array | None = None) -> Array:
        """Correlation y[o, i] = sum over c, a of w[o, c, a] x[c, s i + d a - before], and a bias (1, channels)."""
        c_out, c_in = len(self.w), self.x.shape[1]
        x, y = self._dealt(self.x), self._map(c_out, self.out)
        wide, sums = [self._room(c_in) for _ in x], (self._room(c_out), self._room(c_out))
        steps = self._correlation(self.runs, self.w.transpose(2, 1, 0), wide, sums, self.out[0])
        level = None if bias is None else per_channel(bias, y)
        into, found = [(room.sites(part), part) for room, part in zip(wide, x)], sums[0].sites(y)
        for cut in self._blocks():
            for sites, part in into:
                _lay(sites, part[cut])
            _run(steps)
            result = y[cut]
            result[...] = found[:, :, :result.shape[2]]
            if level is not None:
                result += level
        return y

    def gradients(self, dy: Array, to_input: bool) -> tuple[Array, Array | None]:
        """Adjoints of `conv`: the gradient to `w` and, if wanted, that to `x`."""
        c_out, c_in = len(self.w), self.x.shape[1]
        x, dx = self._dealt(self.x), self._map(c_in, self.space) if to_input else None
        wide, given, sums = [self._room(c_in) for _ in x], self._room(c_out), (self._room(c_in), self._room(c_in))
        found = [np.zeros((self.tile, c_in) if self.apart else (len(run.taps), c_out, len(run.taps) * c_in), dy.dtype)
                 for run in self.runs]
        to_w = self._products(wide, given, found)
        to_x = []
        for phase, part in enumerate([] if dx is None else self._dealt(dx)):
            # Site j of the input takes from sites j - shift of the output.
            runs = [_Run(0, 1 - run.shift - len(run.taps), run.taps[::-1]) for run in self.runs if run.phase == phase]
            steps = self._correlation(runs, self.w.transpose(2, 0, 1), [given], sums, part.shape[3])
            to_x.append((part, sums[0].sites(part), steps))
        into = [(room.sites(part), part) for room, part in zip([*wide, given], [*x, dy])]
        for cut in self._blocks():
            for sites, part in into:
                _lay(sites, part[cut])
            _run(to_w)
            for part, sites, steps in to_x:
                _run(steps)
                result = part[cut]
                result[...] = sites[:, :, :result.shape[2]]
        dw = np.empty_like(self.w, order="C")
        for run, total in zip(self.runs, found):
            dw[:, :, run.taps] = total.sum(axis=0).reshape(c_out, len(run.taps), -1).swapaxes(1, 2)
        return dw.reshape(1, *dw.shape[:2], *self.kernel), dx

    # -- maps and rows

    def _blocks(self) -> Iterator[Any]:
        """Cuts of the images that are laid out at a time."""
        return (np.s_[:, :, i:i + self.images] for i in range(0, self.x.shape[2], self.images))

    def _map(self, channels: int, space: Sequence[int]) -> Array:
        """A map for a result; zeros if there are sites that a stride leaves out."""
        make = np.empty if len(self.phases) == math.prod(self.stride) else np.zeros
        return np.moveaxis(make((1, self.x.shape[2], *space, channels), self.x.dtype), -1, 1)

    def _dealt(self, x: Array) -> list[Array]:
        """The maps of the stride, one a phase."""
        return [x[on_space(slice(r, None, s) for r, s in zip(phase, self.stride))] for phase in self.phases]

    def _room(self, channels: int) -> _Room:
        count = self.images * math.prod(self.grid)
        rows = np.zeros((count + 2 * self.margin, channels), self.x.dtype)
        images = rows[self.margin:self.margin + count].reshape(self.images, -1, channels)
        return _Room(rows, images, np.moveaxis(images.reshape(1, self.images, *self.grid, channels), -1, 1))

    # -- products

    def _tiles(self, end: int) -> list[slice]:
        step = _even(end, self.tile)
        return [slice(i, min(i + step, end)) for i in range(0, end, step)]

    def _strips(self, rows: Array, first: int, images: int, count: int, k: int) -> list[Array]:
        """k rows as one, from each of `count` rows on, in each of the images: (images, rows, k channels).

        Such strips overlap, so there is one array for rows r, r + k, ... after the `first`, for each r < k.
        """
        a, b = rows.strides
        return [np.ndarray((images, len(range(r, count, k)), k * rows.shape[1]), rows.dtype, rows,
                           (self.margin + first + r) * a, (math.prod(self.grid) * a, k * a, b)) for r in range(k)]

    def _correlation(self, runs: Sequence[_Run], factors: Array, rooms: Sequence[_Room],
                     sums: tuple[_Room, _Room], lines: int) -> list[_Step]:
        """The sum over all runs, in the first of `sums`; the other is used up.

        Products are by image, of its first `lines`: the gap after them can be large, and OpenBLAS likes small ones.
        """
        steps: list[_Step] = []
        channels = sums[0].rows.shape[1]
        matrices = [np.ascontiguousarray(factors[run.taps].reshape(-1, channels)) for run in runs]
        if self.apart and channels > 1:  # as long as a tile: loops over the channels alone are short
            matrices = [np.tile(row, (self.tile, 1)) for row in matrices]
        images, end = self.images, lines * math.prod(self.grid[1:])
        if self.apart:
            images, end = 1, images * math.prod(self.grid)
        for cut in self._tiles(end):
            total, spare = (room.images.reshape(images, -1, channels)[:, cut] for room in sums)
            count = total.shape[1]
            for number, (run, matrix) in enumerate(zip(runs, matrices)):
                k, part = len(run.taps), spare if number else total
                strips = self._strips(rooms[run.phase].rows, cut.start + run.shift, images, count, k)
                if self.apart:
                    steps += [(np.multiply, strip[0], matrix[:count], part[0]) for strip in strips]
                else:
                    steps += [(np.matmul, strip, matrix, part[:, r::k]) for r, strip in enumerate(strips)]
                if number:
                    steps.append((np.add, total, part, total))
        return steps

    def _products(self, wide: Sequence[_Room], given: _Room, found: Sequence[Array]) -> list[_Step]:
        """Add to `found` what there is of each run: per strip, or where channels are apart per row of a tile."""
        steps: list[_Step] = []
        spare = [np.empty_like(total) for total in found]
        for cut in self._tiles(self.images * math.prod(self.grid)):
            part = given.images.reshape(-1, len(self.w))[cut]
            count = len(part)
            for run, total, into in zip(self.runs, found, spare):
                k = len(run.taps)
                strips = self._strips(wide[run.phase].rows, cut.start + run.shift, 1, count, k)
                if self.apart:
                    total, into = total[:count], into[:count]
                    steps += [(np.multiply, strip[0], part, into) for strip in strips]
                else:
                    steps += [(np.matmul, part[r::k].T, strip[0], into[r]) for r, strip in enumerate(strips)]
                steps.append((np.add, total, into, total))
        return steps


def _even(count: int, most: int) -> int:
    """Size of parts of `count`, as even as can be, that are no larger than `most` (or 1)."""
    return max(-(-count // max(-(-count // max(most, 1)), 1)), 1)


def _run(steps: Sequence[_Step]) -> None:
    for function, left, right, out in steps:
        function(left, right, out=out)
