"""Windows of all units along one axis, from layer to layer.

On the infinite plane windows [lo(u), hi(u)] repeat themselves, lo(u + T) = lo(u) + J, with period T = 1
unless the network upsamples; effective stride is J / T.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Union

from ..layers.geometry import SITE, AxisGeometry

__all__ = ["Number", "PIXELS", "Windows", "sweep"]

Number = Union[int, float, Fraction]


class Windows(NamedTuple):
    """Windows of all units along one axis: those of units 0..T-1, and the shift of unit u + T.

    lo is None where a unit sees nothing (a transposed convolution with gaps).
    """

    shift: int
    lo: tuple[Any, ...]
    hi: tuple[Any, ...]
    aligned: bool = True

    def at(self, unit: int) -> tuple[Any, Any]:
        turns, phase = divmod(unit, len(self.lo))
        if self.lo[phase] is None:
            return None, None
        return self.lo[phase] + turns * self.shift, self.hi[phase] + turns * self.shift

    def hull(self, first: int, last: int, step: int = 1) -> tuple[Any, Any]:
        """Smallest window around those of the units first, first + step, ..., last."""
        if len(self.lo) == step == 1 and first <= last:
            return self.at(first)[0], self.at(last)[1]
        # Windows of one phase move steadily: the first and the last unit of each phase suffice.
        units, phases = range(first, last + 1, step), len(self.lo) // math.gcd(len(self.lo), step)
        lo = [self.at(u)[0] for u in units[:phases] if self.at(u)[0] is not None]
        hi = [self.at(u)[1] for u in units[-phases:] if self.at(u)[1] is not None]
        return (min(lo), max(hi)) if lo else (None, None)

    @property
    def size(self) -> Number:
        return max((hi - lo + 1 for lo, hi in zip(self.lo, self.hi) if lo is not None), default=0)

    @property
    def stride(self) -> Fraction:
        return Fraction(self.shift, len(self.lo))

    @property
    def offset(self) -> Fraction:
        """Mean over the phases of (centre of the window) - u stride."""
        period = len(self.lo)  # centres in units of 1 / (2 T)
        centres = [(lo + hi) * period - 2 * u * self.shift
                   for u, (lo, hi) in enumerate(zip(self.lo, self.hi)) if lo is not None]
        return Fraction(sum(centres), 2 * period * max(len(centres), 1))

    def reduced(self) -> Windows:
        """The same windows with the shortest period."""
        period = len(self.lo)
        for t in range(1, period):
            if period % t or self.shift * t % period:
                continue
            part = self._replace(shift=self.shift * t // period, lo=self.lo[:t], hi=self.hi[:t])
            if all(part.at(u) == self.at(u) for u in range(period)):
                return part
        return self


PIXELS = Windows(1, (0,), (0,))


def _through(windows: Windows, axis: AxisGeometry, n: int | None, pixels: int | None) -> Windows:
    """Windows after a layer, whose input of `n` sites (None: the plane) has `windows`."""
    if axis == SITE:
        return windows
    if axis.padding == "whole":
        lo: Any = -math.inf
        hi: Any = math.inf
        if n is not None and pixels is not None:
            lo, hi = windows.hull(0, n - 1)
            if lo is not None:  # the image itself: borders hold nothing
                lo, hi = max(lo, 0), min(hi, pixels - 1)
                lo, hi = (lo, hi) if lo <= hi else (None, None)
        return Windows(0, (lo,), (hi,), windows.aligned)
    period, before = len(windows.lo), axis.pads(n)[0]
    if axis.transposed:
        ends = [(x + before - axis.kernel + 1, x + before) for x in range(period * axis.stride)]
        hulls = [windows.hull(-(-a // axis.stride), b // axis.stride) for a, b in ends]
        shift = windows.shift
    else:
        turns = axis.stride // math.gcd(period, axis.stride)
        starts = [x * axis.stride - before for x in range(period * turns // axis.stride)]
        hulls = [windows.hull(a, a + axis.extent - 1, axis.dilation) for a in starts]
        shift = windows.shift * turns
    lows, highs = zip(*hulls)
    return Windows(shift, lows, highs, windows.aligned).reduced()


def _union(branches: Sequence[Windows]) -> Windows:
    first = branches[0]
    if all(branch == first for branch in branches):
        return first
    aligned = all(b.aligned for b in branches)
    infinite = [b for b in branches if b.lo[0] == -math.inf]
    if infinite:
        return infinite[0]._replace(aligned=aligned)
    period = math.lcm(*(len(b.lo) for b in branches))
    lo, hi = [], []
    for unit in range(period):
        seen = [w for w in (b.at(unit) for b in branches) if w[0] is not None]
        lo.append(min((w[0] for w in seen), default=None))
        hi.append(max((w[1] for w in seen), default=None))
    return Windows(first.shift * period // len(first.lo), tuple(lo), tuple(hi),
                   aligned and len({b.offset for b in branches}) == 1).reduced()


def sweep(geometry: Sequence[AxisGeometry], sources: Sequence[tuple[int, ...]],
          sizes: Sequence[int] | None) -> list[Windows]:
    """Windows of every node along one axis; `sizes` are those of all maps and, last, of the image."""
    done: list[Windows] = []
    for axis, inputs in zip(geometry, sources):
        branches = [PIXELS if j < 0 else done[j] for j in inputs]
        windows = branches[0] if len(branches) == 1 else _union(branches)
        n, pixels = (None, None) if sizes is None else (sizes[inputs[0]], sizes[-1])
        done.append(_through(windows, axis, n, pixels))
    return done
