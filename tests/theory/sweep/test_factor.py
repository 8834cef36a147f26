"""Gradients that are linear in few numbers: sums over them against covariances."""

from __future__ import annotations

import numpy as np
from helpers import ROUNDING, assert_close

from erfmath.layers.geometry import AxisGeometry
from erfmath.theory.sweep.factor import Factor, correlate
from erfmath.theory.sweep.lowering import Linear, box


def test_correlate_is_a_sum_over_pairs() -> None:
    rng, found = np.random.default_rng(2), np.zeros((3, 5, 4, 6))
    f, g = rng.normal(size=(2, 2, 3, 4, 6))
    for lag in np.ndindex(3, 5):
        for x in np.ndindex(4, 6):
            other = x[0] + lag[0] - 1, x[1] + lag[1] - 2
            if 0 <= other[0] < 4 and 0 <= other[1] < 6:
                found[(*lag, *x)] = (f[(..., *x)] * g[(..., *other)]).sum()
    assert_close(correlate(f, g, (1, 2))[0], found, ROUNDING, scale=1.0)


def test_a_filter_before_or_after_the_sum_over_numbers() -> None:
    geometry = (AxisGeometry(3, 2, padding=(1, 1)), AxisGeometry(2))
    op, sizes = Linear(box(geometry), gain=0.7), (7, 6)
    above = Factor(np.random.default_rng(3).normal(size=(4, 1, 4, 5)), (0, 0))
    lags = (3, 4)
    before = above.covariance(lags, (1,), "one").through_fixed(op, sizes, (2, 2))
    after = above.through(op, sizes).covariance((2, 2), (1,), "one")
    assert before.start == after.start
    assert_close(before.values, after.values, ROUNDING, scale=float(after.values.max()))
