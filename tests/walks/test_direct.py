"""Repeated squaring: what cannot be reached has no probability."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.lattice import kernels
from erfmath.walks import direct
from erfmath.walks.scaled import Scaled
from erfmath.walks.steps import Problem, as_steps


def test_walk_no_path_no_probability() -> None:
    """Structured holes are exact zeros also where squaring would be too dear."""
    kernel = kernels.from_weights([.5, 0, 0, .3, .2])
    steps = [(kernel, j, 12) for j in (6, 10, 15)]
    walk = em.walk(steps)
    reach = {0}
    for jump in (6, 10, 15):
        for _ in range(12):
            reach = {s + jump * a for s in reach for a in (0, 3, 4)}
    x = np.arange(walk.support[1] + 1)
    assert_close(walk.pmf(x) > 0, np.isin(x, list(reach)), EXACT)
    problem = Problem(as_steps(steps))
    assert_close(direct.reachable(problem), np.isin(x, list(reach)), EXACT)


@pytest.mark.parametrize("decades", [0, 200])
def test_convolve_keeps_small_and_large_numbers(decades: int) -> None:
    """Each value to a few roundings, whatever its size beside the largest: against sums of fractions."""
    rng = np.random.default_rng(0)
    a, b = (rng.random(n) * 10.0**rng.integers(-decades, decades + 1, n) for n in (40, 23))
    exact = [sum((Fraction(a[i]) * Fraction(b[s - i]) for i in range(max(0, s - 22), min(40, s + 1))), Fraction(0))
             for s in range(62)]
    found = direct.convolve(Scaled.of(a), Scaled.of(b))
    values = [Fraction(float(m)) * Fraction(2)**int(e) for m, e in zip(found.mantissa, found.exponent)]
    assert max(abs(v / x - 1) for v, x in zip(values, exact)) <= Fraction(ROUNDING.rtol)
