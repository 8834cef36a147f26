"""How one layer connects sites along one axis.

An output site x reads the input sites z with, per axis,

* ``z = s x + d a - p`` for the taps a = 0..k-1 of a convolution or pooling,
* ``x = s z + a - p`` for those of a transposed convolution or upsampling,

with stride s, dilation d, kernel size k and padding p before the first site.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["AxisGeometry", "Box", "SITE"]


class AxisGeometry(NamedTuple):
    """How a layer connects sites along one axis; returned by `Network.geometry`.

    Attributes
    ----------
    kernel, stride, dilation : int
        k, s and d: taps, and sites from window to window and from tap to tap.
    padding : pair of int, "same" or "whole"
        p before the first site and after the last, or a rule that needs the number of sites n:
        "whole" is global pooling.
    transposed : bool
        Whether output and input are exchanged.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] | Literal["same", "whole"] = (0, 0)
    transposed: bool = False

    @property
    def extent(self) -> int:
        """Sites from the first tap to the last, d (k - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def needs_size(self) -> bool:
        """Whether the padding depends on the number of sites: global, or "same" with a stride."""
        if self.padding == "same":
            return self.stride > 1 and self.extent > 1
        return self.padding == "whole"

    def pads(self, n: int | None) -> tuple[int, int]:
        """Padding (before, after) on `n` sites; on the plane (None) centred as at stride 1."""
        if self.padding == "whole":
            raise ValueError("global pooling has no padding")
        if self.padding != "same":
            return self.padding
        if n is None:
            before = (self.extent - 1) // 2
            return before, self.extent - 1 - before
        total = max((-(-n // self.stride) - 1) * self.stride + self.extent - n, 0)
        return total // 2, total - total // 2

    def out(self, n: int) -> int:
        """Number of output sites for `n` input sites; below 1 where the image is too small."""
        if self.padding == "whole":
            return 1
        before, after = self.pads(n)
        if self.transposed:
            return (n - 1) * self.stride + self.kernel - before - after
        return (n + before + after - self.extent) // self.stride + 1


#: Of a layer that works on each site by itself.
SITE = AxisGeometry()


class Box(NamedTuple):
    """Sites lo..hi on every axis, both inclusive; empty where hi < lo."""

    lo: tuple[int, ...]
    hi: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(max(b - a + 1, 0) for a, b in zip(self.lo, self.hi))

    @property
    def empty(self) -> bool:
        return 0 in self.shape

    def join(self, other: Box) -> Box:
        """Smallest box around both."""
        if self.empty or other.empty:
            return other if self.empty else self
        return Box(tuple(map(min, self.lo, other.lo)), tuple(map(max, self.hi, other.hi)))

    def within(self, shape: Sequence[int] | None) -> Box:
        """The part inside a map of `shape` (None: the plane)."""
        if shape is None or self.empty:
            return self
        lo = tuple(min(max(a, 0), n) for a, n in zip(self.lo, shape))
        return Box(lo, tuple(max(min(b, n - 1), a - 1) for a, b, n in zip(lo, self.hi, shape)))

    def pads(self, wanted: Box) -> list[tuple[int, int]]:
        """What to add (before, after) per axis to turn this box into `wanted`; negative crops."""
        return [(a - c, d - b) for a, b, c, d in zip(self.lo, self.hi, wanted.lo, wanted.hi)]

    def grown(self, least: int) -> Box:
        """The box, widened about its middle to at least `least` sites per axis."""
        lo = tuple(min(a, (a + b + 1 - least) // 2) for a, b in zip(self.lo, self.hi))
        return Box(lo, tuple(max(b, a + least - 1) for a, b in zip(lo, self.hi)))
