"""Upsampling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...layers import Upsample
from ...layers.geometry import AxisGeometry
from ..arrays import Array
from .base import rule
from .pooling import Along

__all__: list[str] = []


@rule(Upsample)
class _Upsample(Along):
    """Nearest: output site x copies input site x // scale.  Linear: between half-pixel centres, clamped at the edge."""

    def reads(self, layer: Any, g: AxisGeometry, first: int, last: int, n: int | None) -> tuple[int, int]:
        if layer.mode == "nearest":
            return first // g.stride, last // g.stride
        return (math.floor((2 * first + 1 - g.stride) / (2 * g.stride)),
                math.ceil((2 * last + 1 - g.stride) / (2 * g.stride)))

    def matrix(self, layer: Any, g: AxisGeometry, out: Array, sites: Array, n: int | None) -> Array:
        if layer.mode == "nearest":
            return (sites == out[:, None] // g.stride).astype(float)
        source = (out[:, None] + 0.5) / g.stride - 0.5
        if n is not None:
            source = np.clip(source, 0, n - 1)
        return np.maximum(1 - np.abs(source - sites), 0)
