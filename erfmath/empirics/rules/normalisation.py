"""Batch and layer normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...layers import BatchNorm, LayerNorm
from ..arrays import Array, channel_sums, per_channel
from .base import Call, Parameter, Pull, Rule, rule

__all__ = ["EPS", "batch_norm", "layer_norm", "layer_norm_grad", "scaled_batch_norm", "scaled_batch_norm_grad"]

#: Added to variances before dividing by their root, as frameworks do.
EPS = 1e-5
#: Numbers per block where a map is worked on in several passes.
BLOCK = 2**17


def batch_norm(x: Array, eps: float = EPS) -> tuple[Array, Array]:
    """(x - mean) / sqrt(variance + eps) per channel, by the batch's own statistics, and the factor 1 / sqrt(...)."""
    y = x - x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)
    flat = y.reshape(*y.shape[:2], -1)
    factor = 1 / np.sqrt(np.einsum("dci,dci->dc", flat, flat) / x.dtype.type(flat.shape[-1]) + x.dtype.type(eps))
    factor = per_channel(factor, x)
    y *= factor
    return y, factor


def _blocks(x: Array) -> list[Any]:
    """Cuts of images, each of about as much as a core's own cache holds together with its copies."""
    step = max(1, BLOCK * x.shape[2] // max(x.size, 1))
    return [np.s_[:, :, i:i + step] for i in range(0, x.shape[2], step)]


def scaled_batch_norm(x: Array, scale: Array, shift: Array) -> tuple[Array, Array, Array]:
    """scale * `batch_norm` + shift, with the mean and variance met, all per channel (draws, channels)."""
    y, blocks, n = np.empty_like(x), _blocks(x), x.dtype.type(math.prod(x.shape[2:]))
    mean = np.sum([channel_sums(x[cut]) for cut in blocks], axis=0) / n
    centre = per_channel(mean, x)
    variance = np.sum([channel_sums(np.square(x[cut] - centre)) for cut in blocks], axis=0) / n
    factor = scale / np.sqrt(variance + x.dtype.type(EPS))
    slope, level = per_channel(factor, x), per_channel(shift - mean * factor, x)
    for cut in blocks:
        np.multiply(x[cut], slope, out=y[cut])
        y[cut] += level
    return y, mean, variance


def scaled_batch_norm_grad(dy: Array, x: Array, scale: Array, mean: Array, variance: Array,
                           ) -> tuple[Array, Array, Array]:
    """Adjoint of `scaled_batch_norm`: gradients to x, scale and shift."""
    dx, blocks, n = np.empty_like(x), _blocks(x), x.dtype.type(math.prod(x.shape[2:]))
    factor, centre = 1 / np.sqrt(variance + x.dtype.type(EPS)), per_channel(mean, x)
    to_shift = np.sum([channel_sums(dy[cut]) for cut in blocks], axis=0)
    to_scale = np.sum([channel_sums(dy[cut] * (x[cut] - centre)) for cut in blocks], axis=0) * factor
    # factor scale (dy - mean(dy) - unit mean(dy unit)), unit = (x - mean) factor
    on_dy = factor * scale
    on_x = -on_dy * factor * to_scale / n
    level = per_channel(-on_dy * to_shift / n - on_x * mean, x)
    on_dy, on_x = per_channel(on_dy, x), per_channel(on_x, x)
    for cut in blocks:
        part = np.multiply(x[cut], on_x, out=dx[cut])
        part += level
        part += dy[cut] * on_dy
    return dx, to_scale, to_shift


@rule(BatchNorm)
class _BatchNorm(Rule):
    """By given statistics, or by those of the batch: frozen there, but in training."""

    stacked = ("scale", "shift", "mean", "variance")

    def parameters(self, layer: Any, c_in: int, c_out: int, ndim: int) -> dict[str, Parameter]:
        return {name: Parameter((c_out,), value=float(name in ("scale", "variance")), optional=True,
                                trained=name in ("scale", "shift")) for name in self.stacked}

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        x, give_back = call.step.forward.read(inputs[0]), call.step.backward.give_back
        given = call.parameters
        if not given and call.step.layer.is_identity:
            return x, lambda dy: [give_back(dy)]
        if call.training:
            return _in_training(call, x)
        if not given:
            y, factor = batch_norm(x)
        else:
            scale, shift, mean, variance = (per_channel(given[name], x) for name in self.stacked)
            factor = scale / np.sqrt(variance + x.dtype.type(EPS))
            y = (x - mean) * factor + shift
        return y, lambda dy: [give_back(dy * factor)]


def _in_training(call: Call, x: Array) -> tuple[Array, Pull]:
    given = bool(call.parameters)
    scale, shift = ((call.parameters["scale"], call.parameters["shift"]) if given else
                    np.repeat([[[1]], [[0]]], x.shape[1], axis=2))
    scale, shift = scale.astype(x.dtype), shift.astype(x.dtype)
    y, mean, variance = scaled_batch_norm(x, scale, shift)
    call.statistics.update(mean=mean, variance=variance)

    def pull(dy: Array) -> list[Array]:
        dx, to_scale, to_shift = scaled_batch_norm_grad(dy, x, scale, mean, variance)
        if given:
            call.gradients.update(scale=to_scale, shift=to_shift)
        return [call.step.backward.give_back(dx)]
    return y, pull


def layer_norm(x: Array, eps: float = EPS) -> tuple[Array, Array]:
    """Each site normalised over its channels; returns the result and 1 / sqrt(variance + eps)."""
    centred = x - x.mean(axis=1, keepdims=True)
    factor = 1 / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + x.dtype.type(eps))
    return centred * factor, factor


def layer_norm_grad(dy: Array, y: Array, factor: Array) -> Array:
    """Adjoint of `layer_norm`: `y` and `factor` are what it returned."""
    return factor * (dy - dy.mean(1, keepdims=True) - y * (dy * y).mean(1, keepdims=True))


@rule(LayerNorm)
class _LayerNorm(Rule):

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        y, factor = layer_norm(call.step.forward.read(inputs[0]))
        kept, slope = call.kept(y), call.kept(factor)
        return y, lambda dy: [call.step.backward.give_back(layer_norm_grad(dy, kept, slope))]
