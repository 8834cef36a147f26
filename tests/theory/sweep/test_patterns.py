"""Patterns on small maps: against sums over sites one by one, sampled channels and networks."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, Tolerance, assert_close

import erfmath as em
from erfmath.layers.geometry import AxisGeometry
from erfmath.networks.settings import RunSettings
from erfmath.theory.rules.base import axis_weights, rule_of
from erfmath.theory.rules.functions import rectifier
from erfmath.theory.sweep import patterns
from erfmath.theory.sweep.backward import prepared
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.lowering import Linear, separable
from erfmath.theory.sweep.moments import Moments, concatenate
from erfmath.theory.sweep.plan import Graph
from erfmath.theory.sweep.sources import Sum
from erfmath.theory.sweep.values import Gaussian

#: Of the quadrature.
NEAR = Tolerance(1e-5, 1e-9)


def moments(q: np.ndarray) -> Moments:
    return Moments(q[None, None, None], np.zeros(1), np.zeros(1), (None,), False)


def test_variances_of_values_of_their_own_alone() -> None:
    """Of n squares of normal values E[1 / mean] = n / (n - 2); a pattern along all of them is more of the same."""
    assert_close(patterns.inverse(2.0, 12, 0.0, 1.0), (12 / 10 / 2, 0.0), NEAR)
    whole, part = patterns.inverse(1.5, 12, 0.5, 12)
    assert_close((whole, part), (12 / 10 / 2, 0.5 / 2), NEAR)


def test_what_values_of_their_own_add_to_a_pattern() -> None:
    """Sampled: a pattern of three sites that six inputs share, with values of their own at each site of each."""
    rng = np.random.default_rng(3)
    pattern, own = rng.normal(size=(400_000, 1, 3)), rng.normal(size=(400_000, 6, 3))
    square = ((pattern * 0.8**0.5 + own)**2).mean(axis=(1, 2))
    whole, part = patterns.inverse(1.0, 18, 0.8, 3)
    assert_close(whole, (1 / square).mean(), Tolerance(2e-3, 0.0))  # 0.649; 0.625 if the two squares were added
    level = (1 / square) * 0.8  # given the sum v of the inputs' values, v^2 / (0.8 + 1 / 6) times 0.8 is the pattern's
    direct = (level * ((pattern * 0.8**0.5 + own).mean(axis=1)**2).mean(axis=1) / (0.8 + 1 / 6)).mean()
    assert_close(part, direct, Tolerance(3e-3, 0.0))


def test_random_weights_read_both_sites_through_one_tap() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(20, 20))
    weights = [np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.1, 0.3])]
    geometry = (AxisGeometry(3, 1, padding=(1, 1)), AxisGeometry(3, 2, padding=(1, 1)))
    op = Linear.random(separable(geometry, weights), 1.7, 1)
    found = patterns.through_random(op, shared, (4, 5), (4, 3))
    expected, before = np.zeros((4, 3, 4, 3)), shared.reshape(4, 5, 4, 5)
    for x, y, z, w in np.ndindex(4, 3, 4, 3):
        for a, b in np.ndindex(3, 3):
            there = (x + a - 1, 2 * y + b - 1, z + a - 1, 2 * w + b - 1)
            if all(0 <= place < size for place, size in zip(there, (4, 5, 4, 5))):
                expected[x, y, z, w] += 1.7 * weights[0][a] * weights[1][b] * before[there]
    assert found is not None
    assert_close(found, expected.reshape(12, 12), ROUNDING)


def test_transposed_layers_read_both_sites_through_one_phase() -> None:
    shared = np.random.default_rng(3).normal(size=(3, 3))
    op = Linear.random(separable((AxisGeometry(2, 2, transposed=True),), [np.array([0.3, 0.7])]), 2.0, 1)
    found = patterns.through_random(op, shared, (3,), (6,))
    expected = [[2 * (0.3, 0.7)[y % 2] * shared[y // 2, w // 2] * (y % 2 == w % 2) for w in range(6)] for y in range(6)]
    assert found is not None
    assert_close(found, np.array(expected), ROUNDING)


#: Weights of filters of 6 sites, row by row.
FILTERS = [
    (em.AvgPool(3, 1, 1), (np.eye(6) + np.eye(6, k=1) + np.eye(6, k=-1)) / 3),
    (em.AvgPool(3, 2, 1, count_include_pad=False),
     np.array([[3, 3, 0, 0, 0, 0], [0, 2, 2, 2, 0, 0], [0, 0, 0, 2, 2, 2]]) / 6),
    (em.BlurPool(3, 2), np.array([[2, 1, 0, 0, 0, 0], [0, 1, 2, 1, 0, 0], [0, 0, 0, 1, 2, 1]]) / 4),
    (em.AdaptiveAvgPool(4),
     np.array([[1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 1]]) / 2),
]


@pytest.mark.parametrize("layer, weights", FILTERS)
def test_filters_read_patterns_site_by_site(layer: em.Layer, weights: np.ndarray) -> None:
    lines = axis_weights(rule_of(layer).lower(layer, (6,), 1, 1), (6,), (len(weights),))
    assert lines is not None
    assert_close(lines[0], weights, ROUNDING)
    shared = np.cov(np.random.default_rng(0).normal(size=(6, 50)))
    kept = patterns._axis(len(weights))[0]
    assert_close(patterns.through_filter(lines, shared), (weights @ shared @ weights.T)[np.ix_(kept, kept)], ROUNDING)


def test_copies_of_few_sites() -> None:
    lines = axis_weights(rule_of(em.Upsample(2)).lower(em.Upsample(2), (3,), 1, 1), (3,), (6,))
    assert lines is not None
    assert_close(lines[0], np.repeat(np.eye(3), 2, axis=0), ROUNDING)
    # Of more, sites differ by phase, so that none stands for others.
    assert axis_weights(rule_of(em.Upsample(2)).lower(em.Upsample(2), (6,), 1, 1), (6,), (12,)) is None


def test_patterns_after_blurs() -> None:
    """Second moments of 40 draws of 8 inputs at width 64; 0.1935 and 0.313 where what the blur does is not followed."""
    block = (em.Conv(3, 64), em.BatchNorm(), em.Activation("relu"))
    net = em.serial(*block, em.BlurPool(3, 2), *block, em.BlurPool(3, 2), *block)
    table = em.signals(net, image=24, width=64)
    second = {row.node: row.second for row in table.nodes}
    assert_close(second["blur_pool2"], 0.209, Tolerance(0.01, 0.0))
    assert_close(second["conv3"], 0.3382, Tolerance(0.02, 0.0))


def test_rectified_sums_let_patterns_pass_as_often_as_they_are_positive() -> None:
    """Of independent standard normal values relu(z) + z' is so with probability 5/8."""
    relu = rectifier(1.0, 0.0)
    value = Sum.of((Gaussian.of(1.0, 0.0).value().through(relu),), 1.0, 0.0).value()
    m = Moments(np.full((1, 1, 1, 2, 2), 1.5), np.zeros(1), np.zeros(1), (value,), False)
    shared = np.random.default_rng(5).normal(size=(4, 4))
    assert_close(patterns.through_function(relu, m, m, (shared,))[0], (5 / 8)**2 * shared, Tolerance(1e-12, 1e-12))


def test_patterns_that_are_not_followed_are_unknown() -> None:
    even = Moments(np.ones((1, 1, 5)), np.array([0.2]), np.array([0.2]), (None,), False)
    uneven = Moments(np.ones((1, 1, 5)), np.array([0.2]), np.array([0.4]), (None,), False)
    assert patterns.mixed(even, (None,), np.ones(1)) is not None
    assert patterns.mixed(uneven, (None,), np.ones(1)) is None
    both = concatenate([even, uneven])
    shared = patterns.mixed(both, (None, np.full((5, 5), 0.4)), np.array([0.75, 0.25]))
    assert shared is not None
    assert_close(shared, np.full((5, 5), 0.25), ROUNDING)
    assert patterns.mixed(both, (None, None), np.array([0.7, 0.3])) is None  # 0.05 of 1 is what may be left out
    assert patterns.mixed(both, (None, None), np.array([0.8, 0.2])) is not None


def test_large_maps_have_sites_that_stand_for_others() -> None:
    """Means fall at both ends of an axis alone: all sites between are alike, and count as often as they are."""
    op = Linear.random(separable((AxisGeometry(3, 1, padding=(1, 1)),), [np.full(3, 1 / 3)]), 1.0, 1)
    small, large = (patterns.through_random(op, np.ones((min(n, 7),) * 2), (n,), (n,)) for n in (7, 30))
    assert small is not None and large is not None
    assert_close(small, large, ROUNDING)
    shared = np.diag(np.full(7, 0.2)) + 0.1
    after, gain = patterns.through_batch_norm(Moments(np.ones((1, 1, 7)), np.zeros(1), np.zeros(1), (None,), False),
                                              shared, 8)
    assert np.abs(after @ np.array([1, 1, 1, 1, 1, 1, 1]) / 7).max() < 1e-12
    assert gain > 1 / 0.9


@pytest.mark.parametrize(("image", "block"), [
    (12, em.serial(em.Conv(3), em.BatchNorm(), em.Activation("relu"))),
    (24, em.serial(em.residual(em.serial(em.Conv(3), em.BatchNorm(), em.Activation("relu"), em.Conv(3),
                                         em.BatchNorm())), em.Activation("relu")))])
def test_sites_that_stand_for_others_do_as_well_as_all(image: int, block: em.Network,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Totals of six layers are 0.966 and 0.985 of those of all sites, if those between three at each border are one."""
    def total() -> float:
        for known in (patterns._axis, patterns._map, patterns._passage):
            known.cache_clear()
        start = em.serial(em.Conv(3), em.BatchNorm(), em.Activation("relu"))
        return float(em.predict(em.serial(start, em.repeat(block, 5)), image=image).total)
    few = total()
    monkeypatch.setattr(patterns, "APART", image)
    every = total()
    monkeypatch.undo()
    total()
    assert abs(few / every - 1) < 0.01


def test_channels_of_a_batch_norm() -> None:
    """E[1 / variance] and what is left of a pattern, of sampled channels: four sites, eight inputs."""
    rng = np.random.default_rng(1)
    root = np.array([[0.6, 0.0, 0.0, 0.0], [0.2, 0.3, 0.0, 0.0], [-0.4, 0.1, 0.1, 0.0], [0.0, 0.3, 0.2, 0.3]])
    shared = root @ root.T
    q = (shared.diagonal() + 0.5).reshape(2, 2)
    common = rng.normal(size=(200_000, 1, 4)) @ root.T
    v = common + rng.normal(size=(200_000, 8, 4)) * 0.5**0.5
    v -= v.mean(axis=(1, 2), keepdims=True)
    variance = (v**2).mean(axis=(1, 2))
    after, gain = patterns.through_batch_norm(moments(q), shared, 8)
    assert abs(gain * (1 / (1 / variance).mean()) - 1) < 0.02  # a pattern of three unequal parts
    y = v / np.sqrt(variance)[:, None, None]
    pairs = np.einsum("nx,ny->xy", y[:, 0], y[:, 1]) / len(y)
    assert np.abs(after - pairs).max() < 0.06  # of 1; means over 8 inputs are taken off as well
    assert abs(np.trace(after) - np.trace(pairs) - 4 / 31) < 0.1


def test_means_that_borders_turn() -> None:
    """Sampled 2.45 +- 0.015; 4.22 where the mean of tanh counts as of one sign, which is negative near borders."""
    conv = em.Conv((3,), 48, padding=1)
    net = em.serial(conv, conv, em.BatchNorm(), em.Activation("hardsigmoid"), em.AvgPool(3, 1, 1), em.BatchNorm(),
                    em.Activation("tanh"), conv, em.BatchNorm(), conv)
    assert em.predict(net, image=7, channels_in=48).total == pytest.approx(2.45, rel=0.15)


def test_patterns_after_scales_and_shifts() -> None:
    """With shifts sampled: 2.32 +- 0.015; 1.60 where the patterns after the norm are those before its shifts."""
    def after(*norms: em.Layer) -> float:
        conv = em.Conv((3,), 48, padding=1)
        net = em.serial(conv, em.Activation("sigmoid"), conv, *norms, conv, em.BatchNorm(), conv)
        return em.predict(net, image=7, channels_in=48).total
    assert after(em.BatchNorm(shift_var=0.5)) == pytest.approx(2.32, rel=0.03)
    assert_close(after(em.BatchNorm(scale_var=3.0)), after(em.BatchNorm(), em.Scale(2.0)), ROUNDING)


@pytest.mark.parametrize(("image", "sampled"), [(64, 82.4), (96, 111.3)])
def test_totals_of_a_resnet_on_small_images(image: int, sampled: float) -> None:
    """`measure(resnet18(), rng=0)`, 1000 and 500 draws (minutes): 82.4(4), 111.3(7); 0.88 and 0.94 of that before."""
    assert_close(em.predict(em.zoo.resnet18(), image=image).total, sampled, Tolerance(0.02, 0.0))


@pytest.mark.parametrize("function", ["sigmoid", "relu"])
def test_residual_networks_on_small_maps(function: str) -> None:
    """Sigmoids have large means: without patterns the total was 0.79 of the sampled one."""
    def part(*more: em.Layer) -> em.Network:
        return em.serial(em.Conv((3,), 32), em.BatchNorm(), *more)
    act = em.Activation(function)
    net = em.serial(part(act), *(em.serial(em.residual(em.serial(part(act), part())), act) for _ in range(3)))
    about = {"image": 12, "ndim": 1, "width": 32, "channels_in": 32}
    sampled, theory = em.measure(net, draws=300, rng=2, **about), em.predict(net, **about)
    assert abs(theory.total / sampled.total - 1) < 0.1
    graph = Graph.of(net, RunSettings.of(net, **about))
    assert prepared(graph, False, InputModel())[1].shared


def test_values_that_are_all_in_common_leave_the_gain_of_a_norm() -> None:
    """A pool of one site beside what it pools: rounding leaves nothing of its own, and no mean of 1 / variance."""
    net = em.serial(em.MaxPool(3, 1, 1), em.Conv(3, 2, groups=2), em.GlobalAvgPool(),
                    em.concat(em.MaxPool(3, 1, 1), em.BatchNorm("identity")), em.BatchNorm())
    place = {"image": 4, "ndim": 3, "channels_in": 2, "unit": 0}
    assert em.predict(net, **place).total > 0
    em.layer_shares(net, **place)  # the same with the pool left as it is
