"""Branches of one value that meet again, as one function of it."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import REWRITE, assert_close

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep.plan import Graph

R = em.Activation("relu")


def graph_of(net: em.Network) -> Graph:
    return Graph.of(net, RunSettings.of(net, image=8))


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


def test_a_function_of_a_function_is_one_however_it_is_written() -> None:
    """leaky(celu(x)) as .52 celu(x) + .48 relu(x), before a pool and near borders."""
    celu, leaky = em.Activation("celu"), em.Activation("leaky_relu", slope=.52)
    row, parts = em.serial(celu, leaky), em.add(em.serial(celu, em.Scale(.52)), em.serial(celu, R, em.Scale(.48)))
    ends = (), (em.MaxPool(2, 1),), (em.Activation("tanh"), em.Conv(3, 4))
    for end in ends:
        nets = [em.serial(em.Conv(3, 4, stride=2), em.Upsample(2, "bilinear"), part, *end) for part in (row, parts)]
        one, other = (em.predict(net, image=(9, 8), unit=0, channels_in=2).map for net in nets)
        assert_close(one, other, REWRITE)
