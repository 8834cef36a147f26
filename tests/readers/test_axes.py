"""Digits of positions: reshapes and permutations, against counting."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from helpers import EXACT, assert_close

from erfmath.readers.axes import BATCH, CHANNELS, Digit, merged, regrouped, shape_of, whole


def test_digits_follow_a_reshape_and_a_permutation() -> None:
    """Against NumPy: positions of every element of small tensors."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        choices = {BATCH: [1, 2], CHANNELS: [1, 4, 6, 12], 0: [1, 4, 8], 1: [2, 3, 6]}
        sizes = {axis: int(rng.choice(some)) for axis, some in choices.items()}
        layout = tuple(whole(axis, n) for axis, n in sizes.items())
        tensor = np.arange(math.prod(sizes.values())).reshape(tuple(sizes.values()))
        for _ in range(4):
            if rng.random() < 0.5:
                order = rng.permutation(tensor.ndim)
                layout, tensor = tuple(layout[axis] for axis in order), tensor.transpose(order)
                continue
            shape = some_shape(rng, tensor.size)
            fresh = regrouped(layout, shape)
            if fresh is not None:
                layout, tensor = fresh, tensor.reshape(shape)
        assert shape_of(layout) == tensor.shape
        assert_close(positions(layout, sizes), tensor, EXACT)


def some_shape(rng: Any, size: int) -> tuple[int, ...]:
    shape = []
    while size > 1:
        factor = int(rng.choice([n for n in range(1, size + 1) if size % n == 0]))
        shape.append(factor)
        size //= factor
    return tuple(shape) or (1,)


def positions(layout: Any, sizes: dict[int, int]) -> Any:
    """What the digits say of which element is where."""
    steps = dict(zip(sizes, np.cumprod([1, *list(sizes.values())[:0:-1]])[::-1].tolist()))
    out = np.zeros(shape_of(layout), dtype=int)
    for index in itertools.product(*(range(n) for n in out.shape)):
        for i, digits in zip(index, layout):
            for digit in reversed(digits):
                out[index] += i % digit.size * digit.step * steps[digit.axis]
                i //= digit.size
    return out


def test_digits_that_do_not_divide() -> None:
    assert regrouped((whole(CHANNELS, 6),), (4,)) is None
    assert regrouped((whole(0, 6), whole(1, 5)), (5, 6)) is None
    assert merged([Digit(0, 4, 2), Digit(0, 1, 4), Digit(1, 1, 1)]) == (Digit(0, 1, 8),)
