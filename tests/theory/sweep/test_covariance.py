"""The covariance of a gradient through layers, against sampled weights."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close, assert_statistical, draws_for, z_bound
from site_pairs import NEAREST, RANDOM1, avg, lines

import erfmath as em
from erfmath.theory.rules.registry import rule_of
from erfmath.theory.sweep import covariance
from erfmath.theory.sweep.covariance import FAINT, WIDE, Covariance
from erfmath.theory.sweep.factor import correlate

Array = Any


def below_conv(g: Array, rng: np.random.Generator, k: int, gain: float = 1) -> Array:
    """Gradients (draws, channels, sites) below a fresh random convolution, one kernel a draw."""
    draws, channels, sites = g.shape
    w = rng.normal(0, math.sqrt(gain / (k * channels)), (draws, channels, channels, k))
    below = np.zeros((draws, channels, sites + k - 1))
    for a in range(k):
        below[:, :, a:a + sites] += np.einsum("noi,nox->nix", w[..., a], g)
    return below


def below_average(g: Array, stride: int) -> Array:
    below = np.zeros((*g.shape[:2], stride * (g.shape[2] - 1) + 2))
    for a in range(2):
        below[:, :, a:a + stride * g.shape[2]:stride] += g / 2
    return below


def below_nearest(g: Array, first: int) -> Array:
    """Pairs of sites summed; `first` is the coordinate of the first one."""
    g = np.pad(g, [(0, 0), (0, 0), (first % 2, (first + g.shape[2]) % 2)])
    return g[..., ::2] + g[..., 1::2]


def lag_case(rng: np.random.Generator, unit: Array) -> Array:
    return below_average(below_conv(below_average(below_conv(
        below_average(unit, 1), rng, 3), 1), rng, 3), 1)


def nearest_case(rng: np.random.Generator, unit: Array) -> Array:
    return below_nearest(below_conv(below_average(unit, 2), rng, 3), -1)


SAMPLED = {
    "lags": (lag_case, 0.375, 0.25, lines(avg(2), em.Conv(3, padding="valid", weights=RANDOM1), avg(2),
                                          em.Conv(3, padding="valid", weights=RANDOM1), avg(2))),
    "nearest": (nearest_case, 2 / 3, 0.5, lines(NEAREST, em.Conv(3, weights=RANDOM1), em.AvgPool(2))),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_lags_against_sampled_weights(name: str) -> None:
    """The theory of lags itself: without them the mass would be `without`."""
    sample, mass, without, net = SAMPLED[name]
    expected = em.predict(net, ndim=1, width=3).map
    rng = np.random.default_rng(11)
    cells = len(expected) + 1
    error = 0.05 * (mass - without) / z_bound(cells)  # a twentieth of the effect is seen
    draws = draws_for(error, spread=mass)
    g = sample(rng, rng.normal(0, 3**-0.5, (draws, 3, 1)))
    power = (g**2).sum(axis=1)
    values = np.column_stack([power, power.sum(axis=1)])
    assert_statistical(values.mean(axis=0), values.std(axis=0) / math.sqrt(draws),
                       [*expected, expected.sum()])


@pytest.mark.parametrize("layer", [em.AvgPool(3, stride=1, padding="same"), em.MaxPool(3, stride=2)])
def test_groups_that_are_multiples_of_one_are_found_as_each(layer: Any) -> None:
    values, multiples = np.random.default_rng(0).random((1, 5, 5, 4, 4)), np.array([1.0, 0.25, 3.0])
    each = Covariance(values * multiples[:, None, None, None, None], (0, 0))
    once = Covariance(values, (0, 0), multiples=multiples)
    op = rule_of(layer).lower(layer, (9, 9), 3, 3)
    steps = [lambda state: state.through_fixed(op, (9, 9), (2, 2)),
             lambda state: state.through_route((op,), (9, 9), (2, 2), 3),
             lambda state: state.gated(np.array([2.0, 5.0, 0.5]).reshape(3, 1, 1, 1, 1)),
             lambda state: state.gated(np.random.default_rng(1).random((1, 5, 5, 9, 9))),
             lambda state: state.conditioned(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])),
             lambda state: state.merge(state.times(2.0), 3, False), lambda state: state.with_lags((1, 3)),
             lambda state: state.into_groups(np.array([-1, 0, 1]), 2),
             lambda state: state.into_groups(np.array([0, 0, -1]), 1)]
    for step in steps:
        together, apart = step(once), step(each)
        assert len(together.bare) == 1 and together.start == apart.start
        assert_close(together.values, apart.values, ROUNDING)
        assert_close(together.power, apart.power, ROUNDING)
    gate = np.random.default_rng(1).random((3, 5, 5, 9, 9))
    assert_close(once.gated(gate).values, each.gated(gate).values, ROUNDING)
    some = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    assert_close(once.conditioned(*some).values, each.conditioned(*some).values, ROUNDING)


def test_margins_of_nothing_are_left_out() -> None:
    """Of a wide map, where all lags and sites of a line are far below the largest power."""
    values = np.full((1, 3, WIDE), FAINT / 2)
    values[:, 1, 20:90] = 1.0
    values[:, 0, 15] = 10 * FAINT
    cut = Covariance(values, (-7,)).trimmed()
    assert cut.start == (8,) and np.array_equal(cut.bare, values[..., 15:90])
    narrow = Covariance(values[..., :WIDE - 1], (0,))
    assert narrow.trimmed() is narrow


def test_sums_of_many_gradients() -> None:
    parts = [Covariance(np.random.default_rng(n).random((2, 1, n + 2)), (-n,), factor=n + 0.5) for n in range(4)]
    both = functools.reduce(lambda one, other: one.merge(other, 8, False), parts)
    total = Covariance.sum_of(parts, 8, False)
    assert total.start == both.start
    assert_close(total.values, both.values, ROUNDING)


@pytest.mark.parametrize("cached", [1, 2**16])
def test_combinations_of_gradients(cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few lines are taken at a time."""
    monkeypatch.setattr(covariance, "CACHED", cached)
    rng = np.random.default_rng(0)
    parts = [Covariance(rng.random((2, 3, 1, n + 2, 5 - n)), (-n, n), factor=rng.random((1, 3, 1, 1, 1)))
             for n in range(4)]
    coefficients = rng.normal(size=(3, 4))
    for found, numbers in zip(Covariance.combinations(parts, coefficients), coefficients):
        each = [Covariance(part.values * number, part.start) for part, number in zip(parts, numbers)]
        total = functools.reduce(lambda one, other: one.merge(other, 8, False), each)
        assert found.start == total.start
        np.testing.assert_allclose(found.values, total.values, rtol=0, atol=1e-14)


def test_sums_of_gradients_of_several_groups() -> None:
    """Some of which are multiples of one array, with factors for each lag and group."""
    rng = np.random.default_rng(1)
    shares = np.array([1.0, 2.0, 3.0])
    parts = [Covariance(rng.random((1, 3, 4)), (0,), multiples=shares),
             Covariance(rng.random((1, 3, 2)), (1,), multiples=shares),
             Covariance(rng.random((3, 3, 5)), (-2,), factor=rng.random((3, 3, 1)))]
    total = Covariance.sum_of(parts, 8, False)
    assert total.start == (-2,)
    whole = sum(np.pad(part.values, [(0, 0), (0, 0), (part.start[0] + 2, 4 - part.start[0] - part.bare.shape[2])])
                for part in parts)
    assert_close(total.values, whole, ROUNDING)


def test_groups_with_winners_of_their_own_are_found_as_each() -> None:
    """Who wins a window, and how often its gate is open, is what groups differ in."""
    pool = rule_of(em.MaxPool(3, stride=2)).lower(em.MaxPool(3, stride=2), (9,), 2, 2)
    ops = [pool._replace(taps=(pool.taps[0]._replace(weights=np.array(weights)),),
                         opened=lambda counts, more=more: 1 + more * counts / (1 + counts))
           for weights, more in (([0.3, 0.4, 0.3], 0.1), ([0.4, 0.2, 0.4], 0.2))]
    values, multiples = np.random.default_rng(2).random((1, 5, 4)), np.array([1.0, 0.25])
    for state in (Covariance(values, (0,), multiples=multiples), Covariance(np.concatenate([values, values**2]), (0,))):
        together = state.through_route(ops, (9,), (4,), 2).values
        for g, op in enumerate(ops):
            alone = Covariance(state.values[g:g + 1], (0,)).through_route((op,), (9,), (4,), 2)
            assert_close(together[g:g + 1], alone.values, ROUNDING)


def by_lags(rng: np.random.Generator, lags: tuple[int, int]) -> Array:
    """A factor for each lag, the same for opposite ones."""
    g = rng.random((1, 1, 4, 3))
    return correlate(g, g, lags).sum(axis=(3, 4), keepdims=True)


def states() -> dict[str, Covariance]:
    """Gradients of three groups: each by itself, multiples of one, with factors for groups and lags, more at lag 0."""
    rng, multiples = np.random.default_rng(3), np.array([1.0, 0.25, 3.0])
    one, *others = (correlate(g, g, (3, 2)) for g in rng.normal(size=(4, 5, 1, 5, 4)))
    factor = by_lags(rng, (3, 2)) * np.array([1.5, 2.0, 0.5]).reshape(3, 1, 1, 1, 1)
    alone = np.array([other[0, 3, 2] for other in others])
    return {"each": Covariance(np.concatenate(others), (1, 2)),
            "multiples and factors": Covariance(one, (1, 2), multiples=multiples, factor=factor),
            "more at lag 0": Covariance(one, (1, 2), multiples=multiples, alone=alone, factor=0.5),
            "sums and more": Covariance(np.concatenate([one, others[0]]), (1, 2), multiples=rng.random((3, 2)),
                                        alone=alone, factor=factor),
            "all": Covariance(one, (1, 2), multiples=multiples, alone=alone, factor=factor)}


@pytest.mark.parametrize("name", states())
def test_halves_and_what_is_not_made_yet(name: str) -> None:
    """However a covariance is held, layers do to it what they do to all its values."""
    state = states()[name]
    plain = state.holding(state.values)
    rng, sizes = np.random.default_rng(4), (11, 11)
    conv = rule_of(em.Conv(3)).lower(em.Conv(3, padding=1), sizes, 3, 3)
    wide = rule_of(em.Conv(3)).lower(em.Conv(3, stride=2, padding=1), sizes, 3, 3)
    average = rule_of(em.AvgPool(3)).lower(em.AvgPool(3, stride=2, padding=1), sizes, 3, 3)
    pool = rule_of(em.MaxPool(3)).lower(em.MaxPool(3, stride=2, padding=1), sizes, 3, 3)
    pools = [pool._replace(opened=lambda counts, more=more: 1 + more * counts / (1 + counts)) for more in (.1, .2, .3)]
    shares, numbers = rng.random((3, 2)), np.array([2.0, 5.0, 0.5])
    by_site = rng.random((3, 1, 1, 11, 11))
    steps = {
        "random": lambda m: m.through_random(conv, sizes, (3, 2), shares, 3),
        "fewer lags": lambda m: m.through_random(wide, sizes, (0, 1), shares, 3),
        "more lags": lambda m: m.through_random(wide, sizes, (5, 7), shares, 3),
        "average": lambda m: m.through_fixed(average, sizes, (4, 6)), "power": lambda m: m.through_fixed(
            average, sizes, (0, 0)), "max": lambda m: m.through_route(pools, sizes, (6, 5), 3),
        "max of one": lambda m: m.through_route(pools[:1], sizes, (6, 5), 3, numbers),
        "max, power": lambda m: m.through_route(pools, sizes, (0, 0), 3),
        "max by place": lambda m: m.through_route(pools, sizes, (6, 5), 3, by_site[:, 0, 0, :6, :6]),
        "groups": lambda m: m.gated(numbers.reshape(3, 1, 1, 1, 1)), "lags": lambda m: m.gated(
            by_lags(rng, (6, 6))),
        "sites": lambda m: m.gated(by_site), "times": lambda m: m.times(3.0).gated(by_site[:1]),
        "conditioned": lambda m: m.conditioned(numbers, numbers[::-1]), "conditioned alike": lambda m: m.conditioned(
            numbers, numbers), "cut": lambda m: m.with_lags((1, 0)), "filled": lambda m: m.with_lags((4, 1)),
        "alone": lambda m: m.with_lags((0, 1)), "picked": lambda m: m.into_groups(np.array([-1, 0, -1]), 1),
        "two": lambda m: m.into_groups(np.array([-1, 0, 1]), 2), "summed": lambda m: m.into_groups(
            np.array([0, 1, 0]), 2), "gathered": lambda m: m.gathered(), "masked": lambda m: m.masked(0.25, 3),
        "merged": lambda m: m.merge(m.times(2.0), 3, False), "sum": lambda m: Covariance.sum_of(
            [m, plain, m.with_lags((3, 2)).times(0.5)], 3, False),
        "sum of other multiples": lambda m: Covariance.sum_of([
            m.gated(numbers.reshape(3, 1, 1, 1, 1)), m], 3, False)}
    for step, through in steps.items():
        rng = np.random.default_rng(5)
        want = through(plain)
        for held in (state, state.halved(), plain.halved()):
            rng = np.random.default_rng(5)
            found = through(held)
            assert (found.start, found.lags) == (want.start, want.lags), step
            unit = float(np.abs(want.values).max())
            assert_close(found.values, want.values, ROUNDING, scale=unit)
            assert_close(found.power, want.power, ROUNDING, scale=unit)
            assert found.largest >= found.power.max() / 3 * (1 - 1e-9)
    for held in (state, state.halved()):
        both = Covariance.combinations([held._apart(), plain], np.array([[1.0, 2.0]]))[0]
        assert_close(both.values, 3 * plain.values, ROUNDING, scale=1.0)
