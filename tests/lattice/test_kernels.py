"""Kernels with names: moments in closed form, products, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

from erfmath.base.errors import SizeError
from erfmath.lattice import kernels

FAMILIES = [kernels.uniform, kernels.binomial, kernels.triangular, kernels.corners]


@pytest.mark.parametrize("k", [1, 2, 3, 4, 7, 31])
def test_kernels_closed_forms(k: int) -> None:
    assert kernels.uniform(k).weights.tolist() == [1] * k
    assert kernels.binomial(k).weights.tolist() == [comb(k - 1, a) for a in range(k)]
    assert_close(kernels.uniform(k).var, (k**2 - 1) / 12, ROUNDING)
    assert_close(kernels.binomial(k).var, (k - 1) / 4, ROUNDING)
    assert_close(kernels.corners(k).var, ((k - 1) / 2) ** 2, ROUNDING)
    for family in FAMILIES:
        kernel = family(k)
        assert kernel.is_exact and kernel.mass == 1 and kernel.offset == (0,)
        assert_close(kernel.mean, (k - 1) / 2, ROUNDING)
        assert_close(kernel.pmf.sum(), 1.0, ROUNDING)
    if k > 1:
        assert_close(kernels.uniform(k).kurtosis, -1.2 * (k**2 + 1) / (k**2 - 1), ROUNDING)
        assert_close(kernels.binomial(k).kurtosis, -2 / (k - 1), ROUNDING)


def test_triangular_is_two_uniforms() -> None:
    """An odd triangle is a uniform kernel convolved with itself."""
    assert_close(kernels.triangular(7).weights, np.convolve([1] * 4, [1] * 4), EXACT)
    assert kernels.triangular(4).weights.tolist() == [1, 2, 2, 1]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_soft_rim_runs_from_uniform_to_corners(k: int) -> None:
    for rim, family in ((0, kernels.uniform), (1, kernels.corners)):
        soft = kernels.soft_rim(k, rim)
        assert soft.is_exact and not kernels.soft_rim(k, float(rim)).is_exact
        assert_close(soft.pmf, family(k).pmf, ROUNDING)
    quarter = kernels.soft_rim(k, Fraction(1, 4))
    assert quarter.total == 1
    mixed = 0.75 * kernels.uniform(k).pmf + 0.25 * kernels.corners(k).pmf
    assert_close(kernels.soft_rim(k, .25).pmf, mixed, ROUNDING)
    assert_close(quarter.pmf, mixed, ROUNDING)


@pytest.mark.parametrize("family", FAMILIES)
def test_kernels_products(family) -> None:
    """In d dimensions the kernel is the product of its axes, and knows it."""
    kernel = family((2, 3, 4))
    lines = [family(k).pmf for k in (2, 3, 4)]
    assert_close(kernel.pmf, np.einsum("a,b,c->abc", *lines), ROUNDING)
    factors = kernel.separable_factors()
    assert factors is not None
    for axis, (factor, line) in enumerate(zip(factors, lines)):
        assert_close(factor.pmf, line, ROUNDING)
        assert_close(kernel.marginal(axis).pmf, line, ROUNDING)
    assert_close(kernel.mean, np.array([family(k).mean for k in (2, 3, 4)]), ROUNDING)
    assert_close(kernel.var, np.array([family(k).var for k in (2, 3, 4)]), ROUNDING)


def test_corners_are_corners() -> None:
    pmf = kernels.corners((3, 3, 3)).pmf
    assert_close(pmf[::2, ::2, ::2], np.full((2, 2, 2), 1 / 8), EXACT)
    assert np.count_nonzero(pmf) == 8


def test_from_weights_of() -> None:
    values = [1, -2, 3]
    assert kernels.from_weights(values, of="abs").weights.tolist() == [1, 2, 3]
    assert kernels.from_weights(values, of="square").weights.tolist() == [1, 4, 9]
    assert kernels.from_weights(values, of="square").mass == 14
    signed = kernels.from_weights(values)
    assert signed.is_signed and signed.weights.tolist() == values
    for ask in ("pmf", "mean", "var", "kurtosis"):
        with pytest.raises(ValueError, match="negative weights.*of='square'"):
            getattr(signed, ask)
    with pytest.raises(ValueError, match='"value", "abs" or "square"'):
        kernels.from_weights(values, of="power")


def test_residual() -> None:
    block = kernels.residual(kernels.uniform(3).centred(), Fraction(1, 2), 2)
    assert block.weights.tolist() == [Fraction(2, 3), Fraction(7, 6), Fraction(2, 3)]
    assert block.mass == Fraction(5, 2)
    beside = kernels.residual(kernels.from_weights([.5, .5], offset=2), 1.0, 1.0)
    assert beside.offset == (0,) and beside.weights.tolist() == [1, 0, .5, .5]
    plane = kernels.residual(kernels.uniform((3, 3)).centred())
    assert plane.weights[1, 1] == Fraction(10, 9) and plane.separable_factors() is None
    for a, b in ((-1, 1), (0, 0)):
        with pytest.raises(ValueError, match="neither may be negative"):
            kernels.residual(kernels.uniform(3), a, b)


@pytest.mark.parametrize("make, message", [
    (lambda: kernels.uniform(0), "at least 1"), (lambda: kernels.binomial((3, -1)), "at least 1"),
    (lambda: kernels.soft_rim(3, 1.5), "between 0"), (lambda: kernels.soft_rim(3, -1), "between 0"),
    (lambda: kernels.from_weights([1, 2], offset=(1, 2)), "must have 1 values"),
    (lambda: kernels.KernelStack(np.ones(3)), "kernels, taps"),
    (lambda: kernels.KernelStack(np.array([[1, -1]])), "non-negative"),
    (lambda: kernels.KernelStack(np.array([[1, 1], [0, 0]])), "no row all zero"),
])
def test_kernels_refuse(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_kernels_sizes_must_be_integers() -> None:
    with pytest.raises(ValueError):
        kernels.uniform(3.0)


@pytest.mark.parametrize("make", [
    lambda: kernels.uniform(10**9), lambda: kernels.uniform((10**5, 10**5)), lambda: kernels.binomial(10**6),
    lambda: kernels.soft_rim(10**10, 0.5), lambda: kernels.triangular((2**20, 2**20)), lambda: kernels.corners(10**12)])
def test_kernels_that_would_not_fit_are_refused(make) -> None:
    with pytest.raises(SizeError, match=r"a kernel of .* taps would need \d+ bytes"):
        make()
