"""The rules of the converter by operation, and what they share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ..layers import Conv
from ..layers.base import Layer
from ..layers.weights import Fixed
from .builder import Builder, Unsupported, View
from .records import Array, Record

__all__ = ["RULES", "arranged", "fixed", "permuted", "rule", "through", "tidy", "with_attributes"]

#: By operation: what makes a view of the record and its inputs.
RULES: dict[str, Callable[..., View]] = {}


def rule(*ops: str) -> Callable[[Callable[..., View]], Callable[..., View]]:
    """Enter a rule for `ops`: (builder, record, *inputs) -> view."""
    def enter(function: Callable[..., View]) -> Callable[..., View]:
        RULES.update(dict.fromkeys(ops, function))
        return function
    return enter


def arranged(values: Sequence[Any], axes: Sequence[int], ndim: int, rest: Any) -> tuple[Any, ...]:
    """Values of tensor axes, by axis of the map."""
    return tuple(values[axes.index(axis)] if axis in axes else rest for axis in range(ndim))


def tidy(pads: Sequence[tuple[int, int]]) -> Any:
    """Padding as one number, where it is one."""
    return pads[0][0] if len({n for pair in pads for n in pair}) == 1 else tuple(pads)


def through(b: Builder, layer: Layer, view: View, path: str, channels: int | None = None) -> str:
    """The node of a layer with windows on a settled view."""
    place = b.places[view.node]
    space = tuple(axis.out(n) for axis, n in zip(layer.geometry(b.ndim), place.space))
    if min(space) < 1:
        raise ValueError(f"{path}: has no output site for its input of {place.space}")
    return b.emit(layer, [view.node], path, channels, space)


def fixed(b: Builder, view: View, matrix: Array, path: str) -> str:
    """The node of a fixed matrix over the channels."""
    if matrix.size > 2**22:
        raise Unsupported(f"a fixed matrix of {matrix.shape} over channels")
    layer = Conv((1,) * b.ndim, weights=Fixed(matrix.reshape(*matrix.shape, *(1,) * b.ndim)))
    return b.emit(layer, [view.node], path, len(matrix))


def permuted(x: View, order: Sequence[int]) -> View:
    return x.moved(tuple(x.layout[axis] for axis in order))


def with_attributes(record: Record, **attributes: Any) -> Record:
    """The record with others in the place of its attributes."""
    return dataclasses.replace(record, attributes=attributes)
