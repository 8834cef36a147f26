"""Optimisers and schedules by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

from erfmath import training
from erfmath.training.optimisers import clipped


def three_steps(optimiser: Any, gradients: list[float], start: float = 1.0) -> list[float]:
    parameters: Any = {"w": np.array([start])}
    memory: Any = {}
    found = []
    for step, g in enumerate(gradients):
        parameters, memory = optimiser(parameters, {"w": np.array([g])}, memory, optimiser.rate, step, frozenset("w"))
        found.append(float(parameters["w"][0]))
    return found


def test_sgd_by_hand() -> None:
    g = [1.0, 2.0, -1.0]
    assert_close(three_steps(training.SGD(0.1), g), [0.9, 0.7, 0.8], ROUNDING)
    # v = 1, 2.5, 0.25
    assert_close(three_steps(training.SGD(0.1, 0.5), g), [0.9, 0.65, 0.625], ROUNDING)
    # g + v / 2 = 1.5, 3.25, -0.875
    assert_close(three_steps(training.SGD(0.1, 0.5, True), g), [0.85, 0.525, 0.6125], ROUNDING)
    # g + 0.2 w = 1.2, 2.176
    assert_close(three_steps(training.SGD(0.1, decay=0.2), g[:2]), [0.88, 0.6624], ROUNDING)


def test_adam_by_hand() -> None:
    adam = training.Adam(0.1, 0.5, 0.75, 0.0)
    # m = 1/2, 5/4 over 1/2, 3/4; s = 1/4, 19/16 over 1/4, 7/16: steps 1 and (5/3) / sqrt(19/7)
    assert_close(three_steps(adam, [1.0, 2.0]), [0.9, 0.9 - 0.1 * (5 / 3) / math.sqrt(19 / 7)], ROUNDING)
    # the decay shrinks the weight by rate * decay beside the step
    assert_close(three_steps(training.Adam(0.1, eps=0.0, decay=0.5), [3.0]), [0.85], ROUNDING)


def test_clipped() -> None:
    g = {"a": np.array([3.0, 0.0]), "b": np.array([4.0])}
    assert_close(clipped(g, 1.0)["b"], [0.8], ROUNDING)
    assert_close(clipped(g, 6.0)["a"], g["a"], EXACT)


def test_schedules_by_hand() -> None:
    assert [training.Piecewise(at=(), warmup=3)(i, 9) for i in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    cosine = [training.Cosine(warmup=2, floor=0.2)(i, 6) for i in range(7)]
    assert_close(cosine[:3] + cosine[4:5] + cosine[6:], [1 / 3, 2 / 3, 1.0, 0.6, 0.2], ROUNDING)
    assert_close([training.Piecewise((0.5,), 0.5)(i, 4) for i in range(4)], [1, 1, 0.5, 0.5], ROUNDING)


def test_sgd_decay_acts_on_its_names_alone() -> None:
    p = {"a": np.ones(1), "b": np.ones(1)}
    zero = {"a": np.zeros(1), "b": np.zeros(1)}
    after = training.SGD(1.0, decay=0.5)(p, zero, {}, 1.0, 0, frozenset("a")).parameters
    assert (after["a"][0], after["b"][0]) == (0.5, 1.0)


@pytest.mark.parametrize("make", [
    lambda: training.SGD(-1), lambda: training.SGD(0.1, 1.0), lambda: training.Adam(second=1.0),
    lambda: training.Adam(0.1, decay=-1), lambda: training.Cosine(warmup=-1), lambda: training.Cosine(floor=-1),
    lambda: training.Piecewise(at=(-1,)),
])
def test_optimisers_and_schedules_check_their_values(make: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()
