"""Elementwise functions of one value: expressions, and the activations that they are.

An expression spelled out by an exporter (Add, Clip, Mul, Div, ...) is evaluated on a grid and compared with the known
activations: what counts is its value, not how it is written.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
import numpy.typing as npt

__all__ = ["BINARY", "Expression", "KNOWN", "UNARY", "X", "affine", "formula", "passed", "recognised", "rest",
           "scaled", "values"]

Array = npt.NDArray[Any]

#: How far apart, relative to 1 + abs(f), a known function may be: constants are often of single precision.
CLOSE = 2e-5
GRID = np.concatenate([np.linspace(-12, 12, 1201) + 0.003,
                       [-80, -50, -30, -20, -14, 0, 14, 20, 30, 50, 80], [-0.5, 0.5]])


def _erf(x: Array) -> Array:
    from scipy.special import erf
    return np.asarray(erf(x))


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _threshold(x: Array, at: float = 0.0, value: float = 0.0) -> Array:
    return np.where(x > at, x, value)


def _clip(x: Array, low: float = -np.inf, high: float = np.inf) -> Array:
    return np.clip(x, low, high)


def _hard_sigmoid(x: Array, slope: float = 1 / 6, shift: float = 0.5) -> Array:
    return np.clip(slope * x + shift, 0, 1)


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _celu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


_SELU = (1.0507009873554804934193349852946, 1.6732632423543772848170429916717)

#: Functions of one value by the name that records have for them; parameters follow the value.
UNARY: dict[str, Callable[..., Array]] = {
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6), "clip": _clip,
    "leaky_relu": lambda x, slope=0.01: np.where(x > 0, x, slope * x), "elu": _elu, "celu": _celu,
    "selu": lambda x: _SELU[0] * _elu(x, _SELU[1]), "sigmoid": _sigmoid, "tanh": np.tanh,
    "silu": lambda x: x * _sigmoid(x), "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / np.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "hardsigmoid": _hard_sigmoid, "hardswish": lambda x: x * _hard_sigmoid(x),
    "softplus": lambda x, beta=1.0: np.logaddexp(0, beta * x) / beta, "softsign": lambda x: x / (1 + np.abs(x)),
    "hardtanh": lambda x: np.clip(x, -1, 1), "relu_squared": lambda x: np.maximum(x, 0)**2, "exp": np.exp,
    "log": np.log, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "abs": np.abs,
    "negative": np.negative, "reciprocal": np.reciprocal, "square": np.square, "erf": _erf, "sin": np.sin,
    "cos": np.cos,
    "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "trunc": np.trunc, "nonzero": lambda x: (x != 0) * 1.0, "identity": lambda x: x, "tan": np.tan,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "log1p": np.log1p, "expm1": np.expm1,
    "softshrink": lambda x, size=0.5: x - np.clip(x, -size, size), "not": lambda x: 1.0 - x,
    "logsigmoid": lambda x: -np.logaddexp(0, -x), "hardshrink": lambda x, size=0.5: np.where(np.abs(x) > size, x, 0),
    "threshold": _threshold, "tanhshrink": lambda x: x - np.tanh(x), "squareplus": lambda x: (x + np.hypot(x, 2)) / 2,
    "sparse_plus": lambda x: np.where(x > 1, x, np.maximum(x + 1, 0)**2 / 4),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
}
BINARY: dict[str, Callable[..., Array]] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "power": np.power,
    "maximum": np.maximum, "minimum": np.minimum, "greater": lambda x, y: np.greater(x, y) * 1.0,
    "less": lambda x, y: np.less(x, y) * 1.0, "where": lambda c, x, y: np.asarray(np.where(c != 0, x, y)),
}
#: Operations as formulas of a layer: parts by number, parameters by name.
_FORMULAS = {
    "relu": "max({0}, 0)", "relu6": "min(max({0}, 0), 6)", "leaky_relu": "max({0}, 0) + {slope} * min({0}, 0)",
    "elu": "where({0} > 0, {0}, {alpha} * expm1(min({0}, 0)))",
    "celu": "where({0} > 0, {0}, {alpha} * expm1(min({0}, 0) / {alpha}))",
    "selu": f"{_SELU[0]} * where({{0}} > 0, {{0}}, {_SELU[1]} * expm1(min({{0}}, 0)))", "sigmoid": "sigmoid({0})",
    "tanh": "tanh({0})", "silu": "{0} * sigmoid({0})", "mish": "{0} * tanh(softplus({0}))",
    "gelu": f"0.5 * {{0}} * (1 + erf({{0}} / {math.sqrt(2)}))",
    "gelu_tanh": f"0.5 * {{0}} * (1 + tanh({math.sqrt(2 / math.pi)} * ({{0}} + 0.044715 * {{0}} ** 3)))",
    "hardsigmoid": "min(max({slope} * {0} + {shift}, 0), 1)", "hardswish": "{0} * min(max({0} / 6 + 0.5, 0), 1)",
    "softplus": "softplus({beta} * {0}) / {beta}", "softsign": "{0} / (1 + abs({0}))",
    "hardtanh": "min(max({0}, -1), 1)", "relu_squared": "max({0}, 0) ** 2", "exp": "exp({0})", "log": "log({0})",
    "sqrt": "sqrt({0})", "rsqrt": "1 / sqrt({0})", "abs": "abs({0})", "negative": "-{0}", "reciprocal": "1 / {0}",
    "square": "{0} * {0}", "erf": "erf({0})", "sin": "sin({0})", "cos": "cos({0})", "sign": "sign({0})",
    "floor": "floor({0})", "ceil": "ceil({0})", "round": "round({0})", "trunc": "sign({0}) * floor(abs({0}))",
    "nonzero": "abs({0}) > 0", "identity": "{0}", "tan": "tan({0})",
    "atan": "atan({0})", "sinh": "sinh({0})", "cosh": "cosh({0})", "asinh": "asinh({0})", "log1p": "log1p({0})",
    "expm1": "expm1({0})", "softshrink": "{0} - min(max({0}, -{size}), {size})", "not": "1 - {0}",
    "logsigmoid": "-softplus(-{0})", "hardshrink": "where(abs({0}) > {size}, {0}, 0)",
    "threshold": "where({0} > {at}, {0}, {value})", "tanhshrink": "{0} - tanh({0})",
    "squareplus": "({0} + sqrt({0} * {0} + 4)) / 2", "sparse_plus": "where({0} > 1, {0}, max({0} + 1, 0) ** 2 / 4)",
    "sparse_sigmoid": "min(max(({0} + 1) / 2, 0), 1)", "add": "{0} + {1}", "subtract": "{0} - {1}",
    "multiply": "{0} * {1}", "divide": "{0} / {1}", "power": "{0} ** {1}", "maximum": "max({0}, {1})",
    "minimum": "min({0}, {1})", "greater": "{0} > {1}", "less": "{0} < {1}", "where": "where({0}, {1}, {2})"}
_HARD = {"slope": 1 / 6, "shift": 0.5}
_DEFAULTS = {"slope": 0.01, "alpha": 1.0, "beta": 1.0, "size": 0.5, "at": 0.0, "value": 0.0}


@dataclass(frozen=True, eq=False)
class Expression:
    """A function of one value: an operation on expressions and numbers; `X` is the value itself.

    Attributes
    ----------
    op : str
        Of `UNARY` or `BINARY`; "x" for the value.
    parts : tuple of Expression or float
    parameters : mapping
        Of `UNARY`.
    path : str
        What a node of it is called.
    """

    op: str
    parts: tuple[Union[Expression, float], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""

    @functools.cached_property
    def depth(self) -> int:
        return 1 + max((part.depth for part in self.parts if isinstance(part, Expression)), default=0)


X = Expression("x")


def values(expression: Expression, x: Array) -> Array:
    """The expression at the values `x`."""
    known: dict[int, Array] = {id(X): x}

    def value(e: Any) -> Any:
        if not isinstance(e, Expression):
            return e
        if id(e) not in known:
            parts = [value(part) for part in e.parts]
            known[id(e)] = (UNARY[e.op](*parts, **e.parameters) if e.op in UNARY else BINARY[e.op](*parts))
        return known[id(e)]

    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(value(expression), dtype=float), x.shape)


def formula(expression: Expression) -> str:
    """The expression as a text that `Activation` takes.

    Raises
    ------
    ValueError
        If it is too long, or holds what has no formula.
    """
    named: dict[int, str] = {id(X): "x"}
    lines: list[str] = []

    def name(e: Any) -> str:
        if not isinstance(e, Expression):
            return f"({float(e)!r})"
        if id(e) not in named:
            parts = [name(part) for part in e.parts]
            if e.op == "clip":
                low, high = (e.parameters.get(key) for key in ("low", "high"))
                text = parts[0] if low is None or low == -math.inf else f"max({parts[0]}, ({float(low)!r}))"
                text = text if high is None or high == math.inf else f"min({text}, ({float(high)!r}))"
            else:
                given = {**_DEFAULTS, **(_HARD if e.op == "hardsigmoid" else {}), **e.parameters}
                numbers = {key: f"({float(v)!r})" for key, v in given.items() if v is not None}
                text = _FORMULAS[e.op].format(*parts, **numbers)
            named[id(e)] = f"v{len(lines)}"
            lines.append(f"v{len(lines)} = {text}")
        return named[id(e)]
    try:
        last = name(expression)
        return "; ".join([*lines, last])
    except KeyError as error:
        raise ValueError(f"no formula of {error}") from None


#: Activations that an expression may turn out to be, simple ones first.
KNOWN = ("relu", "relu6", "silu", "gelu", "hardswish", "sigmoid", "tanh", "gelu_tanh", "mish", "hardsigmoid", "elu",
         "selu", "softplus", "softsign", "hardtanh", "relu_squared")


def affine(f: Array) -> tuple[float, float] | None:
    """(a, b) where the values on the grid are a x + b."""
    slope = float((f[-1] - f[-2]) / (GRID[-1] - GRID[-2]))
    shift = float(f[-1] - slope * GRID[-1])
    return (slope, shift) if np.isfinite(slope) and _same(slope * GRID + shift, f) else None


def recognised(f: Array) -> tuple[str, dict[str, float]] | None:
    """Name and parameters of the known activation that has the values `f` on the grid."""
    if not np.isfinite(f).all():
        return None
    for name in KNOWN:
        if _same(UNARY[name](GRID), f):
            return name, {}
    below, above = f[GRID < 0] / GRID[GRID < 0], f[GRID > 0] / GRID[GRID > 0]
    if _same(above, np.ones_like(above)) and _same(below, np.full_like(below, below[0])):
        return "leaky_relu", {"slope": float(below[0])}
    return None


def scaled(f: Array) -> tuple[float, str | None, float, dict[str, float]]:
    """(b, name, a, parameters) where the values on the grid are a g(b x) of the known activation g; else no name."""
    found = recognised(f)
    if found is not None:
        return 1.0, found[0], 1.0, found[1]
    return _scaled(f.tobytes()) if np.isfinite(f).all() else NONE


NONE: tuple[float, None, float, dict[str, float]] = (1.0, None, 1.0, {})


#: Logarithms of the factors of the value that are tried first.
STARTS = np.linspace(-2.5, 2.5, 21)


@functools.lru_cache(1)
def _shapes() -> Array:
    """Known activations of scaled values on a coarse grid, normalised: (functions, scales, values)."""
    y = np.stack([[UNARY[name](math.exp(log_b) * GRID[::12]) for log_b in STARTS] for name in KNOWN[1:]])
    return np.asarray(y / np.linalg.norm(y, axis=-1, keepdims=True))


@functools.lru_cache(256)
def _scaled(data: bytes) -> tuple[float, str | None, float, dict[str, float]]:
    from scipy.optimize import minimize_scalar

    f = np.frombuffer(data)
    some, there = f[::12], GRID[::12]
    nearest = 1 - (_shapes() @ some)**2 / max(float(some @ some), 1e-300)
    for name, errors in zip(KNOWN[1:], nearest):
        g, i = UNARY[name], int(np.argmin(errors))
        if errors[i] > 0.02:
            continue

        def error(log_b: float, g: Any = g) -> float:
            y = g(math.exp(log_b) * there)
            return float(np.sum((some @ y / (y @ y) * y - some)**2))
        best = minimize_scalar(error, bounds=(STARTS[max(i - 1, 0)], STARTS[min(i + 1, 20)]), method="bounded",
                               options={"xatol": 1e-10}).x
        found = math.exp(best)  # good to half the digits: a number that is written with few is meant
        for b in (1.0, float(f"{found:.6g}"), 1 / float(f"{1 / found:.6g}"), found):
            y = g(b * GRID)
            a = float(f @ y / (y @ y))
            if np.abs(a * y - f).max() < 1e-9 or b == found and _same(a * y, f):
                return b, name, a, {}
    return NONE


def passed(e: Expression) -> list[Expression]:
    """Parts of an expression that all of it goes through on the way from `X`, the whole first, `X` left out."""
    known: dict[int, list[Expression]] = {id(X): []}

    def through(e: Expression) -> list[Expression]:
        if id(e) not in known:
            chains = [through(part) for part in e.parts if isinstance(part, Expression)]
            shared = set.intersection(*({id(part) for part in chain} for chain in chains)) if chains else set()
            known[id(e)] = [e, *(part for part in (chains or [[]])[0] if id(part) in shared)]
        return known[id(e)]
    return through(e)


def rest(e: Expression, part: Expression) -> Expression:
    """The expression as one of `part`."""
    known: dict[int, Any] = {id(part): X}

    def without(e: Any) -> Any:
        if not isinstance(e, Expression) or e is X:
            return e
        if id(e) not in known:
            known[id(e)] = Expression(e.op, tuple(map(without, e.parts)), e.parameters, e.path)
        return known[id(e)]
    return without(e)


def _same(a: Array, b: Array) -> bool:
    return bool((np.abs(a - b) <= CLOSE * (1 + np.abs(b))).all())
