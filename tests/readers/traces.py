"""Traces by hand: a few operations on one image."""

from __future__ import annotations

from typing import Any

import numpy as np

from erfmath.readers.convert import Converted, convert
from erfmath.readers.records import Operand, Record, Trace


def step(name: str, op: str, *inputs: Operand, shape: tuple[int, ...], **attributes: Any) -> Record:
    return Record(name, op, inputs, attributes, shape, name)


def trace_of(*records: Record, shape: tuple[int, ...] = (1, 4, 8, 8), channel_axis: int | None = 1,
             **constants: Any) -> Trace:
    """Of an input "x"; the last record is the output."""
    arrays = {name: np.asarray(array) for name, array in constants.items()}
    return Trace(records, "x", shape, channel_axis, arrays, {"out": records[-1].name}, "a trace")


def converted(*records: Record, init: str = "weights", unsupported: str = "raise", **about: Any) -> Converted:
    return convert(trace_of(*records, **about), init=init, unsupported=unsupported)


def layers(found: Converted) -> list[Any]:
    return [node.layer for node in found.net]
