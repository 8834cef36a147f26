"""Convolutions: random weights, one filter for each channel, equal weights, given ones (equations 16 to 21)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...layers import Conv, ConvTranspose, Layer
from ...layers.convolution import Weighted
from ...layers.geometry import AxisGeometry
from ...layers.weights import Constant, Fixed, Random
from ..sweep.covariance import Covariance, Factor
from ..sweep.lowering import SAMPLE, Linear, Norm, box, separable, together
from ..sweep.moments import Moments
from ..sweep.taps import Array, Taps
from .base import Rule, rule_for
from .context import Above, Before, Below
from .neighbours import Passage, through_taps

__all__ = ["ConvolutionRule"]


@rule_for(Conv, ConvTranspose)
class ConvolutionRule(Rule):
    """Weights decide: random ones mix channels and are a fresh source, equal and given ones tie channels."""

    fields = frozenset({"kernel_size", "channels", "stride", "padding", "dilation", "groups", "weights"})

    def refuse_unknown(self, layer: Layer) -> None:
        super().refuse_unknown(layer)
        if layer.transposed and getattr(layer, "dilation", 1) not in (1, (1,) * 1, (1,) * 2, (1,) * 3):
            raise NotImplementedError(f"dilation={getattr(layer, 'dilation')} of transposed convolutions: {SAMPLE}")

    def lower(self, layer: Weighted, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Linear:  # type: ignore
        geometry, weights = layer.geometry(len(sizes)), layer.weights
        kernel = tuple(g.kernel for g in geometry)
        groups = c_in if layer.groups == "depthwise" else layer.groups
        if isinstance(weights, Random):
            gain = weights.gain * c_in / weights.fan_channels(c_in, c_out)
            if layer.transposed:
                gain *= math.prod(g.stride for g in geometry)
            if weights.profile is None:
                return Linear.random(box(geometry), gain, groups)
            parts = weights.variances(kernel)
            split = len(parts) == len(kernel)
            return Linear.random(separable(geometry, parts) if split else together(geometry, parts[0]), gain, groups)
        if isinstance(weights, Constant):
            return Linear(box(geometry), groups=groups, equal=not groups == c_in == c_out)
        assert isinstance(weights, Fixed)
        if weights.per_channel(len(kernel)):
            return Linear(_factors(geometry, weights.array))
        if groups == c_in == c_out and (weights.array == weights.array[0]).all():
            return Linear(_factors(geometry, weights.array[0, 0]))
        matrix = weights.array if not layer.transposed else np.swapaxes(weights.array, 0, 1)
        if layer.transposed and groups > 1:  # (in, out/groups, *k) -> (out, in/groups, *k)
            parts = np.split(weights.array, groups, axis=0)
            matrix = np.concatenate([np.swapaxes(part, 0, 1) for part in parts])
        return Linear(together(geometry, np.ones(kernel)), groups=groups, matrix=matrix)

    def given(self, layer: Weighted, weights: Any, ndim: int, c_in: int, c_out: int  # type: ignore[override]
              ) -> tuple[Linear, Norm | None]:
        """The mean square per tap of `weights`, with zero mean and channels alike (equations 49 and 50).

        `weights` has the shape of `Fixed`: (out, in / groups, *k), transposed (in, out / groups, *k).
        """
        need, array = layer.weight_shape(c_in, c_out, ndim), np.asarray(weights, dtype=float)
        if array.shape != need or not np.isfinite(array).all():
            raise ValueError(f"weights: an array of shape {array.shape}; must be finite, of shape {need}")
        power = (array**2).sum(axis=(0, 1)) / c_out
        total = float(power.sum())
        if total == 0:
            raise ValueError("weights: all zero")
        groups = c_in if layer.groups == "depthwise" else layer.groups
        taps = Taps(tuple(range(ndim)), layer.geometry(ndim), power / total)
        return Linear.random((taps,), total, groups), None

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        graph, op, m = at.graph, at.op, inputs[0]
        if op.ties_channels:
            raise NotImplementedError("a gate in a network with weights that are equal or given for all "
                                      f"channels: {SAMPLE}")
        if op.fresh:
            if len(m.cov_far) > 1:
                m = m.mixed(graph.mixture(at.i))
            if at.i not in graph.biases and all(taps.trivial for taps in op.taps):
                gain = op.gain * math.prod(taps.weights.item() for taps in op.taps)
                return m.with_lags(at.want).multiple(gain, m.cov_far * gain, m.corr_site, (None,) * len(m.cov_far))
        return super().forward(at, [m])

    def passage(self, layer: Weighted, op: Linear, ndim: int) -> Passage | None:  # type: ignore[override]
        if not op.fresh or layer.transposed or len(op.taps) != ndim:
            return None
        return Passage(lambda axis, line, m, level, n_out: through_taps(line, level, op.taps[axis], n_out),
                       by_level=True)

    def backward(self, at: Below, state: Covariance) -> Covariance:
        op, (c_in, c_out) = at.op, at.channels
        if op.fresh:
            return state.through_random(op, at.sizes, at.lags, at.graph.mixture(at.i), c_in)
        if op.equal:
            return state.through_constant(op, at.sizes, at.lags, c_in, c_out, at.graph.shares(at.j))
        if op.matrix is None:
            return super().backward(at, state)
        if len(at.graph.groups[at.j]) > 1:
            raise NotImplementedError(f"given weights that mix channels right after a concatenation: {SAMPLE}")
        return state.through_full(op, at.sizes, at.lags)

    def factor(self, at: Below, factor: Factor) -> Factor:
        if at.op.matrix is not None:
            return factor.through_full(at.op, at.sizes)
        if not at.op.equal:
            return super().factor(at, factor)
        c_in, c_out = at.channels
        if at.plan.channels == "explicit":
            return factor.through_constant(at.op, at.sizes, c_in, c_out)
        below = factor.through(at.op, at.sizes).times((c_out / c_in)**0.5)
        below.values[1:] = 0  # directions other than that of equal channels end here
        return below

    def transpose(self, at: Above) -> Array:
        values = at.input
        if at.op.fresh and values.shape[1] > 1:
            values = np.einsum("hg,fg...->fh...", at.graph.mixture(at.i), values)
        return at.linear(at.op, values, at.lags)


def _factors(geometry: tuple[AxisGeometry, ...], array: Array) -> tuple[Taps, ...]:
    """One filter per axis where the given filter is their exact product, else the filter itself."""
    pivot = np.unravel_index(np.argmax(np.abs(array)), array.shape)
    peak = array[pivot]
    if array.ndim > 1 and peak != 0:
        lines = [array[pivot[:axis] + (slice(None),) + pivot[axis + 1:]] / peak for axis in range(array.ndim)]
        product = peak * math.prod(np.ix_(*lines))
        if np.allclose(product, array, rtol=1e-14, atol=0):
            return separable(geometry, [peak * lines[0], *lines[1:]])
    return together(geometry, array) if array.ndim > 1 else separable(geometry, [array])
