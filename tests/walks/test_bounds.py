"""Random kernels, hard ones above all, against exact fractions: no method may miss by more than its bound."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from walk_oracles import exact_distribution

import erfmath as em
from erfmath.lattice import kernels

METHODS = [("normal", None), ("edgeworth", 1), ("edgeworth", 2), ("edgeworth", 3), ("saddlepoint", 0),
           ("saddlepoint", 1), ("exact", None), ("window", None), ("fft", None), ("auto", None)]


def random_weights(rng: np.random.Generator) -> list[Any]:
    """One kernel of 1 to 5 taps: tame, of any number of decades, nearly deterministic, with holes, exact."""
    k, kind = int(rng.integers(1, 6)), int(rng.integers(7))
    if kind == 0:
        weights = rng.random(k)
    elif kind == 1:  # all decades of floats
        weights = 10.0 ** rng.uniform(-300, 300, k)
    elif kind == 2:  # nearly deterministic
        weights = np.full(k, 10.0 ** -rng.uniform(1, 20))
        weights[rng.integers(k)] = 1
    elif kind == 3:  # nearly a coarser lattice
        weights = np.where(np.arange(k) % 2, 10.0 ** -rng.uniform(3, 16), 1.0)
    elif kind == 4:
        weights = rng.random(k) * (rng.random(k) < 0.6)
    elif kind == 5:  # subnormal
        weights = np.where(rng.random(k) < 0.5, 5e-324, rng.random(k))
    else:
        return [Fraction(int(n), int(d)) for n, d in rng.integers(1, 30, (k, 2))]
    weights[rng.integers(k)] += 1e-3 if kind == 4 else 0
    return weights.tolist() if weights.any() else [1.0]


def random_steps(rng: np.random.Generator) -> list[tuple[Any, int, int]]:
    """One to three groups of layers."""
    jumps = [j for j in range(-2, 6) if j]
    return [(kernels.from_weights(random_weights(rng)), int(rng.choice(jumps)), int(rng.integers(1, 6)))
            for _ in range(rng.integers(1, 4))]


def misses(steps: list[tuple[Any, int, int]]) -> list[str]:
    """What is wrong with the walks of `steps`, by method."""
    exact = exact_distribution(steps)
    sites = np.array([site for site, in sorted(exact)])
    truth = [exact[(int(site),)] for site in sites]
    found = []
    for method, order in METHODS:
        try:
            walk = em.walk(steps, method=method, order=order)
        except ValueError as error:
            if "singular" not in str(error) and "too small" not in str(error):
                raise
            continue
        every = np.arange(walk.support[0], walk.support[1] + 1)
        values = dict(zip(every.tolist(), walk.pmf(every).tolist()))
        gaps = [abs(Fraction(values.get(int(site), 0.0)) - p) for site, p in zip(sites, truth)]
        gaps += [abs(Fraction(value)) for site, value in values.items() if (site,) not in exact]
        if max(gaps) > Fraction(walk.error_bound):
            found.append(f"{method} {order}: error {float(max(gaps)):.3g}, bound {walk.error_bound:.3g}")
        total = walk.errors.get("total_variation")
        if total is not None and sum(gaps) / 2 > Fraction(total) * (1 + Fraction(1, 10**12)):
            found.append(f"{method} {order}: total variation {float(sum(gaps) / 2):.3g}, bound {total:.3g}")
    return found


def check(seeds: range) -> None:
    wrong = {seed: found for seed in seeds if (found := misses(random_steps(np.random.default_rng([18, seed]))))}
    assert not wrong, wrong


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_walk_bounds_hold_for_random_kernels(block: int) -> None:
    check(range(8 * block, 8 * block + 8))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_walk_bounds_hold_for_many_random_kernels(block: int) -> None:
    check(range(1000 + 100 * block, 1100 + 100 * block))


@pytest.mark.parametrize("steps", [
    [([1, 1e-6], 1, 1)], [([1, 9.8e-4], 1, 1)], [([1, 2.4e-4], 1, 3)], [([1, 4e-12], 1, 1)], [([1, 1e-200], 1, 2)],
    [([1e-10, 1.0], 1, 2), ([1.0, 1.0], 3, 1)], [([1e-10, 1.0], 1, 2), ([1.0, 1.0], 90, 3)],
    [([.3, .7], 1, 1)], [([1e-300, 1.0, 1e300], 1, 2)], [([5e-324, 1.0], 1, 3), ([1.0, 2.0], 2, 2)],
    [([1e-160, 1, 1e-160], 1, 4)],
], ids=str)
def test_walk_bounds_hold_where_little_varies(steps: list) -> None:
    assert not misses([(kernels.from_weights(weights), jump, count) for weights, jump, count in steps])
