"""One-site laws against quadrature of the one-factor picture, enumeration and simulation."""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, Tolerance, assert_close, z_bound
from scipy.special import ndtr

import erfmath as em
from erfmath.theory.rules import functions as activations
from erfmath.theory.sweep import site_distribution
from erfmath.theory.sweep.moments import Activated
from erfmath.theory.sweep.site_distribution import SiteDistribution

Array = Any

#: The errors that the docstring of `erfmath.theory.sweep.site_distribution` states.
POOLS, SUMS = Tolerance(5e-4, 0.0), Tolerance(2e-3, 0.0)
RECTIFIED, SATURATED, WEAK = Tolerance(1e-4, 0.0), Tolerance(1.5e-3, 0.0), Tolerance(3e-2, 0.0)
#: Largest relative error of what is smooth: the rule is then exact, but for the ends of the grid.
SMOOTH = Tolerance(1e-9, 0.0)
SHARED = [0.0, 0.05, 0.2, 0.5, 0.9, 0.99]
RELU, TANH, IDENTITY = (activations.function(em.Activation(name)) for name in ("relu", "tanh", "identity"))
BY_NAME = {"relu": RELU, "tanh": TANH, "identity": IDENTITY}


# ---------------------------------------------------------------------------------------------
# the oracle: integrals over the shared and the own part, split at zero
# ---------------------------------------------------------------------------------------------

def panels(edges: Array, order: int = 12) -> tuple[Array, Array]:
    x, w = np.polynomial.legendre.leggauss(order)
    a, b = np.asarray(edges)[..., :-1, None], np.asarray(edges)[..., 1:, None]
    shape = (*np.shape(a)[:-2], -1)
    return ((a + b) / 2 + (b - a) / 2 * x).reshape(shape), ((b - a) / 2 * w).reshape(shape)


@functools.lru_cache(maxsize=None)
def largest(name: str, c: float, count: int) -> tuple[float, float, float]:
    """E[m^2], E[m m'] far apart and E[phi'(winner)^2] for m = max phi(z_i), z_i of variance 1, sharing c."""
    phi, own = BY_NAME[name], math.sqrt(1 - c)
    t, weight = panels(np.concatenate([-np.geomspace(8, 0.01, 20), [0], np.geomspace(0.01, 8, 20)]), 8)
    weight = weight * np.exp(-t**2 / 2) / math.sqrt(2 * math.pi)
    middle = math.sqrt(c) * t
    edges = np.broadcast_to(np.linspace(-9, 9, 25), (len(t), 25))
    kink = np.clip(-middle / own, -9, 9)[:, None]
    u, w = panels(np.sort(np.concatenate([edges, kink], axis=1), axis=1))
    density = w * count * ndtr(u)**(count - 1) * np.exp(-u**2 / 2) / math.sqrt(2 * math.pi)
    x = middle[:, None] + own * u  # phi does not decrease: the largest phi is that of the largest z
    value, slope = phi.value(x), phi.slope(x)
    return (float(weight @ (density * value**2).sum(axis=1)), float(weight @ (density * value).sum(axis=1)**2),
            float(weight @ (density * slope**2).sum(axis=1)))


def test_the_oracle_knows_order_statistics() -> None:
    """E max of 2, 3 and 4 independent standard normal variables (Teichroew 1956)."""
    root = math.sqrt(math.pi)
    for count, mean in ((2, 1 / root), (3, 1.5 / root), (4, 3 / root * (0.5 + math.asin(1 / 3) / math.pi))):
        assert_close(largest("identity", 0.0, count)[1], mean**2, SMOOTH)


# ---------------------------------------------------------------------------------------------
# Gaussian rows
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("c", SHARED)
@pytest.mark.parametrize("q", [1e-6, 1.0, 40.0])
def test_gaussian(q: float, c: float) -> None:
    law = site_distribution.gaussian(q, c * q)
    assert_close([distribution.second, distribution.cov_site], [q, c * q], SMOOTH, scale=q)
    assert_close(distribution.mean, 0.0, SMOOTH, scale=math.sqrt(q))
    assert_close(distribution.p.sum(axis=1), np.ones(len(distribution.p)), ROUNDING)
    assert_close(distribution.share.sum(), 1.0, ROUNDING)
    assert_close(distribution.marginal.sum(), 1.0, ROUNDING)


@pytest.mark.parametrize("q, c", [(1.0, 1.0), (1.0, 1.0 + 1e-14), (1.0, -1e-14), (0.0, 0.0)])
def test_gaussian_at_the_ends_of_its_range(q: float, c: float) -> None:
    law = site_distribution.gaussian(q, c)
    assert_close([distribution.second, distribution.cov_site], [q, max(min(c, q), 0.0)], SMOOTH, scale=q)


@pytest.mark.parametrize("c", SHARED)
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "softplus"])
def test_laws_behind_activations_know_the_closed_forms(name: str, c: float) -> None:
    """Seconds, gates and far covariances of one site as `activations` computes them from pairs."""
    phi = activations.function(em.Activation(name))
    q, rho = np.array(1.5), np.array(c)
    law = site_distribution.gaussian(1.5, 1.5 * c).through(phi)
    assert_close(distribution.second, float(activations.second(phi, q)), POOLS)
    assert_close(distribution.mean_gate, float(activations.gate(phi, q)), POOLS)
    assert_close(distribution.cov_site, float(activations.cross(phi, q, rho)), POOLS, scale=distribution.second)
    assert_close(distribution.pair_gate, float(activations.gate_pair(phi, q, rho)), POOLS, scale=distribution.mean_gate)


# ---------------------------------------------------------------------------------------------
# largest of N
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("count", [1, 2, 4, 9])
@pytest.mark.parametrize("c", SHARED)
@pytest.mark.parametrize("name", BY_NAME)
def test_largest_of_correlated_sites(name: str, c: float, count: int) -> None:
    law = site_distribution.gaussian(1.0, c).through(BY_NAME[name]).largest_of(count)
    second, far, gate = largest(name, c, count)
    assert_close([distribution.second, distribution.cov_site], [second, far], POOLS, scale=second)
    assert_close(distribution.mean_gate, gate, SATURATED if name == "tanh" else RECTIFIED)


@pytest.mark.parametrize("count", [2, 4, 9])
def test_winners_of_independent_rectified_sites_are_active_unless_none_is(count: int) -> None:
    law = site_distribution.gaussian(2.0, 0.0).through(RELU)
    assert_close([distribution.mean_gate, distribution.largest_of(count).mean_gate], [0.5, 1 - 0.5**count], SMOOTH)


def test_winners_of_tanh_saturate() -> None:
    """Four independent sites of variance 1: .315 against .464 (docs/theory.md)."""
    law = site_distribution.gaussian(1.0, 0.0).through(TANH)
    digits = Tolerance(0.0, 2e-3)
    assert_close([distribution.largest_of(4).mean_gate, distribution.mean_gate], [0.315, 0.464], digits)


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
    law = SiteDistribution(np.array([x], float), np.array(p, float), np.array([slope], float), np.array(share, float))
    top = distribution.largest_of(3)
    assert_close([top.second, top.cov_site, top.mean_gate], [float(v) for v in (seconds, far, gates)], ROUNDING)


def test_values_that_do_not_rise_with_the_site_are_sorted() -> None:
    """The largest of N values of z^2: the law of max |z|^2."""
    square = activations.Function(lambda z: z**2, lambda z: 2 * z)
    law = site_distribution.gaussian(1.0, 0.0).through(square).largest_of(3)
    r, w = panels(np.linspace(0, 9, 19))
    density = w * 3 * (2 * ndtr(r) - 1)**2 * 2 * np.exp(-r**2 / 2) / math.sqrt(2 * math.pi)
    assert_close([distribution.mean, distribution.mean_gate], [density @ r**2, density @ (4 * r**2)], SATURATED)


# ---------------------------------------------------------------------------------------------
# scaling, standardising, sharing a part
# ---------------------------------------------------------------------------------------------

def test_scaled() -> None:
    law = site_distribution.gaussian(1.0, 0.4).through(RELU).largest_of(4)
    twice = distribution.scaled(-2.0)
    assert_close([twice.second, twice.cov_site, twice.mean], [4 * distribution.second, 4 * distribution.cov_site, -2 * distribution.mean], ROUNDING)
    assert_close(twice.mean_gate, distribution.mean_gate, ROUNDING)


@pytest.mark.parametrize("c", SHARED)
def test_standardised(c: float) -> None:
    """What channels share is gone, the gate of what made the values is not."""
    law = site_distribution.gaussian(3.0, 3 * c).through(RELU)
    norm = distribution.standardised()
    assert_close([norm.second, norm.cov_site, norm.mean], [1.0, 0.0, 0.0], ROUNDING, scale=1.0)
    assert_close(norm.largest_of(4).mean_gate, distribution.largest_of(4).mean_gate, ROUNDING)


@pytest.mark.parametrize("kappa", [0.0, 0.3, 0.8, 1.0])
def test_distant_sites_that_share_a_part_of_the_row(kappa: float) -> None:
    """Gaussian sites of correlation rho nearby and kappa rho far away."""
    q, rho = 2.0, 0.6
    law = site_distribution.gaussian(q, rho * q).through(RELU)
    expected = float(activations.cross(RELU, np.array(q), np.array(kappa * rho)))
    far = float(site_distribution.far_of(distribution.row_means, distribution.share, np.array(kappa)))
    assert_close(far, expected, SUMS)
    assert_close(site_distribution.share_of(distribution.row_means, distribution.share, far), kappa, SUMS, scale=1.0)


# ---------------------------------------------------------------------------------------------
# residual sums
# ---------------------------------------------------------------------------------------------

#: q and c of x_0's Gaussian, then of each block's f.
RUNS = {
    "normalised": [(1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0)],
    "shared start": [(1.0, 0.4), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0)],
    "shared all along": [(1.0, 0.4), (1.0, 0.3), (2.0, 0.5), (1.0, 0.7)],
    "weak branches": [(4.0, 1.0), (0.3, 0.0), (0.3, 0.1), (0.3, 0.0)],
}


def summed(distribution: SiteDistribution, q: float, c: float, phi: activations.Function) -> tuple[SiteDistribution, Array]:
    """The law of phi(x + f), and phi'(x + f)^2 times the transition matrix."""
    _, after, transition = site_distribution.gated_sum(distribution, q, c, phi)
    return after, transition


class Statistics:
    """Second moments, far covariances, and P(gates m..k all open) for every m <= k."""

    def __init__(self, run: list[tuple[float, float]]) -> None:
        law = site_distribution.gaussian(*run[0]).through(RELU)
        chain, before = [], []
        values: dict[Any, float] = {}
        for k, (q, c) in enumerate(run[1:]):
            before.append(distribution.marginal)
            distribution, transition = summed(distribution, q, c, RELU)
            chain.append(transition)
            values["second", k], values["far", k], values["gate", k] = distribution.second, distribution.cov_site, distribution.mean_gate
        for m in range(len(chain)):
            alive = before[m]
            for k in range(m, len(chain)):
                alive = alive @ chain[k]
                values["open", m, k] = float(alive.sum())
        self.values = values


def simulate(run: list[tuple[float, float]], draws: int, rng: np.random.Generator) -> dict[Any, Array]:
    """One array of outcomes per statistic: x_{l+1} = max(x_l + f_l, 0) at two distant sites."""
    def pair(q: float, c: float) -> Array:
        return math.sqrt(c) * rng.standard_normal(draws) + math.sqrt(q - c) * rng.standard_normal((2, draws))

    x, opened, out = np.maximum(pair(*run[0]), 0), [], {}
    for k, (q, c) in enumerate(run[1:]):
        x = x + pair(q, c)
        opened.append(x > 0)
        x = np.maximum(x, 0)
        out["second", k], out["far", k], out["gate", k] = (x**2).mean(axis=0), x[0] * x[1], opened[k].mean(axis=0)
    for m in range(len(opened)):
        alive = np.ones((2, draws), bool)
        for k in range(m, len(opened)):
            alive = alive & opened[k]
            out["open", m, k] = alive.mean(axis=0)
    return out


@pytest.mark.parametrize("name", RUNS)
def test_runs_of_residual_sums(name: str) -> None:
    """Joint survival over several gates, within the stated error and 4e5 draws' own."""
    theory = Statistics(RUNS[name]).values
    sampled = simulate(RUNS[name], 400_000, np.random.default_rng(7))
    assert set(theory) == set(sampled)
    bound = z_bound(len(sampled))
    for key, outcomes in sampled.items():
        error = bound * outcomes.std() / math.sqrt(outcomes.size)
        assert abs(theory[key] - outcomes.mean()) <= SUMS.rtol * outcomes.mean() + error, key


def test_marginal_gates_are_not_enough() -> None:
    """The effect the conditional gates are there for: survivors pass the next gate more often."""
    values = Statistics(RUNS["normalised"]).values
    joint, product = values["open", 0, 3], math.prod(values["open", k, k] for k in range(4))
    assert joint > 1.5 * product
    # A marginal 1/2 instead would be wrong by the whole identity path.
    assert values["open", 1, 1] > 0.6


def test_one_residual_sum_exactly() -> None:
    """x = max(z, 0), z and f standard normal: P(x + f > 0) = 5/8, of those with x > 0: 3/4."""
    before = site_distribution.gaussian(1.0, 0.0).through(RELU)
    distribution, transition = summed(before, 1.0, 0.0, RELU)
    passed = transition.sum(axis=1)
    positive = before.x[0] > 0
    start = before.marginal
    got = [start @ passed, start[positive] @ passed[positive] / start[positive].sum(), distribution.mean_gate]
    assert_close(got, [5 / 8, 3 / 4, 5 / 8], POOLS)


def test_transitions_are_averaged_with_the_rows_they_belong_to() -> None:
    """Rows of unequal columns: after the sum, E[phi'^2] is the same along either way."""
    before = site_distribution.gaussian(1.0, 0.5).through(RELU).largest_of(4)
    distribution, transition = summed(before, 0.7, 0.2, RELU)
    assert_close(before.marginal @ transition.sum(axis=1), distribution.mean_gate, SUMS)


@pytest.mark.parametrize("q", [0.0, 1e-8, 1e-3])
def test_vanishing_branches_leave_the_stream_as_it_is(q: float) -> None:
    before = site_distribution.gaussian(1.0, 0.3).through(RELU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distribution, _ = summed(before, q, 0.0, RELU)
    assert_close([distribution.second, distribution.cov_site], [before.second + q / 2, before.cov_site], WEAK)


def test_a_weak_branch_behind_strong_ones() -> None:
    """Columns in the far tail, which no path reaches, spoil nothing."""
    law = site_distribution.gaussian(1.0, 0.0).through(RELU)
    for q in (9.0, 9.0, 1e-12):
        before = distribution.second
        distribution, transition = summed(distribution, q, 0.0, RELU)
        assert np.isfinite(transition).all()
    assert_close(distribution.second, before, SUMS)


def test_a_dead_stream_stays_dead() -> None:
    distribution, _ = summed(site_distribution.gaussian(0.0, 0.0).through(RELU), 0.0, 0.0, RELU)
    assert np.isfinite([distribution.second, distribution.cov_site]).all()


def test_equal_runs_are_made_once() -> None:
    """Numbers that differ by rounding give the very same laws, and the last of a run leads to the same again."""
    def run(off: float) -> list[SiteDistribution]:
        z = Activated(2 + off, 0.5 - off, RELU)
        law = z.table(1 + off)
        made = [distribution]
        for _ in range(3):
            law = summed(distribution.scaled(1 + off), site_distribution.rounded(1 + off), site_distribution.rounded(0.25 - off), RELU)[0]
            made.append(distribution)
        return made

    assert all(one is other for one, other in zip(run(0), run(2e-16)))
    assert not any(one is other for one, other in zip(run(0), run(1e-9)))


def test_sums_of_smooth_activations() -> None:
    """tanh(x + f) for Gaussian x is tanh of a Gaussian of the summed moments."""
    distribution, transition = summed(site_distribution.gaussian(0.6, 0.2), 0.9, 0.3, TANH)
    q, rho = np.array(1.5), np.array(0.5 / 1.5)
    expected = [float(activations.second(TANH, q)), float(activations.cross(TANH, q, rho)),
                float(activations.gate(TANH, q))]
    assert_close([distribution.second, distribution.cov_site, distribution.mean_gate], expected, SUMS)
    assert_close(site_distribution.gaussian(0.6, 0.2).marginal @ transition.sum(axis=1), expected[2], SUMS)
