"""Layers that act site by site without a nonlinearity: scale, dropout, padding, identity."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Dropout, Identity, Pad, Scale
from ..arrays import Array
from .base import Call, Pull, Rule, rule

__all__: list[str] = []


@rule(Identity, Pad)
class _Pass(Rule):
    """Padding moves the map's corner and adds zeros: the window says so."""

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        return call.step.forward.read(inputs[0]), lambda dy: [call.step.backward.give_back(dy)]


@rule(Scale)
class _Scale(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        layer: Any = call.step.layer
        x = call.step.forward.read(inputs[0])
        factor = x.dtype.type(layer.factor)
        return x * factor, lambda dy: [call.step.backward.give_back(dy * factor)]


@rule(Dropout)
class _Dropout(Rule):
    """Inverted; active wherever there are generators to draw from."""

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        layer: Any = call.step.layer
        x, give_back = call.step.forward.read(inputs[0]), call.step.backward.give_back
        if not call.generators:
            return x, lambda dy: [give_back(dy)]
        factor = np.empty_like(x)
        for rng, part in zip(call.generators, factor):
            part[...] = rng.random(part.shape, np.float32) >= layer.p
        factor /= 1 - layer.p
        kept = call.kept(factor)
        return x * factor, lambda dy: [give_back(dy * kept)]
