"""Pools: the largest value of each window, or a weighted mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...layers import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, BlurPool, GlobalAvgPool, MaxPool
from ...layers.geometry import AxisGeometry
from ..arrays import Array, channels_last, place
from ..convolution import conv_out, taps
from .base import Call, Pull, Rule, rule

__all__ = ["Along", "along_axes", "bin_max", "bin_max_grad", "max_pool", "max_pool_grad", "max_pool_winner"]


# -- maxima -----------------------------------------------------------------------------------

def max_pool(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """Largest value of each window, axis by axis.

    Padded with -inf, padded sites never win.
    """
    for axis in range(len(kernel)):
        along, step, apart = ([n if a == axis else 1 for a, n in enumerate(numbers)]
                              for numbers in (kernel, stride, dilation))
        out = conv_out(x.shape[3:], along, step, apart)
        first, *rest = taps(x, along, step, apart, out)
        x = first.copy(order="K")
        for view in rest:
            np.maximum(x, view, out=x)
    return x


def max_pool_winner(x: Array, y: Array, kernel: Sequence[int], stride: Sequence[int],
                    dilation: Sequence[int]) -> Array:
    """Which tap each value of ``y = max_pool(x)`` came from: the first of equals."""
    winner = np.zeros_like(y, np.min_scalar_type(max(math.prod(kernel) - 1, 1)))
    views = list(taps(x, kernel, stride, dilation, y.shape[3:]))
    for a in reversed(range(len(views))):
        np.copyto(winner, a, where=views[a] == y)
    return winner


def max_pool_grad(dy: Array, winner: Array, space: Sequence[int], kernel: Sequence[int], stride: Sequence[int],
                  dilation: Sequence[int]) -> Array:
    """Each window's gradient goes to its winner, on `space` input sites."""
    dx = np.zeros_like(dy, shape=(*dy.shape[:3], *space))
    for a, view in enumerate(taps(dx, kernel, stride, dilation, dy.shape[3:])):
        view += dy * (winner == a)
    return dx


@rule(MaxPool)
class _MaxPool(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        step, window = call.step, call.step.backward
        read, geometry = step.forward.read(inputs.pop(), fill=-np.inf), (step.kernel, step.stride, step.dilation)
        y = max_pool(read, *geometry)
        winner = max_pool_winner(call.kept(read, 0), call.kept(y), *geometry)

        def pull(dy: Array) -> list[Array]:
            return [window.give_back(max_pool_grad(dy, winner, window.reads[0].shape, *geometry))]
        return y, pull


# -- weighted means ---------------------------------------------------------------------------

def along_axes(x: Array, matrices: Sequence[Array | None]) -> Array:
    """Apply a matrix (out, in) to each axis of space; None leaves the axis as it is.  The adjoint has their transposes.
    """
    last = channels_last(x)
    x = np.moveaxis(x, 1, -1) if last else x
    for axis, matrix in enumerate(matrices, start=2 if last else 3):
        if matrix is not None:
            shape = x.shape
            flat = x.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:]))
            matrix = matrix.astype(x.dtype)
            flat = flat[..., 0] @ matrix.T if flat.shape[2] == 1 else matrix @ flat
            x = flat.reshape(*shape[:axis], len(matrix), *shape[axis + 1:])
    return np.moveaxis(x, -1, 1) if last else x


class Along(Rule):
    """Base of layers that are a product with a matrix along each axis."""

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        back = [matrix.T for matrix in call.step.backward.matrices]
        return along_axes(inputs[0], call.step.forward.matrices), lambda dy: [along_axes(dy, back)]


@rule(AvgPool)
class _AvgPool(Along):

    def matrix(self, layer: Any, g: AxisGeometry, out: Array, sites: Array, n: int | None) -> Array:
        first = g.stride * out[:, None] - g.pads(n)[0]
        hit = (sites >= first) & (sites < first + g.kernel)
        if layer.counts_inside_only and n is not None:
            count = np.minimum(first + g.kernel, n) - np.maximum(first, 0)
            return hit / np.maximum(count, 1)
        if g.ceil_mode and n is not None:  # what a window reaches beyond the padding does not count
            after: Any = g.padding[1]
            return hit / np.minimum(g.kernel, n + after - first)
        return hit / g.kernel


@rule(BlurPool)
class _BlurPool(Along):
    """k - 1 steps of 0 or 1, each with probability 1/2."""

    def matrix(self, layer: Any, g: AxisGeometry, out: Array, sites: Array, n: int | None) -> Array:
        weights = np.ones(1)
        for _ in range(g.kernel - 1):
            weights = np.convolve(weights, [0.5, 0.5])
        tap = sites - (g.stride * out[:, None] - g.pads(n)[0])
        return np.where((tap >= 0) & (tap < g.kernel), weights[np.clip(tap, 0, g.kernel - 1)], 0.0)


@rule(GlobalAvgPool)
class _GlobalAvgPool(Along):

    def reads(self, layer: Any, g: AxisGeometry, first: int, last: int, n: int | None) -> tuple[int, int]:
        if n is None:
            raise ValueError("global pooling sees the whole plane: give image=")
        return 0, n - 1

    def matrix(self, layer: Any, g: AxisGeometry, out: Array, sites: Array, n: int | None) -> Array:
        return np.full((len(out), len(sites)), 1.0 / max(len(sites), 1))


# -- bins: a given number, whatever the size of the map ---------------------------------------------------------------

class _Bins(Rule):
    """Bin x = 0..m-1 of n sites holds floor(x n / m) .. ceil((x + 1) n / m) - 1; the matrix says which."""

    def reads(self, layer: Any, g: AxisGeometry, first: int, last: int, n: int | None) -> tuple[int, int]:
        if n is None:
            raise ValueError(f"{layer.op} sees the whole plane: give image=")
        bins = 1 if g.resize is None or g.resize.size is None else g.resize.size
        return first * n // bins, -(-(last + 1) * n // bins) - 1

    def matrix(self, layer: Any, g: AxisGeometry, out: Array, sites: Array, n: int | None) -> Array:
        ends = np.array([self.reads(layer, g, int(x), int(x), n) for x in out], int).reshape(-1, 2, 1)
        return (sites >= ends[:, 0]) & (sites <= ends[:, 1])


@rule(AdaptiveAvgPool)
class _AdaptiveAvgPool(_Bins, Along):

    def matrix(self, layer: Any, g: AxisGeometry, out: Array, sites: Array, n: int | None) -> Array:
        hit = super().matrix(layer, g, out, sites, n)
        return hit / np.maximum(hit.sum(axis=1, keepdims=True), 1)


def bin_max(x: Array, bins: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Largest value of each bin, and per axis the site that it came from; `bins` are (bins, sites) of bool."""
    winners = []
    for axis, rows in enumerate(bins, start=x.ndim - len(bins)):
        parts = [(np.compress(row, x, axis), np.flatnonzero(row)) for row in rows]
        winner = np.stack([sites[part.argmax(axis)] for part, sites in parts], axis)
        x = np.take_along_axis(x, winner, axis)
        winners.append(winner)
    return x, winners


def bin_max_grad(dy: Array, winners: Sequence[Array], space: Sequence[int]) -> Array:
    """Each bin's gradient goes to its winner, on `space` input sites."""
    for axis, (winner, n) in reversed([*enumerate(zip(winners, space), start=dy.ndim - len(winners))]):
        dx = np.zeros_like(dy, shape=(*dy.shape[:axis], n, *dy.shape[axis + 1:]))
        for i in range(dy.shape[axis]):  # bins may share sites
            to, part = (np.take(array, [i], axis) for array in (winner, dy))
            np.put_along_axis(dx, to, np.take_along_axis(dx, to, axis) + part, axis)
        dy = dx
    return dy


@rule(AdaptiveMaxPool)
class _AdaptiveMaxPool(_Bins):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        x, (window, back) = inputs.pop(), (call.step.forward, call.step.backward)
        y, _ = bin_max(x, window.matrices)
        _, winners = bin_max(place(x[:, :, :call.images], window.held[0], back.held[0]), back.matrices)
        return y, lambda dy: [bin_max_grad(dy, winners, back.held[0].shape)]
