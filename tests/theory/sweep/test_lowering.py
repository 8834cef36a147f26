"""Layers as taps: which are one number, which ask for a size, how far they reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.layers import Layer
from erfmath.theory.rules.registry import rule_of
from erfmath.layers.geometry import AxisGeometry
from erfmath.theory.sweep.rows import Rows, padding
from erfmath.theory.sweep.taps import Taps


def lowered(layer: Layer, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Any:
    return rule_of(layer).lower(layer, sizes, c_in, c_out)


def test_flat_and_trivial() -> None:
    one = AxisGeometry()
    assert Taps((0,), (one,), np.ones(1)).trivial
    assert Taps((0,), (AxisGeometry(1, padding="same"),), np.full(1, 3.)).trivial
    for moved in (AxisGeometry(2), AxisGeometry(1, 2), AxisGeometry(1, padding=(1, 1)),
                  AxisGeometry(1, padding=(-1, 0))):
        assert not Taps((0,), (moved,), np.ones(moved.kernel)).trivial
    assert not Taps((0,), (AxisGeometry(2),), np.array([1., 2.])).flat
    assert not Taps((0, 1), (one, one), np.ones((1, 1))).flat


def test_global_pooling_needs_a_size() -> None:
    with pytest.raises(ValueError, match="give image="):
        lowered(em.GlobalAvgPool(), (None, None), 3, 3)


def test_reach_of_rows() -> None:
    rows = Rows(padding(12, (2, 2), "reflect"), fold=True)
    assert [rows.reach(lag) for lag in (0, 1, 3)] == [0, 1, 3]
    assert [rows.transposed.reach(lag) for lag in (0, 1)] == [4, 5]
    assert Rows(padding(6, (1, 0), "circular")).reach(1) == 5
