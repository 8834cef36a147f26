"""Scores of shape against closed forms, sums over single pixels, and laws that all of them obey."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from fields import ERF, bell, chain, field, flat, gaussian_like, pixels, random_erf, seen, variants
from helpers import EXACT, ROUNDING, assert_close, assert_rate

import erfmath as em
from erfmath.base import errors
from erfmath.base.errors import SizeError
from erfmath.results import fit as fits, shapes

Array = Any


# ---------------------------------------------------------------------------------------------
# laws
# ---------------------------------------------------------------------------------------------

# Coordinates are taken from the true centre, and directions without their sign.
SCORES: dict[str, Any] = {
    "fit": lambda e: (lambda f: f._replace(center=f.center - e.center))(e.gaussian_fit()),
    "fit with offset": lambda e: (lambda f: f._replace(center=f.center - e.center))(e.gaussian_fit(offset=True)),
    "kurtosis": shapes.kurtosis, "rings": shapes.radial_profile, "distance": shapes.gaussian_distance,
    "anisotropy": lambda e: (lambda a: a._replace(axes=a.axes**2))(shapes.anisotropy(e)),
    "holes": shapes.hole_density, "periodicity": shapes.periodicity,
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_laws_of_scores(name: str, ndim: int) -> None:
    """Unchanged by g -> c g, by zeros stored around, and by a shift of everything."""
    score, erf = SCORES[name], gaussian_like(ndim)
    value = flat(score(erf))
    # The iterations of a fit end where its progress drowns in rounding, whose size the scale changes.
    kinds = ("doubled", "wider") if name.startswith("fit") else variants(erf)
    for what in kinds:
        moved = 3 if name in ("periodicity", "rings", "distance") else 0
        assert_close(flat(score(variants(erf)[what])), value, ROUNDING, scale=10.0**moved)


@pytest.mark.parametrize("name", SCORES)
def test_lines_and_maps_have_equal_scores(name: str) -> None:
    net = em.serial(em.Conv(4, padding=1, weights=em.Random(profile=[1, 2, 3, 5])),
                    em.Conv(3, stride=2), em.Conv(3), em.Conv(2, padding=(0, 1)))
    thin = em.predict(net, unit=(3, -1))
    dense = ERF(thin.map, origin=thin.origin, unit=thin.unit, trf=thin.trf)
    assert thin.density.is_product and not dense.density.is_product
    exact = 10.0 if name.startswith("fit") else 1.0
    assert_close(flat(SCORES[name](thin)), flat(SCORES[name](dense)), ROUNDING, scale=exact)


def test_scores_of_deep_chains_build_no_whole_map(monkeypatch: pytest.MonkeyPatch) -> None:
    erf = em.predict(em.repeat(em.Conv(3, weights=em.Random(gain=1)), 1000))
    monkeypatch.setattr(errors, "MEMORY_LIMIT", 8 * 2001**2 // 4)
    with pytest.raises(SizeError):
        erf.map
    assert_close(shapes.kurtosis(erf).joint, 2 * -1.5 / 1000, ROUNDING, scale=1)
    assert shapes.gaussian_distance(erf).total_variation < 1e-3 and shapes.hole_density(erf) == 0
    assert shapes.periodicity(erf, [2])[2].joint < shapes.gaussian_distance(erf).total_variation
    assert shapes.anisotropy(erf).ratio == 1 and shapes.radial_profile(erf, reach=100).within[-1] < 1


@pytest.mark.parametrize("score", [shapes.gaussian_fit, shapes.anisotropy, shapes.gaussian_distance,
                                   shapes.periodicity])
def test_means_of_both_signs_are_refused(score: Any) -> None:
    with pytest.raises(ValueError, match="use the power, or the magnitude"):
        score(field([[1, -3, 1]], (0, -1), statistic="mean"))


# ---------------------------------------------------------------------------------------------
# kurtosis, rings, axes
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_kurtosis_by_brute_force(ndim: int) -> None:
    erf = random_erf(ndim)
    share = pixels(erf)
    inverse = np.linalg.inv(erf.covariance)
    square = {x: float((np.array(x) - erf.centroid) @ inverse @ (np.array(x) - erf.centroid)) for x in share}
    assert_close(shapes.kurtosis(erf).joint, math.fsum(p * square[x]**2 for x, p in share.items()) - ndim * (ndim + 2),
                 ROUNDING, scale=10)
    fourth = [math.fsum(p * (x[a] - erf.centroid[a])**4 for x, p in share.items()) for a in range(ndim)]
    assert_close(shapes.kurtosis(erf).axes, np.array(fourth) / np.diag(erf.covariance)**2 - 3, ROUNDING, scale=10)


def test_kurtosis_of_known_fields() -> None:
    n = 9  # a flat line of n pixels: -6 (n^2 + 1) / (5 (n^2 - 1))
    line = -6 * (n**2 + 1) / (5 * (n**2 - 1))
    assert_close(shapes.kurtosis(field(np.ones((n, n)), (0, 0))).axes, [line, line], ROUNDING)
    assert_close(shapes.kurtosis(field(np.ones((n, n)), (0, 0))).joint, 2 * line, ROUNDING, scale=10)
    assert_close(shapes.kurtosis(seen(bell(2, 30))).joint, 0.0, ROUNDING, scale=10)
    one = shapes.kurtosis(field([[1, 1]], (0, 0)))
    assert math.isnan(one.axes[0]) and one.axes[1] == -2 and math.isnan(one.joint)


@pytest.mark.parametrize("ndim, k", list(itertools.product((1, 2, 3), (3, 2))))
@pytest.mark.parametrize("width", [1.0, 1.5])
def test_rings_by_brute_force(ndim: int, k: int, width: float) -> None:
    erf = random_erf(ndim, k=k)
    share, rings = pixels(erf), shapes.radial_profile(erf, width=width)
    plane = itertools.product(range(-8, 9), repeat=ndim)  # on the plane, zeros count
    by_ring: dict[int, list[tuple[float, float]]] = {}
    for x in plane:
        far = math.dist(x, erf.center)
        by_ring.setdefault(math.floor(far / width + .5), []).append((far, share.get(x, 0.0)))
    pairs = [by_ring[j] for j in sorted(by_ring)][:len(rings.radius)]
    assert_close(rings.pixels, [len(pair) for pair in pairs], EXACT)
    assert_close(rings.radius, [np.mean([far for far, _ in pair]) for pair in pairs], ROUNDING)
    assert_close(rings.share, [np.mean([p for _, p in pair]) for pair in pairs], ROUNDING, scale=1)
    assert_close(rings.within[-1], 1.0, ROUNDING)


def test_rings_of_an_image_hold_its_pixels_only() -> None:
    erf = seen(np.ones((9, 9)), center=(0, 0))
    rings = shapes.radial_profile(erf)
    assert_close(rings.share, np.full(len(rings.share), 1 / 81), ROUNDING)
    assert rings.pixels.sum() == 81
    assert shapes.radial_profile(erf, reach=0).pixels.tolist() == [1]
    for bad in ({"width": 0}, {"reach": -1}, {"width": math.nan}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            shapes.radial_profile(erf, **bad)


@pytest.mark.parametrize("angle", [-89.0, -45.0, -10.0, 0.0, 30.0, 90.0])
def test_anisotropy_finds_axes_and_angle(angle: float) -> None:
    turn = math.radians(angle)
    along = np.array([math.sin(turn), math.cos(turn)])  # (y, x), y downwards
    across = np.array([math.cos(turn), -math.sin(turn)])
    covariance = 36 * np.outer(along, along) + 9 * np.outer(across, across)
    found = shapes.anisotropy(seen(bell(2, 60, covariance=covariance, center=np.zeros(2))))
    assert_close([found.ratio, *found.std], [2, 6, 3], ROUNDING, scale=10)
    assert_close(found.angle, angle, ROUNDING, scale=1000)
    assert_close(abs(along @ found.axes[:, 0]), 1.0, ROUNDING)


@pytest.mark.parametrize("bit", [-1e-15, 0.0, 1e-15])
def test_the_last_bit_chooses_no_axis_of_a_round_field(bit: float) -> None:
    cross = field([[0, 1 + bit, 0], [1, 2, 1], [0, 1 + bit, 0]], (-1, -1))
    assert shapes.anisotropy(cross).axes.tolist() == [[1, 0], [0, 1]]


def test_anisotropy_of_round_fields_and_lines() -> None:
    disc = shapes.anisotropy(em.predict(chain(5)))
    assert disc.ratio == 1 and math.isnan(disc.angle)
    line = shapes.anisotropy(field([[1, 2, 1]], (0, -1)))
    assert line.ratio == math.inf and line.angle == 0
    diagonal = shapes.anisotropy(field(np.eye(5), (0, 0)))
    assert diagonal.ratio == math.inf
    assert_close(diagonal.angle, 45.0, ROUNDING)
    assert math.isnan(shapes.anisotropy(field([[1]], (0, 0))).ratio)
    assert shapes.anisotropy(em.predict(chain(5), ndim=1)).ratio == 1
    box = shapes.anisotropy(em.predict(em.repeat(em.Conv((7, 5, 3)), 2)))
    assert_close(box.std**2, [8, 4, 4 / 3], ROUNDING)
    assert_close(np.abs(box.axes), np.eye(3), ROUNDING)


# ---------------------------------------------------------------------------------------------
# holes and checkerboards
# ---------------------------------------------------------------------------------------------

def test_holes() -> None:
    map = np.zeros((9, 9))
    map[1:8:2, 2:7] = 1
    assert_close(shapes.hole_density(field(map, (-4, -4))), 3 / 7, ROUNDING)
    assert shapes.hole_density(field(map + 1e-12, (-4, -4))) == 0
    assert_close(shapes.hole_density(field(map + 1e-12, (-4, -4)), level=.01), 3 / 7, ROUNDING)
    with pytest.raises(ValueError, match="sees nothing"):
        shapes.hole_density(field(np.zeros((3, 3)), (0, 0)))
    with pytest.raises(ValueError, match="level=1"):
        shapes.hole_density(field(map, (0, 0)), level=1)


def test_holes_are_those_of_the_support() -> None:
    net = em.serial(em.Conv(3, dilation=2), em.Conv(1, stride=3), em.Conv(3))
    assert_close(1 - shapes.hole_density(em.predict(net)), em.support(net).density, ROUNDING)


@pytest.mark.parametrize("period", [2, 3, 4])
def test_periodicity_of_a_wide_field_on_one_phase(period: int) -> None:
    """Strength 1 at its period; at the double one half the phases are empty, not all but one."""
    tall = em.predict(em.serial(em.Conv(1, stride=(period, 1)), em.repeat(em.Conv(3), 30)))
    found = shapes.periodicity(tall, [period, 2 * period, 5])
    assert_close(found[period].axes, [1, 0], ROUNDING, scale=1e6)
    assert_close(found[period].joint, (1 - 1 / period) / (1 - period**-2), ROUNDING, scale=1e6)
    assert_close(found[2 * period].axes[0], (1 - 1 / period) / (1 - 1 / (2 * period)), ROUNDING, scale=1e10)
    assert found[5].joint < .01


def test_periodicity_of_parts() -> None:
    """A plain field mixed with one on the even sites: the strength is the mixing weight."""
    wide = bell(1, 60, covariance=np.array([[100.0]]), center=np.zeros(1))
    for weight in (0.0, .25, .7):
        line = (1 - weight) * wide / wide.sum()
        line[::2] += weight * wide[::2] / wide[::2].sum()
        assert_close(shapes.periodicity(seen(line), [2])[2].axes, [weight], ROUNDING, scale=1e6)


def test_diagonal_checkerboards_show_in_the_joint_strength() -> None:
    map = bell(2, 40, covariance=49 * np.eye(2), center=np.zeros(2))
    map[np.add(*np.indices(map.shape)) % 2 == 1] = 0
    found = shapes.periodicity(seen(map), [2])[2]
    assert_close(found.axes, [0, 0], ROUNDING, scale=1e6)
    assert_close(found.joint, 2 / 3, ROUNDING, scale=1e6)


def test_narrow_fields_have_no_pattern() -> None:
    one = shapes.periodicity(field([[0, 1, 0]], (0, 0)))
    assert_close(flat(one), np.zeros(3 * len(one)), ROUNDING, scale=1)
    narrow = shapes.periodicity(seen(bell(2, 15, covariance=2 * np.eye(2), center=np.zeros(2))), [2, 8])
    assert_close(flat(narrow), np.zeros(6), ROUNDING, scale=1)
    for bad in (1, 2.5):
        with pytest.raises(ValueError, match="periods="):
            shapes.periodicity(random_erf(2), [bad])


# ---------------------------------------------------------------------------------------------
# the Gaussian of the central limit theorem
# ---------------------------------------------------------------------------------------------

def test_a_gaussian_is_at_no_distance() -> None:
    for erf in (seen(bell(2, 30)), field([[1]], (3, 3))):
        assert_close(flat(shapes.gaussian_distance(erf)), np.zeros(3), ROUNDING, scale=1)


def test_distance_of_a_pair_of_pixels() -> None:
    """Two pixels n apart against the Gaussian of variance n^2 / 4 on the line, by hand."""
    n = 8
    x = np.arange(-60, 61)
    q = np.exp(-(x - n / 2)**2 / (2 * n**2 / 4))
    q /= q.sum()
    p = np.where((x == 0) | (x == n), .5, 0)
    found = shapes.gaussian_distance(field([1, *[0] * (n - 1), 1], (0,)))
    assert_close(list(found), [abs(p - q).sum() / 2, abs(p - q).max(), abs(p - q).max() / q.max()], ROUNDING)


def test_share_that_is_out_of_reach_of_the_gaussian_counts() -> None:
    """One per cent at a distance of ten standard deviations."""
    map = np.zeros(201)
    map[[0, 200]] = .99, .01
    x, p = np.arange(-400, 601), np.pad(map, 400)
    mean, variance = 2.0, 200**2 * .99 * .01
    q = np.exp(-(x - mean)**2 / (2 * variance))
    found = shapes.gaussian_distance(field(map, (0,)))
    assert_close(found.total_variation, abs(p - q / q.sum()).sum() / 2, ROUNDING)


@pytest.mark.parametrize("ndim", [1, 2])
def test_chains_come_to_the_gaussian_like_one_over_n(ndim: int) -> None:
    depths = [10, 20, 40, 80]
    found = [shapes.gaussian_distance(em.predict(chain(n), ndim=ndim)) for n in depths]
    assert_rate(depths, [f.total_variation for f in found], 1)
    assert_rate(depths, [f.relative_sup for f in found], 1)


def test_distances_are_within_the_bounds_of_the_walk() -> None:
    """The certified errors of method "normal" hold for what is measured here."""
    walk = em.walk(em.kernels.uniform(3), 20, method="normal")
    found = shapes.gaussian_distance(em.predict(chain(20), ndim=1))
    assert 0 < found.total_variation <= walk.errors["total_variation"]
    assert 0 < found.sup <= walk.errors["sup"]


def test_a_field_cut_by_the_border_is_compared_with_the_whole_gaussian() -> None:
    half = bell(1, 40, covariance=np.array([[64.0]]), center=np.zeros(1))[40:]
    assert shapes.gaussian_distance(seen(half)).total_variation > .05
    assert fits.around(seen(half), 8.0)[0][0] < 0
