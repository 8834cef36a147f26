"""Convolutions, linear layers and norms, with their arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close
from traces import converted, layers, step

import erfmath as em

RNG = np.random.default_rng(0)
SHAPE = (1, 4, 8, 8)


def test_a_convolution_brings_its_geometry_and_its_gain() -> None:
    """Gain: inputs of a channel times the mean square of its weights."""
    weights = RNG.standard_normal((6, 2, 3, 5))
    about: Any = {"stride": (2, 1), "padding": ((1, 1), (2, 2)), "groups": 2, "dilation": (1, 1)}
    record = step("a", "conv", "x", "w", "b", shape=(1, 6, 4, 8), **about)
    for init, gain in (("module", 2 * 15 * (weights**2).mean()), ("he", 2.0)):
        layer, = layers(converted(record, init=init, w=weights, b=np.zeros(6)))
        assert (layer.stride, layer.padding, layer.groups) == ((2, 1), ((1, 1), (2, 2)), 2)
        assert_close(layer.weights.gain, gain, ROUNDING)
    found = converted(record, w=weights, b=np.arange(6.0))
    assert_close(found.weights["a"], weights, EXACT)
    assert_close(found.weights["a.bias"], np.arange(6.0), EXACT)


def test_one_filter_for_all_channels_is_fixed() -> None:
    weights = np.tile(np.array([[1.0, 2, 1]]).T @ np.array([[1.0, 2, 1]]) / 16, (4, 1, 1, 1))
    layer, = layers(converted(step("a", "conv", "x", "w", shape=SHAPE, groups=4, stride=(1, 1),
                                   padding=((1, 1), (1, 1))), init="module", w=weights))
    assert isinstance(layer.weights, em.Fixed)


def test_a_transposed_convolution_with_more_at_its_end() -> None:
    layer, = layers(converted(step("a", "conv", "x", "w", shape=(1, 3, 16, 16), transposed=True, stride=(2, 2),
                                   padding=((1, 1), (1, 1)), output_padding=(1, 1)), w=np.ones((4, 3, 3, 3))))
    assert layer.op == "conv_transpose" and em.serial(layer).shapes(8)["conv_transpose1"] == (16, 16)


def test_a_linear_layer_after_flattening_is_a_convolution_of_the_whole_map() -> None:
    weights = RNG.standard_normal((5, 256))
    found = converted(step("f", "reshape", "x", shape=(1, 256)), step("a", "linear", "f", "w", shape=(1, 5)), w=weights)
    assert_close(found.weights["a"], weights.reshape(5, 4, 8, 8), EXACT)
    over_channels = converted(step("p", "permute", "x", shape=(1, 8, 8, 4), order=[0, 2, 3, 1]), step(
        "a", "linear", "p", "w", shape=(1, 8, 8, 5)), w=weights[:, :4])
    assert over_channels.weights["a"].shape == (5, 4, 1, 1) and over_channels.net.shapes((8, 8))["a"] == (8, 8)


def test_a_frozen_batch_norm_holds_epsilon_in_its_variance() -> None:
    found = converted(step("a", "batch_norm", "x", "g", "s", "m", "v", shape=SHAPE, eps=0.5), g=np.full(4, 2.0),
                      s=np.zeros(4), m=np.ones(4), v=np.full(4, 3.0))
    assert_close(found.weights["a"], np.array([[2.0], [0], [1], [3.5]]) * np.ones(4), EXACT)


@pytest.mark.parametrize("record, layer", [
    (step("a", "layer_norm", "x", shape=SHAPE, axes=[1]), em.LayerNorm()),
    (step("a", "rms_norm", "x", shape=SHAPE, axes=[1], centred=False), em.RMSNorm()),
    (step("a", "group_norm", "x", shape=SHAPE, groups=2), em.GroupNorm(2)),
    (step("a", "instance_norm", "x", shape=SHAPE), em.InstanceNorm()),
    (step("a", "layer_norm", "x", shape=SHAPE, axes=[1, 2, 3]), em.GroupNorm(1)),
])
def test_norms_by_what_they_run_over(record: Any, layer: em.Layer) -> None:
    assert layers(converted(record)) == [layer]
