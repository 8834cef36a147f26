"""Sums and rows of functions of one value, as one function."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, Tolerance, assert_close

import erfmath as em
from erfmath.theory.rules import functions
from erfmath.theory.rules.composed import combined, composed, function_in_row, in_row
from erfmath.theory.sweep.values import Affine, Gaussian

R = em.Activation("relu")


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


def test_functions_in_a_row() -> None:
    rows = [em.Activation(name) for name in ("softplus", "tanh", "elu")]
    whole, z = composed(rows), np.linspace(-3, 3, 13) + .01
    assert in_row(whole) == rows
    phi, by_hand = function_in_row(whole), z
    for one in rows:
        by_hand = functions.function(one).value(by_hand)
    assert_close(phi.value(z), by_hand, ROUNDING)
    assert_close(phi.slope(z), (phi.value(z + 1e-6) - phi.value(z - 1e-6)) / 2e-6, Tolerance(1e-8, 1e-8))


@pytest.mark.parametrize("image, unit", [(None, None), (8, 0), (8, 3)])
def test_two_functions_are_what_a_formula_of_both_is(image: int | None, unit: int | None) -> None:
    """At borders, too, whose sites meet other parts of the curve, and whatever lies between."""
    for between, written in itertools.product(((), (em.MaxPool(3, 1, 1),), (em.Upsample(2),)), (True, False)):
        gate = (em.Activation("tanh(1.5 * tanh(x))"),) if written else (
            em.Activation("tanh"), em.Activation("tanh(1.5 * x)"))
        net = em.serial(em.Conv(3, 8), em.BatchNorm(), gate[0], *between, *gate[1:], em.Conv(3, 8))
        total = em.predict(net, image=image, unit=unit, ndim=2).total
        if written:
            expected = total
        else:
            assert_close(total, expected, REWRITE)
