"""Records: a traced model as plain operations, whatever framework it came from.

Operations and their attributes; `x` is the first input, numbers may stand in the place of inputs.

====================  ==========================  ==============================================================
op                    inputs                      attributes
====================  ==========================  ==============================================================
conv                  x, weights, bias            stride, padding (pairs, or "same"), dilation, groups, transposed,
                                                  output_padding, mode
linear                x, weights (out, in), bias  of the last axis
batch_norm            x, scale, shift, mean, var  eps, frozen (False: statistics of the batch)
layer_norm            x, scale, shift             axes, eps, centred
group_norm            x, scale, shift             groups, eps
instance_norm         x, scale, shift             eps
max_pool, avg_pool    x                           kernel, stride, padding, dilation, ceil, count_include_pad
adaptive_avg_pool,    x                           size
adaptive_max_pool
unary                 x                           function, and its parameters
binary                x, y                        function: add, subtract, multiply, divide, power, maximum, minimum
reduce                x                           function: mean, sum, max, min, norm, var; axes, keep
reshape, expand       x                           (the shape of the record)
permute               x                           order
concat                x, y, ...                   axis
slice                 x                           axis, start, stop, step
pad                   x                           pads (a pair per axis), mode, value
resize                x                           mode, align_corners
pixel_shuffle,        x                           factor
pixel_unshuffle
softmax               x                           axis
matmul                x, y
dropout, identity     x                           p
gather                x, indices                  axis (of constants)
====================  ==========================  ==============================================================

Any other op is carried along, and refused by the converter where something needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Operand", "Record", "Trace", "mean_square", "scalar"]

Array = npt.NDArray[Any]
#: The name of a value, "" for one that is left out, or a number.
Operand = Union[str, float]


@dataclass(frozen=True)
class Record:
    """One operation: the value it makes, from which, and where in the model it is.

    Attributes
    ----------
    name : str
        Of the value.
    op : str
    inputs : tuple of str or float
    attributes : dict
        Plain values.
    shape : tuple of int
        Of the value.
    path : str
        What its node is called: the path of its module, or something like it.
    """

    name: str
    op: str
    inputs: tuple[Operand, ...]
    attributes: Mapping[str, Any]
    shape: tuple[int, ...]
    path: str


@dataclass(frozen=True)
class Trace:
    """A traced model.

    Attributes
    ----------
    records : tuple of Record
        Each after those whose values it reads.
    input : str
        Name of the one input.
    shape : tuple of int
        Of the input.
    channel_axis : int or None
        Axis of the input that holds the channels; the first is the batch, the others are space.  None: it has none.
    constants : dict of str to ndarray
        Parameters, buffers, and what was computed of them.
    outputs : dict of str to str
        Names of values by label.
    source : str
        What was read, in words.
    """

    records: tuple[Record, ...]
    input: str
    shape: tuple[int, ...]
    channel_axis: int | None
    constants: Mapping[str, Array]
    outputs: Mapping[str, str]
    source: str = ""
    notes: tuple[str, ...] = field(default=())

    def live(self) -> list[Record]:
        """The records that lead to an output, in order."""
        wanted, found = set(self.outputs.values()), []
        for record in reversed(self.records):
            if record.name in wanted:
                found.append(record)
                wanted.update(i for i in record.inputs if isinstance(i, str))
        return found[::-1]

    def readers(self) -> dict[str, int]:
        """How many live operations read each value; an output counts as one more."""
        count: dict[str, int] = {}
        for name in [i for record in self.live() for i in record.inputs if isinstance(i, str)] + list(
                self.outputs.values()):
            count[name] = count.get(name, 0) + 1
        return count


def scalar(value: Any) -> float | None:
    """A number, or an array of one, as a float."""
    array = np.asarray(value)
    return float(array.reshape(())) if array.size == 1 and array.dtype.kind in "fiub" else None


def mean_square(array: Any) -> float:
    """Of an array that may be large, or repeat its numbers without holding them."""
    array = np.asarray(array)
    array = array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]
    if array.ndim == 0 or array.size < 2**20:
        return float(np.mean(np.square(array, dtype=float)))
    return float(np.mean([mean_square(part) for part in array]))
