"""Values of one site that are made of one value, against closed forms of two independent sites."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, Tolerance, assert_close
from scipy.integrate import quad
from scipy.stats import norm

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep.forward import Gates, forward
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.moments import Moments
from erfmath.theory.sweep.plan import Graph, Plan
from erfmath.theory.sweep.sources import Averaged, Largest
from erfmath.theory.sweep.together import covariance
from erfmath.theory.sweep.values import Gaussian

R, G1 = em.Activation("relu"), em.Random(gain=1)
#: Tables over the nodes of a source; lattices of filters.
TABLES, LATTICES = Tolerance(5e-3, 0.0), Tolerance(5e-3, 0.0)
SITE = em.Conv(1, 8, weights=G1)  # independent at all sites, of variance 1
PAIR = em.serial(em.MaxPool(2), em.Upsample(2))


def swept(net: em.Network) -> tuple[Graph, dict[int, Moments], Gates]:
    graph = Graph.of(net, RunSettings.of(net, ndim=1))
    seen: dict[int, Moments] = {}
    gates = forward(graph, Plan(graph, False), InputModel(), seen)
    return graph, seen, gates


def test_the_larger_of_two_given_one() -> None:
    """E[max(u, y) | u] = u Phi(u) + phi(u)."""
    pool = Largest.of(Gaussian.of(1.0, 0.0).value(), 2)
    nodes = pool.value().nodes
    below, table = pool.given(0, nodes, nodes.u[None])
    near = abs(below.u) < 3
    assert_close(table[0, near], (below.u * norm.cdf(below.u) + norm.pdf(below.u))[near], TABLES, scale=1)
    assert_close(below.p @ table[0], np.pi**-.5, TABLES)


def test_an_average_given_one_of_its_sites() -> None:
    """E[f(mean) | u] averages to E[f(mean)], for sites of unequal weights too; the mean itself by hand."""
    pool = Averaged((Gaussian.of(1.0, 0.0).value().through(em_relu()),), (.5, .25, .25))
    nodes = pool.value().nodes
    below, table = pool.given(0, nodes, np.stack([nodes.u, nodes.u**2]))
    assert_close(below.p @ table.T, nodes.p @ np.stack([nodes.u, nodes.u**2]).T, LATTICES)
    mean = (2 * np.pi)**-.5
    assert_close(below.p @ (table[0] * np.maximum(below.u, 0)), (1 / 2 - mean**2) / 3 + mean**2, LATTICES)


def em_relu() -> object:
    from erfmath.theory.rules.functions import function
    return function(R)


@pytest.mark.parametrize("gate, expected", [((), 1 / 2), ((R,), None)])
def test_covariance_with_the_larger_of_two(gate: tuple[em.Layer, ...], expected: float | None) -> None:
    """Of x and max(x, y): half the variance, as max = (x + y + |x - y|) / 2; of ReLUs by their products."""
    net = em.serial(SITE, *gate, em.residual(PAIR))
    graph, done, gates = swept(net)
    if expected is None:
        second = quad(lambda m: m**2 * 2 * norm.cdf(m) * norm.pdf(m), 0, 12)[0]
        larger = quad(lambda m: m * 2 * norm.cdf(m) * norm.pdf(m), 0, 12)[0]
        expected = (second + 1 / (2 * np.pi)) / 2 - larger * (2 * np.pi)**-.5
    one, other = graph.sources[graph.top]
    found = covariance(graph, done, gates.parts, one, other)
    assert found is not None
    assert_close(found, expected, TABLES)
    # The sum of both has this in it twice.
    total = sum(float(done[j].average[0]) for j in (one, other)) + 2 * float(np.prod([done[j].means[0] for j in (
        one, other)]))
    assert_close(done[graph.top].average[0], total + 2 * expected, TABLES)


def test_covariance_of_what_cancels_is_not_used() -> None:
    net = em.serial(SITE, em.add(em.Identity(), em.serial(em.MaxPool(3, 1, 1), em.Scale(-1.))), R, SITE)
    with pytest.raises(NotImplementedError, match="add1"):
        em.predict(net, ndim=1)


def test_branches_that_meet_below_a_pool_know_who_wins() -> None:
    """The larger of two gets (1 + 1 + 1)^2 - 2^2 = 5 through x + its own, and is open in 3 of 4; the other 1, in 1."""
    net = em.serial(SITE, R, em.residual(PAIR), SITE)
    assert_close(em.predict(net, ndim=1).total, (5 * 3 / 4 + 1 / 4) / 2, TABLES)


@pytest.mark.parametrize("gate", [R, em.Activation("silu")])
def test_what_lies_between_a_pool_and_the_sum_changes_nothing(gate: em.Layer) -> None:
    pool = em.MaxPool(3, 1, 1)
    nets = [em.serial(gate, em.residual(em.serial(pool, *between)), SITE) for between in (
        (), (em.Scale(.25), em.Scale(4.)), (em.Scale(1.), em.Identity()))]
    totals = [em.predict(net, ndim=1).total for net in nets]
    assert_close(totals[1:], totals[:1] * 2, ROUNDING)
