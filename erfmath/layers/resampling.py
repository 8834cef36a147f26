"""Upsampling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..base.checks import PerAxis, choice, per_axis, sizes
from .base import Layer, open_dimensions
from .geometry import AxisGeometry

__all__ = ["Upsample"]


@dataclass(frozen=True)
class Upsample(Layer):
    """Upsampling by an integer factor.

    "nearest": output site x copies input site x // scale.  "bilinear" (linear along each axis):
    half-pixel centres, source coordinate (x + 1/2) / scale - 1/2, clamped at the edge.

    Parameters
    ----------
    scale : int or tuple of int
        Output sites per input site; one value for all axes, or one per axis.
    mode : {"nearest", "bilinear"}
        How values between are filled in.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the scale is no positive integer, or the mode unknown.

    Examples
    --------
    >>> import erfmath as em
    >>> rf = em.receptive_field(em.serial(em.Upsample(2, "bilinear")), ndim=1)
    >>> [rf.window(unit) for unit in (0, 1, 2)]
    [((-1,), (0,)), ((0,), (1,)), ((0,), (1,))]
    """

    op: ClassVar[str] = "upsample"
    free: ClassVar[bool] = True
    transposed: ClassVar[bool] = True
    scale: PerAxis = 2
    mode: Literal["nearest", "bilinear"] = "nearest"
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(scale=sizes(self.scale, "scale", 1))
        choice(self.mode, "mode", ("nearest", "bilinear"))
        super().__post_init__()

    def dimensions(self) -> frozenset[int]:
        return open_dimensions(self.scale)

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        return tuple(AxisGeometry(len(self.axis_weights(s)), s, 1, self._pads(s), True)
                     for s in per_axis(self.scale, ndim))

    def axis_weights(self, scale: int) -> npt.NDArray[np.float64]:
        """Weights of the transposed filter along an axis of this `scale`: a box, or a triangle."""
        if self.mode == "nearest":
            return np.ones(scale)
        # The triangle 1 - |x + 1/2 - s (z + 1/2)| / s around input site z, where it is positive.
        offset = np.arange(2 * scale - scale % 2)
        return 1 - np.abs(offset - offset.mean()) / scale

    def _pads(self, scale: int) -> tuple[int, int]:
        total = len(self.axis_weights(scale)) - scale
        return total // 2, total - total // 2
