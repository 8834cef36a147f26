"""Pools: the largest value of each window, or a weighted mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...layers import AvgPool, BlurPool, GlobalAvgPool, MaxPool
from ...layers.geometry import AxisGeometry
from ..arrays import Array, channels_last
from ..convolution import conv_out, taps
from .base import Call, Pull, Rule, rule

__all__ = ["Along", "along_axes", "max_pool", "max_pool_grad", "max_pool_winner"]


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
        if not layer.counts_inside_only or n is None:
            return hit / g.kernel
        count = np.minimum(first + g.kernel, n) - np.maximum(first, 0)
        return hit / np.maximum(count, 1)


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
