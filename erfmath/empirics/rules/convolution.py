"""Convolutions and transposed convolutions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...base.checks import per_axis
from ...base.errors import check_bytes
from ...layers import Conv, ConvTranspose
from ...layers.geometry import Box
from ...layers.weights import Fixed
from ..arrays import Array, channel_sums, per_channel, place
from ..convolution import conv, conv_input_grad, conv_weight_grad
from ..row_convolution import Rows, fits_rows
from ..winograd import fits_tiles, tiled_input_grad
from .base import Call, Parameter, Pull, Rule, Step, rule

__all__ = ["kernel_parameter"]


def kernel_parameter(layer: Any, c_in: int, c_out: int, ndim: int) -> Parameter:
    """The kernel between `c_in` and `c_out` channels.

    Fan-in is prod(k) c_in / groups, of a transposed convolution c_in prod(k / s) / groups: the
    weights that reach one output site.  Fan-out has c_out.
    """
    shape, groups = layer.weight_shape(c_in, c_out, ndim), layer.group_count(c_in, ndim)
    size, weights = shape[2:], layer.weights
    taps = float(math.prod(size))
    check_bytes(8 * math.prod(shape), f"a kernel of shape {shape}", "take fewer taps or channels")
    if weights.random:
        reached = taps / math.prod(per_axis(layer.stride, ndim)) if layer.transposed else taps
        fan = reached * weights.fan_channels(c_in, c_out) / groups
        return Parameter(shape, _std(weights, size, fan), weights.law == "uniform", decays=True)
    if isinstance(weights, Fixed):
        return Parameter(shape, value=weights.array, trained=False)
    return Parameter(shape, value=groups / (taps * c_in), trained=False)


def _std(weights: Any, size: tuple[int, ...], fan: float) -> Array:
    """Standard deviation per tap of random weights: the root of gain / fan times the profile."""
    variance = np.full(size, weights.gain / fan)
    parts = weights.variances(size)
    if len(parts) == len(size):  # one factor per axis
        for axis, part in enumerate(parts):
            variance = variance * (part * size[axis]).reshape(-1, *(1,) * (len(size) - 1 - axis))
    else:
        variance = variance * parts[0] * math.prod(size)
    return np.sqrt(variance)


class _Weighted(Rule):
    """What both have in common: a kernel, and maybe a bias."""

    def stacked(self, layer: Any) -> tuple[str, ...]:
        return ("kernel",)

    def parameters(self, layer: Any, c_in: int, c_out: int, ndim: int) -> dict[str, Parameter]:
        variance = layer.bias_variance(c_in, c_out, ndim)
        bias = Parameter((c_out,), np.sqrt(variance) if variance else None, optional=True)
        return {"kernel": kernel_parameter(layer, c_in, c_out, ndim), "bias": bias}


def _biased(call: Call, y: Array) -> Array:
    if "bias" in call.parameters:
        y += per_channel(call.parameters["bias"], y)
    return y


def _leave_gradients(call: Call, to_kernel: Array, dy: Array) -> None:
    call.gradients["kernel"] = to_kernel
    if "bias" in call.parameters:
        call.gradients["bias"] = channel_sums(dy)


@rule(Conv)
class _Conv(_Weighted):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        step, w = call.step, call.parameters["kernel"]
        groups = step.layer.group_count(inputs[0].shape[1], len(step.geometry))
        if call.training and fits_rows(inputs[0], w, groups):
            return _on_rows(call, inputs[0], w, groups)
        read = np.ascontiguousarray(step.forward.read(inputs.pop()))
        y = _biased(call, conv(read, w, step.stride, step.dilation, groups))
        x = read if call.training else None

        def pull(dy: Array) -> list[Array]:
            if x is not None:
                to_kernel = conv_weight_grad(x, dy, step.kernel, step.stride, step.dilation, groups)
                _leave_gradients(call, to_kernel, dy)
            if not call.to_inputs:
                return []
            last, window = [dy], step.backward
            del dy  # nothing holds it any more once it is padded there
            reads, held = window.reads[0], window.held[0]
            # Of zeros around the map nobody wants the gradient.
            inside = reads if window.folds else reads.common(held)
            wanted = [(a - lo, b + 1 - lo) for a, b, lo in zip(*inside, reads.lo)]
            if call.coarse and fits_tiles(last[0], w, step.stride, step.dilation, groups, wanted):
                dx = tiled_input_grad(last.pop(), w, wanted)
            else:
                dx = conv_input_grad(last.pop(), w, reads.shape, step.stride, step.dilation, groups, wanted)
            return [window.give_back(dx) if window.folds else place(dx, inside, held)]
        return y, pull


def _on_rows(call: Call, x: Array, w: Array, groups: int) -> tuple[Array, Pull]:
    """The same in training, faster."""
    step, window = call.step, call.step.forward
    x, held = (window.read(x), window.reads[0]) if window.folds else (x, window.held[0])
    before = [a for a, _ in held.pads(window.reads[0])]
    rows = Rows(x, w, window.out.shape, step.stride, step.dilation, before, groups)

    def pull(dy: Array) -> list[Array]:
        to_kernel, dx = rows.gradients(dy, call.to_inputs)
        _leave_gradients(call, to_kernel, dy)
        if dx is None:
            return []
        return [step.backward.give_back(dx) if window.folds else place(dx, held, step.backward.held[0])]
    return rows.conv(call.parameters.get("bias")), pull


@rule(ConvTranspose)
class _ConvTranspose(_Weighted):
    """The adjoint of a convolution from the output's sites to the input's."""

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        step, w = call.step, call.parameters["kernel"]
        groups = step.layer.group_count(inputs[0].shape[1], len(step.geometry))
        x = step.forward.read(inputs[0])
        reached = _reached(step, step.forward.reads[0])
        y = place(conv_input_grad(x, w, reached.shape, step.stride, step.dilation, groups), reached, step.forward.out)
        y = _biased(call, y)
        kept = x if call.training else None

        def pull(dy: Array) -> list[Array]:
            wide = place(dy, step.backward.out, _reached(step, step.backward.reads[0]))
            if kept is not None:
                to_kernel = conv_weight_grad(wide, kept, step.kernel, step.stride, step.dilation, groups)
                _leave_gradients(call, to_kernel, dy)
            return [step.backward.give_back(conv(wide, w, step.stride, step.dilation, groups))]
        return y, pull


def _reached(step: Step, box: Box) -> Box:
    """Output sites that a transposed convolution's input sites reach, borders aside; where there are none, too few."""
    ends = [(g.stride * a - g.pads(None)[0], g.stride * b - g.pads(None)[0] + g.extent - 1)
            for g, a, b in zip(step.geometry, *box)]
    return Box(tuple(a for a, _ in ends), tuple(max(b, a - 1) for a, b in ends))
