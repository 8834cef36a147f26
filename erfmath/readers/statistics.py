"""Norms written by hand: a mean taken off, a mean square, a root, a quotient, each an operation of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from .axes import Digit
from .builder import Builder, Statistic, View
from .functions import values
from .records import Record
from .weighted import normalised

__all__ = ["centred", "norm_by_hand", "statistic_of"]

#: Positive numbers at which functions of a variance are compared.
POSITIVE = np.geomspace(0.5, 50, 40)


def statistic_of(function: str, x: View, digits: Sequence[Digit]) -> Statistic | None:
    """What a reduction of `x` over `digits` is, where a norm may be made of it."""
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
