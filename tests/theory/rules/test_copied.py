"""Norms of copies: their statistics know each site once, whatever else reads the copies."""

from __future__ import annotations

import pytest
from helpers import REWRITE, assert_close

import erfmath as em
from erfmath.layers.normalisation import BATCH


@pytest.mark.parametrize("norm", [em.BatchNorm(), em.LayerNorm(), em.GroupNorm(2), em.InstanceNorm()])
@pytest.mark.parametrize("below", [(em.Conv(3, 4),), (em.Conv(3, 4), em.MaxPool(2))])
def test_copies_that_others_read(norm: em.Layer, below: tuple[em.Layer, ...]) -> None:
    up, gelu = em.Upsample(2), em.Activation("gelu")
    shared = em.serial(*below, up, em.concat(em.serial(norm, gelu), em.Shuffle(2)))
    twice = em.serial(*below, em.concat(em.serial(norm, up, gelu), em.serial(up, em.Shuffle(2))))
    one, two = (em.predict(net, image=8, unit=1, channels_in=2, width=4).map for net in (shared, twice))
    assert_close(one, two, REWRITE)


def test_few_values_of_which_there_are_copies() -> None:
    """One value for each of eight inputs: E[1 / variance] is that of eight, not of the 32 copies."""
    net = em.serial(em.Conv(1, 4, weights=em.Random(gain=1.)), em.Upsample(2), em.concat(em.BatchNorm(), em.Identity()))
    assert_close(em.predict(net, image=1, unit=0, ndim=2).total, (BATCH / (BATCH - 3) + 1) / 2, REWRITE)


def test_shuffles_that_others_read() -> None:
    """Shuffled twice in groups of two, four channels are in their order again, a function between or not."""
    shuffle, prelu, end = em.Shuffle(2), em.Activation("prelu"), em.Conv(1, 4)
    parts = em.split([3, 1], em.Identity(), em.serial(em.Activation("relu"), em.AvgPool(3, 1, 1)))
    nets = [em.serial(em.Conv(3, 4), parts, shuffle, em.add(em.Identity(), em.serial(*way, end)), em.AdaptiveAvgPool(4))
            for way in ((shuffle, prelu), (prelu, shuffle))]
    assert_close(*[em.predict(net, image=9, channels_in=2, ndim=2).map for net in nets], REWRITE)
