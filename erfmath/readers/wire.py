"""The protobuf wire format, read by a table of fields: bytes to plain dicts.

A message is a sequence of fields, each a key (number and wire type) and a value: a varint, four or eight bytes, or a
length and as many bytes.  What is read is untrusted: every length is checked against the bytes that are there,
nesting and the number of fields are bounded, and nothing is allocated on the word of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["DEEPEST", "MOST_FIELDS", "Schema", "decode"]

#: Messages inside messages, and fields in all, that a file may have.
DEEPEST = 64
MOST_FIELDS = 2_000_000

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5

#: By message: the number of a field -> its name, its kind, and whether it may occur more than once.  Kinds are "int",
#: "float", "double", "str", "bytes", or the name of a message.
Schema = Mapping[str, Mapping[int, tuple[str, str, bool]]]

_ITEMS: dict[str, np.dtype[Any]] = {"float": np.dtype("<f4"), "double": np.dtype("<f8")}


class _Field(NamedTuple):
    number: int
    wire: int
    start: int  # of the value
    stop: int
    varint: int


def decode(data: bytes, message: str, schema: Schema) -> dict[str, Any]:
    """The fields of a message by name; those that the table does not know are passed over.

    Parameters
    ----------
    data : bytes
        The message, to its last byte.
    message : str
        Its name in the table.
    schema : mapping
        The table of fields, by message.

    Returns
    -------
    dict
        By name of the field: int, float, str, memoryview ("bytes"), dict (a message); lists of these where a field
        may occur more than once, arrays for numbers.  Fields that are not there are missing.

    Raises
    ------
    ValueError
        Naming the byte, if `data` is no such message.

    Examples
    --------
    >>> decode(bytes([8, 150, 1, 18, 2, 104, 105]), "note", {"note": {1: ("n", "int", False), 2: ("s", "str", False)}})
    {'n': 150, 's': 'hi'}
    """
    return _Reader(memoryview(data), schema).message(message, 0, len(data), 0)


class _Reader:
    def __init__(self, data: memoryview, schema: Schema) -> None:
        self.data, self.schema, self.left = data, schema, MOST_FIELDS

    def message(self, name: str, start: int, stop: int, depth: int) -> dict[str, Any]:
        if depth > DEEPEST:
            raise ValueError(f"byte {start}: messages inside messages, more than {DEEPEST} deep")
        table, found = self.schema[name], {}
        many: dict[str, list[Any]] = {}
        for field in self.fields(start, stop):
            if field.number not in table:
                continue
            label, kind, repeated = table[field.number]
            value = self.value(field, label, kind, repeated, depth)
            if not repeated:
                found[label] = value
            else:
                many.setdefault(label, []).append(value)
        for label, values in many.items():
            numbers = isinstance(values[0], np.ndarray)
            found[label] = (values[0] if len(values) == 1 else np.concatenate(values)) if numbers else values
        return found

    def fields(self, at: int, stop: int) -> Iterator[_Field]:
        while at < stop:
            self.left -= 1
            if self.left < 0:
                raise ValueError(f"byte {at}: more than {MOST_FIELDS} fields")
            begin = at
            key, at = self.varint(at, stop)
            number, wire, value = key >> 3, key & 7, 0
            if not 0 < number < 2**29:
                raise ValueError(f"byte {begin}: no field has the number {number}")
            if wire == VARINT:
                start = at
                value, at = self.varint(at, stop)
            elif wire in (EIGHT, FOUR, BYTES):
                length = 8 if wire == EIGHT else 4
                if wire == BYTES:
                    length, at = self.varint(at, stop)
                start, at = at, at + length
                if at > stop:
                    raise ValueError(f"byte {begin}: field {number} has {length} bytes, {max(stop - start, 0)} are "
                                     "left; the file is cut short or damaged")
            else:
                raise ValueError(f"byte {begin}: field {number} has the unknown wire type {wire}")
            yield _Field(number, wire, start, at, value)

    def varint(self, at: int, stop: int) -> tuple[int, int]:
        value = 0
        for i, byte in enumerate(self.data[at:min(at + 10, stop)]):
            value |= (byte & 127) << 7 * i
            if byte < 128:
                return value & 2**64 - 1, at + i + 1
        raise ValueError(f"byte {at}: a number without an end")

    def value(self, field: _Field, label: str, kind: str, repeated: bool, depth: int) -> Any:
        part = self.data[field.start:field.stop]
        if kind == "int":
            if field.wire == VARINT:
                number = _signed(field.varint)
                return np.array([number], dtype=np.int64) if repeated else number
            if field.wire == BYTES and repeated:
                return _varints(part, field.start)
        elif kind in _ITEMS:
            item = _ITEMS[kind]
            if field.wire == (FOUR if item.itemsize == 4 else EIGHT):
                array = np.frombuffer(part, item)
                return array if repeated else float(array[0])
            if field.wire == BYTES and repeated:
                if len(part) % item.itemsize:
                    raise ValueError(f"byte {field.start}: {label}: {len(part)} bytes are no whole number of {kind}s")
                return np.frombuffer(part, item)
        elif field.wire == BYTES:
            if kind == "bytes":
                return part
            if kind == "str":
                return bytes(part).decode("utf-8", "replace")
            return self.message(kind, field.start, field.stop, depth + 1)
        raise ValueError(f"byte {field.start}: {label}: wire type {field.wire} is none of a field of kind {kind}")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _varints(part: memoryview, start: int) -> npt.NDArray[np.int64]:
    """Packed varints, all at once."""
    data = np.frombuffer(part, np.uint8)
    ends = np.flatnonzero(data < 128)
    if data.size and (not ends.size or ends[-1] != data.size - 1):
        raise ValueError(f"byte {start + data.size}: a number without an end")
    starts = np.concatenate(([0], ends[:-1] + 1)) if ends.size else ends
    if ends.size and int((ends - starts).max()) > 9:
        raise ValueError(f"byte {start}: a number of more than ten bytes")
    values = np.zeros(ends.size, np.uint64)
    for i in range(10):
        here = starts + i <= ends
        if not here.any():
            break
        values[here] |= (data[starts[here] + i] & np.uint8(127)).astype(np.uint64) << np.uint64(7 * i)
    return values.view(np.int64)
