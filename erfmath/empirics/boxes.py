"""Which sites of every node a run has to compute: only those that can reach the unit.

Two boxes a node: the sites that the forward pass computes, and those that the unit's gradient passes through.  They
differ only below a layer that takes statistics of the whole map.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..base.checks import image_shape
from ..layers import Layer
from ..layers.geometry import AxisGeometry, Box
from ..networks.network import Network
from .rules import Step, Window, rule_of

__all__ = ["Program", "compile_network"]

#: On the infinite plane, statistics of a map are taken from at least this many sites per axis.
PATCH = 8

Shape = tuple[int, ...]
Geometry = tuple[AxisGeometry, ...]


@dataclass(frozen=True)
class Program:
    """The steps from the input to the node `top`, by the node's position, and the input's boxes of both passes."""

    steps: dict[int, Step] = field(repr=False)
    top: int
    forward: Box
    backward: Box


def compile_network(net: Network, ndim: int, *, image: Any = None, node: str | None = None,
                    unit: Shape | None = None, frozen: Collection[int] = ()) -> Program:
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
        Norms whose statistics are given; others take them from the whole map that they see.
    """
    top = net.index(node)
    shapes: list[Shape] | None = None
    if image is not None:
        image = image_shape(image, ndim)
        shapes = [*net.shapes(image, ndim).values(), image]
    if unit is None and shapes is None:
        raise ValueError("image=None: a node has finitely many units on an image only")
    start = Box(unit, unit) if unit is not None else _all(shapes[top])  # type: ignore[index]
    geometry = net.geometry(ndim)
    backward = _demand(net, geometry, shapes, top, start, frozenset())
    if unit is None:
        backward = {i: _all(shapes[i]) for i in backward}  # type: ignore[index]
    whole = frozenset(i for i in backward if i >= 0 and i not in frozen and "space" in net.nodes[i].layer.statistics)
    forward = _demand(net, geometry, shapes, top, start, whole) if whole and unit is not None else backward
    steps = {}
    for i in sorted(i for i in backward if i >= 0):
        layer, inputs = net.nodes[i].layer, net.sources[i]
        n = None if shapes is None else shapes[inputs[0]]
        steps[i] = Step(i, net.names[i], layer, inputs, geometry[i],
                        *(_window(layer, geometry[i], boxes[i], tuple(boxes[j] for j in inputs), n)
                          for boxes in (forward, backward)))
    nothing = Box((0,) * ndim, (-1,) * ndim)
    return Program(steps, top, forward.get(-1, nothing), backward.get(-1, nothing))


def _all(shape: Shape) -> Box:
    """All sites of a map."""
    return Box((0,) * len(shape), tuple(n - 1 for n in shape))


def _demand(net: Network, geometry: Sequence[Geometry], shapes: Sequence[Shape] | None, top: int, start: Box,
            whole: frozenset[int]) -> dict[int, Box]:
    """Box of every node that reaches `start` at the node `top`; nodes in `whole` need all their sites."""
    boxes = {top: start}
    for i in range(top, -1, -1):
        if i not in boxes:
            continue
        sources = net.sources[i]
        n = None if shapes is None else shapes[sources[0]]
        if i in whole and not boxes[i].empty:
            boxes[i] = boxes[i].grown(PATCH) if n is None else _all(n)
        read = _reads(net.nodes[i].layer, geometry[i], boxes[i], n).within(n)
        for j in sources:
            boxes[j] = boxes[j].join(read) if j in boxes else read
    return boxes


def _reads(layer: Layer, geometry: Geometry, box: Box, shape: Shape | None) -> Box:
    """Input sites, padding included, that the output sites of `box` read."""
    if box.empty:
        return Box(box.lo, tuple(a - 1 for a in box.lo))
    ends = [rule_of(layer).reads(layer, g, first, last, None if shape is None else shape[axis])
            for axis, (g, first, last) in enumerate(zip(geometry, *box))]
    return Box(*(tuple(part) for part in zip(*ends)))


def _window(layer: Layer, geometry: Geometry, box: Box, held: tuple[Box, ...], shape: Shape | None) -> Window:
    """The sites of one pass at a node with the output sites of `box`, and inputs on those `held`."""
    reads = _reads(layer, geometry, box, shape)
    matrices = [rule_of(layer).matrix(layer, g, np.arange(box.lo[axis], box.hi[axis] + 1),
                                      np.arange(held[0].lo[axis], held[0].hi[axis] + 1),
                                      None if shape is None else shape[axis]) for axis, g in enumerate(geometry)]
    return Window(box, held, (reads,) * len(held), tuple(matrix for matrix in matrices if matrix is not None))
