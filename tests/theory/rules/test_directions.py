"""Batch norm after few directions: moments, patterns at borders, white pixels."""

from __future__ import annotations

import numpy as np
from helpers import Tolerance, assert_close

import erfmath as em
from erfmath.layers.normalisation import BATCH
from erfmath.theory.rules.directions import Reads, border_patterns, faint, faint_in_place, inverse_moments

RELU = em.Activation("relu")
SAME = Tolerance(1e-9, 1e-12)


def few(count: int) -> float:
    """E[1 / variance] of so many independent normal values, times their variance."""
    return count / (count - 3)


def test_inverse_moments() -> None:
    """S = 3 I: each of n weights has one n-th of 1 / 3.  In two directions of variances 1 and b^2: 1 / (1 + b)."""
    assert_close(inverse_moments(3 * np.eye(5)), np.full(5, 1 / 15), SAME)
    assert_close(inverse_moments(np.array([[4.0]])), [1 / 4], SAME)
    assert_close(inverse_moments(np.diag([1.0, 0.25])), [1 / 1.5, 1 / (0.25 + 0.5)], SAME)


def test_first_batch_norm_on_correlated_pixels() -> None:
    """E[w_a^2 / (w' S w)] by a million draws; beyond the pair of taps pixels are independent."""
    rng, lag = np.random.default_rng(0), 0.6
    net = em.serial(em.Conv((3,), 8), em.BatchNorm(), em.Conv((1,), 8, weights=em.Random(gain=1)))
    pixels = {"channels_in": 1, "input_moments": (1, 0.2), "input_covariance": [0.3, lag, 1, lag, 0.3]}
    got = em.predict(net, **pixels)
    w = rng.normal(size=(10**6, 3))
    cov = np.array([[1, lag, 0.3], [lag, 1, lag], [0.3, lag, 1]]) - 0.2
    expected = (w**2 / np.einsum("ni,ij,nj->n", w, cov, w)[:, None]).mean(axis=0)
    assert_close(got.map, expected[::-1], Tolerance(0.01, 0.0))
    # Images of 16 pixels: statistics of eight, neighbours of which have much in common, and borders less variance.
    root = np.linalg.cholesky(np.array([0.8, 0.4, 0.1] + [0.0] * 13)[np.abs(np.subtract.outer(range(16), range(16)))])
    found = []
    for _ in range(300):
        read = np.pad(rng.normal(size=(BATCH, 16)) @ root.T + 0.2**0.5, ((0, 0), (1, 1)))
        cov = np.cov(np.stack([read[:, a:a + 16].ravel() for a in range(3)]), bias=True)
        some = w[:2000]
        found.append((some**2 / np.einsum("ni,ij,nj->n", some, cov, some)[:, None]).mean(axis=0))
    image = em.predict(net, image=(16,), **pixels)
    assert_close(image.map[7:10], np.mean(found, axis=0), Tolerance(0.05, 0.0))


def test_patterns_at_borders() -> None:
    """Values of mean 2 on four sites: variances of two million channels, over inputs and sites."""
    rng, channels, own, shared = np.random.default_rng(1), 2, 1.5, 4.0
    within = np.array([[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0.0]])
    w = rng.normal(size=(10**6, channels, 3))
    means = np.einsum("nia,ax->nx", w, within) * shared**0.5
    variance = own * np.einsum("nia,ax->n", w**2, within) / 4 + means.var(axis=1)
    expected = (w**2 / variance[:, None, None]).mean(axis=(0, 1)) * variance.mean()
    got = border_patterns(own, shared, np.ones(3), [Reads.of(within)], channels)
    assert got is not None
    assert_close(got.ratios, expected, Tolerance(0.01, 0.0))
    patterns = ((means - means.mean(axis=1, keepdims=True))**2 / variance[:, None]).mean(axis=0)
    assert got.power is not None
    assert_close(got.power, patterns, Tolerance(0.01, 0.0))
    assert_close(got.own, 1 - patterns.mean(), Tolerance(0.01, 0.0))
    assert border_patterns(own, 0.0, np.ones(3), [Reads.of(within)], channels) is None


def test_faint_patterns_of_taps_in_place() -> None:
    """What the map tells is never faint where its lines are not."""
    rng, told = np.random.default_rng(2), 0
    for shared in np.geomspace(0.01, 10.0, 200):
        maps = rng.uniform(0.5, 1.5, (1, 6, 1)) * rng.uniform(0.5, 1.5, (1, 1, 7)) * rng.uniform(0.9, 1.1, (1, 6, 7))
        maps /= maps.mean()
        lines = [maps.mean(axis=(0, axis)) for axis in (1, 2)]
        axes = [(np.ones(1), np.array([line.mean()]), np.array([(line**2).mean()])) for line in lines]
        there = faint_in_place(shared, 4, maps)
        assert there <= faint(shared, 4, axes)
        told += there
    assert 0 < told < 200


def test_white_pixels_have_all_directions() -> None:
    net = em.serial(em.Conv(3), em.BatchNorm(), RELU, em.Conv(3))
    white = np.zeros((3, 3))
    white[1, 1] = 1
    assert_close(em.predict(net, image=9, input_covariance=white).map, em.predict(net, image=9).map, SAME)
