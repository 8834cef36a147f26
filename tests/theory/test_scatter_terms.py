"""What makes single networks scatter beside random layers and gates, against sums of independent random numbers."""

from __future__ import annotations

import math

import numpy as np

import erfmath as em
from erfmath.theory.scatter_terms import shared_winners


def test_shared_winners_of_overlapping_windows() -> None:
    """How often the window around a site and another one have the same largest value, among random numbers."""
    rng = np.random.default_rng(0)
    layer = em.MaxPool(3, 2)
    x = rng.random((4000, 11))
    winner = np.array([x[:, 2 * k:2 * k + 3].argmax(axis=1) + 2 * k for k in range(5)])
    shares = shared_winners(layer.geometry(1))
    for distance, share in zip((-1, 1), shares[[0, 2]]):
        assert abs(share - float((winner[2] == winner[2 + distance]).mean())) < 4 * (0.2 / 4000)**0.5
    assert shares[1] == 0 and not shared_winners(em.MaxPool(2).geometry(2)).any()


def test_a_single_window_shares_with_none() -> None:
    """The windows beside that of the unit have no gradient."""
    one, other = (em.scatter(em.serial(em.Conv(3), em.Activation("relu"), em.MaxPool(3, stride, 0)), ndim=1)
                  for stride in (1, 3))
    assert np.isclose(one.log_total, other.log_total, rtol=1e-9) and np.isclose(one.size, other.size, rtol=1e-9)


def test_few_weights_of_a_channel() -> None:
    """Sums over c channels of d^2 sum_a w_a^2, d and w independent, and of what gates of those sites let through."""
    c, about = 16, {"width": 16, "channels_in": 16, "ndim": 1}
    for law, fourth in (("normal", 3.0), ("uniform", 1.8)):
        alone = em.Conv(3, groups="depthwise", weights=em.Random(gain=1.0, law=law))
        assert np.isclose(em.scatter(em.serial(alone), **about).log_total**2, (3 * (1 + (fourth - 1) / 3) - 1) / c)
    gated = em.serial(em.Conv(1), em.Activation("relu"), em.Conv(3, groups="depthwise"))
    squares = (3 * 3 / 2 + 6 / 4) / (9 / 4)     # E (sum_a w_a^2 open_a)^2 over the square of its mean
    assert np.isclose(em.scatter(gated, **about).log_total**2, (3 * squares - 1 + 2 / 3) / c)


def test_winners_of_a_window_lie_at_different_sites() -> None:
    """The mean over c channels of normal squares times those of the winners' distances, all independent."""
    c, sizes = 16, {2: (0.5, 0.0), 3: (math.sqrt(2 / 3), 2 / 9)}   # root of the mean square distance, and its variance
    for taps, (size, variance) in sizes.items():
        net = em.serial(em.MaxPool(taps), em.Conv(1, c))
        one = em.scatter(net, channels_in=c, ndim=1)
        assert np.isclose(one.size, math.sqrt(3 * variance / c) / (2 * size)) and np.isclose(one.log_total**2, 4 / c)


def test_norms_of_sites_see_pixels_fluctuate() -> None:
    """|W^T d|^2 / |W x|^2 of many rows W: quotients of sums of 9 squares, one for d and one for the 9 pixels x."""
    c = 4096
    one = em.scatter(em.serial(em.Conv(3, c), em.RMSNorm()), channels_in=3, ndim=1)
    assert np.isclose(one.log_total**2, 2 / 9 + 2 / 9 + 2 / c + 2 / c)      # rows and the unit's channels, too
