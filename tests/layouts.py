"""The orders that maps of a run may have in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def channels_first(x: Any) -> Any:
    return np.ascontiguousarray(x)


def channels_last(x: Any) -> Any:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def cropped(x: Any) -> Any:
    """A view into wider lines."""
    return channels_last(np.concatenate([x, x], axis=-1))[..., :x.shape[-1]]


Layout = Callable[[Any], Any]
LAYOUTS: list[Layout] = [channels_first, channels_last, cropped]
