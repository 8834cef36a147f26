"""Axes and channels: views that are no layers, and those that become some."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from traces import converted, layers, step

import erfmath as em

RELU = {"function": "relu"}


def test_views_are_no_layers() -> None:
    """Channels last and back, a reshape and back, one activation."""
    found = converted(step("a", "permute", "x", shape=(1, 8, 8, 4), order=[0, 2, 3, 1]),
                      step("b", "reshape", "a", shape=(1, 64, 4)), step("c", "unary", "b", shape=(1, 64, 4), **RELU),
                      step("d", "reshape", "c", shape=(1, 8, 8, 4)),
                      step("e", "permute", "d", shape=(1, 4, 8, 8), order=[0, 3, 1, 2]))
    assert layers(found) == [em.Activation("relu")]


@pytest.mark.parametrize("record, expected", [
    (step("a", "slice", "x", shape=(1, 2, 8, 8), axis=1, start=1, stop=3, step=1), [em.Slice(1, 3)]),
    (step("a", "slice", "x", shape=(1, 4, 5, 8), axis=2, start=1, stop=6, step=1), [em.Pad(((-1, -2), (0, 0)))]),
    (step("a", "slice", "x", shape=(1, 4, 8, 4), axis=3, start=0, stop=8, step=2), [em.AvgPool((1, 1), (1, 2))]),
    (step("a", "softmax", "x", shape=(1, 4, 8, 8), axis=1), [em.Softmax(4)]),
    (step("a", "dropout", "x", shape=(1, 4, 8, 8), p=0.25), [em.Dropout(0.25)]),
    (step("a", "reduce", "x", shape=(1, 4, 1, 1), function="mean", axes=[2, 3], keep=True), [em.GlobalAvgPool()]),
    (step("a", "reduce", "x", shape=(1, 4, 8), function="sum", axes=[3], keep=False),
     [em.AvgPool((1, 8)), em.Scale(8.0)]),
])
def test_parts_and_reductions(record: Any, expected: list[em.Layer]) -> None:
    assert layers(converted(record)) == expected


def test_a_concatenation_counts_channels() -> None:
    found = converted(step("a", "unary", "x", shape=(1, 4, 8, 8), **RELU),
                      step("b", "concat", "x", "a", shape=(1, 8, 8, 8), axis=1))
    assert found.net.channels(channels_in=4)["b"] == 8 and found.net["b"].inputs == ("input", "a")


def test_a_channel_shuffle_settles_as_one() -> None:
    found = converted(step("a", "reshape", "x", shape=(1, 2, 2, 8, 8)),
                      step("b", "permute", "a", shape=(1, 2, 2, 8, 8), order=[0, 2, 1, 3, 4]),
                      step("c", "reshape", "b", shape=(1, 4, 8, 8)),
                      step("d", "slice", "c", shape=(1, 2, 8, 8), axis=1, start=0, stop=2, step=1))
    assert layers(found) == [em.Shuffle(2), em.Slice(0, 2)]


@pytest.mark.parametrize("record, words", [
    (step("a", "softmax", "x", shape=(1, 4, 8, 8), axis=2), "softmax over space"),
    (step("a", "concat", "x", "x", shape=(1, 4, 16, 8), axis=2), "a concatenation in space"),
    (step("a", "concat", "x", "c", shape=(1, 5, 8, 8), axis=1),
     "1 x a concatenation with constant maps: a; concat would"),
    (step("a", "concat", "x", "c", shape=(1, 4, 9, 8), axis=2), "a concatenation with an array of the model's own"),
    (step("a", "matmul", "x", "x", shape=(1, 4, 8, 8)), "attention"),
])
def test_what_has_no_layer_is_refused(record: Any, words: str) -> None:
    conv = step("b", "unary", "x", shape=(1, 4, 8, 8), **RELU)
    with pytest.raises((NotImplementedError, ValueError), match=words):
        converted(conv, record, c=np.ones((1, 1, 8, 8)))
