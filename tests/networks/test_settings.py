"""Settings of a run: what is checked at the door, and what follows from them for a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.networks.settings import RunSettings

NET = em.serial(em.Conv(3, stride=2, padding=1), em.Conv(3, 4), em.Activation("relu"))


def test_of_makes_one_value_per_axis() -> None:
    settings = RunSettings.of(NET, image=9, unit=1, node="conv1", ndim=3)
    assert (settings.image, settings.unit, settings.node, settings.ndim) == ((9,) * 3, (1,) * 3, "conv1", 3)
    assert RunSettings.of(NET, image=(9, 7)).ndim == 2 and RunSettings.of(NET).ndim == 2
    assert RunSettings.of(em.serial(em.Conv((3, 3, 3)))).ndim == 3


@pytest.mark.parametrize("options, error, words", [
    ({"image": 0}, ValueError, "image=0"), ({"image": (8, 8, 8, 8)}, ValueError, "one per axis"),
    ({"unit": (0, 0, 0)}, ValueError, "unit"), ({"node": "nothing"}, ValueError, "no node"),
    ({"node": "input"}, ValueError, "not its input"), ({"width": 0}, ValueError, "width=0"),
    ({"channels_in": 1.5}, ValueError, "channels_in=1.5"), ({"weights": 3}, TypeError, "weights=3"),
    ({"weights": {3: 1}}, TypeError, "names of nodes"), ({"ndim": 4}, ValueError, "ndim=4"),
])
def test_of_refuses(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        RunSettings.of(NET, **options)


def test_of_refuses_a_layer() -> None:
    with pytest.raises(TypeError, match="must be a Network"):
        RunSettings.of(em.Conv(3))  # type: ignore[arg-type]


def test_unit_of_is_the_middle_of_the_map_or_the_unit_given() -> None:
    assert RunSettings.of(NET).unit_of(NET) == (0, 0)
    assert RunSettings.of(NET, image=10).unit_of(NET) == (2, 2)
    assert RunSettings.of(NET, image=10, unit=(0, 4)).unit_of(NET) == (0, 4)
    with pytest.raises(ValueError, match="outside"):
        RunSettings.of(NET, image=10, unit=5).unit_of(NET)


def test_but_changes_some_settings_and_leaves_the_others() -> None:
    first = RunSettings.of(NET, image=10, width=7)
    second = first.but(node="conv1", image=None)
    assert (second.node, second.image, second.width) == ("conv1", None, 7)
    assert (first.node, first.image) == (None, (10, 10))


def test_keywords_are_those_of_predict() -> None:
    arguments: dict[str, Any] = {"image": 10, "unit": 1, "channels_in": 2, "input_moments": (2.0, 0.5)}
    assert_close(em.predict(NET, **RunSettings.of(NET, **arguments).keywords).map, em.predict(NET, **arguments).map,
                 EXACT)


def test_shapes_channels_and_field_are_those_of_the_network() -> None:
    settings = RunSettings.of(NET, image=10, node="conv1", width=5)
    assert settings.shapes(NET) == NET.shapes(10) and settings.shape(NET) == (5, 5)
    assert settings.channels(NET) == {"conv1": 5, "conv2": 4, "relu1": 4}
    assert settings.receptive_field(NET) == em.receptive_field(NET, image=10, node="conv1")
    assert settings.but(image=None).shapes(NET) is None and settings.but(image=None).shape(NET) is None


def test_pixels_are_asked_for_where_the_plane_will_not_do() -> None:
    assert RunSettings.of(NET, image=10).pixels == (10, 10)
    with pytest.raises(ValueError, match="image=None"):
        RunSettings.of(NET).pixels


# -- the default statistic ------------------------------------------------------------------------

BESIDE = em.Network.from_dict({"format": "erfmath-network", "version": 1, "output": "b", "nodes": [
    {"name": "r", "op": "conv", "kernel_size": 3, "channels": 3, "inputs": ["input"]},
    {"name": "u", "op": "blur_pool", "kernel_size": 3, "stride": 1, "inputs": ["input"]},
    {"name": "b", "op": "add", "inputs": ["r", "r"]}, {"name": "after", "op": "add", "inputs": ["u", "b"]}]})


@pytest.mark.parametrize("options, statistic", [
    ({}, "power"), ({"node": "u"}, "mean"), ({"node": "r"}, "power"), ({"node": "b"}, "power"),
    ({"node": "after"}, "power"), ({"node": "after", "source": "u"}, "mean"), ({"node": "b", "source": "r"}, "mean"),
])
def test_one_rule_chooses_the_statistic(options: dict[str, Any], statistic: str) -> None:
    """Whatever stands beside the way from the source to the unit."""
    settings = RunSettings.of(BESIDE, image=6, **options)
    assert settings.default_statistic(BESIDE) == statistic
    predicted = em.predict(BESIDE, image=6, **options)
    assert predicted.statistic == em.measure(BESIDE, image=6, draws=2, rng=0, **options).statistic == statistic
    if "source" not in options:
        sizes = em.erf_size_map(BESIDE, 6, **options)
        assert_close(sizes.std[(slice(None), *predicted.unit)], predicted.std, ROUNDING)


def test_given_weights_are_no_mean() -> None:
    net = em.serial(em.AvgPool(3, 1, 1), em.Conv(3, weights=em.Constant()), em.BatchNorm("identity"))
    for weights, statistic in ((None, "mean"), ({"conv1": np.ones((16, 3, 3, 3))}, "power"),
                               ({"conv1.bias": np.ones(16)}, "mean")):
        assert RunSettings.of(net, weights=weights).default_statistic(net) == statistic
        assert em.predict(net, weights=weights).statistic == statistic
        assert em.measure(net, weights=weights, draws=1).statistic == statistic
