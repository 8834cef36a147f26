"""Skips: the binomial mixture of equation 31."""

from __future__ import annotations

import numpy as np
from figure_data import DESK
from helpers import assert_statistical

from erfmath.figures import skip


def test_skip_is_a_binomial_mixture() -> None:
    """The distribution of (1 - p) atom + p (three taps), 20 times, by repeated convolution."""
    for scale, p in ((1.0, 1 / 2), (0.3, 0.09 / 1.09)):
        spec = {"scale": scale, "layers": 20, "width": 8, "draws": 60, "seed": 0}
        found = skip.compute(spec, DESK)
        pmf = np.ones((1, 1))
        for _ in range(20):
            grown = np.pad((1 - p) * pmf, 1)
            for a in range(3):
                for b in range(3):
                    grown[a:a + len(pmf), b:b + len(pmf)] += p / 9 * pmf
            pmf = grown
        assert np.abs(found["theory"] - pmf).max() < np.finfo(np.float32).eps
        assert float(found["theory_centre"]) > (1 - p)**20
        assert_statistical(found["std"], found["std_error"], found["theory_std"])
        assert_statistical(found["centre"], found["centre_error"], pmf[20, 20])
