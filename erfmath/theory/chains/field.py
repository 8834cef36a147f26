"""The effective receptive field of a chain that is no product of lines: the law of its walk, asked where needed."""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...base.checks import choice, point, real
from ...results.field import EffectiveReceptiveField
from ...results.sizes import LEVEL
from ...walks import Walk
from ..sweep.taps import Array

__all__ = ["ChainField"]

#: Pixels evaluated at a time where a number needs all of them.
_BLOCK = 1 << 22


class ChainField(EffectiveReceptiveField):
    """A field held as the law of a walk: nothing of the size of the map is built until asked for.

    `crop`, `profile`, `cut`, moments and sizes work at any depth; `map`, `share` and what needs them
    whole are refused where they would not fit.  The pixels outside the window of the walk, which hold
    less than 1e-18 of the share together, are 0 (`method` "window").

    Parameters
    ----------
    law : Walk
        `share` as the law of S.
    shift : tuple of int
        Pixel of S = 0.
    lines : sequence of Walk
        Its marginals, one an axis.
    log_total : float
        Logarithm of sum(map).
    about : keyword arguments of `EffectiveReceptiveField`
        origin, unit, trf, statistic, method, assumptions.
    """

    def __init__(self, law: Walk, shift: tuple[int, ...], lines: Sequence[Walk], log_total: float,
                 **about: Any) -> None:
        self._map, self._lines, self._log_total, self.stderr = None, None, log_total, None
        #: The law of S, with its `error_bound` and `mass_outside`.
        self.law = law
        self._shift, self._marginals = np.array(shift), tuple(lines)
        lo, hi = about["trf"].window(about["unit"])
        self._describe(tuple(b - a + 1 for a, b in zip(lo, hi)), image=None, **about)

    @property
    def _last(self) -> tuple[int, ...]:
        return tuple(o + n - 1 for o, n in zip(self.origin, self.shape))

    # -- maps ---------------------------------------------------------------------------------

    @property
    def map(self) -> Array:
        """E[g^2] or E[g] per pixel; refused where it would not fit, `crop` gives parts."""
        return _readonly(self.crop(self.origin, self._last))

    @functools.cached_property
    def share(self) -> Array:
        """map / sum(map); refused where it would not fit, `crop` gives parts."""
        return _readonly(self.crop(self.origin, self._last, of="share"))

    @property
    def total(self) -> float:
        """sum(map)."""
        if abs(self._log_total) > 709:
            raise OverflowError(f"sum(map) is exp({self._log_total:.6g}), beyond the range of floats; "
                                "use share, or gains near 1 per layer")
        return math.exp(self._log_total)

    def crop(self, lo: Any, hi: Any, *, of: str = "map") -> Array:
        """Part of `map` (or `share`) from pixel `lo` to pixel `hi`, both inside; one int stands for all axes."""
        choice(of, "of", ("map", "share"))
        first, last = point(lo, "lo", self.ndim), point(hi, "hi", self.ndim)
        part, _ = self.law.array(first - self._shift, last - self._shift)
        return part * self.total if of == "map" else part

    def _blocks(self, above: float) -> Iterator[tuple[tuple[int, ...], Array]]:
        """Parts of `share` with their first pixels, which together hold all pixels above a share."""
        near = [np.flatnonzero(profile > above) + o for profile, o in zip(self._profiles, self.origin)]
        if not all(pixels.size for pixels in near):
            return
        lo, hi = [int(pixels[0]) for pixels in near], [int(pixels[-1]) for pixels in near]
        rows = max(1, _BLOCK // math.prod(b - a + 1 for a, b in zip(lo[1:], hi[1:])))
        for first in range(lo[0], hi[0] + 1, rows):
            corner = (first, *lo[1:])
            yield corner, self.crop(corner, (min(first + rows - 1, hi[0]), *hi[1:]), of="share")

    # -- lines --------------------------------------------------------------------------------

    @functools.cached_property
    def _profiles(self) -> tuple[Array, ...]:
        return tuple(_readonly(law.array(o - shift, o - shift + n - 1)[0]) for law, shift, o, n in
                     zip(self._marginals, self._shift.tolist(), self.origin, self.shape))

    def cut(self, axis: int = -1) -> Array:
        """`share` along the line through the true centre parallel to `axis`; as of any field."""
        others = [a for a in range(self.ndim) if a != range(self.ndim)[axis]]
        lo, hi = list(self.origin), list(self._last)
        for a in others:
            lo[a], hi[a] = math.floor(self.center[a]), math.ceil(self.center[a])
        return _readonly(self.crop(lo, hi, of="share").mean(axis=tuple(others)))

    # -- numbers ------------------------------------------------------------------------------

    def _moments(self, about: Sequence[float]) -> tuple[Array, Array]:
        first = np.asarray(self.law.mean) + (self._shift - np.asarray(about))
        return first, self.law.covariance + np.outer(first, first)

    def size(self, kind: str = "threshold", **options: Any) -> float:
        """One number for the extent, in pixels; see `EffectiveReceptiveField.size`."""
        if kind == "threshold" and options.keys() <= {"level", "reference"}:
            return self._threshold(**options)
        if kind == "half_max" and not options:
            return self._threshold(level=0.5)
        if kind == "participation" and not options:
            return 1 / sum(float((part**2).sum()) for _, part in self._blocks(0.0))
        if kind == "mass" and options.keys() <= {"p"}:
            return self._mass(**options)
        return super().size(kind, **options)

    def _threshold(self, level: float = LEVEL, reference: str = "center") -> float:
        choice(reference, "reference", ("center", "max"))
        if not 0 < real(level, "level") < 1:
            raise ValueError(f"level={level!r}: must lie between 0 and 1")
        power = 2 if self.statistic == "power" else 1
        center = self.crop([math.floor(c) for c in self.center], [math.ceil(c) for c in self.center], of="share")
        top = float((center**(1 / power)).mean())
        if reference == "max":
            top = max(float(part.max()) for _, part in self._blocks(0.0))**(1 / power)
        limit = (level * top)**power
        if limit < 8 * self.law.error_bound:
            raise ValueError(f"size: {level:.3g} of the amplitude at the {reference} lies within the error of the law, "
                             f"{self.law.error_bound:.1g} of the share, which is known relative to its largest value; "
                             "use reference='max' or a larger level")
        return float(sum(np.count_nonzero(part > limit) for _, part in self._blocks(limit)))**(1 / self.ndim)

    def _mass(self, p: float = 0.95) -> float:
        if not 0 < real(p, "p") <= 1:
            raise ValueError(f"p={p!r}: must be above 0 and at most 1")
        distances = [np.abs(np.arange(n) + (o - c)) for n, o, c in zip(self.shape, self.origin, self.center)]
        steps = np.unique(np.concatenate(distances))
        held = np.zeros(len(steps))
        for corner, part in self._blocks(0.0):
            places = [np.searchsorted(steps, d[first - o:first - o + n])
                      for d, first, o, n in zip(distances, corner, self.origin, part.shape)]
            far = np.maximum.reduce(np.broadcast_arrays(*np.ix_(*places)))
            held += np.bincount(far.ravel(), part.ravel(), len(steps))
        within = np.cumsum(held)
        return 2 * float(steps[np.argmax(within >= p * within[-1] * (1 - 1e-12))]) + 1

    # -- files --------------------------------------------------------------------------------

    def save(self, path: str | pathlib.Path) -> None:
        """Write the map over the window of the walk as an npz file that `load` reads."""
        lo, hi = (tuple((np.array(corner) + self._shift).tolist()) for corner in self.law.window)
        EffectiveReceptiveField(self.crop(lo, hi), origin=lo, unit=self.unit, trf=self.trf, statistic=self.statistic,
                                method=self.method, assumptions=self.assumptions).save(path)


def _readonly(values: Array) -> Array:
    values.flags.writeable = False
    return values
