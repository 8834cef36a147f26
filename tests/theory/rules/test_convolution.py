"""Convolutions as taps: variances, given filters, transposed ones."""

from __future__ import annotations

import itertools

from typing import Any

import numpy as np
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.layers import Layer
from erfmath.theory.rules.registry import rule_of


def lowered(layer: Layer, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Any:
    return rule_of(layer).lower(layer, sizes, c_in, c_out)


def test_variances_sum_to_one_and_gains_count_channels() -> None:
    plain = lowered(em.Conv((3, 5), weights=em.Random(gain=2)), (9, 9), 4, 8)
    assert plain.random and [float(t.weights.sum()) for t in plain.taps] == [1, 1] and plain.gain == 2
    out = lowered(em.Conv(3, weights=em.Random(gain=2, fan="out")), (9, 9), 4, 8)
    assert out.gain == 2 * 4 / 8
    up = lowered(em.ConvTranspose(4, stride=(2, 3), weights=em.Random(gain=1)), (9, 9), 4, 8)
    assert up.gain == 6
    one, = lowered(em.Conv((2, 2), padding=0, weights=em.Random(profile=[[1, 2], [0, 1]])), (9, 9), 1, 1).taps
    assert_close(one.weights, [[.25, .5], [0, .25]], EXACT)


def test_given_filters_are_split_where_they_are_products() -> None:
    line, column = np.array([1., -2, 3]), np.array([.1, .7])
    split = lowered(em.Conv((2, 3), padding=0, weights=em.Fixed(np.outer(column, line))), (9, 9), 2, 2).taps
    assert [t.axes for t in split] == [(0,), (1,)]
    assert_close(np.outer(split[0].weights, split[1].weights), np.outer(column, line), ROUNDING)
    near = np.outer(column, line)
    near[0, 0] *= 1 + 1e-9
    whole, = lowered(em.Conv((2, 3), padding=0, weights=em.Fixed(near)), (9, 9), 2, 2).taps
    assert_close(whole.weights, near, EXACT)
    zero = lowered(em.Conv((2, 3), padding=0, weights=em.Fixed(np.zeros((2, 3)))), (9, 9), 2, 2).taps
    assert not any(t.weights.any() for t in zero)


def test_transposed_weights_are_turned_to_out_in() -> None:
    array = np.arange(4 * 3 * 2.).reshape(4, 3, 2)  # (in, out / groups, k), two groups
    op = lowered(em.ConvTranspose((2,), groups=2, weights=em.Fixed(array)), (9,), 4, 6)
    assert op.matrix is not None and op.matrix.shape == (6, 2, 2)
    for i, o, a in itertools.product(range(4), range(3), range(2)):
        assert op.matrix[i // 2 * 3 + o, i % 2, a] == array[i, o, a]
