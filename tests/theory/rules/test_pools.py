"""Max pools before curved functions."""

from __future__ import annotations

import numpy as np
import pytest

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep.plan import Graph

R, TANH, POOL = em.Activation("relu"), em.Activation("tanh"), em.MaxPool(3, 1, 1)


def kinds(*layers: em.Layer) -> list[str]:
    net = em.serial(em.Conv(3, 8), *layers, em.Conv(3, 4))
    return [layer.kind for layer in Graph.of(net, RunSettings.of(net, image=8, channels_in=3)).layers][1:-1]


@pytest.mark.parametrize("layers, expected", [
    ((TANH, POOL), ["max_pool", "tanh"]), ((R, POOL), ["relu", "max_pool"]),
    ((em.Activation("hardtanh"), em.Activation("leaky_relu", slope=.1), POOL), ["max_pool", "hardtanh", "leaky_relu"]),
    ((TANH, em.Upsample(2), POOL), ["upsample", "max_pool", "tanh"]),
    ((em.Activation("gelu"), POOL), ["gelu", "max_pool"]),  # which falls
    ((TANH, em.AvgPool(3, 1, 1), POOL), ["tanh", "avg_pool", "max_pool"]),
])
def test_order(layers: tuple[em.Layer, ...], expected: list[str]) -> None:
    assert kinds(*layers) == expected


@pytest.mark.parametrize("before", [True, False])
def test_totals_of_pools_of_curved_functions(before: bool) -> None:
    """Values of a higher level than the average have flatter gates: at the average level it was 0.110.

    Sampled at width 64, 2400 draws: 0.0983 +- 0.0008.
    """
    tail = (em.Scale(1.53), TANH, POOL) if before else (POOL, em.Scale(1.53), TANH)
    net = em.serial(em.Conv(3, 64), em.BatchNorm(), *tail)
    assert abs(em.predict(net, image=12, channels_in=64, ndim=2).total / 0.0983 - 1) < 0.05


def test_concatenations_of_functions_of_one_value() -> None:
    """The largest of tanh(x) and x side by side, written after the concatenation and in its parts."""
    def net(after: bool) -> em.Network:
        parts = em.concat(TANH, em.Identity()) if after else em.concat(em.serial(TANH, POOL), POOL)
        return em.serial(em.Conv(3, 4), parts, *((POOL,) if after else ()), em.Conv(3, 4))
    one, other = (em.predict(net(after), image=8, channels_in=3, ndim=2).map for after in (True, False))
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_pools_in_a_row_are_one_that_others_read_or_not() -> None:
    """The largest of 3 twice is that of 5, whatever else reads the first pool, and curved functions go after both."""
    soft, three, five = em.Activation("softsign"), em.MaxPool(3, 1, 1), em.MaxPool(5, 1, 2)
    below = em.Conv(1, 2, stride=2), soft
    nets = em.serial(*below, em.add(five, three)), em.serial(*below, three, em.residual(three))
    one, other = (em.predict(net, image=4, unit=0, channels_in=3, ndim=2).map for net in nets)
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
