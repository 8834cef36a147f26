"""Where resizing reads its input: coordinates of output sites by the rule that a format names, and their rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["COORDINATES", "ROUNDED"]

Coordinates = npt.NDArray[Any]


def _half_pixel(n: int, m: int, scale: float) -> Coordinates:
    return (np.arange(m) + 0.5) / scale - 0.5


#: By the name that ONNX has for it: coordinates in an input of n sites of the m output sites, at the scale m / n or
#: the one that is given, which may differ from it.
COORDINATES: dict[str, Callable[[int, int, float], Coordinates]] = {
    "half_pixel": _half_pixel, "asymmetric": lambda n, m, scale: np.arange(m) / scale,
    "pytorch_half_pixel": lambda n, m, scale: _half_pixel(n, m, scale) if m > 1 else np.zeros(1),
    "align_corners": lambda n, m, scale: np.arange(m) * (n - 1) / max(m - 1, 1),
    "half_pixel_symmetric": lambda n, m, scale: n / 2 * (1 - m / (scale * n)) + _half_pixel(n, m, scale)}
#: The site that is copied; a hair, for scales in single precision.
ROUNDED: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda v: np.ceil(v - 0.5 - 1e-6), "round_prefer_ceil": lambda v: np.floor(v + 0.5 + 1e-6),
    "floor": lambda v: np.floor(v + 1e-6), "ceil": lambda v: np.ceil(v - 1e-6)}
