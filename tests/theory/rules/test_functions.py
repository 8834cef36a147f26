"""Gaussian expectations of activations against quadrature that is split at their kinks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, Tolerance, assert_close
from scipy import integrate

import erfmath as em
from erfmath.layers import FUNCTIONS
from erfmath.theory.rules import functions as activations
from erfmath.theory.rules.functions import Function

Array = Any

#: The errors that the docstring of `erfmath.theory.rules.functions` states, by q.
STATED = {"cross": {1.0: 1e-6, 4.0: 1e-6, 25.0: 1e-5}, "gate_pair": {1.0: 1e-5, 4.0: 5e-5, 25.0: 1e-3},
          "softsign": {1.0: 1e-4, 4.0: 5e-4, 25.0: 5e-3}}
SMOOTH_SQUARE = Tolerance(1e-12, 0.0)
#: `scipy.integrate.quad` is asked for this much; the oracle is believed this far.
QUADRATURE = Tolerance(1e-11, 1e-12)
SLOPES = [-0.5, 0.0, 0.01, 0.3, 2.0]
RHO = [-1.0, -0.7, -0.1, 0.0, 0.2, 0.54, 0.78, 0.9, 0.97, 0.99, 0.999, 1.0]


def phi(name: str, slope: float | None = None) -> Function:
    return activations.function(em.Activation(name, **({} if slope is None else {"slope": slope})))


ALL = {**{name: phi(name) for name in FUNCTIONS},
       **{f"leaky_relu({slope})": phi("leaky_relu", slope) for slope in SLOPES}}
CLOSED = {name for name, f in ALL.items() if f.cross is not None}
every_function = pytest.mark.parametrize("name", ALL)


def test_normal_distribution() -> None:
    """The table and its series against the error function, also between its points and beyond its ends."""
    z = np.concatenate([np.linspace(-12, 12, 4999), [-40.0, 40.0]])
    expected = [math.erfc(-x / math.sqrt(2)) / 2 for x in z]
    assert np.abs(activations.normal_cdf(z) - expected).max() < 5e-16


# ---------------------------------------------------------------------------------------------
# the oracle
# ---------------------------------------------------------------------------------------------

def panels(edges: Array, order: int) -> tuple[Array, Array]:
    """Gauss-Legendre points and weights on consecutive intervals."""
    x, w = np.polynomial.legendre.leggauss(order)
    a, b = np.asarray(edges)[:-1, None], np.asarray(edges)[1:, None]
    return ((a + b) / 2 + (b - a) / 2 * x).ravel(), ((b - a) / 2 * w).ravel()


def graded(a: float, b: float) -> Array:
    """Edges between a and b that crowd at both ends, where activations bend."""
    half = np.concatenate([[0], np.geomspace(1e-4, 0.5, 9)])
    return a + (b - a) * np.concatenate([half, 1 - half[-2::-1]])


@functools.lru_cache(maxsize=None)
def plane(rho: float) -> tuple[Array, Array, Array]:
    """Pairs of standard normal values of correlation rho, in polar coordinates cut at z = 0, z' = 0."""
    turn = math.acos(rho)
    cuts = sorted({math.pi / 2, -math.pi / 2, math.pi / 2 + turn, turn - math.pi / 2})
    cuts = [cuts[0], *(b for a, b in zip(cuts, cuts[1:]) if b - a > 1e-12)]
    cuts.append(cuts[0] + 2 * math.pi)
    edges = np.unique(np.concatenate([graded(a, b) for a, b in zip(cuts, cuts[1:])]))
    angle, w = panels(edges, 9)
    r, v = panels(np.concatenate([[0], np.geomspace(0.02, 10, 10)]), 12)
    weights = np.outer(w / (2 * math.pi), v * r * np.exp(-r**2 / 2))
    return np.outer(np.cos(angle), r), np.outer(np.cos(angle - turn), r), weights


def pair(f: Callable[[Array], Array], q: float, rho: float) -> float:
    """E[f(z) f(z')]."""
    z, other, weights = plane(rho)
    return float((weights * f(math.sqrt(q) * z) * f(math.sqrt(q) * other)).sum())


def split_pair(f: Callable[[Array], Array], knots: Sequence[float], q: float, rho: float) -> float:
    """The same by conditioning, all integrals split at kinks: for kinks away from zero."""
    s, spread = math.sqrt(q), math.sqrt(1 - rho**2)
    at = np.array(knots) / s
    widths = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 6)])
    steep = [k / rho + sign * w * spread / abs(rho) for k in at for w in widths for sign in (-9, 9)] if rho else []
    outer = np.unique(np.clip(np.concatenate([np.linspace(-9, 9, 19), at, steep]), -9, 9))
    z, w = panels(outer, 10)
    cuts = np.clip((at - rho * z[:, None]) / spread, -9, 9)
    edges = np.sort(np.concatenate([np.broadcast_to(np.linspace(-9, 9, 10), (len(z), 10)), cuts], axis=1), axis=1)
    x, v = np.polynomial.legendre.leggauss(12)
    half = np.diff(edges)[..., None] / 2
    e = (edges[:, 1:] + edges[:, :-1])[..., None] / 2 + half * x
    inner = (f(s * (rho * z[:, None, None] + spread * e)) * half * v * np.exp(-e**2 / 2)).sum(axis=(1, 2))
    return float((w * np.exp(-z**2 / 2) * f(s * z)) @ inner / (2 * math.pi))


def one(f: Callable[[Array], Array], q: float, knots: Sequence[float] = ()) -> float:
    """E[f(z)] by adaptive quadrature between the kinks."""
    s = math.sqrt(q)

    def density(t: float) -> float:
        return float(f(np.array([s * t]))[0]) * math.exp(-t * t / 2) / math.sqrt(2 * math.pi)

    near = [sign * part for part in (0.1, 1, 4, 10, 40) for sign in (-1, 1)] if s > 1 else [-1, 1, -4, 4]
    ends = sorted({-12.0, 0.0, 12.0, *(end for end in (k / s for k in (*knots, *near)) if -12 < end < 12)})
    return sum(integrate.quad(density, a, b, epsabs=1e-15, epsrel=1e-12)[0] for a, b in zip(ends, ends[1:]))


@pytest.mark.parametrize("rho", [-0.6, 0.3, 0.95])
def test_the_oracle_knows_the_arc_cosine_kernel_and_the_bivariate_moments(rho: float) -> None:
    relu = (math.sqrt(1 - rho**2) + rho * (math.pi - math.acos(rho))) / (2 * math.pi)
    sign = 2 / math.pi * math.asin(rho)
    got = [pair(lambda z: np.maximum(z, 0), 1.0, rho), pair(np.sign, 1.0, rho), pair(lambda z: z**2, 1.0, rho)]
    assert_close(got, [relu, sign, 1 + 2 * rho**2], QUADRATURE)


def test_the_oracle_agrees_with_adaptive_double_quadrature() -> None:
    rho, q = 0.7, 2.0

    def density(y: float, z: float) -> float:
        gauss = math.exp(-(z * z - 2 * rho * z * y + y * y) / (2 * (1 - rho**2)))
        return gauss * math.tanh(q**0.5 * z) * math.tanh(q**0.5 * y) / (2 * math.pi * math.sqrt(1 - rho**2))

    slow = integrate.dblquad(density, -8, 8, -8, 8, epsabs=1e-9, epsrel=1e-9)[0]
    assert_close(pair(np.tanh, q, rho), slow, Tolerance(1e-8, 0.0))


# ---------------------------------------------------------------------------------------------
# functions
# ---------------------------------------------------------------------------------------------

@every_function
def test_values_are_integrals_of_the_slopes(name: str) -> None:
    f, ends = ALL[name], np.array([-30.0, -4.0, -1.0, 0.0, 0.3, 2.0, 25.0])
    zero = float(f.value(np.zeros(1))[0])
    for end in ends:
        cuts = [k for k in f.knots if min(end, 0) < k < max(end, 0)]
        edges = np.unique([*np.linspace(0, end, 41), *cuts])
        x, w = panels(edges if end > 0 else edges[::-1], 16)
        assert_close(f.value(np.array([end]))[0] - zero, w @ f.slope(x), ROUNDING, scale=max(abs(end), end**2))


def test_functions_are_what_their_names_say() -> None:
    z = np.array([-3.0, -0.5, 0.5, 3.0])
    expected = {"relu": [0, 0, 0.5, 3], "identity": z, "leaky_relu": [-0.03, -0.005, 0.5, 3],
                "tanh": [math.tanh(v) for v in z], "sigmoid": [1 / (1 + math.exp(-v)) for v in z],
                "silu": [v / (1 + math.exp(-v)) for v in z],
                "elu": [v if v > 0 else math.exp(v) - 1 for v in z],
                "softplus": [math.log(1 + math.exp(v)) for v in z],
                "gelu": [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in z],
                "gelu_tanh": [v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) for v in z],
                "relu6": [0, 0, 0.5, 3], "hardtanh": [-1, -0.5, 0.5, 1], "hardsigmoid": [0, 2.5 / 6, 3.5 / 6, 1],
                "hardswish": [0, -0.5 * 2.5 / 6, 0.5 * 3.5 / 6, 3], "prelu": [-0.75, -0.125, 0.5, 3],
                "mish": [v * math.tanh(math.log(1 + math.exp(v))) for v in z],
                "celu": [v if v > 0 else math.exp(v) - 1 for v in z],
                "selu": [1.0507009873554805 * (v if v > 0 else 1.6732632423543772 * (math.exp(v) - 1)) for v in z],
                "softsign": [v / (1 + abs(v)) for v in z], "relu_squared": [0, 0, 0.25, 9]}
    assert set(expected) == set(FUNCTIONS)
    for name, values in expected.items():
        assert_close(phi(name).value(z), np.asarray(values, float), ROUNDING, scale=1.0)
    assert_close(phi("relu6").value(np.array([5.0, 7.0])), [5, 6], EXACT)


@every_function
def test_no_function_overflows(name: str) -> None:
    z = np.array([-1e4, -800.0, 800.0, 1e4])
    assert np.isfinite(ALL[name].value(z)).all() and np.isfinite(ALL[name].slope(z)).all()


def test_points_integrate_polynomials() -> None:
    z, weights = activations.normal_points(256, 0.1)
    moments = [weights @ z**(2 * k) for k in range(5)]
    assert_close(moments, [math.prod(range(1, 2 * k, 2)) for k in range(5)], ROUNDING)


# ---------------------------------------------------------------------------------------------
# one variable
# ---------------------------------------------------------------------------------------------

@every_function
@pytest.mark.parametrize("q", [0.01, 1.0, 4.0, 25.0])
def test_second_and_gate(name: str, q: float) -> None:
    f = ALL[name]
    got = [activations.second(f, np.array(q)), activations.gate(f, np.array(q))]
    expected = [one(lambda z: f.value(z)**2, q, f.knots), one(lambda z: f.slope(z)**2, q, f.knots)]
    assert_close(got, expected, SMOOTH_SQUARE)


@every_function
@pytest.mark.parametrize("q", [1e4, 1e8])
def test_second_and_gate_at_large_variances(name: str, q: float) -> None:
    f = ALL[name]
    got = [activations.second(f, np.array(q)), activations.gate(f, np.array(q))]
    expected = [one(lambda z: f.value(z)**2, q, f.knots), one(lambda z: f.slope(z)**2, q, f.knots)]
    assert_close(got, expected, Tolerance(1e-9, 0.0))


@pytest.mark.parametrize("slope", SLOPES)
def test_piecewise_linear_closed_forms(slope: float) -> None:
    f, q = phi("leaky_relu", slope), np.array([1e-8, 0.3, 7.0])
    assert_close(activations.second(f, q), q * (1 + slope**2) / 2, ROUNDING)
    assert_close(activations.gate(f, q), np.full(3, (1 + slope**2) / 2), ROUNDING)


# ---------------------------------------------------------------------------------------------
# two variables
# ---------------------------------------------------------------------------------------------

@every_function
@pytest.mark.parametrize("q", [1.0, pytest.param(4.0, marks=pytest.mark.slow), 25.0])
def test_pairs(name: str, q: float) -> None:
    f = ALL[name]
    for what, part, of in (("cross", f.value, activations.cross), ("gate_pair", f.slope, activations.gate_pair)):
        split = any(f.knots)
        at = [rho for rho in RHO if not (split and abs(rho) == 1)]
        expected = np.array([split_pair(part, f.knots, q, rho) if split else pair(part, q, rho) for rho in at])
        size = float(np.abs(expected).max())  # near rho = 0 an odd function's value vanishes
        level = Tolerance(1e-9, 0.0) if split else QUADRATURE if name in CLOSED else Tolerance(
            STATED["softsign" if (name, what) == ("softsign", "gate_pair") else what][q], 0.0)
        assert_close(of(f, np.full(len(at), q), np.array(at)), expected, level, scale=size)


@every_function
def test_pairs_at_the_ends_of_rho(name: str) -> None:
    f, q = ALL[name], np.array([0.2, 1.5, 9.0])
    ones = np.ones(3)
    assert_close(activations.cross(f, q, ones), activations.second(f, q), ROUNDING)
    assert_close(activations.gate_pair(f, q, ones), activations.gate(f, q), ROUNDING)
    mean = np.array([one(f.value, v, f.knots) for v in q])
    assert_close(activations.cross(f, q, 0 * ones), mean**2, QUADRATURE,
                 scale=float(activations.second(f, q).max()))


@pytest.mark.parametrize("name", ["tanh", "identity", "hardtanh", "softsign"])
def test_odd_functions_are_odd_in_rho(name: str) -> None:
    f, rho, q = ALL[name], np.linspace(-1, 1, 21), np.full(21, 2.0)
    assert_close(activations.cross(f, q, -rho), -activations.cross(f, q, rho), ROUNDING, scale=1.0)
    assert_close(activations.gate_pair(f, q, -rho), activations.gate_pair(f, q, rho), ROUNDING)


@every_function
def test_pairs_grow_with_rho(name: str) -> None:
    """All coefficients of the expansion are squares."""
    rho, q = np.linspace(0, 1, 101), np.full(101, 3.0)
    for of in (activations.cross, activations.gate_pair):
        values = of(ALL[name], q, rho)
        assert np.diff(values).min() >= -ROUNDING.rtol * values[-1]


@every_function
def test_slopes_of_pairs_are_pairs_of_slopes(name: str) -> None:
    """Price: the derivative of E[phi phi'] by the covariance is E[phi' phi'], integrated over rho."""
    q = 1.0
    rho, w = panels(np.array([-0.5, 0.0, 0.5]), 12)
    rise = activations.cross(ALL[name], np.full(2, q), np.array([-0.5, 0.5]))
    area = q * w @ activations.gate_pair(ALL[name], np.full(len(rho), q), rho)
    assert_close(rise[1] - rise[0], area, Tolerance(STATED["cross"][1.0], 0.0))


# ---------------------------------------------------------------------------------------------
# arrays
# ---------------------------------------------------------------------------------------------

@every_function
def test_elementwise_over_any_shape(name: str) -> None:
    f, rng = ALL[name], np.random.default_rng(0)
    q, rho = rng.uniform(0.1, 3, (2, 3, 4)), rng.uniform(-1, 1, (2, 3, 4))
    q[0, 0] = q[1, 1]
    for of in (activations.cross, activations.gate_pair):
        single = [of(f, np.array(a), np.array(b)) for a, b in zip(q.ravel(), rho.ravel())]
        assert_close(of(f, q, rho), np.reshape(single, q.shape), ROUNDING, scale=1.0)
    for square in (activations.second, activations.gate):
        single = [square(f, np.array(a)) for a in q.ravel()]
        assert_close(square(f, q), np.reshape(single, q.shape), ROUNDING)


@every_function
def test_pairs_broadcast(name: str) -> None:
    f, q, rho = ALL[name], np.array([[0.5], [2.0]]), np.array([0.1, 0.4, 0.9])
    for of in (activations.cross, activations.gate_pair):
        assert_close(of(f, q, rho), of(f, *np.broadcast_arrays(q, rho)), EXACT)


@every_function
def test_tiny_variances_act_linearly(name: str) -> None:
    """phi(z) = phi(0) + phi'(0) z + O(z^2), and 1e-10 beside 1 is not rounded away."""
    f, q = ALL[name], np.array([1e-10, 1.0])
    if name == "relu_squared":  # phi'(0) is 0
        assert_close(activations.gate(f, q), 2 * q, ROUNDING)
        assert_close(activations.second(f, q), 1.5 * q**2, ROUNDING)
        return
    here = float(f.slope(np.array([1e-7]))[0])**2
    below = float(f.slope(np.array([-1e-7]))[0])**2
    assert_close(activations.gate(f, q)[0], (here + below) / 2, Tolerance(1e-4, 0.0))
    start = float(f.value(np.zeros(1))[0])
    if start == 0:
        assert_close(activations.second(f, q)[0], 1e-10 * (here + below) / 2, Tolerance(1e-4, 0.0))


@every_function
def test_no_variance(name: str) -> None:
    f, start = ALL[name], float(ALL[name].value(np.zeros(1))[0])
    assert_close(activations.second(f, np.zeros(2)), np.full(2, start**2), ROUNDING)
    assert_close(activations.cross(f, np.zeros(2), np.array([0.0, 1.0])), np.full(2, start**2), ROUNDING)


def test_correlations_beyond_one_by_rounding_are_one() -> None:
    for f in ALL.values():
        assert_close(activations.cross(f, np.ones(1), np.array([1 + 1e-12])),
                     activations.cross(f, np.ones(1), np.ones(1)), EXACT)


@pytest.mark.parametrize("name", ["silu", "mish", "elu"])
def test_expectations_of_many_deviations_are_those_of_single_ones(name: str) -> None:
    """Maps of thousands of variances are interpolated; zero and ranges of several panels too."""
    phi = activations.function(em.Activation(name))
    rng = np.random.default_rng(3)
    q = np.concatenate([[0.0], np.exp(rng.uniform(-7, 5, 2000))])
    rho = rng.uniform(-1, 1, q.shape)
    some = np.r_[0, rng.integers(1, 2000, 12)]
    for expectation, about in ((activations.second, ()), (activations.gate, ()), (activations.cross, (rho,)),
                               (activations.gate_pair, (rho,))):
        single = [float(expectation(phi, q[[i]], *(a[[i]] for a in about))[0]) for i in some]
        np.testing.assert_allclose(expectation(phi, q, *about)[some], single, rtol=1e-7, atol=1e-9 * q[some].max())
