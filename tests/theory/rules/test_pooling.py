"""Who wins in a max pool whose sites are correlated, against closed forms, sampled fields and networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import FFT, REWRITE, ROUNDING, Tolerance, assert_close, assert_rate, assert_statistical, z_bound
from scipy.special import ndtr

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.rules import functions
from erfmath.theory.rules.pooling import MaxPoolRule, _wins_by_level, max_pool, winning
from erfmath.theory.sweep.backward import backward, prepared
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.moments import Moments
from erfmath.theory.sweep.plan import Graph

Array = Any
RELU = em.Activation("relu")


def wins(kernel: int, correlations: Array, rho: float = 0.0) -> list[Array]:
    """Probabilities along each axis, of sites with `correlations` over a box of lags and `rho` beyond."""
    correlations = np.asarray(correlations, float)
    ndim = correlations.ndim
    held = Moments(correlations.reshape(1, *correlations.shape, *(1,) * ndim), np.array([rho]), np.array([rho]),
                   (None,), True)
    op, = winning(MaxPoolRule().lower(em.MaxPool(kernel), (None,) * ndim, 1, 1), held, (None,) * ndim)
    return [taps.weights for taps in op.taps]


def test_the_middle_of_three_wins_by_the_angle_of_its_differences() -> None:
    """P(z1 > z0, z2) = 1/4 + asin(c) / 2 pi, c the correlation of z1 - z0 and z1 - z2; what is left is of order r^2."""
    r = np.array([0.2, 0.1, 0.05, 0.025])
    exact = 0.25 + np.arcsin((1 - 2 * r) / (2 * (1 - r))) / (2 * math.pi)
    found = np.array([wins(3, [0, one, 1, one, 0])[0] for one in r])
    assert_close(found.sum(axis=1), np.ones(len(r)), ROUNDING)
    assert_close(found[:, 0], found[:, 2], ROUNDING)
    assert (found[:, 1] < 1 / 3).all()
    assert_rate(1 / r, np.abs(found[:, 1] - exact), 2)
    assert_rate(1 / r, 1 / 3 - exact, 1)


def test_neighbours_of_a_pool_of_correlated_values() -> None:
    """Windows of two sites side by side, of values whose correlation falls by 0.9 a site: sampled.

    Averages of two would be correlated by 0.855.
    """
    rng, fall, count = np.random.default_rng(0), 0.9, 400_000
    values = [rng.standard_normal(count)]
    for _ in range(3):
        values.append(fall * values[-1] + math.sqrt(1 - fall**2) * rng.standard_normal(count))
    largest = np.maximum(values[0], values[1]), np.maximum(values[2], values[3])
    line = fall**np.abs(np.arange(-4.0, 5))
    m = Moments(line.reshape(1, 9, 1), np.zeros(1), np.zeros(1), (None,), True)
    op = MaxPoolRule().lower(em.MaxPool(2), (None,), 1, 1)
    pooled, _ = max_pool(op, m, (None,), (None,), (1,), (1,))
    assert_close(pooled.values[0, :, 0], [np.mean(largest[0] * largest[k]) for k in (1, 0, 1)], Tolerance(0.005, 0.0))


def test_what_all_sites_share_decides_nothing() -> None:
    rho, own = 0.6, np.array([0, 0.1, 1, 0.1, 0])
    assert_close(wins(3, rho + (1 - rho) * own, rho), wins(3, own), ROUNDING)
    assert_close(wins(3, np.ones((5, 5)) * rho + (1 - rho) * (np.arange(25) == 12).reshape(5, 5), rho),
                 [np.full(3, 1 / 3)] * 2, ROUNDING)
    assert_close(wins(2, [0.3, 1, 0.3]), [[0.5, 0.5]], ROUNDING)  # by symmetry


def test_winners_of_sampled_fields() -> None:
    """White noise smoothed a little: neighbours along an axis are correlated by 0.12, diagonal ones by its square."""
    smooth = np.array([0.06, 1, 0.06]) / math.sqrt(1 + 2 * 0.06**2)
    line = np.convolve(smooth, smooth)
    rng = np.random.default_rng(0)
    field = rng.standard_normal((200_000, 5, 5))
    for axis in (1, 2):
        field = sum(w * np.take(field, range(a, a + 3), axis) for a, w in enumerate(smooth))
    winner = field.reshape(-1, 9).argmax(axis=1)
    rows = np.bincount(winner // 3, minlength=3) / len(winner)
    expected = wins(3, np.outer(line, line))[0]
    error = np.sqrt(rows * (1 - rows) / len(winner))
    assert_statistical(rows, error, expected)
    assert (np.abs(rows - 1 / 3) / error).max() > z_bound(3)


def overlapping(function: str = "relu") -> em.Network:
    return em.repeat(em.serial(em.Conv(3, 4), em.Activation(function), em.Conv(3, 4), em.MaxPool(3, 2, 1)), 2)


def test_only_pools_behind_overlapping_pools_have_uneven_winners() -> None:
    net = overlapping()
    graph = Graph.of(net, RunSettings.of(net, width=4))
    routes = prepared(graph, False, InputModel())[1].routes
    first, second = (routes[net.index(name)].ops[0].taps[0].weights for name in ("max_pool1", "max_pool2"))
    assert_close(first, np.full(3, 1 / 3), ROUNDING)
    assert second[1] < 1 / 3 < second[0] and second[0] == second[2]


@pytest.mark.parametrize("image", [None, 21])
def test_pixels_that_are_all_alike_have_no_favourites(image: int | None) -> None:
    erf = em.predict(overlapping(), image=image, input_moments=(1, 1))
    same = em.predict(em.repeat(em.serial(em.Conv(3, 4), em.Conv(3, 4), em.MaxPool(3, 2, 1)), 2), image=image)
    assert_close(erf.share, same.share, ROUNDING)


@pytest.mark.parametrize("function", ["relu", "tanh"])
def test_walks_sweeps_and_readouts_take_the_same_winners(function: str) -> None:
    net = overlapping(function)
    graph = Graph.of(net, RunSettings.of(net, width=4, ndim=1))
    walk, (sweep, start, _) = em.predict(net, ndim=1), backward(graph, (0,), False)
    assert start == walk.origin
    assert_close(walk.share, sweep / sweep.sum(), ROUNDING)
    even = 2 * 2 / 3 * (1 + 4) + 2 / 3 * (1 + 4)  # convolutions, and pools that all sites win alike
    assert walk.std[0]**2 > even * (1 + 1000 * ROUNDING.rtol)
    sizes, unit = em.erf_size_map(net, 81, ndim=1), em.predict(net, ndim=1, image=81, unit=7)
    assert_close(sizes.std[(..., 7)].ravel(), unit.std, ROUNDING)


@pytest.mark.parametrize("first, second, whole, image", [
    ((3, 1, 1), (3, 1, 1), (5, 1, 2), 12), ((2, 2, 0), (2, 2, 0), (4, 4, 0), 16), ((3, 2, 1), (3, 2, 1), (7, 4, 3), 19),
    ((2, 1, 0), (3, 2, 1), (4, 2, 1), 15)])
def test_pools_in_a_row_are_one(first: Any, second: Any, whole: Any, image: int) -> None:
    """The largest of the largest, at borders too: one site of the whole window gets the gradient."""
    for extent in (None, image):
        parts = [em.serial(em.Conv(3), RELU, *map(lambda p: em.MaxPool(*p), pools), em.Conv(3))
                 for pools in ((first, second), (whole,))]
        unit = None if extent is None else 0
        two, one = (em.predict(net, ndim=1, image=extent, unit=unit) for net in parts)
        assert_close(two.map, one.map, ROUNDING)
        if extent is not None:
            assert_close(em.erf_size_map(parts[0], extent, ndim=1).std, em.erf_size_map(parts[1], extent, ndim=1).std,
                         ROUNDING)


def test_a_pool_that_leaves_sites_out_stays_apart() -> None:
    net = em.serial(em.MaxPool(2, 3), em.MaxPool(2, 1), em.Conv(1))
    assert em.predict(net, ndim=1).map.tolist() == [0.5, 0.5, 0, 0.5, 0.5]


def test_nested_pools_agree_with_sampling() -> None:
    """Spatial pyramid pooling by pools after pools, each also read by itself: 1, 5 and 9 pixels wide."""
    pool = em.MaxPool(5, 1, 2)
    nested = em.concat(em.Identity(), em.serial(pool, em.concat(em.Identity(), pool)))
    net = em.serial(em.Conv(1, 8), RELU, nested, em.Conv(1, 8))
    theory, sampled = em.predict(net, image=25), em.measure(net, image=25, draws=600, rng=0)
    assert_statistical(sampled.std, sampled.std_stderr, theory.std)


@pytest.mark.parametrize("unit, first, count", [(0, 0, 3), (1, 2, 3), (2, 4, 3)])
def test_bins_of_unequal_places(unit: int, first: int, count: int) -> None:
    """Seven sites in three bins, of which neighbours have one in common: each site of a bin wins as often."""
    net = em.serial(em.AdaptiveMaxPool(3), em.Conv((1,), weights=em.Random(gain=1.0)))
    expected = np.zeros(7)
    expected[first:first + count] = 1 / count
    assert_close(em.predict(net, image=(7,), unit=unit).map, expected, ROUNDING)


def test_means_of_bins_of_unequal_sizes() -> None:
    """Eight sites in three bins of 3, 4 and 3 rectified values: the sampled second moment and covariance."""
    net = em.serial(em.Conv((1,), weights=em.Random(gain=1.0)), em.Activation("relu"), em.AdaptiveMaxPool(3),
                    em.Conv((1,), weights=em.Random(gain=1.0)))
    node, = [one for one in em.signals(net, image=(8,)).nodes if one.kind == "adaptive_max_pool"]
    draws = np.maximum(np.random.default_rng(0).standard_normal((200_000, 8)), 0)
    largest = np.stack([draws[:, a:b].max(axis=1) for a, b in ((0, 3), (2, 6), (5, 8))])
    assert_close(node.second, (largest**2).mean(), Tolerance(0.01, 0.0))
    assert_close(node.shared, largest.mean()**2, Tolerance(0.01, 0.0))


def test_bins_read_the_other_way() -> None:
    net = em.serial(em.Conv(3), em.Activation("relu"), em.AdaptiveMaxPool((3, 4)), em.Conv(3))
    sizes = em.erf_size_map(net, (7, 6))
    for unit in ((0, 0), (1, 3)):
        erf = em.predict(net, image=(7, 6), unit=unit)
        assert_close(sizes.std[(slice(None), *unit)], erf.std, FFT)
        assert_close(sizes.total[unit], erf.total, ROUNDING)


FUNCTIONS: dict[str, tuple[Any, Any]] = {  # and their slopes
    "relu": (lambda v: np.maximum(v, 0), lambda v: (v > 0) * 1.0),
    "silu": (lambda v: v / (1 + np.exp(-v)), lambda v: (1 + np.exp(-v) * (1 + v)) / (1 + np.exp(-v))**2),
    "identity": (lambda v: v, np.ones_like),
}


@pytest.mark.parametrize("kernel, stride, padding, function", [
    (3, 2, 1, "relu"), (2, 2, 0, "silu"), (3, 1, 1, "identity"),
])
def test_norms_take_what_all_windows_share_with_their_values(kernel: int, stride: int, padding: int, function: str
                                                             ) -> None:
    """Ones at all windows, handed to winners, less their mean and what goes with the values, on sampled maps."""
    n, count = 12, 3000
    phi, slope = FUNCTIONS[function]
    v = np.random.default_rng(3).standard_normal((count, n, n))
    v -= v.mean(axis=(1, 2), keepdims=True)
    v /= v.std(axis=(1, 2), keepdims=True)
    sites = np.pad(np.arange(n * n).reshape(n, n), padding, constant_values=n * n)
    windows = np.lib.stride_tricks.sliding_window_view(sites, (kernel, kernel))[::stride, ::stride]
    windows = windows.reshape(-1, kernel**2)
    flat = v.reshape(count, -1)
    held = np.concatenate([phi(flat), np.full((count, 1), -np.inf)], axis=1)[:, windows]
    winners = np.take_along_axis(np.broadcast_to(windows, held.shape), held.argmax(axis=2)[..., None], axis=2)[..., 0]
    wins = np.zeros(flat.shape)
    np.add.at(wins, (np.arange(count)[:, None], winners), 1.0)
    g, power = wins * slope(flat), (wins * slope(flat)**2).sum(axis=1).mean()
    left = (g**2).sum(axis=1) - n * n * (g.mean(axis=1)**2 + (g * flat).mean(axis=1)**2)
    steep = (wins * (slope(flat) * flat)**2).sum(axis=1).mean() / power

    net = em.serial(em.Conv(3), em.InstanceNorm(), em.Activation(function), em.MaxPool(kernel, stride, padding),
                    em.Conv(3), em.InstanceNorm(), em.Conv(3))
    graph = Graph.of(net, RunSettings.of(net, width=4, image=n))
    gates = prepared(graph, False, InputModel())[1]
    pool, = gates.routes
    norm = min(gates.levels)
    assert_close(gates.even[pool][0].left, left.mean() / power, Tolerance(0.02, 0.0))
    assert_close(gates.steep[norm][0], steep, Tolerance(0.02, 0.0))


def test_sites_that_a_stride_drops_are_seen_by_no_pool_after_it() -> None:
    """Two pools in a row are one only where the first has seen all that windows of both together hold."""
    net = em.serial(em.Conv(5, 4, padding="valid"), em.MaxPool(2, 2, 0), em.MaxPool(3, 1, 1))
    for image in (8, 9):
        erf = em.predict(net, image=image, unit=0, channels_in=2, ndim=1)
        mask, (first,) = em.support(net, image=image, unit=0, ndim=1)
        seen = first + np.flatnonzero(mask)
        assert seen.min() == 0 and seen.max() == 7 and not erf.map[8:].any() and erf.map[:8].all()


def test_a_site_that_wins_two_windows_is_open_more_often() -> None:
    """Two windows of two rectified sites, averaged: each winner alone, and one of three sites that wins both."""
    net = em.serial(em.Conv((1,), weights=em.Random(gain=2.0)), em.Activation("relu"), em.MaxPool(2, 1),
                    em.AvgPool(2, 1))
    alone, both = 2 * 0.25 * 3 / 4, 2 * 0.25 / 3 * 7 / 8
    assert_close(em.predict(net).total, 2 * (alone + both), FFT, scale=1)


def test_averages_after_overlapping_pools_under_a_batch_norm_agree_with_sampling() -> None:
    """Values of overlapping windows have less in common than their sites: 8 % of the total in this network."""
    net = em.serial(em.Conv((3,)), em.BatchNorm(), em.Activation("relu"), em.MaxPool(3, 1, 1), em.BlurPool(3, 2),
                    em.Conv((3,)), em.BatchNorm(), em.Conv((3,)))
    measured = em.measure(net, ndim=1, image=24, width=128, channels_in=64, draws=400, rng=3)
    predicted = em.predict(net, ndim=1, image=24, width=128, channels_in=64)
    assert abs(predicted.total / measured.total - 1) < z_bound(1) * measured.total_stderr / measured.total + 0.01


@pytest.mark.parametrize("shared", [0.0, 0.4])
def test_winning_of_sites_of_lower_level(shared: float) -> None:
    """Probabilities to win of one window for a map whose border has lower variance, against draws."""
    level = np.array([[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [0.0, 6.0, 4.0]])
    rng = np.random.default_rng(5)
    draws = 200_000
    values = (math.sqrt(shared) * rng.standard_normal((draws, 1)) + math.sqrt(1 - shared) * rng.standard_normal((
        draws, 9))) * np.sqrt(level.reshape(-1))
    values[:, 6] = -np.inf
    won = np.bincount(values.argmax(axis=1), minlength=9) / draws
    found = _wins_by_level(level, shared)
    assert math.isclose(found.sum(), 1.0, rel_tol=1e-12) and found[2, 0] == 0
    assert (np.abs(found.reshape(-1) - won) < 5 * np.sqrt(won * (1 - won) / draws) + 1e-9).all()


def test_winners_of_a_global_pool_avoid_borders() -> None:
    """A unit after a pool of the whole map sees less of its border than all sites alike would give (std 4.44)."""
    net = em.serial(em.Conv(3, 8), em.Activation("relu"), em.AdaptiveMaxPool(1), em.Conv(1, 8))
    erf = em.predict(net, image=16)
    assert abs(erf.std[0] - 4.2) < 0.06  # sampled 4.22(4), 4.17(4) at 32 channels
    plane = em.predict(em.serial(em.Conv(1, 8), em.Activation("relu"), em.AdaptiveMaxPool(1)), image=16)
    assert math.isclose(plane.std[0], math.sqrt((16**2 - 1) / 12), rel_tol=1e-9)  # no borders, all sites alike


@pytest.mark.parametrize("pool, rest", [(em.MaxPool(3, 1, 1), ()), (em.MaxPool(3, 2, 1), (em.Activation("hardswish"),)),
                                        (em.AdaptiveMaxPool(1), ())])
def test_channels_of_several_kinds_have_winners_of_their_own(pool: em.Layer, rest: tuple[em.Layer, ...]) -> None:
    """A concatenation of layers that share nothing has the mean of their fields."""
    one, other = em.serial(em.Conv(3, 4), em.AvgPool(3, 1, 1)), em.Conv(5, 4)
    whole, *parts = (em.predict(em.serial(part, pool, *rest), image=7, ndim=1, unit=0) for part in (
        em.concat(one, other), one, other))
    assert_close(whole.map, sum(part.map for part in parts) / 2, ROUNDING)
    assert np.abs(parts[0].share - parts[1].share).max() > 0.01


@pytest.mark.parametrize("between, tolerance", [((), 0.002), ((RELU,), 0.05)])
def test_the_largest_of_copies_of_one_site(between: tuple[Any, ...], tolerance: float) -> None:
    """A window of max(u + w_i), all of its sites with one u: as in the levels of a stacked hourglass.

    With sites drawn one by one; a mean over windows of all phases would be 1.29 and 1.72 times as much.
    """
    def conv(gain: float, stride: int = 1) -> em.Conv:
        return em.Conv(1, stride=stride, weights=em.Random(gain=gain))
    fine, coarse = em.serial(conv(0.4), *between), em.serial(conv(0.6, 2), em.Upsample(2))
    net = em.serial(conv(1), em.add(fine, coarse), em.MaxPool(2), em.BatchNorm(), conv(1))
    z = np.random.default_rng(0).normal(size=(400_000, 4)).max(axis=1) * math.sqrt(0.4)
    w, opened = (np.maximum(z, 0), float((z > 0).mean())) if between else (z, 1.0)
    expected = (0.4 * opened + 0.6) / (float(w.var()) + 0.6)
    few = 8 * 16**2 / (8 * 16**2 - 3)  # numbers that a batch of 8 has its statistics from
    assert abs(em.predict(net, image=32).total / (few * expected) - 1) < tolerance


@pytest.mark.parametrize("padding, levels", [(1, [2, 3, 3, 3, 2]), (2, [1, 2, 3, 3, 3, 2, 1])])
def test_sites_at_borders_win_a_whole_map_less_often(padding: int, levels: list[int]) -> None:
    """Without any activation, too: independent Gaussian values, whose variances padding lowers, by quadrature."""
    deviations = np.sqrt(levels)[:, None]
    z = np.linspace(-9, 9, 4001) * deviations.max()
    density, below = np.exp(-(z / deviations)**2 / 2) / deviations, ndtr(z / deviations)
    wins = np.array([(density[k] * np.delete(below, k, axis=0).prod(axis=0)).sum() for k in range(len(levels))])
    expected = np.convolve(wins / wins.sum(), np.ones(3) / 3)[padding:padding + 5]
    net = em.serial(em.Conv(3, 8, padding=padding, weights=em.Random(gain=1.)), em.AdaptiveMaxPool(1))
    assert_close(em.predict(net, image=(5,), channels_in=8, width=8).map, expected, Tolerance(1e-6, 0.0))


def test_global_pools_of_neighbours_that_share_sites() -> None:
    """The mean of averages of three over a line of 8: weights 2, 3, ..., 3, 2 over 24; a third of it without lags.

    Neighbours near borders count as in the interior: 4 % less.
    """
    mix = em.Conv((1,), 64, weights=em.Random(gain=1))
    net = em.serial(mix, em.AvgPool(3, 1, 1), em.GlobalAvgPool(), em.LayerNorm(), mix)
    second = {one.node: one.second for one in em.signals(net, image=8, width=64).nodes}
    assert_close(second["global_avg_pool1"], (2 * 2**2 + 6 * 3**2) / 24**2, Tolerance(0.04, 0.0))


@pytest.mark.parametrize("pool, total, error", [(em.MaxPool(3, 1, 1), 1.0, 0.04)])
def test_global_pools_of_overlapping_maxima(pool: em.Layer, total: float, error: float) -> None:
    """By 100 draws of `measure` (width 64): 2.9 times that, had maxima of overlapping windows nothing in common."""
    net = em.serial(em.Conv((3,), 64), pool, em.GlobalAvgPool(), em.LayerNorm(), em.Conv((1,), 64))
    got = em.predict(net, image=16, width=64, channels_in=64).total
    sampled = em.measure(net, image=16, width=64, channels_in=64, draws=60, rng=3)
    assert_close(got / sampled.total, total, Tolerance(0.12 + 3 * error, 0.0))


def test_bins_of_unequal_sizes_along_one_axis_after_a_filter() -> None:
    """Bins of one site along an axis are no bins: as if the axis were alone with them."""
    net = em.serial(em.Conv(3, 4), em.BlurPool((3, 1), (1, 1)), em.AdaptiveMaxPool((3, 6)))
    line = em.serial(em.Conv(3, 4), em.BlurPool(3, 1), em.AdaptiveMaxPool(3))
    image, one = em.predict(net, image=(4, 6), unit=(1, 3)), em.predict(line, image=4, unit=1, ndim=1)
    assert_close(image.map.sum(axis=1) / image.total, one.map / one.total, REWRITE)


@pytest.mark.parametrize("image", [9, 10, 12])
def test_averages_of_neighbours_never_take_off_more_than_a_site_has(image: int) -> None:
    """Copies of values less their mean: a window of them has a mean square, where the covariances said less than 0."""
    net = em.serial(em.Conv(2, 64, padding=((0, 1), (0, 1))), em.MaxPool(3, 2, 1, dilation=2), em.GroupNorm(1),
                    em.Upsample(), em.MaxPool(3, 1, 1), em.GlobalAvgPool())
    field = em.predict(net, image=image)
    assert np.isfinite(field.map).all() and field.map.min() >= 0
    assert abs(em.measure(net, image=image, draws=100, rng=0).total / field.total - 1) < .2


@pytest.mark.parametrize("after", ["tanh", "relu6", "softsign"])
def test_functions_of_the_largest_of_fewer_sites(after: str) -> None:
    """At corners and sides of a padded pool of independent values: n Phi^(n - 1) for 4, 6 and 9 sites."""
    net = em.serial(em.Conv(1, 8, weights=em.Random(gain=1.)), em.MaxPool(3, 1, 1), em.Activation(after))
    x = np.linspace(-9, 9, 18000)
    weight = np.exp(-x**2 / 2)
    below, slope = ndtr(x), functions.function(em.Activation(after)).slope(x)
    for unit, count in (((0, 0), 4), ((0, 3), 6), ((3, 3), 9)):
        expected = weight @ (count * below**(count - 1) * slope**2) / weight.sum()
        assert_close(em.predict(net, image=7, unit=unit, ndim=2).total, expected, Tolerance(1e-6, 0.0))


def test_a_global_mean_of_what_a_norm_has_made_unlike() -> None:
    """Once a gate failed after it: what neighbours share summed to less than nothing."""
    up = em.ConvTranspose(3, 2, stride=2, padding="same", weights=em.Random(gain=.5, profile=[.94, .86, .82]))
    net = em.serial(up, em.MaxPool(3, 1, 1), em.GroupNorm(1), em.Conv(3, 4), em.GlobalAvgPool(), em.Conv(1, 4),
                    em.Activation("tanh"))
    assert em.predict(net, image=(12, 10), channels_in=4).total > 0


def test_windows_of_sites_that_share_less_than_nothing() -> None:
    """Neighbours of what a filter of both signs makes are below independent ones, most so away from borders."""
    filters = em.Fixed(np.array([[.0924, .7238, -.7623], [-.09839999999999999, -.7707999999999999, .8118],
                                 [-.372, -2.9139999999999997, 3.069]]))  # steps were too small
    net = em.serial(em.Activation("elu"), em.Conv(3, weights=filters),
                    em.Conv(3, 4, groups=2, weights=em.Random(gain=1.)), em.MaxPool(2, 2, "same"))
    near, far = (em.predict(net, image=(10, 9), unit=unit, channels_in=4).total for unit in ((0, 0), (2, 2)))
    assert 0 < near < far < math.inf
