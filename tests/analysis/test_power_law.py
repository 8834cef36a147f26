"""Power laws against least squares written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import FFT, ROUNDING, assert_close

import erfmath as em


def test_fit_power_law_is_least_squares_with_its_standard_errors() -> None:
    rng = np.random.default_rng(0)
    x = np.geomspace(2, 50, 20)
    y = 3 * x**0.7 * np.exp(0.1 * rng.normal(size=20))
    law = em.fit_power_law(x, y)
    design = np.column_stack([np.log(x), np.ones(20)])
    best, residual, *_ = np.linalg.lstsq(design, np.log(y), rcond=None)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * residual[0] / 18)
    assert_close([law.slope, law.intercept], best, FFT, scale=10)
    assert_close([law.slope_stderr, law.intercept_stderr], errors, FFT, scale=10)
    assert_close(law([1.0]), [math.exp(law.intercept)], ROUNDING)
    assert em.fit_power_law([1, 2, 3], [4, 4, 4])[:2] == (0.0, 0.0)
    assert_close(law.r_squared, 1 - residual[0] / np.sum((np.log(y) - np.log(y).mean())**2), FFT, scale=10)
    assert "x^(" in str(law)


@pytest.mark.parametrize("x, y", [([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([1, 2, 3], [1, 0, 2]), ([2, 2, 2], [1, 2, 3]),
                                  ([1, 2, np.nan], [1, 2, 3])])
def test_fit_power_law_refuses(x: Any, y: Any) -> None:
    with pytest.raises(ValueError, match="x"):
        em.fit_power_law(x, y)


def test_fit_power_law_says_where_there_is_none() -> None:
    x = np.arange(1, 9)
    assert em.fit_power_law(x, x**0.5).holds and em.fit_power_law(x, x**0.5 * (1 + 0.05 * (-1)**x)).holds
    law = em.fit_power_law(x, np.exp(x))
    assert not law.holds and law.words.startswith("no power law") and "no power law" in str(law)
    worst = np.max(np.abs(np.log(law(x)) - x))
    assert_close(law.misfit, np.expm1(worst), FFT, scale=10)
