"""Nodes of a network as they are put together, and what tensors are views of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..layers import Activation, Conv, Layer, PixelShuffle, PixelUnshuffle, Random, Scale, Shuffle
from ..layers.base import KINDS
from .axes import CHANNELS, Digit, Layout, merged, shape_of, whole
from .functions import GRID, Expression, X, affine, formula, passed, rest, scaled, values
from .records import Array

__all__ = ["Builder", "Missing", "StandIn", "Statistic", "Unsupported", "View"]

#: Operations in one expression; deeper ones are cut into nodes.
DEEPEST = 40


class Unsupported(Exception):
    """What has no layer: an operation in words, and what would be put in its place."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Missing(NamedTuple):
    """An operation that has no layer: where, what, what stands in ("" for nothing), and whether it only joins maps."""

    path: str
    what: str
    stand_in: str
    joins: bool = False


class StandIn(NamedTuple):
    """A layer in the place of an operation that has none, made by the readers.

    Attributes
    ----------
    node : str
        Its name.
    what : str
        The operation that it stands in for.
    layer : str
        What it is.
    size : str
        What is known of the difference that it makes.

    Examples
    --------
    >>> from erfmath.readers.builder import StandIn
    >>> StandIn("features.3", "product with a constant pattern over sites", "scale", "its root mean square").layer
    'scale'
    """

    node: str
    what: str
    layer: str
    size: str


class Statistic(NamedTuple):
    """What a tensor is of another.

    A "mean", "mean square", "variance" or "norm" over `digits`, what is "centred" by the mean, or a part of a global
    response norm: the "mean norm" of channels, the "response" (a norm over the mean norm), and the "responded" values,
    which are the values by the response, times `scale`, plus `shift`.
    """

    kind: str
    node: str
    digits: frozenset[Digit]
    scale: Any = 1.0
    shift: Any = 0.0


@dataclass(frozen=True, eq=False)
class View:
    """A tensor: the output of a node, its axes by digits, and a function still to be applied at each site.

    `statistic` says what the node's output is, where norms are written by hand.
    """

    node: str
    layout: Layout
    expression: Expression = X
    statistic: Statistic | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.layout)

    def moved(self, layout: Layout) -> View:
        return dataclasses.replace(self, layout=layout)


class Place(NamedTuple):
    """Channels and sites of a node's output."""

    channels: int
    space: tuple[int, ...]


class Builder:
    """The nodes so far.

    Attributes
    ----------
    nodes : dict
        Layer and inputs by name, each after its inputs.
    places : dict of str to Place
        Of every node and of the input.
    weights : dict of str to ndarray
    stand_ins : list of StandIn
    missing : list of Missing
    notes : list of str
    """

    def __init__(self, channels: int, space: Sequence[int], init: str) -> None:
        self.nodes: dict[str, tuple[Layer, tuple[str, ...]]] = {}
        self.places = {"input": Place(channels, tuple(space))}
        self.weights: dict[str, Array] = {}
        self.stand_ins: list[StandIn] = []
        self.missing: list[Missing] = []
        self.notes: dict[str, None] = {}
        self.init = init
        self.shared: set[str] = set()  # nodes whose value is read more than once
        self.pooled: set[str] = set()  # nodes whose one site is that of a global pool
        self._functions: dict[tuple[str, int], tuple[str, Expression]] = {}

    @property
    def ndim(self) -> int:
        return len(self.places["input"].space)

    # -- layers -------------------------------------------------------------------------------

    @staticmethod
    def has(op: str, field: str) -> bool:
        """Whether layers of the kind `op` have a field."""
        return field in {f.name for f in dataclasses.fields(KINDS[op])}

    @staticmethod
    def layer(op: str, *values: Any, **fields: Any) -> Layer:
        """A layer of the kind `op`.

        Raises
        ------
        Unsupported
            If there is no such kind, or it has no such field or value.
        """
        kind = KINDS.get(op)
        if kind is None:
            raise Unsupported(op.replace("_", " "))
        known = {f.name for f in dataclasses.fields(kind)}
        if not fields.keys() <= known:
            raise Unsupported(f"{op.replace('_', ' ')} with {', '.join(sorted(fields.keys() - known))}")
        try:
            return kind(*values, **fields)
        except (TypeError, ValueError) as error:
            raise Unsupported(f"{op.replace('_', ' ')} ({error})") from None

    def emit(self, layer: Layer, inputs: Sequence[str], path: str, channels: int | None = None,
             space: Sequence[int] | None = None) -> str:
        """Add a node; without channels or space it keeps those of its first input."""
        before = self.places[inputs[0]]
        place = Place(before.channels if channels is None else channels,
                      before.space if space is None else tuple(space))
        stem = path if path and path != "input" else layer.kind
        name, count = stem, 1
        while name in self.nodes:
            count += 1
            name = f"{stem}_{count}"
        self.nodes[name] = (layer, tuple(inputs))
        if all(i in self.pooled for i in inputs) or any(axis.padding == "whole" for axis in layer.geometry(self.ndim)):
            self.pooled.add(name)
        self.places[name] = place
        return name

    def note(self, text: str) -> None:
        self.notes[text] = None

    def stand_in(self, node: str, what: str, size: str = "") -> None:
        layer = self.nodes[node][0]
        word = f"{layer.function}" if isinstance(layer, Activation) else layer.op
        self.stand_ins.append(StandIn(node, what, word, size))
        self.missing.append(Missing(node, what, word))

    # -- functions ----------------------------------------------------------------------------

    def applied(self, view: View, expression: Expression) -> View:
        """A view with a function of its value, cut into nodes where it grows long."""
        view = dataclasses.replace(view, expression=expression)
        return self.plain(view) if expression.depth > DEEPEST else view

    def plain(self, view: View) -> View:
        """The view of a node that holds the function's value."""
        if view.expression is X:
            return view
        key = view.node, id(view.expression)
        if key not in self._functions:
            name = self._function(view.node, view.expression)
            self._functions[key] = name, view.expression  # keeps the identity from being used again
        return View(self._functions[key][0], view.layout)

    def _function(self, node: str, e: Expression) -> str:
        """The node of a function: of known layers one after the other, or else of one that holds its formula."""
        parts: list[Expression] = []
        left = e
        while left is not X:  # the longest beginning that is a layer, and then the rest
            part = next((part for part in passed(left) if self._known(part)), None)
            if part is None:
                return self._formula(node, e)
            parts.append(part)
            left = rest(left, part)
        for part in parts:
            node = self._layer(node, part)
        return node

    def _formula(self, node: str, e: Expression) -> str:
        try:
            return self.emit(Activation(formula(e)), [node], e.path)
        except ValueError as error:
            raise Unsupported(f"a function of one value ({error})") from None

    @staticmethod
    def _known(e: Expression) -> bool:
        """Whether a function is affine, or a known activation, or that between two factors."""
        f = values(e, GRID)
        return affine(f) is not None or scaled(f)[1] is not None

    def _layer(self, node: str, e: Expression) -> str:
        """The node of such a function."""
        f = values(e, GRID)
        line = affine(f)
        if line is not None:
            return self._affine(node, *line, e)
        inner, name, outer, parameters = scaled(f)
        assert name is not None
        activation = self.layer("activation", name, **parameters)
        if inner != 1:
            node = self.emit(Scale(inner), [node], f"{e.path}.inner")
        node = self.emit(activation, [node], e.path)
        return node if outer == 1 else self.emit(Scale(outer), [node], f"{e.path}.outer")

    def _affine(self, node: str, slope: float, shift: float, e: Expression) -> str:
        single = [p for p in e.parts if not isinstance(p, Expression)]
        if e.op == "multiply" and e.parts[0] is X and single:
            slope = single[0]  # as it was written
        return self.affine(node, slope, shift, e.path)

    def affine(self, node: str, scale: Any, shift: Any, path: str) -> str:
        """The node of a scale and a shift per channel.

        With given weights a convolution of one tap on each channel.  Without, their root mean square as one factor.
        """
        channels = self.places[node].channels
        scales, shifts = (np.broadcast_to(np.asarray(default if v is None else v, dtype=float).reshape(-1), channels)
                          for v, default in ((scale, 1), (shift, 0)))
        if np.ptp(scales) == 0 and not shifts.any():
            return node if scales[0] == 1 else self.emit(Scale(float(scales[0])), [node], path)
        factor = float(np.sqrt(np.mean(scales**2)))
        if self.init != "weights" or factor == 0:
            if shifts.any():
                size = float(np.sqrt(np.mean(shifts**2)))
                self.note(f"{path}: adds constants of root mean square {size:.3g}, which no layer holds; gradients do "
                          "not see them, functions after them do")
            factor = -factor if (scales < 0).all() else factor
            return node if factor == 1 else self.emit(Scale(factor), [node], path)
        ones = (1,) * self.ndim
        name = self.emit(Conv(ones, channels, groups=channels, weights=Random(gain=factor**2)), [node], path)
        self.weights[name] = scales.reshape(channels, 1, *ones)
        if shifts.any():
            self.weights[f"{name}.bias"] = shifts
        return name

    # -- axes ---------------------------------------------------------------------------------

    def settled(self, view: View) -> View:
        """The view of a node each of whose axes is one axis of the tensor, in order; moves channels and sites.

        Raises
        ------
        Unsupported
            If no shuffle gives that order.
        """
        view = self.plain(view)
        for _ in range(4):
            step = self._settle(view)
            if step is None:
                return view
            view = step
        raise Unsupported(f"a view of shape {view.shape} that mixes axes")

    def _settle(self, view: View) -> View | None:
        place = self.places[view.node]
        mixed = [digits for digits in view.layout if not self._pure(digits, place)]
        if not mixed:
            return None
        channels = [d for d in mixed if all(digit.axis == CHANNELS for digit in d)]
        if len(mixed) == len(channels) == 1:
            return self._shuffle(view, channels[0], place)
        gathered = [d for d in mixed if any(g.axis >= 0 for g in d) and any(g.axis == CHANNELS for g in d)]
        if len(gathered) == 1 and any(g.axis == CHANNELS and g.size == place.channels for g in gathered[0]):
            return self._unshuffle(view, gathered[0], place)
        if gathered:
            return self._pixel_shuffle(view, place)
        raise Unsupported(f"a view of shape {view.shape} that mixes axes")

    @staticmethod
    def _pure(digits: Sequence[Digit], place: Place) -> bool:
        if not digits or digits[0].axis < CHANNELS:
            return True
        if len(digits) > 1 or digits[0].step != 1:
            return False
        axis = digits[0].axis
        return digits[0].size == (place.channels if axis == CHANNELS else place.space[axis])

    def _shuffle(self, view: View, digits: Sequence[Digit], place: Place) -> View:
        if len(digits) != 2 or digits[0].step != 1 or digits[1].step != digits[0].size or (
                digits[0].size * digits[1].size != place.channels):
            raise Unsupported("a permutation of channels that is no shuffle of groups")
        name = self.emit(Shuffle(digits[1].size), [view.node], f"{view.node}.shuffle")
        fresh = whole(CHANNELS, place.channels)
        return View(name, tuple(fresh if d is digits else d for d in view.layout))

    def _rewritten(self, name: str, layout: Layout, change: dict[Digit, Digit]) -> View:
        return View(name, tuple(merged(change.get(digit, digit) for digit in digits) for digits in layout))

    def _unshuffle(self, view: View, gathered: Sequence[Digit], place: Place) -> View:
        """Sites of small blocks as channels."""
        fine = {digit.axis: digit for digit in gathered if digit.axis >= 0}
        if any(digit.step != 1 for digit in fine.values()):
            raise Unsupported(f"a view of shape {view.shape} that mixes axes")
        r = tuple(fine[axis].size if axis in fine else 1 for axis in range(self.ndim))
        space = tuple(n // m for n, m in zip(place.space, r))
        name = self.emit(PixelUnshuffle(_even(r)), [view.node], f"{view.node}.unshuffle",
                         place.channels * math.prod(r), space)
        change = {Digit(CHANNELS, 1, place.channels): Digit(CHANNELS, math.prod(r), place.channels)}
        for axis, digit in fine.items():
            change[digit] = Digit(CHANNELS, math.prod(r[axis + 1:]), r[axis])
            change[Digit(axis, r[axis], space[axis])] = Digit(axis, 1, space[axis])
        return self._rewritten(name, view.layout, change)

    def _pixel_shuffle(self, view: View, place: Place) -> View:
        """Channels as sites of small blocks."""
        blocks = {}
        for digits in view.layout:
            axes = [digit.axis for digit in digits]
            if len(digits) == 2 and axes[0] >= 0 and axes[1] == CHANNELS:
                blocks[axes[0]] = digits
        r = tuple(blocks[axis][1].size if axis in blocks else 1 for axis in range(self.ndim))
        many = math.prod(r)
        kept = place.channels // many
        steps = [[kept**first * math.prod(r[axis + 1:]) for axis in blocks] for first in (0, 1)]
        node, order = view.node, [fine.step for _, fine in blocks.values()]
        if not blocks or order not in steps:
            raise Unsupported(f"a view of shape {view.shape} that mixes axes")
        if order != steps[0]:
            node = self.emit(Shuffle(many), [node], f"{node}.shuffle")  # the block's sites come first
        space = tuple(n * m for n, m in zip(place.space, r))
        name = self.emit(PixelShuffle(_even(r)), [node], f"{view.node}.shuffle", kept, space)
        taken = [fine for _, fine in blocks.values()]
        change = {digit: Digit(CHANNELS, 1, kept) for digits in view.layout for digit in digits
                  if digit.axis == CHANNELS and digit.size == kept and digit not in taken}
        for axis, (coarse, fine) in blocks.items():
            change[coarse], change[fine] = Digit(axis, r[axis], place.space[axis]), Digit(axis, 1, r[axis])
        return self._rewritten(name, view.layout, change)

    # -- what layers need of a view -----------------------------------------------------------

    def spatial(self, view: View, first: int = 2) -> tuple[View, list[int]]:
        """The settled view, and the axis of the map that each tensor axis from `first` on holds.

        Axes of one site are given to the axes of the map that are left, in order.

        Raises
        ------
        Unsupported
            If the tensor is no map with the channels on axis `first` - 1.
        """
        view = self.settled(view)
        held = [digits[0].axis if digits else None for digits in view.layout[first:]]
        used = [axis for axis in held if axis is not None]
        channels = view.layout[first - 1]
        if (any(axis < 0 for axis in used) or channels and channels[0].axis != CHANNELS
                or not channels and self.places[view.node].channels > 1
                or any(n > 1 and axis not in used for axis, n in enumerate(self.places[view.node].space))):
            raise Unsupported(f"a window over a tensor of shape {view.shape}, whose axes are not channels and space")
        left = iter([axis for axis in range(self.ndim) if axis not in used])
        try:
            return view, [next(left) if axis is None else axis for axis in held]
        except StopIteration:
            raise Unsupported(f"a window over {len(held)} axes of a map of {self.ndim}") from None

    def opened(self, view: View, axes: Sequence[int], node: str, first: int = 2) -> View:
        """The view of `node`, made of `view` by a layer with windows, its axes in the places they had."""
        place = self.places[node]
        layout = [*view.layout[:first - 1], whole(CHANNELS, place.channels)]
        return View(node, (*layout, *(whole(axis, place.space[axis]) for axis in axes)))


def _even(r: tuple[int, ...]) -> Any:
    """One number, where that is the same."""
    return r[0] if len(set(r)) == 1 else r
