"""Convolution as matrix products: forward, gradient to the input, gradient to the weights.

Arrays are laid out (draws, channels, images, *space), kernels (draws, out, in / groups, *k); an
axis of draws of length 1 stands for all.  Nothing is padded here (`arrays.place` does that): an output
site x reads the input sites s x + d a, a = 0..k-1, all inside.

The taps of a tile of sites are copied side by side (im2col) into a buffer that stays in the cache,
and one matrix product per tile does the rest.  At stride 1 images and space are one flat axis on
which a tap is a shift: runs are long, and what is computed across the ends of rows is cut away.
The gradient to the input lays its map out with gaps of zeros that neighbouring rows share (`_Halo`):
there is less to cut away.  Training has a way of its own, `row_convolution`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .arrays import Array, on_space

__all__ = ["conv", "conv_input_grad", "conv_out", "conv_weight_grad", "taps",
           "taps_by_rest"]

TILE_BYTES = 2**20  # of gathered taps: a compromise between L2 and long matrix products
TILE_SITES = 8192
SCATTER_BYTES = 2**23  # of what all taps give back at once


def conv_out(space: Sequence[int], kernel: Sequence[int], stride: Sequence[int],
             dilation: Sequence[int]) -> tuple[int, ...]:
    """Output sites of an unpadded convolution per axis; none where the kernel does not fit."""
    return tuple(max((n - d * (k - 1) - 1) // s + 1, 0)
                 for n, k, s, d in zip(space, kernel, stride, dilation))


def taps(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int],
         out: Sequence[int]) -> Iterator[Array]:
    """For each tap in row-major order, the view of `x` that it reads: x[..., s i + d a]."""
    for tap in itertools.product(*map(range, kernel)):
        yield x[on_space(slice(d * a, d * a + s * (n - 1) + 1 if n else d * a, s)
                         for a, s, d, n in zip(tap, stride, dilation, out))]


def taps_by_rest(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int],
                 ) -> dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]]:
    """Which taps meet the input sites of each remainder after division by the stride.

    Tap number n (in row-major order) of output site i meets site i + q of those sites, of which (n, q) is a list.
    """
    found: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for n, tap in enumerate(itertools.product(*map(range, kernel))):
        parts = [divmod(a * d, s) for a, d, s in zip(tap, dilation, stride)]
        found.setdefault(tuple(rest for _, rest in parts), []).append((n, tuple(q for q, _ in parts)))
    return found


class _Gather(NamedTuple):
    """All taps of `x` as a view of shape (draws, groups, in / groups, *kernel, *sites)."""

    view: Array
    sites: tuple[int, ...]   # flat at stride 1
    grid: tuple[int, ...]    # (images, *space) on which flat results lie; the valid part is `out`

    def tiles(self) -> Iterator[tuple[slice, slice, Array]]:
        """Slices of draws and of flat sites, and the taps there as (draws, groups, taps, sites)."""
        draws, groups, c = self.view.shape[:3]
        kernel = self.view.shape[3:self.view.ndim - len(self.sites)]
        rows = groups * c * math.prod(kernel)
        room = max(1, min(TILE_SITES, TILE_BYTES // (rows * self.view.itemsize)))
        lengths = (draws, *self.sites)
        sizes: list[int] = []
        for length in reversed(lengths):
            size = max(1, min(length, room))
            size = math.ceil(length / math.ceil(length / size)) if length else 1  # evenly
            sizes.insert(0, size)
            room = room // size if size == length else 1
        buffer = np.empty(rows * math.prod(sizes), self.view.dtype)
        pitch = [math.prod(self.sites[i + 1:]) for i in range(len(self.sites))]
        for start in itertools.product(*(range(0, n, m) for n, m in zip(lengths, sizes))):
            cut = [slice(a, min(a + m, n)) for a, m, n in zip(start, sizes, lengths)]
            shape = [c.stop - c.start for c in cut]
            part = buffer[:rows * math.prod(shape)].reshape(shape[0], groups, c, *kernel, *shape[1:])
            np.copyto(part, self.view[cut[0]][on_space(cut[1:])])
            first = sum(a * p for a, p in zip(start[1:], pitch))
            count = math.prod(shape[1:])
            yield cut[0], slice(first, first + count), part.reshape(shape[0], groups, -1, count)


def _gather(x: Array, groups: int, kernel: Sequence[int], stride: Sequence[int],
            dilation: Sequence[int], out: Sequence[int]) -> _Gather:
    x = np.ascontiguousarray(x)
    draws, channels, images, *space = x.shape
    pitch = x.strides[3:]
    lead = (draws, groups, channels // groups, *kernel)
    strides = (x.strides[0], channels // groups * x.strides[1], x.strides[1],
               *(d * p for d, p in zip(dilation, pitch)))
    if all(s == 1 for s in stride):
        reach = sum(d * (k - 1) * p for d, k, p in zip(dilation, kernel, pitch)) // x.itemsize
        sites = (images * math.prod(space) - reach,)
        return _Gather(as_strided(x, lead + sites, strides + (x.itemsize,), writeable=False), sites,
                       (images, *space))
    sites = (images, *out)
    steps = (x.strides[2], *(s * p for s, p in zip(stride, pitch)))
    return _Gather(as_strided(x, lead + sites, strides + steps, writeable=False), sites, sites)


def _rows(w: Array, draws: int, groups: int) -> Array:
    """Kernels as matrices (draws, groups, out / groups, taps)."""
    w = np.ascontiguousarray(w.reshape(len(w), groups, w.shape[1] // groups, -1))
    return np.broadcast_to(w, (draws, *w.shape[1:]))


def conv(x: Array, w: Array, stride: Sequence[int], dilation: Sequence[int], groups: int = 1) -> Array:
    """Correlation y[o, i] = sum over c, a of w[o, c, a] x[c, s i + d a], without padding."""
    kernel, (draws, _, images, *space) = w.shape[3:], x.shape
    channels = w.shape[1]
    out = conv_out(space, kernel, stride, dilation)
    if 0 in (draws, images, *out):
        return np.zeros((draws, channels, images, *out), x.dtype)
    gather = _gather(x, groups, kernel, stride, dilation, out)
    rows = _rows(w, draws, groups)
    y = np.empty((draws, groups, channels // groups, math.prod(gather.grid)), x.dtype)
    for cut, sites, columns in gather.tiles():
        np.matmul(rows[cut], columns, out=y[cut, :, :, sites])
    whole = y.reshape(draws, channels, *gather.grid)
    return whole[on_space(slice(n) for n in out)]


def conv_input_grad(dy: Array, w: Array, space: Sequence[int], stride: Sequence[int], dilation: Sequence[int],
                    groups: int = 1, wanted: Sequence[tuple[int, int]] | None = None) -> Array:
    """Adjoint of `conv` in x: dx[c, s i + d a] += w[o, c, a] dy[o, i], on `space` input sites.

    Only those that are `wanted` are returned, per axis from the first to before the last (default: all).
    The forward of a transposed convolution is this with kernels (draws, in, out / groups, *k).
    """
    kernel, (draws, _, images, *out) = w.shape[3:], dy.shape
    wanted = [(0, n) for n in space] if wanted is None else wanted
    if 0 in dy.shape or any(a >= b for a, b in wanted):
        return np.zeros((draws, groups * w.shape[2], images, *(max(b - a, 0) for a, b in wanted)), dy.dtype)
    # Kernels that are larger than maps cost more to turn around than what they give to add up.
    if all(s == 1 for s in stride) and math.prod(out) > dy.shape[1] // groups:
        # At stride 1 the adjoint is a correlation with the mirrored kernel, in the gaps included.
        before = [d * (k - 1) - a for d, k, (a, _) in zip(dilation, kernel, wanted)]
        after = [b - n for n, (_, b) in zip(out, wanted)]
        wide = _Halo.of(dy, [max(0, *ends, a) for *ends, (a, _) in zip(before, after, wanted)])
        del dy
        return wide.conv(_mirrored(w, groups), dilation, groups, before, [b - a for a, b in wanted])
    dx = np.zeros((draws, groups * w.shape[2], images, *space), dy.dtype)
    _scatter(dx, np.ascontiguousarray(dy), w, stride, dilation, groups)
    return dx[on_space(slice(*ends) for ends in wanted)]


def _scatter(dx: Array, dy: Array, w: Array, stride: Sequence[int], dilation: Sequence[int], groups: int) -> None:
    """Write into `dx` what `dy` gives back, tap by tap; one matrix product makes what all taps give.

    Sites with the same remainders after division by the stride are added up side by side.
    """
    kernel, (draws, channels, images, *out), c = w.shape[3:], dy.shape, w.shape[2]
    count, sites = math.prod(kernel), math.prod(out)
    rows = w.reshape(len(w), groups, channels // groups, c * count).swapaxes(2, 3)
    columns = dy.reshape(draws, groups, channels // groups, images * sites)
    room = max(1, SCATTER_BYTES // (groups * c * count * sites * dy.itemsize))
    many = min(images, room)
    each = max(1, room // images)
    reached = taps_by_rest(kernel, stride, dilation)
    views = {rest: dx[on_space(slice(r, None, s) for r, s in zip(rest, stride))] for rest in reached}
    for start, first in itertools.product(range(0, draws, each), range(0, images, many)):
        cut, some = slice(start, start + each), slice(first, first + many)
        factor, column = rows if len(rows) == 1 else rows[cut], columns[cut, :, :, first * sites:(first + many) * sites]
        part = factor * column if factor.shape[3] == 1 else factor @ column
        part = part.reshape(len(part), groups * c, count, -1, *out)
        for rest, meeting in reached.items():
            view = views[rest][cut, :, some]
            sums = np.zeros_like(view, order="C")
            for n, offset in meeting:
                sums[on_space(slice(q, q + m) for q, m in zip(offset, out))] += part[:, :, n]
            view[...] = sums


def conv_weight_grad(x: Array, dy: Array, kernel: Sequence[int], stride: Sequence[int],
                     dilation: Sequence[int], groups: int = 1) -> Array:
    """Adjoint of `conv` in w: dw[o, c, a] = sum over images and i of dy[o, i] x[c, s i + d a]."""
    draws, channels, images, *out = dy.shape
    c = x.shape[1] // groups
    dw = np.zeros((draws, groups, channels // groups, c * math.prod(kernel)), dy.dtype)
    if dy.size:
        gather = _gather(x, groups, kernel, stride, dilation, out)
        grid = np.zeros((draws, channels, *gather.grid), dy.dtype)
        grid[on_space(slice(n) for n in out)] = dy
        rows = grid.reshape(draws, groups, channels // groups, -1)
        for cut, sites, columns in gather.tiles():
            dw[cut] += rows[cut, :, :, sites] @ columns.swapaxes(-1, -2)
    return dw.reshape(draws, channels, c, *kernel)


def _mirrored(w: Array, groups: int) -> Array:
    """Kernels of the adjoint of a convolution at stride 1: axes of channels exchanged, taps reversed."""
    draws, channels, c, *kernel = w.shape
    turned = np.flip(w.reshape(draws, groups, channels // groups, c, *kernel).swapaxes(2, 3),
                     tuple(range(4, 4 + len(kernel))))
    return turned.reshape(draws, groups * c, channels // groups, *kernel)


class _Halo(NamedTuple):
    """A map laid out flat, with gaps of zeros after each of its rows, columns, ... and before the first.

    A window that reaches no further than the gaps before a site meets zeros wherever it leaves the map,
    be it in the gap of the row before or of its own.
    """

    flat: Array              # (draws, channels, margin + product of grid + margin)
    grid: tuple[int, ...]    # (images, *(sites and gap))
    margin: int

    @classmethod
    def of(cls, x: Array, gaps: Sequence[int]) -> _Halo:
        """The map `x`, (draws, channels, images, *space)."""
        draws, channels, images, *space = x.shape
        grid = (images, *(n + g for n, g in zip(space, gaps)))
        margin = sum(g * math.prod(grid[axis + 2:]) for axis, g in enumerate(gaps))
        sites = math.prod(grid)
        flat = np.zeros((draws, channels, sites + 2 * margin), x.dtype)
        flat[:, :, margin:margin + sites].reshape(draws, channels, *grid)[on_space(slice(n) for n in space)] = x
        return cls(flat, grid, margin)

    def conv(self, w: Array, dilation: Sequence[int], groups: int, before: Sequence[int],
             wanted: Sequence[int]) -> Array:
        """Correlation y[o, i] = sum over c, a of w[o, c, a] x[c, i + d a - before], on `wanted` sites."""
        draws, channels = self.flat.shape[:2]
        kernel, out = w.shape[3:], w.shape[1]
        pitch = [math.prod(self.grid[axis + 2:]) for axis in range(len(kernel))]
        a, b, c = self.flat.strides
        sites = math.prod(self.grid)
        first = self.flat[:, :, self.margin - sum(n * p for n, p in zip(before, pitch)):]
        view = as_strided(first, (draws, groups, channels // groups, *kernel, sites),
                          (a, channels // groups * b, b, *(d * p * c for d, p in zip(dilation, pitch)), c),
                          writeable=False)
        rows = _rows(w, draws, groups)
        y = np.empty((draws, groups, out // groups, sites), self.flat.dtype)
        for cut, part, columns in _Gather(view, (sites,), self.grid).tiles():
            np.matmul(rows[cut], columns, out=y[cut, :, :, part])
        return y.reshape(draws, out, *self.grid)[on_space(slice(n) for n in wanted)]
