"""Traces: what leads to an output, who reads what, and single numbers."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from traces import step, trace_of

from erfmath.readers.records import mean_square, scalar

TRACE = trace_of(step("a", "unary", "x", shape=(1, 4, 8, 8), function="relu"),
                 step("unread", "unary", "a", shape=(1, 4, 8, 8), function="tanh"),
                 step("b", "binary", "a", "a", shape=(1, 4, 8, 8), function="add"))


def test_live_leaves_out_what_leads_nowhere() -> None:
    assert [record.name for record in TRACE.live()] == ["a", "b"]


def test_readers_count_every_reading_and_the_output() -> None:
    assert TRACE.readers() == {"x": 1, "a": 2, "b": 1}


@pytest.mark.parametrize("value, number", [(3, 3.0), (np.array([[2]]), 2.0), (np.array(True), 1.0),
                                           (np.ones(2), None), (np.array("a"), None)])
def test_scalar_of_one_number(value: object, number: float | None) -> None:
    assert scalar(value) == number


def test_mean_square_of_large_and_repeated_arrays() -> None:
    array = np.random.default_rng(0).standard_normal((1100, 1000)).astype(np.float32)
    assert_close(mean_square(array), float((array.astype(float)**2).mean()), ROUNDING)
    assert mean_square(np.broadcast_to(np.float32(3), (10**6, 10**6))) == 9.0
