"""Derivatives of formulas against differences of their values."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, Tolerance, assert_close

from erfmath.empirics.rules.activation import activate
from erfmath.empirics.rules.formula import formula
from erfmath.layers.formula import ARITY

DIFFERENCES = Tolerance(1e-6, 1e-7)
X = np.linspace(-2.2, 2.3, 51) + 0.0123
TEXTS = [*(f"{name}(x * 1.3 + 3) * x" for name, count in ARITY.items() if count == 1),
         "max(x * x, 1) - min(x, .5) / (2 + x)", "where(x > 0.2, x ** 3, expm1(x))", "1.5 ** x - (x + 4) ** (x / 2)",
         "(x < 1) * x", "exp(-x * x) + x", "x * tanh(log(1 + exp(x)))"]


@pytest.mark.parametrize("text", TEXTS)
def test_derivatives(text: str) -> None:
    step = 1e-5
    (up, _), (down, _) = formula(text, X + step), formula(text, X - step)
    middle = formula(text, X)[0]
    smooth = np.abs(up - 2 * middle + down) < step  # no jump, no kink, no pole between
    assert smooth.sum() > 40
    assert_close(formula(text, X)[1][smooth], ((up - down) / (2 * step))[smooth], DIFFERENCES)


@pytest.mark.parametrize("text, name", [
    ("x / (1 + exp(-x))", "silu"), ("log(1 + exp(x))", "softplus"), ("where(x > 0, x, exp(x) - 1)", "elu"),
    ("min(max(x, 0), 6)", "relu6")])
def test_known_functions_written_out(text: str, name: str) -> None:
    for found, expected in zip(formula(text, X), activate(X, name)):
        assert_close(found, expected.astype(float), ROUNDING)


def test_single_precision_does_not_overflow() -> None:
    x = np.array([-300, -90, 0.5, 90, 300], np.float32)
    y, gate = formula("x / (1 + exp(-x))", x)
    assert y.dtype == gate.dtype == np.float32
    assert_close(gate, [0, 0, 0.7399611, 1, 1], Tolerance(1e-6, 1e-6))
    with pytest.raises(ValueError, match=r"log\(x\): the function or its derivative is not finite"):
        formula("log(x)", x)
