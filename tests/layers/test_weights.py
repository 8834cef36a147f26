"""Weights: what they accept and refuse, and that they are values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close
from specs import REAL

import erfmath as em


@pytest.mark.parametrize("make, message", [
    (lambda: em.Random(gain=0), "gain=0.0: must be positive"),
    (lambda: em.Random(gain="2"), "gain='2': " + REAL),
    (lambda: em.Random(gain=math.nan), "gain=nan: must be finite"),
    (lambda: em.Random(fan="avg"), "fan='avg': must be one of 'in', 'out'"),
    (lambda: em.Random(law="cauchy"), "law='cauchy': must be one of 'normal', 'uniform'"),
    (lambda: em.Random(profile=[1, -1]), "profile: .* not negative"),
    (lambda: em.Random(profile=[0, 0]), "profile: .* not all zero"),
    (lambda: em.Random(profile=2.0), "profile: .* 1 to 3 dimensions"),
    (lambda: em.Fixed([]), "array: must hold finite numbers, at least one"),
    (lambda: em.Fixed([1, math.inf]), "array: must hold finite numbers"),
    (lambda: em.Fixed(["1", "2"]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([1j]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([True, False]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([[1], [1, 2]]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([10**400]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed(1.0), "array: has 0 axes"),
])
def test_weights_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_weights_are_compared_by_value_and_cannot_be_changed() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    fixed, random = em.Fixed(values), em.Random(profile=values)
    assert fixed == em.Fixed([[1, 2], [3, 4]]) and hash(fixed) == hash(em.Fixed([[1, 2], [3, 4]]))
    assert fixed != em.Fixed([1, 2, 3, 4]) and fixed != em.Fixed([[1, 2], [3, 5]])
    assert random == em.Random(profile=values) and hash(random) == hash(em.Random(profile=values))
    assert random != em.Random() and random != em.Random(profile=2 * values) and random != fixed
    assert em.Constant() == em.Constant() and em.Constant() != em.Random()
    values[0, 0] = 9
    assert fixed.array[0, 0] == random.profile[0, 0] == 1
    for array in (fixed.array, random.profile):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 9
    same = em.Fixed(fixed.array.tolist())
    assert em.Conv(2, padding=0, weights=fixed) == em.Conv(2, padding=0, weights=same)


def test_variances_have_sum_one() -> None:
    two, four = em.Random().variances((2, 4))
    assert_close(two, [1 / 2] * 2, EXACT)
    assert_close(four, [1 / 4] * 4, EXACT)
    rows = em.Random(profile=[1, 2, 5]).variances((3, 3))
    assert len(rows) == 2
    for row in rows:
        assert_close(row, [1 / 8, 2 / 8, 5 / 8], ROUNDING)
    whole, = em.Random(profile=[[1, 2], [3, 4]]).variances((2, 2))
    assert_close(whole, [[0.1, 0.2], [0.3, 0.4]], ROUNDING)
