"""Inverses of variances over few channels."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import EXACT, REWRITE, assert_close, assert_statistical

import erfmath as em
from erfmath.theory.rules.few_channels import Kind, over_few


@pytest.mark.parametrize("free", [3, 4, 15, 200])
def test_gaussian_values(free: int) -> None:
    """E[n / chi^2_n] = n / (n - 2)."""
    assert_close(over_few(free, [1.0], [Kind(2.0, 12.0)]), free / (free - 2), EXACT)
    assert_close(over_few(free, [0.5, 0.5], [Kind(2.0, 12.0)] * 2), free / (free - 2), EXACT)
    assert over_few(2, [1.0], [Kind(2.0, 12.0)]) is None


@pytest.mark.parametrize("free, spread", [(7, 0.55), (15, 0.2)])
def test_lengths_that_gradients_pass_too(free: int, spread: float) -> None:
    """E[sum v / sum v z^2] by sampling v and z."""
    rng, draws = np.random.default_rng(0), 200_000
    v = rng.gamma(1 / spread, spread, (draws, free))
    sampled = v.sum(axis=1) / (v * rng.standard_normal((draws, free))**2).sum(axis=1)
    found = over_few(free, [1.0], [Kind(1.0, 3.0, spread)])
    assert found is not None and abs(found / (free / (free - 2)) - 1) > 0.02
    assert_statistical(sampled.mean(), sampled.std() / draws**0.5, found)


def test_weights_of_equal_lengths_are_gaussian_values() -> None:
    assert_close(over_few(9, [1.0], [Kind(1.0, 3.0, 1e-9)]), over_few(9, [1.0], [Kind(1.0, 3.0)]), REWRITE)


@pytest.mark.parametrize("below, sampled, error", [("relu", 2.571, 0.020), ("gelu", 2.751, 0.025)])
def test_depthwise_layers_before_norms(below: str, sampled: float, error: float) -> None:
    """Sampled: `measure(net, channels_in=4, image=7, draws=2000, rng=k)`, k = 0, 1, 2.

    As if gradients did not pass the weights it was 3.23 and 3.65.
    """
    net = em.serial(em.Conv(3, 8), em.Activation(below), em.Conv(3, groups="depthwise"), em.RMSNorm(), em.Conv(1, 8))
    assert abs(em.predict(net, channels_in=4, image=7, ndim=2).total - sampled) < 3 * error
