"""Norms written by hand: a mean taken off, a mean square, a root, a quotient, each an operation of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..layers import GRN
from .axes import CHANNELS, Digit
from .builder import Builder, Statistic, View
from .functions import values
from .records import Record
from .weighted import normalised

__all__ = ["centred", "global_response_norm", "norm_by_hand", "responding", "statistic_of"]

#: Positive numbers at which functions of a variance are compared.
POSITIVE = np.geomspace(0.5, 50, 40)


def statistic_of(function: str, x: View, digits: Sequence[Digit]) -> Statistic | None:
    """What a reduction of `x` over `digits` is, where a norm may be made of it."""
    if function == "mean" and x.statistic is not None and x.statistic.kind == "norm" and {
            digit.axis for digit in digits} == {CHANNELS}:
        return x.statistic._replace(kind="mean norm")
    if function == "norm" and not x.expression.parts:
        return Statistic("norm", x.node, frozenset(digits))
    if function == "mean" and not x.expression.parts:
        return Statistic("mean", x.node, frozenset(digits))
    squared = bool(x.expression.parts) and np.allclose(values(x.expression, POSITIVE), POSITIVE**2) and np.allclose(
        values(x.expression, -POSITIVE), POSITIVE**2)
    if function == "mean" and squared:
        whole = x.statistic
        if whole is not None and whole.kind == "centred" and whole.digits == frozenset(digits):
            return Statistic("variance", whole.node, whole.digits)
        return Statistic("mean square", x.node, frozenset(digits))
    if function == "var" and not x.expression.parts:
        return Statistic("variance", x.node, frozenset(digits))
    return None


def centred(function: str, x: View, y: View) -> Statistic | None:
    """What x - y is, where y is the mean of x."""
    mean = y.statistic
    if function == "subtract" and mean is not None and (mean.kind, mean.node) == ("mean", x.node):
        return Statistic("centred", x.node, mean.digits)
    return None


def norm_by_hand(b: Builder, r: Record, function: str, x: View, y: View) -> View | None:
    """The norm that a quotient of a map and a root of its mean square is; None for other meetings."""
    if function not in ("multiply", "divide") or x.expression.parts and y.expression.parts:
        return None
    if function == "multiply" and x.statistic is not None and x.expression.parts:
        x, y = y, x
    spread = y.statistic
    if spread is None or spread.kind not in ("variance", "mean square") or x.expression.parts:
        return None
    root = values(y.expression, POSITIVE)
    rest = (root**2 if function == "divide" else 1 / root**2) - POSITIVE
    if not (root > 0).all() or np.ptp(rest) > 1e-4 or abs(rest).max() > 0.1:
        return None
    taken = x.statistic
    mean_taken = taken is not None and taken.kind == "centred" and taken.digits == spread.digits
    source = taken.node if mean_taken and taken is not None else x.node
    if spread.node not in (source, x.node):
        return None
    record = dataclasses.replace(r, attributes={"centred": mean_taken, "eps": float(rest.mean())})
    found = normalised(b, record, View(source, x.layout), sorted(spread.digits), None, None)
    if spread.kind == "variance" and not mean_taken:
        b.stand_in(found.node, "division by the standard deviation without taking off the mean",
                   "the mean square in the place of the variance")
    return found


def responding(function: str, x: View, y: Any) -> Statistic | None:
    """What a product, quotient or sum of `x` and `y`, a view or an array, is of a global response norm."""
    one = x.statistic
    if isinstance(y, View):
        other = y.statistic
        if function == "divide" and one and other and (one.kind, other.kind) == ("norm", "mean norm") and (
                one.node == other.node and np.allclose(values(y.expression, POSITIVE), POSITIVE, rtol=1e-3)):
            return one._replace(kind="response")
        if function == "multiply" and other and other.kind == "response" and other.node == x.node:
            return other._replace(kind="responded")
        return responding(function, y, x) if function == "multiply" and one and one.kind == "response" and (
            one.node == y.node) else None
    if one is None or one.kind != "responded":
        return None
    array = np.asarray(y, dtype=float).reshape(-1)
    if function == "multiply":
        return one._replace(scale=one.scale * array, shift=one.shift * array)
    return one._replace(shift=one.shift + array) if function == "add" else None


def global_response_norm(b: Builder, r: Record, x: View, y: View) -> View | None:
    """The sum of a map and its responded values; None for other sums."""
    if x.statistic is not None and x.statistic.kind == "responded":
        x, y = y, x
    found = y.statistic
    if found is None or found.kind != "responded" or found.node != x.node or x.expression.parts:
        return None
    channels = b.places[x.node].channels
    arrays = [np.broadcast_to(np.asarray(v, dtype=float), channels) for v in (found.scale, found.shift)]
    name = b.emit(GRN(*(float(v.mean()) for v in arrays)), [x.node], r.path)
    b.weights[name] = np.stack(arrays)
    return View(name, x.layout)
