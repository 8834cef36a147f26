"""ONNX files as plain values: nodes, attributes, shapes, tensors.

Nothing is executed.  A tensor is an array only once the bytes it claims are known to be there; what lies in files
beside the model is read from its directory and from nowhere else.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.errors import check_bytes, quoted
from ..base.files import check_name, open_regular
from .onnx_inline import Function, Graph, Node, Reference, inlined
from .wire import Schema, decode

__all__ = ["Model", "Node", "Shape", "read_model"]

Array = npt.NDArray[Any]
#: Sites of each axis; None or a word where the file leaves one open.
Shape = tuple["int | str | None", ...]

SCHEMA: Schema = {
    "Model": {1: ("ir_version", "int", False), 2: ("producer", "str", False), 3: ("producer_version", "str", False),
              7: ("graph", "Graph", False), 8: ("opsets", "Opset", True), 25: ("functions", "Function", True)},
    "Opset": {1: ("domain", "str", False), 2: ("version", "int", False)},
    "Graph": {1: ("nodes", "Node", True), 2: ("name", "str", False), 5: ("tensors", "Tensor", True),
              11: ("inputs", "Info", True), 12: ("outputs", "Info", True), 13: ("infos", "Info", True),
              15: ("sparse", "Sparse", True)},
    "Function": {1: ("name", "str", False), 4: ("inputs", "str", True), 5: ("outputs", "str", True),
                 7: ("nodes", "Node", True), 10: ("domain", "str", False), 11: ("defaults", "Attribute", True)},
    "Sparse": {},
    "Node": {1: ("inputs", "str", True), 2: ("outputs", "str", True), 3: ("name", "str", False),
             4: ("op", "str", False), 5: ("attributes", "Attribute", True), 7: ("domain", "str", False),
             9: ("notes", "Note", True)},
    "Note": {1: ("key", "str", False), 2: ("value", "str", False)},
    "Attribute": {1: ("name", "str", False), 2: ("f", "float", False), 3: ("i", "int", False),
                  4: ("s", "bytes", False), 5: ("t", "Tensor", False), 6: ("g", "Graph", False),
                  7: ("floats", "float", True), 8: ("ints", "int", True), 9: ("strings", "bytes", True),
                  20: ("type", "int", False), 21: ("reference", "str", False)},
    "Tensor": {1: ("dims", "int", True), 2: ("type", "int", False), 4: ("floats", "float", True),
               5: ("int32s", "int", True), 7: ("int64s", "int", True), 8: ("name", "str", False),
               9: ("raw", "bytes", False), 10: ("doubles", "double", True), 11: ("uint64s", "int", True),
               13: ("external", "Note", True), 14: ("where", "int", False)},
    "Info": {1: ("name", "str", False), 2: ("type", "Type", False)},
    "Type": {1: ("tensor", "TensorType", False)},
    "TensorType": {1: ("element", "int", False), 2: ("shape", "Dims", False)},
    "Dims": {1: ("dims", "Dim", True)},
    "Dim": {1: ("value", "int", False), 2: ("word", "str", False)},
}

#: By type number: name, NumPy's type of the raw bytes, and the field that holds the numbers otherwise.
_TYPES: dict[int, tuple[str, str, str]] = {
    1: ("float", "<f4", "floats"), 2: ("uint8", "u1", "int32s"), 3: ("int8", "i1", "int32s"),
    4: ("uint16", "<u2", "int32s"), 5: ("int16", "<i2", "int32s"), 6: ("int32", "<i4", "int32s"),
    7: ("int64", "<i8", "int64s"), 9: ("bool", "?", "int32s"), 10: ("float16", "<f2", "int32s"),
    11: ("double", "<f8", "doubles"), 12: ("uint32", "<u4", "uint64s"), 13: ("uint64", "<u8", "uint64s"),
    16: ("bfloat16", "<u2", "int32s"), 17: ("float8e4m3fn", "u1", "int32s"), 18: ("float8e4m3fnuz", "u1", "int32s"),
    19: ("float8e5m2", "u1", "int32s"), 20: ("float8e5m2fnuz", "u1", "int32s"),
    21: ("uint4", "u1", "int32s"), 22: ("int4", "u1", "int32s"),
}
_OTHERS = {0: "undefined", 8: "string", 14: "complex64", 15: "complex128", 23: "float4e2m1", 24: "float8e8m0"}
#: Bits of the mantissa, bias of the exponent, and whether the largest exponent is infinite, of eight-bit floats.
_EIGHT_BITS = {17: (3, 7), 18: (3, 8), 19: (2, 15), 20: (2, 16)}


@dataclass(frozen=True)
class Model:
    """What a file says.

    Attributes
    ----------
    nodes : tuple of Node
        In the order of the file.
    inputs, outputs : dict
        Shapes by name; None where the file gives none.  Inputs that have a tensor are not among them.
    shapes : dict
        Of the values between, where the file tells.
    tensors : dict of str to ndarray
    opset : int
        Version of the operators of the standard domain.
    producer : str
    """

    nodes: tuple[Node, ...]
    inputs: dict[str, Shape | None]
    outputs: dict[str, Shape | None]
    shapes: dict[str, Shape]
    tensors: dict[str, Array]
    opset: int
    producer: str


def read_model(path: str | os.PathLike[str]) -> Model:
    """Read an ONNX file.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        Naming file and byte, or file and tensor: it is no ONNX file, cut short, damaged, or holds what is not read.
    SizeError
        If a file is larger than the limit of memory.
    """
    check_name(path)
    name = os.fspath(path)
    check_bytes(os.path.getsize(path), f"{name}", "it holds its weights itself; export them to a file beside it")
    with open_regular(path) as file:
        data = file.read()
    try:
        model = decode(data, "Model", SCHEMA)
        graph = model.get("graph")
        if graph is None or "ir_version" not in model:
            raise ValueError("byte 0: no ONNX model (it has no graph)")
        return _Parser(os.path.dirname(os.path.abspath(path))).model(model, graph)
    except ValueError as error:
        raise type(error)(f"{name}: {error}") from None


class _Parser:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def model(self, model: dict[str, Any], graph: dict[str, Any]) -> Model:
        if graph.get("sparse"):
            raise ValueError("holds sparse tensors, which are not read")
        opsets = {o.get("domain", ""): o.get("version", 0) for o in model.get("opsets", [])}
        tensors = {t.get("name", ""): self.tensor(t) for t in graph.get("tensors", [])}
        inputs = dict(_info(info) for info in graph.get("inputs", []))
        infos = dict(_info(info) for info in graph.get("infos", []))
        functions = {(f.get("domain", ""), f.get("name", "")): Function(
            tuple(f.get("inputs", ())), tuple(f.get("outputs", ())), tuple(self.node(n) for n in f.get("nodes", [])),
            {a.get("name", ""): self.attribute(a) for a in f.get("defaults", [])}) for f in model.get("functions", [])}
        return Model(nodes=inlined([self.node(n) for n in graph.get("nodes", [])], functions),
                     inputs={name: shape for name, shape in inputs.items() if name not in tensors},
                     outputs=dict(_info(info) for info in graph.get("outputs", [])),
                     shapes={name: shape for name, shape in infos.items() if shape is not None},
                     tensors=tensors, opset=opsets.get("", opsets.get("ai.onnx", 1)),
                     producer=" ".join(filter(None, (model.get("producer"), model.get("producer_version")))))

    def node(self, node: dict[str, Any]) -> Node:
        return Node(op=node.get("op", ""), inputs=tuple(node.get("inputs", ())),
                    outputs=tuple(node.get("outputs", ())), name=node.get("name", ""),
                    attributes={a.get("name", ""): self.attribute(a) for a in node.get("attributes", [])},
                    domain=node.get("domain", ""),
                    notes={n.get("key", ""): n.get("value", "") for n in node.get("notes", [])})

    def attribute(self, attribute: dict[str, Any]) -> Any:
        kinds = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings"}
        present = [kind for kind in kinds.values() if kind in attribute]
        if attribute.get("reference"):
            return Reference(attribute["reference"])
        kind = kinds.get(attribute.get("type", 0)) or (present[0] if present else "")
        value = attribute.get(kind)
        if kind in ("f", "i"):
            return value or 0
        if kind == "s":
            return bytes(value or b"").decode("utf-8", "replace")
        if kind == "t":
            return self.tensor(value or {})
        if kind in ("floats", "ints"):
            return [] if value is None else value.tolist()
        if kind == "strings":
            return [bytes(v).decode("utf-8", "replace") for v in value or []]
        if kind == "g":
            return Graph(tuple(self.node(n) for n in (value or {}).get("nodes", [])),
                         tuple(_info(info)[0] for info in (value or {}).get("outputs", [])),
                         {t.get("name", ""): self.tensor(t) for t in (value or {}).get("tensors", [])})
        return None

    # -- tensors ------------------------------------------------------------------------------

    def tensor(self, tensor: dict[str, Any]) -> Array:
        name, kind = tensor.get("name", ""), tensor.get("type", 0)
        dims = tensor.get("dims", np.zeros(0, np.int64)).tolist()
        try:
            if kind not in _TYPES:
                raise ValueError(f"holds numbers of type {_OTHERS.get(kind, kind)}, which are not read")
            if len(dims) > 16 or min(dims, default=0) < 0:
                raise ValueError(f"has the shape {dims[:16]}")
            return self._values(tensor, kind, math.prod(dims)).reshape(dims)
        except ValueError as error:
            raise type(error)(f"tensor {quoted(name)}: {error}") from None

    def _values(self, tensor: dict[str, Any], kind: int, count: int) -> Array:
        word, code, field = _TYPES[kind]
        packed = kind in (21, 22)
        items = (count + 1) // 2 if packed else count
        need = items * np.dtype(code).itemsize
        if tensor.get("where") == 1:
            raw = self._external(tensor, need)
        elif "raw" in tensor:
            raw = tensor["raw"]
            if len(raw) != need:
                raise ValueError(f"has {len(raw)} bytes; {count} numbers of type {word} need {need}")
        else:
            numbers = tensor.get(field, np.zeros(0, np.int64))
            if numbers.size != items:
                raise ValueError(f"has {numbers.size} numbers, its shape needs {items}")
            raw = numbers.astype(np.uint16 if kind == 10 else code)
            raw = raw.tobytes()
        return _decoded(np.frombuffer(raw, code), kind, count)

    def _external(self, tensor: dict[str, Any], need: int) -> bytes:
        about = {note.get("key", ""): note.get("value", "") for note in tensor.get("external", [])}
        location = about.get("location", "")
        path = os.path.realpath(os.path.join(self.folder, location))
        if not location or os.path.isabs(location) or os.path.commonpath(
                [path, os.path.realpath(self.folder)]) != os.path.realpath(self.folder):
            raise ValueError(f"lies in {quoted(location)}; must be a file in the directory of the model, or below it")
        try:
            start, length = int(about.get("offset", "0")), int(about.get("length", str(need)))
        except ValueError:
            raise ValueError(f"lies at {quoted(about)}: no place in a file") from None
        if not os.path.isfile(path):
            raise ValueError(f"lies in {quoted(location)}, and there is no such file beside the model")
        if length != need or start < 0 or start + need > os.path.getsize(path):
            raise ValueError(f"lies in {quoted(location)} at {start} with {length} bytes; it needs {need}, and the "
                             f"file has {os.path.getsize(path)}")
        check_bytes(need, f"{need} bytes of {location}")
        with open_regular(path) as file:
            file.seek(start)
            return file.read(need)


def _info(info: dict[str, Any]) -> tuple[str, Shape | None]:
    shape = info.get("type", {}).get("tensor", {}).get("shape")
    dims = None if shape is None else tuple(_dim(dim) for dim in shape.get("dims", []))
    return info.get("name", ""), dims


def _dim(dim: dict[str, Any]) -> int | str | None:
    value = dim.get("value")
    if value is not None and value > 0:  # some exporters write 0 or -1 where an axis is open
        return int(value)
    return str(dim["word"]) if dim.get("word") not in (None, "", "?") else None


def _decoded(array: Array, kind: int, count: int) -> Array:
    """Numbers of a type that NumPy does not have, from their bits."""
    if kind == 16:
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if kind in (21, 22):
        low = np.stack([array & 15, array >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
        return low if kind == 21 else np.where(low > 7, low - 16, low).astype(np.int8)
    if kind in _EIGHT_BITS:
        return _eight_bits(*_EIGHT_BITS[kind], zero=kind in (18, 20))[array]
    return array


def _eight_bits(mantissa: int, bias: int, zero: bool) -> npt.NDArray[np.float32]:
    """Values of all 256 eight-bit floats: with (`zero`) or without a negative zero that stands for NaN."""
    bits = np.arange(256)
    exponent, rest = (bits & 127) >> mantissa, (bits & (1 << mantissa) - 1) / (1 << mantissa)
    value = np.where(exponent > 0, (1 + rest) * 2.0**(exponent - bias), rest * 2.0**(1 - bias))
    if zero:
        value[128] = np.nan
    elif mantissa == 3:
        value[[127, 255]] = np.nan
    else:
        value[exponent == 31] = np.where(rest[exponent == 31] > 0, np.nan, np.inf)
    return np.where(bits < 128, value, -value).astype(np.float32)
