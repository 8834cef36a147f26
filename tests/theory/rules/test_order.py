"""Layers that may change places."""

from __future__ import annotations

import numpy as np
import pytest

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.rules import functions
from erfmath.theory.rules.order import rises
from erfmath.theory.sweep.plan import Graph

R = em.Activation("relu")


def order(net: em.Network, flat: bool = True) -> list[str]:
    return list(Graph.of(net, RunSettings.of(net, image=16), flat).names)


@pytest.mark.parametrize("name, is_so", [("relu", True), ("tanh", True), ("sigmoid", True), ("gelu", False),
                                         ("silu", False), ("elu", True)])
def test_functions_that_never_fall(name: str, is_so: bool) -> None:
    assert rises(functions.function(em.Activation(name))) == is_so


def test_gates_go_before_what_picks() -> None:
    net = em.serial(em.Conv(3), em.MaxPool(2), em.Upsample(2), em.Scale(.5), R, em.Conv(3))
    assert order(net) == ["conv1", "relu1", "max_pool1", "upsample1", "conv2"]
    assert order(net, flat=False) == list(net.names)


def test_gates_stay_behind_what_they_do_not_commute_with() -> None:
    gelu, sigmoid = em.Activation("gelu"), em.Activation("sigmoid")
    for layer, gate in ((em.MaxPool(2), gelu), (em.Pad(1), sigmoid), (em.Dropout(.5), sigmoid),
                        (em.AvgPool(2), R), (em.Upsample(2, "bilinear"), R), (em.BatchNorm(), R)):
        net = em.serial(em.Conv(3), layer, gate, em.Conv(3))
        assert order(net) == list(net.names)


def test_a_map_that_others_read_stays() -> None:
    b = em.NetworkBuilder()
    pooled = b(em.MaxPool(2), b(em.Conv(3, 4), b.input))
    net = b.build(b.concat(b(R, pooled), b(em.Conv(1, 4), pooled)))
    assert order(net) == list(net.names)


@pytest.mark.parametrize("between", [(R,), (R, em.Activation("tanh")), (em.Identity(), R)], ids=len)
def test_a_pool_of_functions_of_a_pool_that_others_read(between: tuple[em.Layer, ...]) -> None:
    """Largest of largest of five sites, though another branch asks for those of three."""
    b = em.NetworkBuilder()
    first = b(em.Conv(3, 4), b.input)
    pooled = b(em.MaxPool(3, 1, 1), first)
    ends = [b(em.serial(*between, em.MaxPool(3, 1, 1)), pooled), b(em.serial(*between, em.MaxPool(5, 1, 2)), first)]
    nested, whole = (b.build(b.concat(pooled, b(em.Conv(3, 4), end))) for end in ends)
    for image in (None, 9):
        one, other = (em.predict(net, image=image, ndim=2, channels_in=3).map for net in (nested, whole))
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_convolution_of_which_sites_are_picked() -> None:
    conv = em.Conv(3, 8, padding="same")
    net = em.serial(conv, em.AvgPool(1, 2))
    for image in (8, 9):
        settings = RunSettings.of(net, image=image)
        graph = Graph.of(net, settings)
        assert graph.sizes[0] == net.shapes(image)["avg_pool1"] and graph.layers[0].stride == (2, 2)  # type: ignore
