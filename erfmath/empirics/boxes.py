"""Which sites of every node a run has to compute: only those that can reach the unit.

Two boxes a node: the sites that the forward pass computes, and those that the unit's gradient passes through.  They
differ only below a layer that takes statistics of the whole map.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from ..base.checks import image_shape
from ..base.errors import MOST_SITES, check_bytes, check_count
from ..layers import Layer
from ..layers.geometry import AxisGeometry, Box
from ..networks.network import Network
from .arrays import Array, folded
from .rules import Rule, Step, Window, rule_of

__all__ = ["Program", "compile_network"]

#: On the infinite plane, statistics of a map and batch are taken from at least this many sites per axis, and those of
#: one image from as many in all.
PATCH, SITES = 8, 1024

NOTHING: Mapping[int, Collection[str]] = MappingProxyType({})

Shape = tuple[int, ...]
Geometry = tuple[AxisGeometry, ...]


@dataclass(frozen=True)
class Program:
    """What to compute for the gradient of sites of one map on those of another.

    Attributes
    ----------
    steps : dict
        From the input to the node `top`, by the node's position.
    top, source : int
        Positions of the node whose gradient is wanted, and of the one on whose map; -1 is the input.
    unit : Box
        The sites of `top`.
    forward : Box
        Those of the input that have to be there.
    backward : Box
        Those of the source that the gradient reaches.
    path : frozenset of int
        The nodes between, both ends included: gradients take no other way.
    """

    steps: dict[int, Step] = field(repr=False)
    top: int
    source: int
    unit: Box
    forward: Box
    backward: Box
    path: frozenset[int] = field(repr=False)

    @property
    def over_batch(self) -> bool:
        """Whether statistics are taken of a batch of images."""
        return any(step.over_map and "batch" in step.layer.statistics for step in self.steps.values())

    @property
    def mixes_images(self) -> bool:
        """Whether gradients pass from one image of the batch to the others."""
        return any(step.through and "batch" in step.layer.statistics for step in self.steps.values())


def compile_network(net: Network, ndim: int, *, image: Any = None, node: str | None = None,
                    source: str | None = None, unit: Shape | None = None,
                    given: Mapping[int, Collection[str]] = NOTHING) -> Program:
    """What to compute for the gradient of `unit` (None: of all units, as in training).

    Parameters
    ----------
    net : Network
    ndim : int
    image : tuple of int, optional
        Shape of the input; None is the infinite plane, where nothing is ever padded.
    node : str, optional
        Whose gradient is wanted (default: the output).
    source : str, optional
        On whose map (default: the input).
    unit : tuple of int, optional
    given : mapping
        By the node's position, names of the parameters that are given: norms whose statistics are not among them take
        them from the whole map that they see.
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
    layers = [node.layer for node in net.nodes]
    statistics = frozenset(i for i, layer in enumerate(layers) if rule_of(layer).over_map(layer, given.get(i, ())))
    through = frozenset(i for i in statistics if shapes is not None and rule_of(layers[i]).through_map(layers[i]))
    bottom = -1 if source is None else net.index(source)
    path = {bottom}
    for i in range(bottom + 1, top + 1):
        if path & set(net.sources[i]):
            path.add(i)
    backward = _demand(net, geometry, shapes, top, start, through, path)
    if unit is None:
        backward = {i: _all(shapes[i]) for i in backward}  # type: ignore[index]
    forward = _demand(net, geometry, shapes, top, start, statistics) if unit is not None or bottom >= 0 else backward
    path &= set(backward)
    steps = {}
    for i in sorted(i for i in forward if i >= 0):
        incoming = [(forward[j], None if shapes is None else shapes[j]) for j in net.sources[i]]
        values = gradients = _window(layers[i], geometry[i], forward[i], incoming)
        if i in path:
            gradients = _window(layers[i], geometry[i], backward[i], [
                (backward.get(j, there), n) for j, (there, n) in zip(net.sources[i], incoming)])
        steps[i] = Step(i, net.names[i], layers[i], net.sources[i], geometry[i], values, gradients,
                        over_map=i in statistics, through=i in through)
    nothing = Box((0,) * ndim, (-1,) * ndim)
    return Program(steps, top, bottom, start, forward.get(-1, nothing), backward.get(bottom, nothing), frozenset(path))


def _all(shape: Shape) -> Box:
    """All sites of a map."""
    return Box((0,) * len(shape), tuple(n - 1 for n in shape))


def _demand(net: Network, geometry: Sequence[Geometry], shapes: Sequence[Shape] | None, top: int, start: Box,
            whole: frozenset[int], path: Collection[int] | None = None) -> dict[int, Box]:
    """Box of every node that reaches `start` at the node `top`, on a `path` if there is one.

    Nodes in `whole` need all their sites.
    """
    boxes = {top: start}
    for i in range(top, -1 if path is None else min(path), -1):
        if i not in boxes:
            continue
        layer = net.nodes[i].layer
        if i in whole and not boxes[i].empty:
            boxes[i] = boxes[i].grown(_patch(layer, start)) if shapes is None else _all(shapes[i])
        for j in net.sources[i]:
            if path is not None and j not in path:
                continue
            n = None if shapes is None else shapes[j]
            read = _reads(layer, geometry[i], boxes[i], n)
            folds = _folds(geometry[i], read, n)
            read = Box(*(tuple(int(end(sites)) for sites in folds) for end in (min, max))) if folds else read.within(n)
            boxes[j] = boxes[j].join(read) if j in boxes else read
    return boxes


def _patch(layer: Layer, unit: Box) -> int:
    """Sites per axis from which statistics are taken on the plane: fewer where there are several images."""
    return PATCH if "batch" in layer.statistics else round(SITES**(1 / len(unit.lo)))


def _reads(layer: Layer, geometry: Geometry, box: Box, shape: Shape | None) -> Box:
    """Input sites, padding included, that the output sites of `box` read."""
    if box.empty:
        return Box(box.lo, tuple(a - 1 for a in box.lo))
    ends = [rule_of(layer).reads(layer, g, first, last, None if shape is None else shape[axis])
            for axis, (g, first, last) in enumerate(zip(geometry, *box))]
    return Box(*(tuple(part) for part in zip(*ends)))


def _folds(geometry: Geometry, read: Box, shape: Shape | None) -> tuple[Array, ...]:
    """Per axis the sites of the map that those of `read` repeat, where padding does so."""
    if shape is None or read.empty or all(g.border == "zeros" for g in geometry):
        return ()
    return tuple(folded(np.arange(a, b + 1), n, g.border) for a, b, n, g in zip(*read, shape, geometry))


def _window(layer: Layer, geometry: Geometry, box: Box, inputs: Sequence[tuple[Box, Shape | None]]) -> Window:
    """The sites of one pass at a node with the output sites of `box`, and inputs that have some sites of a shape."""
    held, shape = inputs[0]
    for extent in (box.shape, held.shape):
        check_count(max(extent), MOST_SITES, f"measuring on a map of {max(extent)} sites a side",
                    "take a smaller image or dilation")
    if type(rule_of(layer)).matrix is not Rule.matrix:
        check_bytes(8 * max(map(operator.mul, box.shape, held.shape)), "the matrix of a pool along an axis",
                    "take a smaller image or kernel")
    reads = tuple(_reads(layer, geometry, box, n) for _, n in inputs)
    for read in reads:
        check_count(max(read.shape), MOST_SITES, f"measuring on a map padded to {max(read.shape)} sites a side",
                    "take a smaller dilation or padding")
    matrices = [rule_of(layer).matrix(layer, g, np.arange(box.lo[axis], box.hi[axis] + 1),
                                      np.arange(held.lo[axis], held.hi[axis] + 1),
                                      None if shape is None else shape[axis]) for axis, g in enumerate(geometry)]
    return Window(box, tuple(box for box, _ in inputs), reads,
                  tuple(matrix for matrix in matrices if matrix is not None), _folds(geometry, reads[0], shape))
