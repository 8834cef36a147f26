"""Gates drawn from forward passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.trained import drawn as module
from helpers import ROUNDING, assert_close, assert_statistical
from tests.trained.test_independent import branched


def test_unshifted_draws_are_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of layer that depends on data; one channel of the unit, so that nothing else is drawn."""
    net = em.serial(em.Conv(3, 4), em.GroupNorm(2), em.Activation("gelu"), em.MaxPool(2),
                    em.multiply(em.Conv(1, 4), em.serial(em.GlobalAvgPool(), em.Conv(1, 4), em.Activation("sigmoid"))),
                    em.residual(em.serial(em.Conv(3, 4), em.LayerNorm(), em.Activation("relu"))), em.InstanceNorm(),
                    em.AdaptiveMaxPool(2), em.Conv(1, 1))
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(shape) for name, shape in {
        "conv1": (4, 2, 3, 3), "conv2": (4, 4, 1, 1), "conv3": (4, 4, 1, 1), "conv4": (4, 4, 3, 3),
        "conv5": (1, 4, 1, 1)}.items()}
    images = rng.standard_normal((12, 2, 10, 10))
    monkeypatch.setattr(module._Shifts, "through", lambda self, i, pull, dy: list(pull(dy)))
    erf: Any = em.predict(net, weights=weights, images=images, gates="layers", draws=12)
    measured = em.measure(net, weights=weights, images=images, draws=12, channel=0)
    assert np.abs(erf.map - measured.map).max() < 1e4 * np.finfo(np.float32).eps * measured.map.max()


@pytest.mark.parametrize("gates", ["layers", "channels", "independent"])
def test_layers_are_drawn_apart(gates: str) -> None:
    """A positive weight between two ReLUs: they open together, and in one of four cases when drawn apart."""
    net = em.serial(em.Conv(1, 1), em.Activation("relu"), em.Conv(1, 1), em.Activation("relu"))
    weights = {"conv1": np.ones((1, 1, 1)), "conv2": np.ones((1, 1, 1))}
    images = np.random.default_rng(1).standard_normal((2000, 1, 1))
    assert_statistical(em.measure(net, weights=weights, images=images, draws=2000, channel=0).total, 0.5 / 2000**0.5,
                       0.5)
    erf: Any = em.predict(net, weights=weights, images=images, gates=gates, draws=2000, rng=0)
    if gates != "independent":
        assert_statistical(erf.total, erf.total_stderr, 0.25)
    else:
        assert erf.stderr is None and abs(erf.total - 0.25) < 4 * 0.5 / 2000**0.5


def test_channels_of_a_layer() -> None:
    """Two channels that are never open together cancel or not: x+ and x-, each with its own image or the same one."""
    net = em.serial(em.Conv(1, 2), em.Activation("relu"), em.Conv(1, 1))
    weights = {"conv1": np.array([[[1.0]], [[-1.0]]]), "conv2": np.array([[[1.0], [1.0]]])}
    images = np.random.default_rng(2).standard_normal((1000, 1, 1))
    totals = {}
    for gates in ("layers", "channels"):
        erf: Any = em.predict(net, weights=weights, images=images, gates=gates, draws=1000, rng=0)
        totals[gates] = erf
    # The gradient is 1 or -1 in every image: power 1.  Apart it is 1 - 1, 1, -1 or 0 with probability 1/4 each.
    assert totals["layers"].total == pytest.approx(1, abs=1e-6)
    assert_statistical(totals["channels"].total, totals["channels"].total_stderr, 0.5)


def test_gates_with_no_kernel_in_between() -> None:
    """The largest of two values after a ReLU is open in three of four cases; what one lets through, another does."""
    images = np.random.default_rng(3).standard_normal((2000, 1, 2))
    pooled = em.serial(em.Conv(1, 1), em.Activation("relu"), em.MaxPool(2))
    twice = em.serial(em.Conv(1, 1), em.Activation("relu"), em.Identity(), em.Activation("relu"), em.GlobalAvgPool())
    for net, expected in ((pooled, 0.75), (twice, 0.25)):
        about: Any = {"weights": {"conv1": np.ones((1, 1, 1))}, "images": images}
        erf: Any = em.predict(net, gates="layers", draws=2000, rng=0, **about)
        assert_statistical(erf.total, erf.total_stderr, expected)
        assert_statistical(em.predict(net, gates="independent", **about).total, 1 / 2000**0.5, expected)
    normed = em.serial(em.Conv(1, 1), em.BatchNorm(), em.Activation("relu"), em.MaxPool(2))
    told = em.predict(normed, weights={"conv1": np.ones((1, 1, 1)), "batch_norm1": np.array([[1.0], [0], [0], [1]])},
                      gates="independent", channels_in=1, image=2, ndim=1)
    assert_close(told.total, 0.75, ROUNDING)


def test_a_trained_like_network_is_near_its_measurement() -> None:
    net, weights = branched()
    images = np.random.default_rng(4).standard_normal((200, 2, 21, 21))
    measured = em.measure(net, weights=weights, images=images, draws=200, rng=0)
    for gates in ("channels", "layers"):
        erf: Any = em.predict(net, weights=weights, images=images, gates=gates, draws=200, rng=0)
        assert np.abs(erf.std / measured.std - 1).max() < 0.1
        assert erf.draws == 200 and 0 < erf.coherent < 1


def test_refusals() -> None:
    net = em.serial(em.Conv(3, 2), em.Activation("relu"), em.Conv(3, 2))
    weights = {"conv1": np.ones((2, 3, 3, 3)), "conv2": np.ones((2, 2, 3, 3))}
    with pytest.raises(ValueError, match="no array for conv2"):
        em.predict(net, weights={"conv1": weights["conv1"]}, gates="layers")
    with pytest.raises(ValueError, match="too few"):
        em.predict(net, weights=weights, gates="layers", images=np.zeros((1, 3, 9, 9)))
    with pytest.raises(ValueError, match="gates='sites'"):
        em.predict(net, weights=weights, gates="sites")
    with pytest.raises(ValueError, match="method='normal'"):
        em.predict(net, weights=weights, gates="layers", method="normal")
    swish = em.serial(em.Conv(1, 2), em.multiply(em.Activation("sigmoid"), em.Identity()))
    with pytest.raises(NotImplementedError, match="multiply1.*layers"):
        em.predict(swish, weights={"conv1": np.ones((2, 3, 1, 1))}, gates="independent")
    with pytest.raises(ValueError, match="statistic='amplitude'"):
        em.predict(net, weights=weights, gates="layers", statistic="amplitude")
