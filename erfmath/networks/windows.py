"""Windows of all units along one axis, from layer to layer.

On the infinite plane windows [lo(u), hi(u)] repeat themselves, lo(u + T) = lo(u) + J, with period T = 1
unless the network upsamples; effective stride is J / T.  On an image the sites outside a map do not exist:
where this matters inside the image, the ends of all units' windows are followed one by one.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Union

import numpy as np
import numpy.typing as npt

from ..base.errors import MOST_PHASES, MOST_SITES, check_bytes, check_count, named
from ..layers.geometry import SITE, AxisGeometry, Resize

__all__ = ["DEAD", "NONE", "Number", "Seen", "Windows", "reads", "reads_on_plane", "sweep", "union"]

Number = Union[int, float, Fraction]
Array = npt.NDArray[np.int64]

#: Index of a source that none of the pixels reach (-1 is the pixels themselves).
DEAD = -2
#: In place of a site: none.
NONE = -2**62
_FAR = 2**62  # first and last pixel of a unit that sees none


class Windows(NamedTuple):
    """Windows of all units along one axis: those of units 0..T-1, and the shift of unit u + T.

    lo is None where a unit sees nothing (a transposed convolution with gaps).  `whole` is what all units
    see besides, through a map that was pooled to one site.
    """

    shift: Any
    lo: tuple[Any, ...]
    hi: tuple[Any, ...]
    aligned: bool = True
    whole: tuple[Any, Any] | None = None

    def local(self, unit: int) -> tuple[Any, Any]:
        """The window without what all units see."""
        turns, phase = divmod(unit, len(self.lo))
        if self.lo[phase] is None or not turns:
            return self.lo[phase], self.hi[phase]
        by = math.floor(turns * self.shift)
        return self.lo[phase] + by, self.hi[phase] + by

    def at(self, unit: int) -> tuple[Any, Any]:
        return _hull([self.local(unit), self.whole or (None, None)])

    def hull(self, first: int, last: int, step: int = 1) -> tuple[Any, Any]:
        """Smallest window around the local ones of the units first, first + step, ..., last."""
        if len(self.lo) == step == 1 and first <= last:
            return self.local(first)[0], self.local(last)[1]
        # Windows of one phase move steadily: the first and the last unit of each phase suffice.
        units, phases = range(first, last + 1, step), len(self.lo) // math.gcd(len(self.lo), step)
        return _hull([self.local(u) for u in (*units[:phases], *units[-phases:])])

    @property
    def sees(self) -> bool:
        """Whether any unit sees anything."""
        return self.whole is not None or any(lo is not None for lo in self.lo)

    @property
    def size(self) -> Number:
        ends = [self.whole] if self.whole else [(lo, hi) for lo, hi in zip(self.lo, self.hi) if lo is not None]
        return max((hi - lo + 1 for lo, hi in ends), default=0)

    @property
    def stride(self) -> Fraction:
        return Fraction(self.shift) / len(self.lo)

    @property
    def offset(self) -> Fraction:
        """Mean over the phases of (centre of the local window) - u stride."""
        period = len(self.lo)  # centres in units of 1 / (2 T)
        centres = [(lo + hi) * period - 2 * u * self.shift
                   for u, (lo, hi) in enumerate(zip(self.lo, self.hi)) if lo is not None]
        return Fraction(sum(centres)) / (2 * period * max(len(centres), 1))

    def reduced(self) -> Windows:
        """The same windows with the shortest period."""
        period = len(self.lo)
        for t in range(1, period):
            if period % t or self.shift * t % period:
                continue
            part = self._replace(shift=self.shift * t // period, lo=self.lo[:t], hi=self.hi[:t])
            if all(part.local(u) == self.local(u) for u in range(period)):
                return part
        return self

    def clipped(self, units: int, pixels: int) -> tuple[Array, Array]:
        """First and last of `pixels` pixels that the units 0..units-1 see; first > last where they see none."""
        ends = [self.local(u) for u in range(min(units, len(self.lo)))]
        shift = np.array([math.floor(turn * self.shift) for turn in range(-(-units // len(self.lo)))])[:, None]
        lo = np.array([_FAR if a is None else a for a, _ in ends])
        hi = np.array([-_FAR if b is None else b for _, b in ends])
        first = np.where(lo == _FAR, _FAR, np.maximum(lo + shift, 0)).reshape(-1)[:units]
        last = np.where(lo == _FAR, -_FAR, np.minimum(hi + shift, pixels - 1)).reshape(-1)[:units]
        if self.whole:
            first = np.minimum(first, max(self.whole[0], 0))
            last = np.maximum(last, min(self.whole[1], pixels - 1))
        return np.where(first > last, _FAR, first), np.where(first > last, -_FAR, last)


class Seen(NamedTuple):
    """What the units of a map see along one axis: windows, and their true ends inside the image where these differ."""

    windows: Windows
    ends: tuple[Array, Array] | None = None

    def explicit(self, units: int, pixels: int) -> tuple[Array, Array]:
        """First and last pixel that each of the `units` of the map sees."""
        return self.windows.clipped(units, pixels) if self.ends is None else self.ends

    @staticmethod
    def of(windows: Windows, ends: tuple[Array, Array], pixels: int) -> Seen:
        """`ends` are kept only if they are others than those of the windows."""
        same = all(np.array_equal(a, b) for a, b in zip(windows.clipped(len(ends[0]), pixels), ends))
        return Seen(windows, None if same else ends)

    def borders(self, pixels: int) -> tuple[tuple[int, Any, Any], ...]:
        """(unit, first, last) of the units whose windows end elsewhere; what ends in the padding stays."""
        if self.ends is None:
            return ()
        found: list[tuple[int, Any, Any]] = []
        nominal = self.windows.clipped(len(self.ends[0]), pixels)
        for u in np.flatnonzero((nominal[0] != self.ends[0]) | (nominal[1] != self.ends[1])):
            first, last = (int(end[u]) for end in self.ends)
            if first > last:
                found.append((int(u), None, None))
                continue
            lo, hi = self.windows.at(int(u))
            found.append((int(u), lo if nominal[0][u] == first else first, hi if nominal[1][u] == last else last))
        return tuple(found)


PIXELS = Windows(1, (0,), (0,))
NOTHING = Windows(0, (None,), (None,))
EVERYTHING = Windows(0, (-math.inf,), (math.inf,))


def _hull(ends: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Smallest window around several; None where there are none."""
    seen = [end for end in ends if end[0] is not None]
    return (min(lo for lo, _ in seen), max(hi for _, hi in seen)) if seen else (None, None)


# ---------------------------------------------------------------------------------------------
# the sites that a site reads
# ---------------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=512)
def reads(axis: AxisGeometry, n: int) -> Array:
    """The sites of a map of `n` that every output site reads, shape (out, any), some of them `NONE`."""
    check_count(max(n, axis.out(n)), MOST_SITES, f"a map of {max(n, axis.out(n))} sites a side", "take a smaller image")
    check_bytes(8 * axis.out(n) * (1 if axis.resize or axis.padding == "whole" else axis.kernel),
                f"the sites under the taps of {axis.out(n)} units", "take a smaller image or kernel")
    x = np.arange(axis.out(n))[:, None]
    if axis.resize is not None:
        found = _resized(axis.resize, x, n)
    elif axis.padding == "whole":
        found = np.arange(n)[None]
    else:
        found = _folded(_taps(axis, x, n), n, axis.border)
    found = np.where((found >= 0) & (found < n), found, NONE)
    found.flags.writeable = False
    return found


def reads_on_plane(axis: AxisGeometry, x: Iterable[int]) -> Array:
    """The same for the output sites `x` of a map that goes on beyond its ends."""
    x = np.asarray(x)[:, None]
    if axis.padding == "whole" or axis.needs_size and axis.resize is not None:
        raise ValueError("what it reads depends on the size of the image; give image=")
    if axis.resize is None:
        return _taps(axis, x, None)
    if axis.resize.mode == "nearest":
        return x // axis.resize.scale
    return _interpolated(axis.resize.mode, 2 * x + 1 - axis.resize.scale, 2 * axis.resize.scale)


def _taps(axis: AxisGeometry, x: Array, n: int | None) -> Array:
    """The sites under each tap, with the padding of a map of `n` sites."""
    before, tap = axis.pads(n)[0], axis.dilation * np.arange(axis.kernel)
    if not axis.transposed:
        return axis.stride * x - before + tap
    there = x + before - tap
    return np.where(there % axis.stride == 0, there // axis.stride, NONE)


def _folded(z: Array, n: int, border: str) -> Array:
    """Sites of the map that sites of the padding repeat."""
    if border == "replicate":
        return np.clip(z, 0, n - 1)
    if border == "circular":
        return z % n
    if border == "reflect":
        return (n - 1) - np.abs(z % max(2 * (n - 1), 1) - (n - 1))
    return z


def _resized(rule: Resize, x: Array, n: int) -> Array:
    m = len(x)
    if rule.mode == "bins":
        first, stop = x * n // m, -(-(x + 1) * n // m)
        sites = first + np.arange(int((stop - first).max()))
        return np.where(sites < stop, sites, NONE)
    if rule.mode == "nearest":
        return x * n // m
    over, under = (x * (n - 1), max(m - 1, 1)) if rule.align_corners else ((2 * x + 1) * n - m, 2 * m)
    return np.clip(_interpolated(rule.mode, over, under), 0, n - 1)


def _interpolated(mode: str, over: Array, under: int) -> Array:
    """Sites of weight other than zero around the coordinates over / under."""
    first, between = over // under, over % under != 0
    return first + np.where(between, [0, 1] if mode == "bilinear" else [-1, 0, 1, 2], 0)


# ---------------------------------------------------------------------------------------------
# layers
# ---------------------------------------------------------------------------------------------

def _through(seen: Seen, axis: AxisGeometry, n: int | None, pixels: int | None) -> Seen:
    """What the units of a layer see, whose input of `n` sites (None: the plane) has `seen`."""
    windows = seen.windows
    if axis == SITE or not windows.sees:
        return seen
    if n is None or pixels is None:
        return Seen(_on_plane(windows, axis, n))
    if axis.padding != "whole" and (axis.resize is None or not axis.needs_size):
        out = _on_plane(windows, axis, n)
        if _keeps_borders(seen, axis, out, n, pixels):
            return Seen(out)
    first, last = (np.append(end, none) for end, none in zip(seen.explicit(n, pixels), (_FAR, -_FAR)))
    sites = np.maximum(reads(axis, n), -1)
    ends = first[sites].min(axis=1), last[sites].max(axis=1)
    if axis.padding == "whole" or (axis.resize is not None and axis.needs_size):
        lo, hi = (tuple(None if a > b else int(end) for a, b, end in zip(*ends, those)) for those in ends)
        shift: Any = 0 if axis.padding == "whole" else windows.stride * n
        shift = int(shift) if shift == int(shift) else shift
        return Seen(Windows(shift, lo, hi, windows.aligned))
    return Seen.of(out, ends, pixels)


def _keeps_borders(seen: Seen, axis: AxisGeometry, out: Windows, n: int, pixels: int) -> bool:
    """Whether the windows `out` end where they should, because those of the map reach both ends of the image.

    A site outside the map then adds nothing that the last sites inside do not see.
    """
    windows = seen.windows
    if (seen.ends is not None or axis.transposed or axis.resize is not None or axis.border != "zeros"
            or (axis.dilation > 1 and axis.kernel > 1) or max(axis.pads(n)) >= axis.kernel
            or len(windows.lo) > 1 or not windows.shift):
        return False
    first, last = windows.local(0), windows.local(n - 1)
    return (first[0] <= 0 <= first[1] and last[0] <= pixels - 1 <= last[1] and out.local(0)[1] >= 0
            and out.local(axis.out(n) - 1)[0] < pixels and windows.whole in (None, (0, pixels - 1)))


def _on_plane(windows: Windows, axis: AxisGeometry, n: int | None) -> Windows:
    """Windows of a layer whose input goes on beyond its ends (with the padding of a map of `n` sites)."""
    if axis.padding == "whole" or (axis.resize is not None and axis.resize.mode == "bins"):
        return EVERYTHING
    if not windows.shift:  # one window for all
        return windows
    period = len(windows.lo)
    check_count(period * (axis.resize.scale if axis.resize else axis.stride if axis.transposed else 1), MOST_PHASES,
                "upsampling by that much in all", "take smaller scales")
    if axis.resize is not None or (axis.transposed and axis.dilation > 1):
        sites = reads_on_plane(axis, range(period * (axis.resize.scale if axis.resize else axis.stride)))
        hulls = [_hull([windows.local(z) for z in row if z != NONE]) for row in sites.tolist()]
        shift = windows.shift
    elif axis.transposed:
        ends = [(x + axis.pads(n)[0] - axis.kernel + 1, x + axis.pads(n)[0]) for x in range(period * axis.stride)]
        hulls = [windows.hull(-(-a // axis.stride), b // axis.stride) for a, b in ends]
        shift = windows.shift
    else:
        turns = axis.stride // math.gcd(period, axis.stride)
        starts = [x * axis.stride - axis.pads(n)[0] for x in range(period * turns // axis.stride)]
        hulls, shift = [windows.hull(a, a + axis.extent - 1, axis.dilation) for a in starts], windows.shift * turns
    lows, highs = zip(*hulls)
    return windows._replace(shift=shift, lo=lows, hi=highs).reduced()


def _union(branches: Sequence[Seen], units: Sequence[int] | None, pixels: int | None) -> Seen:
    """What the units of a merged map see; `units` are the sizes of the maps that meet."""
    most = max(units or (0,))
    kept = [(seen, n) if units is None else (_serving(seen, n, most), most)
            for seen, n in zip(branches, units or [0] * len(branches)) if seen.windows.sees]
    if len(kept) < 2 or all(seen.ends is None and seen.windows == kept[0][0].windows for seen, _ in kept):
        return kept[0][0] if kept else branches[0]
    out = _union_of_windows([seen.windows for seen, _ in kept], max(size for _, size in kept))
    if units is None or pixels is None or all(_plain(seen, size, pixels) for seen, size in kept):
        return Seen(out)
    ends = [seen.explicit(size, pixels) for seen, size in kept]
    first, last = (np.broadcast_arrays(*those) for those in zip(*ends))
    return Seen.of(out, (np.minimum.reduce(first), np.maximum.reduce(last)), pixels)


def _serving(seen: Seen, own: int, units: int) -> Seen:
    """What all `units` see through a map of `own` sites: of one site, which serves them all, the same."""
    if own > 1 or own == units or not seen.windows.shift:
        return seen
    (lo, hi), ends = seen.windows.local(0), seen.ends
    return Seen(Windows(0, (lo,), (hi,), seen.windows.aligned),
                None if ends is None else (np.resize(ends[0], units), np.resize(ends[1], units)))


def _plain(seen: Seen, n: int, pixels: int) -> bool:
    """Whether every unit sees some pixel, and its window ends where it seems to."""
    windows = seen.windows
    return (seen.ends is None and len(windows.lo) == 1 and windows.lo[0] is not None
            and windows.local(0)[1] >= 0 and windows.local(n - 1)[0] < pixels)


def _union_of_windows(branches: Sequence[Windows], n: int) -> Windows:
    first = branches[0]
    aligned = all(b.aligned for b in branches)
    if first.shift and all(b.shift == first.shift and len(b.lo) == 1 and not b.whole for b in branches):
        lows, highs = [b.lo[0] for b in branches], [b.hi[0] for b in branches]  # one window a unit
        one_centre = len(set(map(operator.add, lows, highs))) == 1
        return Windows(first.shift, (min(lows),), (max(highs),), aligned and one_centre)
    maps = [b for b in branches if b.shift]
    everywhere = [b.whole for b in maps if b.whole] + [b.at(0) for b in branches if not b.shift]
    whole = _hull(everywhere) if everywhere else None
    if not maps:
        assert whole is not None
        return Windows(0, (whole[0],), (whole[1],), aligned)
    stride = maps[0].stride
    regular = all(b.stride == stride for b in maps)
    period = math.lcm(*(len(b.lo) for b in maps)) if regular else n
    lo, hi = zip(*(_hull([b.local(unit) for b in maps]) for unit in range(period)))
    shift = stride * period
    return Windows(int(shift) if shift == int(shift) else shift, lo, hi,
                   aligned and len({b.offset for b in maps}) == 1, whole).reduced()


def union(parts: Sequence[Seen], units: int | None, pixels: int | None) -> Seen:
    """What the units of one map see through its channels together."""
    return parts[0] if len(parts) == 1 else _union(parts, None if units is None else [units] * len(parts), pixels)


def sweep(geometry: Sequence[AxisGeometry], sources: Sequence[tuple[int, ...]], sizes: Sequence[int] | None,
          label: Callable[[int], str] = str) -> list[Seen]:
    """What the units of every map see along one axis.

    Parameters
    ----------
    geometry : sequence of AxisGeometry
        How each map reads its sources.
    sources : sequence of tuple of int
        Positions of earlier maps, -1 (the pixels) or `DEAD`.
    sizes : sequence of int or None
        Sites of all maps, of what `DEAD` is and, last, of the image; None is the plane.
    label : callable
        Name of a map, for a message.
    """
    done: list[Seen] = []
    roots = {-1: Seen(PIXELS), DEAD: Seen(NOTHING)}
    for i, (axis, inputs) in enumerate(zip(geometry, sources)):
        branches = [roots[j] if j < 0 else done[j] for j in inputs]
        if axis == SITE and len(branches) == 1:
            done.append(branches[0] if sizes is None else _serving(branches[0], sizes[inputs[0]], sizes[i]))
            continue
        units = None if sizes is None else [sizes[j] for j in inputs]
        pixels = None if sizes is None else sizes[-1]
        seen = branches[0] if len(branches) == 1 else _union(branches, units, pixels)
        try:
            done.append(_through(seen, axis, None if units is None else max(units), pixels))
        except ValueError as error:
            raise named(error, label(i)) from None
    return done
