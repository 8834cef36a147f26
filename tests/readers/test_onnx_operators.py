"""Operators of ONNX, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from onnx_reading import ints, kernel, ops, read
from onnx_writer import node

import erfmath as em


@pytest.mark.parametrize("opset, nodes, arrays", [
    (9, [node("Clip", ["y"], ["r"], min=0.0, max=6.0)], {}),
    (13, [node("Clip", ["y", "zero", "six"], ["r"])], {"zero": np.float32(0), "six": np.float32(6)}),
    (13, [node("Relu", ["y"], ["p"]), node("Min", ["p", "six"], ["r"])], {"six": np.float32(6)}),
])
def test_relu6(tmp_path: Path, opset: int, nodes: list[bytes], arrays: dict[str, Any]) -> None:
    m = read(tmp_path, [node("Conv", ["x", "w"], ["y"]), *nodes, node("Conv", ["r", "v"], ["out"])],
             {"w": kernel(4, 3, 3, 3), "v": kernel(4, 4, 3, 3), **arrays}, opset=opset, unsupported="stand_in")
    assert len(m.net) == 3 and (m.stand_ins == () or m.stand_ins[0].what == "activation relu6")


def test_shapes_that_are_computed(tmp_path: Path) -> None:
    """A reshape by Shape, Gather and Concat, as TorchScript exports it; the channels end where they began."""
    m = read(tmp_path, [
        node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1]), node("Shape", ["y"], ["shape"]),
        node("Gather", ["shape", "one"], ["c"], axis=0), node("Div", ["c", "two"], ["half"]),
        node("Unsqueeze", ["half", "axis"], ["h"]), node("Concat", ["keep", "h", "rest"], ["to"], axis=0),
        node("Reshape", ["y", "to"], ["v"]), node("Transpose", ["v"], ["t"], perm=[0, 2, 1, 3, 4]),
        node("Transpose", ["t"], ["u"], perm=[0, 2, 1, 3, 4]), node("Reshape", ["u", "back"], ["z"]),
        node("Conv", ["z", "v2"], ["out"])],
        {"w": kernel(6, 3, 3, 3), "v2": kernel(6, 6, 3, 3), "one": np.array(1), "two": np.array(2), "axis": ints(0),
         "keep": ints(1, 2), "rest": ints(16, 16), "back": ints(0, -1, 16, 16)})
    assert ops(m) == ["conv", "conv"]


def test_weight_standardisation_is_computed(tmp_path: Path) -> None:
    w = kernel(4, 3, 3, 3)
    m = read(tmp_path, [node("ReduceMean", ["w"], ["m"], axes=[1, 2, 3]), node("Sub", ["w", "m"], ["c"]),
                        node("Mul", ["c", "c"], ["q"]), node("ReduceMean", ["q"], ["s"], axes=[1, 2, 3]),
                        node("Sqrt", ["s"], ["r"]), node("Div", ["c", "r"], ["n"]), node("Conv", ["x", "n"], ["out"])],
             {"w": w})
    centred = w - w.mean((1, 2, 3), keepdims=True)
    assert_close(m.weights["conv"], centred / np.sqrt((centred * centred).mean((1, 2, 3), keepdims=True)),
                 ROUNDING._replace(rtol=1e-6))


def test_a_slice_of_sites_and_a_global_pool(tmp_path: Path) -> None:
    m = read(tmp_path, [node("Slice", ["x", "a", "b", "axes", "steps"], ["s"]), node("Conv", ["s", "w"], ["y"]),
                        node("ReduceMean", ["y"], ["p"], axes=[2, 3]), node("Conv", ["p", "v"], ["out"])],
             {"w": kernel(4, 3, 3, 3), "v": kernel(2, 4, 1, 1), "a": ints(1, 0), "b": ints(16, 16), "axes": ints(2, 3),
              "steps": ints(1, 2)})
    assert ops(m) == ["pad", "avg_pool", "conv", "global_avg_pool", "conv"]
    assert m.net.shapes(16)["conv"] == (13, 6)


@pytest.mark.parametrize("mode, rule, op", [("nearest", "asymmetric", "upsample"), ("linear", "half_pixel", "upsample"),
                                            ("linear", "pytorch_half_pixel", "upsample")])
def test_resize(tmp_path: Path, mode: str, rule: str, op: str) -> None:
    m = read(tmp_path, [node("Conv", ["x", "w"], ["y"]), node("Resize", ["y", "", "scales"], ["out"], mode=mode,
                                                              nearest_mode="floor",
                                                              coordinate_transformation_mode=rule)],
             {"w": kernel(4, 3, 3, 3), "scales": np.float32([1, 1, 2, 3])})
    assert m.net.nodes[-1].layer == em.Upsample((2, 3), "nearest" if mode == "nearest" else "bilinear")
