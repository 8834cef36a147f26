"""What all walks share: moments, sites, arrays, arguments, refusals."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from helpers import EXACT, FFT, ROUNDING, assert_close
from walk_cases import PLANE, SYMMETRIC
from walk_oracles import exact_distribution

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.lattice import kernels
from erfmath.walks import METHODS

STEPS = [(kernels.from_weights([1, 2, 5], offset=-1), 3, 4), (kernels.uniform(2), -2, 3),
         (kernels.from_weights([.5, 0, .5]), 1, 2)]


@pytest.mark.parametrize("steps", [STEPS, PLANE, [(kernels.from_weights([[1, 2], [3, 5]], offset=4), 2, 5)]])
@pytest.mark.parametrize("method", ["exact", "window", "normal"])
def test_walk_moments(steps: list, method: str) -> None:
    """Closed forms against sums over the exact pmf."""
    walk = em.walk(steps, method=method)
    pmf = exact_distribution(steps)
    x = np.array(list(pmf), dtype=float)
    p = np.array(list(map(float, pmf.values())))
    mean = p @ x
    second = np.einsum("p,pa,pb->ab", p, x - mean, x - mean)
    fourth = p @ (x - mean) ** 4
    var = np.diag(second)
    flat = (lambda v: float(v[0])) if walk.ndim == 1 else (lambda v: v)
    assert_close(walk.mean, flat(mean), ROUNDING)
    assert_close(walk.var, flat(var), ROUNDING)
    assert_close(walk.covariance, second, ROUNDING)
    assert_close(walk.kurtosis, flat(fourth / var**2 - 3), ROUNDING, scale=1.0)


def test_walk_paper_moments() -> None:
    """n (k^2 - 1) / 12, strides and dilation squared, kurtosis -(6/5) (k^2 + 1) / ((k^2 - 1) n)."""
    walk = em.walk(kernels.uniform(7), 30)
    assert_close(walk.var, 30 * 48 / 12, ROUNDING)
    assert_close(walk.kurtosis, -1.2 * 50 / (48 * 30), ROUNDING)
    assert_close(em.walk([(kernels.uniform(3), j, 5) for j in (1, 2, 4)]).var, 5 * (1 + 4 + 16) * 2 / 3, ROUNDING)


@pytest.mark.parametrize("method", METHODS)
def test_walk_sites(method: str) -> None:
    """Scalars and arrays of any shape; nothing off the lattice and off the support."""
    walk = em.walk([(kernels.corners(3), 3, 40)], method=method)
    assert walk.span == 6 and walk.support == (0, 240)
    inner = walk.pmf(120)
    assert isinstance(inner, float) and inner > 0
    grid = np.array([[120, 121, 122], [-6, 246, 126]])
    values = walk.pmf(grid)
    assert values.shape == (2, 3)
    assert_close(values[0, 0], inner, EXACT)
    assert_close(values.ravel()[1:5] == 0, np.ones(4, dtype=bool), EXACT)
    assert_close(walk.logpmf(120), log(inner), ROUNDING)
    assert walk.logpmf(121) == -np.inf
    values, start = walk.array(110, 130)
    assert_close(values, walk.pmf(np.arange(110, 131)), FFT)
    assert start == 110
    empty, _ = walk.array(300, 310)
    assert not empty.any() and empty.shape == (11,)


@pytest.mark.parametrize("call, error, message", [
    (lambda: em.walk(kernels.uniform(3), 5, method="exakt"), ValueError, "must be one of exact"),
    (lambda: em.walk(kernels.uniform(3), -1), ValueError, "n=-1: must be at least 0"),
    (lambda: em.walk([(kernels.uniform(3), 1, 2)], 5), ValueError, "its own count"),
    (lambda: em.walk([(kernels.uniform(3), 1)]), TypeError, "kernel, jump, count"),
    (lambda: em.walk([([1, 1], 1, 2)]), TypeError, "erfmath.kernels"),
    (lambda: em.walk([(kernels.uniform(3), 0, 2)]), ValueError, "nonzero"),
    (lambda: em.walk([(kernels.uniform(3), (1, 2), 2)]), ValueError, "one per axis of 1"),
    (lambda: em.walk([(kernels.uniform(3), 1, 2), (kernels.uniform((3, 3)), 1, 1)]),
     ValueError, "one dimension"),
    (lambda: em.walk(kernels.uniform(3), 5).pmf(1.5), TypeError, "integers"),
    (lambda: em.walk(kernels.uniform((3, 3)), 5).pmf([1, 2, 3]), ValueError, r"\(\.\.\., 2\)"),
    (lambda: em.walk(kernels.uniform((3, 3)), 5).array((1,), (2, 3)), ValueError, "lo=.*must have 2 values"),
    (lambda: em.walk(kernels.uniform(3), 10**9, method="window").array(0, 10**9), SizeError,
     "10\\d* bytes|bytes"),
])
def test_walk_refusals(call, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_walk_up_to_the_last_site_of_64_bits() -> None:
    """Of 4 10^18 layers; and what is asked for beyond has no probability."""
    n = 4 * 10**18
    walk = em.walk(kernels.uniform(3), n, method="window")
    assert_close(walk.pmf(n) * np.sqrt(2 * np.pi * walk.var), 1.0, FFT)
    for site in (2**63, 10**30, -10**30, np.uint64(2**64 - 1), -2**63, 2**63 - 1):
        assert walk.pmf(site) == 0
    assert walk.pmf([10**30, n]).tolist() == [0, walk.pmf(n)]
    shifted = em.walk(kernels.from_weights([1, 1], offset=-2**62), 1)
    assert [shifted.pmf(x) for x in (-2**62, 1 - 2**62, 2**62 + 1, 2**63 - 1)] == [0.5, 0.5, 0, 0]


@pytest.mark.parametrize("dtype", np.typecodes["AllInteger"])
def test_sites_of_every_type_of_integer(dtype: str) -> None:
    """Two layers of three equal taps: 1, 2, 3, 2, 1 ninths, and nothing at the last integer of the type."""
    sites = np.array([0, 1, 2, 4, np.iinfo(dtype).max], dtype)
    assert_close(em.walk(kernels.uniform(3), 2).pmf(sites), np.array([1, 2, 3, 1, 0]) / 9, EXACT)


def test_walk_takes_integers_of_numpy_and_no_floats() -> None:
    assert_close(em.walk(kernels.uniform(3), np.int64(5)).array()[0], em.walk(kernels.uniform(3), 5).array()[0], EXACT)
    moved = em.walk(kernels.from_weights([1, 1], offset=np.int64(1)), np.int32(1), method="window")
    assert moved.support == (1, 2)
    with pytest.raises(ValueError, match="n=2.0: must be an integer"):
        em.walk(kernels.uniform(3), 2.0)
    for corner in ((1.7, 3), ("1", 3), (0, 3.9)):
        with pytest.raises(ValueError, match="must be an integer"):
            em.walk(kernels.uniform(3), 2).array(*corner)


def test_walk_repr() -> None:
    walk = em.walk(kernels.uniform(3), 5)
    assert repr(walk) == "<walk of 5 layers on 0..10, method 'exact'>"


def test_walk_auto_says_what_it_picked() -> None:
    assert em.walk(kernels.uniform(3), 100, method="auto").method == "exact"
    assert em.walk(kernels.uniform(3), 10**7, method="auto").method == "window"
    assert em.walk(kernels.uniform((3, 3)), 10**7, method="auto").method == "window"
    assert em.walk(kernels.from_weights([[0, 1], [1, 1]]), 10, method="auto").method == "exact"
    assert em.walk(kernels.from_weights([[0, 1], [1, 1]]), 5000, method="auto").method == "window"
    assert em.walk(kernels.from_weights([1, -2, 1]), 10, method="auto").method == "fft"


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
