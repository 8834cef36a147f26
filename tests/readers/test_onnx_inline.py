"""Functions of a file's own, and branches whose condition is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from onnx_writer import block, info, model, node, number, tensor
from values import forward_values

from erfmath.readers.reading import from_onnx

X = np.random.default_rng(5).standard_normal((1, 3, 6, 6))
EYE = tensor("w", np.eye(3, dtype=np.float32)[:, :, None, None])
LAST = node("Conv", ["z", "w"], ["out"], "last")


def function(name: str, nodes: Sequence[bytes], attributes: Sequence[str] = ()) -> bytes:
    """f(a) -> b, in the domain "mine"."""
    return block(25, block(1, name) + block(4, "a") + block(5, "b") + b"".join(block(6, word) for word in attributes)
                 + b"".join(block(7, one) for one in nodes) + block(10, "mine"))


def referring(name: str, to: str) -> bytes:
    """An attribute whose value is that of the function's."""
    return block(5, block(1, name) + block(21, to) + number(20, 1))


def branched(condition: Any, then: bytes, other: bytes, *before: bytes) -> bytes:
    graphs = b"".join(block(5, block(1, word) + block(6, graph) + number(20, 5))
                      for word, graph in (("then_branch", then), ("else_branch", other)))
    tensors = [EYE, tensor("one", np.array(1)), tensor("three", np.array(3))]
    tensors += [] if condition is None else [tensor("c", np.array(condition))]
    return model([node("Relu", ["x"], ["y"]), *before, node("If", ["c"], ["z"], "choice") + graphs, LAST],
                 [info("x", X.shape)], [info("out", None)], tensors)


def graph(nodes: Sequence[bytes], output: str, *tensors: bytes) -> bytes:
    return (b"".join(block(1, one) for one in nodes) + b"".join(block(5, t) for t in tensors)
            + block(12, info(output, None)))


def read(folder: Path, data: bytes) -> Any:
    path = folder / "model.onnx"
    path.write_bytes(data)
    m = from_onnx(path)
    return forward_values(m.net, m.weights, X)


def test_functions_inside_functions(tmp_path: Path) -> None:
    """Twice a leaky ReLU after a tanh, each call with a slope of its own."""
    inner = function("Squashed", [node("Tanh", ["a"], ["b"])])
    leaky = node("LeakyRelu", ["t"], ["b"]) + referring("alpha", "slope")
    outer = function("Leaky", [node("Squashed", ["a"], ["t"], domain="mine"), leaky], ["slope"])
    nodes = [node("Leaky", ["x"], ["y"], domain="mine", slope=0.25),
             node("Leaky", ["y"], ["z"], domain="mine", slope=0.5)]
    found = read(tmp_path, model([*nodes, LAST], [info("x", X.shape)], [info("out", None)], [EYE]) + inner + outer)
    expected = X[0]
    for slope in (0.25, 0.5):
        expected = np.where(expected > 0, 1, slope) * np.tanh(expected)
    assert_close(found, expected, ROUNDING)


def test_functions_without_an_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    for body, words in (([node("F", ["a"], ["b"], domain="mine")], "more than 32 deep"),
                        ([node("F", ["a"], [f"b{i}"], domain="mine") for i in range(3)], "more than 32 deep")):
        path.write_bytes(model([node("F", ["x"], ["out"], domain="mine")], [info("x", X.shape)], [info("out", None)])
                         + function("F", body))
        with pytest.raises(ValueError, match=words):
            from_onnx(path)
    monkeypatch.setattr("erfmath.readers.onnx_inline.MOST_NODES", 2000)
    chain = [function(f"F{i}", [node(f"F{i + 1}", ["a"], [f"b{j}"], domain="mine") for j in range(99)])
             for i in range(3)]
    path.write_bytes(model([node("F0", ["x"], ["out"], domain="mine")], [info("x", X.shape)], [info("out", None)])
                     + b"".join(chain))
    with pytest.raises(ValueError, match="its functions make more than 2000 nodes"):
        from_onnx(path)


TWICE = tensor("k", 2 * np.eye(3, dtype=np.float32)[:, :, None, None])
THEN = graph([node("Conv", ["y", "k"], ["t"], "inside")], "t", TWICE)
ELSE = graph([], "y")


@pytest.mark.parametrize("condition, factor", [(True, 2), (False, 1)])
def test_the_branch_of_a_known_condition(tmp_path: Path, condition: bool, factor: float) -> None:
    assert_close(read(tmp_path, branched(condition, THEN, ELSE)), factor * np.maximum(X[0], 0), ROUNDING)


def test_a_condition_on_shapes(tmp_path: Path) -> None:
    before = [node("Shape", ["y"], ["s"]), node("Gather", ["s", "one"], ["n"]), node("Equal", ["n", "three"], ["c"])]
    assert_close(read(tmp_path, branched(None, THEN, ELSE, *before)), 2 * np.maximum(X[0], 0), ROUNDING)


def test_a_condition_on_values_is_refused(tmp_path: Path) -> None:
    before = [node("ReduceMax", ["y"], ["m"], keepdims=0), node("Cast", ["m"], ["c"], to=9)]
    with pytest.raises(NotImplementedError, match="1 x If: choice; nothing stands in"):
        read(tmp_path, branched(None, THEN, ELSE, *before))
