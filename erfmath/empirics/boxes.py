"""Which sites of every node a run has to compute: only those that can reach the unit.

Two windows a node, both boxes of sites (lo, hi), inclusive: `need`, what the forward pass computes,
and `cone`, what the unit's gradient passes through.  They differ only below a batch norm, whose
statistics are those of the whole map.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.checks import image_shape
from ..layers import AvgPool, BatchNorm, BlurPool, GlobalAvgPool, Layer, Upsample
from ..layers.geometry import AxisGeometry, Box
from ..networks.network import Network
from . import ops

__all__ = ["Program", "Step", "compile_network"]

#: On the infinite plane, batch-norm statistics are taken from at least this many sites per axis.
PATCH = 8


@dataclass(frozen=True)
class Step:
    """One node's work: `need` and `cone` of its output, and how they read its inputs' boxes.

    `reads` and `cone_reads` are the boxes of input sites under them, padding included; `rows` and
    `cone_rows` the matrices of a layer that spreads along axes.
    """

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    geometry: tuple[AxisGeometry, ...]
    need: Box
    cone: Box
    reads: Box
    cone_reads: Box
    rows: tuple[npt.NDArray[np.float64] | None, ...] | None = None
    cone_rows: tuple[npt.NDArray[np.float64] | None, ...] | None = None

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(g.kernel for g in self.geometry)

    @property
    def stride(self) -> tuple[int, ...]:
        return tuple(g.stride for g in self.geometry)

    @property
    def dilation(self) -> tuple[int, ...]:
        return tuple(g.dilation for g in self.geometry)


@dataclass(frozen=True)
class Program:
    """The steps from the input to one node, and the boxes of the input."""

    steps: dict[int, Step] = field(repr=False)
    top: int
    need: Box
    cone: Box

    def box(self, index: int) -> Box:
        """`need` of a node (-1: the input)."""
        return self.need if index < 0 else self.steps[index].need

    def cone_box(self, index: int) -> Box:
        """`cone` of a node (-1: the input)."""
        return self.cone if index < 0 else self.steps[index].cone


def compile_network(net: Network, ndim: int, *, image: Any = None, node: str | None = None,
                    unit: tuple[int, ...] | None = None, frozen: Collection[int] = ()) -> Program:
    """What to compute for the gradient of `unit` (None: of all units, as in training).

    Parameters
    ----------
    net : Network
    ndim : int
    image : tuple of int, optional
        Shape of the input; None is the infinite plane, where nothing is ever padded.
    node : str, optional
    unit : tuple of int, optional
    frozen : collection of int
        Batch norms whose statistics are given; others take them from the whole map that they see.
    """
    top = net.index(node)
    shapes: list[tuple[int, ...]] | None = None
    if image is not None:
        image = image_shape(image, ndim)
        shapes = [*net.shapes(image, ndim).values(), image]
    if unit is None and shapes is None:
        raise ValueError("image=None: a node has finitely many units on an image only")
    start = Box(unit, unit) if unit is not None else _all(shapes[top])  # type: ignore[index]
    geometry = net.geometry(ndim)
    cone = _demand(net, geometry, shapes, {top: start}, frozenset())
    if unit is None:
        cone = {i: _all(shapes[i]) for i in cone}  # type: ignore[index]
    whole = frozenset(i for i in cone if i >= 0 and i not in frozen and isinstance(net.nodes[i].layer, BatchNorm)
                      and getattr(net.nodes[i].layer, "mode") == "data")
    need = _demand(net, geometry, shapes, {top: start}, whole) if whole and unit is not None else cone
    steps = {}
    for i in sorted(i for i in cone if i >= 0):
        layer, inputs = net.nodes[i].layer, net.sources[i]
        n = None if shapes is None else shapes[inputs[0]]
        parts: dict[str, Any] = {}
        for rows, reads, box, source in (("rows", "reads", need[i], need[inputs[0]]),
                                         ("cone_rows", "cone_reads", cone[i], cone[inputs[0]])):
            parts[reads] = _read(layer, geometry[i], box, n)
            parts[rows] = _spreading(layer, geometry[i], box, source, n)
        steps[i] = Step(net.names[i], layer, inputs, geometry[i], need[i], cone[i], **parts)
    nothing = Box((0,) * ndim, (-1,) * ndim)
    return Program(steps, top, need.get(-1, nothing), cone.get(-1, nothing))


def _all(shape: tuple[int, ...]) -> Box:
    """All sites of a map."""
    return Box((0,) * len(shape), tuple(n - 1 for n in shape))


def _demand(net: Network, geometry: Sequence[tuple[AxisGeometry, ...]],
            shapes: Sequence[tuple[int, ...]] | None, boxes: dict[int, Box],
            whole: frozenset[int]) -> dict[int, Box]:
    """Box of every node that reaches those in `boxes`; nodes in `whole` need all their sites."""
    boxes = dict(boxes)
    for i in range(max(boxes), -1, -1):
        if i not in boxes:
            continue
        layer, sources = net.nodes[i].layer, net.sources[i]
        n = None if shapes is None else shapes[sources[0]]
        box = boxes[i]
        if i in whole and not box.empty:
            box = box.grown(PATCH) if n is None else _all(n)
            boxes[i] = box
        read = _read(layer, geometry[i], box, n).within(n)
        for j in sources:
            boxes[j] = boxes[j].join(read) if j in boxes else read
    return boxes


def _read(layer: Layer, geometry: Sequence[AxisGeometry], box: Box, shape: tuple[int, ...] | None) -> Box:
    """Input sites, padding included, that the output sites of `box` read."""
    if box.empty:
        return Box(box.lo, tuple(a - 1 for a in box.lo))
    lo, hi = [], []
    for axis, (first, last, g) in enumerate(zip(box.lo, box.hi, geometry)):
        n = None if shape is None else shape[axis]
        if g.padding == "whole":
            if n is None:
                raise ValueError("global pooling sees the whole plane: give image=")
            a, b = 0, n - 1
        elif isinstance(layer, Upsample):
            a, b = first // g.stride, last // g.stride
            if layer.mode == "bilinear":
                a = math.floor((2 * first + 1 - g.stride) / (2 * g.stride))
                b = math.ceil((2 * last + 1 - g.stride) / (2 * g.stride))
        elif g.transposed:
            before = g.pads(n)[0]
            a, b = -((g.kernel - 1 - first - before) // g.stride), (last + before) // g.stride
        else:
            before = g.pads(n)[0]
            a, b = g.stride * first - before, g.stride * last - before + g.extent - 1
        lo.append(a)
        hi.append(b)
    return Box(tuple(lo), tuple(hi))


def _spreading(layer: Layer, geometry: Sequence[AxisGeometry], box: Box, source: Box,
               shape: tuple[int, ...] | None) -> tuple[npt.NDArray[np.float64] | None, ...] | None:
    """Matrices from the input sites of `source` to the output sites of `box`, for layers that are such."""
    if not isinstance(layer, (AvgPool, BlurPool, GlobalAvgPool, Upsample)):
        return None
    rows: list[npt.NDArray[np.float64] | None] = []
    for axis, g in enumerate(geometry):
        n = None if shape is None else shape[axis]
        out = np.arange(box.lo[axis], box.hi[axis] + 1)
        sites = np.arange(source.lo[axis], source.hi[axis] + 1)
        if isinstance(layer, GlobalAvgPool):
            rows.append(ops.global_rows(out, sites))
        elif isinstance(layer, AvgPool):
            rows.append(ops.average_rows(out, sites, g.kernel, g.stride, g.pads(n)[0],
                                         layer.counts_inside_only, n))
        elif isinstance(layer, BlurPool):
            rows.append(ops.blur_rows(out, sites, g.kernel, g.stride, g.pads(n)[0]))
        elif layer.mode == "nearest":
            rows.append(ops.nearest_rows(out, sites, g.stride))
        else:
            rows.append(ops.bilinear_rows(out, sites, g.stride, n))
    return tuple(rows)
