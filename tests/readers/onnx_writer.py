"""A small writer of ONNX files for the tests, by the specification of protobuf; it shares nothing with the reader."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

TYPES = {"float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9,
         "float16": 10, "float64": 11, "uint32": 12, "uint64": 13}


def varint(n: int) -> bytes:
    n %= 2**64
    out = bytearray()
    while True:
        low, n = n & 0x7f, n >> 7
        if not n:
            return bytes([*out, low])
        out.append(low | 0x80)


def number(field: int, n: int) -> bytes:
    return varint(field * 8) + varint(n)


def block(field: int, data: bytes | str) -> bytes:
    raw = data.encode() if isinstance(data, str) else data
    return varint(field * 8 + 2) + varint(len(raw)) + raw


def tensor(name: str, array: Any, *, how: str = "raw", kind: int | None = None) -> bytes:
    """A tensor with its numbers as raw bytes, or in the typed fields (packed or one by one)."""
    array = np.asarray(array)
    code = TYPES[array.dtype.name] if kind is None else kind
    out = b"".join(number(1, n) for n in array.shape) + number(2, code) + block(8, name)
    if how == "raw":
        return out + block(9, array.tobytes())
    if array.dtype == np.float32:
        field, each = 4, [struct.pack("<f", v) for v in array.ravel()]
    elif array.dtype == np.float64:
        field, each = 10, [struct.pack("<d", v) for v in array.ravel()]
    else:
        numbers = array.view(np.uint16) if array.dtype == np.float16 else array
        field = {"int64": 7, "uint32": 11, "uint64": 11}.get(array.dtype.name, 5)
        each = [varint(int(v)) for v in numbers.ravel()]
    if how == "packed":
        return out + block(field, b"".join(each))
    wire = {4: 5, 10: 1}.get(field, 0)
    return out + b"".join(varint(field * 8 + wire) + one for one in each)


def attribute(name: str, value: Any) -> bytes:
    out = block(1, name)
    if isinstance(value, bytes):  # an encoded tensor
        return out + block(5, value) + number(20, 4)
    if isinstance(value, str):
        return out + block(4, value) + number(20, 3)
    if isinstance(value, int):
        return out + number(3, value) + number(20, 2)
    if isinstance(value, float):
        return out + varint(2 * 8 + 5) + struct.pack("<f", value) + number(20, 1)
    if all(isinstance(v, int) for v in value):
        return out + b"".join(number(8, v) for v in value) + number(20, 7)
    return out + b"".join(varint(7 * 8 + 5) + struct.pack("<f", v) for v in value) + number(20, 6)


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], name: str = "", domain: str = "",
         **attributes: Any) -> bytes:
    return (b"".join(block(1, i) for i in inputs) + b"".join(block(2, o) for o in outputs) + block(3, name)
            + block(4, op) + b"".join(block(5, attribute(k, v)) for k, v in attributes.items())
            + (block(7, domain) if domain else b""))


def info(name: str, shape: Sequence[int | str] | None) -> bytes:
    if shape is None:
        return block(1, name)
    dims = b"".join(block(1, number(1, n) if isinstance(n, int) else block(2, n)) for n in shape)
    return block(1, name) + block(2, block(1, number(1, 1) + block(2, dims)))


def model(nodes: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes], tensors: Sequence[bytes] = (),
          infos: Sequence[bytes] = (), opset: int = 17, producer: str = "test") -> bytes:
    graph = (b"".join(block(1, n) for n in nodes) + block(2, "graph") + b"".join(block(5, t) for t in tensors)
             + b"".join(block(11, i) for i in inputs) + b"".join(block(12, o) for o in outputs)
             + b"".join(block(13, i) for i in infos))
    return number(1, 8) + block(2, producer) + block(7, graph) + block(8, number(2, opset))
