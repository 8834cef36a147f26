"""Fields on the map of an inner node: against networks cut there, and against measurements that share nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em

W = 16
TANH, RELU = em.Activation("tanh"), em.Activation("relu")


def conv(name: str | None = None, gain: float = 2.0, **options: Any) -> em.Conv:
    return em.Conv(3, W, weights=em.Random(gain=gain), name=name, **options)


def block() -> em.Network:
    return em.serial(em.residual(em.serial(em.BatchNorm(), TANH, conv(), RELU, conv(stride=1))), em.MaxPool(2))


@pytest.mark.parametrize("image", (None, 13))
@pytest.mark.parametrize("above", (em.serial(TANH, conv(), TANH, conv()), block(),
                                   em.serial(em.MaxPool(2), em.MaxPool(2), conv(stride=2)),
                                   em.serial(em.AvgPool(3, 1, 1), em.residual(em.Scale(0.5)))))
def test_source_is_the_input_of_the_network_cut_there(above: em.Network, image: int | None) -> None:
    """What lies before a 1x1 convolution gives every site of it the same moments, those of white pixels."""
    first = em.Conv(1, W, weights=em.Random(gain=0.7), name="s")
    net = em.serial(em.Conv(1, 4, weights=em.Random(gain=3)), first, above)
    found = em.predict(net, image=image, source="s", input_moments=(2.0, 0.5))
    cut = em.predict(above, image=image, channels_in=W, input_moments=(2.0 * 2.1, 0.5 * 2.1))
    assert found.map.shape == cut.map.shape and found.origin == cut.origin
    assert_close(found.map, cut.map, ROUNDING)
    assert found.trf.size == cut.trf.size == em.receptive_field(net, source="s").size


NETS = {
    "relu": em.serial(conv(), RELU, conv(), em.Activation("relu", name="s"), conv(stride=2), RELU, conv()),
    "a sum": em.serial(conv(), RELU, em.residual(em.serial(conv(), RELU), name="s"), RELU,
                       em.residual(em.serial(conv(), RELU)), RELU, conv()),
    "beside the way": em.serial(conv(), RELU, em.residual(em.serial(conv("s"), RELU, conv())), RELU, conv()),
    "between pools": em.serial(conv(), RELU, em.MaxPool(2, name="s"), em.MaxPool(2), RELU, conv()),
    "the input of a gate": em.serial(conv("s"), em.multiply(em.Identity(), em.serial(
        em.GlobalAvgPool(), conv(), em.Activation("sigmoid"))), RELU, conv()),
    "split": em.serial(em.Conv(3, 2 * W, name="s"), em.split((W, W), em.Identity(), em.serial(conv(), RELU)),
                       em.Shuffle(2), RELU, conv()),
    "a rectifier twice": em.serial(conv(), em.Activation("relu", name="s"), RELU, conv(gain=1.0)),
    "concatenated": em.serial(conv(), RELU, em.concat(em.Identity(), conv(), name="s"), RELU, conv()),
}


@pytest.mark.parametrize("name", NETS)
def test_source_agrees_with_what_is_measured(name: str) -> None:
    """Sampled sizes within four standard errors and half a per cent, totals, whose tails are heavy, within five."""
    theory = em.predict(NETS[name], image=24, source="s")
    measured = em.measure(NETS[name], image=24, source="s", draws=400, rng=1)
    assert theory.map.shape == measured.map.shape
    assert abs(theory.total - measured.total) < 5 * measured.total_stderr
    assert (abs(np.array(theory.std) - measured.std) < 4 * measured.std_stderr + 0.005 * measured.std).all()


def test_source_mean_is_exact() -> None:
    """A network of equal weights is linear: one back-propagation says the field on every inner map."""
    one = em.Constant()
    net = em.serial(em.Conv(3, 4, weights=one), em.residual(em.Conv((3, 5), 4, weights=one), name="s"),
                    em.concat(em.Conv(3, 4, stride=2, weights=one), em.AvgPool(2), name="t"),
                    em.Conv(3, 4, dilation=2, weights=one))
    for source in ("conv1", "conv2", "s", "t"):
        for place in ({"image": 14, "unit": (1, 6)}, {}):
            options: dict[str, Any] = {"source": source, **place}
            theory, measured = em.predict(net, **options), em.measure(net, **options)
            assert theory.statistic == "mean" and theory.origin == measured.origin
            assert_close(theory.map, measured.map, ROUNDING)
            if place:
                seen = em.support(net, **options)
                assert_close(np.argwhere(seen.mask) + seen.origin, np.argwhere(measured.map > 0), EXACT)


def test_source_with_given_weights_is_the_gradient_squared() -> None:
    rng = np.random.default_rng(0)
    net = em.serial(em.Conv(3, 5, name="a"), em.Conv(3, 6, name="b"), em.AvgPool(2), em.Conv(3, 2, name="c"))
    shapes = {"a": (5, 3, 3, 3), "b": (6, 5, 3, 3), "c": (2, 6, 3, 3)}
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    measured = sum(em.measure(net, image=9, source="b", weights=weights, channel=k).map for k in (0, 1)) / 2
    theory = em.predict(net, image=9, source="b", weights=weights, statistic="power")
    assert_close(theory.map, measured, ROUNDING)


def test_source_refused() -> None:
    net = em.serial(em.Conv(3, name="a"), em.concat(em.Conv(3, name="b"), em.Conv(3, name="c")))
    assert em.predict(net, source="input").share.tolist() == em.predict(net).share.tolist()
    with pytest.raises(ValueError, match="source='b': b does not depend on it"):
        em.predict(net, node="b", source="b")
    with pytest.raises(ValueError, match="source='c': b does not depend on it"):
        em.predict(net, node="b", source="c")
    with pytest.raises(ValueError, match="no node of this network"):
        em.predict(net, source="d")
    for method in ("normal", "finite_width"):
        with pytest.raises(NotImplementedError, match="with source= use method='exact'"):
            em.predict(net, source="a", method=method)
