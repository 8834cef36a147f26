"""Distributions in rows, one per value of what sites share: enumeration, closed forms, simulation."""

from __future__ import annotations

import itertools
import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, Tolerance, assert_close, z_bound
from scipy.special import ndtr, ndtri

import erfmath as em
from erfmath.theory.rules import functions as activations
from erfmath.theory.rules.functions import Function
from erfmath.theory.sweep import site_distribution
from erfmath.theory.sweep.site_distribution import SiteDistribution
from erfmath.theory.sweep.values import Gaussian

Array = Any

#: The errors that the docstring of `erfmath.theory.sweep.site_distribution` states, and of branches it cannot show.
POOLS, SUMS, SATURATED, WEAK = (Tolerance(rtol, 0.0) for rtol in (5e-4, 2e-3, 1.5e-3, 3e-2))
#: What is smooth: exact but for the ends of the nodes.
SMOOTH = Tolerance(1e-9, 0.0)
SHARED = [0.0, 0.05, 0.2, 0.5, 0.9, 0.99]
RELU, TANH = (activations.function(em.Activation(name)) for name in ("relu", "tanh"))


def rows(q: float, c: float, *functions: Function) -> SiteDistribution:
    value = Gaussian.of(q, c).value()
    for function in functions:
        value = value.through(function)
    return value.distribution


# ---------------------------------------------------------------------------------------------
# rows
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("c", SHARED)
@pytest.mark.parametrize("q", [1e-6, 1.0, 40.0])
def test_gaussian(q: float, c: float) -> None:
    distribution = rows(q, c * q)
    assert_close([distribution.second, distribution.cov_site], [q, c * q], SMOOTH, scale=q)
    assert_close(distribution.mean, 0.0, SMOOTH, scale=math.sqrt(q))
    assert_close(distribution.p.sum(axis=1), np.ones(len(distribution.p)), ROUNDING)
    assert_close([distribution.share.sum(), distribution.marginal.sum()], [1.0, 1.0], ROUNDING)


@pytest.mark.parametrize("q, c", [(1.0, 1.0), (1.0, 1.0 + 1e-14), (1.0, -1e-14), (0.0, 0.0)])
def test_gaussian_at_the_ends_of_its_range(q: float, c: float) -> None:
    distribution = rows(q, c)
    assert_close([distribution.second, distribution.cov_site], [q, max(min(c, q), 0.0)], SMOOTH, scale=1.0)


# ---------------------------------------------------------------------------------------------
# the largest
# ---------------------------------------------------------------------------------------------

def test_largest_of_a_few_values_by_enumeration() -> None:
    p = [[Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)], [Fraction(1, 4), Fraction(1, 4), Fraction(1, 2)]]
    x, slope, share = [3, -1, 2], [2, 5, 7], [Fraction(1, 3), Fraction(2, 3)]
    seconds, gates, far = Fraction(0), Fraction(0), Fraction(0)
    for row, weight in zip(p, share):
        mean = Fraction(0)
        for picks in itertools.product(range(3), repeat=3):
            chance = math.prod((row[k] for k in picks), start=Fraction(1))
            winner = max(picks, key=lambda k: x[k])
            mean += chance * x[winner]
            seconds += weight * chance * x[winner]**2
            gates += weight * chance * slope[winner]**2
        far += weight * mean**2
    distribution = SiteDistribution(np.array([x], float), np.array(p, float), np.array([slope], float),
                                    np.array(share, float))
    top = distribution.largest_of(3)
    assert_close([top.second, top.cov_site, top.mean_gate], [float(v) for v in (seconds, far, gates)], ROUNDING)


@pytest.mark.parametrize("count", [2, 4, 9])
def test_winners_of_independent_rectified_sites_are_active_unless_none_is(count: int) -> None:
    distribution = rows(2.0, 0.0, RELU)
    assert_close([distribution.mean_gate, distribution.largest_of(count).mean_gate], [0.5, 1 - 0.5**count], SMOOTH)


def test_winners_of_tanh_saturate() -> None:
    """Four independent sites of variance 1: .315 against .464 (docs/theory.md)."""
    distribution = rows(1.0, 0.0, TANH)
    assert_close([distribution.largest_of(4).mean_gate, distribution.mean_gate], [0.315, 0.464], Tolerance(0.0, 2e-3))


def test_values_that_do_not_rise_with_the_site_are_sorted() -> None:
    """The largest of three values of z^2, by the quantiles of |z|."""
    distribution = rows(1.0, 0.0, Function(lambda z: z**2, lambda z: 2 * z)).largest_of(3)
    level = (np.arange(100_000) + 0.5) / 100_000
    top = ndtri((1 + level**(1 / 3)) / 2)**2
    assert_close([distribution.mean, distribution.mean_gate], [top.mean(), 4 * top.mean()], Tolerance(2e-2, 0.0))


# ---------------------------------------------------------------------------------------------
# distant sites
# ---------------------------------------------------------------------------------------------

def test_overlap_is_the_covariance_over_all_values() -> None:
    """Four sites a window, two values of the shared part, three of the own: windows that share 2 or all 4 sites."""
    x = np.array([[-1.0, 0.5, 2.0], [0.0, 1.0, 1.5]])
    p = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
    share = np.array([0.25, 0.75])
    found = SiteDistribution(x, p, np.ones_like(x), share).overlap(4)
    squares = SiteDistribution(x, p, np.ones_like(x), share).overlap(4, np.square)
    for shared in (2, 4):
        whole, of_squares = 0.0, 0.0
        for row, weights, part in zip(x, p, share):
            sites = np.array(list(itertools.product(range(3), repeat=8 - shared)))
            chance = weights[sites].prod(axis=1)
            one, other = row[sites[:, :4]].max(axis=1), row[sites[:, -4:]].max(axis=1)
            whole += part * (chance @ (one * other) - (chance @ one) * (chance @ other))
            of_squares += part * (chance @ (one * other)**2 - (chance @ one**2) * (chance @ other**2))
        assert_close(found[2 * shared - 1], whole, ROUNDING)
        assert_close(squares[2 * shared - 1], of_squares, ROUNDING)


@pytest.mark.parametrize("kappa", [0.0, 0.3, 0.8, 1.0])
def test_distant_sites_that_share_a_part_of_the_row(kappa: float) -> None:
    """Gaussian sites of correlation rho nearby and kappa rho far away."""
    q, rho = 2.0, 0.6
    distribution = rows(q, rho * q, RELU)
    expected = float(activations.cross(RELU, np.array(q), np.array(kappa * rho)))
    far = float(site_distribution.far_of(distribution.row_means, distribution.share, np.array(kappa)))
    assert_close(far, expected, SUMS)
    assert_close(site_distribution.share_of(distribution.row_means, distribution.share, far), kappa, SUMS, scale=1.0)


@pytest.mark.parametrize("kappa", [0.0, 0.4, 1.0])
def test_distant_sites_after_a_second_function(kappa: float) -> None:
    """tanh(relu(z)) of distant sites, from what relu(z) of distant sites have in common."""
    q, rho = 1.5, 0.5
    before, after = rows(q, rho * q, RELU), rows(q, rho * q, RELU, TANH)
    z, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    t = np.linspace(-9, 9, 721)
    weight = np.exp(-t**2 / 2) / np.exp(-t**2 / 2).sum()

    def far(phi: Any) -> float:
        r = kappa * rho
        given = np.array([weight @ phi(math.sqrt(q) * (math.sqrt(r) * s + math.sqrt(1 - r) * t)) for s in z])
        return float(w @ given**2)
    one, both = far(RELU.value), far(lambda u: np.tanh(RELU.value(u)))
    got = site_distribution.distant(before.row_means, after.row_means, before.share, one)
    assert_close(got, both, Tolerance(5e-3, 0.0))


# ---------------------------------------------------------------------------------------------
# sums with a Gaussian that shares a part
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("q, c", [(1.0, 0.4), (0.3, 0.1), (2.0, 1.9), (1.0, 0.0)])
def test_plus(q: float, c: float) -> None:
    """x + f at two sites, simulated: second moment, what they share, and the same after a rectifier."""
    distribution = site_distribution.plus(rows(1.0, 0.4, RELU), q, c)
    rng, draws = np.random.default_rng(3), 400_000

    def pair(q: float, c: float) -> Array:
        return math.sqrt(c) * rng.standard_normal(draws) + math.sqrt(q - c) * rng.standard_normal((2, draws))
    x = np.maximum(pair(1.0, 0.4), 0) + pair(q, c)
    top = np.maximum(x, 0)
    opened = np.maximum(distribution.x, 0)
    got = [distribution.second, distribution.cov_site, float(distribution.share @ (distribution.p @ opened[0]**2)),
           float(distribution.share @ (distribution.p @ opened[0])**2)]
    for value, outcomes in zip(got, ((x**2).mean(axis=0), x[0] * x[1], (top**2).mean(axis=0), top[0] * top[1])):
        error = z_bound(4) * outcomes.std() / math.sqrt(draws)
        assert abs(value - outcomes.mean()) <= SUMS.rtol * outcomes.mean() + error


@pytest.mark.parametrize("q", [0.0, 1e-8, 1e-3])
def test_vanishing_branches_leave_the_stream_as_it_is(q: float) -> None:
    before = rows(1.0, 0.3, RELU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distribution = site_distribution.plus(before, q, 0.0)
    assert_close([distribution.second, distribution.cov_site], [before.second + q, before.cov_site], WEAK)


def test_dead_values_stay_dead() -> None:
    distribution = site_distribution.plus(rows(0.0, 0.0, RELU), 0.0, 0.0)
    assert np.isfinite([distribution.second, distribution.cov_site, distribution.largest_of(4).second]).all()


def test_probability_below_is_what_makes_the_largest_exact() -> None:
    """Columns in the order of their values with P(below) known: the normal distribution, to seven digits."""
    distribution = rows(1.0, 0.0)
    assert distribution.below is not None
    assert_close(distribution.below[0], ndtr(distribution.x[0]), Tolerance(0.0, 1e-7))
    assert_close(distribution.largest_of(2).mean, 1 / math.sqrt(math.pi), Tolerance(1e-7, 0.0))
