"""What operations on constants alone give, with NumPy: weight standardisation, shapes, masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..base.errors import check_bytes
from .functions import BINARY, UNARY
from .records import Array, Record

__all__ = ["evaluated"]


def evaluated(record: Record, inputs: Sequence[Any]) -> Array:
    """The value of an operation on arrays and numbers.

    Raises
    ------
    NotImplementedError
        If the operation is none that is computed here.
    SizeError
        If the value would not fit in memory.
    """
    op, a = record.op, record.attributes
    check_bytes(8 * math.prod(record.shape), f"{record.path}: a constant of shape {record.shape}",
                "the file asks for a very large constant")
    arrays = [None if v is None else np.asarray(v) for v in inputs]
    x: Any = arrays[0] if arrays else None
    with np.errstate(all="ignore"):
        if op == "unary":
            return np.asarray(UNARY[a["function"]](x, **{k: v for k, v in a.items() if k != "function"}))
        if op == "binary":
            return np.asarray(BINARY[a["function"]](x, arrays[1]))
        if op == "reduce":
            return _reduced(x, a)
        if op == "batch_norm":
            return _normal(x, arrays, a)
        if op in _SIMPLE:
            return np.asarray(_SIMPLE[op](x, a, record.shape, arrays))
    raise NotImplementedError(f"{record.path}: {op} of constants is not computed; export the model with constants "
                              "folded")


def _slices(x: Array, a: Any) -> Any:
    cut = [slice(None)] * x.ndim
    cut[a["axis"]] = slice(a["start"], a["stop"], a["step"])
    return x[tuple(cut)]


_SIMPLE: dict[str, Any] = {
    "reshape": lambda x, a, shape, _: x.reshape(shape), "expand": lambda x, a, shape, _: np.broadcast_to(x, shape),
    "permute": lambda x, a, shape, _: x.transpose(a["order"]), "identity": lambda x, a, shape, _: x,
    "dropout": lambda x, a, shape, _: x, "slice": lambda x, a, shape, _: _slices(x, a),
    "concat": lambda x, a, shape, arrays: np.concatenate(arrays, a["axis"]),
    "where": lambda x, a, shape, arrays: np.where(x, *arrays[1:]),
    "gather": lambda x, a, shape, arrays: np.take(x, arrays[1], a["axis"]),
    "pad": lambda x, a, shape, _: np.pad(x, a["pads"], constant_values=a.get("value") or 0),
    "take": lambda x, a, shape, _: np.take(x, a["places"], a["axis"]),
    "tile": lambda x, a, shape, _: np.tile(x, a["times"]),
    "linear": lambda x, a, shape, arrays: x @ arrays[1].T + (0 if len(arrays) < 3 or arrays[2] is None else arrays[2]),
    "matmul": lambda x, a, shape, arrays: x @ arrays[1],
}


def _reduced(x: Array, a: Any) -> Array:
    axes, keep = tuple(a["axes"]), a["keep"]
    function = a["function"]
    if function == "norm":
        return np.asarray(np.sqrt((x * x).sum(axis=axes, keepdims=keep)))
    if function == "var":
        return np.asarray(x.var(axis=axes, keepdims=keep, ddof=a.get("correction", 0)))
    return np.asarray(getattr(x, function)(axis=axes, keepdims=keep))


def _normal(x: Array, arrays: Sequence[Any], a: Any) -> Array:
    """Batch norm by the statistics of the array itself, as weight standardisation uses it."""
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    scale, shift, mean, var = (None if v is None else v.reshape(shape) for v in arrays[1:5])
    if mean is None or not a.get("frozen", True):
        mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    out = (x - mean) / np.sqrt(var + a.get("eps", 1e-5))
    return np.asarray((out if scale is None else out * scale) + (0 if shift is None else shift))
