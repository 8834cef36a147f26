"""Where branches meet: sums, products and concatenations, of maps and of what is one for all sites or all channels."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from ...layers import Add, Concat, Multiply
from ...layers.geometry import AxisGeometry
from ..arrays import Array, summed_to
from .base import Call, Pull, Rule, rule

__all__ = ["Merge"]


class Merge(Rule):
    """Base of layers of several inputs; one that has a single site serves all of the others' sites."""

    def reads(self, layer: Any, g: AxisGeometry, first: int, last: int, n: int | None) -> tuple[int, int]:
        return (0, 0) if n == 1 else (first, last)


@rule(Add)
class _Add(Merge):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        parts, back = [call.step.forward.read(x, which) for which, x in enumerate(inputs)], call.step.backward
        channels = [part.shape[1] for part in parts]

        def pull(dy: Array) -> list[Array]:
            return [back.give_back(summed_to(dy, (len(dy), c, dy.shape[2], *read.shape)), which)
                    for which, (c, read) in enumerate(zip(channels, back.reads))]
        return functools.reduce(operator.add, parts), pull


@rule(Concat)
class _Concat(Merge):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        window, back = call.step.forward, call.step.backward
        parts = [window.read(x, which) for which, x in enumerate(inputs)]
        ends = np.cumsum([x.shape[1] for x in inputs])[:-1]
        y = np.concatenate([np.broadcast_to(part, (*part.shape[:3], *window.out.shape)) for part in parts], axis=1)

        def pull(dy: Array) -> list[Array]:
            return [back.give_back(summed_to(part, (*part.shape[:3], *read.shape)), which)
                    for which, (part, read) in enumerate(zip(np.split(dy, ends, axis=1), back.reads))]
        return y, pull


@rule(Multiply)
class _Multiply(Merge):
    """What has a single site or channel serves all of them, and gathers their gradients."""

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        parts, back = [call.step.forward.read(x, which) for which, x in enumerate(inputs)], call.step.backward
        kept = [call.kept(part, which) for which, part in enumerate(parts)]

        def pull(dy: Array) -> list[Array]:
            others = [kept[:which] + kept[which + 1:] for which in range(len(kept))]
            return [back.give_back(summed_to(functools.reduce(operator.mul, rest, dy), kept[which].shape), which)
                    for which, rest in enumerate(others)]
        return functools.reduce(operator.mul, parts), pull
