"""What all walks share: moments, sites, arrays, products, signed kernels, refusals, Scaled."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from math import log, log10

import numpy as np
import pytest
from helpers import EXACT, FFT, ROUNDING, assert_close
from walk_oracles import dense, exact_distribution

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.lattice import kernels
from erfmath.walks import METHODS, Scaled

STEPS = [(kernels.from_weights([1, 2, 5], offset=-1), 3, 4), (kernels.uniform(2), -2, 3),
         (kernels.from_weights([.5, 0, .5]), 1, 2)]
PLANE = [(kernels.uniform((3, 2)), (2, 1), 4), (kernels.binomial((2, 3)), 1, 3)]


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


@pytest.mark.parametrize("make", [
    lambda: em.walk(kernels.uniform(3), 10**30, method="window"), lambda: em.walk([(kernels.uniform(3), 2**62, 2)]),
    lambda: em.walk([(kernels.uniform(3), 2**70, 1)]), lambda: em.walk([(kernels.uniform(3), -2**62, 2)]),
    lambda: em.walk(kernels.from_weights([1, 2], offset=2**70), 1),
    lambda: em.walk(kernels.uniform(3), 10**19, method="normal"),
])
def test_walk_refuses_sites_beyond_64_bits(make) -> None:
    with pytest.raises(ValueError, match="must stay below 2\\*\\*63"):
        make()


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


def test_walk_normalises_every_positive_kernel() -> None:
    """Also one with the taps of a signed one: 5 paths of value, as by convolution."""
    k = kernels.from_weights
    steps = [(k([-1., 4., -1.]), 1, 2), (k([1., 2., 1.]), 1, 1)]
    for method in ("rational", "fft", "auto"):
        assert_close(em.walk(steps, method=method).pmf(3), 5.0, FFT)


def test_walk_takes_integers_of_numpy_and_no_floats() -> None:
    assert_close(em.walk(kernels.uniform(3), np.int64(5)).array()[0], em.walk(kernels.uniform(3), 5).array()[0], EXACT)
    moved = em.walk(kernels.from_weights([1, 1], offset=np.int64(1)), np.int32(1), method="window")
    assert moved.support == (1, 2)
    with pytest.raises(ValueError, match="n=2.0: must be an integer"):
        em.walk(kernels.uniform(3), 2.0)
    for corner in ((1.7, 3), ("1", 3), (0, 3.9)):
        with pytest.raises(ValueError, match="must be an integer"):
            em.walk(kernels.uniform(3), 2).array(*corner)


@pytest.mark.slow
def test_walk_refuses_more_pairs_of_taps_than_fit() -> None:
    kernel = kernels.from_weights(np.random.default_rng(0).random(9000))
    for method in ("window", "fft"):
        with pytest.raises(SizeError, match="pairs of 9000 taps would need .* bytes"):
            em.walk(kernel, 3, method=method).pmf(0)


def test_walk_carries_masses_beyond_floats() -> None:
    assert_close(em.walk(kernels.from_weights([1e308, 1e308]), 2).log_mass, 2 * (308 * log(10) + log(2)), ROUNDING)


def test_walk_repr() -> None:
    walk = em.walk(kernels.uniform(3), 5)
    assert repr(walk) == "<walk of 5 layers on 0..10, method 'exact'>"


def test_scaled_values() -> None:
    values = Scaled.of([0.75, 0.0, -3.0], exponent=-5000)
    assert_close(values.log10()[:2], np.array([log10(.75) - 5000 * log10(2), -np.inf]), ROUNDING)
    assert np.isnan(values.log()[2])
    assert values.underflows().tolist() == [True, False, True]
    with pytest.warns(RuntimeWarning, match="2 of 3 values"):
        assert_close(values.to_float(), np.zeros(3), EXACT)
    square = values * values
    assert_close(square.log()[0], 2 * values.log()[0], ROUNDING)
    assert_close(Scaled.of([1.5, -2.0]).to_float(), np.array([1.5, -2.0]), EXACT)
    big = Scaled.of_integers([3**1000, 0, 7])
    assert_close(big.log()[0], 1000 * log(3), ROUNDING)
    assert_close(big[2:].floats(), np.array([7.0]), EXACT)


def test_walk_exact_fractions() -> None:
    walk = em.walk(kernels.soft_rim(3, Fraction(1, 2)), 2, method="rational")
    assert walk.exact(2) == Fraction(1, 6)**2 + 2 * Fraction(5, 12)**2
    assert walk.exact([[-1, 0]]).tolist() == [[0, Fraction(25, 144)]]


def test_walk_exact_needs_no_scipy() -> None:
    """The exact methods run on NumPy alone."""
    code = ("import sys, erfmath as em; em.walk(em.kernels.uniform(3), 9, method='exact').array();"
            "sys.exit(any(name.split('.')[0] == 'scipy' for name in sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
