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

__all__ = ["conv", "conv_input_grad", "conv_out", "conv_weight_grad", "taps"]

TILE_BYTES = 2**20  # of gathered taps: a compromise between L2 and long matrix products
TILE_SITES = 8192


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


def conv_input_grad(dy: Array, w: Array, space: Sequence[int], stride: Sequence[int],
                    dilation: Sequence[int], groups: int = 1) -> Array:
    """Adjoint of `conv` in x: dx[c, s i + d a] += w[o, c, a] dy[o, i], on `space` input sites.

    The forward of a transposed convolution is this with kernels (draws, in, out / groups, *k).
    """
    kernel, (draws, channels, images, *out) = w.shape[3:], dy.shape
    c = w.shape[2]
    if all(s == 1 for s in stride) and 0 not in dy.shape:
        # At stride 1 the adjoint is a correlation with the mirrored kernel, on all sites, gaps included.
        gaps = [d * (k - 1) for d, k in zip(dilation, kernel)]
        wide = _Halo.of(dy, gaps)._replace(space=tuple(space))
        del dy
        return wide.conv(_mirrored(w, groups), dilation, groups)
    dx = np.zeros((draws, groups * c, images, *space), dy.dtype)
    if dy.size == 0:
        return dx
    # Tap by tap otherwise, each onto the sites that it reads.
    rows = _rows(w, draws, groups).reshape(draws, groups, channels // groups, c, -1).swapaxes(2, 3)
    columns = np.ascontiguousarray(dy).reshape(draws, groups, channels // groups, -1)
    for a, view in enumerate(taps(dx, kernel, stride, dilation, out)):
        factor = rows[..., a]
        part = factor * columns if factor.shape[2:] == (1, 1) else factor @ columns
        view += part.reshape(view.shape)
    return dx


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
    space: tuple[int, ...]
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
        return cls(flat, tuple(space), grid, margin)

    def conv(self, w: Array, dilation: Sequence[int], groups: int) -> Array:
        """Correlation y[o, i] = sum over c, a of w[o, c, a] x[c, i + d a - gap], on the sites of `space`."""
        draws, channels = self.flat.shape[:2]
        kernel, out = w.shape[3:], w.shape[1]
        pitch = [math.prod(self.grid[axis + 2:]) for axis in range(len(kernel))]
        a, b, c = self.flat.strides
        sites = math.prod(self.grid)
        view = as_strided(self.flat, (draws, groups, channels // groups, *kernel, sites),
                          (a, channels // groups * b, b, *(d * p * c for d, p in zip(dilation, pitch)), c),
                          writeable=False)
        rows = _rows(w, draws, groups)
        y = np.empty((draws, groups, out // groups, sites), self.flat.dtype)
        for cut, part, columns in _Gather(view, (sites,), self.grid).tiles():
            np.matmul(rows[cut], columns, out=y[cut, :, :, part])
        return y.reshape(draws, out, *self.grid)[on_space(slice(n) for n in self.space)]
