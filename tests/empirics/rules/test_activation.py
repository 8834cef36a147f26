"""Nonlinearities and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from differences import Case, check_input_gradient, check_quotient, check_windows
from helpers import EXACT, assert_close
from specs import FINISHED as FUNCTIONS

import erfmath as em
from erfmath.empirics.rules.activation import activate

STEPS = np.array([2.0**-5, 2.0**-6])
PIECEWISE = {"relu": (0, 1), "leaky_relu": (0.25, 1), "identity": (1, 1)}
SMOOTH = [function for function in FUNCTIONS if function not in PIECEWISE]
EACH = [part for function in FUNCTIONS for part in (em.Activation(function), em.Conv(1))]
CASE: Case = (em.serial(em.Conv(3), *EACH), (4, 3))


def test_run_on_windows() -> None:
    check_windows(CASE)


def test_run_and_its_input_gradient() -> None:
    check_input_gradient(CASE)


@pytest.mark.parametrize("function", SMOOTH)
def test_activate_and_its_slope(function: str) -> None:
    rng = np.random.default_rng(3)
    x, u, v = rng.standard_normal((3, 2, 4, 3, 5))
    if function == "elu":  # its second derivative jumps at 0
        x, u = np.where(np.abs(x) < 0.5, x + np.sign(x), x), np.clip(u, -1, 1)
    slope = float((v * activate(x, function)[1] * u).sum())
    check_quotient(lambda h: v * activate(x + h * u, function)[0], slope, STEPS)
    with pytest.raises(AssertionError):  # a planted error
        check_quotient(lambda h: v * activate(x + h * u, function)[0], 1.001 * slope, STEPS)


@pytest.mark.parametrize("function", PIECEWISE)
def test_activate_piecewise_linear(function: str) -> None:
    x, (below, above) = np.array([-2.0, -0.5, 0.5, 3.0]), PIECEWISE[function]
    y, gate = activate(x, function, 0.25)
    assert_close(gate.astype(float), np.where(x > 0, above, below), EXACT)
    assert_close(y, x * gate, EXACT)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_activate_large_values_and_single_precision(function: str) -> None:
    y, slope = activate(np.array([-1e4, 1e4]), function)
    assert np.isfinite(y).all() and np.isfinite(slope).all()
    y, slope = activate(np.zeros(3, np.float32), function)
    assert y.dtype == np.float32 and slope.dtype in (np.float32, bool)
