"""Layers in their simplest form do what they did."""

from __future__ import annotations

import numpy as np
import pytest
from single_layers import close, drawn, run_of
from vocabulary import LAYERS

import erfmath as em
from erfmath.layers import Layer
from erfmath.theory.rules.fusion import Row, as_one
from erfmath.theory.rules.single import alone

#: Layers without random weights that have a simpler form on a map of 7 x 8 sites.
WRITTEN = [
    em.AvgPool((7, 8)), em.AdaptiveAvgPool((7, 4)), em.AdaptiveMaxPool((1, 2)), em.AdaptiveAvgPool(1),
    em.Upsample(size=(14, 16), mode="bilinear"), em.Upsample(size=(21, 8)), em.Activation("prelu"),
    em.Activation("leaky_relu", slope=0.), em.GroupNorm(4), em.Conv(1, weights=em.Fixed(np.full((1, 1), .5))),
    em.Conv(1, stride=2, weights=em.Fixed(np.ones((1, 1)))),
    em.Conv(1, 4, weights=em.Fixed(-2 * np.eye(4).reshape(4, 4, 1, 1))),
    em.Conv(3, padding=1, groups="depthwise", weights=em.Fixed(np.pad([[2., 3.]], ((1, 1), (0, 1))))),
    em.ConvTranspose(2, stride=2, groups="depthwise", weights=em.Fixed(np.ones((2, 2)))),
    em.ConvTranspose(3, padding=1, groups="depthwise", weights=em.Fixed(np.arange(9.).reshape(3, 3))),
    em.ConvTranspose((2, 3), 4, dilation=2, weights=em.Fixed(np.arange(96.).reshape(4, 4, 2, 3)))]


def check(layer: Layer, x: np.ndarray) -> None:
    image = x.shape[3:]
    simple = alone(layer, image, x.shape[1], len(image))
    close(run_of(simple, image)(x), run_of(layer, image)(x))


@pytest.mark.parametrize("layer", WRITTEN, ids=lambda layer: layer.op)
def test_written_otherwise(layer: Layer) -> None:
    assert alone(layer, (7, 8), 4, 2) != layer
    check(layer, np.random.default_rng(1).standard_normal((1, 4, 2, 7, 8)))


@pytest.mark.parametrize("op", LAYERS)
def test_every_kind(op: str) -> None:
    for layer, _, x in drawn(op):
        if not layer.random:
            check(layer, x - 1)


def test_names_of_simple_layers() -> None:
    assert alone(em.AvgPool(4), (4, 4), 8, 2) == em.GlobalAvgPool()
    assert alone(em.AvgPool(4), (5, 4), 8, 2) == em.AvgPool(4)
    assert alone(em.Conv(1, weights=em.Fixed(np.full((1, 1), .5))), (4, 4), 8, 2) == em.Scale(.5)
    assert alone(em.Activation("leaky_relu", slope=0.), (4,), 8, 1) == em.Activation("relu")
    assert alone(em.GroupNorm(8), (4,), 8, 1) == em.InstanceNorm() and alone(em.GroupNorm(4), (4,), 8, 1) == (
        em.GroupNorm(4))


def test_windows_that_end_inside() -> None:
    whole = em.MaxPool(2, 2, ceil_mode=True), em.AvgPool(2, 2, count_include_pad=False)
    assert [alone(layer, (8,), 4, 1) for layer in whole] == [em.MaxPool(2, 2), em.AvgPool(2, 2)]
    assert alone(whole[0], (9,), 4, 1) == whole[0] and alone(whole[0], (None,), 4, 1) == whole[0]
    padded = em.AvgPool(3, 2, 1, count_include_pad=False)
    assert alone(padded, (8,), 4, 1) == padded


def test_means_of_one_site() -> None:
    """A site and eight zeros around it, or it alone."""
    assert alone(em.AvgPool(3, 2, 1), (1, 1), 4, 2) == em.Scale(1 / 9)
    assert alone(em.AvgPool(3, 2, 1, count_include_pad=False), (1, 1), 4, 2) == em.Identity()
    same = em.AvgPool(3, 2, "same")  # counts no zeros
    assert alone(same, (1, 1), 4, 2) == same
    assert as_one(Row(em.Pad(1), em.GlobalAvgPool(), ((1, 1), (3, 3)), (4, 4, 4), True, 2)) == em.Scale(1 / 9)
    assert as_one(Row(em.Pad(1), em.GlobalAvgPool(), ((2, 1), (4, 3)), (4, 4, 4), True, 2)) is None
