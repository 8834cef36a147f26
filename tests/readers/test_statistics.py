"""Norms written by hand are one layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_reading import kernel, ops, read
from onnx_writer import node


@pytest.mark.parametrize("axes, op", [((1,), "layer_norm"), ((1, 2, 3), "group_norm"), ((2, 3), "instance_norm")])
@pytest.mark.parametrize("square", [[node("Pow", ["c", "two"], ["q"])], [node("Mul", ["c", "c"], ["q"])]])
def test_norms_by_hand(tmp_path: Path, axes: tuple[int, ...], op: str, square: list[bytes]) -> None:
    """Older exporters write a norm out; a scale and a shift follow."""
    m = read(tmp_path, [
        node("Conv", ["x", "w"], ["y"]), node("ReduceMean", ["y"], ["m"], axes=list(axes)),
        node("Sub", ["y", "m"], ["c"]), *square, node("ReduceMean", ["q"], ["s"], axes=list(axes)),
        node("Add", ["s", "eps"], ["e"]), node("Sqrt", ["e"], ["r"]), node("Div", ["c", "r"], ["n"]),
        node("Mul", ["n", "g"], ["p"]), node("Add", ["p", "b"], ["out"])],
        {"w": kernel(4, 3, 3, 3), "two": np.float32(2), "eps": np.float32(1e-5), "g": np.ones((4, 1, 1), np.float32),
         "b": np.zeros((4, 1, 1), np.float32)})
    assert ops(m) == ["conv", op]


def test_an_rms_norm_by_hand(tmp_path: Path) -> None:
    m = read(tmp_path, [
        node("Conv", ["x", "w"], ["y"]), node("Mul", ["y", "y"], ["q"]), node("ReduceMean", ["q"], ["s"], axes=[1]),
        node("Add", ["s", "eps"], ["e"]), node("Sqrt", ["e"], ["r"]), node("Reciprocal", ["r"], ["i"]),
        node("Mul", ["i", "y"], ["out"])], {"w": kernel(4, 3, 3, 3), "eps": np.float32(1e-6)})
    assert ops(m) == ["conv", "rms_norm"] and m.stand_ins == ()
