"""Tilted windows against repeated squaring."""

from __future__ import annotations

import numpy as np
import pytest

from erfmath.lattice import kernels
from erfmath.walks import tilt
from erfmath.walks.direct import direct_pmf
from erfmath.walks.steps import Problem


@pytest.mark.parametrize("steps", [
    [(kernels.from_weights([.5, .3, .2]), 1, 600)],
    [(kernels.uniform(5), 1, 200), (kernels.uniform(3), 4, 50)],
])
def test_tilted_pmf_and_direct_pmf_agree(steps: list) -> None:
    """Two methods that share nothing but the kernels, on the whole support."""
    problem = Problem(steps)
    squared, bound = direct_pmf(problem)
    tilted, bounds = tilt.tilted_pmf(problem)
    assert (squared.exponent == tilted.exponent).sum() > 0.99 * problem.size
    ratio = np.ldexp(tilted.mantissa / squared.mantissa, (tilted.exponent - squared.exponent).astype(int))
    assert (np.abs(ratio - 1) <= bounds + bound).all()


def test_wide_windows_reach_all_their_sites() -> None:
    # Beside the mean, where tilts are small, a window is wider than any fixed number of sites.
    problem = Problem([(kernels.uniform(2), 1, 8), (kernels.uniform(2), 16_000, 4)])
    pmf, relative = tilt.tilted_pmf(problem)
    assert np.isfinite(relative[pmf.mantissa > 0]).all()
