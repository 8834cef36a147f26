"""Normalisations: exact truths."""

from __future__ import annotations

import math

from helpers import ROUNDING, assert_close

import erfmath as em

RELU = em.Activation("relu")


def test_batch_norm_divides_by_what_is_not_shared() -> None:
    """c / q = 1 / pi after ReLU: the gain is 1 / (2 q (1 - 1/pi)), not 1 / (2 q)."""
    net = em.serial(em.Conv(1), RELU, em.Conv(1), em.BatchNorm())
    after = 2.0 * 1.0                       # q of the second convolution
    expected = 2 * 0.5 * 2 / (after * (1 - 1 / math.pi))
    assert_close(em.predict(net).total, expected, ROUNDING)
    assert_close(em.predict(net, image=8).total, expected, ROUNDING)


def test_frozen_batch_norm_is_the_identity() -> None:
    plain = em.serial(em.Conv(3), RELU, em.Conv(3))
    frozen = em.serial(em.Conv(3), em.BatchNorm(mode="identity"), RELU, em.Conv(3))
    assert_close(em.predict(frozen, image=12).map, em.predict(plain, image=12).map, ROUNDING)


def test_layer_norm_undoes_the_level_of_every_site() -> None:
    """After a padded convolution corner sites have 4/9 of the power: their gain is 9/4 as large."""
    net = em.serial(em.Conv(3), em.LayerNorm())
    middle, corner = (em.predict(net, image=8, unit=u).total for u in (4, 0))
    assert_close([middle, corner], [2 / 2, 2 * (4 / 9) / (2 * 4 / 9)], ROUNDING)
