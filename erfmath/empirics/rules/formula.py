"""Formulas of one value and their derivatives, by going back through the operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...layers.formula import parse
from ..arrays import Array

__all__ = ["formula"]

#: Exponents beyond which single precision overflows, and double precision.
HIGHEST = {4: 80.0, 8: 700.0}

#: By operation: the values of its parts -> its value, and the derivatives by its parts (None where it is zero).
Operation = Callable[..., tuple[Any, tuple[Any, ...]]]


def _exp(x: Any) -> tuple[Any, tuple[Any, ...]]:
    y = np.exp(np.minimum(x, HIGHEST.get(x.dtype.itemsize, 700.0)))
    return y, (y,)


def _tanh(x: Any) -> tuple[Any, tuple[Any, ...]]:
    y = np.tanh(x)
    return y, (1 - y * y,)


def _logistic(x: Any) -> Any:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _sigmoid(x: Any) -> tuple[Any, tuple[Any, ...]]:
    y = _logistic(x)
    return y, (y * (1 - y),)


def _sqrt(x: Any) -> tuple[Any, tuple[Any, ...]]:
    y = np.sqrt(x)
    return y, (0.5 / y,)


def _erf(x: Any) -> tuple[Any, tuple[Any, ...]]:
    from scipy.special import erf
    return erf(x), (2 / math.sqrt(math.pi) * np.exp(-x * x),)


def _power(x: Any, n: Any) -> tuple[Any, tuple[Any, ...]]:
    y = np.power(x, n)
    by_exponent = None if isinstance(n, float) else y * np.log(x)
    return y, (None if isinstance(x, float) else n * np.power(x, n - 1), by_exponent)


def _step(function: Callable[[Any], Any]) -> Operation:
    return lambda x: (function(x), (None,))


_OPERATIONS: dict[str, Operation] = {
    "exp": _exp, "expm1": lambda x: (_exp(x)[0] - 1, (_exp(x)[0],)), "log": lambda x: (np.log(x), (1 / x,)),
    "log1p": lambda x: (np.log1p(x), (1 / (1 + x),)), "sqrt": _sqrt, "abs": lambda x: (np.abs(x), (np.sign(x),)),
    "sign": _step(np.sign), "floor": _step(np.floor), "ceil": _step(np.ceil), "round": _step(np.round),
    "sin": lambda x: (np.sin(x), (np.cos(x),)), "cos": lambda x: (np.cos(x), (-np.sin(x),)),
    "tan": lambda x: (np.tan(x), (1 + np.tan(x)**2,)), "atan": lambda x: (np.arctan(x), (1 / (1 + x * x),)),
    "sinh": lambda x: (np.sinh(x), (np.cosh(x),)), "cosh": lambda x: (np.cosh(x), (np.sinh(x),)),
    "asinh": lambda x: (np.arcsinh(x), (1 / np.sqrt(1 + x * x),)), "tanh": _tanh, "sigmoid": _sigmoid,
    "softplus": lambda x: (np.logaddexp(x, x.dtype.type(0)), (_logistic(x),)), "erf": _erf,
    "+": lambda x, y: (x + y, (1, 1)), "-": lambda x, y: (x - y, (1, -1)), "*": lambda x, y: (x * y, (y, x)),
    "/": lambda x, y: (x / y, (1 / y, -x / y / y)), "**": _power,
    ">": lambda x, y: (np.greater(x, y), (None, None)), "<": lambda x, y: (np.less(x, y), (None, None)),
    "max": lambda x, y: (np.maximum(x, y), (np.greater_equal(x, y), np.less(x, y))),
    "min": lambda x, y: (np.minimum(x, y), (np.less_equal(x, y), np.greater(x, y))),
    "where": lambda c, x, y: (np.where(c, x, y), (None, c != 0, c == 0)),
}


def formula(text: str, x: Array) -> tuple[Array, Array]:
    """phi(x) and phi'(x), of x's precision.

    Raises
    ------
    ValueError
        If either is not finite, as a logarithm of negative values is not.
    """
    steps = parse(text)
    values: list[Any] = [x]
    slopes: list[tuple[Any, ...]] = [()]
    with np.errstate(all="ignore"):
        for step in steps[1:]:
            given: list[Any] = [values[part] if isinstance(part, int) else part for part in step.parts]
            if any(getattr(v, "dtype", None) == bool for v in given) and step.op != "where":
                given = [v.astype(x.dtype) if getattr(v, "dtype", None) == bool else v for v in given]
            value, by_parts = _OPERATIONS[step.op](*given)
            values.append(value)
            slopes.append(by_parts)
        gradients: list[Any] = [None] * len(steps)
        gradients[-1] = np.ones(x.shape, x.dtype)
        for i in range(len(steps) - 1, 0, -1):
            if gradients[i] is None:
                continue
            for part, slope in zip(steps[i].parts, slopes[i]):
                if isinstance(part, int) and slope is not None:
                    one = gradients[i] * slope
                    gradients[part] = one if gradients[part] is None else gradients[part] + one
    y = np.asarray(values[-1], dtype=x.dtype)
    gate = np.zeros(x.shape, x.dtype) if gradients[0] is None else np.asarray(gradients[0], dtype=x.dtype)
    if not (np.isfinite(y).all() and np.isfinite(gate).all()):
        raise ValueError(f"{text}: the function or its derivative is not finite for values from {x.min():.4g} to "
                         f"{x.max():.4g}")
    return y, gate
