"""The exact and the rational method against integers and fractions."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from walk_oracles import exact_distribution, hard_case, integer_convolution, uniform_count, worst_relative

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.lattice import kernels
from erfmath.walks import dense


def test_walk_exact_fractions() -> None:
    walk = em.walk(kernels.soft_rim(3, Fraction(1, 2)), 2, method="rational")
    assert walk.exact(2) == Fraction(1, 6)**2 + 2 * Fraction(5, 12)**2
    assert walk.exact([[-1, 0]]).tolist() == [[0, Fraction(25, 144)]]


def test_walk_exact_needs_no_scipy() -> None:
    """The exact methods run on NumPy alone."""
    code = ("import sys, erfmath as em; em.walk(em.kernels.uniform(3), 9, method='exact').array();"
            "sys.exit(any(name.split('.')[0] == 'scipy' for name in sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


DATA = Path(__file__).resolve().parents[1] / "data" / "walks"
MIXED = [
    [(kernels.uniform(3), 1, 5)],
    [(kernels.from_weights([1, 0, 0, 2, 5]), 2, 3), (kernels.binomial(3), 3, 2)],
    [(kernels.uniform(2), -3, 4), (kernels.from_weights([.7, .2, .1], offset=-1), 2, 3)],
    [(kernels.uniform((3, 2)), (1, 2), 3), (kernels.corners((2, 3)), 1, 2)],
    [(kernels.from_weights([[0, 1, 0], [1, 0, 1], [0, 1, 0]]), (2, -1), 4)],
    [(kernels.LatticeDistribution(np.arange(1, 9).reshape(2, 2, 2), offset=-1), 1, 3)],
    [(kernels.uniform(1), 1, 7), (kernels.corners(3), 2, 3)],
]


@pytest.mark.parametrize("steps", MIXED)
@pytest.mark.parametrize("method", ["exact", "rational"])
def test_walk_against_fractions(steps: list, method: str) -> None:
    """Every site of the support and around it; jumps of both signs, offsets, holes, 1 to 3 axes."""
    walk = em.walk(steps, method=method)
    pmf = exact_distribution(steps)
    ndim = walk.ndim
    lo, hi = np.atleast_1d(walk.support[0]), np.atleast_1d(walk.support[1])
    grid = np.stack(np.meshgrid(*[np.arange(a - 1, b + 2) for a, b in zip(lo, hi)],
                                indexing="ij"), -1).reshape(-1, ndim)
    exact = [pmf.get(tuple(site), Fraction(0)) for site in grid.tolist()]
    sites = grid[:, 0] if ndim == 1 else grid
    assert worst_relative(walk, sites, exact) <= walk.errors["relative"]
    if method == "rational":
        assert list(walk.exact(sites)) == exact
    values, start = walk.array()
    assert_close(values.sum(), 1.0, ROUNDING)
    assert values.flat[0] == walk.pmf(start) and start == walk.support[0]
    reached = np.array(sorted(pmf))
    assert (reached.min(axis=0) == lo).all() and (reached.max(axis=0) == hi).all()


@pytest.mark.slow
@pytest.mark.parametrize("k, n, sites", [
    (3, 10_000, [0, 1, 7, 500, 4000, 9000, 10_000]),
    (7, 10_000, [0, 3, 100, 5000, 20_000, 30_000]),
    (31, 10_000, [0, 1, 40, 3000, 60_000, 150_000]),
    (3, 1_000_000, [0, 1, 2, 900]),
])
def test_walk_uniform_stacks_at_depth(k: int, n: int, sites: list[int]) -> None:
    """Relative error in both tails, down to 1e-477121, against exact integers."""
    walk = em.walk(kernels.uniform(k), n)
    total = k**n
    exact = [(uniform_count(k, n, s), total) for s in sites]
    promised = walk.errors["relative"]
    assert promised <= ROUNDING.rtol
    last = n * (k - 1)
    assert worst_relative(walk, sites, exact) <= promised
    assert worst_relative(walk, [last - s for s in sites], exact) <= promised


@pytest.mark.parametrize("name", ["seven", "thirtyone"])
def test_walk_uneven_kernels_at_depth(name: str) -> None:
    """Sampled values of w**10000 from exact integers, made by make_references.py."""
    case = json.loads((DATA / "references.json").read_text())[name]
    walk = em.walk(kernels.from_weights(case["weights"]), case["n"])
    exact = [(int(m, 16), 1 << -e) for m, e in case["values"]]
    assert worst_relative(walk, case["sites"], exact) <= walk.errors["relative"] <= ROUNDING.rtol


def check_hard(steps: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """Error within the returned bound by every route, zeros exact; windows and FFTs as well."""
    values, total, start = integer_convolution(steps)
    sites = np.arange(start - 1, start + len(values) + 1)
    exact = [(v, total) for v in (0, *values, 0)]
    for cheap in (dense._CHEAP, 1):
        monkeypatch.setattr(dense, "_CHEAP", cheap)
        walk = em.walk(steps)
        assert worst_relative(walk, sites, exact) <= walk.errors["relative"] <= ROUNDING.rtol
    floats = np.array([v / t for v, t in exact])
    for method in ("window", "fft"):
        walk = em.walk(steps, method=method)
        inside = (sites >= walk.window[0]) & (sites <= walk.window[1])
        found = walk.pmf(sites)
        assert np.abs(found - floats)[inside].max() <= walk.error_bound
        assert floats[~inside].sum() <= walk.mass_outside and not found[~inside].any()


@pytest.mark.parametrize("block", [*range(5), *(pytest.param(i, marks=pytest.mark.slow) for i in range(5, 10))])
def test_walk_hard_cases(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(block)
    for _ in range(10):
        check_hard(hard_case(rng, 30), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_walk_many_hard_cases(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1000 + block)
    for _ in range(100):
        check_hard(hard_case(rng, 150), monkeypatch)


def test_walk_a_wrong_tap_is_caught() -> None:
    """One part in 1e12 in a single tap of ten thousand layers shows."""
    right = em.walk(kernels.from_weights([Fraction(1, 3)] * 3), 10_000)
    wrong = em.walk(kernels.from_weights([Fraction(1, 3), Fraction(1, 3),
                                          Fraction(1, 3) + Fraction(1, 10**12)]), 10_000)
    x = np.array([0, 20_000])
    ends = [(1, 3**10_000)] * 2
    assert worst_relative(right, x, ends) <= right.errors["relative"]
    assert worst_relative(wrong, x, ends) > wrong.errors["relative"]


def test_walk_floats_are_taken_at_their_binary_value() -> None:
    """0.7 and 7/10 are different kernels, and 10,000 layers show it."""
    floats = em.walk(kernels.from_weights([.7, .3]), 10_000)
    tenths = em.walk(kernels.from_weights([Fraction(7, 10), Fraction(3, 10)]), 10_000)
    want = [Fraction(.7) / (Fraction(.7) + Fraction(.3))]
    assert worst_relative(floats, [0], [want[0] ** 10_000]) <= ROUNDING.rtol
    assert worst_relative(tenths, [0], [Fraction(7, 10) ** 10_000]) <= ROUNDING.rtol


def test_walk_no_layers() -> None:
    for steps in ([], [(kernels.uniform(3), 1, 0)], [(kernels.uniform(1), 4, 9)]):
        for method in ("exact", "window", "fft", "rational", "saddlepoint", "auto"):
            walk = em.walk(steps, method=method)
            assert walk.support == walk.window == (0, 0)
            assert_close(walk.pmf([-1, 0, 1]), [0.0, 1.0, 0.0], ROUNDING)
            assert walk.mean == walk.var == 0 and np.isnan(walk.kurtosis)


def test_walk_too_large_is_refused() -> None:
    with pytest.raises(SizeError, match='method="window"'):
        em.walk(kernels.uniform(3), 10**9)
    with pytest.raises(SizeError, match='method="exact"'):
        em.walk(kernels.uniform(31), 10**5, method="rational")
    with pytest.raises(SizeError, match='method="window"'):
        em.walk(kernels.from_weights([[0, 1], [1, 1]]), 5000)


@pytest.mark.parametrize("method, parts", [("exact", 79), ("rational", 2)])
def test_walk_shows_its_progress(method: str, parts: int) -> None:
    seen: list[tuple[int, int]] = []
    steps = {"exact": [(em.kernels.uniform(31), 1, 2000)],
             "rational": [(em.kernels.uniform(2), 1, 3), (em.kernels.uniform(3), 1, 3)]}[method]
    s = em.walk(steps, method=method, progress=lambda done, total: seen.append((done, total)))
    assert not seen  # nothing is computed before it is asked for
    s.pmf(0)
    assert len(seen) == parts and {total for _, total in seen} == {parts}
    with pytest.raises(ValueError, match="progress=3: must be True, False or a function"):
        em.walk(em.kernels.uniform(3), progress=3)  # type: ignore[arg-type]
