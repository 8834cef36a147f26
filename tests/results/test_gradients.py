"""Fields from gradients of other programs: statistics, errors, centres, and what is refused."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, FFT, ROUNDING, assert_close, assert_statistical, draws_for, z_bound

import erfmath as em
from erfmath.results import gradients

Array = Any
of = em.EffectiveReceptiveField.from_gradients

SPACES = {1: (33,), 2: (21, 24), 3: (13, 14, 15)}


def bells(ndim: int, samples: int = 7, channels: int = 3, *, seed: int = 0, std: float = 1.5) -> Array:
    """Noise under a Gaussian of amplitude, well inside the image."""
    space = SPACES[ndim]
    std = min(std, 1.0) if ndim == 3 else std
    far = sum((x - n // 2)**2 for x, n in zip(np.ogrid[tuple(slice(n) for n in space)], space))
    return np.random.default_rng([seed, ndim]).normal(size=(samples, channels, *space)) * np.exp(-far / (4 * std**2))


# ---------------------------------------------------------------------------------------------
# statistics
# ---------------------------------------------------------------------------------------------

BY_HAND = {"power": lambda g: g * g, "magnitude": abs, "relu": lambda g: max(g, 0.0), "signed": lambda g: g}


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("statistic", BY_HAND)
def test_statistics_by_hand(statistic: str, ndim: int) -> None:
    grads = bells(ndim)
    with warnings.catch_warnings():
        if statistic == "signed":
            warnings.simplefilter("ignore")  # signed noise has little sum to compare its border with
        erf = of(grads, statistic=statistic)
    for pixel in [tuple(n // 2 for n in SPACES[ndim]), (0,) * ndim, (5,) * ndim]:
        values = [math.fsum(BY_HAND[statistic](float(g)) for g in sample[(slice(None), *pixel)]) for sample in grads]
        mean = math.fsum(values) / 7
        assert_close(erf.map[pixel], mean, ROUNDING, scale=max(map(abs, values)))
        error = math.sqrt(math.fsum((v - mean)**2 for v in values) / 42)
        assert_close(erf.stderr[pixel], error, ROUNDING)
    assert erf.statistic == ("mean" if statistic == "signed" else statistic)
    assert (erf.draws, erf.dead, erf.image, erf.origin) == (7, 0, SPACES[ndim], (0,) * ndim)
    assert erf.method == "gradients of 7 samples"


def test_samples_can_count_alike() -> None:
    grads = bells(2) * np.geomspace(1, 1e3, 7).reshape(7, 1, 1, 1)
    maps = (grads**2).sum(axis=1)
    assert_close(of(grads).map, maps.mean(axis=0), ROUNDING)
    alike = of(grads, normalise="sample")
    assert_close(alike.map, np.mean([m / m.sum() for m in maps], axis=0), ROUNDING)
    assert alike.method == "gradients of 7 samples, each normalised"
    grads[2] = 0
    dead = of(grads, normalise="sample")
    assert dead.dead == 1
    assert_close(dead.total, 6 / 7, ROUNDING)


@pytest.mark.parametrize("normalise", [None, "sample"])
def test_parts_change_nothing(normalise: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    grads = bells(2, 11)
    whole = of(grads, normalise=normalise)
    monkeypatch.setattr(gradients, "CHUNK_BYTES", 8 * 3 * 21 * 24 * 4)  # four samples at a time
    parts = of(grads, normalise=normalise)
    for name in ("map", "stderr", "share_stderr", "std_stderr", "std"):
        assert_close(getattr(parts, name), getattr(whole, name), ROUNDING, scale=float(np.max(getattr(whole, name))))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int32", "list"])
def test_any_kind_of_numbers(kind: str) -> None:
    grads = np.round(bells(2) * 100)
    given = grads.tolist() if kind == "list" else grads.astype(kind)
    assert_close(of(given).map, of(grads).map, EXACT)


def test_faint_single_precision_gradients_do_not_vanish() -> None:
    grads = bells(2).astype(np.float32) * np.float32(1e-30)  # squares below the range of float32
    assert_close(of(grads).std, of(grads.astype(float) * 1e30).std, ROUNDING)


def test_channels_last() -> None:
    grads = bells(2)
    last = np.moveaxis(grads, 1, -1)
    assert_close(of(last, channels="last").map, of(grads).map, ROUNDING)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        of(last)
    assert 'if the last axis is that of the channels, say channels="last"' in str(found[0].message)
    assert found[0].filename == __file__


def test_what_numpy_can_read_is_read() -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
            return bells(1)

    class OnDevice:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    assert_close(of(Tensor()).map, of(bells(1)).map, EXACT)
    with pytest.raises(ValueError, match=r"cuda:0 .*\.detach\(\)\.cpu\(\)\.numpy\(\)"):
        of(OnDevice())


# ---------------------------------------------------------------------------------------------
# errors
# ---------------------------------------------------------------------------------------------

def test_the_moments_of_known_noise() -> None:
    """Gaussian gradients of variance s^2 in C channels: C s^2, C s sqrt(2 / pi), half of that."""
    grads = bells(1, 400, 2, seed=1)
    variance = np.exp(-(np.arange(33) - 16)**2 / (2 * 1.5**2))
    expected = {"power": 2 * variance, "magnitude": 2 * np.sqrt(2 * variance / np.pi),
                "relu": np.sqrt(2 * variance / np.pi)}
    for statistic, map in expected.items():
        erf = of(grads, statistic=statistic)
        assert_statistical(erf.map[8:25], erf.stderr[8:25], map[8:25])
    erf = of(grads)
    assert_statistical(erf.std, erf.std_stderr, [1.5])


def test_standard_errors_are_those_of_the_scatter() -> None:
    """Of the std, over many repetitions."""
    found = [of(bells(1, 60, seed=seed)) for seed in range(draws_for(.1, math.sqrt(1 / 2)) * 4)]
    stds, errors = np.array([e.std[0] for e in found]), np.array([e.std_stderr[0] for e in found])
    ratio = stds.std(ddof=1)**2 / (errors**2).mean()
    # The variance of n values has a relative standard error of sqrt(2 / n), to first order.
    assert abs(ratio - 1) < z_bound(1) * math.sqrt(2 / len(found))


def test_one_sample_has_no_known_error() -> None:
    erf = of(bells(2, 1))
    assert np.isnan(erf.stderr).all() and np.isnan(erf.std_stderr).all() and np.isfinite(erf.std).all()


def test_theory_against_gradients_of_another_program() -> None:
    """One random layer, whose gradient is its kernel: laid into images by hand, and compared."""
    net = em.serial(em.Conv(5, 16, weights=em.Random(gain=1)))
    draws = 4000
    rng = np.random.default_rng(3)
    kernels = rng.normal(size=(draws, 16, 3, 5)) / math.sqrt(15)
    grads = np.zeros((draws, 3, 21))
    grads[:, :, 6:11] = np.einsum("dock,do->dck", kernels, rng.normal(size=(draws, 16)) / 4)
    theory = em.predict(net, image=21, unit=8, ndim=1)
    measured = of(grads, trf=theory.trf, unit=8)
    comparison = em.compare(theory, measured)
    assert comparison.agrees(tolerance=.1) and comparison.p_shape > 1e-4 and comparison.p_total > 1e-4
    wrong = of(np.roll(grads, 1, axis=2), trf=theory.trf, unit=8)
    assert em.compare(theory, wrong).p_shape < 1e-4
    with pytest.raises(ValueError, match=r"unit: \(8,\) and \(\)"):
        em.compare(theory, of(grads, unit_center=8))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_gradients_that_are_not_finite_are_named(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    grads = bells(2, 30)
    grads[3, 1, 4, 5], grads[17, 0, 0, 0] = bad, math.nan
    monkeypatch.setattr(gradients, "CHUNK_BYTES", 8 * 3 * 21 * 24 * 4)
    for statistic in BY_HAND:
        with pytest.raises(ValueError, match="not finite in 2 of 30 samples, counted from 0: 3, 17; leave"):
            of(grads, statistic=statistic)
    grads[5:] = bad
    with pytest.raises(ValueError, match="in 26 of 30 samples, counted from 0: 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, ...;"):
        of(grads)


@pytest.mark.parametrize("grads, options, message", [
    (np.ones((4, 5)), {}, r"grads: shape \(4, 5\) of float64"),
    (np.ones((1,) * 6), {}, "in 1 to 3 dimensions"), (np.ones((0, 3, 5)), {}, r"shape \(0, 3, 5\)"),
    (np.ones((2, 3, 5), complex), {}, "complex128"), ([["a"]], {}, "must be real numbers"),
    (bells(1), {"statistic": "mean"}, "statistic='mean': must be one of 'power', 'magnitude', 'relu', 'signed'"),
    (bells(1), {"normalise": "draw"}, "normalise='draw'"), (bells(1), {"channels": "middle"}, "channels='middle'"),
    (bells(1), {"normalise": "sample", "statistic": "signed"}, "may sum to zero"),
    (bells(1), {"unit_center": 40}, r"unit_center=\(40.0,\): lies outside"),
    (bells(2), {"unit_center": (1, 2, 3)}, "must have 2 values"), (bells(2), {"unit_center": "ab"}, "unit_center='ab'"),
    (bells(1), {"unit": 3}, "unit=3: says where only with a ReceptiveField"),
    (bells(1), {"trf": 8}, "would not begin on a pixel"), (bells(1), {"trf": 0}, "trf=0: must be at least 1"),
    (bells(2), {"trf": (3, 3, 3)}, "must have 2 values"),
    (bells(1), {"trf": em.receptive_field(em.zoo.plain(3))}, "trf: is of images of 2 axes"),
    (bells(2), {"trf": em.receptive_field(em.zoo.plain(3), image=32)}, r"size \(32, 32\)"),
])
def test_bad_arguments(grads: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of(grads, **options)


# ---------------------------------------------------------------------------------------------
# centres and theoretical fields
# ---------------------------------------------------------------------------------------------

def test_the_centre_is_the_middle_unless_given() -> None:
    grads = bells(2)
    assert of(grads).center == (10, 11.5)
    assert of(grads, unit_center=9).center == (9, 9) and of(grads, unit_center=(9.5, 12)).center == (9.5, 12)
    erf = of(grads)
    assert erf.window is None and erf.unit == () and erf.size("mass") > 0
    with pytest.raises(ValueError, match="give from_gradients trf="):
        erf.ratio()


def test_a_size_makes_a_field() -> None:
    erf = of(bells(2), trf=(9, 12), unit_center=(10, 12.5))
    assert erf.trf.size == (9, 12) and erf.center == (10, 12.5)
    assert erf.window == ((6, 7), (14, 18))
    assert_close(erf.ratio(), erf.size() / math.sqrt(9 * 12), ROUNDING)
    assert of(bells(2), trf=9, unit_center=10).trf.size == (9, 9)


@pytest.mark.parametrize("n", [64, 96, 97, 256])
@pytest.mark.parametrize("name", ["resnet18", "vgg11", "unet", "alexnet", "mobilenet_v1", "mobilenet_v2", "googlenet"])
def test_the_default_unit_is_that_of_the_middle_of_the_output(name: str, n: int) -> None:
    """output[:, :, h // 2, w // 2], the rule of `predict`."""
    net = em.zoo.build(name)
    n = n - n % 2 if name == "unet" else n
    shape, trf = net.shapes((n, n))[net.output], em.receptive_field(net, image=n)
    grads = np.zeros((1, 1, n, n))
    grads[0, 0, n // 2, n // 2] = 1
    erf = of(grads, trf=trf)
    assert erf.unit == tuple(m // 2 for m in shape) and erf.center == trf.center(erf.unit)


def test_units_and_centres_must_agree() -> None:
    trf = em.receptive_field(em.zoo.resnet18(), image=224)
    grads = np.zeros((2, 3, 224, 224))
    grads[:, :, 90:100, 90:100] = 1
    for options in ({}, {"unit": 3}, {"unit_center": 96}, {"unit": (3, 3), "unit_center": (96, 96)}):
        erf = of(grads, trf=trf, **options)
        assert erf.unit == (3, 3) and erf.center == (96, 96) and erf.node == trf.node
    assert of(grads, trf=trf, unit=(3, 4)).center == (96, 128)
    for options in ({"unit_center": 112}, {"unit": 4, "unit_center": 96}):
        with pytest.raises(ValueError, match=r"unit \([34], [34]\) is centred at"):
            of(grads, trf=trf, **options)
    pooled = em.receptive_field(em.serial(em.Conv(3), em.GlobalAvgPool()), image=224)
    assert of(grads, trf=pooled).center == (111.5, 111.5)


# ---------------------------------------------------------------------------------------------
# the border
# ---------------------------------------------------------------------------------------------

def test_a_map_that_reaches_the_border_is_reported_where_it_was_made() -> None:
    grads = bells(2, std=8.0)
    with pytest.warns(UserWarning, match="reaches the border of the image: its mean over the (first|last) pixels of "
                                         r"axis 0 is \d+% of that over the image, more than 5%") as found:
        of(grads)
    assert found[0].filename == __file__


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("end", [0, -1])
def test_every_face_is_looked_at(axis: int, end: int) -> None:
    grads = bells(2, std=1.0)
    face: list[Any] = [slice(None)] * 4
    face[2 + axis] = end
    part = gradients.BORDER * (grads**2).sum() / grads[tuple(face)].size  # a face exactly at the limit
    for factor, reported in ((.9, False), (1.2, True)):
        more = grads.copy()
        more[tuple(face)] = math.sqrt(factor * part * grads[0, 0][tuple(face[2:])].size / (21 * 24))
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            erf = of(more)
        name, ratio = gradients.reaches_border(erf)
        assert bool(found) == reported == (ratio > gradients.BORDER)
        assert name == f"the {'first' if end == 0 else 'last'} pixels of axis {axis}"


def test_nothing_reaches_no_border() -> None:
    erf = of(np.zeros((2, 3, 5, 5)))
    assert erf.dead == 2 and erf.total == 0
    with pytest.raises(ValueError, match="sum zero"):
        erf.share


def test_the_limit_of_the_border_in_standard_deviations() -> None:
    """A Gaussian of the docs: 6 std of image are enough, 5 are not."""
    for width, reported in ((6, False), (5, True)):
        std = 20.0
        n = int(width * std)
        line = np.exp(-(np.arange(n) - (n - 1) / 2)**2 / (4 * std**2))
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            of(np.outer(line, line)[None, None])
        assert bool(found) == reported


@pytest.mark.parametrize("statistic", BY_HAND)
def test_fields_of_gradients_are_saved_and_come_back(in_tmp: Any, statistic: str) -> None:
    erf = of(np.abs(bells(2)), trf=9, unit_center=(10, 12), statistic=statistic)
    erf.save("grads.npz")
    back = em.EffectiveReceptiveField.load("grads.npz")
    assert_close(back.map, erf.map, EXACT)
    assert_close(back.stderr, erf.stderr, EXACT)
    assert_close(back.std_stderr, erf.std_stderr, EXACT)
    assert back.center == (10, 12) and back.window == erf.window
    assert (back.method, back.statistic) == (erf.method, erf.statistic)


def test_a_box_of_gradients() -> None:
    """Closed forms: equal gradients on m x m pixels."""
    grads = np.zeros((1, 1, 41, 41))
    grads[:, :, 15:26, 15:26] = -3
    for statistic in ("power", "magnitude"):
        erf = of(grads, statistic=statistic)
        assert_close(erf.std, np.full(2, math.sqrt(10)), FFT)
        assert erf.size("mass", p=1.0) == 11
        assert_close([erf.size(), erf.size("participation")], [11.0, 121.0], ROUNDING)
    assert of(grads, statistic="relu").total == 0 and of(grads, statistic="signed").total == -363
