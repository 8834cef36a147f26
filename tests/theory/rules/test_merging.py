"""Branches of one value that meet again, as one function of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, Tolerance, assert_close

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.rules import functions
from erfmath.theory.rules.merging import combined
from erfmath.theory.sweep.plan import Graph
from erfmath.theory.sweep.values import Affine, Gaussian

R = em.Activation("relu")


def graph_of(net: em.Network) -> Graph:
    return Graph.of(net, RunSettings.of(net, image=8))


def test_rectifiers_and_scales_are_a_rectifier() -> None:
    relu = functions.function(R)
    phi = combined(((), (Affine(-3.),), (relu, Affine(2.)), (Affine(-1.), relu)))
    z = np.linspace(-2, 2, 9)
    assert_close(phi.value(z), z - 3 * z + 2 * np.maximum(z, 0) + np.maximum(-z, 0), ROUNDING)
    assert (phi.above, phi.below) == (0., -3.)


def test_slope_of_a_sum_of_functions() -> None:
    tanh, elu = (functions.function(em.Activation(name)) for name in ("tanh", "elu"))
    phi, z = combined(((), (Affine(.5, 1.), tanh), (elu, Affine(2.), tanh))), np.linspace(-3, 3, 13) + .01
    assert_close(phi.slope(z), (phi.value(z + 1e-6) - phi.value(z - 1e-6)) / 2e-6, Tolerance(1e-8, 1e-8))
    value = Gaussian.of(1., 0.).value().through(phi)
    assert 0. in value.knots                     # the kink of one branch splits the nodes of the whole


def test_sums_are_rewired() -> None:
    net = em.serial(em.Conv(3, 4), em.add(em.Identity(), R, em.residual(em.Conv(3, 4)), em.Scale(-1.)))
    graph = graph_of(net)
    top = graph.names[graph.top]
    inputs = [graph.names[j] for j in graph.sources[graph.top]]
    assert top == net.output and len(inputs) == 2 and "conv2" in inputs  # relu(x) + x, and the convolution
    cancels = graph_of(em.serial(em.Conv(3, 4), em.add(em.Identity(), em.Conv(1, 4), em.Scale(-1.))))
    assert cancels.times(cancels.top, 0) == 0


def test_a_value_that_others_read_stays() -> None:
    """relu(x) + x of which both branches have other readers: nothing to put the function in place of."""
    b = em.NetworkBuilder()
    x = b(em.Conv(3, 4), b.input)
    y = b(R, x)
    net = b.build(b.add(b.add(x, y, b(em.Conv(1, 4), y)), b(em.Conv(1, 4), x)))
    assert em.predict(net, image=8).total > 0


@pytest.mark.parametrize("image", [None, 12])
def test_products_of_functions_of_one_value(image: int | None) -> None:
    """x sigmoid(x) is what SiLU is, also between gates; relu(x) relu(x) is a squared one."""
    def net(gate: Any) -> em.Network:
        return em.serial(em.Conv(3, 8), R, em.Conv(3, 8), gate, R, em.Conv(3, 8), R)
    for factors, name in (((em.Identity(), em.Activation("sigmoid")), "silu"), ((R, R), "relu_squared")):
        known, product = (em.predict(net(gate), image=image) for gate in (em.Activation(name), em.multiply(*factors)))
        assert_close(product.map, known.map, REWRITE)
