"""Certified bounds of the smooth approximations: they hold, and fall at the known rates."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from helpers import assert_rate
from walk_cases import SKEWED, SYMMETRIC

import erfmath as em
from erfmath.lattice import kernels

KERNELS = {"uniform": SYMMETRIC, "skewed": SKEWED, "wide": kernels.uniform(13),
           "rare": kernels.from_weights([99, 1]), "corners": kernels.corners(3)}
METHODS = [("normal", None), ("edgeworth", 1), ("edgeworth", 2), ("edgeworth", 3),
           ("saddlepoint", 0), ("saddlepoint", 1)]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("method, order", METHODS)
@pytest.mark.parametrize("n", [1, 30, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 250))])
def test_walk_certified(name: str, method: str, order: int | None, n: int) -> None:
    """Error and total variation lie within the returned bounds."""
    walk = em.walk(KERNELS[name], n, method=method, order=order)
    exact = em.walk(KERNELS[name], n)
    gap = np.abs(walk.array()[0] - exact.array()[0])
    slack = exact.error_bound
    assert gap.max() <= walk.error_bound + slack and walk.error_bound == walk.errors["sup"]
    assert gap.sum() / 2 <= walk.errors["total_variation"] + slack * gap.size


@pytest.mark.parametrize("kernel, method, order, rate", [
    (SYMMETRIC, "normal", None, 1.0), (SKEWED, "normal", None, 0.5),
    (SYMMETRIC, "edgeworth", 1, 1.0), (SKEWED, "edgeworth", 1, 1.0),
    (SYMMETRIC, "edgeworth", 2, 2.0), (SKEWED, "edgeworth", 2, 1.5),
    (SYMMETRIC, "edgeworth", 3, 2.0), (SKEWED, "edgeworth", 3, 2.0),
])
def test_walk_rates(kernel: kernels.LatticeDistribution, method: str, order: int | None, rate: float) -> None:
    """sd * sup |p - g| falls as n^-rate, the bound too, and the bound is no wild guess."""
    depths = [64, 256, 1024, 4096]
    errors, bounds = [], []
    for n in depths:
        walk = em.walk(kernel, n, method=method, order=order)
        exact = em.walk(kernel, n)
        sd = sqrt(exact.var)
        errors.append(sd * np.abs(walk.array()[0] - exact.array()[0]).max())
        bounds.append(sd * walk.error_bound)
    assert_rate(depths, errors, rate)
    assert_rate(depths, bounds, rate)
    assert all(b < 2 * e for b, e in zip(bounds, errors))
