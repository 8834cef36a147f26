"""Nodes of one value, and what reads them."""

from __future__ import annotations

import numpy as np
import pytest

import erfmath as em
from erfmath.theory.rules.constants import dead

ONE = em.serial(em.Scale(0.), em.Activation("sigmoid"), em.Scale(2.))


def total(net: em.Network) -> float:
    return em.predict(net, ndim=1).total


def test_factors_and_terms_that_are_constant() -> None:
    conv, gate = em.Conv(3, 4), em.Activation("tanh")
    alone = total(em.serial(conv, gate))
    assert total(em.serial(conv, em.multiply(em.Identity(), ONE), gate)) == pytest.approx(alone, rel=1e-12)
    assert total(em.serial(conv, em.add(em.Identity(), em.Scale(0.)), gate)) == pytest.approx(alone, rel=1e-12)
    assert total(em.serial(conv, em.Scale(0.), gate)) == 0


def test_a_node_of_zeros() -> None:
    conv, norm = em.Conv(3, 4), em.BatchNorm()
    assert dead("conv", conv, {"conv": np.zeros((4, 2, 3))}, 2, 4, 1)
    assert dead("norm", norm, {"norm": np.repeat([[0.], [1.]], 2, axis=0) * np.ones(4)}, 4, 4, 1)
    assert not dead("conv", conv, {"conv": np.ones((4, 2, 3))}, 2, 4, 1)
    assert not dead("conv", conv, {"conv": np.zeros((4, 2, 3)), "conv.bias": np.ones(4)}, 2, 4, 1)
    assert not dead("conv", conv, {}, 2, 4, 1)
    with pytest.raises(ValueError, match="conv"):
        dead("conv", conv, {"conv": np.zeros((4, 3, 3))}, 2, 4, 1)
