"""Nonlinearities at each site."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..base.checks import choice, real
from ..base.errors import quoted
from .base import STEEPEST, Layer
from .formula import parse, written

__all__ = ["Activation", "FUNCTIONS"]

FUNCTIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus", "identity", "relu6",
             "hardtanh", "hardswish", "hardsigmoid", "mish", "selu", "celu", "gelu_tanh", "prelu", "softsign",
             "relu_squared")
_ALIASES = {"swish": "silu", "hardsilu": "hardswish", "clip": "hardtanh", "squaredrelu": "relu_squared",
            "linear": "identity", "none": "identity", "hswish": "hardswish", "hsigmoid": "hardsigmoid",
            "leaky": "leaky_relu", "lrelu": "leaky_relu", "relu2": "relu_squared", "relusquared": "relu_squared",
            "gelunew": "gelu_tanh", "gelupytorchtanh": "gelu_tanh"} | {
                function.replace("_", ""): function for function in FUNCTIONS}
#: Slope below zero of the functions that have one; that of PReLU is where its training begins.
_SLOPES = {"prelu": 0.25}


@dataclass(frozen=True)
class Activation(Layer):
    """A nonlinearity at each site; equations 35 and 36 say what it does to powers.

    Parameters
    ----------
    function : str
        "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu" (or "swish"), "elu", "softplus", "identity",
        "relu6", "hardtanh" (or "clip", to -1..1), "hardswish", "hardsigmoid", "mish", "selu", "celu",
        "gelu_tanh", "prelu", "softsign" or "relu_squared"; case, spaces and underscores are forgiven.
        Or a formula in x: numbers, ``+ - * / **``, ``<``, ``>``, and exp, expm1, log, log1p, sqrt, abs, sign, floor,
        ceil, round, sin, cos, tan, atan, sinh, cosh, asinh, tanh, sigmoid, softplus, erf, max, min and
        where(condition, a, b).
    slope : float
        Of "leaky_relu" (0.01 by default) and "prelu" (0.25) below zero.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If there is no such function, or the slope is not a finite number.

    See Also
    --------
    Slice : Channels start, start + 1, ..., stop - 1 of those that come in.
    Shuffle : Channels in a new order.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3), em.Activation("gelu"), em.Conv(3), em.Activation("x * sigmoid(2 * x)")).names
    ('conv1', 'gelu1', 'conv2', 'formula1')
    """

    op: ClassVar[str] = "activation"
    follows: ClassVar[bool] = True
    function: str
    slope: float = field(default=None, kw_only=True)  # type: ignore[assignment]
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.function, str):
            plain = self.function.lower().replace("_", "").replace("-", "").replace(" ", "")
            self._set(function=_ALIASES.get(plain, self.function))
        if isinstance(self.function, str) and not self.function.isidentifier() and self.function.strip():
            try:
                self._set(function=written(parse(self.function)))
            except ValueError as error:
                raise ValueError(f"function={self.function!r}: {error}; must be a formula in x, or one of "
                                 f"{', '.join(FUNCTIONS)}") from None
        else:
            if isinstance(self.function, str) and self.function.lower() in ("softmax", "glu", "maxout"):
                raise ValueError(f"function={self.function!r}: is no function of one value; Softmax(parts) and "
                                 "multiply are layers of their own")
            if callable(self.function):
                raise ValueError(f"function={quoted(self.function)}: give its name, as 'tanh', or a formula in x, as "
                                 "'x * sigmoid(x)'")
            choice(self.function, "function", FUNCTIONS)
        self._set(slope=self.default("slope") if self.slope is None else real(self.slope, "slope"))
        if abs(self.slope) > STEEPEST:
            raise ValueError(f"slope={quoted(self.slope)}: must be at most {STEEPEST:g} in size")
        super().__post_init__()

    def default(self, field: str) -> Any:
        return _SLOPES.get(self.function, 0.01) if field == "slope" else super().default(field)

    @property
    def is_formula(self) -> bool:
        """Whether the function is written out."""
        return self.function not in FUNCTIONS

    @property
    def kind(self) -> str:
        return "formula" if self.is_formula else self.function

    @property
    def is_identity(self) -> bool:
        return self.function == "identity" or (self.function in ("leaky_relu", "prelu") and self.slope == 1)

    @property
    def is_gate(self) -> bool:
        return not self.is_identity

    def with_given(self, weights: Any) -> Activation:
        """Of a PReLU: with the root mean square of its slopes `weights`, and the sign of their mean."""
        slopes = np.asarray(weights)
        if self.function != "prelu" or slopes.dtype.kind not in "fiu" or not slopes.size:
            return self
        root = float(np.sqrt(np.mean(np.square(slopes, dtype=float))))
        return replace(self, slope=-root if slopes.mean() < 0 else root)

    def parameters(self, c_in: int, c_out: int, ndim: int, biases: bool = False) -> int:
        return int(self.function == "prelu")  # one slope for all channels

    def multiply_adds(self, c_in: int, c_out: int, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> int:
        return 0  # not counted, as is usual
