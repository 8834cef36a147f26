"""Means and errors of few values."""

from __future__ import annotations

import math

from erfmath.figures.base import mean_error


def test_mean_error_needs_three_values() -> None:
    assert mean_error([1.0, 3.0]) == (2.0, None)
    assert mean_error([1.0, 2.0, 3.0]) == (2.0, 1 / math.sqrt(3))
    assert mean_error([1.0, 2.0, math.inf])[1] is None
