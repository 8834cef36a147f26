"""Effective receptive fields and their sizes against sums over single pixels."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import random
from typing import Any

import numpy as np
import pytest
from fields import ERF, chain, field, pixels, random_erf
from helpers import EXACT, ROUNDING, assert_close, suptitle

import erfmath as em
from erfmath.base import errors
from erfmath.base.errors import SizeError
from erfmath.results.assumptions import Assumed

Array = Any


def moments(erf: Any) -> tuple[Array, Array]:
    """Mean and covariance, pixel by pixel."""
    share = pixels(erf)
    mean = [math.fsum(p * x[a] for x, p in share.items()) for a in range(erf.ndim)]
    return np.array(mean), np.array([[math.fsum(
        p * (x[a] - mean[a]) * (x[b] - mean[b]) for x, p in share.items())
        for b in range(erf.ndim)] for a in range(erf.ndim)])


cases = pytest.mark.parametrize("ndim, k", list(itertools.product((1, 2, 3), (3, 2))))


# ---------------------------------------------------------------------------------------------
# maps, lines, moments
# ---------------------------------------------------------------------------------------------

@cases
def test_moments_by_brute_force(ndim: int, k: int) -> None:
    erf = random_erf(ndim, k=k)
    mean, covariance = moments(erf)
    assert erf.center == ((0.0,) * ndim if k == 3 else (-0.5,) * ndim)
    assert_close(erf.centroid, mean, ROUNDING, scale=10)
    assert_close(erf.covariance, covariance, ROUNDING, scale=10)
    assert_close(erf.std, np.sqrt(np.diag(covariance)), ROUNDING)
    assert_close(erf.size("std"), math.sqrt(np.trace(covariance) / ndim), ROUNDING)
    square = sum(p * math.dist(x, erf.center)**2 for x, p in pixels(erf).items())
    assert_close(erf.rms_radius, math.sqrt(square), ROUNDING)
    assert isinstance(erf.centroid, tuple) and erf.std.shape == (ndim,)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_share_amplitude_and_lines(ndim: int) -> None:
    erf, share = random_erf(ndim), pixels(random_erf(ndim))
    assert_close(erf.share.sum(), 1.0, ROUNDING)
    assert_close(erf.share.ravel(), list(share.values()), ROUNDING)
    assert_close(erf.total, sum(erf.map.ravel()), ROUNDING)
    assert_close(erf.amplitude**2, erf.map, ROUNDING)
    assert_close(random_erf(ndim, statistic="mean").amplitude, erf.map, EXACT)
    assert_close(field([1, -2.], (0,), statistic="mean").amplitude, [1, 2], EXACT)
    for axis in range(-ndim, ndim):
        sites = range(erf.origin[axis], erf.origin[axis] + erf.shape[axis])
        marginal = [math.fsum(p for x, p in share.items() if x[axis] == site) for site in sites]
        assert_close(erf.profile(axis), marginal, ROUNDING)
        through = [share[tuple(site if a == axis % ndim else 0 for a in range(ndim))] for site in sites]
        assert_close(erf.cut(axis), through, ROUNDING)
    for call in (erf.profile, erf.cut):
        with pytest.raises(IndexError):
            call(ndim)


def test_cut_between_pixels_is_the_mean_of_the_nearest() -> None:
    erf = random_erf(3, k=2)  # centre at -1/2 on all axes
    share = pixels(erf)
    mean = [sum(share[x, y, z] for y in (-1, 0) for z in (-1, 0)) / 4 for x in range(-1, 3)]
    assert_close(erf.cut(0), mean, ROUNDING)
    edge = field([[1., 2.], [3., 4.]], (0, 0), k=2)  # half the nearest pixels are off the map
    assert_close(edge.cut(0) * 10, [1 / 2, 3 / 2], ROUNDING)


def test_center_is_that_of_the_unit_not_of_the_image() -> None:
    trf = em.receptive_field(em.zoo.resnet18(), image=224)
    erf = ERF(np.ones((224, 224)), origin=(0, 0), unit=(3, 3), trf=trf, image=(224, 224))
    assert erf.center == (96, 96)
    assert_close(erf.centroid, [111.5, 111.5], ROUNDING)
    strided = em.predict(chain(2, 4, stride=2, padding=1), image=40, unit=2, ndim=1)
    assert strided.center == (2 * 4 - 3 + (10 - 1) / 2,) == strided.centroid


def test_crop_is_the_map_with_zeros_around() -> None:
    erf = random_erf(2)
    by_pixel = {x: p * erf.total for x, p in pixels(erf).items()}
    rng = random.Random(3)
    for _ in range(40):
        lo = [rng.randint(-9, 6) for _ in range(2)]
        hi = [a + rng.randint(-1, 14) for a in lo]
        expected = [[by_pixel.get((y, x), 0.0) for x in range(lo[1], hi[1] + 1)]
                    for y in range(lo[0], hi[0] + 1)]
        shape = (hi[0] - lo[0] + 1, hi[1] - lo[1] + 1)
        assert_close(erf.crop(lo, hi), np.reshape(expected, shape), ROUNDING)
    assert_close(erf.crop(-1, 1), erf.crop((-1, -1), (1, 1)), EXACT)
    for bad in ((1, 2, 3), 0.5, ("a", "b")):
        with pytest.raises(ValueError, match="lo="):
            erf.crop(bad, 1)


def test_arrays_are_read_only() -> None:
    dense, thin = random_erf(2, stderr=np.ones((6, 9))), em.predict(chain(), ndim=2)
    for erf in (dense, thin):
        for array in (erf.map, erf.share, erf.amplitude, erf.profile(0), erf.cut(1), erf.std, erf.covariance):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        dense.stderr[0] = 1


# ---------------------------------------------------------------------------------------------
# edges
# ---------------------------------------------------------------------------------------------

def test_maps_that_are_none() -> None:
    with pytest.raises(ValueError, match="map: has 2 axes, origin has 1 values"):
        field([[1]], (0,))
    for bad in (math.inf, math.nan):
        with pytest.raises(OverflowError, match="beyond the range of floats"):
            field([bad], (0,))
    with pytest.raises(ValueError, match="statistic='median'"):
        field([1], (0,), statistic="median")


def test_a_unit_that_sees_nothing() -> None:
    erf = field(np.zeros((3, 3)), (0, 0))
    assert "nothing seen" in repr(erf) and not erf.amplitude.any() and erf.total == 0
    for ask in (lambda: erf.share, lambda: erf.std, lambda: erf.size("mass"), lambda: erf.profile(0)):
        with pytest.raises(ValueError, match="sum zero"):
            ask()
    assert erf.size() == 0


def test_means_of_both_signs() -> None:
    erf = field([1, -3, 1], (-1,), statistic="mean")
    assert_close(erf.share, [-1, 3, -1], ROUNDING)
    assert math.isnan(erf.std[0]) and math.isnan(erf.size("std")) and "nan" in repr(erf)
    assert erf.size() == 3 and erf.size(level=.5) == 1


def test_results_say_what_they_are() -> None:
    erf = em.predict(em.serial(em.Conv(3), em.MaxPool(2)), image=(8, 6))
    assert (erf.node, erf.unit, erf.image, erf.ndim, erf.stderr) == ("max_pool1", (2, 1), (8, 6), 2, None)
    assert erf.method == "exact" and all(isinstance(a, Assumed) for a in erf.assumptions)
    assert repr(erf).startswith("<EffectiveReceptiveField of max_pool1 unit (2, 1): power, std (")
    assert erf.window == erf.trf.window((2, 1)) and erf.label == "max_pool1 unit (2, 1)"


def unknown_field(**options: Any) -> Any:
    """Of a unit of which only the centre is known."""
    return ERF(random_erf(2).map, origin=(0, 0), unit=(), trf=None, center=(2.5, 4), image=(6, 9), **options)


def test_a_field_without_a_theoretical_one() -> None:
    erf, known = unknown_field(), random_erf(2)
    assert erf.window is None and erf.node == "" and erf.center == (2.5, 4)
    assert repr(erf).startswith("<EffectiveReceptiveField of the unit centred at (2.5, 4): power, std (")
    assert repr(erf).endswith("TRF unknown>")
    assert_close(erf.std, known.std, ROUNDING)
    for ask in (lambda: erf.trf, erf.ratio):
        with pytest.raises(ValueError, match="is not known; give from_gradients trf="):
            ask()
    for trf, center in ((None, None), (known.trf, (0, 0))):
        with pytest.raises(ValueError, match="center: needed if there is no trf"):
            ERF(known.map, origin=(0, 0), unit=(), trf=trf, center=center)


@pytest.mark.parametrize("statistic", ["mean", "amplitude", "magnitude", "relu"])
def test_the_amplitude_of_what_is_no_power_is_the_map(statistic: str) -> None:
    erf = unknown_field(statistic=statistic)
    assert_close(erf.amplitude, erf.map, EXACT)


def test_parts_that_would_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    thin = em.predict(chain(20), ndim=2)
    monkeypatch.setattr(errors, "MEMORY_LIMIT", 10_000)
    with pytest.raises(SizeError, match=f"{8 * 41**2} bytes"):
        thin.map
    with pytest.raises(SizeError, match=f"{8 * 101**2} bytes"):
        thin.crop(-50, 50)
    assert thin.crop(-1, 1).shape == (3, 3)


def test_str_is_a_table_of_what_there_is_to_know() -> None:
    erf = em.predict(em.repeat(em.serial(em.Conv(3), em.Activation("relu")), 3), image=9)
    rows = dict(line.split("  ", 1) for line in str(erf).splitlines() if not line.startswith(" "))
    assert rows["TRF"].strip() == "7 x 7 px" and rows["image"].strip() == "9 x 9 px"
    assert rows["std"].strip() == " x ".join(f"{s:.4g}" for s in erf.std) + " px"
    assert all(assumption.value in str(erf) for assumption in erf.assumptions)
    assert "nothing seen" in str(field(np.zeros((3, 3)), (0, 0))) and "not known" in str(unknown_field())


def test_repr_html_is_the_table_and_a_picture() -> None:
    text = random_erf(2)._repr_html_()
    assert text.startswith("<table>") and 'src="data:image/png;base64,iVBOR' in text and "<script" not in text
    assert "nothing seen" in field(np.zeros((3, 3)), (0, 0))._repr_html_()
    odd = em.predict(em.serial(em.Conv(3, name="<b>$x")))._repr_html_()
    assert "&lt;b&gt;$x" in odd and "<b>" not in odd


def test_plot_is_that_of_plotting() -> None:
    assert suptitle(random_erf(2).plot(title="x")) == suptitle(em.plotting.plot(random_erf(2), title="x"))


def test_fields_are_frozen() -> None:
    erf = random_erf(2)
    for name in ("map", "unit", "density"):
        with pytest.raises(AttributeError):
            setattr(erf, name, None)
    assert_close(copy.deepcopy(erf).std, erf.std, EXACT)
    with pytest.raises(ValueError, match="read-only"):
        pickle.loads(pickle.dumps(erf)).map[0] = 1


def test_image_is_what_the_map_covers() -> None:
    for image, origin in (((6, 8), (0, 0)), ((6, 9), (0, 1))):
        with pytest.raises(ValueError, match=r"image=\(6, [89]\): the map must cover it, from pixel 0 on"):
            field(np.ones((6, 9)), origin, image=image)
