"""Sizes and centres of all units against one `predict` a unit."""

from __future__ import annotations

import math
from pathlib import Path
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


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_sizes_do_not_depend_on_the_gain(activation: str) -> None:
    """Totals over 2000 decades: of all units, of one, and of one whose filters correlate its gradient."""
    def faint(gain: float, *last: Any) -> em.Network:
        layers = em.serial(Conv(3, weights=em.Random(gain=gain)), em.Activation(activation))
        return em.serial(em.repeat(layers, 16), *last)

    sizes, one = em.erf_size_map(faint(1.0), 32, ndim=1), em.predict(faint(1.0), image=32, ndim=1)
    filtered = em.predict(faint(1.0, em.AvgPool(3, 1, 1), em.Scale(0.5)), image=32, ndim=1)
    for gain in (1e-15, 1e-19, 1e-20, 10**-20.1, 1e-60, 1e30, 1e60):
        if activation == "relu" and gain > 1:  # values leave the range before gradients do
            with pytest.raises(OverflowError, match="conv.*: the variance of its values is beyond"):
                em.predict(faint(gain), image=32, ndim=1)
            continue
        other, single = em.erf_size_map(faint(gain), 32, ndim=1), em.predict(faint(gain), image=32, ndim=1)
        assert_close(other.std, sizes.std, ROUNDING)
        assert_close(other.centroid, sizes.centroid, ROUNDING)
        assert_close(single.share, one.share, ROUNDING)
        assert_close(single.density.log_total, one.density.log_total + 16 * math.log(gain), ROUNDING)
        assert_close([single.size(), single.size("mass"), single.size("half_max"), *single.std],
                     [one.size(), one.size("mass"), one.size("half_max"), *one.std], ROUNDING)
        again = em.predict(faint(gain, em.AvgPool(3, 1, 1), em.Scale(0.5)), image=32, ndim=1)
        assert_close(again.share, filtered.share, ROUNDING)
        if abs(math.log(gain)) > 60:
            for far in (other, single):
                with pytest.raises(OverflowError, match=r"sum\(map\) is exp\(.*beyond the range of floats"):
                    far.total


def test_units_that_see_nothing_are_told_from_underflow() -> None:
    blind = em.erf_size_map(em.serial(em.Conv(1), em.Pad(3), em.Conv(1)), 4, ndim=1)
    assert blind.total[0] == 0 and np.isnan(blind.std[0, 0]) and blind.total[3] > 0 and blind.blind == 6
    assert repr(blind) == "<SizeMap of conv2, (10,) units: std 0 to 0 pixels, 6 see nothing>"
    means = em.erf_size_map(em.serial(em.Pad(3), em.AvgPool(3, 1)), 4, ndim=1)  # one by one
    seen = np.arange(8) % 7 > 0
    assert (np.isfinite(means.size) == seen).all() and (np.isfinite(means.std[0]) == seen).all() and means.blind == 2
    assert "nothing seen" in repr(em.erf_size_map(em.serial(em.Conv(1), em.Scale(0.0)), 4, ndim=1))
    with pytest.raises(ValueError, match="sees nothing"):
        em.predict(em.serial(em.Conv(1), em.Pad(3), em.Conv(1)), image=4, ndim=1, unit=0).share


def test_totals_of_means_have_signs() -> None:
    """Also where they are beyond the range of floats on the way, and come back."""
    for scales, total in (([-2.0], -2.0), ([-1e-90] * 7, None), ([-1e-90] * 7 + [1e90] * 7, -1.0)):
        net = em.serial(em.AvgPool(3, 1, 1), *map(em.Scale, scales))
        sizes = em.erf_size_map(net, 5, ndim=1)
        assert (sizes.part < 0).all() and (sizes.size > 0).all()
        erf = em.predict(net, image=5, ndim=1)
        assert erf.density.sign == -1
        if total is not None:
            assert_close([sizes.total[2], erf.total], [total, total], ROUNDING)


def test_results_beyond_the_floats_are_kept_in_files(in_tmp: Path) -> None:
    for net in (em.repeat(Conv(3, weights=em.Random(gain=1e-60)), 8), em.repeat(em.AvgPool(3, 1, 1), 3),
                em.serial(em.repeat(em.AvgPool(3, 1, 1), 3), em.repeat(em.Scale(-1e-90), 7))):
        erf = em.predict(net, image=9)
        erf.save("erf.npz")
        again = em.EffectiveReceptiveField.load("erf.npz")
        assert repr(again) == repr(erf) and again.density.log_total == erf.density.log_total
        assert_close(again.share, erf.share, EXACT)


def test_erf_size_map_refuses_images_before_anything_is_built() -> None:
    with pytest.raises(SizeError, match="bytes"):
        em.erf_size_map(em.zoo.plain(2), 10**9)


def test_photographs_move_sizes_as_they_do_in_predict() -> None:
    block = em.serial(em.BatchNorm(), em.Activation("relu"), em.Conv(3))
    net, photographs = em.serial(em.Conv(3), em.residual(block), em.BatchNorm(), em.Conv(1)), em.natural_images()
    sizes = em.erf_size_map(net, 9, input_covariance=photographs)
    white = em.erf_size_map(net, 9)
    for unit in ((4, 4), (0, 0), (2, 7)):
        erf = em.predict(net, image=9, unit=unit, input_covariance=photographs)
        assert_close(sizes.std[(slice(None), *unit)], erf.std, FFT)
        assert_close(sizes.total[unit], erf.total, ROUNDING)
    assert abs(sizes.total[4, 4] / white.total[4, 4] - 1) > 0.05


def test_sums_one_term_of_which_is_known_in_more_ways_than_the_other() -> None:
    """Dropout on one side, a max pool of some channels on the other, before a product: was a KeyError."""
    one = em.serial(em.concat(em.Conv(1, 6), em.Identity()), em.Conv(1, 4), em.Dropout(.2))
    other = em.concat(em.Slice(0, 2), em.serial(em.Slice(2, 4), em.MaxPool(3, 1, 1)))
    product = em.multiply(em.Conv(1, 8), em.Conv(3, 8))
    net = em.serial(em.Conv(3, 4, stride=2, padding="same"), em.add(one, other), product)
    options = {"image": (4, 4), "channels_in": 2}
    found = em.erf_size_map(net, **options)
    for unit in ((0, 0), (1, 0)):
        erf = em.predict(net, unit=unit, **options)
        assert found.total[unit] == pytest.approx(erf.total, rel=1e-9)
        assert [axis[unit] for axis in found.std] == pytest.approx(erf.std.tolist(), rel=1e-9)
