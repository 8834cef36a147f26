"""Layers that pick, order or rearrange channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...layers import PixelShuffle, PixelUnshuffle, Shuffle, Slice, Softmax
from ...layers.geometry import Box
from ..arrays import Array, place
from .base import Call, Pull, Rule, rule

__all__ = ["shuffled", "unshuffled"]


@rule(Slice)
class _Slice(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        layer: Any = call.step.layer
        channels, cut = inputs[0].shape[1], np.s_[:, layer.start:layer.stop]

        def pull(dy: Array) -> list[Array]:
            dx = np.zeros_like(dy, shape=(len(dy), channels, *dy.shape[2:]))
            dx[cut] = dy
            return [call.step.backward.give_back(dx)]
        return call.step.forward.read(inputs[0])[cut], pull


@rule(Shuffle)
class _Shuffle(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        layer: Any = call.step.layer
        order = np.arange(inputs[0].shape[1]).reshape(layer.groups, -1).T.ravel()
        back = np.argsort(order)
        return call.step.forward.read(inputs[0])[:, order], lambda dy: [call.step.backward.give_back(dy[:, back])]


@rule(Softmax)
class _Softmax(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        from scipy.special import softmax
        layer: Any = call.step.layer
        x = call.step.forward.read(inputs[0])
        y = softmax(_parted(x, layer.parts), axis=1).reshape(x.shape)
        kept = call.kept(y)

        def pull(dy: Array) -> list[Array]:
            mean = _parted(dy * kept, layer.parts).sum(axis=1, keepdims=True)
            return [call.step.backward.give_back(((_parted(dy, layer.parts) - mean).reshape(dy.shape)) * kept)]
        return y, pull


def _parted(x: Array, parts: int) -> Array:
    return x.reshape(len(x), parts, x.shape[1] // parts, *x.shape[2:])


def shuffled(x: Array, scale: Sequence[int]) -> Array:
    """Channels to space: channel c prod(scale) + i of a site becomes channel c of site i of its block."""
    n = len(scale)
    # (draws, channels, *scale, images, *space)
    blocks = x.reshape(len(x), x.shape[1] // math.prod(scale), *scale, *x.shape[2:])
    blocks = blocks.transpose(0, 1, 2 + n, *(axis for i in range(n) for axis in (3 + n + i, 2 + i)))
    return blocks.reshape(*blocks.shape[:3], *(m * s for m, s in zip(x.shape[3:], scale)))


def unshuffled(x: Array, scale: Sequence[int]) -> Array:
    """Inverse, and adjoint, of `shuffled`."""
    n = len(scale)
    blocks = x.reshape(*x.shape[:3], *(part for m, s in zip(x.shape[3:], scale) for part in (m // s, s)))
    blocks = blocks.transpose(0, 1, *range(4, 4 + 2 * n, 2), 2, *range(3, 3 + 2 * n, 2))
    return blocks.reshape(len(x), x.shape[1] * math.prod(scale), x.shape[2], *blocks.shape[3 + n:])


def _fine(coarse: Box, scale: Sequence[int]) -> Box:
    """The sites of all blocks of a box."""
    return Box(tuple(a * s for a, s in zip(coarse.lo, scale)), tuple(b * s + s - 1 for b, s in zip(coarse.hi, scale)))


@rule(PixelShuffle)
class _PixelShuffle(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        step = call.step
        scale = step.stride

        def pull(dy: Array) -> list[Array]:
            window = step.backward
            whole = place(dy, window.out, _fine(window.reads[0], scale))
            return [window.give_back(unshuffled(whole, scale))]
        window = step.forward
        whole = shuffled(window.read(inputs[0]), scale)
        return place(whole, _fine(window.reads[0], scale), window.out), pull


@rule(PixelUnshuffle)
class _PixelUnshuffle(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        step = call.step
        return (unshuffled(step.forward.read(inputs[0]), step.stride),
                lambda dy: [step.backward.give_back(shuffled(dy, step.stride))])
