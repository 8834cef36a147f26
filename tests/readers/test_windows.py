"""Pools, resampling, padding and shuffles as layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close
from traces import converted, layers, step

import erfmath as em


@pytest.mark.parametrize("op, shape, attributes, layer", [
    ("max_pool", (1, 4, 4, 3), {"kernel": (2, 3), "stride": (2, 3), "padding": ((0, 0), (1, 1))},
     em.MaxPool((2, 3), padding=((0, 0), (1, 1)))),
    ("avg_pool", (1, 4, 4, 4), {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1)),
                                "count_include_pad": False}, em.AvgPool(3, 2, 1, count_include_pad=False)),
    ("adaptive_avg_pool", (1, 4, 1, 1), {"size": (1, 1)}, em.GlobalAvgPool()),
    ("adaptive_avg_pool", (1, 4, 4, 2), {"size": (4, 2)}, em.AvgPool((2, 4))),
    ("adaptive_max_pool", (1, 4, 3, 8), {"size": (3, None)}, em.AdaptiveMaxPool((3, 8))),
    ("resize", (1, 4, 16, 8), {"mode": "nearest"}, em.Upsample((2, 1))),
    ("resize", (1, 4, 4, 4), {"mode": "bilinear", "align_corners": False}, em.AvgPool(2)),
    ("resize", (1, 4, 5, 8), {"mode": "bilinear", "align_corners": True},
     em.Upsample(None, "bilinear", size=(5, 8), align_corners=True)),
    ("pad", (1, 4, 9, 11), {"pads": [(0, 0), (0, 0), (1, 0), (2, 1)]}, em.Pad(((1, 0), (2, 1)))),
    ("pixel_unshuffle", (1, 16, 4, 4), {"factor": 2}, em.PixelUnshuffle(2)),
])
def test_windows_are_layers(op: str, shape: tuple[int, ...], attributes: dict[str, Any], layer: em.Layer) -> None:
    """The same measurement at two units and the same shape; equal values of fields may be written in several ways."""
    found = converted(step("a", op, "x", shape=shape, **attributes))
    (here,), net = layers(found), em.serial(layer)
    assert here.op == layer.op and found.net.shapes((8, 8))[found.net.output] == shape[2:]
    for unit in ((0, 0), tuple(n - 1 for n in shape[2:])):
        one, other = (em.measure(n, image=8, unit=unit, channels_in=4, draws=3, rng=0).map for n in (found.net, net))
        assert_close(one, other, EXACT)


def test_a_pool_that_rounds_up_has_padding_for_its_size() -> None:
    found = converted(step("a", "max_pool", "x", shape=(1, 4, 4, 4), kernel=(3, 3), stride=(2, 2), ceil=True))
    assert found.net.shapes((8, 8))["a"] == (4, 4)
    assert em.support(found.net, image=8, unit=3).mask.shape == (2, 2)


def test_channels_of_zeros_are_a_fixed_matrix() -> None:
    found = converted(step("a", "pad", "x", shape=(1, 7, 8, 8), pads=[(0, 0), (1, 2), (0, 0), (0, 0)]))
    matrix, = (np.asarray(layer.weights.array)[..., 0, 0] for layer in layers(found))
    assert_close(matrix, np.pad(np.eye(4), ((1, 2), (0, 0))), EXACT)
