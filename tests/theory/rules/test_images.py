"""Few directions of correlated pixels, against sampled weights and images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import Tolerance, assert_close

import erfmath as em
from erfmath.theory.rules import images
from erfmath.theory.rules.functions import function
from erfmath.theory.sweep.inputs import input_model
from erfmath.theory.sweep.moments import Moments

LINE = np.array([0.05, 0.1, 0.3, 0.6, 1.0, 0.6, 0.3, 0.1, 0.05])


def first(taps: int = 3) -> images.Images:
    """What a convolution of one channel makes of pixels that are correlated as `LINE`."""
    known = images.of_pixels(input_model((1, 0), LINE, 1), np.full(taps, 1 / taps), [1], [1], 1, 1.0)
    assert known is not None
    return known


def reads(taps: int, lag: int) -> Any:
    """E[x(z + a) x(z + lag + b)] for taps a and b."""
    apart = np.subtract.outer(np.arange(taps), np.arange(taps)) - lag
    return np.where(np.abs(apart) <= 4, LINE[np.clip(apart + 4, 0, 8)], 0.0)


def test_first_convolution_before_and_after_a_batch_norm() -> None:
    """Of images x and x', Q = x' W x with W the mean of w w', or of w w' / (w' S w) by half a million draws."""
    known, w = first(), np.random.default_rng(0).normal(size=(5 * 10**5, 3))
    here = reads(3, 0)
    assert known.normed is not None
    normed = (w / np.einsum("ni,ij,nj->n", w, here, w)[:, None]).T @ w / len(w)
    for got, mean, unit in ((known, np.eye(3) / 3, 0.0), (known.normed, normed, 0.01)):
        assert_close(got.varies, np.trace(mean @ here @ mean @ here), Tolerance(unit + 1e-9, 0.0))
        for lag in range(3):
            far = reads(3, lag)
            assert_close(got.within[4 + lag], np.trace(mean @ far), Tolerance(unit + 1e-9, 0.0))
            assert_close(got.along[4 + lag], np.trace(mean @ here @ mean @ far) / got.varies,
                         Tolerance(unit + 1e-9, 0.0))


def test_function_of_gaussian_values() -> None:
    """ReLU of y = X w for one direction: Q from two halves of the channels, over pairs of values."""
    known = images.Images(0.25, np.ones(1), np.ones(1))  # one direction has half of the variance
    m = Moments(np.ones((1, 1, 1)), np.zeros(1), np.zeros(1), (None,), False)
    after = Moments(np.full((1, 1, 1), 0.5), np.full(1, 1 / (2 * np.pi)), np.zeros(1), (None,), False)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 1000))
    # E[relu(u) relu(v)] given x and y: variances (1 + x^2) / 2, covariance x y / 2.
    a, b = (1 + x**2) / 2, (1 + y**2) / 2
    root = np.sqrt(np.multiply.outer(a, b))
    rho = np.multiply.outer(x, y) / 2 / root
    q = root * (np.sqrt(1 - rho**2) + rho * (np.pi - np.arccos(rho))) / (2 * np.pi)
    q = q - q.mean(axis=0) - q.mean(axis=1)[:, None] + q.mean()
    relu = function(em.Activation("relu"))
    assert_close(images.through_function(relu, m, after, known).varies, np.mean(q**2), Tolerance(0.1, 0.0))


def test_variance_of_one_direction_and_many() -> None:
    """E[1 / s^2] of s^2 = a z^2 + 1 - a, and what is left of the direction, which is that of two."""
    rng, part = np.random.default_rng(2), 0.4
    z = rng.normal(size=(2, 10**6))**2
    known = images.Images(part**2, np.ones(9), np.array([0.0] * 4 + [1.0] + [0.0] * 4))
    gain, left = images.through_batch_norm(known, (None,), 8)
    assert_close(gain, (1 / (part * z[0] + 1 - part)).mean(), Tolerance(0.005, 0.0))
    both = part / 2**0.5 * z  # two directions with the same sum of squares
    share = (both / (both.sum(axis=0) + 1 - part * 2**0.5)).mean()
    assert_close(left.varies, 2 * share**2, Tolerance(0.01, 0.0))


def test_small_maps_of_few_images() -> None:
    """Two sites an image: the variance over eight images, by 150,000 draws; one site counts elsewhere."""
    rng, rho, batch = np.random.default_rng(3), 0.5, 8
    both = rng.normal(size=(150_000, batch, 1)) * rho**0.5 + rng.normal(size=(150_000, batch, 2)) * (1 - rho)**0.5
    apart = rng.normal(size=(150_000, 2 * batch))
    known = images.Images(0.0, np.ones(3), np.array([rho, 1.0, rho]))
    gain, _ = images.through_batch_norm(known, (2,), batch)
    want = (1 / both.reshape(len(both), -1).var(axis=1)).mean() / (1 / apart.var(axis=1)).mean()
    assert_close(gain, want, Tolerance(0.03, 0.0))


@pytest.mark.parametrize("taps", [1, 3])
def test_random_weights_read_both_images_through_the_same_tap(taps: int) -> None:
    """Q of the layer above is the mean over taps of Q below, which fluctuates as u(x) u'(x) of Gaussian fields."""
    known = images.Images(1.0, LINE, LINE)
    net = em.Conv((taps,), 4, weights=em.Random(gain=1))
    from erfmath.theory.rules.convolution import ConvolutionRule
    got = images.through_random(ConvolutionRule().lower(net, (None,), 4, 4), known)
    assert got is not None
    assert_close(got.varies, np.mean(reads(taps, 0)**2), Tolerance(1e-9, 0.0))
    assert_close(got.along[5], np.mean(reads(taps, 0) * reads(taps, 1)) / got.varies, Tolerance(1e-9, 0.0))
    assert_close(got.within, LINE, Tolerance(1e-9, 0.0))


def test_two_batch_norms_and_a_pool_on_photographs() -> None:
    """Total of 300 draws of `measure` at width 48, which takes 30 s: 36.5(8); 25.3 if directions end at the first."""
    def block() -> em.Network:
        return em.serial(em.Conv(3, 48), em.BatchNorm(), em.Activation("relu"))

    net = em.serial(block(), em.MaxPool(2), block(), em.MaxPool(2), block())
    erf = em.predict(net, image=32, input_covariance=em.natural_images())
    assert_close(erf.total, 36.53, Tolerance(0.08, 0.0))
    assert_close(erf.std, [3.91, 3.91], Tolerance(0.01, 0.0))


def test_small_photographs() -> None:
    """400 draws of `measure` at width 32: 21.2(4) on 16 pixels, 19.6(4) on 10, where it was predicted to be 12.7."""
    net = em.serial(em.Conv(3, 32), em.BatchNorm(), em.Activation("relu"), em.Conv(3, 32))
    small, large = (em.predict(net, image=n, input_covariance=em.natural_images()).total for n in (10, 16))
    assert_close(small, 19.6, Tolerance(0.25, 0.0))  # few images have a few values of little variance
    assert_close(large, 21.2, Tolerance(0.15, 0.0))
