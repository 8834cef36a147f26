"""Comparisons: calibrated where there is no difference, and not blind where there is one."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, STATISTICAL, assert_close, z_bound
from scipy.stats import f as f_distribution, kstest, t as t_distribution

import erfmath as em
from erfmath.comparison import Comparison, Estimate, compare
from erfmath.empirics.plan import Chunk, make_plan
from erfmath.empirics.sampling import seed_entropy
from erfmath.networks.settings import RunSettings
from erfmath.results.measured import MeasuredReceptiveField

C = em.Conv
LEVEL = 0.01


def skip(gain: float = 1.0, scale: float = 0.5) -> em.Network:
    """Two residual blocks of unlike kernels; `gain` belongs to one layer of the second."""
    def block(kernel: int, gain: float) -> em.Network:
        return em.residual(em.serial(C(kernel, 4, weights=em.Random(gain=gain)), em.Scale(scale)))
    return em.serial(C(1, 4, weights=em.Random(gain=1)), block(3, 1.0), block(9, gain))


def predicted(gain: float = 1.0, scale: float = 0.5) -> em.EffectiveReceptiveField:
    return em.predict(skip(gain, scale), ndim=1, width=4)


ARGUMENTS = dict(settings=RunSettings(1, unit=(0,), width=4), statistic="power", entropy=seed_entropy(0),
                 normalise=False, images=None, channel=None, batch=None, dtype=None)


@functools.cache
def ensembles(count: int, draws: int) -> list[MeasuredReceptiveField]:
    """Independent ensembles of the skip network: disjoint draws of one seed."""
    net = skip()
    trf = em.receptive_field(net, ndim=1)
    lo, hi = trf.window()
    plan = make_plan(net, **ARGUMENTS)
    return [MeasuredReceptiveField(plan.moments(Chunk(i * draws, ((i + 1) * draws,)))[0], plan.program.backward, seed=0,
                                   statistic="power", origin=lo, shape=(hi[0] - lo[0] + 1,), unit=(0,), trf=trf,
                                   method="measured") for i in range(count)]


@functools.cache
def comparisons() -> list[Comparison]:
    return [compare(predicted(), measured) for measured in ensembles(400, 300)]


# -- calibration ------------------------------------------------------------------------------

def refuses(p_values: list[float], level: float = 0.05) -> float:
    """How much more often than `level` says p values lie below it, in standard errors."""
    return (np.mean(np.array(p_values) < level) - level) / math.sqrt(level * (1 - level) / len(p_values))


@pytest.mark.slow
def test_p_shape_is_uniform_where_there_is_no_difference() -> None:
    runs = ensembles(400, 300)
    pairs = [compare(a, b) for a, b in zip(runs[::2], runs[1::2])]
    for found in (comparisons(), pairs):
        assert kstest([c.p_shape for c in found], "uniform").pvalue > STATISTICAL


@pytest.mark.slow
def test_p_total_refuses_true_theories_no_more_often_than_it_says() -> None:
    runs = ensembles(400, 300)
    pairs = [compare(a, b) for a, b in zip(runs[::2], runs[1::2])]
    for found in (comparisons(), pairs):
        for level in (0.01, 0.05, 0.3):
            assert refuses([c.p_total for c in found], level) < z_bound(6)


def chains(count: int, draws: int, depth: int = 20) -> list[Comparison]:
    """Narrow, deep linear chains, for which the theory is exact: totals with heavy tails."""
    net = em.repeat(C(3, 4, weights=em.Random(gain=1)), depth)
    theory = em.predict(net, ndim=1, width=4)
    return [compare(theory, em.measure(net, ndim=1, width=4, draws=draws, rng=i)) for i in range(count)]


@pytest.mark.slow
def test_heavy_tails_make_no_true_theory_improbable() -> None:
    """Below .05 in 27 % of runs by Student's t, as if totals were Gaussian."""
    found = chains(200, 30)
    assert refuses([c.p_total for c in found]) < z_bound(1) + 0.03 / math.sqrt(0.05 * 0.95 / 200)
    assert all(math.isnan(c.p_shape) for c in found if c.effective_draws < 20)
    assert sum("heavy tails: 30 draws count as" in str(c) for c in found[:10]) > 7


def test_p_total_sees_a_wrong_gain() -> None:
    """Twice the total, by 300 draws; and not from fewer than ten."""
    theory = em.predict(skip(), ndim=1, width=4)
    twice = em.EffectiveReceptiveField(2 * theory.map, origin=theory.origin, unit=theory.unit, trf=theory.trf)
    assert compare(twice, em.measure(skip(), ndim=1, width=4, draws=300, rng=1)).p_total < 1e-6
    assert math.isnan(compare(twice, em.measure(skip(), ndim=1, width=4, draws=9, rng=0)).p_total)


def test_cells_and_their_errors_by_hand() -> None:
    """Hotelling's T^2 and the error of the variation from the draws' own cells, with as many draws as count."""
    net, draws = skip(), 60
    plan = make_plan(net, **ARGUMENTS)
    maps = plan.maps(0, draws)
    measured, theory = ensembles(1, draws)[0], predicted()
    found = compare(theory, measured)
    edges = [int(e) for e in np.unique([0, *np.searchsorted(np.cumsum(theory.share), np.arange(1, 5) / 5)])]
    assert len(theory.share) < 400  # one pixel a block
    cells, share = np.add.reduceat(maps, edges, axis=1), np.add.reduceat(theory.share, edges)
    total, counted = maps.sum(axis=1), measured.effective_draws
    off = (cells - share * total[:, None]) / total.mean()
    covariance = off.T @ off / (draws * (draws - 1)) - np.outer(off.mean(axis=0), off.mean(axis=0)) / (draws - 1)
    difference = off.mean(axis=0)
    assert_close(found.cells.difference, difference, ROUNDING, scale=1)
    assert_close(found.cells.covariance, covariance, ROUNDING, scale=float(covariance.max()))
    square, rank = difference[1:] @ np.linalg.solve(covariance[1:, 1:], difference[1:]), len(share) - 1
    expected = f_distribution.sf(square * (counted - rank) / (rank * (counted - 1)), rank, counted - rank)
    assert_close(found.p_shape, expected, ROUNDING, scale=1000)
    signs = np.sign(difference)
    assert_close(found.coarse_variation.stderr, math.sqrt(signs @ covariance @ signs) / 2, ROUNDING)
    assert_close(found.coarse_variation.value, np.abs(difference).sum() / 2, ROUNDING, scale=1)


def test_z_bound_is_bonferronis() -> None:
    comparison = comparisons()[0]
    for level in (0.05, 0.001):
        want = t_distribution.isf(level / (2 * comparison.counted_z.size), comparison.freedom)
        assert_close(comparison.z_bound(level), want, ROUNDING)


def test_hotellings_factor_with_several_cells() -> None:
    """T^2 (n - r) / (r (n - 1)) is of F(r, n - r), for r independent cells of n draws."""
    net = em.repeat(C(3), 6)
    found = compare(em.predict(net, ndim=1), em.measure(net, ndim=1, draws=100, rng=0))
    cells = found.cells
    assert cells is not None
    difference, covariance = cells.difference[1:], cells.covariance[1:, 1:]  # they sum to 0
    square, rank, n = difference @ np.linalg.solve(covariance, difference), len(difference), cells.draws
    assert rank > 2
    expected = f_distribution.sf(square * (n - rank) / (rank * (n - 1)), rank, n - rank)
    assert_close(found.p_shape, expected, ROUNDING, scale=1000)


@pytest.mark.parametrize("ndim, needed", [(1, 20), (2, 40), (3, 80)])
def test_cells_need_draws(ndim: int, needed: int) -> None:
    net = em.repeat(C(3), 2)
    few = compare(em.predict(net, ndim=ndim), em.measure(net, ndim=ndim, draws=needed - 1, rng=0))
    assert few.cells is None and math.isnan(few.p_shape) and math.isnan(few.coarse_variation.stderr)
    assert f"cells: need at least {needed} effective draws" in str(few) and "+- 0.0000" not in str(few)
    assert not few.agrees(tolerance=0.9)
    with pytest.raises(ValueError, match=f"{needed} effective draws"):
        few.draws_to_agree()
    assert compare(em.predict(net, ndim=ndim), em.measure(net, ndim=ndim, draws=2 * needed, rng=0)).cells is not None


@pytest.mark.slow
def test_a_wrong_standard_error_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard errors 20 % too small: the same check must see it."""
    cells = Comparison.cells.func
    monkeypatch.setattr(Comparison, "cells", property(
        lambda self: cells(self)._replace(covariance=0.64 * cells(self).covariance)))
    planted = [compare(predicted(), measured) for measured in ensembles(400, 300)]
    assert kstest([c.p_shape for c in planted], "uniform").pvalue < STATISTICAL


@pytest.mark.slow
def test_z_has_unit_spread_and_its_bound_holds() -> None:
    squares = np.array([c.z_rms**2 for c in comparisons()])
    assert abs(squares.mean() - 1) < z_bound(1) * squares.std() / math.sqrt(len(squares)) + 1 / 300
    beyond = sum(c.z_max > c.z_bound(LEVEL) for c in comparisons())
    assert beyond <= LEVEL * 400 + z_bound(1) * math.sqrt(LEVEL * 400)


def test_intervals_are_of_students_t() -> None:
    measured = ensembles(400, 300)[0]
    (ratio,) = comparisons()[0].std_ratio
    assert_close(ratio.freedom, measured.effective_draws - 1, EXACT)
    reach = t_distribution.isf(0.05, ratio.freedom) * ratio.stderr
    assert_close(ratio.interval(0.1), (ratio.value - reach, ratio.value + reach), ROUNDING)
    assert_close(comparisons()[0].std_z[0], (measured.std[0] - predicted().std[0]) / measured.std_stderr[0], ROUNDING,
                 scale=1)
    assert Estimate(1.0, 0.1, 0.0).interval() == (-math.inf, math.inf)


def test_intervals_cover() -> None:
    intervals = [c.std_ratio[0].interval(0.1) for c in comparisons()]
    missed = sum(not low <= 1 <= high for low, high in intervals)
    assert abs(missed - 40) < z_bound(1) * math.sqrt(400 * 0.1 * 0.9)


# -- power ------------------------------------------------------------------------------------

def test_ten_per_cent_in_one_gain_is_not_equivalent() -> None:
    measured = em.measure(skip(), ndim=1, width=4, draws=20_000, rng=1)
    right, wrong = compare(predicted(), measured), compare(predicted(1.1), measured)
    assert right.agrees(LEVEL, 0.03, total=True)
    assert not wrong.agrees(LEVEL, 0.03, total=True) and not wrong.agrees(LEVEL, 0.03)
    # Refused for what it is, not for want of draws.
    low, high = wrong.std_ratio[0].interval(LEVEL)
    assert high < 1


@pytest.mark.parametrize("gain", [1.05, pytest.param(1.01, marks=pytest.mark.slow)])
def test_small_errors_are_seen_by_as_many_draws_as_the_power_calculation_asks_for(gain: float) -> None:
    right, wrong = predicted(scale=1.0), predicted(gain, scale=1.0)
    pilot = compare(right, em.measure(skip(scale=1.0), ndim=1, width=4, draws=5000, rng=2))
    draws = pilot.draws_needed(wrong, level=LEVEL, power=0.99)
    measured = em.measure(skip(scale=1.0), ndim=1, width=4, draws=draws, rng=3)
    assert compare(wrong, measured).p_shape < LEVEL < compare(right, measured).p_shape
    assert compare(wrong, measured).agrees(LEVEL, 0.03)  # and yet it is small


def test_the_power_calculation_is_right() -> None:
    """Of many ensembles with the draws it asks for, the share that sees the difference."""
    runs, wrong = ensembles(400, 300), predicted(1.35)
    pilot = compare(predicted(), em.measure(skip(), ndim=1, width=4, draws=5000, rng=2))
    power = next(p for p in np.arange(0.99, 0.01, -0.01)
                 if pilot.draws_needed(wrong, LEVEL, p) <= 300)
    seen = sum(compare(wrong, run).p_shape < LEVEL for run in runs)
    assert abs(seen - 400 * power) < z_bound(1) * math.sqrt(400 * power * (1 - power)) + 0.05 * 400


@pytest.mark.slow
def test_false_agreement_is_rare() -> None:
    """The difference is exactly the tolerance: an equivalence test then says yes with probability `level`."""
    ratio = float(predicted().std[0] / predicted(1.35).std[0])
    level = 0.1
    yes = sum(compare(predicted(1.35), run).agrees(level, 1 - ratio) for run in ensembles(400, 300))
    assert yes <= 400 * level + z_bound(1) * math.sqrt(400 * level)


def test_agreement_is_shown_by_as_many_draws_as_it_needs() -> None:
    """Of a right theory, in 90 % of runs; from the scatter in a pilot, to within a tenth."""
    pilot = compare(predicted(), em.measure(skip(), ndim=1, width=4, draws=2000, rng=2))
    tolerance = next(x for x in np.linspace(0.05, 0.5, 200) if pilot.draws_to_agree(LEVEL, x) <= 300)
    shown = sum(run.agrees(LEVEL, tolerance) for run in comparisons())
    assert shown / 400 > 0.8 - z_bound(1) * math.sqrt(0.9 * 0.1 / 400)
    scarce = next(x for x in np.linspace(0.01, 0.5, 400) if pilot.draws_to_agree(LEVEL, x, power=0.1) <= 300)
    assert sum(run.agrees(LEVEL, scarce) for run in comparisons()) < 200
    for arguments in (dict(power=1.0), dict(level=0.7), dict(tolerance=0.0)):
        with pytest.raises(ValueError, match="must"):
            pilot.draws_to_agree(**arguments)
    run = comparisons()[0]
    assert f"about {run.draws_to_agree(LEVEL, 0.01)} draws would tell" in run.report(LEVEL, 0.01)


# -- without sampling -------------------------------------------------------------------------

def test_deterministic_networks_agree_to_rounding() -> None:
    net = em.serial(em.repeat(C(3, weights=em.Constant()), 4),
                    em.AvgPool(2), em.Upsample(2, mode="bilinear"))
    for image in (None, 14):
        comparison = compare(em.predict(net, image=image), em.measure(net, image=image))
        assert_close(comparison.measured.map, comparison.theory.map, ROUNDING)
        assert comparison.agrees(LEVEL, 1e-12, total=True)
        assert math.isnan(comparison.p_shape) and math.isnan(comparison.z_rms) and comparison.cells is None


def test_theory_with_theory() -> None:
    same, other = compare(predicted(), predicted()), compare(predicted(), predicted(1.1))
    assert same.total_variation == 0 and same.std_ratio[0] == Estimate(1.0, 0.0)
    assert same.agrees(tolerance=1e-12) and not other.agrees(tolerance=0.01)
    assert_close(other.total_variation, 0.5 * np.abs(predicted().share - predicted(1.1).share).sum(), ROUNDING)
    assert other.profile_variation(0) == other.total_variation


def test_results_on_different_windows() -> None:
    """A field cut to the part that is not zero is the same field."""
    erf = predicted()
    wide = em.EffectiveReceptiveField(np.pad(erf.map, 3), origin=(erf.origin[0] - 3,), unit=erf.unit, trf=erf.trf)
    assert compare(erf, wide).total_variation < ROUNDING.rtol


# -- reports, pictures, bad input -------------------------------------------------------------

def test_the_report_fits_a_screen() -> None:
    net = em.repeat(C(3), 3)
    text = str(compare(em.predict(net), em.measure(net, draws=200, rng=0)))
    lines = text.splitlines()
    assert len(lines) < 25 and max(map(len, lines)) < 100
    for words in ("200 draws", "std, axis 1", "interval", "total variation",
                  "z-scores", "shape p =", "agree"):
        assert words in text


def test_one_draw_has_no_error_and_shows_nothing() -> None:
    net = em.repeat(C(3), 3)
    comparison = compare(em.predict(net), em.measure(net, draws=1, rng=0))
    assert math.isnan(comparison.total_ratio.stderr) and not comparison.agrees(tolerance=0.9, total=True)
    text = comparison.report()
    assert "1 draw\n" in text and text.count("of unknown error") == 3 and "nan" not in text


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_pictures(ndim: int) -> None:
    net = em.repeat(C(3), 2)
    figure = compare(em.predict(net, ndim=ndim), em.measure(net, ndim=ndim, draws=20, rng=0)).plot()
    labels = [axes.get_xlabel() for part in (figure, *figure.subfigs) for axes in part.axes]
    assert sum("input pixels" in label for label in labels) >= 2 * ndim
    figure.draw_without_rendering()


def test_repr_html_is_the_report_and_the_picture() -> None:
    text = compare(predicted(), ensembles(400, 300)[0])._repr_html_()
    assert text.startswith("<pre>") and "total variation" in text and 'src="data:image/png;base64,iVBOR' in text


def test_what_cannot_be_compared() -> None:
    net = em.repeat(C(3), 2)
    erf = em.predict(net, image=9)
    for other, message in ((em.predict(net, image=8, unit=4), "image"), (em.predict(net, image=9, unit=3), "unit"),
                           (em.predict(em.repeat(C(3), 3), image=9), "theoretical receptive fields"),
                           (em.measure(net, image=9, statistic="magnitude", draws=2), "statistic")):
        with pytest.raises(ValueError, match=message):
            compare(erf, other)
    with pytest.raises(TypeError, match="effective receptive field"):
        compare(erf, np.ones(3))  # type: ignore[arg-type]
    comparison = compare(erf, erf)
    for arguments in (dict(level=0.7), dict(tolerance=0.0)):
        with pytest.raises(ValueError):
            comparison.agrees(**arguments)
    with pytest.raises(ValueError, match="draws"):
        comparison.draws_needed(erf)


def test_blurring_pools_agree() -> None:
    """Theory and measurement each have their own weights and index arithmetic for them."""
    net = em.serial(em.Conv(3), em.Activation("relu"), em.BlurPool(), em.Conv(3), em.BlurPool(4, 2, (1, 2)))
    theory = em.predict(net, image=18, unit=0)
    assert em.compare(theory, em.measure(net, image=18, unit=0, draws=2000, rng=1)).agrees(tolerance=0.03)
