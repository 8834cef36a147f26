"""Dropout: one theory, whatever is dropped."""

from __future__ import annotations

import math

from figure_data import data_of
from helpers import ROUNDING, assert_close

from erfmath.figures import Options


def test_dropout_has_one_theory() -> None:
    stds = [part.number("theory_std") for part in data_of("dropout", Options(draws_asked=3)).values()]
    assert_close(stds, [math.sqrt(20 * 2 / 3)] * 3, ROUNDING)
