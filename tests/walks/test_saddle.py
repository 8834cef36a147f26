"""The saddlepoint approximation: relative errors, and the ends of the support."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close, assert_rate
from walk_cases import SKEWED, SYMMETRIC

import erfmath as em
from erfmath.lattice import kernels


@pytest.mark.parametrize("order, rate", [(0, 1.0), (1, 2.0)])
@pytest.mark.parametrize("kernel", [SYMMETRIC, SKEWED])
def test_walk_saddlepoint_is_relative(kernel: kernels.LatticeDistribution, order: int, rate: float) -> None:
    """Relative error at a fixed tilt, far out in the tail, falls as n^-1 or n^-2."""
    depths = [40, 160, 640]
    errors = []
    for n in depths:
        walk = em.walk(kernel, n, method="saddlepoint", order=order)
        exact = em.walk(kernel, n)
        x = np.array([n // 4, n, 7 * n // 4])
        gap = np.abs(np.expm1(walk.logpmf(x) - exact.logpmf(x)))
        assert (gap <= walk.relative_bound(x) + ROUNDING.rtol * n).all()
        errors.append(gap.max())
    assert_rate(depths, errors, rate)


def test_walk_saddlepoint_ends() -> None:
    """The ends of the support are products of end weights; off the support there is nothing."""
    walk = em.walk([(SKEWED, 1, 500), (SYMMETRIC, 2, 300)], method="saddlepoint")
    want = [500 * log(.7) - 300 * log(3), 500 * log(.1) - 300 * log(3)]
    assert_close(walk.logpmf(list(walk.support)), np.array(want), ROUNDING)
    assert_close(walk.relative_bound([0, 2200, 2201]), np.array([0, 0, np.inf]), EXACT)
    assert walk.pmf(-1) == 0 and walk.logpmf(2201) == -np.inf
