"""The field of a chain that is no product of lines: the distribution of its walk, asked where needed."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from ...results.density import Dense, Density, readonly
from ...walks import Walk
from ..sweep.taps import Array

__all__ = ["WalkDensity"]

#: Pixels evaluated at a time where a number needs all of them.
_BLOCK = 1 << 22
#: How many times the error of the distribution a level must be, for pixels to be counted above it.
_SAFE = 8


class WalkDensity(Density):
    """The share as the distribution of a walk's end S: nothing of the size of the map is built until asked for.

    Parts, profiles, cuts, moments and sizes work at any depth; the whole map, and what needs it, is
    refused where it would not fit.  The pixels outside the window of the walk, which hold less than
    1e-18 of the share together, are 0.

    Parameters
    ----------
    distribution : Walk
        Of S, with its `error_bound` and `mass_outside`.
    marginals : sequence of Walk
        One an axis.
    shift : tuple of int
        Pixel of S = 0.
    lo, hi : tuple of int
        First and last pixel that the unit sees.
    log_total : float
        Logarithm of sum(map).
    """

    kind = "walk"

    def __init__(self, distribution: Walk, marginals: Sequence[Walk], shift: tuple[int, ...], lo: tuple[int, ...],
                 hi: tuple[int, ...], log_total: float) -> None:
        self._hold(distribution=distribution, marginals=tuple(marginals), shift=np.array(shift), origin=tuple(lo),
                   shape=tuple(b - a + 1 for a, b in zip(lo, hi)), log_total=log_total)

    distribution: Walk
    marginals: tuple[Walk, ...]
    shift: Array

    def part(self, first: tuple[int, ...], last: tuple[int, ...]) -> Array:
        """The share from pixel `first` to `last`."""
        return self.distribution.array(first - self.shift, last - self.shift)[0]

    @functools.cached_property
    def profiles(self) -> tuple[Array, ...]:
        """Marginals of the share."""
        return tuple(readonly(walk.array(o - shift, o - shift + n - 1)[0]) for walk, shift, o, n in
                     zip(self.marginals, self.shift.tolist(), self.origin, self.shape))

    def blocks(self, above: float = 0.0) -> Iterator[tuple[tuple[int, ...], Array]]:
        """Rows at a time, and only where a profile is above the limit."""
        near = [np.flatnonzero(profile > above) + o for profile, o in zip(self.profiles, self.origin)]
        if not all(pixels.size for pixels in near):
            return
        lo, hi = [int(pixels[0]) for pixels in near], [int(pixels[-1]) for pixels in near]
        rows = max(1, _BLOCK // math.prod(b - a + 1 for a, b in zip(lo[1:], hi[1:])))
        for first in range(lo[0], hi[0] + 1, rows):
            corner = (first, *lo[1:])
            yield corner, self.part(corner, (min(first + rows - 1, hi[0]), *hi[1:]))

    def moments(self, about: Sequence[float]) -> tuple[Array, Array]:
        """Those of the walk."""
        first = np.asarray(self.distribution.mean) + (self.shift - np.asarray(about))
        return first, self.distribution.covariance + np.outer(first, first)

    def largest_amplitude(self, power: int) -> float:
        """Of the share."""
        return max(float(part.max()) for _, part in self.blocks())**(1 / power)

    def count_above(self, amplitude: float, power: int) -> int:
        """Of the share.

        Raises
        ------
        ValueError
            If the limit is as small as the error of the distribution, which is relative to its largest value.
        """
        limit, error = amplitude**power, self.distribution.error_bound
        if limit < _SAFE * error:
            raise ValueError(f"size: this level, {limit:.2g} of the share, lies within the error of the distribution, "
                             f"{error:.1g}, which is relative to its largest value; use reference='max' or a larger "
                             "level")
        return sum(int(np.count_nonzero(part > limit)) for _, part in self.blocks(limit))

    def stored(self) -> tuple[Density, dict[str, Array]]:
        """The map over the window of the walk, as a dense one."""
        lo, hi = (tuple((np.array(corner) + self.shift).tolist()) for corner in self.distribution.window)
        return Dense(self.crop(lo, hi), lo).stored()
