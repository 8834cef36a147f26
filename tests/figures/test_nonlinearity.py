"""Nonlinearities: one theory for all of them."""

from __future__ import annotations

import math

from figure_data import data_of
from helpers import ROUNDING, assert_close

from erfmath.figures import Options


def test_nonlinearity_has_one_theory() -> None:
    stds = [part.number("theory_std") for part in data_of("nonlinearity", Options(draws_asked=3)).values()]
    assert_close(stds, [math.sqrt(20 * 2 / 3)] * 3, ROUNDING)
