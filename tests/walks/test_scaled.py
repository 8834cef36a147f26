"""Numbers with an exponent of their own."""

from __future__ import annotations

from math import log, log10

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

from erfmath.walks import Scaled


def test_exponents_have_64_bits() -> None:
    """NumPy's own have 32, which do not hold those of zeros."""
    assert all(Scaled.of(values).exponent.dtype == np.int64 for values in (1.0, [1.0, 2.0], [1.0, 0.0], 0.0))


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
