"""Kernels, jumps and counts in one normal form: moments of layers, sites that fit 64 bits."""

from __future__ import annotations

from math import log, prod

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.lattice import kernels


@pytest.mark.parametrize("make", [
    lambda: em.walk(kernels.uniform(3), 10**30, method="window"), lambda: em.walk([(kernels.uniform(3), 2**62, 2)]),
    lambda: em.walk([(kernels.uniform(3), 2**70, 1)]), lambda: em.walk([(kernels.uniform(3), -2**62, 2)]),
    lambda: em.walk(kernels.from_weights([1, 2], offset=2**70), 1),
    lambda: em.walk(kernels.uniform(3), 10**19, method="normal"),
])
def test_walk_refuses_sites_beyond_64_bits(make) -> None:
    with pytest.raises(ValueError, match="must stay below 2\\*\\*63"):
        make()


@pytest.mark.slow
def test_walk_refuses_more_pairs_of_taps_than_fit() -> None:
    kernel = kernels.from_weights(np.random.default_rng(0).random(9000))
    for method in ("window", "fft"):
        with pytest.raises(SizeError, match="pairs of 9000 taps would need .* bytes"):
            em.walk(kernel, 3, method=method).pmf(0)


def test_walk_carries_masses_beyond_floats() -> None:
    assert_close(em.walk(kernels.from_weights([1e308, 1e308]), 2).log_mass, 2 * (308 * log(10) + log(2)), ROUNDING)


@pytest.mark.parametrize("rows", [0, 10**9])
def test_variances_of_blocks_of_many_kernels(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernel by kernel, by the sums that are exact for few kernels and by those that are quick for many."""
    monkeypatch.setattr("erfmath.walks.steps._EXACT_ROWS", rows)
    weights = [[1.0, 2.0 + i, 3.0, 0.5 * i] for i in range(6)]
    steps = [(em.kernels.from_weights(w), 1, n) for n, w in enumerate(weights, 1)]
    x, expected = np.arange(4), 0.0
    for n, w in enumerate(weights, 1):
        p = np.array(w) / sum(w)
        expected += n * (p @ x**2 - (p @ x)**2)
    blocks = em.walk(steps, method="window")._problem.blocks
    assert_close(sum(float(block.variances[0]) for block in blocks), expected, ROUNDING)


def test_walk_distinct_kernels() -> None:
    """Rows one by one, and by summed cumulants; zeros in rows; a mirrored jump."""
    rows = np.random.default_rng(0).random((300, 4))
    rows[::5, 0] = 0
    stack = kernels.KernelStack(rows, offset=-1)
    for jump in (1, -2):
        steps = [(kernels.from_weights(row, offset=-1), jump, 2) for row in rows]
        exact = em.walk(steps)
        walk = em.walk([(stack, jump, 2)], method="window")
        assert walk.support == exact.support
        assert_close(np.array([walk.mean, walk.var]), np.array([exact.mean, exact.var]), ROUNDING)
        want = exact.array(*walk.window)[0]
        assert np.abs(walk.array()[0] - want).max() <= walk.error_bound + exact.error_bound


def test_walk_mass_of_residual_blocks() -> None:
    """(1 + w)^n: the pmf of a lazy walk, and its total 2^n in the logarithm."""
    block = kernels.residual(kernels.uniform(3).centred())
    walk = em.walk(block, 2000)
    assert_close(walk.log_mass, 2000 * log(2), ROUNDING)
    assert_close(walk.var, 2000 / 3, ROUNDING)
    small = em.walk([(block, 1, 3), (kernels.residual(kernels.uniform(3).centred(), 2, 1), 2, 1)])
    values = np.ones(1)
    for taps in ([1, 4, 1],) * 3 + ([1, 0, 7, 0, 1],):
        values = np.convolve(values, np.array(taps) / 3)
    assert_close(small.array()[0] * np.exp(small.log_mass), values, ROUNDING)
    assert prod(small.array()[0].shape) == 11
