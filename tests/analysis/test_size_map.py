"""Sizes and centres of all units against one `predict` a unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, FFT, ROUNDING, assert_close

import erfmath as em
from erfmath.base.errors import SizeError

Conv, Relu = em.Conv, em.Activation("relu")
DECODER = em.serial(Conv(3, stride=2), Relu, Conv(3), em.Upsample(2, "bilinear"), Conv(3))


@pytest.mark.parametrize("net, image", [
    (em.repeat(Conv(3), 6), (7, 6)), (DECODER, (8, 6)),
    (em.serial(Conv(5, stride=2), em.BatchNorm(), Relu, em.residual(em.serial(Conv(3), em.BatchNorm())), Relu), 11),
    (em.serial(Conv(3, weights=em.Constant()), em.AvgPool(2), Conv(3, weights=em.Constant())), 12),
], ids=["chain", "decoder", "residual", "all ones, one by one"])
def test_every_unit(net: em.Network, image: object) -> None:
    sizes = em.erf_size_map(net, image)
    for unit in np.ndindex(*sizes.size.shape):
        erf = em.predict(net, image=image, unit=unit)
        place = (slice(None), *unit)
        assert_close(sizes.total[unit], erf.total, ROUNDING)
        assert_close(sizes.std[place], erf.std, FFT, scale=float(erf.std.max()))
        assert_close(sizes.centroid[place], erf.centroid, FFT, scale=max(erf.shape))
        assert_close(sizes.center[place], erf.center, EXACT)
        assert_close(sizes.size[unit], erf.size("std"), FFT)
        assert_close(sizes.shift[place], np.subtract(erf.centroid, erf.center), FFT, scale=max(erf.shape))


def test_another_kind_and_another_node() -> None:
    net, done = em.serial(Conv(3), Relu, Conv(3, name="second"), em.MaxPool(2)), []
    sizes = em.erf_size_map(net, 6, node="second", kind="mass", progress=lambda i, n: done.append((i, n)))
    assert sizes.node == "second" and sizes.size.shape == (6, 6) and done[-1] == (36, 36)
    assert sizes.size[0, 0] == em.predict(net, image=6, node="second", unit=0).size("mass")


def test_phases_of_a_decoder_differ_inside() -> None:
    """Nearest upsampling: the four phases of the interior have mirrored centroids, alike in pairs."""
    sizes = em.erf_size_map(em.serial(Conv(3, stride=2, padding=(0, 1)), em.Upsample(2), Conv(3)), 32)
    inside = sizes.centroid[1, 15, 12:20] - np.arange(12, 20)
    assert_close(inside[2:], inside[:-2], FFT, scale=32)
    assert abs(inside[0] - inside[1]) > 0.1


def test_results_are_read_only_and_know_their_names() -> None:
    sizes = em.erf_size_map(em.repeat(Conv(3), 2), 5)
    with pytest.raises(ValueError, match="read-only"):
        sizes.size[0, 0] = 0
    assert "conv2" in repr(sizes) and "std" in repr(sizes)


@pytest.mark.parametrize("options, words", [
    ({"kind": "width"}, "kind='width'"), ({"node": "nothing"}, "node='nothing'"), ({"image": 0}, "image=0"),
])
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        em.erf_size_map(em.repeat(Conv(3), 2), **{"image": 5, **options})


def test_erf_size_map_tells_underflow_from_nothing_seen() -> None:
    """Sizes do not depend on the gain, down to where totals leave the range of floats; that is refused."""
    def faint(gain: float) -> em.Network:
        return em.repeat(em.Conv(3, weights=em.Random(gain=gain)), 16)

    std = em.erf_size_map(faint(1.0), 32, ndim=1).std
    assert_close(em.erf_size_map(faint(1e-15), 32, ndim=1).std, std, FFT)
    for gain in (1e-19, 1e-20, 10**-20.1, 1e-30):
        with pytest.raises(ValueError, match="below the range of floats"):
            em.erf_size_map(faint(gain), 32, ndim=1)
    blind = em.erf_size_map(em.serial(em.Conv(1), em.Pad(3), em.Conv(1)), 4, ndim=1)
    assert blind.total[0] == 0 and np.isnan(blind.std[0, 0]) and blind.total[3] > 0


def test_erf_size_map_refuses_images_before_anything_is_built() -> None:
    with pytest.raises(SizeError, match="bytes"):
        em.erf_size_map(em.zoo.plain(2), 10**9)
