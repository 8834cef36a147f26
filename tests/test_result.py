"""Effective receptive fields and their sizes against sums over single pixels."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath import errors, sizes
from erfmath.errors import SizeError
from erfmath.theory.assumptions import Assumption
from helpers import EXACT, ROUNDING, assert_close

Array = Any
ERF = em.EffectiveReceptiveField


def chain(n: int = 3, k: int = 3, **options: Any) -> em.Network:
    return em.serial(*[em.Conv(k, weights=em.Random(gain=1), **options)] * n)


def field(values: Any, origin: tuple[int, ...], *, unit: tuple[int, ...] | None = None, k: int = 3,
          **options: Any) -> Any:
    """An ERF with a true centre at `unit` (odd k) or half a pixel before it (even k)."""
    array = np.asarray(values, dtype=float)
    unit = (0,) * array.ndim if unit is None else unit
    trf = em.receptive_field(chain(1, k, padding=k // 2), ndim=array.ndim)
    return ERF(array, origin=origin, unit=unit, trf=trf, **options)


SHAPES = {1: (9,), 2: (6, 9), 3: (4, 5, 6)}
ORIGINS = {1: (-3,), 2: (-2, -5), 3: (-1, -2, -3)}


def random_erf(ndim: int, seed: int = 0, **options: Any) -> Any:
    """Full-rank values: nothing separates."""
    return field(np.random.default_rng([seed, ndim]).random(SHAPES[ndim]), ORIGINS[ndim], **options)


def pixels(erf: Any) -> dict[tuple[int, ...], float]:
    """Share by pixel."""
    total = math.fsum(erf.map.ravel())
    return {tuple(o + i for o, i in zip(erf.origin, index)): erf.map[index] / total
            for index in np.ndindex(*erf.shape)}


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
# sizes
# ---------------------------------------------------------------------------------------------

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
    side = math.prod(erf.trf.size)**(1 / ndim)
    assert_close(erf.ratio("mass", p=.5), erf.size("mass", p=.5) / side, ROUNDING)


ALL_SIZES: dict[str, Any] = {
    "threshold": lambda e: e.size(), "threshold of max": lambda e: e.size(reference="max"),
    "half_max": lambda e: e.size("half_max"), "std": lambda e: e.size("std"),
    "mass": lambda e: e.size("mass"), "mass of half": lambda e: e.size("mass", p=.5),
    "participation": lambda e: e.size("participation"), "radius": lambda e: e.mass_radius(.7),
    "rms": lambda e: e.rms_radius, "ratio": lambda e: e.ratio(),
}


def test_every_kind_is_covered() -> None:
    assert set(sizes.KINDS) <= set(ALL_SIZES)


@pytest.mark.parametrize("name", ALL_SIZES)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_laws_of_sizes(name: str, ndim: int) -> None:
    """Unchanged by g -> c g, by zeros stored around, and by a shift of everything."""
    size = ALL_SIZES[name]
    erf = random_erf(ndim)
    value = size(erf)
    for factor in (4.0, 1e-200, 1e200):
        assert_close(size(field(erf.map * factor, erf.origin)), value, ROUNDING)
    wider = field(np.pad(erf.map, (3, 2)), tuple(o - 3 for o in erf.origin))
    assert_close(size(wider), value, ROUNDING)
    moved = field(erf.map, tuple(o + 70 for o in erf.origin), unit=(70,) * ndim)
    assert_close(size(moved), value, ROUNDING)
    assert_close(np.subtract(moved.centroid, 70), erf.centroid, ROUNDING, scale=70)


def gaussian(n: int, std: float) -> Array:
    return np.exp(-np.arange(-n, n + 1)**2 / (2 * std**2))


def test_threshold_of_a_wide_gaussian() -> None:
    """4.406 standard deviations of the amplitude; exactly the lattice points of a disc."""
    std, n = 100.0, 300
    line = gaussian(n, std / math.sqrt(2))
    trf = em.receptive_field(chain(n), ndim=2)
    erf = ERF.separable([line / line.sum()] * 2, 0.0, origin=(-n, -n), unit=(0, 0), trf=trf,
                        statistic="power", method="exact")
    square = 2 * std**2 * math.log(1 / sizes.LEVEL)
    inside = sum(x * x + y * y < square for x in range(-n, n + 1) for y in range(-n, n + 1))
    assert round(erf.size()**2) == inside and round(erf.size() / std, 3) == 4.406


@pytest.mark.parametrize("kind, options, message", [
    ("area", {}, "kind='area'"), ("threshold", {"level": 0}, "level=0.0: must lie between 0 and 1"),
    ("threshold", {"level": 1}, "level=1.0"), ("threshold", {"level": "high"}, "level='high'"),
    ("threshold", {"reference": "corner"}, "reference='corner'"), ("mass", {"p": 0}, "p=0.0"),
    ("mass", {"p": 1.5}, "p=1.5"), ("mass", {"p": math.nan}, "p=nan")])
def test_bad_sizes(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_erf(2).size(kind, **options)
    with pytest.raises(ValueError, match="p=2.0"):
        random_erf(2).mass_radius(2)


# ---------------------------------------------------------------------------------------------
# two representations
# ---------------------------------------------------------------------------------------------

def both(statistic: str, k: int = 4) -> tuple[Any, Any]:
    """One field of a chain, as lines and as a map."""
    weights: Any = em.Random(gain=1.5, profile=[1, 2, 3, 5][:k]) if statistic == "power" else em.Constant()
    net = em.serial(em.Conv(k, padding=1, weights=weights), em.Conv(2, stride=2, padding=(0, 1), weights=weights
                                                                    if statistic == "mean" else em.Random(gain=2)))
    thin = em.predict(net, unit=(3, -1))
    return thin, ERF(thin.map, origin=thin.origin, unit=thin.unit, trf=thin.trf, statistic=statistic)


@pytest.mark.parametrize("statistic", ["power", "mean"])
@pytest.mark.parametrize("k", [3, 4])
def test_lines_and_maps_give_equal_numbers(statistic: str, k: int) -> None:
    thin, dense = both(statistic, k)
    assert thin._lines is not None and dense._lines is None and thin.statistic == statistic
    for name in ("map", "share", "amplitude", "total", "std", "covariance", "centroid", "center", "rms_radius"):
        assert_close(getattr(thin, name), getattr(dense, name), ROUNDING, scale=1)
    for axis in range(2):
        assert_close(thin.profile(axis), dense.profile(axis), ROUNDING)
        assert_close(thin.cut(axis), dense.cut(axis), ROUNDING)
    for lo, hi in ((-20, 20), (2, 5), ((4, -3), (6, 0))):
        assert_close(both(statistic, k)[0].crop(lo, hi), dense.crop(lo, hi), ROUNDING)
    for name, size in ALL_SIZES.items():
        assert_close(size(thin), size(dense), ROUNDING)
    assert repr(thin) == repr(dense) and thin.shape == dense.shape


def test_lines_count_pixels_as_maps_do() -> None:
    """Thresholds at random levels, in 1 to 3 dimensions."""
    rng = np.random.default_rng(8)
    for ndim in (1, 2, 3):
        lines = [rng.random(int(n)) for n in rng.integers(3, 9, ndim)]
        lines = [line / line.sum() for line in lines]
        dense = field(math.prod(np.ix_(*lines)), (-1,) * ndim)
        thin = ERF.separable(lines, 0.0, origin=(-1,) * ndim, unit=(0,) * ndim, trf=dense.trf,
                             statistic="power", method="exact")
        for level, reference in itertools.product(rng.random(20), ("center", "max")):
            assert_close(thin.size(level=level, reference=reference),
                         dense.size(level=level, reference=reference), ROUNDING)


def test_lines_with_zeros_count_none_of_them() -> None:
    thin = em.predict(em.serial(em.Conv(1, stride=3), em.Conv(3, weights=em.Random(gain=1))))
    assert thin.shape == (7, 7) and round(thin.size()**2) == 9
    assert_close(thin.size("participation"), 9.0, ROUNDING)


# ---------------------------------------------------------------------------------------------
# the Gaussian that fits best
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_gaussian_fit_finds_a_gaussian(ndim: int) -> None:
    covariance = np.array([[5.0, 1.5, -.5], [1.5, 3.0, .7], [-.5, .7, 4.0]])[:ndim, :ndim]
    center = np.array([0.3, -1.2, 0.6])[:ndim]
    n = {1: 30, 2: 14, 3: 9}[ndim]
    sites = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * ndim, indexing="ij"), -1) - center
    values = np.exp(-np.einsum("...a,ab,...b", sites, np.linalg.inv(covariance), sites) / 2)
    fit = field(7 * values, (-n,) * ndim).gaussian_fit()
    assert_close(fit.center, center, ROUNDING)
    assert_close(fit.covariance, covariance, ROUNDING)
    assert_close(fit.height, 1 / values.sum(), ROUNDING)
    assert_close(fit.r_squared, 1.0, ROUNDING)


def test_gaussian_fit_of_what_is_none() -> None:
    one = field([[0, 0, 0], [0, 1, 0], [0, 0, 0]], (-1, -1)).gaussian_fit()
    assert_close(one.center, [0, 0], ROUNDING, scale=1)
    fit = random_erf(2).gaussian_fit()
    assert 0 <= fit.r_squared < 1 and np.linalg.eigvalsh(fit.covariance).min() > 0


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
    assert erf.method == "exact" and all(isinstance(a, Assumption) for a in erf.assumptions)
    assert repr(erf).startswith("<EffectiveReceptiveField of max_pool1 unit (2, 1): power, std (")


# ---------------------------------------------------------------------------------------------
# files
# ---------------------------------------------------------------------------------------------

def saved() -> dict[str, Any]:
    return {
        "lines": em.predict(chain(4, stride=2), unit=(3, -1)),
        "beyond floats": em.predict(em.repeat(em.Conv(3), 2_000), ndim=1),
        "image": em.predict(em.serial(em.Conv(3), em.MaxPool(2), em.Upsample(2)), image=(9, 8)),
        "stderr": random_erf(3, stderr=np.full(SHAPES[3], .5), method="draws", statistic="mean"),
    }


@pytest.mark.parametrize("name", saved())
def test_saved_fields_come_back(name: str, in_tmp: Path) -> None:
    erf = saved()[name]
    erf.save("field.npz")
    back = ERF.load("field.npz")
    for key in ("origin", "unit", "image", "node", "ndim", "shape", "statistic", "method", "assumptions", "center"):
        assert getattr(back, key) == getattr(erf, key), key
    assert back.trf == erf.trf and back.trf.window((5,) * erf.ndim) == erf.trf.window((5,) * erf.ndim)
    assert (back._lines is None) == (erf._lines is None)
    assert_close(back.share, erf.share, EXACT)
    assert_close(back.std, erf.std, EXACT)
    if name != "beyond floats":
        assert_close(back.map, erf.map, EXACT)
    if erf.stderr is None:
        assert back.stderr is None
    else:
        assert_close(back.stderr, erf.stderr, EXACT)
    with np.load("field.npz", allow_pickle=False) as arrays:  # plain arrays, no pickles
        assert all(array.dtype.kind in "fu" for array in arrays.values())
    assert [path.name for path in in_tmp.iterdir()] == ["field.npz"]


def test_garbage_is_refused(in_tmp: Path) -> None:
    np.savez("other.npz", map=np.ones(3))
    np.save("array.npy", np.ones(3))
    (in_tmp / "text.npz").write_text("not a field")
    (in_tmp / "empty.npz").write_bytes(b"")
    for name in ("other.npz", "array.npy", "text.npz", "empty.npz"):
        with pytest.raises(ValueError, match=f"{name}: not an effective receptive field"):
            ERF.load(name)
    with pytest.raises(FileNotFoundError):
        ERF.load("nowhere.npz")


def test_damaged_files_are_refused_or_read_as_they_were(in_tmp: Path) -> None:
    erf = random_erf(2)
    erf.save("field.npz")
    data, rng = (in_tmp / "field.npz").read_bytes(), random.Random(1)
    refused = 0
    for trial in range(300):
        broken = bytearray(data)
        if trial % 3 == 0:
            broken = broken[:rng.randrange(len(data))]
        else:
            broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (in_tmp / "broken.npz").write_bytes(broken)
        try:
            assert_close(ERF.load("broken.npz").map, erf.map, EXACT)
        except ValueError as error:
            assert str(error).startswith("broken.npz: not an effective")
            refused += 1
    assert refused > 200


def test_a_failed_save_leaves_nothing(in_tmp: Path) -> None:
    with pytest.raises(FileNotFoundError):
        random_erf(2).save("nowhere/field.npz")
    assert not list(in_tmp.iterdir())


def test_parts_that_would_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    thin = em.predict(chain(20), ndim=2)
    monkeypatch.setattr(errors, "MEMORY_LIMIT", 10_000)
    with pytest.raises(SizeError, match=f"{8 * 41**2} bytes"):
        thin.map
    with pytest.raises(SizeError, match=f"{8 * 101**2} bytes"):
        thin.crop(-50, 50)
    assert thin.crop(-1, 1).shape == (3, 3)
