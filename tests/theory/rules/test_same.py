"""Nodes that are the same function of one map are one, before they become part of what reads them."""

from __future__ import annotations

import pytest
from helpers import REWRITE, assert_close

import erfmath as em

POOL = em.AvgPool(2)


@pytest.mark.parametrize("below", [em.Identity(), em.Scale(1.0)])
def test_a_filter_that_is_written_twice(below: em.Layer) -> None:
    """Where one of the two is read by another filter, with which it alone would be one."""
    stem, end = (em.Conv(5, 6), em.Dropout(.5)), em.serial(em.AvgPool(3, 1, 1), em.Activation("selu"))
    one = em.serial(*stem, POOL, em.concat(end, em.Identity()))
    two = em.serial(*stem, em.concat(em.serial(POOL, end), em.serial(below, POOL)))
    assert_close(*[em.predict(net, ndim=2).map for net in (one, two)], REWRITE)


def test_dropouts_and_weights_stay_two() -> None:
    """Half of the power comes from each of two random convolutions, which have nothing in common."""
    conv = em.Conv(1, 16, weights=em.Random(gain=1.))
    assert_close(em.predict(em.serial(em.add(conv, conv)), ndim=2).total, 2.0, REWRITE)
    same = em.serial(conv, em.add(em.Identity(), em.Identity()))
    assert_close(em.predict(same, ndim=2).total, 4.0, REWRITE)


def test_a_rectifier_stays_next_to_one_that_takes_it_in() -> None:
    """relu6(relu(x)) is relu6(x) after a product, too, where relu alone goes before the factors."""
    gate = em.serial(em.GlobalAvgPool(), em.Conv(1, 4), em.Activation("hardsigmoid"))
    stem, six = (em.Conv(3, 4), em.multiply(em.Identity(), gate)), em.Activation("relu6")
    nets = em.serial(*stem, six, em.BatchNorm()), em.serial(*stem, em.Activation("relu"), six, em.BatchNorm())
    assert_close(*[em.predict(net, image=6, unit=1, channels_in=3, ndim=2).map for net in nets], REWRITE)
