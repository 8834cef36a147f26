"""Formulas of one value as functions: their derivatives, kinks and jumps, and panels on which they are smooth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ...layers.formula import Step, parse

__all__ = ["Formula", "followed", "resolved"]

Array = npt.NDArray[np.float64]

#: How far kinks and bends are looked for, the finest bend, and the doublings of 6 up to which panels are tried.
REACH, FINEST, FAR = 96.0, 1e-3, 21
#: Panels at first; more are made where polynomials do not follow.
PANELS, MOST = tuple(np.arange(-4.0, 5.0)) + (-96.0, -48.0, -24.0, -12.0, -6.0, 6.0, 12.0, 24.0, 48.0, 96.0), 400
#: Steepest slope a millionth beside a knot, over that a thousandth beside it, that is taken for bounded.
STEEPEST = 10.0
#: Largest exponent of an exponential: what saturates after it is the same for any larger one.
OVERFLOW = 700.0
#: Most kinks and jumps.
KINKS = 64


def _erf(x: Array) -> Array:
    from scipy.special import erf
    return np.asarray(erf(x))


def _sigmoid(x: Array) -> Array:
    from scipy.special import expit
    return np.asarray(expit(x))


def _tanh_slope(x: Array) -> Array:
    away = np.exp(-2 * np.abs(x))  # 0 where it is below floats, so that no steep inner function brings it back
    return 4 * away / (1 + away)**2


#: Functions of one part and their derivatives.
_ONE: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Any]]] = {
    "exp": (np.exp, np.exp), "expm1": (np.expm1, np.exp), "log": (np.log, lambda x: 1 / x),
    "log1p": (np.log1p, lambda x: 1 / (1 + x)), "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "abs": (np.abs, lambda x: np.where(x > 0, 1.0, -1.0)), "sign": (np.sign, lambda x: 0.0),
    "floor": (np.floor, lambda x: 0.0), "ceil": (np.ceil, lambda x: 0.0), "round": (np.round, lambda x: 0.0),
    "sin": (np.sin, np.cos), "cos": (np.cos, lambda x: -np.sin(x)), "tan": (np.tan, lambda x: 1 / np.cos(x)**2),
    "atan": (np.arctan, lambda x: 1 / (1 + x**2)), "sinh": (np.sinh, np.cosh), "cosh": (np.cosh, np.sinh),
    "asinh": (np.arcsinh, lambda x: 1 / np.hypot(1, x)),
    "tanh": (np.tanh, _tanh_slope),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)), "softplus": (lambda x: np.logaddexp(0, x), _sigmoid),
    "erf": (_erf, lambda x: 2 * np.exp(-x**2) / math.sqrt(math.pi))}


class Curve(Protocol):
    """A function and its derivative."""

    @property
    def value(self) -> Callable[[Array], Array]: ...

    @property
    def slope(self) -> Callable[[Array], Array]: ...


class Formula(NamedTuple):
    """The function that a text is.

    Attributes
    ----------
    text : str
    """

    text: str

    def value(self, z: Array) -> Array:
        """phi(z)."""
        return self._both(z)[0]

    def slope(self, z: Array) -> Array:
        """phi'(z), by the chain rule from the value on."""
        return self._both(z)[1]

    def _both(self, z: Array) -> tuple[Array, Array]:
        z = np.asarray(z, dtype=float)
        steps = parse(self.text)
        (y, dy), _ = _run(steps, z)
        finite = np.isfinite(y).all() and np.isfinite(dy).all()
        if finite and any(step.op in ("exp", "expm1") for step in steps):  # not the value of an exponential cut off
            finite = all(np.allclose(a, b, 1e-9, 1e-9) for a, b in zip((y, dy), _run(steps, z, 0.99 * OVERFLOW)[0]))
        if not finite:
            raise NotImplementedError(f"{self.text} or its derivative is not finite for all values, and has no finite "
                                      "moments that the theory could take; use erfmath.measure")
        return np.broadcast_to(y, z.shape), np.broadcast_to(dy, z.shape)

    def kinks(self) -> tuple[float, ...]:
        """Where the formula may have a kink, a jump or a pole: an operation that has one passes it.

        Raises
        ------
        NotImplementedError
            If there are very many.
        """
        grid = np.unique(np.concatenate([np.linspace(-REACH, REACH, 24577), np.linspace(-8, 8, 16385)]))
        found: set[float] = set()
        for above in self._sides(grid):
            change = np.flatnonzero(above[1:] != above[:-1])
            if len(change) > 2 * KINKS:  # of which a site of the grid may be one, twice
                raise NotImplementedError(f"{self.text} has more than {KINKS} kinks or jumps; use erfmath.measure")
            for left, right, k in zip(grid[change], grid[change + 1], change):
                found.add(self._bisected(left, right, above[k]))
        if len(found) > KINKS:
            raise NotImplementedError(f"{self.text} has more than {KINKS} kinks or jumps; use erfmath.measure")
        return tuple(sorted(found))

    def _sides(self, z: Array) -> list[Array]:
        """For each operation with a kink on which side of it the values are."""
        _, sides = _run(parse(self.text), z)
        return [np.broadcast_to(side, z.shape) for side in sides]

    def _bisected(self, left: float, right: float, before: float) -> float:
        """Where a side changes; of several in one step of the grid any."""
        which = [i for i, side in enumerate(self._sides(np.array([left, right]))) if side[0] != side[1]]
        start = self._sides(np.array([left]))
        for _ in range(60):
            middle = (left + right) / 2
            there = self._sides(np.array([middle]))
            same = all(there[i][0] == start[i][0] for i in which)
            left, right = (middle, right) if same else (left, middle)
        return round(float(f"{right:.12g}"), 12) + 0.0

    def jumps(self, knots: tuple[float, ...]) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """(knot, size) of the jumps of phi, and of those of phi'.

        Raises
        ------
        NotImplementedError
            Where the slope grows without bound at a knot.
        """
        leaps: list[tuple[float, float]] = []
        bends: list[tuple[float, float]] = []
        for k in knots:
            y, dy = self._both(k + np.array([-1, 1, -2, 2, -1000, 1000]) * 1e-6)
            if np.abs(dy[:2]).max() > STEEPEST * (1e-3 + np.abs(dy[4:]).max()):
                raise NotImplementedError(f"the derivative of {self.text} has no bound near {k:.6g}; use "
                                          "erfmath.measure")
            for found, f in ((leaps, y), (bends, dy)):
                below, above = 2 * f[:2] - f[2:4]  # carried on to the knot
                if abs(above - below) > 1e-7 * (1 + abs(above) + abs(below)):
                    found.append((k, float(above - below)))
        return leaps, bends


def _run(steps: tuple[Step, ...], z: Array, largest: float = OVERFLOW) -> tuple[tuple[Any, Any], list[Array]]:
    """Value and derivative, and the sides that operations with a kink are on; exponents are cut at `largest`."""
    known: list[tuple[Any, Any]] = [(z, np.ones(z.shape))]
    sides: list[Array] = []
    with np.errstate(all="ignore"):
        for op, parts in steps[1:]:
            given: list[Any] = [known[p] if isinstance(p, int) else (p, 0.0) for p in parts]
            (x, dx), *others = given
            if op in _ONE:
                value, derivative = _ONE[op]
                if op in ("exp", "expm1"):
                    x = np.minimum(x, largest)
                known.append((value(x), np.where(dx == 0, 0.0, derivative(x) * dx)))
                sides.extend(_kinks(op, x))
                continue
            y, dy = others[0]
            if op == "where":
                other, slope_of_other = others[1]
                known.append((np.where(x != 0, y, other), np.where(x != 0, dy, slope_of_other)))
            elif op in ("max", "min", ">", "<"):
                first = np.greater(x, y)
                sides.append(np.sign(np.subtract(x, y)))
                if op in (">", "<"):
                    known.append((np.where(first if op == ">" else np.less(x, y), 1.0, 0.0), 0.0))
                else:
                    keep = first if op == "max" else np.less(x, y)
                    known.append((np.where(keep, x, y), np.where(keep, dx, dy)))
            elif op == "+":
                known.append((x + y, dx + dy))
            elif op == "-":
                known.append((x - y, dx - dy))
            elif op == "*":
                known.append((x * y, dx * y + x * dy))
            elif op == "/":
                known.append((x / y, (dx - x / y * dy) / y))
                sides.append(np.sign(y))
            else:
                power = np.power(x, y)
                slope = (y * np.power(x, y - 1) * dx if isinstance(parts[0], int) else 0.0) + (
                    power * np.log(x) * dy if isinstance(parts[1], int) else 0.0)
                known.append((power, slope))
                if isinstance(parts[1], float) and parts[1] != int(parts[1]):
                    sides.append(np.sign(x))
    return known[-1], sides


def _kinks(op: str, x: Array) -> Iterator[Array]:
    if op in ("abs", "sign"):
        yield np.sign(x)
    elif op in ("floor", "ceil", "round"):
        yield np.floor(x + 0.5 * (op == "round"))
    elif op == "tan":
        yield np.sign(np.cos(x))


def followed(formula: Formula) -> float:
    """Up to which distance from zero panels that double in length follow phi and phi'."""
    for end in 6 * 2.0**np.arange(4, FAR):
        ends = np.array([[end, 2 * end], [-2 * end, -end]])
        try:
            if (_off(formula, ends[:, 0], ends[:, 1]) > 1e4).any():
                return float(end)
        except NotImplementedError:  # said where such values are met
            break
    return math.inf


def resolved(formula: Curve, knots: tuple[float, ...]) -> tuple[float, ...]:
    """Ends of panels on which polynomials of degree 9 follow phi and phi', beyond those there are by default."""
    ends = sorted({*PANELS, *knots})
    waiting, found = list(zip(ends, ends[1:])), set(knots)
    while waiting and len(found) < MOST:
        done = []
        a, b = np.array(waiting).T
        middle, half = (a + b) / 2, (b - a) / 2
        # Less accuracy is asked for in the tails, where there are few values.
        wrong = _off(formula, a, b) * np.exp(-np.maximum(np.abs(middle) - 8, 0) / 2)
        for i in np.flatnonzero((wrong > 1) & (half > FINEST)):
            found.add(float(middle[i]))
            done += [(a[i], middle[i]), (middle[i], b[i])]
        waiting = done
    return tuple(sorted(found))


def _off(formula: Curve, a: Array, b: Array) -> Array:
    """How far polynomials of degree 9 on panels from `a` to `b` are off phi and phi', in units of what is asked."""
    x = np.polynomial.legendre.leggauss(10)[0]
    between = np.array([-0.97, -0.5, 0.02, 0.51, 0.98])
    weights = np.array([1 / np.prod(x[i] - np.delete(x, i)) for i in range(10)])
    to_between = weights / (between[:, None] - x)
    to_between /= to_between.sum(axis=1, keepdims=True)
    middle, half = (a + b) / 2, (b - a) / 2
    at = middle[:, None] + half[:, None] * x
    probe = middle[:, None] + half[:, None] * between
    wrong = np.zeros(len(a))
    for function, known in ((formula.value, 1e-9), (formula.slope, 1e-7)):
        y, there = function(at), function(probe)
        off = np.abs(y @ to_between.T - there).max(axis=1)
        wrong = np.maximum(wrong, off / (known * (1 + np.abs(y).max(axis=1))))
    return wrong
