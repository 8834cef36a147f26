"""What a layer does to a gradient, as taps: the table from layer specs to linear operations."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ...layers import (Activation, Add, AvgPool, BatchNorm, BlurPool, Concat, Conv, ConvTranspose, Dropout,
                       GlobalAvgPool, Identity, Layer, LayerNorm, MaxPool, Pad, Scale, Upsample)
from ...layers.geometry import AxisGeometry
from ...layers.weights import Constant, Fixed, Random
from .taps import Array, Taps

__all__ = ["Linear", "is_gate", "lower", "reach", "stacked"]


class Linear(NamedTuple):
    """A layer between two maps, as the backward sweep sees it.

    Attributes
    ----------
    kind : str
        "random": zero-mean weights, taps are variances of sum 1.  "fixed": the same filter for
        each channel.  "constant": one weight for all channels.  "full": given weights that mix
        channels, `matrix[out, in, *tap]`.  "route": max pooling.  "gate": an activation or a
        normalisation.
    taps : tuple of Taps
        One per axis if separable, else one for all axes.
    gain : float
        On power for "random", on amplitude otherwise.
    inside_only : bool
        Whether windows at the border share their weight among the sites inside.
    groups : int
    matrix : ndarray, optional
    """

    kind: str
    taps: tuple[Taps, ...]
    gain: float = 1.0
    inside_only: bool = False
    groups: int = 1
    matrix: Array | None = None

    @property
    def like_axes(self) -> bool:
        """Whether a layer of one `Taps` an axis, or none, does the same along all of them."""
        return all(taps.geometry == self.taps[0].geometry and np.array_equal(taps.weights, self.taps[0].weights)
                   for taps in self.taps[1:])

    @property
    def random(self) -> bool:
        """Whether what lies below is uncorrelated with what lies above."""
        return self.kind == "random"


def _separable(geometry: tuple[AxisGeometry, ...], weights: Any) -> tuple[Taps, ...]:
    return tuple(Taps((axis,), (g,), np.asarray(w)) for axis, (g, w) in enumerate(zip(geometry, weights)))


@functools.lru_cache(maxsize=256)
def _box(geometry: tuple[AxisGeometry, ...]) -> tuple[Taps, ...]:
    """Equal weights of sum 1 along each axis; many layers have the same."""
    return _separable(geometry, [np.full(g.kernel, 1 / g.kernel) for g in geometry])


def stacked(lower_pool: Linear, upper: Linear, sizes: tuple[int | None, ...], between: tuple[int | None, ...]
            ) -> Linear | None:
    """One max pool in place of two, one right behind the other: the largest of the largest.

    `sizes` and `between` are those of the maps that they read.  None where the lower one leaves sites out.
    """
    geometry = []
    for a, b, n, m in zip(lower_pool.taps, upper.taps, sizes, between):
        (first,), (second,) = a.geometry, b.geometry
        if first.stride > first.kernel:
            return None
        pads = zip(first.pads(n), second.pads(m))
        geometry.append(AxisGeometry(first.kernel + (second.kernel - 1) * first.stride, first.stride * second.stride,
                                     padding=tuple(p + first.stride * q for p, q in pads)))  # type: ignore[arg-type]
    return upper._replace(taps=_box(tuple(geometry)))


def _together(geometry: tuple[AxisGeometry, ...], weights: Array) -> tuple[Taps, ...]:
    return (Taps(tuple(range(len(geometry))), geometry, weights),)


def lower(layer: Layer, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Linear:
    """The linear operation of `layer` on an input of `sizes` sites (None: the plane).

    Elementwise layers are a "fixed" operation without taps.
    """
    if is_gate(layer):
        return Linear("gate", ())
    if isinstance(layer, (Activation, Add, BatchNorm, Concat, Dropout, Identity, Scale)):
        return Linear("fixed", (), gain=layer.factor if isinstance(layer, Scale) else 1.0)
    ndim = len(sizes)
    geometry = layer.geometry(ndim)
    if isinstance(layer, (Conv, ConvTranspose)):
        return _convolution(layer, geometry, c_in, c_out)
    if isinstance(layer, Upsample):
        return Linear("fixed", _separable(geometry, [layer.axis_weights(g.stride) for g in geometry]),
                      inside_only=layer.mode == "bilinear")
    if isinstance(layer, GlobalAvgPool):
        if None in sizes:
            raise ValueError("global average pooling needs the size of the image; give image=")
        return Linear("fixed", _box(tuple(AxisGeometry(n, n) for n in sizes)))  # type: ignore[arg-type]
    if isinstance(layer, MaxPool):
        return Linear("route", _box(geometry), inside_only=True)
    if isinstance(layer, AvgPool):
        return Linear("fixed", _box(geometry), inside_only=layer.counts_inside_only)
    if isinstance(layer, BlurPool):
        return Linear("fixed", _separable(geometry, [layer.axis_weights(g.kernel) for g in geometry]))
    if isinstance(layer, Pad):
        return Linear("fixed", _separable(geometry, [np.ones(1)] * ndim))
    raise NotImplementedError(f"the theory has no rule for {layer.op}; erfmath.measure may have one")


def is_gate(layer: Layer) -> bool:
    """Whether a layer multiplies gradients by what depends on the data."""
    if isinstance(layer, Activation):
        return layer.function != "identity"
    return isinstance(layer, LayerNorm) or (isinstance(layer, BatchNorm) and layer.mode == "data")


def _convolution(layer: Conv | ConvTranspose, geometry: tuple[AxisGeometry, ...], c_in: int,
                 c_out: int) -> Linear:
    kernel = tuple(g.kernel for g in geometry)
    depthwise = layer.groups == "depthwise"
    groups = c_in if depthwise else layer.groups
    weights = layer.weights
    if isinstance(weights, Random):
        gain = weights.gain if weights.fan == "in" else weights.gain * c_in / c_out
        if layer.transposed:
            gain *= math.prod(g.stride for g in geometry)
        if weights.profile is None:
            return Linear("random", _box(geometry), gain, groups=groups)
        parts = weights.variances(kernel)
        taps = _separable(geometry, parts) if len(parts) == len(kernel) else _together(geometry, parts[0])
        return Linear("random", taps, gain, groups=groups)
    if isinstance(weights, Constant):
        return Linear("fixed" if groups == c_in == c_out else "constant", _box(geometry), groups=groups)
    assert isinstance(weights, Fixed)
    if weights.per_channel(len(kernel)):
        return Linear("fixed", _factors(geometry, weights.array))
    matrix = weights.array if not layer.transposed else np.swapaxes(weights.array, 0, 1)
    if layer.transposed and groups > 1:  # (in, out/groups, *k) -> (out, in/groups, *k)
        parts = np.split(weights.array, groups, axis=0)
        matrix = np.concatenate([np.swapaxes(part, 0, 1) for part in parts])
    return Linear("full", _together(geometry, np.ones(kernel)), groups=groups, matrix=matrix)


def _factors(geometry: tuple[AxisGeometry, ...], array: Array) -> tuple[Taps, ...]:
    """One filter per axis where the given filter is their exact product, else the filter itself."""
    pivot = np.unravel_index(np.argmax(np.abs(array)), array.shape)
    peak = array[pivot]
    if array.ndim > 1 and peak != 0:
        lines = [array[pivot[:axis] + (slice(None),) + pivot[axis + 1:]] / peak for axis in range(array.ndim)]
        product = peak * math.prod(np.ix_(*lines))
        if np.allclose(product, array, rtol=1e-14, atol=0):
            return _separable(geometry, [peak * lines[0], *lines[1:]])
    return _together(geometry, array) if array.ndim > 1 else _separable(geometry, [array])


def reach(op: Linear, lags: tuple[int, ...], back: bool) -> tuple[int, ...]:
    """Lags before a layer that reach those behind it (`back`), or behind that come from those before."""
    if not op.taps or (op.random and not any(lags)):
        return lags
    out = list(lags)
    for taps in op.taps:
        for axis, g in zip(taps.axes, taps.geometry):
            spread = 0 if op.random else g.extent - 1
            grows = g.transposed != back  # the other side's lattice is the finer one
            out[axis] = lags[axis] * g.stride + spread if grows else (lags[axis] + spread) // g.stride
    return tuple(out)
