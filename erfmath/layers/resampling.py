"""Upsampling."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..base.checks import PerAxis, choice, flag, per_axis, sizes
from ..base.errors import MOST_PHASES, MOST_SITES, quoted
from .base import Layer, most, open_dimensions
from .geometry import AxisGeometry, Resize

__all__ = ["Upsample"]


@dataclass(frozen=True)
class Upsample(Layer):
    """Resampling by an integer factor, or to a given size at any ratio.

    From n sites to m, source coordinates are (x + 1/2) n / m - 1/2 (half-pixel centres) or, with `align_corners`,
    x (n - 1) / (m - 1).  "nearest" copies site floor(x n / m); "bilinear" (linear along each axis) weighs the two
    sites around the coordinate, clamped at the edge; "bicubic" four of them by Keys' kernel with a = -0.75, sites
    beyond an end being the last one.  All as PyTorch's `interpolate` has it.

    Parameters
    ----------
    scale : int or tuple of int, optional
        Output sites per input site, one value for all axes, or one per axis; 2 where no size is given.
    mode : {"nearest", "bilinear", "bicubic"}
        How values between are filled in.
    size : int or tuple of int, optional
        Output sites m, in place of a scale.
    align_corners : bool
        Whether the first and last sites of input and output lie on each other.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If scale or size is no positive integer, both are given, the mode is unknown, or corners of "nearest"
        are to be aligned.

    See Also
    --------
    Activation : A nonlinearity at each site.
    Slice : Channels start, start + 1, ..., stop - 1 of those that come in.

    Examples
    --------
    >>> import erfmath as em
    >>> rf = em.receptive_field(em.serial(em.Upsample(2, "bilinear")), ndim=1)
    >>> [rf.window(unit) for unit in (0, 1, 2)]
    [((-1,), (0,)), ((0,), (1,)), ((0,), (1,))]
    >>> em.serial(em.Upsample(size=(7, 10))).shapes(image=4)
    {'upsample1': (7, 10)}
    """

    op: ClassVar[str] = "upsample"
    free: ClassVar[bool] = True
    transposed: ClassVar[bool] = True
    scale: PerAxis | None = None
    mode: Literal["nearest", "bilinear", "bicubic"] = "nearest"
    _: dataclasses.KW_ONLY
    size: PerAxis | None = None
    align_corners: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.scale is not None:
            raise ValueError(f"scale={quoted(self.scale)}: give a scale or size={quoted(self.size)}, not both")
        if self.size is not None:
            self._set(size=most(sizes(self.size, "size", 1), "size", MOST_SITES))
        else:
            self._set(scale=most(sizes(2 if self.scale is None else self.scale, "scale", 1), "scale", MOST_PHASES))
        choice(self.mode, "mode", ("nearest", "bilinear", "bicubic"))
        self._set(align_corners=flag(self.align_corners, "align_corners"))
        if self.align_corners and self.mode == "nearest":
            raise ValueError("align_corners=True: has no meaning with mode='nearest'")
        super().__post_init__()

    def default(self, field: str) -> Any:
        return 2 if field == "scale" and self.size is None else super().default(field)

    @property
    def is_identity(self) -> bool:
        return self.scale == 1 or (isinstance(self.scale, tuple) and set(self.scale) == {1})

    @property
    def by_taps(self) -> bool:
        """Whether it is a transposed convolution with the taps of `axis_weights`, borders aside."""
        return self.size is None and self.mode != "bicubic" and not self.align_corners

    def dimensions(self) -> frozenset[int]:
        return open_dimensions(self.scale, self.size)

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        if self.size is not None:
            return tuple(AxisGeometry(resize=Resize(self.mode, m, 1, self.align_corners))
                         for m in per_axis(self.size, ndim))
        assert self.scale is not None
        scales = per_axis(self.scale, ndim)
        if not self.by_taps:
            rules = (Resize(self.mode, None, s, self.align_corners) for s in scales)
            return tuple(AxisGeometry() if rule.scale == 1 else AxisGeometry(resize=rule) for rule in rules)
        return tuple(AxisGeometry(len(self.axis_weights(s)), s, 1, self._pads(s), True) for s in scales)

    def axis_weights(self, scale: int) -> npt.NDArray[np.float64]:
        """Weights of the transposed filter along an axis of this `scale`: a box, or a triangle.

        Parameters
        ----------
        scale : int
            Output sites per input site.

        Returns
        -------
        ndarray, shape (taps,)
            Weights.

        Raises
        ------
        NotImplementedError
            If it is no such filter, see `by_taps`.
        """
        if not self.by_taps:
            raise NotImplementedError(f"{self}: is no transposed filter with the same taps everywhere")
        if self.mode == "nearest":
            return np.ones(scale)
        # The triangle 1 - |x + 1/2 - s (z + 1/2)| / s around input site z, where it is positive.
        offset = np.arange(2 * scale - scale % 2)
        return 1 - np.abs(offset - offset.mean()) / scale

    def _pads(self, scale: int) -> tuple[int, int]:
        total = len(self.axis_weights(scale)) - scale
        return total // 2, total - total // 2
