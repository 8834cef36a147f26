"""Values laid out again, and positions by a list, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from traces import converted, step
from values import forward_values

X = np.random.default_rng(0).standard_normal((1, 4, 6, 6))
SWAP = np.random.default_rng(1).standard_normal((3, 4))
CASES: dict[str, tuple[Any, Any]] = {
    "channels in another order": ([step("a", "take", "x", shape=(1, 3, 6, 6), axis=1, places=[3, 0, 0])],
                                  X[:, [3, 0, 0]]),
    "every other channel": ([step("a", "slice", "x", shape=(1, 2, 6, 6), axis=1, start=1, stop=4, step=2)],
                            X[:, 1::2]),
    "every third site": ([step("a", "take", "x", shape=(1, 4, 2, 6), axis=2, places=[1, 4])], X[:, :, 1::3]),
    "each site twice": ([step("a", "take", "x", shape=(1, 4, 6, 12), axis=3, places=[i // 2 for i in range(12)])],
                        X.repeat(2, 3)),
    "each channel twice": ([step("a", "take", "x", shape=(1, 8, 6, 6), axis=1, places=[i // 2 for i in range(8)])],
                           X.repeat(2, 1)),
    "channels anew": ([step("a", "tile", "x", shape=(1, 8, 6, 6), times=[1, 2, 1, 1])], np.tile(X, (1, 2, 1, 1))),
    "sites laid out by a view": ([
        step("r", "reshape", "x", shape=(1, 4, 6, 1, 6, 1)), step("e", "expand", "r", shape=(1, 4, 6, 2, 6, 3)),
        step("a", "reshape", "e", shape=(1, 4, 12, 18))], X.repeat(2, 2).repeat(3, 3)),
    "a pool over the map": ([
        step("p", "reduce", "x", shape=(1, 4, 1, 1), function="mean", axes=[2, 3], keep=True),
        step("e", "expand", "p", shape=(1, 4, 6, 6)),
        step("a", "pad", "e", shape=(1, 4, 7, 6), pads=[(0, 0), (0, 0), (1, 0), (0, 0)])],
        np.pad(np.broadcast_to(X.mean((2, 3), keepdims=True), X.shape), ((0, 0), (0, 0), (1, 0), (0, 0)))),
    "one channel for all": ([
        step("s", "slice", "x", shape=(1, 1, 6, 6), axis=1, start=2, stop=3, step=1),
        step("a", "tile", "s", shape=(1, 5, 6, 6), times=[1, 5, 1, 1])], X[:, 2:3].repeat(5, 1)),
    "the largest channel": ([step("a", "reduce", "x", shape=(1, 1, 6, 6), function="max", axes=[1], keep=True)],
                            X.max(1, keepdims=True)),
    "the smallest of an odd number": ([
        step("s", "slice", "x", shape=(1, 3, 6, 6), axis=1, start=0, stop=3, step=1),
        step("a", "reduce", "s", shape=(1, 6, 6), function="min", axes=[1], keep=False)], X[:, :3].min(1)),
    "the larger of pairs": ([
        step("r", "reshape", "x", shape=(1, 2, 2, 6, 6)),
        step("a", "reduce", "r", shape=(1, 2, 6, 6), function="max", axes=[2], keep=False)],
        X.reshape(1, 2, 2, 6, 6).max(2)),
    "a matrix from the left": ([
        step("r", "reshape", "x", shape=(1, 4, 36)), step("m", "matmul", "c", "r", shape=(1, 3, 36)),
        step("a", "reshape", "m", shape=(1, 3, 6, 6))], np.einsum("oc,nchw->nohw", SWAP, X)),
    "a sum by letters": ([
        step("m", "einsum", "x", "c", shape=(1, 6, 6, 3), inputs=["nchw", "dc"], output="nhwd"),
        step("a", "permute", "m", shape=(1, 3, 6, 6), order=[0, 3, 1, 2])], np.einsum("oc,nchw->nohw", SWAP, X)),
}


@pytest.mark.parametrize("name", CASES)
def test_as_numpy(name: str) -> None:
    records, expected = CASES[name]
    found = converted(*records, shape=X.shape, c=SWAP)
    assert found.stand_ins == ()
    values = forward_values(found.net, found.weights, X)
    assert_close(values.reshape(expected[0].shape), expected[0], ROUNDING)


@pytest.mark.parametrize("record, words", [
    (step("a", "take", "x", shape=(1, 4, 6, 6), axis=2, places=[5, 4, 3, 2, 1, 0]), "sites in another order"),
    (step("a", "tile", "x", shape=(1, 4, 12, 6), times=[1, 1, 2, 1]), "a map beside itself in space"),
    (step("a", "einsum", "x", "x", shape=(1, 4, 4), inputs=["nchw", "ndhw"], output="ncd"), "attention"),
    (step("a", "einsum", "x", "c", shape=(1, 4, 6, 6), inputs=["nchw", "oc"], output="nchw"), "einsum nchw,oc->nchw"),
])
def test_what_no_layer_does(record: Any, words: str) -> None:
    with pytest.raises((NotImplementedError, ValueError), match=words):
        converted(step("b", "unary", "x", shape=X.shape, function="relu"), record, shape=X.shape, c=SWAP)
