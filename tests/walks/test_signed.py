"""Kernels with negative weights: a convolution, no distribution."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import FFT, ROUNDING, assert_close
from walk_oracles import dense, exact_distribution

import erfmath as em
from erfmath.lattice import kernels

SIGNED = {
    "line": [(kernels.from_weights([1, -2, 3.5]), 1, 20)],
    "zero sum": [(kernels.from_weights([1, -2, 1]), 2, 30), (kernels.uniform(3), 1, 10)],
    "mixed": [(kernels.from_weights([-1, 3]), -1, 40), (kernels.from_weights([2., 1.]), 3, 5)],
    "plane": [(kernels.from_weights([[1, -2], [.5, 3]]), 1, 6), (kernels.uniform((2, 2)), 2, 2)],
    "sign": [(kernels.from_weights([-2]), 1, 3), (kernels.uniform(2), 1, 4)],
}


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("method", ["fft", "rational", "auto"])
def test_walk_signed(name: str, method: str) -> None:
    """The convolution itself, its error small against the largest value."""
    walk = em.walk(SIGNED[name], method=method)
    values, start = walk.array()
    want = dense(exact_distribution(SIGNED[name]), values.shape, np.atleast_1d(start))
    assert np.abs(values - want).max() <= walk.error_bound + ROUNDING.rtol * FFT.atol
    assert walk.error_bound <= 10 * FFT.atol * np.abs(want).max()


def test_walk_signed_out_of_range() -> None:
    """Values beyond the range of floats keep their exponents."""
    walk = em.walk(kernels.from_weights([3, -4, 3]), 2000, method="fft")
    exact = em.walk(kernels.from_weights([3, -4, 3]), 2000, method="rational")
    middle = exact.scaled(2000)
    found = walk.scaled(2000)
    assert middle.exponent > 1100
    ratio = np.ldexp(found.mantissa / middle.mantissa, int(found.exponent - middle.exponent))
    assert abs(ratio - 1) <= FFT.atol * 100


@pytest.mark.parametrize("method", ["exact", "window", "normal", "edgeworth", "saddlepoint"])
def test_walk_refuses_signed_kernels(method: str) -> None:
    with pytest.raises(ValueError, match='negative weights.*"fft".*"rational"'):
        em.walk(kernels.from_weights([1, -2, 1]), 3, method=method)


@pytest.mark.parametrize("ask", ["mean", "var", "covariance", "kurtosis"])
def test_walk_signed_has_no_moments(ask: str) -> None:
    walk = em.walk(kernels.from_weights([1, -2, 1]), 3, method="fft")
    with pytest.raises(ValueError, match="negative weights"):
        getattr(walk, ask)
    with pytest.raises(ValueError, match="negative weights"):
        walk.logpmf(3)


def test_walk_normalises_every_positive_kernel() -> None:
    """Also one with the taps of a signed one: 5 paths of value, as by convolution."""
    k = kernels.from_weights
    steps = [(k([-1., 4., -1.]), 1, 2), (k([1., 2., 1.]), 1, 1)]
    for method in ("rational", "fft", "auto"):
        assert_close(em.walk(steps, method=method).pmf(3), 5.0, FFT)
