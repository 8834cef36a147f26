"""Gradients to the inputs of convolutions with 3 taps per axis, of many images at once, in fewer multiplications.

Of an axis, 4 neighbouring results of a correlation with 3 taps take 12 multiplications, or 6 after a linear
transformation of the 6 numbers that they read (Winograd; Lavin and Gray, arXiv 1509.09308): on maps a quarter of them.
The transformations round more (some 1e-5 of the result in single precision), and kernels are transformed in each call.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..layers.geometry import Box
from .arrays import Array, on_space, place

__all__ = ["fits_tiles", "tiled_input_grad"]

#: Results per tile and axis, and what they read.
STEP, READ = 4, 6
#: Of 6 inputs, of 3 taps, and of 6 products to 4 results; per axis.
INPUTS = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                   [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])
TAPS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
RESULTS = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
#: Fewer channels do not pay for the transformations, fewer tiles not for that of the kernel, nor do emptier tiles.
LEAST_CHANNELS, LEAST_TILES, LEAST_FULL = 48, 64, 9
#: Of the inputs of the tiles that are transformed together, unless matrix products want more.
TILE_BYTES = 2**19


def fits_tiles(dy: Array, w: Array, stride: Sequence[int], dilation: Sequence[int], groups: int,
               wanted: Sequence[tuple[int, int]]) -> bool:
    """Whether `tiled_input_grad` can be asked, and is faster than `conv_input_grad`."""
    if len(dy) > 1 or groups > 1 or dy.dtype != np.float32 or len(wanted) > 2 or min(w.shape[1:3]) < LEAST_CHANNELS or (
            set(w.shape[3:]) != {3} or {*stride, *dilation} != {1}):
        return False
    tiles = math.prod(math.ceil((b - a) / STEP) for a, b in wanted)
    return dy.shape[2] * tiles >= LEAST_TILES and LEAST_FULL * tiles <= math.prod(dy.shape[3:])


def tiled_input_grad(dy: Array, w: Array, wanted: Sequence[tuple[int, int]]) -> Array:
    """`conv_input_grad` of one draw and group at stride and dilation 1, on the `wanted` sites."""
    (channels, images, *out), count, axes = dy.shape[1:], w.shape[2], len(wanted)
    tiles = [math.ceil((b - a) / STEP) for a, b in wanted]
    lo = [a - 2 for a, _ in wanted]
    x = place(dy[0], Box((0,) * axes, tuple(n - 1 for n in out)),
              Box(tuple(lo), tuple(a + STEP * n + 1 for a, n in zip(lo, tiles))))
    inputs, taps, results = (functools.reduce(np.kron, [matrix] * axes).astype(dy.dtype)
                             for matrix in (INPUTS, TAPS[:, ::-1], RESULTS))
    kernel = (taps @ w[0].reshape(channels * count, -1).T).reshape(-1, channels, count).swapaxes(1, 2)
    y = np.empty((count, images, *(STEP * n for n in tiles)), dy.dtype)
    # So many that the transformed kernels are read from memory only now and then.
    room = max(TILE_BYTES // (len(inputs) * (channels + count) * dy.itemsize), channels * count // 256)
    rest = math.prod(tiles[1:])
    many, rows = (min(images, room // (tiles[0] * rest)), tiles[0]) if room >= tiles[0] * rest else (
        1, max(1, room // rest))
    size = many * rows * rest
    buffers = [np.empty(n, dy.dtype) for n in (len(inputs) * max(channels, count) * size,) * 2]
    pitch = x.strides[2:]
    for i, j in itertools.product(range(0, images, many), range(0, tiles[0], rows)):
        shape = min(many, images - i), min(rows, tiles[0] - j), *tiles[1:]
        view = as_strided(x[:, i:, STEP * j:], (*(READ,) * axes, channels, *shape),
                          (*pitch, *x.strides[:2], *(STEP * p for p in pitch)), writeable=False)
        n = math.prod(shape)
        gathered, transformed = (b[:len(inputs) * channels * n].reshape(len(inputs), -1) for b in buffers)
        np.copyto(gathered.reshape(view.shape), view)
        np.matmul(inputs, gathered, out=transformed)
        products, found = (b[:k * count * n].reshape(k, -1) for b, k in zip(buffers, (len(inputs), len(results))))
        np.matmul(kernel, transformed.reshape(-1, channels, n), out=products.reshape(-1, count, n))
        np.matmul(results, products, out=found)
        part = y[:, i:i + shape[0], STEP * j:STEP * (j + shape[1])]
        split = part.reshape(count, shape[0], *itertools.chain(*((m, STEP) for m in shape[1:])))
        order = (*range(3, split.ndim, 2), 0, 1, *range(2, split.ndim, 2))
        split.transpose(order)[...] = found.reshape(*(STEP,) * axes, count, *shape)
    return y[None][on_space(slice(b - a) for a, b in wanted)]
