"""Sums of branches that have values in common."""

from __future__ import annotations

import itertools

import pytest
from helpers import REWRITE, ROUNDING, Tolerance, assert_close

import erfmath as em


def test_equal_weights_beside_a_filter() -> None:
    """By hand: (g1 + g2) / 2 and g_i / 3 meet at the unit's own pixel, where E[g_i^2] = 1/2 and E[g1 g2] = 0."""
    net = em.serial(em.add(em.Conv(1, 2, weights=em.Constant()), em.AvgPool(3, 1, 1)))
    erf = em.predict(net, statistic="power", channels_in=2, ndim=1)
    assert_close(erf.map, [1 / 9, 17 / 18, 1 / 9], ROUNDING)


def test_a_value_added_to_itself_is_twice_the_value() -> None:
    """Also before a function that is not homogeneous, which sees the variance."""
    twice, scaled = (em.serial(em.Conv(3, 8), part, em.Activation("tanh"), em.Conv(3, 8))
                     for part in (em.add(em.Identity(), em.Identity()), em.Scale(2.0)))
    for image in (None, 8):
        assert_close(em.predict(twice, image=image, ndim=1).map, em.predict(scaled, image=image, ndim=1).map, ROUNDING)


def test_a_change_of_resolution_before_branches_part_excuses_nothing() -> None:
    """x + tanh(x g) of a shuffled map is refused as on any other: what is resized lies below both."""
    squeeze = em.serial(em.GlobalAvgPool(), em.Conv(1, 4), em.Activation("sigmoid"))
    part = em.residual(em.serial(em.multiply(em.Identity(), squeeze), em.Activation("tanh")))
    net = em.serial(em.Conv(3, 16), em.PixelShuffle(2), part, em.Activation("tanh"), em.Conv(3, 4))
    with pytest.raises(NotImplementedError, match="add1"):
        em.predict(net, image=8)


def test_a_scale_of_each_branch_is_one_of_their_sum() -> None:
    branch, scale = em.serial(em.BatchNorm(), em.Activation("tanh")), em.Scale(2.3)
    whole = em.serial(em.residual(branch), scale, em.Conv(3, 6), em.Activation("relu"))
    parts = em.serial(em.residual(em.serial(branch, scale), scale), em.Conv(3, 6), em.Activation("relu"))
    for image in (None, 6):
        totals = [em.predict(net, image=image).total for net in (whole, parts)]
        assert_close(*totals, REWRITE)


def test_a_scale_of_a_value_beside_its_filtered_function() -> None:
    """Of what a convolution puts out, which only what is made of it knows as a value."""
    branch, scale = em.serial(em.Activation("tanh"), em.BlurPool(3, 1)), em.Scale(.49)
    stem, end = em.Conv(2, 4, padding=(0, 1)), em.MaxPool(3, 1, 1)
    nets = [em.serial(stem, both, end) for both in (
        em.serial(em.residual(branch), scale), em.residual(em.serial(branch, scale), scale))]
    for image in (None, 6):  # on lattices of other steps
        assert_close(*[em.predict(net, image=image).total for net in nets], Tolerance(1e-3, 0.0))


def test_a_scale_of_a_branch_whose_mean_differs_from_site_to_site() -> None:
    """As of RepVGG: batch norms of rectified values have other means near borders, which gates of the sum feel."""
    def block(conv: float, identity: float) -> em.Network:
        branch = em.serial(em.Conv(3, 16), em.BatchNorm(), em.Scale(conv))
        rest = em.serial(em.BatchNorm(), em.Scale(identity))
        return em.serial(em.Conv(3, 16), em.Activation("relu"), em.add(branch, rest), em.Activation("relu"))

    totals = [em.predict(block(*factors), image=(12,)).total for factors in ((1.0, 0.5), (2.0, 1.0), (0.3, 0.15))]
    assert_close(totals[1], 4 * totals[0], REWRITE)
    assert_close(totals[1], totals[2] / 0.15**2, REWRITE)


def test_values_of_equal_moments_are_not_one_value() -> None:
    """x + norm(pool(x)) is not 2 x, although both terms are standard normal: in whatever order it is refused."""
    terms = (em.Identity(), em.serial(em.AvgPool(3, 1, 1), em.InstanceNorm()), em.serial(em.Conv(3, 2), em.Conv(1, 3)))
    for order in itertools.permutations(terms):
        with pytest.raises(NotImplementedError, match="adds values of"):
            em.predict(em.serial(em.add(*order), em.Conv(1, 6), em.BatchNorm()), image=4, channels_in=3)
    net = em.serial(em.add(em.Identity(), em.BatchNorm()), em.Conv(1, 6), em.BatchNorm(), em.Activation("relu"))
    assert em.predict(net, image=4, channels_in=3).total > 0  # functions of one value
