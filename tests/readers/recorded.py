"""Traces as small files: records in full, arrays as their shapes and sizes.

A file is gzipped JSON.  Of an array there are its shape and its root mean square, or its values where they are few or
all equal; a trace that is read back has arrays of that size and of either sign in their place.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from erfmath.readers.records import Record, Trace

FOLDER = Path(__file__).resolve().parent.parent / "data" / "readers"
#: Arrays of at most this many numbers are kept as they are.
FEW = 24


def packed(array: Any) -> Any:
    array = np.asarray(array)
    about: dict[str, Any] = {"shape": list(array.shape)}
    if array.size and np.ptp(array) == 0:
        about["value"] = array.reshape(-1)[0].item()
    elif array.size <= FEW:
        about["values"] = [float(f"{v:.7g}") for v in array.reshape(-1).tolist()]
    else:
        about["rms"] = float(f"{np.sqrt(np.mean(np.square(array, dtype=float))):.4g}")
    return about


def unpacked(about: Any) -> Any:
    shape = tuple(about["shape"])
    if "values" in about:
        return np.array(about["values"]).reshape(shape)
    if "value" in about:
        return np.broadcast_to(np.float32(about["value"]), shape)
    signs = np.where(np.arange(shape[0]) % 2, 1, -1).reshape(-1, *(1,) * (len(shape) - 1))
    return np.broadcast_to((about["rms"] * signs).astype(np.float32), shape)


def write(name: str, trace: Trace, **about: Any) -> Path:
    """Values are numbered: their names are of no interest, those of modules are."""
    number = {trace.input: "x"}
    for record in trace.live():
        number[record.name] = str(len(number))
    wanted = {i for record in trace.live() for i in record.inputs if isinstance(i, str) and i in trace.constants}
    number |= {key: f"w{i}" for i, key in enumerate(sorted(wanted))}
    records = [[r.op, [number.get(i, i) if isinstance(i, str) else i for i in r.inputs], dict(r.attributes),
                list(r.shape), r.path] for r in trace.live()]
    d = {**about, "source": trace.source, "shape": list(trace.shape), "channel_axis": trace.channel_axis,
         "records": records, "constants": {number[key]: packed(trace.constants[key]) for key in sorted(wanted)},
         "outputs": {label: number[value] for label, value in trace.outputs.items()}}
    path = FOLDER / f"{name}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(d, separators=(",", ":")).encode(), 9, mtime=0))
    return path


def read(name: str) -> tuple[Trace, dict[str, Any]]:
    """The trace, and what else the file says."""
    d = json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))
    records = tuple(Record(str(i), op, tuple(inputs), attributes, tuple(shape), path)
                    for i, (op, inputs, attributes, shape, path) in enumerate(d.pop("records"), 1))
    constants = {key: unpacked(about) for key, about in d.pop("constants").items()}
    return Trace(records, "x", tuple(d.pop("shape")), d.pop("channel_axis"), constants, d.pop("outputs"),
                 d.pop("source")), d


def names() -> list[str]:
    return sorted(path.name.removesuffix(".json.gz") for path in FOLDER.glob("*.json.gz"))
