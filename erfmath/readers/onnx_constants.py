"""ONNX operators that make constants and shapes, and comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..base.errors import check_bytes
from .onnx_operators import Plain, constant, handles

__all__: list[str] = []


@handles("Constant")
def given(c: Any) -> Plain:
    for kind in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if kind in c.attributes:
            array = np.asarray(c[kind])
            return constant(array.astype(np.float32) if array.dtype == np.float64 and kind != "value" else array)
    raise ValueError("holds no numbers")


@handles("ConstantOfShape")
def filled(c: Any) -> Plain:
    shape = c.ints("shape", 0)
    if min(shape, default=1) < 0:
        raise ValueError(f"of shape {shape}")
    check_bytes(8 * math.prod(shape), f"a constant of shape {shape}", "the file asks for a very large constant")
    value = np.asarray(c.get("value", np.zeros(1, np.float32))).reshape(-1)
    return constant(np.full(shape, value[0]))


@handles("Shape")
def shape_of(c: Any) -> Plain:
    shape = c.shape()
    return constant(np.array(shape[c.get("start", 0):c.get("end", len(shape))], dtype=np.int64))


@handles("Size")
def size_of(c: Any) -> Plain:
    return constant(np.array(math.prod(c.shape())))


@handles("Range")
def counted(c: Any) -> Plain:
    start, stop, step = (float(c.constant(i).reshape(())) for i in range(3))
    check_bytes(8 * max(int((stop - start) / step), 0), "a range", "the file asks for a very large constant")
    return constant(np.arange(start, stop, step).astype(c.constant(0).dtype))


@handles("ScatterElements")
def scattered(c: Any) -> Plain:
    data, places, updates = (c.constant(i) for i in range(3))
    if c.get("reduction", "none") != "none":
        raise ValueError("with a reduction")
    found = np.array(data)
    np.put_along_axis(found, places.astype(np.int64), updates, c.get("axis", 0))
    return constant(found)


_LOGIC: dict[str, Callable[..., Any]] = {
    "Equal": np.equal, "Greater": np.greater, "Less": np.less, "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal, "And": np.logical_and, "Or": np.logical_or, "Not": np.logical_not, "Mod": np.mod,
    "Where": np.where}


#: Of values that depend on the input, as steps of a function.
_CHOICES = {"Greater": "greater", "GreaterOrEqual": "greater", "Less": "less", "LessOrEqual": "less", "Not": "not",
            "Or": "maximum", "And": "minimum"}


@handles(*_LOGIC)
def logic(c: Any) -> Plain:
    if any(c.known(i) is None for i in range(len(c.inputs))) and (c.node.op == "Where" or c.node.op in _CHOICES):
        shape = np.broadcast_shapes(*(c.shape(i) for i in range(len(c.inputs))))
        op = {1: "unary", 2: "binary", 3: "where"}[len(c.inputs)]
        return Plain(op, c.inputs, {} if op == "where" else {"function": _CHOICES[c.node.op]}, shape)
    arrays = [c.constant(i) for i in range(len(c.inputs))]
    check_bytes(8 * math.prod(np.broadcast_shapes(*(a.shape for a in arrays))), "a constant")
    return constant(_LOGIC[c.node.op](*arrays))
