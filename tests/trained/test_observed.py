"""How often gates are open: from images, from noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close, assert_statistical

import erfmath as em


def test_from_images() -> None:
    net = em.serial(em.Conv(1, 2), em.Activation("leaky_relu", slope=0.2), em.MaxPool(2), em.Activation("tanh"))
    weights = {"conv1": np.array([[[1.0]], [[-1.0]]])}
    found = em.activities(net, weights, np.array([[[-1.0, 1.0, 3.0, 2.0]]]))
    assert np.allclose(found["leaky_relu1"], [0.75, 0.25], rtol=1e-6)
    assert_close(found["max_pool1"], np.array([[0.5, 0.5], [0.5, 0.5]]), ROUNDING)  # -1, 1 | 3, 2 and the other way
    slope = 1 - np.tanh([[1.0, 3.0], [1.0, -0.4]])**2
    assert np.allclose(found["tanh1"], np.stack([slope.mean(axis=1), (slope**2).mean(axis=1)]), rtol=1e-5)


def test_noise_where_nothing_tells() -> None:
    net = em.serial(em.Conv(3, 2), em.Activation("relu"), em.Conv(3, 1))
    weights = {"conv1": np.ones((2, 1, 3, 3)), "conv2": np.ones((1, 2, 3, 3))}
    erf: Any = em.predict(net, weights=weights, gates="independent", image=12, channels_in=1, rng=0)
    assert any("noise" in a.value for a in erf.assumptions)
    assert 0.5 < erf.coherent < 1
    plane = em.predict(net, weights=weights, gates="independent", channels_in=1, rng=0)
    assert np.abs(plane.std / erf.std - 1).max() < 0.05


def test_dropout_and_products() -> None:
    """Dropout has a mean square of 1 / (1 - p); a factor that serves the whole map multiplies all sites alike."""
    net = em.serial(em.Conv(1, 1), em.Dropout(0.2), em.Conv(1, 1))
    erf = em.predict(net, weights={"conv1": np.ones((1, 1, 1)), "conv2": np.ones((1, 1, 1))}, gates="independent",
                     channels_in=1, ndim=1)
    assert_close(erf.total, 1.25, ROUNDING)
    gate = em.serial(em.GlobalAvgPool(), em.Conv(1, 1), em.Activation("sigmoid"))
    excite = em.serial(em.multiply(em.Conv(3, 1), gate), em.Conv(3, 1))
    weights: Any = {f"conv{i}": np.ones((1, 1, *shape)) for i, shape in ((1, (3,)), (2, (1,)), (3, (3,)))}
    images = np.random.default_rng(1).standard_normal((400, 1, 16))
    apart: Any = em.predict(excite, weights=weights, images=images, gates="independent", draws=400, rng=0)
    layers: Any = em.predict(excite, weights=weights, images=images, gates="layers", draws=400, rng=0)
    assert_statistical(apart.total / layers.total, np.hypot(apart.total_stderr, layers.total_stderr) / layers.total, 1)


def test_norms_by_the_batch_see_all_of_it() -> None:
    """The diagonal of their derivative is 1 / std, but for a part of order 1 / (sites x images)."""
    net = em.serial(em.Conv(1, 2), em.BatchNorm("batch"), em.Activation("relu"), em.Conv(1, 1))
    weights = {"conv1": np.array([[[2.0]], [[-3.0]]]), "conv2": np.ones((1, 2, 1))}
    images = np.random.default_rng(0).standard_normal((64, 1, 20))
    slope = em.activities(net, weights, images)["batch_norm1"]
    assert np.allclose(slope[0], [1 / 2, 1 / 3], rtol=0.05)
    # One of the two channels is open, never both: a gradient of 1 or -1; drawn apart both, one or none.
    for gates, total in (("independent", 0.5), ("layers", 1.0)):
        about: Any = {"weights": weights, "gates": gates, "draws": 8, "rng": 0, "ndim": 1}
        assert em.predict(net, images=images, **about).total == pytest.approx(total, rel=0.1)
        # Noise of long wavelengths differs from batch to batch, and the mean of 1 / variance is more than 1.
        assert 0.9 * total < em.predict(net, image=20, channels_in=1, **about).total < 2.5 * total
