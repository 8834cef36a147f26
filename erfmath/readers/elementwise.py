"""Sums, products and functions of tensors: expressions of one map, meetings of several, constants."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ..layers import Activation, Add, Multiply, Scale
from .axes import BATCH, CHANNELS, Layout, whole
from .builder import Builder, Unsupported, View
from .channels import extreme, meeting
from .functions import UNARY, Expression
from .rules import fixed, rule
from .statistics import centred, global_response_norm, norm_by_hand, responding
from .records import Array, Record, scalar

__all__ = ["binary", "unary", "where"]


@rule("unary")
def unary(b: Builder, r: Record, x: View) -> View:
    function = r.attributes["function"]
    if function not in UNARY:
        raise Unsupported(f"the function {function}")
    parameters = {key: value for key, value in r.attributes.items() if key != "function" and value is not None}
    return b.applied(x, Expression(function, (x.expression,), parameters, r.path))


@rule("prelu")
def prelu(b: Builder, r: Record, x: View, slopes: Any) -> View:
    """One slope is an expression like others; several are a layer with an array, their root mean square its slope."""
    slopes = np.asarray(slopes, dtype=float).reshape(-1)
    if np.ptp(slopes) == 0:
        return b.applied(x, Expression("leaky_relu", (x.expression,), {"slope": float(slopes[0])}, r.path))
    x = b.plain(x)
    node = b.emit(Activation("prelu", slope=float(np.sqrt(np.mean(slopes**2)))), [x.node], r.path)
    if len(slopes) != b.places[node].channels:
        raise Unsupported(f"PReLU of {len(slopes)} slopes on {b.places[node].channels} channels")
    b.weights[node] = slopes
    b.note(f"{r.path}: slopes of {slopes.min():.3g} to {slopes.max():.3g}; predict takes their root mean square")
    return View(node, x.layout)


@rule("binary")
def binary(b: Builder, r: Record, x: Any, y: Any) -> Any:
    function = r.attributes["function"]
    numbers = [scalar(v) if isinstance(v, (float, int, np.ndarray)) else None for v in (x, y)]
    if isinstance(x, View) and isinstance(y, View):
        if x.node == y.node and x.layout == y.layout:
            return b.applied(x, Expression(function, (x.expression, y.expression), {}, r.path))
        return _meeting(b, r, function, x, y)
    view, other, number = (x, y, numbers[1]) if isinstance(x, View) else (y, x, numbers[0])
    if not np.any(other) and (function == "add" or function == "subtract" and view is x):
        return view
    if number is not None and view.shape == tuple(r.shape):
        # One number for all channels belongs to the function that follows; an only channel has its bias so.
        if b.init == "weights" and b.places[view.node].channels == 1 and _folded_bias(b, r, view, function, number,
                                                                                      x is view):
            return view
        parts = (view.expression, number) if x is view else (number, view.expression)
        return b.applied(view, Expression(function, parts, {}, r.path))
    found = _with_constant(b, r, function, view, np.asarray(other), x is view)
    return dataclasses.replace(found, statistic=responding(function, view, other))


@rule("where")
def where(b: Builder, r: Record, *parts: Any) -> View:
    """One or the other of two functions of a tensor, by a comparison of the same."""
    views = [part for part in parts if isinstance(part, View)]
    if isinstance(parts[0], np.ndarray) and len(views) == 1 and not np.any(parts[2 if parts[1] is views[0] else 1]):
        mask = (parts[0] != 0) if parts[1] is views[0] else (parts[0] == 0)
        return _with_constant(b, r, "multiply", views[0], mask.astype(float), True)
    values: list[Any] = [part.expression if isinstance(part, View) else scalar(np.asarray(part)) for part in parts]
    if any(v.node != views[0].node or v.layout != views[0].layout for v in views) or None in values:
        raise Unsupported("a choice between several tensors")
    return b.applied(views[0], Expression("where", tuple(values), {}, r.path))


def _folded_bias(b: Builder, r: Record, view: View, function: str, other: Any, first: bool) -> bool:
    """Whether a constant that is added to a convolution nobody else reads has become its bias."""
    name = view.node
    if (function not in ("add", "subtract") or not first or view.expression.parts or name not in b.nodes
            or not b.nodes[name][0].takes_weights or f"{name}.bias" in b.weights or name in b.shared
            or name not in b.weights):
        return False
    sign = 1 if function == "add" else -1
    b.weights[f"{name}.bias"] = sign * np.array(np.broadcast_to(np.asarray(other, dtype=float).reshape(-1),
                                                                b.places[name].channels))
    return True


def _with_constant(b: Builder, r: Record, function: str, view: View, array: Array, first: bool) -> View:
    """A map and an array: one number a channel, or a pattern over sites."""
    view = b.plain(view)
    rank = max(len(view.layout), array.ndim)
    layout: Layout = ((),) * (rank - len(view.layout)) + view.layout
    sizes = (1,) * (rank - array.ndim) + array.shape
    axes = [axis for axis, n in enumerate(sizes) if n > 1]
    if any(not layout[axis] for axis in axes):
        raise Unsupported(f"{function} of a map and a constant of shape {array.shape}")
    if any(len(layout[axis]) > 1 and any(d.axis == CHANNELS for d in layout[axis]) for axis in axes):
        view = b.settled(view)
        layout = ((),) * (rank - len(view.layout)) + view.layout
    view = view.moved(layout)
    channels = b.places[view.node].channels
    if all(layout[axis] == whole(CHANNELS, channels) for axis in axes):
        vector = array.reshape(-1)
        if function in ("add", "subtract") and _folded_bias(b, r, view, function, vector, first):
            return view
        if function in ("add", "subtract"):
            sign = 1 if function == "add" or not first else -1
            node = b.affine(view.node, 1 if first or function == "add" else -1, sign * vector, r.path)
        elif function == "multiply" or function == "divide" and first and vector.all():
            node = b.affine(view.node, vector if function == "multiply" else 1 / vector, None, r.path)
        else:
            raise Unsupported(f"{function} of a map and a constant per channel")
        return View(node, layout)
    if function in ("add", "subtract"):
        b.note(f"{r.path}: a constant pattern over sites is added, which no layer holds; gradients do not see it, "
               "gates after it do")
        return view
    if function == "multiply" and all(digits and digits[0].axis != BATCH for digits in (layout[a] for a in axes)):
        node = b.emit(Scale(float(np.sqrt(np.mean(np.square(array, dtype=float))))), [view.node], r.path)
        b.stand_in(node, "product with a constant pattern over sites", "its root mean square")
        return View(node, layout)
    raise Unsupported(f"{function} of a map and a constant pattern over sites")


def _meeting(b: Builder, r: Record, function: str, x: View, y: View) -> View:
    """Two maps at each site: sums and products, of one site or one channel with many as well."""
    found = norm_by_hand(b, r, function, x, y)
    if found is None and function == "add":
        found = global_response_norm(b, r, x, y)
    if found is not None:
        return found
    part_of = responding(function, x, y)
    x, y = b.plain(x), b.plain(y)
    layout = _common(x, y)
    if layout is None:
        x, y = b.settled(x), b.settled(y)
        layout = _common(x, y)
    if layout is None:
        raise Unsupported(f"{function} of tensors whose axes differ")
    statistic = centred(function, x, y)
    if function == "subtract":
        y = View(b.emit(Scale(-1.0), [y.node], f"{r.path}.minus"), y.layout)
    space = tuple(map(max, b.places[x.node].space, b.places[y.node].space))
    channels = max(b.places[x.node].channels, b.places[y.node].channels)
    if function in ("add", "subtract"):
        nodes = []
        for view in (x, y):
            node = view.node
            if b.places[node].channels < channels:  # one channel for all
                node = fixed(b, view, np.ones((channels, 1)), f"{r.path}.spread")
            nodes.append(View(node, view.layout))
        node = b.emit(Add(), meeting(b, nodes, r.path), r.path, channels, space)
        return View(node, layout, statistic=statistic)
    wide, part = sorted((x, y), key=lambda v: -b.places[v.node].channels * math.prod(b.places[v.node].space))
    if function == "multiply":
        return View(b.emit(Multiply(), meeting(b, [wide, part], r.path), r.path, channels, space), layout,
                    statistic=part_of)
    if function == "divide" and wide is x and b.places[part.node] != b.places[wide.node]:
        node = b.emit(Scale(1.0), [x.node], r.path)
        b.stand_in(node, "division by a statistic of the map", "the quotient as the map itself")
        return View(node, layout, statistic=part_of)
    if function in ("maximum", "minimum") and b.places[x.node] == b.places[y.node]:
        return View(extreme(b, x.node, y.node, r.path, function), layout)
    raise Unsupported(f"{function} of two maps")


def _common(x: View, y: View) -> Layout | None:
    """The layout of both, axis by axis, where one of them may have a single position; None if they differ."""
    rank = max(len(x.layout), len(y.layout))
    layout = []
    for p, q in zip(*(((),) * (rank - len(v.layout)) + v.layout for v in (x, y))):
        if p and q and p != q:
            return None
        layout.append(p or q)
    return tuple(layout)
