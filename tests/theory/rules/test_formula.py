"""Formulas: kinks and jumps found, expectations as those of the same functions in closed form, and as sampled."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import Tolerance, assert_close

import erfmath as em
from erfmath.theory.rules import functions
from erfmath.theory.rules.formula import Formula

WRITTEN = {
    "relu": "(x + abs(x)) / 2", "silu": "x / (1 + exp(-x))", "hardswish": "x * min(max(x + 3, 0), 6) / 6",
    "relu6": "min(max(x, 0), 6)", "gelu": "0.5 * x * (1 + erf(x * 0.7071067811865476))",
    "elu": "where(x > 0, x, exp(min(x, 0)) - 1)", "mish": "x * tanh(log(1 + exp(x)))", "softsign": "x / (1 + abs(x))",
    "hardtanh": "max(x + 1, 0) - max(x - 1, 0) - 1", "relu_squared": "max(x, 0) ** 2",
}
Q, RHO = np.array([0.05, 1.0, 4.0])[:, None], np.array([-0.8, 0.3, 0.95, 1.0])


@pytest.mark.parametrize("name", WRITTEN)
def test_known_functions_written_out(name: str) -> None:
    phi, known = functions.function(em.Activation(WRITTEN[name])), functions.function(em.Activation(name))
    for expectation in (functions.second, functions.gate):
        assert_close(expectation(phi, Q), expectation(known, Q), Tolerance(1e-11, 1e-12))
    for pair in (functions.cross, functions.gate_pair):
        assert_close(pair(phi, Q, RHO), pair(known, Q, RHO), Tolerance(5e-5, 1e-6))


@pytest.mark.parametrize("text", ["where(abs(x) > 0.5, x, 0 * x)", "x - tanh(x)", "x * tanh(exp(x))",
                                  "x + sin(2 * x) ** 2 / 2", "sign(x - 0.3) * x", "min(max(x + 0.3, 0), 1)"])
def test_expectations_are_sampled_ones(text: str) -> None:
    rng, draws, rho, q = np.random.default_rng(0), 400_000, 0.6, 2.0
    z = rng.standard_normal((2, draws))
    z[1] = rho * z[0] + np.sqrt(1 - rho**2) * z[1]
    phi, y = functions.function(em.Activation(text)), np.sqrt(q) * z
    for f, pair, one in ((phi.value, functions.cross, functions.second), (phi.slope, functions.gate_pair,
                                                                          functions.gate)):
        for found, sampled in ((pair(phi, np.array(q), np.array(rho)), f(y[0]) * f(y[1])),
                               (one(phi, np.array(q)), f(y[0])**2)):
            assert abs(float(found) - sampled.mean()) <= 4.5 * sampled.std() / np.sqrt(draws) + 1e-12  # of a constant


def test_kinks_and_jumps_are_found() -> None:
    shrink = functions.function(em.Activation("where(abs(x) > 0.5, x, 0 * x)"))
    assert [k for k, _ in shrink.leaps] == [-0.5, 0.5] and [round(s, 9) for _, s in shrink.jumps] == [-1.0, 1.0]
    clip = functions.function(em.Activation("min(max(x, -0.2), 20)"))
    assert [k for k, _ in clip.jumps] == [-0.2, 20.0] and not clip.leaps
    assert functions.function(em.Activation("x + max(x, 0)")) == functions.rectifier(2.0, 1.0)
    assert Formula("max(x * x - 1, 0)").kinks() == (-1.0, 1.0)


@pytest.mark.parametrize("text", ["log(x)", "1 / x", "sqrt(abs(x))", "x ** 0.5", "round(9 * x)"])
def test_what_has_no_moments_is_refused(text: str) -> None:
    with pytest.raises(NotImplementedError, match="erfmath.measure"):
        functions.function(em.Activation(text))


@pytest.mark.parametrize("text, expected", [  # by adaptive quadrature (scipy's quad) of the same integrals
    ("x * tanh(exp(x))", (0.5008411995036166, 0.5000841258974785)),
    ("tanh(exp(x))", (0.0011785589190106728, 0.00011786005578105003))])
def test_saturating_functions_of_exponentials_at_large_variances(text: str, expected: tuple[float, float]) -> None:
    phi = functions.function(em.Activation(text))
    assert_close(functions.gate(phi, np.array([1e4, 1e6])), np.array(expected), Tolerance(1e-9, 0.0))


@pytest.mark.parametrize("text, small", [("sin(x)", 100.0), ("max(x - 300, 0) + x", 100.0), ("log(1 + exp(x))", 100.0)])
def test_what_panels_do_not_follow_is_refused_at_large_variances(text: str, small: float) -> None:
    phi = functions.function(em.Activation(text))
    assert np.isfinite(functions.gate(phi, np.array(small)))
    with pytest.raises(NotImplementedError, match="erfmath.measure"):
        functions.gate(phi, np.array(1e6))
    net = em.serial(em.Conv(1, weights=em.Random(1.0)), em.Activation(text), em.Conv(1))
    with pytest.raises(NotImplementedError, match="^formula1: |^activation1: |1: "):
        em.predict(net, ndim=1, input_moments=(1e6, 0.0))


def test_a_network_with_one_is_that_with_the_known_function() -> None:
    nets = [em.serial(em.Conv(3, weights=em.Random(1.5)), em.Activation(f), em.MaxPool(2), em.Conv(3), em.Activation(f),
                      em.residual(em.serial(em.Conv(3), em.Activation(f))), em.AvgPool(2)) for f in (
        "hardswish", "x * min(max(x / 6 + 0.5, 0), 1)")]
    one, other = (em.predict(net, image=16) for net in nets)
    assert_close(other.map, one.map, Tolerance(1e-7, 1e-12))
