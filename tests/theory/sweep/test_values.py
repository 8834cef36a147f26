"""Values of one site against adaptive quadrature, closed forms and inverse functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, REWRITE, ROUNDING, Tolerance, assert_close
from scipy import integrate
from scipy.special import ndtr, ndtri

import erfmath as em
from erfmath.theory.rules import functions as activations
from erfmath.theory.rules.functions import Function
from erfmath.theory.sweep.values import ORDER, Affine, Gaussian, Nodes, Value, cumulated, gauss_hermite, panels

Array = Any
Phi = Callable[[Array], Array]

#: Expectations over nodes: what is analytic between kinks, and tanh and its slope, which have poles nearby.
SMOOTH, POLES = Tolerance(1e-10, 1e-13), Tolerance(1e-7, 1e-10)
#: What two sites share is read from a table of 257 correlations, and rows of the shared part are 48.
SHARED = Tolerance(5e-4, 0.0)
NAMES = ["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus", "identity"]


def phi(name: str, **options: Any) -> Function:
    return activations.function(em.Activation(name, **options))


RELU, LEAKY, TANH, SILU, ABS = phi("relu"), phi("leaky_relu", slope=0.2), phi("tanh"), phi("silu"), Function(
    np.abs, lambda z: np.where(z > 0, 1.0, -1.0), below=-1.0, knots=(0.0,))


def gaussian(q: float = 1.0, c: float = 0.0) -> Value:
    return Gaussian.of(q, c).value()


def expectation(f: Callable[[float], float], q: float, kinks: tuple[float, ...] = (0.0,)) -> float:
    """E[f(z)] for z ~ N(0, q) by adaptive quadrature, split at kinks and where smooth functions bend."""
    spread = math.sqrt(q)
    ends = sorted({-13.0, 13.0, *(k / spread for k in (*kinks, -3.0, -1.0, 1.0, 3.0) if abs(k / spread) < 13)})
    return sum(integrate.quad(lambda z: f(z * spread) * math.exp(-z**2 / 2) / math.sqrt(2 * math.pi), a, b,
                              epsabs=1e-14, epsrel=1e-12, limit=200)[0] for a, b in zip(ends, ends[1:]))


# ---------------------------------------------------------------------------------------------
# expectations
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("q", [1e-4, 0.3, 1.0, 9.0, 100.0])
@pytest.mark.parametrize("name", NAMES)
def test_moments_of_activations(name: str, q: float) -> None:
    function = phi(name)
    value = gaussian(q).through(function)
    expected = [expectation(lambda z: float(f(np.array(z))), q) for f in (
        function.value, lambda z: function.value(z)**2, lambda z: function.slope(z)**2)]
    assert_close([value.mean, value.second, value.squared_slope], expected, POLES if name == "tanh" else SMOOTH,
                 scale=min(1.0, math.sqrt(q)))


@pytest.mark.parametrize("q, c", [(1.0, 0.0), (4.0, 1.0), (1e-6, 1e-6), (0.0, 0.0)])
def test_gaussian(q: float, c: float) -> None:
    value = gaussian(q, c)
    assert_close([value.second, value.squared_slope, value.nodes.p.sum()], [q, 1.0, 1.0], SMOOTH)
    assert_close(value.mean, 0.0, ROUNDING, scale=1.0)
    assert value.plain and value.times(-2.0).plain and not value.through(RELU).plain


@pytest.mark.parametrize("q, c, kept", [(1.0, 1.0 + 1e-14, 1.0), (1.0, -1e-14, 0.0), (-1e-17, 0.0, 0.0)])
def test_moments_beyond_their_range_are_rounding(q: float, c: float, kept: float) -> None:
    source = Gaussian.of(q, c)
    assert (source.q, source.c) == (max(q, 0.0), kept)


def test_equal_parts_of_networks_are_made_once() -> None:
    """Numbers that differ by rounding give the very same value; others do not."""
    def made(off: float) -> Value:
        return gaussian(2 + off, 0.5 - off).through(RELU).times(0.3 + off).through(TANH)

    assert made(0.0) is made(2e-16)
    assert made(0.0) is not made(1e-9)
    assert made(0.0).nodes is made(2e-16).nodes


def test_scale_and_shift_are_one_step() -> None:
    value = gaussian().through(RELU)
    assert value.times(1.0) is value
    twice = value.times(2.0, 1.0).times(-3.0, 0.5)
    assert twice.steps == (RELU, Affine(-6.0, -2.5))
    assert_close([twice.mean, twice.second], [-6 * value.mean - 2.5, 36 * 0.5 + 30 * value.mean + 6.25], ROUNDING)


def test_slopes_multiply_along_a_composition() -> None:
    value = gaussian().through(TANH).times(1.5, 0.2).through(SILU).times(-0.7)
    u, step = np.linspace(-3, 3, 11), 1e-5
    difference = (value.at(u + step) - value.at(u - step)) / (2 * step)
    assert_close(value.slope(u), difference, Tolerance(0.0, 1e-9))


# ---------------------------------------------------------------------------------------------
# kinks
# ---------------------------------------------------------------------------------------------

def clipped(value: Value, top: float) -> Value:
    """min(max(v, 0), top), made of rectifiers."""
    return value.through(RELU).times(-1.0, top).through(RELU).times(-1.0, top)


COMPOSED: dict[str, tuple[Value, tuple[float, ...]]] = {
    "leaky of leaky": (gaussian().through(LEAKY).through(LEAKY), (0.0,)),
    "rectified twice": (gaussian().through(RELU).through(RELU), (0.0,)),
    "rectified after a shift": (gaussian(4.0).times(0.5, -0.3).through(RELU), (0.6,)),
    "leaky, shifted, rectified": (gaussian().through(LEAKY).times(1.0, 0.1).through(RELU), (-0.5, 0.0)),
    "clipped at 1": (clipped(gaussian(4.0), 1.0), (0.0, 1.0)),
    "outside of an interval": (gaussian().through(ABS).times(1.0, -0.7).through(RELU), (-0.7, 0.0, 0.7)),
    "tanh over one half": (gaussian(0.2).through(TANH).times(1.0, -0.5).through(RELU), (math.atanh(0.5),)),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_knots_are_where_a_composition_has_kinks(name: str) -> None:
    value, kinks = COMPOSED[name]
    assert_close(value.knots, kinks, ROUNDING, scale=1.0)


@pytest.mark.parametrize("name", COMPOSED)
def test_moments_of_compositions(name: str) -> None:
    value, kinks = COMPOSED[name]
    expected = [expectation(lambda z: float(f(np.array(z))), value.source.nodes(()).p @ value.source.nodes(()).u**2,
                            kinks) for f in (value.at, lambda u: value.at(u)**2, lambda u: value.slope(u)**2)]
    assert_close([value.mean, value.second, value.squared_slope], expected, POLES if "tanh" in name else SMOOTH)


def test_leaky_of_leaky_is_leaky() -> None:
    """Slopes of .2 and .5 are one of .1."""
    twice = gaussian(3.0).through(LEAKY).through(phi("leaky_relu", slope=0.5))
    once = gaussian(3.0).through(phi("leaky_relu", slope=0.1))
    assert_close([twice.mean, twice.second, twice.squared_slope], [once.mean, once.second, once.squared_slope],
                 ROUNDING)
    assert_close(twice.entry.table, once.entry.table, ROUNDING)


def test_every_passage_of_a_level_is_found() -> None:
    """v = |u|^(1/2) passes each level on both sides, and levels that it never takes nowhere."""
    root = Function(lambda z: np.sqrt(np.abs(z)), lambda z: np.sign(z) / (2 * np.sqrt(np.abs(z) + 1e-300)))
    value = gaussian().through(root)
    assert_close(sorted(value.preimage((0.5, 1.0, -2.0, 50.0))), [-1.0, -0.25, 0.25, 1.0], REWRITE)
    assert value.preimage(()) == ()
    assert gaussian().preimage((0.3, -4.0)) == (0.3, -4.0)


@pytest.mark.parametrize("seed", range(20))
def test_straight_lines_pass_levels_where_values_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    value, levels = gaussian(), (*rng.normal(size=4).tolist(), 0.0)
    for _ in range(rng.integers(1, 5)):
        value = value.through([RELU, LEAKY, TANH][rng.integers(3)]).times(float(rng.choice([-1.0, 1.0]) * rng.uniform(
            0.3, 3.0)), float(rng.normal()))
    assert_close(sorted(value.preimage(levels)), sorted(value._passing(levels)), REWRITE)


# ---------------------------------------------------------------------------------------------
# probabilities below, and who wins
# ---------------------------------------------------------------------------------------------

def test_cumulated_integrates_polynomials_exactly() -> None:
    edges = np.array([-1.0, 0.2, 0.3, 2.0])
    u, w = panels(edges)
    p = w * (u**(ORDER - 1) + 2)
    exact = (u**ORDER - (-1.0)**ORDER) / ORDER + 2 * (u + 1)
    assert_close(cumulated(p / p.sum()), exact / p.sum(), SMOOTH)


def test_cumulated_is_the_normal_distribution() -> None:
    nodes = gaussian(4.0).nodes
    assert_close(cumulated(nodes.p), ndtr(nodes.u / 2), Tolerance(0.0, 1e-7))


@pytest.mark.parametrize("c", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("count", [2, 4, 9])
def test_winning(count: int, c: float) -> None:
    """N P(u is the largest of N | u) by quadrature over what sites share, given u."""
    source, u = Gaussian.of(2.0, 2 * c), np.array([-2.0, 0.1, 1.5])
    expected = []
    for value in u / math.sqrt(2):
        def wins(t: float) -> float:  # t, the shared part given u, has mean sqrt(c) u and variance 1 - c
            shared = math.sqrt(c) * value + math.sqrt(1 - c) * t
            return count * float(ndtr((value - math.sqrt(c) * shared) / math.sqrt(1 - c)))**(count - 1)
        expected.append(expectation(wins, 1.0))
    assert_close(source.winning(u, count), expected, Tolerance(1e-7, 1e-9))


def test_one_of_the_sites_wins() -> None:
    nodes = gaussian(2.0, 0.6).nodes
    assert_close(nodes.p @ Gaussian.of(2.0, 0.6).winning(nodes.u, 4), 1.0, SMOOTH)


def test_gauss_hermite() -> None:
    z, w = gauss_hermite(12)
    assert_close([w @ z**k for k in range(0, 12, 2)], [1, 1, 3, 15, 105, 945], REWRITE)


# ---------------------------------------------------------------------------------------------
# what sites share
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "softplus"])
@pytest.mark.parametrize("rho", [0.0, 0.2, 0.7, 0.99])
def test_sharing(name: str, rho: float) -> None:
    """The part of the source that makes E[v v'] what it is: closed forms of two correlated Gaussians."""
    function, q = phi(name), np.array(1.5)
    cov_site = float(activations.cross(function, q, np.array(rho)))
    value = gaussian(1.5).through(function).sharing(cov_site)
    assert isinstance(value.source, Gaussian)
    assert_close(value.source.c / value.source.q, rho, Tolerance(0.0, 2e-4), scale=1.0)
    assert_close(value.distribution.cov_site, cov_site, SHARED, scale=value.second)


@pytest.mark.parametrize("c", [0.0, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("name", NAMES)
def test_distributions_in_rows_know_the_closed_forms(name: str, c: float) -> None:
    function, q = phi(name), np.array(1.5)
    rows = gaussian(1.5, 1.5 * c).through(function).distribution
    assert_close([rows.second, rows.cov_site, rows.mean_gate, rows.pair_gate], [
        float(activations.second(function, q)), float(activations.cross(function, q, np.array(c))),
        float(activations.gate(function, q)), float(activations.gate_pair(function, q, np.array(c)))], SHARED,
        scale=max(rows.second, rows.mean_gate))


# ---------------------------------------------------------------------------------------------
# what is known of a gradient
# ---------------------------------------------------------------------------------------------

def test_what_enters_has_mean_one() -> None:
    known = clipped(gaussian(4.0), 1.0).entry
    nodes, table = known.nodes, known.table
    assert_close(table @ nodes.p, [1.0, 1.0], ROUNDING)
    inside = (nodes.u > 0) & (nodes.u < 1)
    assert_close(table[:, ~inside], np.zeros((2, (~inside).sum())), EXACT)
    assert_close(table[0, inside], np.full(inside.sum(), 1 / (ndtr(0.5) - ndtr(0))), SMOOTH)


def test_slopes_of_mean_zero_say_nothing_of_pairs() -> None:
    """|u| lets all power pass, and of two independent sites nothing on average: no ratio of two roundings."""
    table = gaussian().through(ABS).entry.table
    assert_close(table, np.ones(table.shape), ROUNDING)


def test_dead_values_are_finite() -> None:
    table = gaussian().through(RELU).times(-1.0).through(RELU).entry.table
    assert np.isfinite(table).all()


def test_gains_over_independence() -> None:
    """h = 1[u > a] at a rectifier: its gate is open with probability P(u > a) / P(u > 0) more than without."""
    value, a = gaussian().through(RELU), float(ndtri(0.8))
    nodes = value.source.nodes((0.0, a))
    table = np.stack([nodes.u > a, nodes.u > a]).astype(float)[None] / 0.2
    onward, power, pairs = value.enter(Nodes(nodes.u, nodes.p), table)
    assert_close([power[0], pairs[0]], [2.0, 4.0], SMOOTH)
    assert_close(onward[0] @ nodes.p, [1.0, 1.0], ROUNDING)
