"""How one layer connects sites along one axis.

An output site x reads the input sites z with, per axis,

* ``z = s x + d a - p`` for the taps a = 0..k-1 of a convolution or pooling,
* ``x = s z + d a - p`` for those of a transposed convolution or upsampling,

with stride s, dilation d, kernel size k and padding p before the first site.  Layers that are given the size of
their output read windows that no stride describes: `Resize`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["AxisGeometry", "BORDERS", "Box", "Resize", "SITE", "window_of_windows"]

#: What padding consists of: zeros, the map reflected about its last site, that site again, or the other end.
BORDERS = ("zeros", "reflect", "replicate", "circular")


class Resize(NamedTuple):
    """A map of n sites brought to m along one axis.

    Attributes
    ----------
    mode : str
        "bins": output x averages the sites floor(x n / m) .. ceil((x + 1) n / m) - 1.
        "nearest": it copies the site floor(x n / m).  "bilinear" and "bicubic": it interpolates between two,
        or four, sites around the coordinate (x + 1/2) n / m - 1/2, which "bilinear" does not let fall below 0;
        sites beyond an end are the last one.
    size : int or None
        m; None where it is n times `scale`.
    scale : int
        Output sites per input site, where there is no size.
    align_corners : bool
        Interpolate at the coordinate x (n - 1) / (m - 1) instead: ends meet ends.
    """

    mode: Literal["bins", "nearest", "bilinear", "bicubic"]
    size: int | None = None
    scale: int = 1
    align_corners: bool = False


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
    ceil_mode : bool
        Whether a last window that is only partly filled counts, if it starts before the padding after the map.
    border : str
        What padding consists of, one of `BORDERS`.
    resize : Resize or None
        A rule that takes the place of all else.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] | Literal["same", "whole"] = (0, 0)
    transposed: bool = False
    ceil_mode: bool = False
    border: str = "zeros"
    resize: Resize | None = None

    @property
    def extent(self) -> int:
        """Sites from the first tap to the last, d (k - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def needs_size(self) -> bool:
        """Whether what it reads depends on the number of sites: global, resized, or "same" with a stride."""
        if self.resize is not None:
            return self.resize.size is not None or self.resize.align_corners
        if self.padding == "same":
            return self.stride > 1 and self.extent > 1
        return self.padding == "whole"

    def pads(self, n: int | None) -> tuple[int, int]:
        """Padding (before, after) on `n` sites; on the plane (None) centred as at stride 1.

        Under `ceil_mode` what a last window reaches beyond the padding counts to it.
        """
        if self.padding == "whole" or self.resize is not None:
            raise ValueError("global pooling has no padding" if self.resize is None else "resizing has no padding")
        if self.padding == "same":
            if n is None:
                before = (self.extent - 1) // 2
                return before, self.extent - 1 - before
            total = max((-(-n // self.stride) - 1) * self.stride + self.extent - n, 0)
            return total // 2, total - total // 2
        before, after = self.padding
        if self.ceil_mode and n is not None:
            last = -(-(before + n + after - self.extent) // self.stride) * self.stride  # where its window begins
            if last >= before + n:
                last -= self.stride
            after = max(after, last + self.extent - before - n)
        return before, after

    def out(self, n: int) -> int:
        """Number of output sites for `n` input sites; below 1 where the image is too small."""
        if self.resize is not None:
            return n * self.resize.scale if self.resize.size is None else self.resize.size
        if self.padding == "whole":
            return 1
        before, after = self.pads(n)
        if self.transposed:
            return (n - 1) * self.stride + self.extent - before - after
        return (n + before + after - self.extent) // self.stride + 1


#: Of a layer that works on each site by itself.
SITE = AxisGeometry()


def window_of_windows(first: AxisGeometry, second: AxisGeometry, n: int | None, m: int | None) -> AxisGeometry | None:
    """Along an axis the window of windows without gaps that a second layer reads, of maps of `n` and `m` sites.

    None where the first leaves sites out that would lie in it.
    """
    if first.stride > first.kernel or first.dilation > 1 or second.dilation > 1:
        return None
    inner, outer = first.pads(n), second.pads(m)
    if n is not None and m is not None and outer[1] > 0 and first.stride * (m - 1) - inner[0] + first.kernel < n:
        return None  # sites that the stride has dropped
    return AxisGeometry(first.kernel + (second.kernel - 1) * first.stride, first.stride * second.stride, padding=(
        inner[0] + first.stride * outer[0], inner[1] + first.stride * outer[1]))


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

    def common(self, other: Box) -> Box:
        """The sites of both."""
        return Box(tuple(map(max, self.lo, other.lo)), tuple(map(min, self.hi, other.hi)))

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
