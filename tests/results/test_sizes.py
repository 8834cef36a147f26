"""Sizes against sums over single pixels, closed forms, and the laws that all of them obey."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from fields import ALL_SIZES, ERF, chain, field, pixels, random_erf, variants
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.results import sizes
from erfmath.results.density import Separable

Array = Any

cases = pytest.mark.parametrize("ndim, k", list(itertools.product((1, 2, 3), (3, 2))))


@cases
def test_sizes_by_brute_force(ndim: int, k: int) -> None:
    erf = random_erf(ndim, seed=1, k=k)
    share, center = pixels(erf), erf.center
    near = [share[x] for x in itertools.product((0,) if k == 3 else (-1, 0), repeat=ndim)]
    for level in (0.3, 0.6, 0.9):
        for power, statistic in ((0.5, "power"), (1, "mean")):
            same = random_erf(ndim, seed=1, k=k, statistic=statistic)
            for reference, top in (("center", sum(p**power for p in near) / len(near)),
                                   ("max", max(share.values())**power)):
                count = sum(p**power > level * top for p in share.values())
                assert_close(same.size("threshold", level=level, reference=reference),
                             count**(1 / ndim), ROUNDING)
    assert_close(erf.size("half_max"), erf.size("threshold", level=0.5), EXACT)
    assert_close(erf.size("participation"), 1 / sum(p**2 for p in share.values()), ROUNDING)
    for part in (0.1, 0.5, 0.95, 1.0):
        box = erf.size("mass", p=part)
        radius = erf.mass_radius(part)
        far = {x: max(abs(a - c) for a, c in zip(x, center)) for x in share}
        away = {x: math.dist(x, center) for x in share}
        slack = 10 * ROUNDING.rtol  # pixels at the rim itself belong to the box
        for distance, limit in ((far, (box - 1) / 2), (away, radius)):
            assert sum(p for x, p in share.items() if distance[x] <= limit + slack) >= part - slack
            assert sum(p for x, p in share.items() if distance[x] < limit - slack) < part
        lo, hi = erf.trf.window()
        window = [*itertools.product(*(range(a, b + 1) for a, b in zip(lo, hi)))]
        covered = sum(max(abs(a - c) for a, c in zip(x, center)) <= (box - 1) / 2 for x in window)
        assert_close(erf.size("area_ratio", t=part), covered / len(window), ROUNDING)
    side = math.prod(erf.trf.size)**(1 / ndim)
    assert_close(erf.ratio("mass", p=.5), erf.size("mass", p=.5) / side, ROUNDING)


def test_every_kind_is_covered() -> None:
    """All but the one that depends on the scale."""
    assert set(sizes.KINDS) - set(ALL_SIZES) == {"area_ratio_log10"}


@pytest.mark.parametrize("name", ALL_SIZES)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_laws_of_sizes(name: str, ndim: int) -> None:
    """Unchanged by g -> c g, by zeros stored around, and by a shift of everything."""
    size = ALL_SIZES[name]
    erf = random_erf(ndim)
    for what, same in variants(erf).items():
        if what != "wider" or name != "std above background":  # half the mean of the stored map
            assert_close(size(same), size(erf), ROUNDING)
        assert_close(np.subtract(same.centroid, same.center), np.subtract(erf.centroid, erf.center), ROUNDING,
                     scale=70)


def gaussian(n: int, std: float) -> Array:
    return np.exp(-np.arange(-n, n + 1)**2 / (2 * std**2))


def test_threshold_of_a_wide_gaussian() -> None:
    """4.406 standard deviations of the amplitude; exactly the lattice points of a disc."""
    std, n = 100.0, 300
    line = gaussian(n, std / math.sqrt(2))
    trf = em.receptive_field(chain(n), ndim=2)
    erf = ERF.of(Separable([line / line.sum()] * 2, (-n, -n), 0.0), unit=(0, 0), trf=trf)
    square = 2 * std**2 * math.log(1 / sizes.LEVEL)
    inside = sum(x * x + y * y < square for x in range(-n, n + 1) for y in range(-n, n + 1))
    assert round(erf.size()**2) == inside and round(erf.size() / std, 3) == 4.406


@pytest.mark.parametrize("kind, options, message", [
    ("area", {}, "kind='area'"), ("threshold", {"level": 0}, "level=0.0: must lie between 0 and 1"),
    ("area_ratio", {"t": 0}, "t=0.0"), ("area_ratio_log10", {"t": 2}, "t=2.0"),
    ("threshold", {"level": 1}, "level=1.0"), ("threshold", {"level": "high"}, "level='high'"),
    ("threshold", {"reference": "corner"}, "reference='corner'"), ("mass", {"p": 0}, "p=0.0"),
    ("mass", {"p": 1.5}, "p=1.5"), ("mass", {"p": math.nan}, "p=nan")])
def test_bad_sizes(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_erf(2).size(kind, **options)
    with pytest.raises(ValueError, match="p=2.0"):
        random_erf(2).mass_radius(2)


# ---------------------------------------------------------------------------------------------
# area ratios
# ---------------------------------------------------------------------------------------------

def test_area_ratio_is_of_the_image_and_never_above_one() -> None:
    net = chain(4, padding=1)
    erf = em.predict(net, image=(20, 30), unit=(10, 2))
    side = erf.size("mass", p=.99)
    columns = min(2 + (side - 1) // 2, 29) - max(2 - (side - 1) // 2, 0) + 1
    assert columns < side  # the square sticks out on the left
    assert_close(erf.size("area_ratio"), side * columns / 600, ROUNDING)
    flat = field(np.ones((5, 5)), (0, 0), image=(5, 5))
    assert flat.size("area_ratio", t=1.0) == 1


def large_kernel_list(matrix: Array, t: float) -> float:
    """The published procedure: squares of 3, 5, ... pixels about n // 2 after log10(g + 1)."""
    values = np.log10(matrix + 1)
    values = values / values.max()
    middle = len(values) // 2
    for reach in range(1, middle):
        part = values[middle - reach:middle + reach + 1, middle - reach:middle + reach + 1]
        if part.sum() / values.sum() > t:
            return (2 * reach + 1)**2 / values.size
    return math.nan


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_area_ratio_log10_is_that_of_the_large_kernel_papers(scale: float) -> None:
    y, x = np.ogrid[-32:32, -32:32]
    map = scale * np.exp(-(x**2 + y**2) / 40) * np.random.default_rng(5).random((64, 64))
    erf = ERF(map, origin=(0, 0), unit=(), trf=None, center=(32, 32), image=(64, 64), statistic="relu")
    for t in (.2, .3, .5, .99, *np.linspace(.1, .995, 150)):
        assert_close(erf.size("area_ratio_log10", t=float(t)), large_kernel_list(map, t), ROUNDING)


def test_area_ratio_log10_depends_on_the_scale() -> None:
    erf = random_erf(2)
    y, x = np.ogrid[-4:5, -4:5]
    small, large = (field(c * np.exp(-x**2 - y**2), (-4, -4)) for c in (1e-6, 1e6))
    assert small.size("area_ratio_log10", t=.9) < large.size("area_ratio_log10", t=.9)
    assert small.size("area_ratio", t=.9) == large.size("area_ratio", t=.9)
    for bad in (field(-erf.map, erf.origin, statistic="mean"), field(np.zeros((3, 3)), (0, 0))):
        with pytest.raises(ValueError, match="needs a map of values above 0"):
            bad.size("area_ratio_log10")


def test_ratios_of_ratios_are_refused() -> None:
    erf = random_erf(2)
    for kind in ("area_ratio", "area_ratio_log10"):
        with pytest.raises(ValueError, match="is a ratio already"):
            erf.ratio(kind)
    assert_close(erf.ratio("participation"), erf.size("participation") / math.prod(erf.trf.size), ROUNDING)


# ---------------------------------------------------------------------------------------------
# closed forms
# ---------------------------------------------------------------------------------------------

def test_one_pixel() -> None:
    map = np.zeros((7, 7))
    map[3, 3] = 5
    erf = field(map, (-3, -3))
    assert [erf.size(kind) for kind in ("threshold", "half_max", "std", "mass", "participation")] == [1, 1, 0, 1, 1]
    assert_close(erf.size("area_ratio"), 19.0**-2, ROUNDING)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_boxes(ndim: int) -> None:
    """A flat field of n pixels per axis: every size is known."""
    n = 7
    erf = field(np.ones((n,) * ndim), (-3,) * ndim)
    assert_close(erf.size(), float(n), ROUNDING)
    assert_close(erf.size("std"), math.sqrt((n**2 - 1) / 12), ROUNDING)
    assert_close(erf.size("participation"), float(n**ndim), ROUNDING)
    assert erf.size("mass", p=1.0) == n and erf.size("mass", p=(5 / 7)**ndim) == 5


def test_the_chain_of_twenty_layers() -> None:
    """.394 of the TRF for all ones, .555 for random weights, of the published twenty-layer panel's sides."""
    ones = em.predict(em.repeat(em.Conv(3, weights=em.Constant()), 20))
    random = em.predict(em.repeat(em.Conv(3), 20))
    assert [round(erf.ratio(), 3) for erf in (ones, random)] == [.394, .555]


# ---------------------------------------------------------------------------------------------
# backgrounds
# ---------------------------------------------------------------------------------------------

def on_plateau(level: float, *, n: int = 61, std: float = 4.0, at: tuple[int, int] = (30, 30)) -> Any:
    y, x = (np.arange(n) - c for c in at)
    map = np.exp(-(y[:, None]**2 + x**2) / (2 * std**2)) + level
    return ERF(map, origin=(0, 0), unit=(), trf=None, center=at, image=(n, n))


@pytest.mark.parametrize("at", [(30, 30), (12, 40), (30, 8)])
@pytest.mark.parametrize("level", [0.0, 0.01, 0.5])
def test_a_plateau_is_found_and_taken_away(level: float, at: tuple[int, int]) -> None:
    erf, bare = on_plateau(level, at=at), on_plateau(0.0, at=at)
    tail = float(np.quantile(bare.map, .9))  # what is not plateau, at most, among the far pixels
    assert level <= erf.background() <= level + tail
    above = erf.above_background(level)
    assert_close(above.map, bare.map, ROUNDING, scale=1.0)
    for kind in ("threshold", "half_max", "mass", "participation", "std", "area_ratio"):
        assert_close(above.size(kind), bare.size(kind), ROUNDING)
    assert (above.center, above.image, above.statistic) == (erf.center, erf.image, "power")
    assert above.method.endswith(f"above {level:.4g}")


def test_a_background_is_robust() -> None:
    """Against a bright tenth of the far pixels, dim borders, and noise."""
    erf, rng = on_plateau(0.1), np.random.default_rng(2)
    map = erf.map + 0.01 * rng.normal(size=erf.shape)
    map[0], map[-1], map[:, 0], map[:, -1] = 0, 0, 0, 0
    map[rng.random(map.shape) < 0.1] += 10
    spoilt = ERF(map, origin=(0, 0), unit=(), trf=None, center=(30, 30), image=(61, 61))
    bare = ERF(0.1 + 0.01 * rng.normal(size=(61, 61)), origin=(0, 0), unit=(), trf=None, center=(30, 30),
               image=(61, 61))
    spread = bare.background(.75) - bare.background(.25)  # of the noise
    assert abs(spoilt.background() - 0.1) < spread / 2
    assert bare.background(.05) < bare.background() < bare.background(.95)


def test_a_background_is_that_of_the_farthest_third() -> None:
    """Of 61 x 61 pixels the rings from 25 on: 1 - (49 / 61)^2 is above a third, 1 - (51 / 61)^2 below."""
    far = np.maximum(*map(np.abs, np.ogrid[-30:31, -30:31]))
    values = np.where(far < 25, .3, np.where(far == 25, .1, .2))
    erf = ERF(values, origin=(0, 0), unit=(), trf=None, center=(30, 30), image=(61, 61))
    assert [erf.background(q) for q in (0, .5, 1)] == [.1, .2, .2]


def test_a_background_is_of_what_the_unit_can_see() -> None:
    """Zeros of the image outside the TRF are none of it; on the plane the window is all there is."""
    inside = np.pad(on_plateau(0.2, n=19, std=1.0, at=(9, 9)).map, 21)
    trf = em.receptive_field(chain(9), ndim=2)
    for origin, image in (((0, 0), (61, 61)), ((-21, -21), None)):
        center = 30 if image else 9
        erf = ERF(inside, origin=origin, unit=(center,) * 2, trf=trf, image=image)
        assert_close(erf.background(), 0.2, ROUNDING, scale=1.0)
    with pytest.raises(ValueError, match="sees nothing of the image"):
        ERF(inside, origin=(0, 0), unit=(90, 90), trf=trf, image=(61, 61)).background()


def test_bad_backgrounds() -> None:
    erf = random_erf(2)
    for bad in (-.1, 1.5):
        with pytest.raises(ValueError, match=f"quantile={bad}"):
            erf.background(bad)
    with pytest.raises(ValueError, match="level='high'"):
        erf.above_background("high")
    with pytest.raises(ValueError, match="negative values"):
        field([1, -3, 5], (-1,), statistic="mean").above_background()


def test_squares_of_means_of_both_signs() -> None:
    """Sums that do not rise steadily: the first square and disc that reach the part."""
    erf = field([-1, 4, -1], (-1,), statistic="mean")
    assert erf.size("mass", p=1.0) == 1 == 2 * erf.mass_radius(1.0) + 1  # 4 of a sum of 2
    lines = [np.array([-.5, 2, -.5]), np.array([.25, .5, .25])]
    thin = ERF.of(Separable(lines, (-1, -1), 0.0), unit=(0, 0), trf=em.receptive_field(chain(1)), statistic="mean")
    dense = field(thin.map, (-1, -1), statistic="mean")
    for p in (.3, .9, 1.0):
        assert thin.mass_radius(p) == dense.mass_radius(p) and thin.size("mass", p=p) == dense.size("mass", p=p)
