"""Records to a network, its arrays, and the account of what was done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import quoted
from ..networks.network import Network
from . import channels as _channels, elementwise, weighted, windows  # noqa: F401  their rules register themselves
from .axes import BATCH, CHANNELS, Layout, whole
from .builder import Builder, Missing, StandIn, Unsupported, View
from .channels import ATTENTION
from .constants import evaluated
from .copies import LAZY, laid_out
from .functions import UNARY
from .records import Array, Record, Trace
from .rules import RULES

__all__ = ["Converted", "INITS", "build", "convert"]

INITS = ("module", "weights", "he")
#: Operations that compute nothing: of maps whose axes are gone, as in heads of detectors, they are no reason to refuse.
FLAT = "a map without its axes"
JOINING = {"concat", "reshape", "permute", "slice", "split", "expand", "pad"}


@dataclass(frozen=True)
class Converted:
    """What became of a trace; the fields are those of `Model`."""

    net: Network
    weights: Mapping[str, Array]
    outputs: Mapping[str, str]
    stand_ins: tuple[StandIn, ...]
    notes: tuple[str, ...]
    image: tuple[int, ...]
    channels_in: int


@dataclass(frozen=True)
class Beyond:
    """A value that no node holds: it comes of an operation that has no layer."""

    record: Record
    what: str


def convert(trace: Trace, *, init: str, unsupported: str = "raise") -> Converted:
    """Make a network of a traced model.

    Parameters
    ----------
    trace : Trace
    init : {"module", "weights", "he"}
        Weights as random as the arrays are (their gain is measured), as random and the arrays beside them, or of
        gain 2.
    unsupported : {"raise", "stand_in"}
        What happens where an operation has no layer.

    Raises
    ------
    NotImplementedError
        Listing all operations that lead to the last map with space and have no layer.
    ValueError
        If the trace has no map.
    """
    b, values = build(trace, init)
    return _finished(trace, b, values, unsupported)


def build(trace: Trace, init: str) -> tuple[Builder, dict[str, Any]]:
    """The nodes of a traced model, and what each of its values is: a view of a node, an array, or beyond them."""
    records = trace.live()
    ndim = max([_spatial_rank(trace), *(len(r.attributes["kernel"]) for r in records if "kernel" in r.attributes),
                *(trace.constants[r.inputs[1]].ndim - 2 for r in records  # type: ignore[index]
                  if r.op == "conv" and r.inputs[1] in trace.constants)])
    if not 1 <= ndim <= 3:
        raise ValueError(f"{trace.source}: an input of shape {trace.shape}; maps of one to three axes are read")
    layout, channels, space = _input_layout(trace, ndim)
    b = Builder(channels, space, init)
    values: dict[str, Any] = {trace.input: View("input", layout)}
    readers = trace.readers()
    shapes: dict[Any, tuple[int, ...]] = {trace.input: trace.shape}
    for record in records:
        inputs = [_operand(operand, trace, values) for operand in record.inputs]
        sizes = [shapes.get(operand) for operand in record.inputs]
        values[record.name] = value = _step(b, record, inputs, sizes)
        shapes[record.name] = record.shape
        if isinstance(value, View):
            if value.shape != tuple(record.shape) and record.op not in LAZY:
                raise ValueError(f"{record.path}: {record.op}: a shape of {value.shape} here, of {record.shape} in "
                                 f"{trace.source}; please report this")
            if readers[record.name] > 1 and not value.expression.parts:
                b.shared.add(value.node)
    return b, values


def _spatial_rank(trace: Trace) -> int:
    return max(len(trace.shape) - (1 if trace.channel_axis is None else 2), 1)


def _input_layout(trace: Trace, ndim: int) -> tuple[Layout, int, tuple[int, ...]]:
    layout: list[Any] = []
    space: list[Any] = []
    channels = 1
    for axis, size in enumerate(trace.shape):
        if axis == 0:
            layout.append(whole(BATCH, size))
        elif axis == trace.channel_axis:
            layout.append(whole(CHANNELS, size))
            channels = size
        else:
            layout.append(whole(len(space), size))
            space.append(size)
    return tuple(layout), channels, (*space, *(1,) * (ndim - len(space)))


def _operand(operand: Any, trace: Trace, values: dict[str, Any]) -> Any:
    if not isinstance(operand, str):
        return operand
    if operand == "":
        return None
    return values[operand] if operand in values else trace.constants[operand]


def _step(b: Builder, record: Record, inputs: list[Any], shapes: list[tuple[int, ...] | None]) -> Any:
    """The value of a record, whose inputs have the `shapes` of the trace: a view, an array, or what lies beyond."""
    beyond = next((v for v in inputs if isinstance(v, Beyond)), None)
    if beyond is not None:
        zero = any(isinstance(v, (np.ndarray, float, int)) and not np.any(v) for v in inputs)
        if zero and record.op == "binary" and record.attributes["function"] == "multiply":
            return np.broadcast_to(np.float32(0), record.shape)
        also = _unknown(record, inputs)
        if also:
            b.missing.append(Missing(record.path, also, ""))
        return Beyond(record, beyond.what)
    if not any(isinstance(v, (View, Beyond)) for v in inputs):
        return evaluated(record, inputs)
    marks = len(b.stand_ins), len(b.missing)
    try:
        if record.op not in RULES:
            raise Unsupported(record.op.replace("_", " "))
        if record.op not in LAZY:
            inputs = [laid_out(b, v, shape, record.path) if isinstance(v, View) and shape and v.shape != tuple(shape)
                      else v for v, shape in zip(inputs, shapes)]
        return RULES[record.op](b, record, *inputs)
    except (AttributeError, TypeError, IndexError, KeyError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{record.path}: {record.op} of inputs and attributes that do not go together "
                         f"({type(error).__name__}: {error})") from None
    except ValueError as error:
        if record.path and record.path in str(error):
            raise
        raise type(error)(f"{record.path}: {error}") from None
    except Unsupported as missing:
        del b.stand_ins[marks[0]:], b.missing[marks[1]:]
        joins = record.op in JOINING and any(isinstance(v, View) and _flattened(v) for v in inputs)
        b.missing.append(Missing(record.path, FLAT if joins else missing.what, "", joins))
        return Beyond(record, b.missing[-1].what)


def _flattened(view: View) -> bool:
    """Whether the sites of a map are on one axis of a tensor: as in heads that join levels of several sizes."""
    return any(len({digit.axis for digit in digits if digit.axis >= 0}) > 1 for digits in view.layout)


def _unknown(record: Record, inputs: list[Any]) -> str:
    """What has no layer wherever it is, in words; "" for what may have one."""
    if record.op not in RULES:
        return record.op.replace("_", " ")
    if record.op == "unary" and record.attributes["function"] not in UNARY:
        return f"the function {record.attributes['function']}"
    if record.op in ("matmul", "einsum") and not any(isinstance(v, np.ndarray) for v in inputs):
        return ATTENTION
    kernel = inputs[1].shape[2:] if record.op == "conv" and isinstance(inputs[1], np.ndarray) else (
        record.attributes.get("kernel", ()))
    if any(isinstance(v, Beyond) and v.what == FLAT for v in inputs) and any(n > 1 for n in kernel):
        return f"{record.op.replace('_', ' ')} of maps that were joined without their axes"  # their sites meet again
    return ""


def _finished(trace: Trace, b: Builder, values: dict[str, Any], unsupported: str) -> Converted:
    outputs = {}
    for label, name in trace.outputs.items():
        if isinstance(values[name], View):
            try:
                outputs[label] = b.plain(values[name]).node
            except Unsupported as missing:
                b.missing.append(Missing(label, missing.what, ""))
        elif isinstance(values[name], Beyond):
            outputs.update((f"{label}.{i}", node) for i, node in enumerate(_frontier(trace, b, values, name)))
    if not b.nodes:
        why = "".join(f" ({m.path}: {m.what} has no layer)" for m in b.missing[:1])
        raise ValueError(f"{trace.source}: no layer leads to its output{why}")
    first = values[next(iter(trace.outputs.values()))]
    last = list(outputs.values() if outputs else b.nodes)
    top = _last_map(b, last[0] if isinstance(first, View) else last[-1])
    used = _ancestors(b, top)
    lost = [v for v in values.values() if isinstance(v, Beyond) and _is_map(v.record)]
    cut = isinstance(first, Beyond) and bool(lost)
    _prune(b, used.union(*(_ancestors(b, node) for node in outputs.values())))
    gaps = [m for m in b.missing if (m.path in used if m.stand_in else cut and not m.joins)]
    if gaps and unsupported == "raise":
        raise NotImplementedError(_refusal(trace, gaps, top, cut))
    notes = [*trace.notes, *b.notes]
    for m in b.missing:
        if not m.stand_in:
            notes.append(f"{m.path}: {m.what} has no layer; what comes after it is not in the network"
                         if not m.joins else f"{m.path}: joins maps without their axes; each is an output of its own, "
                         "and what comes after is not in the network")
    names = tuple(b.nodes)
    place = {name: i for i, name in enumerate(names)} | {"input": -1}
    net = Network([layer for layer, _ in b.nodes.values()],
                  [tuple(place[i] for i in inputs) for _, inputs in b.nodes.values()], place[top], names)
    _check(trace, b, net)
    return Converted(net, b.weights, outputs, tuple(s for s in b.stand_ins), tuple(notes), b.places["input"].space,
                     b.places["input"].channels)


def _frontier(trace: Trace, b: Builder, values: dict[str, Any], output: str) -> list[str]:
    """The last maps before the operations without a layer that an output comes of, in order."""
    records = {record.name: record for record in trace.records}
    found: dict[str, None] = {}
    seen, waiting = {output}, [output]
    while waiting:
        for name in records[waiting.pop()].inputs:
            value = values.get(name) if isinstance(name, str) else None
            if isinstance(value, View):
                node = _last_map(b, b.plain(value).node)
                if math.prod(b.places[node].space) > 1:
                    found[node] = None
            elif isinstance(value, Beyond) and name not in seen:
                seen.add(str(name))
                waiting.append(str(name))
    return [name for name in b.nodes if name in found]


def _is_map(record: Record) -> bool:
    """Whether a value has sites: more numbers an image than its longest axis."""
    if record.attributes.get("of_map"):
        return True
    return math.prod(record.shape[1:]) > max(record.shape[1:], default=1)


def _ancestors(b: Builder, top: str) -> set[str]:
    found, waiting = set(), [top]
    while waiting:
        name = waiting.pop()
        if name not in found and name != "input":
            found.add(name)
            waiting += b.nodes[name][1]
    return found


def _prune(b: Builder, used: set[str]) -> None:
    """Leave out nodes that lead to no output, and what was put in the place of operations there."""
    for name in [name for name in b.nodes if name not in used]:
        del b.nodes[name]
    for key in [key for key in b.weights if key.removesuffix(".bias") not in b.nodes]:
        del b.weights[key]
    b.stand_ins[:] = [s for s in b.stand_ins if s.node in b.nodes]
    b.missing[:] = [m for m in b.missing if not m.stand_in or m.path in b.nodes]


def _last_map(b: Builder, node: str) -> str:
    """The last node before `node`, or itself, that has more than one site."""
    before = _ancestors(b, node)
    for name in reversed([name for name in b.nodes if name in before]):
        if math.prod(b.places[name].space) > 1:
            return name
    return node


def _check(trace: Trace, b: Builder, net: Network) -> None:
    """Shapes and channels of the network are those that its nodes were made with."""
    start = b.places["input"]
    shapes, channels = net.shapes(start.space), net.channels(channels_in=start.channels, ndim=b.ndim)
    for name in net.names:
        if (channels[name], shapes[name]) != b.places[name]:
            raise ValueError(f"{name}: {channels[name]} channels of {shapes[name]} sites here, {b.places[name]} in "
                             f"{trace.source}; please report this")


def _refusal(trace: Trace, gaps: list[Missing], top: str, cut: bool) -> str:
    groups: dict[tuple[str, str], list[str]] = {}
    for gap in gaps:
        groups.setdefault((gap.what, gap.stand_in), []).append(gap.path)
    lines = [f"{trace.source}: operations without a layer:"]
    for (what, stand_in), paths in groups.items():
        more = f", ... ({len(paths)})" if len(paths) > 3 else ""
        lines.append(f"  {len(paths)} x {what}: {', '.join(paths[:3])}{more}"
                     + (f"; {stand_in} would stand in" if stand_in else "; nothing stands in"))
    lines.append("Give unsupported='stand_in' for layers of the same support in their place"
                 + (f"; what follows an operation without one is left out, and the last map is {quoted(top)}." if cut
                    else ", each listed in stand_ins."))
    return "\n".join(lines)
