"""Expressions and the activations that they are; axes as digits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.empirics.rules.activation import activate
from erfmath.readers.functions import (
    BINARY, GRID, KNOWN, UNARY, Expression, X, affine, formula, passed, recognised, rest, scaled, values,
)


def op(name: str, *parts: Any, **parameters: float) -> Expression:
    return Expression(name, parts, parameters)


def clip(x: Any, low: float, high: float) -> Expression:
    return op("clip", x, low=low, high=high)


@pytest.mark.parametrize("expression, name", [
    (op("divide", op("multiply", X, clip(op("add", X, 3.0), 0, 6)), 6.0), "hardswish"),
    (op("multiply", X, op("multiply", clip(op("add", X, 3.0), 0, 6), float(np.float32(1 / 6)))), "hardswish"),
    (op("multiply", X, op("sigmoid", X)), "silu"),
    (op("divide", X, op("add", 1.0, op("exp", op("negative", X)))), "silu"),
    (op("multiply", op("multiply", X, op("add", op("erf", op("divide", X, float(np.float32(math.sqrt(2))))), 1.0)), .5),
     "gelu"),
    (op("multiply", op("multiply", .5, X), op("add", 1.0, op("tanh", op("multiply", .7978845608, op(
        "add", X, op("multiply", .044715, op("power", X, 3.0))))))), "gelu_tanh"),
    (op("multiply", X, op("tanh", op("log", op("add", 1.0, op("exp", X))))), "mish"),
    (op("divide", X, op("add", 1.0, op("abs", X))), "softsign"),
    (op("minimum", op("maximum", X, 0.0), 6.0), "relu6"), (op("maximum", 0.0, X), "relu"),
    (op("multiply", op("relu", X), op("relu", X)), "relu_squared"), (op("square", X), None), (op("sin", X), None),
])
def test_recognised(expression: Expression, name: str | None) -> None:
    found = recognised(values(expression, GRID))
    assert (found and found[0]) == name


def test_parameters_are_found() -> None:
    assert recognised(values(op("maximum", X, op("multiply", X, .2)), GRID)) == ("leaky_relu",
                                                                                 {"slope": pytest.approx(.2)})
    assert recognised(values(clip(X, -1, 2), GRID)) is None
    assert affine(values(op("subtract", 1.0, op("multiply", 3.0, X)), GRID)) == pytest.approx((-3, 1))
    assert affine(values(op("square", X), GRID)) is None


def test_known_functions_are_told_apart() -> None:
    for name in KNOWN:
        assert recognised(UNARY[name](GRID)) == (name, {})


def test_shared_parts_are_evaluated_once() -> None:
    e: Any = X
    for _ in range(200):
        e = op("multiply", .5, op("add", e, e))
    assert_close(values(e, GRID), GRID, EXACT)


@pytest.mark.parametrize("expression, name, b, a", [
    (op("multiply", X, op("sigmoid", op("multiply", X, 1.702))), "silu", 1.702, 1 / 1.702),
    (clip(X, 0.0, 2.0), "relu6", 3.0, 1 / 3), (clip(X, -0.5, 0.5), "hardtanh", 2.0, 0.5),
    (clip(op("add", op("multiply", X, 0.2), 0.5), 0.0, 1.0), "hardsigmoid", 1.2, 1.0),
    (op("celu", X, alpha=0.3), "elu", 1 / 0.3, 0.3), (op("softplus", X, beta=4.0), "softplus", 4.0, 0.25),
    (op("multiply", 1.7159, op("tanh", op("multiply", X, 2 / 3))), "tanh", 2 / 3, 1.7159),
])
def test_scaled_versions_are_found(expression: Expression, name: str, b: float, a: float) -> None:
    found = scaled(values(expression, GRID))
    assert found[1] == name and recognised(values(expression, GRID)) is None
    assert_close([found[0], found[2]], [b, a], ROUNDING)
    assert scaled(values(op("sin", X), GRID))[1] is None


def test_parts_that_all_goes_through() -> None:
    line = op("add", op("multiply", X, 2.0), 1.0)
    gate = op("multiply", line, op("sigmoid", line))
    whole = op("subtract", op("multiply", gate, 3.0), 0.5)
    assert passed(whole) == [whole, whole.parts[0], gate, line, line.parts[0]]
    assert rest(whole, whole) is X and passed(rest(whole, gate))[0].op == "subtract"
    assert_close(values(rest(whole, line), values(line, GRID)), values(whole, GRID), ROUNDING)
    assert passed(op("add", op("sin", X), op("cos", X)))[1:] == []


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_operations_as_formulas(name: str) -> None:
    """What a layer makes of the text is what the operation makes of the value."""
    x = np.linspace(0.05 if name in ("log", "log1p", "sqrt", "rsqrt", "power") else -2.9, 3, 60)
    parts = (X,) if name in UNARY else (op("greater", X, 0.5), X, 2.0) if name == "where" else (X, 1.5)
    e = op(name, *parts)
    text = formula(op("add", e, op("multiply", op("sin", X), 0.3)))
    found, _ = activate(x, em.Activation(text).function)
    assert_close(found, values(e, x) + 0.3 * np.sin(x), ROUNDING)
