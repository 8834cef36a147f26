"""Modes of kernels of many taps, by one transform each, against the sums over taps."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from helpers import FFT, assert_close

import erfmath as em
from erfmath.lattice import kernels
from erfmath.walks import modes
from erfmath.walks.charfun import log_phi
from erfmath.walks.spectrum import dense_phases, worthwhile
from erfmath.walks.steps import Problem

RNG = np.random.default_rng(0)
CASES = {
    "random": ([(kernels.from_weights(RNG.random(70)), 1, 3)], (241,)),
    "even period": ([(kernels.from_weights(RNG.random(70)), 1, 3)], (240,)),
    "shorter than the kernel": ([(kernels.uniform(90), 1, 2)], (48,)),
    "zeros of f": ([(kernels.uniform(64), 1, 5)], (512,)),
    "two groups": ([(kernels.from_weights(RNG.random(65)), 2, 2), (kernels.corners(3), 1, 3)], (300,)),
    "plane": ([(kernels.from_weights(RNG.random((9, 8))), 1, 2)], (24, 31)),
}


@pytest.mark.parametrize("name", CASES)
def test_phases_are_those_of_the_sums(name: str) -> None:
    steps, period = CASES[name]
    problem = Problem(steps)
    assert worthwhile(problem.blocks, period)
    whole = [math.floor(mean) for mean in problem.lattice_mean]
    rest = [float(mean - one) for mean, one in zip(problem.lattice_mean, whole)]
    kept, found = dense_phases(problem.blocks, whole, rest, period, 20.0)
    grid = np.argwhere(np.ones((*period[:-1], period[-1] // 2 + 1), dtype=bool))
    grid = np.where(2 * grid > np.array(period), grid - np.array(period), grid)
    logs, args, _ = log_phi(problem.blocks, grid, period)
    assert (np.exp(logs[~kept.ravel()]) < np.exp(-20)).all()
    want = np.exp(logs + 1j * args)[kept.ravel()]
    assert_close(np.abs(np.exp(found[0] + 1j * found[1]) - want), np.zeros(len(want)), FFT, scale=1.0)


@pytest.mark.parametrize("method", ["window", "fft"])
def test_walks_of_many_taps_within_their_bound(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = [int(w) for w in RNG.integers(1, 1000, 80)]
    kernel, n = kernels.from_weights(weights), 4
    exact = em.walk(kernel, n, method="rational")
    found = em.walk(kernel, n, method=method)
    sites = np.arange(n * 79 + 1)
    error = max(abs(Fraction(value) - want) for value, want in zip(found.pmf(sites).tolist(), exact.exact(sites)))
    assert error <= found.error_bound < 1e-14 * found.pmf(sites).max()

    def without(*_: object) -> bool:
        return False

    monkeypatch.setattr(modes, "worthwhile", without)
    by_sums = em.walk(kernel, n, method=method)
    assert np.abs(by_sums.pmf(sites) - found.pmf(sites)).max() <= by_sums.error_bound + found.error_bound


def test_few_taps_are_summed() -> None:
    assert not worthwhile(Problem([(kernels.uniform(7), 1, 100)]).blocks, (2000,))
    # Thousands of layers leave few modes: no transform of a torus a thousand times as long as the kernel.
    assert not worthwhile(Problem([(kernels.uniform(101), 1, 10**6)]).blocks, (10**6,))
