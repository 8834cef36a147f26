"""Inputs like photographs: their spectrum, samples against moments, and both sides fed with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, FFT, ROUNDING, assert_close

import erfmath as em


@pytest.mark.parametrize("ndim, period", [(1, 32), (2, 16), (2, 15), (3, 8)])
def test_covariance_is_the_sum_of_cosines(ndim: int, period: int) -> None:
    """Term by term over all frequencies of the period."""
    images = em.natural_images(mean=0.3, std=2.0, exponent=1.7, period=period)
    waves = np.stack(np.meshgrid(*[np.arange(period)] * ndim, indexing="ij"), -1).reshape(-1, ndim)
    waves = np.where(waves > period / 2, waves - period, waves)[1:]
    power = (waves**2).sum(axis=1)**(-1.7 / 2)
    found = images.covariance(ndim)
    half = (period - 1) // 2
    assert found.shape == (2 * half + 1,) * ndim
    for lag in ((0,) * ndim, (1,) + (0,) * (ndim - 1), tuple(range(-1, ndim - 1)), (half,) * ndim):
        wanted = 0.09 + 4.0 * (power * np.cos(2 * np.pi * waves @ np.array(lag) / period)).sum() / power.sum()
        assert_close(found[tuple(half + n for n in lag)], wanted, ROUNDING, scale=4.0)
    assert_close(images.moments, (4.09, 0.09), ROUNDING)
    assert_close(found, found[(slice(None, None, -1),) * ndim], EXACT)


def test_white_noise_is_the_exponent_zero() -> None:
    """All frequencies alike, but for the constant, whose part of the variance all pixels lack."""
    period = 32
    found = em.natural_images(mean=0, std=1, exponent=0, period=period).covariance(1)
    wanted = np.full(31, -1 / (period - 1))
    wanted[15] = 1
    assert_close(found, wanted, FFT)


def test_samples_have_the_moments() -> None:
    """Means over whole periods are exact in the mean and have no scatter in it; the rest by its own scatter."""
    images, count = em.natural_images(mean=0.4, std=0.5, channel_correlation=0.6, period=16), 400
    x = images.sample(count, (16, 16), np.random.default_rng(0), channels=2)
    assert x.shape == (count, 2, 16, 16)
    assert_close(x.mean(axis=(2, 3)), np.full((count, 2), 0.4), ROUNDING)
    found = x - 0.4
    covariance = images.covariance(2) - 0.16
    for lag in ((0, 0), (0, 1), (2, 3)):
        both = found * np.roll(found, lag, axis=(2, 3))
        across = found[:, 0] * np.roll(found[:, 1], lag, axis=(1, 2))
        for each, wanted in ((both.mean(axis=(1, 2, 3)), 1.0), (across.mean(axis=(1, 2)), 0.6)):
            wanted *= covariance[7 + lag[0], 7 + lag[1]]
            assert abs(each.mean() - wanted) < 4 * each.std() / count**0.5


def test_samples_take_their_numbers_from_the_generator_alone() -> None:
    images = em.natural_images(period=8)
    one, two = (images.sample(2, (8,), np.random.default_rng(3)) for _ in range(2))
    assert_close(one, two, EXACT)
    assert abs(one[0] - one[1]).min() > 0


def test_full_correlation_makes_channels_alike() -> None:
    x = em.natural_images(channel_correlation=1.0).sample(1, (5, 5), np.random.default_rng(0))
    assert abs(x[0, 0] - x[0, 2]).max() < 1e-5


NET = em.serial(em.Conv(3, 16), em.Activation("tanh"), em.MaxPool(3, 2, 1), em.Conv(3, 16), em.Activation("tanh"),
                em.Conv(3, 16))


def test_predict_takes_the_same_as_moments_and_covariance() -> None:
    images = em.natural_images(mean=1.0, std=1.0, period=32)
    given = em.predict(NET, image=12, input_covariance=images)
    spelled = em.predict(NET, image=12, input_moments=images.moments, input_covariance=images.covariance())
    assert_close(given.map, spelled.map, EXACT)
    assert abs(given.total / em.predict(NET, image=12).total - 1) > 0.2


def test_measure_and_predict_agree_on_them() -> None:
    """The function saturates, so that totals depend on the moments; new images serve in each draw."""
    images = em.natural_images(mean=1.0, std=0.5, channel_correlation=0.0, period=24)
    theory = em.predict(NET, image=12, input_covariance=images)
    measured = em.measure(NET, image=12, images=images, draws=300, rng=0)
    assert (abs(theory.std - measured.std) < 4 * measured.std_stderr).all()
    assert abs(theory.total - measured.total) < 4 * measured.total_stderr + 0.03 * theory.total
    parts = [em.measure(NET, image=12, images=images, draws=9, rng=0, workers=1).map for _ in range(2)]
    assert_close(parts[0], parts[1], EXACT)


def test_measure_on_them_goes_on_from_a_checkpoint(tmp_path: Any) -> None:
    images, file = em.natural_images(period=16), tmp_path / "run.npz"
    em.measure(NET, image=8, images=images, draws=4, rng=0, checkpoint=file)
    both = em.measure(NET, image=8, images=images, draws=8, rng=0, checkpoint=file)
    assert_close(both.map, em.measure(NET, image=8, images=images, draws=8, rng=0).map, ROUNDING)
    with pytest.raises(ValueError, match="checkpoint"):
        em.measure(NET, image=8, images=em.natural_images(mean=0), draws=8, rng=0, checkpoint=file)


@pytest.mark.parametrize("options, message", [
    ({"std": 0}, "std=0.0: must be positive"), ({"channel_correlation": 1.5}, "channel_correlation=1.5: must be"),
    ({"mean": "x"}, "mean='x'"),
    ({"period": 3}, "period=3: must be at least 4"), ({"exponent": np.inf}, "exponent=inf"),
])
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        em.natural_images(**options)


def test_images_longer_than_the_period_are_refused() -> None:
    with pytest.raises(ValueError, match=r"longer than the longest wavelength, 8; give .*\(period=18\)"):
        em.measure(em.repeat(em.serial(em.Conv(5, 4), em.Activation("tanh")), 2), image=10, draws=2,
                   images=em.natural_images(period=8))
