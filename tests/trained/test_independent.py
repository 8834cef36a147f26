"""Independent gates: against every combination of gates there is, against gates that are drawn, against known cases."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close, assert_statistical

import erfmath as em
from erfmath.trained import independent

Array = Any


def matrix(w: Array, n: int, padding: int = 1, stride: int = 1) -> Array:
    """A 1-D convolution of kernel w (out, in, k) on n sites, as a matrix (out * sites, in * n)."""
    out, into, k = w.shape
    sites = (n + 2 * padding - k) // stride + 1
    found = np.zeros((out, sites, into, n))
    for x, a in itertools.product(range(sites), range(k)):
        if 0 <= x * stride + a - padding < n:
            found[:, x, :, x * stride + a - padding] += w[:, :, a]
    return found.reshape(out * sites, into * n)


def combinations(open_with: Array) -> Any:
    """Every combination of independent gates, with its probability."""
    for gates in itertools.product([0, 1], repeat=len(open_with)):
        held = np.array(gates)
        yield np.prod(np.where(held, open_with, 1 - open_with)), held[:, None]


def test_every_combination_of_gates() -> None:
    rng = np.random.default_rng(0)
    w1, w2, w3 = (rng.standard_normal(shape) for shape in ((1, 1, 3), (2, 1, 3), (2, 2, 2)))
    p1, p2 = np.array([0.3]), np.array([0.6, 0.8])
    first, second, last = matrix(w1, 4), matrix(w2, 4), matrix(w3, 4, 0)[[1, 4]]  # both channels of unit 1 of 3
    power, mean = np.zeros(4), np.zeros((2, 4))
    for a, one in combinations(np.repeat(p1, 4)):
        for b, other in combinations(np.repeat(p2, 4)):
            gradient = last @ (other * (second @ (one * first)))
            power += a * b * (gradient**2).sum(axis=0) / 2
            mean += a * b * gradient
    net = em.serial(em.Conv(3, 1), em.Activation("relu"), em.Conv(3, 2), em.Activation("relu"),
                    em.Conv(2, 2, padding="valid"))
    about: Any = {"weights": {"conv1": w1, "conv2": w2, "conv3": w3}, "gates": {"relu1": p1, "relu2": p2},
                  "image": 4, "unit": 1, "channels_in": 1, "ndim": 1}
    erf: Any = em.predict(net, **about)
    assert erf.stderr is None and erf.method == "exact"
    assert_close(erf.map, power, ROUNDING)
    assert_close(erf.coherent_map, (mean**2).sum(axis=0) / 2, ROUNDING)
    assert_close(erf.coherent + sum(erf.contributions.values()), 1.0, ROUNDING)
    assert_close(em.predict(net, statistic="mean", **about).map, mean.mean(axis=0), ROUNDING)


def test_every_winner_of_a_pool_and_a_stream_with_a_stride() -> None:
    """A pool, a residual branch, a slope of two values and a convolution of stride 2."""
    rng = np.random.default_rng(1)
    w1, w2, w3 = (rng.standard_normal(shape) for shape in ((1, 1, 3), (1, 1, 3), (1, 1, 3)))
    shares, part, slope = np.array([0.7, 0.3]), 0.4, 0.5
    first, branch, last = matrix(w1, 8), matrix(w2, 4), matrix(w3, 4, 1, 2)[[1]]  # unit 1 of 2
    power = np.zeros(8)
    for winners in itertools.product([0, 1], repeat=4):
        pool = np.zeros((4, 8))
        pool[range(4), [2 * i + w for i, w in enumerate(winners)]] = 1
        for b, gate in combinations(np.full(4, part)):
            gradient = last @ (np.eye(4) + (slope + (1 - slope) * gate) * branch) @ pool @ first
            power += np.prod(shares[list(winners)]) * b * gradient[0]**2
    net = em.serial(em.Conv(3, 1), em.MaxPool(2),
                    em.residual(em.serial(em.Conv(3, 1), em.Activation("leaky_relu", slope=slope))),
                    em.Conv(3, 1, stride=2))
    erf = em.predict(net, weights={"conv1": w1, "conv2": w2, "conv3": w3}, image=8, unit=1, channels_in=1, ndim=1,
                     gates={"max_pool1": shares, "leaky_relu1": part})
    assert_close(erf.map, power, ROUNDING)


def test_random_signs_are_exact_on_average(monkeypatch: pytest.MonkeyPatch, branched: Any) -> None:
    net, weights = branched
    images = np.random.default_rng(3).standard_normal((32, 2, 21, 21))
    about: Any = {"weights": weights, "images": images, "gates": "independent", "unit": (0, 1)}
    exact: Any = em.predict(net, **about)
    monkeypatch.setattr(independent, "EXACT_COLUMNS", 0)
    probed: Any = em.predict(net, draws=1500, rng=0, **about)
    assert exact.stderr is None and probed.stderr is not None
    assert_statistical(probed.std, probed.std_stderr, exact.std)
    assert_statistical(probed.total, probed.total_stderr, exact.total)
    for axis in (0, 1):
        seen = exact.profile(axis) > 1e-3
        assert_statistical(probed.profile(axis)[seen], probed.profile_stderr(axis)[seen], exact.profile(axis)[seen])
    assert np.allclose(probed.coherent, exact.coherent, atol=0.02)
    assert probed.contributions.keys() == exact.contributions.keys()
    for name, part in exact.contributions.items():
        assert abs(part - probed.contributions[name]) < 0.05


def test_at_initialisation_the_mean_is_the_theory() -> None:
    net = em.serial(em.Conv(3, 8), em.Activation("relu"), em.Conv(3, 8), em.Activation("relu"), em.Conv(3, 1))
    rng = np.random.default_rng(5)
    maps = np.array([em.predict(net, ndim=1, channels_in=2, gates={"relu1": 0.5, "relu2": 0.5}, weights={
        "conv1": rng.standard_normal((8, 2, 3)) / np.sqrt(3), "conv2": rng.standard_normal((8, 8, 3)) / np.sqrt(12),
        "conv3": rng.standard_normal((1, 8, 3)) / np.sqrt(12)}).map for _ in range(150)])
    theory = em.predict(net, ndim=1, channels_in=2)
    assert_statistical(maps.mean(axis=0), maps.std(axis=0, ddof=1) / np.sqrt(len(maps)), theory.map)


def test_every_factor_of_a_product() -> None:
    """A gated unit, halves of channels multiplied: what multiplies each half takes one of two values at every site."""
    rng = np.random.default_rng(8)
    w1, w2 = rng.standard_normal((2, 1, 3)), rng.standard_normal((1, 1, 3))
    first, last = matrix(w1, 3), matrix(w2, 3)[[1]]
    low, high = np.array([-0.5, 0.2]), np.array([1.5, 0.9])     # of the first and the second half's factor
    power = np.zeros(3)
    for halves in itertools.product(itertools.product([0, 1], repeat=3), repeat=2):
        factors = [np.where(half, high[k], low[k]) for k, half in enumerate(halves)]
        gradient = np.concatenate([last[0] * factor for factor in factors]) @ first
        power += gradient**2 / 4**3
    net = em.serial(em.Conv(3, 2), em.multiply(em.Slice(0, 1), em.Slice(1, 2)), em.Conv(3, 1))
    by_hand = np.stack([(low + high) / 2, (low**2 + high**2) / 2], axis=1)[:, :, None]
    erf = em.predict(net, weights={"conv1": w1, "conv2": w2}, gates={"multiply1": by_hand}, image=3, unit=1,
                     channels_in=1, ndim=1)
    assert erf.stderr is None
    assert_close(erf.map, power, ROUNDING)
