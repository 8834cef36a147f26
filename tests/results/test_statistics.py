"""Statistics of maps against sums over draws, and their coverage where totals have heavy tails."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close, z_bound
from scipy.special import stdtrit

from erfmath.results.statistics import Moments, block_sums, marginals

Array = Any
SHAPES = [(9,), (5, 7), (4, 3, 5)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def maps(draws: int, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Positive maps, rough, of unequal totals."""
    rng = np.random.default_rng([seed, *shape])
    return rng.random((draws, *shape)) * rng.gamma(2.0, size=(draws, *[1] * len(shape)))


# ---------------------------------------------------------------------------------------------
# by hand
# ---------------------------------------------------------------------------------------------

@every_shape
def test_moments_by_hand(shape: tuple[int, ...]) -> None:
    f = maps(12, shape)
    found, ndim = Moments.of(f), len(shape)
    totals = f.reshape(12, -1).sum(axis=1)
    assert_close(found.mean, f.sum(axis=0) / 12, ROUNDING)
    assert_close(found.stderr, np.sqrt(f.var(axis=0, ddof=1) / 12), ROUNDING)
    assert_close(found.totals, totals, ROUNDING)
    assert_close(found.total_stderr, math.sqrt(totals.var(ddof=1) / 12), ROUNDING)
    share = f.mean(axis=0) / totals.mean()
    off = (f - share * totals.reshape(-1, *[1] * ndim)) / totals.mean()
    assert_close(found.share_stderr, np.sqrt((off**2).sum(axis=0) / (12 * 11)), ROUNDING, scale=1)
    for axis, line in enumerate(found.line_stderr):
        rest = tuple(a + 1 for a in range(ndim) if a != axis)
        assert_close(line, np.sqrt((off.sum(axis=rest)**2).sum(axis=0) / (12 * 11)), ROUNDING, scale=1)


@every_shape
def test_merge_is_of_all_draws(shape: tuple[int, ...]) -> None:
    f = maps(13, shape)
    whole, parts = Moments.of(f), Moments.of(f[:4]).merge(Moments.of(f[4:5])).merge(Moments.of(f[5:]))
    assert parts.count == 13
    for name, value in whole.arrays().items():
        assert_close(parts.arrays()[name], value, ROUNDING, scale=float(np.abs(value).max()))


@every_shape
def test_from_arrays_is_what_arrays_gave(shape: tuple[int, ...]) -> None:
    found = Moments.of(maps(3, shape))
    back = Moments.from_arrays(found.arrays())
    for name, value in found.arrays().items():
        assert_close(back.arrays()[name], value, EXACT)


def test_marginals_and_block_sums_by_hand() -> None:
    f = maps(2, (5, 7))
    assert_close(marginals(f, 2), np.concatenate([f.sum(axis=2), f.sum(axis=1)], axis=1), ROUNDING)
    assert_close(block_sums(np.ones((2, 60, 3)), 2).sum(axis=1), [180.0, 180.0], EXACT)


@every_shape
def test_variances_by_hand(shape: tuple[int, ...]) -> None:
    """Each draw's pull on the variances, pixel by pixel; standard errors follow from their covariance alone."""
    f = maps(10, shape)
    found, ndim = Moments.of(f), len(shape)
    total = f.reshape(10, -1).sum(axis=1).mean()
    x = np.indices(shape)
    share = f.mean(axis=0) / total
    centre = [(share * x[a]).sum() for a in range(ndim)]
    squares = np.array([(x[a] - centre[a])**2 for a in range(ndim)])
    variance = np.array([(share * square).sum() for square in squares])
    pulls = np.array([[((square - v) * draw).sum() / total for square, v in zip(squares, variance)] for draw in f])
    covariance = np.cov(pulls.T).reshape(ndim, ndim) / 10
    assert_close(found.variances()[0], variance, ROUNDING)
    assert_close(found.variances()[1], covariance, ROUNDING, scale=float(np.abs(covariance).max()) * 100)
    std, error = found.std()
    assert_close(std, np.sqrt(variance), ROUNDING)
    assert_close(error, np.sqrt(np.diag(covariance)) / (2 * std), ROUNDING, scale=1)
    one, one_error = found.mean_std()
    assert_close(one, math.sqrt(variance.mean()), ROUNDING)
    assert_close(one_error, math.sqrt(covariance.sum()) / ndim / (2 * one), ROUNDING, scale=1)


def test_effective_draws() -> None:
    def effective(*totals: float) -> float:
        return Moments.of(np.array(totals)[:, None] * [0.25, 0.75]).effective
    assert_close(effective(2, 2, 2, 2), 4.0, ROUNDING)
    assert_close(effective(1, 1, 0, 0), 2.0, ROUNDING)
    assert_close(effective(1, 2, 3), 36 / 14, ROUNDING)
    assert_close(effective(1e120, 1e90, 1e120), 2.0, ROUNDING)
    assert_close(effective(1, -1, 1), 3.0, ROUNDING)  # of means of both signs, sizes count
    assert effective(0, 0) == 0


def test_one_draw_and_none_that_is_seen() -> None:
    one = Moments.of(maps(1, (5, 7)))
    assert np.isnan([*one.stderr.ravel(), *one.share_stderr.ravel(), *one.std()[1], one.total_stderr]).all()
    assert math.isnan(one.mean_std()[1]) and np.isfinite(one.std()[0]).all()
    none = Moments.of(np.zeros((3, 4)))
    assert none.dead == 3 and np.isnan([*none.share_stderr, *none.std()[0], *none.mean_std()]).all()
    assert np.isnan(none.log_total()).all() and np.isnan(one.log_total()).all()


def test_log_total_by_hand() -> None:
    totals = np.array([1.0, 2.0, 8.0])
    found, error = Moments.of(totals[:, None] * np.ones(2) / 2).log_total()
    square = np.log(totals).var(ddof=1)
    assert_close(found, np.log(totals).mean() + square / 2, ROUNDING)
    assert_close(error, math.sqrt(square / 3 + square**2 / 4), ROUNDING)


def test_arrays_are_read_only() -> None:
    found = Moments.of(maps(3, (5, 7))).merge(Moments.of(maps(2, (5, 7), 1)))
    for array in (found.mean, found.square, found.cross, found.line_square, found.line_cross, found.table,
                  found.scatter):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


# ---------------------------------------------------------------------------------------------
# coverage
# ---------------------------------------------------------------------------------------------

def chain_maps(width: int, depth: int, draws: int, seed: int = 0) -> Array:
    """Squared gradients of random linear chains with kernels of three taps, in one dimension: (draws, 2 depth + 1).

    The mean is the `depth`-fold convolution of (1, 1, 1) / 3, of variance 2/3 depth, at any width.
    """
    rng = np.random.default_rng([seed, width, depth])
    g = rng.normal(size=(draws, width, 1)) / math.sqrt(width)
    for _ in range(depth):
        weights = rng.normal(size=(3, draws, width, width)) / math.sqrt(3 * width)
        g = sum(np.pad(w @ g, ((0, 0), (0, 0), (k, 2 - k))) for k, w in enumerate(weights))
    return (g**2).sum(axis=1)


def covered(width: int, depth: int, draws: int, level: float, ensembles: int) -> float:
    """Fraction of t intervals that hold the std."""
    std, hits = math.sqrt(2 / 3 * depth), 0
    for ensemble in chain_maps(width, depth, draws * ensembles).reshape(ensembles, draws, -1):
        moments = Moments.of(ensemble)
        (here,), (error,) = moments.std()
        hits += abs(here - std) <= -stdtrit(moments.effective - 1, (1 - level) / 2) * error
    return hits / ensembles


def test_t_intervals_of_few_draws_cover() -> None:
    """95 % to within 3 %; normal quantiles cover 78 % here, and t with draws - 1 degrees of freedom 91 %."""
    assert abs(covered(16, 5, 4, 0.95, 500) - 0.95) < 0.03 + z_bound(1) * math.sqrt(0.95 * 0.05 / 500)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.68, 0.95])
@pytest.mark.parametrize("width", [2, 4, 8, 16])
@pytest.mark.parametrize("depth", [5, 20])
def test_coverage_of_intervals(width: int, depth: int, level: float) -> None:
    """The table of docs/empirics.md: up to 300 ensembles each, within 6 % of what they say."""
    found = {draws: covered(width, depth, draws, level, min(300, 15_000 // draws)) for draws in (3, 10, 30, 100, 300)}
    room = {draws: 0.06 + z_bound(80) * math.sqrt(level * (1 - level) / min(300, 15_000 // draws)) for draws in found}
    assert all(abs(part - level) < room[draws] for draws, part in found.items()), found


def test_moments_merge_to_those_of_all_draws() -> None:
    maps = np.random.default_rng(0).gamma(0.5, size=(50, 6, 25))
    whole, total = Moments.of(maps), maps.sum(axis=(1, 2))
    parts = [Moments.of(part) for part in np.split(maps, [1, 9, 30])]
    merged = parts[0].merge(parts[1]).merge(parts[2]).merge(parts[3])
    for moments in (whole, merged):
        assert moments.count == 50
        assert_close(moments.mean, maps.mean(axis=0), ROUNDING)
        assert_close(moments.stderr, maps.std(axis=0, ddof=1) / math.sqrt(50), ROUNDING)
        off = maps / total.mean() - total[:, None, None] * maps.mean(axis=0) / total.mean()**2
        assert_close(moments.share_stderr, off.std(axis=0, ddof=1) / math.sqrt(50), ROUNDING)
        assert_close(moments.scatter.sum(), moments.count * total.var(), ROUNDING)
        block = maps[:, 0, 3:5].sum(axis=1)  # 20 blocks share 25 pixels: the fourth has two of them
        assert_close(moments.scatter[3, 3], moments.count * block.var(), ROUNDING)
    share, x = maps.mean(axis=0) / total.mean(), np.arange(25)
    mean = (share * x).sum()
    assert_close(whole.std()[0][1], math.sqrt((share * (x - mean)**2).sum()), ROUNDING)


def test_moments_standard_errors_are_those_of_repeated_runs() -> None:
    """The spread of many ensembles against what each claims; a 10 % error would be seen."""
    ensembles = 1000
    rng = np.random.default_rng(0)
    totals = rng.gamma(2.0, size=(ensembles, 200, 1))  # pixels rise and fall together
    maps = totals * rng.gamma([1.0, 3.0, 6.0, 3.0, 1.0], size=(ensembles, 200, 5))
    runs = [Moments.of(part) for part in maps]
    for values, claimed in (
            ([r.std()[0][0] for r in runs], [r.std()[1][0] for r in runs]),
            ([r.mean[2] for r in runs], [r.stderr[2] for r in runs]),
            ([r.mean[2] / r.mean.sum() for r in runs], [r.share_stderr[2] for r in runs])):
        ratio = np.std(values, ddof=1) / math.sqrt(np.mean(np.square(claimed)))
        # The log of a standard deviation from n normal values has standard error 1 / sqrt(2 n).
        assert abs(math.log(ratio)) * math.sqrt(2 * ensembles) < z_bound(3)
    assert math.log(1.1) * math.sqrt(2 * ensembles) > z_bound(3)


@pytest.mark.parametrize("name", ["total", "table"])
@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
def test_sums_that_contradict_the_mean_are_refused_at_every_size(name: str, size: float) -> None:
    arrays = dict(Moments.of(size * maps(3, (4,))).arrays())
    arrays[name] = arrays[name] * (1 + 1e-4)
    with pytest.raises(ValueError, match=f"{name}: gives a mean sum of"):
        Moments.from_arrays(arrays)
