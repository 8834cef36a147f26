"""Finite width, measured over the theory of infinitely many channels."""

from __future__ import annotations

import pytest
from helpers import assert_statistical

from erfmath.bench import width


@pytest.mark.parametrize("function", ["relu", "tanh"])
def test_cells_of_a_wide_chain(function: str) -> None:
    """Two layers of 32 channels: the first order says what is measured."""
    cells = width._cells(width._Chain(function, 2, 32, 32, 200), 1)
    variance, error, first, total, total_error = map(float, cells[5:])
    assert_statistical(variance, error, first)
    assert abs(first - 1) < 0.1
    if function == "relu":
        assert_statistical(total, total_error, 1.0)
