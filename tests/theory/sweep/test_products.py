"""Products of values: their distribution, and what is known given one factor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, Tolerance, assert_close
from scipy.integrate import quad
from scipy.special import expit, k0, ndtr

import erfmath as em
from erfmath.theory.rules.functions import function
from erfmath.theory.sweep.products import Product
from erfmath.theory.sweep.sources import Largest
from erfmath.theory.sweep.values import Gaussian

R = em.Activation("relu")
#: What a grid of nodes of both factors is good to.
GRID = Tolerance(2e-4, 0.0)


def expected(f: Callable[[float], float]) -> float:
    """E[f(a b)] for independent standard normal a, b, whose product has the density K_0(|x|) / pi."""
    return sum(quad(lambda x: f(sign * x) * k0(x) / math.pi, 0, 40, limit=200)[0] for sign in (1, -1))


def test_the_product_of_two_normal_values() -> None:
    product = Product.of((Gaussian.of(1.0, 0.0).value(), Gaussian.of(1.0, 0.0).value())).value()
    for name, phi in (("sigmoid", expit), ("relu", lambda x: max(x, 0.0)), ("tanh", math.tanh)):
        value = product.through(function(em.Activation(name)))
        assert_close(np.array(value.mean), np.array(expected(phi)), GRID) if name != "tanh" else None
        assert_close(np.array(value.second), np.array(expected(lambda x: phi(x)**2)), GRID)
        assert abs(value.distribution.second / value.second - 1) < 0.01


def test_what_is_known_given_one_factor() -> None:
    """E[b^2 h(a b)] / E[b^2] for h = 1 where a b > 0 is 1/2; for h = (a b)^2 it is 3 a^2."""
    product = Product.of((Gaussian.of(1.0, 0.0).value(), Gaussian.of(1.0, 0.0).value()))
    nodes = product.nodes(())
    for h, wanted in ((nodes.u > 0, lambda a: a * 0 + 0.5), (nodes.u**2, lambda a: 3 * a**2)):
        below, table = product.pull(0, nodes, np.stack([h, h]).astype(float))
        met = below.p > 0
        assert_close(table[0][met], wanted(below.u[met]), REWRITE)


@pytest.mark.parametrize("name", [None, "sigmoid", "tanh"])
def test_the_largest_of_sites_that_share_a_factor(name: str | None) -> None:
    """Of nine normal values times one factor b of all: |b| times the largest, whose mean is 1.4850 (order statistics).

    Whichever wins, b^2 has the mean that it has.
    """
    shared = Gaussian.of(1.0, 1.0).value()
    shared = shared if name is None else shared.through(function(em.Activation(name)))
    product = Product.of((Gaussian.of(1.0, 0.0).value(), shared))
    largest = Largest.of(product.value(), 9).nodes(())
    factors, b = product.nodes(()).below, product.parts.index(shared)
    square = np.moveaxis(np.broadcast_to(factors[b].v**2, (len(factors[1 - b].v), len(factors[b].v))), 1, b).ravel()
    size = float(factors[b].p @ np.abs(factors[b].v))
    assert_close(np.array([largest.p @ largest.u, largest.p @ square]), np.array([1.4850131622 * size, shared.second]),
                 Tolerance(3e-3, 0.0))


def test_the_largest_of_sites_that_share_a_factor_after_a_function_that_falls() -> None:
    """What wins is decided among the own factors of sites, whatever the function: GELU rises from -0.75 on."""
    shared = Gaussian.of(1.0, 1.0).value().through(function(em.Activation("sigmoid")))
    value = Product.of((Gaussian.of(1.0, 0.0).value(), shared)).value().through(function(em.Activation("gelu")))
    nodes, rng = Largest.of(value, 4).nodes(()), np.random.default_rng(0)
    v = rng.standard_normal((4, 200_000)) * expit(rng.standard_normal(200_000))
    assert abs(nodes.p @ nodes.u / np.mean(np.max(v * ndtr(v), axis=0)) - 1) < 0.01


def test_response_norm() -> None:
    """Zero gamma and beta: the identity.  After a batch norm no channel differs: (1 + gamma) x + beta."""
    def net(*parts: Any) -> em.Network:
        return em.serial(em.Conv(3, 16), em.BatchNorm(), *parts, R, em.Conv(3, 4))
    assert_close(em.predict(net(em.GRN()), image=9).map, em.predict(net(), image=9).map, ROUNDING)
    assert_close(em.predict(net(em.GRN(gamma=0.5)), image=9).map, em.predict(net(em.Scale(1.5)), image=9).map,
                 Tolerance(1e-6, 0.0))
