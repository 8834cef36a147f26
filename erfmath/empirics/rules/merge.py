"""Where branches meet: sums and concatenations."""

from __future__ import annotations

import numpy as np

from ...layers import Add, Concat
from ..arrays import Array
from .base import Call, Pull, Rule, rule

__all__: list[str] = []


@rule(Add)
class _Add(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        window, back = call.step.forward, call.step.backward
        y = window.read(inputs[0])
        for which, x in enumerate(inputs[1:], start=1):
            y = y + window.read(x, which)
        return y, lambda dy: [back.give_back(dy, which) for which in range(len(back.held))]


@rule(Concat)
class _Concat(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        window, back = call.step.forward, call.step.backward
        y = np.concatenate([window.read(x, which) for which, x in enumerate(inputs)], axis=1)
        ends = np.cumsum([x.shape[1] for x in inputs])[:-1]
        return y, lambda dy: [back.give_back(part, which) for which, part in enumerate(np.split(dy, ends, axis=1))]
