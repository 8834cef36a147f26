"""Nonlinearities at each site, with their derivatives; none overflows where values are large."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...layers import Activation
from ..arrays import Array, channel_sums, per_channel, summed_to
from .base import Call, Parameter, Pull, Rule, rule
from .formula import formula

__all__ = ["activate"]

#: Of values and a slope below zero, which few have: the function and its derivative.
Function = Callable[[Array, Any], tuple[Array, Array]]


def _relu(x: Array, slope: float) -> tuple[Array, Array]:
    return np.maximum(x, 0), x > 0


def _leaky_relu(x: Array, slope: float) -> tuple[Array, Array]:
    gate = np.where(x > 0, 1, slope).astype(x.dtype)
    return x * gate, gate


def _tanh(x: Array, slope: float) -> tuple[Array, Array]:
    y = np.tanh(x)
    return y, 1 - y * y


def _logistic(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # several times as fast in single precision as scipy.special.expit


def _sigmoid(x: Array, slope: float) -> tuple[Array, Array]:
    y = _logistic(x)
    return y, y * (1 - y)


def _gelu(x: Array, slope: float) -> tuple[Array, Array]:
    from scipy.special import ndtr
    below = ndtr(x)
    return x * below, below + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _silu(x: Array, slope: float) -> tuple[Array, Array]:
    y = _logistic(x)
    return x * y, y * (1 + x * (1 - y))


def _elu(x: Array, slope: float) -> tuple[Array, Array]:
    low = np.exp(np.minimum(x, 0))
    return np.where(x > 0, x, low - 1), np.where(x > 0, 1, low).astype(x.dtype)


def _softplus(x: Array, slope: float) -> tuple[Array, Array]:
    return np.logaddexp(x, x.dtype.type(0)), _logistic(x)


def _identity(x: Array, slope: float) -> tuple[Array, Array]:
    return x, np.ones(x.shape, bool)


def _clipped(low: float, high: float) -> Function:
    return lambda x, slope: (np.clip(x, low, high), (x > low) & (x < high))


def _hardsigmoid(x: Array, slope: float) -> tuple[Array, Array]:
    gate = np.where(np.abs(x) < 3, 1 / 6, 0).astype(x.dtype)
    return np.clip(x / 6 + 0.5, 0, 1), gate


def _hardswish(x: Array, slope: float) -> tuple[Array, Array]:
    return x * np.clip(x / 6 + 0.5, 0, 1), np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0).astype(x.dtype)


def _mish(x: Array, slope: float) -> tuple[Array, Array]:
    t = np.tanh(np.logaddexp(x, x.dtype.type(0)))
    return x * t, t + x * (1 - t * t) * _logistic(x)


def _selu(x: Array, slope: float) -> tuple[Array, Array]:
    """Of mean 0 and variance 1 for normal values that have them (Klambauer et al., 2017)."""
    scale, alpha = (x.dtype.type(number) for number in (1.0507009873554805, 1.6732632423543772))
    y, gate = _elu(x, slope)
    low = x <= 0
    return scale * np.where(low, alpha * y, y), scale * np.where(low, alpha * gate, gate)


def _gelu_tanh(x: Array, slope: float) -> tuple[Array, Array]:
    root = x.dtype.type(math.sqrt(2 / math.pi))
    t = np.tanh(root * (x + x.dtype.type(0.044715) * x**3))
    steep = root * (1 + x.dtype.type(3 * 0.044715) * x * x)
    return 0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * steep


def _softsign(x: Array, slope: float) -> tuple[Array, Array]:
    y = 1 / (1 + np.abs(x))
    return x * y, y * y


def _relu_squared(x: Array, slope: float) -> tuple[Array, Array]:
    y = np.maximum(x, 0)
    return y * y, 2 * y


_FUNCTIONS: dict[str, Function] = {
    "relu": _relu, "leaky_relu": _leaky_relu, "tanh": _tanh, "sigmoid": _sigmoid, "gelu": _gelu, "silu": _silu,
    "elu": _elu, "softplus": _softplus, "identity": _identity, "relu6": _clipped(0, 6), "hardtanh": _clipped(-1, 1),
    "hardsigmoid": _hardsigmoid, "hardswish": _hardswish, "mish": _mish, "selu": _selu, "celu": _elu,
    "gelu_tanh": _gelu_tanh, "prelu": _leaky_relu, "softsign": _softsign, "relu_squared": _relu_squared,
}


def activate(x: Array, function: str, slope: Any = 0.01) -> tuple[Array, Array]:
    """phi(x) and phi'(x); the gradient to the input is ``dy * phi'(x)``.  Derivatives that are 0 or 1 are bool."""
    known = _FUNCTIONS.get(function)
    return formula(function, x) if known is None else known(x, slope)


@rule(Activation)
class _Activation(Rule):

    def stacked(self, layer: Any) -> tuple[str, ...]:
        return ("slope",) if layer.function == "prelu" else ()

    def parameters(self, layer: Any, c_in: int, c_out: int, ndim: int) -> dict[str, Parameter]:
        """PReLU: one slope for all channels; it may be given as one for each."""
        return {name: Parameter((1,), value=layer.slope, wide=(c_out,), optional=True) for name in self.stacked(layer)}

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        layer: Any = call.step.layer
        x, give_back = call.step.forward.read(inputs[0]), call.step.backward.give_back
        if layer.is_identity:
            return x, lambda dy: [give_back(dy)]
        if "slope" in call.parameters:
            return _prelu(call, x)
        y, gate = activate(x, layer.function, layer.slope)
        gate = call.kept(gate)
        if gate.dtype != bool:
            return y, lambda dy: [give_back(dy * gate)]
        # The gates of all layers wait at once: as bits, in the order that they have in memory.
        bits, shape, strides = np.packbits(gate.ravel("K")), gate.shape, gate.strides

        def pull(dy: Array) -> list[Array]:
            gate = np.ndarray(shape, bool, np.unpackbits(bits, count=math.prod(shape)), strides=strides)
            return [give_back(dy * gate)]
        return y, pull


def _prelu(call: Call, x: Array) -> tuple[Array, Pull]:
    """With a slope that is given, or trained."""
    slope = call.parameters["slope"]
    if slope.shape[1] == 1:
        slope = np.repeat(slope, x.shape[1], axis=1)
    y, gate = activate(x, "prelu", per_channel(slope, x))
    kept = call.kept(gate)

    def pull(dy: Array) -> list[Array]:
        if call.training:
            call.gradients["slope"] = summed_to(channel_sums(dy * np.minimum(x, 0)), call.parameters["slope"].shape)
        return [call.step.backward.give_back(dy * kept)]
    return y, pull
