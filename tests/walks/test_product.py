"""Separable walks: one walk an axis."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from helpers import FFT, ROUNDING, assert_close
from walk_cases import PLANE
from walk_oracles import dense, exact_distribution

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.lattice import kernels
from erfmath.walks import METHODS


@pytest.mark.parametrize("method", [m for m in METHODS if m != "rational"])
def test_walk_separable_is_a_product(method: str) -> None:
    walk = em.walk(PLANE, method=method)
    axes = [em.walk([(kernels.uniform(3), 2, 4), (kernels.binomial(2), 1, 3)], method=method),
            em.walk([(kernels.uniform(2), 1, 4), (kernels.binomial(3), 1, 3)], method=method)]
    values, start = walk.array()
    assert_close(values, np.multiply.outer(axes[0].array()[0], axes[1].array()[0]), ROUNDING)
    assert start == (axes[0].window[0], axes[1].window[0])
    want = dense(exact_distribution(PLANE), values.shape, start) if method != "window" else None
    if want is not None:
        assert np.abs(values - want).max() <= walk.error_bound + FFT.atol
    site = tuple(np.rint(walk.mean).astype(int))
    assert_close(walk.logpmf(site), axes[0].logpmf(site[0]) + axes[1].logpmf(site[1]), ROUNDING)
    assert walk.errors and walk.method == axes[0].method


def test_walk_exponents_of_products_add() -> None:
    """Far below the range of floats in each axis."""
    walk = em.walk(kernels.uniform((3, 5, 7)), 2000)
    assert_close(walk.logpmf([0, 0, 0]), -2000 * log(105), ROUNDING)
    assert walk.pmf([0, 0, 0]) == 0
    assert walk.errors["relative"] <= ROUNDING.rtol
    with pytest.raises(SizeError):
        walk.array()


def test_walk_nearly_separable_floats() -> None:
    """A product that was rounded is split, and the splitting is in the bound."""
    kernel = kernels.from_weights(np.outer([.64, .27, .04], [.02, .81, .91]))
    walk = em.walk(kernel, 6)
    assert walk.errors["separation"] <= walk.error_bound
    want = dense(exact_distribution([(kernel, 1, 6)]), (13, 13), (0, 0))
    assert np.abs(walk.array()[0] - want).max() <= walk.error_bound
