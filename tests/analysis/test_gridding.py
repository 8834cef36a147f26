"""Holes and patterns by hand."""

from __future__ import annotations

import math

import numpy as np
from helpers import FFT, ROUNDING, assert_close

import erfmath as em
from erfmath.analysis.gridding import checkerboard, holes, patterns


def test_holes_of_a_dilated_chain() -> None:
    assert_close(holes(em.repeat(em.Conv(3, dilation=2), 3), ndim=1), 6 / 13, ROUNDING)


def test_checkerboard_of_a_stride() -> None:
    """Even pixels are read by one tap of a unit, odd ones by two: 1/9, 2/9, 2/9, 4/9 of the field on the phases."""
    field = em.predict(em.serial(em.Conv(3, stride=2), em.repeat(em.Conv(3), 30)))
    distance = sum(abs(p - 1 / 4) for p in (1 / 9, 2 / 9, 2 / 9, 4 / 9)) / 2
    assert_close(round(checkerboard(field), 6), round(distance / (1 - 1 / 4), 6), ROUNDING)


def test_patterns_of_a_line() -> None:
    line = em.EffectiveReceptiveField(np.tile([3.0, 1.0], 40), origin=(0,), unit=(0,),
                                      trf=em.receptive_field(em.serial(em.Conv(80, padding=0)), ndim=1))
    found = patterns(line, 100)
    assert [*found][:7] == [2, 3, 4, 5, 6, 7, 8] and max(found) == 100
    assert_close(found[2], 0.5, FFT)


def test_patterns_of_both_signs_are_not_known() -> None:
    signed = em.predict(em.serial(em.Conv(3, weights=em.Fixed([1.0, -1.0, 1.0]))), ndim=1)
    assert all(map(math.isnan, patterns(signed, 8).values())) and math.isnan(checkerboard(signed))
