"""Upsampling: a fixed transposed filter, or weights by the place (equation 20)."""

from __future__ import annotations

import numpy as np

from ...base.errors import check_bytes
from ...layers import Upsample
from ...layers.geometry import AxisGeometry, Resize
from ..sweep.lowering import Linear, by_place, separable
from ..sweep.taps import Array
from .base import Rule, rule_for
from .functions import Function

__all__ = ["UpsampleRule"]

#: Of the cubic kernel of Keys, as PyTorch has it.
KEYS = -0.75


@rule_for(Upsample)
class UpsampleRule(Rule):
    """A box, or a triangle that is clamped at the edge; at other ratios, sizes and kernels a matrix an axis."""

    fields = frozenset({"scale", "mode", "size", "align_corners"})

    def commutes(self, layer: Upsample, ndim: int, phi: Function) -> bool:  # type: ignore[override]
        return layer.mode == "nearest" or layer.by_taps and all(g.stride == 1 for g in layer.geometry(ndim))

    def lower(self, layer: Upsample, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Linear:  # type: ignore
        geometry = layer.geometry(len(sizes))
        if layer.by_taps:
            return Linear(separable(geometry, [layer.axis_weights(g.stride) for g in geometry]),
                          inside_only=layer.mode == "bilinear")
        if None in sizes:
            if any(g.needs_size for g in geometry):
                raise ValueError("resizing to a given size, or with align_corners, needs the size of the image; give "
                                 "image=")
            return Linear(separable(*zip(*map(_taps, geometry))))
        return Linear(by_place([None if g.resize is None else interpolation(g.resize, n)
                                for g, n in zip(geometry, sizes) if n is not None]))


def _kernel(mode: str, distance: Array) -> Array:
    """Weight of a site at some distance from the coordinate."""
    d = np.abs(distance)
    if mode == "bilinear":
        return np.maximum(1 - d, 0)
    near = (KEYS + 2) * d**3 - (KEYS + 3) * d**2 + 1
    return np.where(d < 1, near, np.where(d < 2, KEYS * (d**3 - 5 * d**2 + 8 * d - 4), 0.0))


def interpolation(rule: Resize, n: int) -> Array:
    """Weights of `n` sites at each site of the resized map; sites beyond an end are the last one."""
    m = n * rule.scale if rule.size is None else rule.size
    check_bytes(8 * m * n, f"weights of {n} sites at {m} sites of a resized map", "take a smaller image")
    x, matrix = np.arange(m), np.zeros((m, n))
    if rule.mode == "nearest":
        matrix[x, x * n // m] = 1
        return matrix
    at = x * (n - 1) / max(m - 1, 1) if rule.align_corners else (x + 0.5) * n / m - 0.5
    first = np.floor(at).astype(int)
    for step in range(-1, 3):
        np.add.at(matrix, (x, np.clip(first + step, 0, n - 1)), _kernel(rule.mode, first + step - at))
    matrix[np.abs(matrix) < 1e-15] = 0  # what rounding leaves of a zero is no path
    return matrix


def _taps(g: AxisGeometry) -> tuple[AxisGeometry, Array]:
    """A whole factor on the plane as a transposed filter."""
    if g.resize is None:
        return g, np.ones(1)
    s = g.resize.scale
    offset = np.arange(-2 * s, 3 * s)
    weights = _kernel(g.resize.mode, (offset + 0.5) / s - 0.5)
    offset, weights = offset[weights != 0], weights[weights != 0]
    before = -int(offset[0])
    return AxisGeometry(len(weights), s, 1, (before, len(weights) - s - before), True), weights
