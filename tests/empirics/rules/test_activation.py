"""Nonlinearities and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from differences import Case, check_input_gradient, check_parameter_gradients, check_quotient, check_windows
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.empirics.rules.activation import activate
from erfmath.layers import FUNCTIONS

STEPS = np.array([2.0**-5, 2.0**-6])
#: Of values that are written with seven of them.
DIGITS = 1e-6
#: Slopes between the kinks.
PIECEWISE: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "relu": ((0,), (0, 1)), "leaky_relu": ((0,), (0.25, 1)), "prelu": ((0,), (0.25, 1)), "identity": ((), (1,)),
    "relu6": ((0, 6), (0, 1, 0)), "hardtanh": ((-1, 1), (0, 1, 0)), "hardsigmoid": ((-3, 3), (0, 1 / 6, 0)),
}
#: Where derivatives of the others jump.
KINKS = {"elu": (0,), "celu": (0,), "selu": (0,), "softsign": (0,), "relu_squared": (0,), "hardswish": (-3, 3)}
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
    x *= 2
    for kink in KINKS.get(function, ()):
        x, u = np.where(np.abs(x - kink) < 0.1, x + 0.3, x), np.clip(u, -1, 1)
    slope = float((v * activate(x, function)[1] * u).sum())
    check_quotient(lambda h: v * activate(x + h * u, function)[0], slope, STEPS)
    with pytest.raises(AssertionError):  # a planted error
        check_quotient(lambda h: v * activate(x + h * u, function)[0], 1.001 * slope, STEPS)


@pytest.mark.parametrize("function", PIECEWISE)
def test_activate_piecewise_linear(function: str) -> None:
    x, (kinks, slopes) = np.array([-7.5, -2.0, -0.5, 0.5, 2.5, 7.0]), PIECEWISE[function]
    y, gate = activate(x, function, 0.25)
    assert_close(gate.astype(float), np.array(slopes, float)[np.searchsorted(kinks, x)], EXACT)
    known = {"hardsigmoid": [0, 1 / 6, 2.5 / 6, 3.5 / 6, 5.5 / 6, 1], "hardtanh": [-1, -1, -0.5, 0.5, 1, 1],
             "relu6": [0, 0, 0, 0.5, 2.5, 6]}
    assert_close(y, known.get(function, x * gate), ROUNDING)


@pytest.mark.parametrize("function, values", [
    ("hardswish", [0, -2 / 6, -0.625 / 3, 0.875 / 3, 5]), ("relu_squared", [0, 0, 0, 0.25, 25]),
    ("softsign", [-4 / 5, -1 / 2, -1 / 3, 1 / 3, 5 / 6]),
    ("selu", [-1.7258986, -1.1113307, -0.6917582, 0.5253505, 5.2535049]),
    ("mish", [-0.0725918, -0.3034015, -0.2207438, 0.3752452, 4.9995526]),
    ("gelu_tanh", [-0.0000703, -0.1588080, -0.1542860, 0.3457140, 4.9999998]),
])
def test_activate_by_hand(function: str, values: list[float]) -> None:
    y = activate(np.array([-4.0, -1.0, -0.5, 0.5, 5.0]), function)[0]
    assert np.abs(y - values).max() < DIGITS


def test_prelu_learns_one_slope_and_takes_one_a_channel() -> None:
    net = em.serial(em.Conv(3, 4), em.Activation("prelu"), em.Conv(1, 2))
    check_parameter_gradients((net, (4, 3)), images=2)
    x = np.random.default_rng(0).standard_normal((5, 3, 6, 6))
    kernels = {"conv1": np.ones((4, 3, 3, 3)), "conv2": np.ones((2, 4, 1, 1))}
    plain = em.measure(net, images=x, weights=kernels, rng=0)
    for shape in ((1,), (4,)):
        given = em.measure(net, images=x, weights={**kernels, "prelu1": np.full(shape, 0.25)}, rng=0)
        assert_close(given.map, plain.map, ROUNDING)
    with pytest.raises(ValueError, match=r"weights\['prelu1'\]: shape \(3,\)"):
        em.measure(net, images=x, weights={**kernels, "prelu1": np.ones(3)})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_activate_large_values_and_single_precision(function: str) -> None:
    y, slope = activate(np.array([-1e4, 1e4]), function)
    assert np.isfinite(y).all() and np.isfinite(slope).all()
    y, slope = activate(np.zeros(3, np.float32), function)
    assert y.dtype == np.float32 and slope.dtype in (np.float32, bool)
