"""Normal, Edgeworth, saddlepoint: certified bounds, and the rates at which errors fall."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.lattice import kernels


def test_walk_normal_density() -> None:
    """The formula itself, span included, in one and two dimensions."""
    walk = em.walk([(kernels.corners(3), 2, 30)], method="normal")
    x = np.array([40, 60, 61])
    want = 4 * np.exp(-(x - 60)**2 / (2 * walk.var)) / sqrt(2 * pi * walk.var)
    assert_close(walk.pmf(x), np.where(x % 4, 0, want), ROUNDING)
    plane = em.walk(kernels.from_weights([[1, 2], [3, 5]]), 50, method="normal")
    y = np.array([[20, 30], [31, 36]])
    z = y - plane.mean
    quadratic = np.einsum("pa,ab,pb->p", z, np.linalg.inv(plane.covariance), z)
    scale = 2 * pi * sqrt(np.linalg.det(plane.covariance))
    assert_close(plane.pmf(y), np.exp(-quadratic / 2) / scale, ROUNDING)
    exact = em.walk(kernels.from_weights([[1, 2], [3, 5]]), 50)
    gap = np.abs(plane.array()[0] - exact.array()[0])
    assert gap.max() <= plane.error_bound and gap.sum() / 2 <= plane.errors["total_variation"]


def test_walk_edgeworth_may_be_negative() -> None:
    walk = em.walk(kernels.from_weights([99, 1]), 8, method="edgeworth", order=3)
    values, start = walk.array()
    assert values.min() < 0
    assert np.isnan(walk.logpmf(start + int(values.argmin())))


def test_walk_no_density_without_spread() -> None:
    for kernel in (kernels.uniform(1), kernels.from_weights([[1, 0], [0, 1]])):
        with pytest.raises(ValueError, match="singular"):
            em.walk(kernel, 5, method="normal")
