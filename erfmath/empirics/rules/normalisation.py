"""Normalisations: by the batch, by groups of channels, by sites."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, ClassVar

import numpy as np

from ...layers import GRN, BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from ..arrays import Array, channel_sums, per_channel
from .base import Call, Parameter, Pull, Rule, rule

__all__ = ["EPS", "Norm", "batch_norm", "normalised", "normalised_grad", "scaled_batch_norm", "scaled_batch_norm_grad"]

#: Added to variances before dividing by their root, as frameworks do.
EPS = 1e-5
#: The same of `GRN`.
GRN_EPS = 1e-6
#: Numbers per block where a map is worked on in several passes.
BLOCK = 2**17


def batch_norm(x: Array, eps: float = EPS) -> tuple[Array, Array]:
    """(x - mean) / sqrt(variance + eps) per channel, by the batch's own statistics, and the factor 1 / sqrt(...)."""
    y = x - x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)
    flat = y.reshape(*y.shape[:2], -1)
    factor = per_channel(over_root(np.einsum("dci,dci->dc", flat, flat) / x.dtype.type(flat.shape[-1]), eps), x)
    y *= factor
    return y, factor


def _raised(variance: Array, eps: float = EPS) -> Array:
    return variance + variance.dtype.type(eps)


def over_root(variance: Array, eps: float = EPS) -> Array:
    """1 / sqrt(variance + eps)."""
    return 1 / np.sqrt(_raised(variance, eps))


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
    factor = scale * over_root(variance)
    slope, level = per_channel(factor, x), per_channel(shift - mean * factor, x)
    for cut in blocks:
        np.multiply(x[cut], slope, out=y[cut])
        y[cut] += level
    return y, mean, variance


def scaled_batch_norm_grad(dy: Array, x: Array, scale: Array, mean: Array, variance: Array,
                           ) -> tuple[Array, Array, Array]:
    """Adjoint of `scaled_batch_norm`: gradients to x, scale and shift."""
    dx, blocks, n = np.empty_like(x), _blocks(x), x.dtype.type(math.prod(x.shape[2:]))
    factor, centre = over_root(variance), per_channel(mean, x)
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


def normalised(x: Array, axes: tuple[int, ...], centred: bool = True, eps: float = EPS) -> tuple[Array, Array]:
    """The values less their mean (if `centred`) over the root of their mean square, and one over that root."""
    if centred:
        x = x - x.mean(axis=axes, keepdims=True)
    factor = over_root((x * x).mean(axis=axes, keepdims=True), eps)
    return x * factor, factor


def normalised_grad(dy: Array, y: Array, factor: Array, axes: tuple[int, ...], centred: bool = True) -> Array:
    """Adjoint of `normalised`: `y` and `factor` are what it returned."""
    mean = dy.mean(axes, keepdims=True) if centred else dy.dtype.type(0)
    return factor * (dy - mean - y * (dy * y).mean(axes, keepdims=True))


# -- the layers -------------------------------------------------------------------------------

class Norm(Rule):
    """Base of norms: a scale and a shift for each channel, after what they normalise."""

    names: ClassVar[tuple[str, ...]] = ("scale", "shift")

    def stacked(self, layer: Any) -> tuple[str, ...]:
        return self.names

    def parameters(self, layer: Any, c_in: int, c_out: int, ndim: int) -> dict[str, Parameter]:
        variances = {name: getattr(layer, f"{name}_var") for name in self.names}
        trained = layer.parameters(c_in, c_out, ndim) > 0 and not (layer.takes_norm and not layer.statistics)
        return {name: Parameter((c_out,), np.sqrt(variances[name]) if variances.get(name) else None,
                                value=float(name in ("scale", "variance")), optional=True,
                                trained=name in variances and (trained or variances[name] > 0))
                for name in self.stacked(layer)}


def _scaled(call: Call, y: Array) -> Array:
    """With the scale and shift that there are."""
    if "scale" in call.parameters:
        y = y * per_channel(call.parameters["scale"], y)
    if "shift" in call.parameters:
        y = y + per_channel(call.parameters["shift"], y)
    return y


def _unscaled(call: Call, dy: Array, unit: Array | None = None) -> Array:
    """Adjoint of `_scaled`; in training of the values `unit`."""
    if call.training and unit is not None:
        sums = {"scale": lambda: channel_sums(dy * unit), "shift": lambda: channel_sums(dy)}
        call.gradients.update({name: sums[name]() for name in sums if name in call.parameters})
    return dy * per_channel(call.parameters["scale"], dy) if "scale" in call.parameters else dy


@rule(BatchNorm)
class _BatchNorm(Norm):
    """By given statistics, or by those of the batch: frozen there, but in training and in mode "batch"."""

    def stacked(self, layer: Any) -> tuple[str, ...]:
        return self.names if layer.mode == "batch" else (*self.names, "mean", "variance")

    def is_gate(self, layer: Any, given: Collection[str]) -> bool:
        return super().is_gate(layer, given) and "variance" not in given

    def over_map(self, layer: Any, given: Collection[str]) -> bool:
        return super().over_map(layer, given) and "variance" not in given

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        x, give_back = call.step.forward.read(inputs[0]), call.step.backward.give_back
        given = call.parameters
        if call.step.layer.statistics and (call.training or call.step.through):
            return _by_the_batch(call, x)
        if "mean" in given:
            scale, shift, mean, variance = (per_channel(given[name], x) for name in (*self.names, "mean", "variance"))
            factor = scale / np.sqrt(variance)  # epsilon is in what is given
            return (x - mean) * factor + shift, lambda dy: [give_back(dy * factor)]
        if not call.step.layer.statistics:
            unit = call.kept(x) if call.training else None
            return _scaled(call, x), lambda dy: [give_back(_unscaled(call, dy, unit))]
        y, slope = batch_norm(x)
        return _scaled(call, y), lambda dy: [give_back(_unscaled(call, dy) * slope)]


def _by_the_batch(call: Call, x: Array) -> tuple[Array, Pull]:
    """Gradients pass through mean and variance."""
    ones = np.ones((1, x.shape[1]), x.dtype)
    scale = call.parameters.get("scale", ones).astype(x.dtype, copy=False)
    y, mean, variance = scaled_batch_norm(x, scale, call.parameters.get("shift", 0 * ones).astype(x.dtype, copy=False))
    if call.training:
        call.statistics.update(mean=mean, variance=_raised(variance))  # as a layer with these divides by its root

    def pull(dy: Array) -> list[Array]:
        dx, to_scale, to_shift = scaled_batch_norm_grad(dy, x, scale, mean, variance)
        if call.training:
            found = {"scale": to_scale, "shift": to_shift}
            call.gradients.update({name: found[name] for name in found if name in call.parameters})
        return [call.step.backward.give_back(dx)]
    return y, pull


@rule(LayerNorm, GroupNorm, InstanceNorm)
class _Grouped(Norm):
    """By statistics of groups of channels, of each site or of the whole map, through which gradients pass."""

    centred: ClassVar[bool] = True

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        step = call.step
        x, over_map = step.forward.read(inputs[0]), "space" in step.layer.statistics
        grouped = (len(x), step.layer.group_count(x.shape[1], x.ndim - 3), -1)
        axes = (2, *range(4, x.ndim + 1)) if over_map else (2,)
        y, factor = normalised(x.reshape(*grouped, *x.shape[2:]), axes, self.centred)
        if over_map and not step.through:  # on the plane: frozen
            slope = call.kept(np.broadcast_to(factor, y.shape).reshape(x.shape))
            return _scaled(call, y.reshape(x.shape)), lambda dy: [step.backward.give_back(_unscaled(call, dy) * slope)]
        unit, slope = call.kept(y.reshape(x.shape)), call.kept(factor.reshape(*grouped[:2], *factor.shape[3:]))

        def pull(dy: Array) -> list[Array]:
            dy = _unscaled(call, dy, unit)
            to_y, y = (part.reshape(*grouped, *part.shape[2:]) for part in (dy, unit))
            dx = normalised_grad(to_y, y, slope[:, :, None], axes, self.centred)
            return [step.backward.give_back(dx.reshape(dy.shape))]
        return _scaled(call, y.reshape(x.shape)), pull


@rule(RMSNorm)
class _RMSNorm(_Grouped):

    names = ("scale",)
    centred = False


@rule(GRN)
class _GRN(Rule):
    """y = x + gamma x N(x) + beta, N the norm of a channel over all sites in parts of its mean over channels."""

    def stacked(self, layer: Any) -> tuple[str, ...]:
        return "gamma", "beta"

    def parameters(self, layer: Any, c_in: int, c_out: int, ndim: int) -> dict[str, Parameter]:
        return {name: Parameter((c_out,), value=getattr(layer, name), optional=True) for name in self.stacked(layer)}

    def is_gate(self, layer: Any, given: Collection[str]) -> bool:
        return bool(layer.gamma) or "gamma" in given

    over_map = is_gate

    def through_map(self, layer: Any) -> bool:
        return True

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        step, layer = call.step, call.step.layer
        x = step.forward.read(inputs[0])
        gamma, beta = (per_channel(call.parameters.get(name, np.full((1, x.shape[1]), getattr(layer, name))), x)
                       for name in ("gamma", "beta"))
        if not (step.over_map or call.training):
            return x + beta, lambda dy: [step.backward.give_back(dy)]
        axes = tuple(range(3, x.ndim))
        norm = np.sqrt((x * x).sum(axes, keepdims=True))
        mean = norm.mean(1, keepdims=True) + x.dtype.type(GRN_EPS)
        ratio = norm / mean
        y = x + gamma * (x * ratio) + beta
        if not (step.through or call.training):  # on the plane: frozen
            return y, lambda dy: [step.backward.give_back(dy * (1 + gamma * ratio[:, :, :call.images]))]
        x, norm, mean, ratio = (call.kept(part) for part in (x, norm, mean, ratio))

        def pull(dy: Array) -> list[Array]:
            if call.training:
                call.gradients.update(gamma=channel_sums(dy * (x * ratio)), beta=channel_sums(dy))
            to_ratio = (dy * gamma * x).sum(axes, keepdims=True)
            to_norm = to_ratio / mean - (to_ratio * norm).mean(1, keepdims=True) / mean**2
            dx = dy * (1 + gamma * ratio) + to_norm * (x / np.where(norm > 0, norm, 1))
            return [step.backward.give_back(dx)]
        return y, pull
