"""Normal, Edgeworth, saddlepoint: certified bounds, and the rates at which errors fall."""

from __future__ import annotations

from math import log, pi, sqrt

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close, assert_rate

import erfmath as em
from erfmath.lattice import kernels

SYMMETRIC, SKEWED = kernels.uniform(3), kernels.from_weights([7, 2, 1])
KERNELS = {"uniform": SYMMETRIC, "skewed": SKEWED, "wide": kernels.uniform(31),
           "rare": kernels.from_weights([99, 1]), "corners": kernels.corners(3)}
METHODS = [("normal", None), ("edgeworth", 1), ("edgeworth", 2), ("edgeworth", 3),
           ("saddlepoint", 0), ("saddlepoint", 1)]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("method, order", METHODS)
@pytest.mark.parametrize("n", [1, 4, 30, 250])
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


@pytest.mark.parametrize("method, order, message", [
    ("edgeworth", 4, "order 1, 2 or 3"), ("edgeworth", 0, "order 1, 2 or 3"),
    ("saddlepoint", 2, "orders 0 and 1"), ("exact", 1, "have an order"),
])
def test_walk_orders_are_checked(method: str, order: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        em.walk(SYMMETRIC, 5, method=method, order=order)


@pytest.mark.parametrize("method", ["edgeworth", "saddlepoint"])
def test_walk_refused_in_the_plane(method: str) -> None:
    with pytest.raises(ValueError, match="one dimension"):
        em.walk(kernels.from_weights([[0, 1], [1, 1]]), 9, method=method)
    separable = em.walk(kernels.uniform((3, 5)), 9, method=method)
    exact = em.walk(kernels.uniform((3, 5)), 9)
    assert np.abs(separable.array()[0] - exact.array()[0]).max() <= separable.error_bound


def test_walk_no_density_without_spread() -> None:
    for kernel in (kernels.uniform(1), kernels.from_weights([[1, 0], [0, 1]])):
        with pytest.raises(ValueError, match="singular"):
            em.walk(kernel, 5, method="normal")
