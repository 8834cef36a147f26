"""Small ONNX files, written and read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx_writer import info, model, tensor

from erfmath.readers.reading import from_onnx

RNG = np.random.default_rng(0)


def kernel(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def read(folder: Path, nodes: Sequence[bytes], arrays: dict[str, Any], *, shape: Any = (1, 3, 16, 16),
         outputs: Sequence[str] = ("out",), opset: int = 17, **options: Any) -> Any:
    path = folder / "model.onnx"
    path.write_bytes(model(nodes, [info("x", shape)], [info(name, None) for name in outputs],
                           [tensor(name, array) for name, array in arrays.items()], opset=opset))
    return from_onnx(path, **options)


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def ops(m: Any) -> list[str]:
    return [item.layer.kind for item in m.net]
