"""The methods "window" and "fft": modes against exact laws, at any depth, in any dimension."""

from __future__ import annotations

from fractions import Fraction
from math import comb, pi, sqrt

import numpy as np
import pytest
from helpers import EXACT, FFT, ROUNDING, assert_close, assert_rate
from walk_cases import CASES
from walk_oracles import deep_distribution

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.lattice import kernels
from erfmath.walks import modes
from erfmath.walks.charfun import decay, lag_weights, log_phi
from erfmath.walks.modes import fast_length, significant
from erfmath.walks.steps import Problem

#: Bound of the error over the peak that docs/walks.md promises for many equal layers.
PROMISED = 2e-15


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("method", ["window", "fft"])
def test_walk_against_exact(name: str, method: str) -> None:
    walk = em.walk(CASES[name], method=method)
    exact = em.walk(CASES[name])
    lo, hi = walk.window
    want, start = exact.array(lo, hi)
    got, also = walk.array()
    assert start == also == lo
    assert np.abs(got - want).max() <= walk.error_bound + exact.error_bound
    assert walk.error_bound <= FFT.atol * walk.peak_bound
    assert 1 - want.sum() <= walk.mass_outside + ROUNDING.rtol
    if method == "fft":
        assert walk.window == walk.support and walk.mass_outside == 0
    sites = np.argwhere(want > 0)[::7] + np.atleast_1d(lo)
    sites = sites[:, 0] if walk.ndim == 1 else sites
    assert np.abs(walk.pmf(sites) - exact.pmf(sites)).max() <= (walk.error_bound + exact.error_bound)


@pytest.mark.parametrize("name", ["uniform", "uneven", "strides", "Poisson"])
def test_walk_one_fft_is_no_match(name: str) -> None:
    """Where the one-shot FFT keeps n eps, the modes keep their bound: the bound means something."""
    exact, start = em.walk(CASES[name]).array()
    walk = em.walk(CASES[name], method="fft")
    spectrum = np.ones(exact.size // 2 + 1, dtype=complex)
    for kernel, jump, count in CASES[name]:
        taps = np.zeros(exact.size)
        taps[:jump * (kernel.shape[0] - 1) + 1:jump] = kernel.pmf * (1 + 1e-12)
        spectrum *= np.fft.rfft(taps)[:spectrum.size]**count
    naive = np.fft.irfft(spectrum, exact.size)
    assert np.abs(walk.array()[0] - exact).max() < walk.error_bound < np.abs(naive - exact).max()


@pytest.mark.parametrize("n", [10**6, 10**9, 10**12])
@pytest.mark.parametrize("weights", [[1, 1, 1], [7, 2, 1], [2, 7, 1, 8, 2, 8]])
def test_walk_depth(n: int, weights: list[int]) -> None:
    """At great depth Edgeworth of order 3, certified below rounding, says what is right."""
    kernel = kernels.from_weights(weights)
    walk = em.walk(kernel, n, method="window")
    smooth = em.walk(kernel, n, method="edgeworth", order=3)
    mean, sd = Fraction(n) * sum(a * w for a, w in enumerate(weights)) / sum(weights), walk.var**.5
    x = int(mean) + np.rint(np.linspace(-4, 4, 41) * sd).astype(np.int64)
    error = np.abs(walk.pmf(x) - smooth.pmf(x)).max()
    assert error <= walk.error_bound + smooth.error_bound + FFT.atol * walk.peak_bound
    assert smooth.error_bound <= FFT.atol * walk.peak_bound or n < 10**9
    assert walk.mean == float(mean)


@pytest.mark.parametrize("n", [100, pytest.param(10**4, marks=pytest.mark.slow), 10**6,
                               pytest.param(10**9, marks=pytest.mark.slow), 10**12])
@pytest.mark.parametrize("weights", [[1, 1, 1], [1] * 13, [7, 2, 1], [.7, .2, .1], [2, 7, 1, 8, 2, 8]])
def test_walk_error_at_any_depth(n: int, weights: list) -> None:
    """Against modes in integers of 320 bits: points and arrays within the bound, the bound within the promise."""
    walk = em.walk(kernels.from_weights(weights), n, method="window")
    sd = walk.var**.5
    offsets = sorted({round(y * sd) for y in np.linspace(-4, 4, 33)})
    middle, want = deep_distribution(weights, n, int(36 * sd) + 50, offsets)
    peak = float(max(want))
    assert walk.error_bound <= PROMISED * peak
    sites = middle + np.array(offsets)
    near = int(np.argmin(np.abs(offsets)))
    found = [walk.pmf(sites), np.array([walk.array(x, x + 400)[0][0] for x in sites.tolist()]),
             walk.array(int(sites[near]) - 400, int(sites[near]))[0][-1:]]
    for values, exact in zip(found, (want, want, want[near:])):
        assert max(abs(Fraction(v) - w) for v, w in zip(values.tolist(), exact)) <= walk.error_bound


def test_walk_the_mean_is_exact() -> None:
    """n * (rounded mean) would shift the pmf of a billion layers by whole sites."""
    kernel = kernels.from_weights([.1, .2, .7])
    weights = [Fraction(w) for w in (.1, .2, .7)]
    mean = 10**15 * (weights[1] + 2 * weights[2]) / sum(weights)
    walk = em.walk(kernel, 10**15, method="window")
    y = np.arange(-10**6, 10**6 + 1, 10**5)
    pmf = walk.pmf(int(mean) + y)
    want = np.exp(-(y - float(mean - int(mean)))**2 / (2 * walk.var)) / sqrt(2 * pi * walk.var)
    smooth = em.walk(kernel, 10**15, method="edgeworth", order=3)
    assert np.abs(pmf - want).max() > smooth.error_bound  # the skewness shows, so the mean would
    gap = np.abs(pmf - smooth.pmf(int(mean) + y))
    assert gap.max() <= walk.error_bound + smooth.error_bound + FFT.atol * want.max()


@pytest.mark.parametrize("rate, n", [(1e-6, 100), (1e-6, 10**6), (1e-9, 10**9), (1e-12, 10**6)])
def test_walk_rare_steps(rate: float, n: int) -> None:
    """Poisson regime: a window of a few standard deviations would lose mass; Chernoff's does not."""
    p = Fraction(rate)
    walk = em.walk(kernels.from_weights([1 - p, p]), n, method="window")
    x = np.arange(8)
    stay = float(n * (p + p**2 / 2 + p**3 / 3))  # -n log(1 - p)
    binomial = [float(comb(n, i) * p**i) * np.exp(-stay * (n - i) / n) for i in range(8)]
    assert_close(walk.pmf(x), np.array(binomial), FFT)
    assert walk.window[0] == 0 and walk.window[1] * 9 > walk.var**.5


@pytest.mark.parametrize("name", CASES)
def test_significant_leaves_out_small_modes(name: str) -> None:
    """Branch and bound keeps every mode that the decay does not rule out, and decay is a bound."""
    problem = Problem(CASES[name])
    lags, weights = lag_weights(problem.blocks, problem.ndim)
    for axis, extent in enumerate(problem.extent):
        parallel = (np.delete(lags, axis, axis=1) == 0).all(axis=1)
        every = np.arange(extent // 2 + 1)
        g = decay(lags[parallel][:, [axis]], weights[parallel], every[:, None], (extent,))
        kept = significant(lags[parallel, axis], weights[parallel], extent, 20.0)
        assert_close(kept, every[g < 20.0], EXACT)
        grid = np.zeros((every.size, problem.ndim), dtype=np.int64)
        grid[:, axis] = every
        logs, _, _ = log_phi(problem.blocks, grid, problem.extent)
        assert (logs <= -g + ROUNDING.rtol * (1 + g)).all()


def test_walk_cost_does_not_grow() -> None:
    """The number of modes is that of a Gaussian, whatever the depth."""
    sizes = [em.walk(kernels.uniform(3), 10**d, method="window").torus.shape[0] for d in (3, 9, 12)]
    assert max(sizes) < 2 * min(sizes)


def test_walk_deep_plane_is_never_built() -> None:
    kernel = kernels.from_weights([[1, 2, 3], [4, 5, 6], [7, 8, 10]])
    walk = em.walk(kernel, 10**6, method="window")
    with pytest.raises(SizeError, match="14099 x|dense array"):
        walk.array(*walk.support)
    centre = np.rint(walk.mean).astype(int)
    part, start = walk.array(centre - 3, centre + 3)
    assert start == tuple(centre - 3) and part.shape == (7, 7)
    assert np.abs(part[3, 3] - walk.pmf(centre)) <= walk.error_bound
    peak = 1 / (2 * pi * sqrt(np.linalg.det(walk.covariance)))
    errors = []
    for n in (10**2, 10**4, 10**6):
        deep = em.walk(kernel, n, method="window")
        smooth = em.walk(kernel, n, method="normal")
        at = np.rint(deep.mean).astype(int)
        errors.append(abs(deep.pmf(at) / smooth.pmf(at) - 1))
    assert peak > 0 and walk.mass_outside < FFT.atol
    assert_rate([10**2, 10**4, 10**6], errors, 0.9)


@pytest.mark.parametrize("n", [*range(1, 40), 1000, 12_345, 10**6 + 1])
def test_fast_length(n: int) -> None:
    smooth = {2**a * 3**b * 5**c for a in range(22) for b in range(14) for c in range(10)}
    assert fast_length(n) == min(s for s in smooth if s >= n)


def test_walk_a_wrong_weight_is_caught() -> None:
    """A tap that is off by 1e-9 shows against the exact pmf."""
    right = em.walk(kernels.uniform(3), 1000)
    wrong = em.walk(kernels.from_weights([1, 1, 1 + 1e-9]), 1000, method="window")
    want = right.array(*wrong.window)[0]
    assert np.abs(wrong.array()[0] - want).max() > wrong.error_bound


def test_torus_checks_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "check_bytes", _refuse)
    with pytest.raises(SizeError, match="modes"):
        em.walk(kernels.uniform(3), 50, method="window").pmf(3)


def _refuse(nbytes: int, what: str, remedy: str = "") -> None:
    raise SizeError(what)
