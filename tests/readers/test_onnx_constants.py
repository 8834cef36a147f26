"""ONNX operators on constants and shapes, and comparisons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from onnx_reading import ints, kernel, read
from onnx_writer import node
from values import forward_values

X = np.random.default_rng(3).standard_normal((1, 3, 16, 16))


def test_arithmetic_of_shapes(tmp_path: Path) -> None:
    """A size of half the map, by Shape, Slice, Div and Concat."""
    m = read(tmp_path, [node("Relu", ["x"], ["y"]), node("Shape", ["y"], ["s"], start=2),
                        node("Div", ["s", "two"], ["half"]), node("Slice", ["y", "zero", "half", "axes"], ["z"]),
                        node("Conv", ["z", "w"], ["out"])],
             {"two": ints(2, 2), "zero": ints(0, 0), "axes": ints(2, 3),
              "w": np.eye(3, dtype=np.float32)[:, :, None, None]})
    assert_close(forward_values(m.net, m.weights, X), np.maximum(X[0], 0)[:, :8, :8], ROUNDING)


@pytest.mark.parametrize("kind, expected", [(6, np.trunc), (7, np.trunc), (9, lambda x: (x != 0) * 1.0)])
def test_casts_of_values_round_them(tmp_path: Path, kind: int, expected: object) -> None:
    m = read(tmp_path, [node("Relu", ["x"], ["y"]), node("Cast", ["y"], ["i"], to=kind),
                        node("Cast", ["i"], ["z"], to=1), node("Conv", ["z", "w"], ["out"])],
             {"w": np.eye(3, dtype=np.float32)[:, :, None, None]})
    assert_close(forward_values(m.net, m.weights, X), expected(np.maximum(X[0], 0)), ROUNDING)  # type: ignore[operator]


def test_a_mask_of_channels_is_a_factor(tmp_path: Path) -> None:
    mask, w = np.array([True, False, True]).reshape(3, 1, 1), kernel(2, 3, 1, 1)
    m = read(tmp_path, [node("Where", ["mask", "x", "zero"], ["z"]), node("Conv", ["z", "w"], ["out"])],
             {"mask": mask, "zero": np.float32(0), "w": w})
    expected = np.einsum("oc,chw->ohw", w[:, :, 0, 0].astype(float), X[0] * mask)
    assert_close(forward_values(m.net, m.weights, X), expected, ROUNDING)
