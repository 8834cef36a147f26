"""Sums, products and functions of tensors."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import EXACT, assert_close
from traces import converted, layers, step

import erfmath as em

SHAPE = (1, 4, 8, 8)


def binary(name: str, function: str, *inputs: object, shape: tuple[int, ...] = SHAPE) -> object:
    return step(name, "binary", *inputs, shape=shape, function=function)  # type: ignore[arg-type]


def test_functions_spelled_out_are_one_activation() -> None:
    """x sigmoid(x), and max(x, 0)."""
    silu = converted(step("s", "unary", "x", shape=SHAPE, function="sigmoid"), binary("a", "multiply", "x", "s"))
    assert layers(silu) == [em.Activation("silu")]
    assert layers(converted(binary("a", "maximum", "x", 0.0))) == [em.Activation("relu")]


def test_numbers_are_scales_and_vectors_are_arrays() -> None:
    assert layers(converted(binary("a", "multiply", "x", 2.5))) == [em.Scale(2.5)]
    found = converted(binary("a", "multiply", "x", "v"), v=np.arange(1.0, 5).reshape(4, 1, 1))
    assert_close(found.weights["a"].reshape(4), np.arange(1.0, 5), EXACT)
    nothing = converted(binary("z", "add", "x", 0.0), step("a", "unary", "z", shape=SHAPE, function="tanh"))
    assert layers(nothing) == [em.Activation("tanh")]


@pytest.mark.parametrize("function, kinds", [
    ("add", ["add"]), ("multiply", ["multiply"]), ("subtract", ["scale", "add"]),
    ("maximum", ["scale", "add", "activation", "add"]), ("minimum", ["scale", "add", "activation", "scale", "add"])])
def test_maps_meet(function: str, kinds: list[str]) -> None:
    found = converted(step("r", "unary", "x", shape=SHAPE, function="relu"), step(
        "p", "max_pool", "x", shape=SHAPE, kernel=(3, 3), stride=(1, 1), padding=((1, 1), (1, 1))),
        binary("a", function, "r", "p"))
    assert [layer.op for layer in layers(found)][2:] == kinds


def test_one_site_meets_a_map_as_a_gate() -> None:
    found = converted(step("g", "adaptive_avg_pool", "x", shape=(1, 4, 1, 1), size=(1, 1)),
                      binary("a", "multiply", "x", "g"))
    assert [layer.op for layer in layers(found)] == ["global_avg_pool", "multiply"]
    assert found.net.shapes((8, 8))["a"] == (8, 8)


def test_a_constant_after_a_convolution_is_its_bias() -> None:
    weights = np.ones((4, 4, 1, 1))
    found = converted(step("c", "conv", "x", "w", shape=SHAPE, stride=(1, 1), padding=((0, 0), (0, 0))),
                      binary("a", "subtract", "c", "v"), w=weights, v=np.arange(4.0).reshape(4, 1, 1))
    assert len(found.net) == 1
    assert_close(found.weights["c.bias"], -np.arange(4.0), EXACT)


def test_choices_and_slopes() -> None:
    """where(x > 0, x, x / 4) is a leaky rectifier; slopes by channel are an array."""
    leaky = converted(binary("t", "greater", "x", 0.0), binary("q", "multiply", "x", 0.25),
                      step("a", "where", "t", "x", "q", shape=SHAPE))
    assert layers(leaky) == [em.Activation("leaky_relu", slope=0.25)]
    slopes = converted(step("a", "prelu", "x", "s", shape=SHAPE), s=np.array([0.1, 0.2, 0.3, 0.4]))
    assert_close(slopes.weights["a"], [0.1, 0.2, 0.3, 0.4], EXACT)
