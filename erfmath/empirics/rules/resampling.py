"""Upsampling, and resizing at any ratio."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Upsample
from ...layers.geometry import AxisGeometry
from ..arrays import Array
from .base import rule
from .pooling import Along

__all__ = ["interpolation"]

#: Of the cubic kernel, as PyTorch has it.
CUBIC = -0.75


def interpolation(mode: str, part: Array) -> dict[int, Array]:
    """Weights of the sites around coordinates that lie a `part` of 0 to 1 after site 0; cubic ones by Keys' kernel."""
    if mode == "nearest":
        return {0: np.ones(len(part))}
    if mode == "bilinear":
        return {0: 1 - part, 1: part}

    def near(d: Array) -> Array:
        return ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1

    def far(d: Array) -> Array:
        return ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC
    return {-1: far(1 + part), 0: near(part), 1: near(1 - part), 2: far(2 - part)}


def _taps(layer: Any, g: AxisGeometry, x: Array, n: int | None) -> tuple[Array, Array, Array]:
    """Of the output sites `x` from `n` input sites: which of them (by position), sites and weights, not 0."""
    size, scale = (None, g.stride) if g.resize is None else (g.resize.size, g.resize.scale)
    if n is None and g.needs_size:
        raise ValueError("resizing depends on the size of the image; give image=")
    if layer.align_corners and n is not None:
        over, under = x * (n - 1), max((n * scale if size is None else size) - 1, 1)
    else:  # n / m is 1 / scale
        n_by, m = (1, scale) if size is None or n is None else (n, size)
        over, under = (x * n_by, m) if layer.mode == "nearest" else ((2 * x + 1) * n_by - m, 2 * m)
    site, rest = np.divmod(over, under)
    weights = interpolation(layer.mode, rest / under)
    sites = site + np.array(list(weights))[:, None]
    weight = np.stack(list(weights.values()))
    _, at = kept = np.nonzero(weight)
    return at, sites[kept] if n is None else np.clip(sites[kept], 0, n - 1), weight[kept]


@rule(Upsample)
class _Upsample(Along):
    """Nearest copies site floor(x n / m).  Others interpolate at (x + 1/2) n / m - 1/2, with `align_corners` at
    x (n - 1) / (m - 1); beyond an end lies the last site again."""

    def reads(self, layer: Any, g: AxisGeometry, first: int, last: int, n: int | None) -> tuple[int, int]:
        sites = _taps(layer, g, np.arange(first, last + 1), n)[1]
        return int(sites.min()), int(sites.max())

    def matrix(self, layer: Any, g: AxisGeometry, out: Array, sites: Array, n: int | None) -> Array:
        found = np.zeros((len(out), len(sites)))
        if found.size:
            at, site, weight = _taps(layer, g, out, n)
            np.add.at(found, (at, site - sites[0]), weight)
        return found
