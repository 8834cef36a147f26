"""A measured effective receptive field: the map, and how far the draws let one trust it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.checks import integer, point, real
from ..base.contents import field_of
from ..base.errors import quoted
from ..layers.geometry import Box
from .density import Density, readonly
from .field import EffectiveReceptiveField
from .kinds import enter
from .statistics import Moments, block_edges, block_sums

__all__ = ["MeasuredReceptiveField"]

Array = npt.NDArray[np.float64]

#: Effective draws from which on standard errors can be relied on.
ENOUGH = 30
#: Part of the draws that count, below which the tails of their totals are called heavy.
HEAVY = 0.5


@enter("measured")
class MeasuredReceptiveField(EffectiveReceptiveField):
    """An effective receptive field from an ensemble of draws, returned by `measure` and `from_gradients`.

    Attributes
    ----------
    draws : int
        Draws (networks, or images of one network) that the statistics are of.
    dead : int
        Draws among them whose gradient is zero everywhere.
    partial : bool
        Whether the run was interrupted before all draws were done.
    networks : int or None
        Networks among the draws: 1 where all weights were given, so that draws are images of this one; None if that
        is not known.
    unit_correlation : float
        Root mean square of the correlation of the unit's gradients in two draws: 1 where it is the same in all, and
        channels^(-1/2) where each has its own random one.
    seed : int or list of int
        What `rng=` makes the same run again (an int as it is).
    moments : Moments
        Sums over the draws that the statistics and their errors come from.
    box : Box
        First and last pixel that reach the unit.
    """

    moments: Moments
    box: Box
    draws: int
    dead: int
    partial: bool
    networks: int | None
    unit_correlation: float
    seed: Any
    _place: tuple[tuple[int, ...], tuple[slice, ...]]

    def __init__(self, moments: Moments, box: Box, *, shape: tuple[int, ...], origin: tuple[int, ...], statistic: str,
                 seed: Any, partial: bool = False, sampled: bool = True, networks: int | None = None,
                 unit_correlation: float = 1.0, **about: Any) -> None:
        self._hold(networks=networks, unit_correlation=unit_correlation)
        self._hold(moments=moments, box=box, draws=moments.count, dead=moments.dead, partial=partial, seed=seed,
                   _place=(shape, tuple(slice(a - o, b - o + 1) for a, b, o in zip(box.lo, box.hi, origin))))
        values, error = moments.mean, moments.stderr
        if statistic == "amplitude":
            values = np.sqrt(values)
            error = error / (2 * np.where(values > 0, values, 1))
        super().__init__(self._placed(values), stderr=self._placed(error) if sampled else None, origin=origin,
                         statistic=statistic, **about)

    def _extras(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """What a file holds besides the map: the kind of the result, the draws' statistics, how they were made."""
        return ("measured", {f"draws.{name}": array for name, array in self.moments.arrays().items()},
                {"box": self.box, "seed": self.seed, "partial": self.partial, "sampled": self.stderr is not None,
                 "networks": self.networks, "unit_correlation": self.unit_correlation})

    @classmethod
    def _restored(cls, density: Density, arrays: Mapping[str, Any], facts: Mapping[str, Any],
                  **about: Any) -> MeasuredReceptiveField:
        """From what a file holds; ``EffectiveReceptiveField.load`` is the way to read one."""
        corners = field_of(facts, "box", list)
        box = Box(*(point(corner, "box", density.ndim) for corner in corners))
        inside = all(o <= a and b < o + n for o, n, a, b in zip(density.origin, density.shape, box.lo, box.hi))
        moments = Moments.from_arrays({name.removeprefix("draws."): array for name, array in arrays.items()
                                       if name.startswith("draws.")})
        if moments.mean.shape != box.shape or not (inside or box.empty):
            raise ValueError(f"box={quoted(corners)}: does not fit the map, or the statistics of the draws")
        erf = cls(moments, box, shape=density.shape, origin=density.origin, seed=field_of(facts, "seed"),
                  partial=field_of(facts, "partial", bool), sampled=field_of(facts, "sampled", bool),
                  networks=None if facts.get("networks") is None else integer(facts["networks"], "networks", 1),
                  unit_correlation=real(facts.get("unit_correlation", 1.0), "unit_correlation"), **about)
        if not np.array_equal(erf.map, density.map):
            raise ValueError("map: is not the mean of the draws")
        return erf

    def _placed(self, values: Array) -> Array:
        """Values on the box of sites that reach the unit, as a map on the whole window or image."""
        shape, where = self._place
        whole = np.zeros(shape)
        whole[where] = values
        return readonly(whole)

    @property
    def effective_draws(self) -> float:
        """Draws that count, (sum m)^2 / sum m^2 of the totals m of the draws' maps.

        Equal totals count in full.  Where few draws hold most of the sum (narrow, deep networks) the
        distribution of the totals has heavy tails, and errors are known as badly as from so few draws.
        """
        return self.moments.effective

    @property
    def freedom(self) -> float:
        """Degrees of freedom of t intervals: `effective_draws` - 1; infinite where nothing was sampled."""
        return math.inf if self.stderr is None else max(self.effective_draws - 1, 0.0)

    @property
    def heavy(self) -> bool:
        """Whether the totals of the draws have heavy tails: less than half the draws count."""
        return self.effective_draws < HEAVY * self.draws

    @property
    def caution(self) -> str:
        """What to know before errors are trusted, in words; empty where nothing is."""
        if self.stderr is None or self.effective_draws >= ENOUGH:
            return ""
        count = f"{self.effective_draws:.3g}"
        if not self.heavy:
            return f"{count} effective draws are too few for reliable errors; take {ENOUGH} at least"
        return (f"heavy tails: {self.draws} draws count as {count}, too few for reliable errors; take more draws, or a "
                "larger width")

    def _told(self) -> str:
        if self.stderr is None or np.isnan(self.std_stderr).all():
            return super()._told() + (f", {self.counted}" if self.stderr is not None else "")
        return f"std ({', '.join(f'{s:.4g} +- {e:.2g}' for s, e in zip(self.std, self.std_stderr))}), {self.counted}"

    def _widths(self) -> str:
        if self.stderr is None or np.isnan(self.std_stderr).all():
            return super()._widths()
        return " x ".join(f"{s:.4g} +- {e:.2g}" for s, e in zip(self.std, self.std_stderr))

    def table(self) -> list[tuple[str, str]]:
        """Summary, in rows of a name and a description."""
        rows = super().table()
        if self.stderr is None:
            return rows
        dead = f", {self.dead} of them zero" if self.dead else ""
        words = f"{self.counted}{dead}{', interrupted' if self.partial else ''}"
        return [*rows[:-1], ("draws", words), *([("caution", self.caution)] if self.caution else []), rows[-1]]

    @property
    def counted(self) -> str:
        """The number of draws in words, with the effective number where that is lower by a tenth."""
        words = f"{self.draws} draw{'s' * (self.draws != 1)}"
        fewer = 0 < self.effective_draws < 0.9 * self.draws
        return words + (f" (count as {self.effective_draws:.3g})" if fewer else "")

    @property
    def share_stderr(self) -> Array | None:
        """Standard error of `share` per pixel; None where nothing was sampled, nan for the statistic "amplitude"."""
        if self.stderr is None:
            return None
        if self.statistic == "amplitude":
            return self._placed(np.full(self.moments.mean.shape, math.nan))
        return self._placed(self.moments.share_stderr)

    def profile_stderr(self, axis: int = -1) -> Array | None:
        """Standard error of the marginal along `axis`; None where nothing was sampled, nan for "amplitude"."""
        if self.stderr is None:
            return None
        axis = range(self.ndim)[axis]
        line = self.moments.line_stderr[axis]
        shape, where = self._place
        whole = np.zeros(shape[axis])
        whole[where[axis]] = math.nan if self.statistic == "amplitude" else line
        return readonly(whole)

    @property
    def std_stderr(self) -> Array:
        """Standard error of `std` per axis, in pixels; 0 where nothing was sampled, nan for "amplitude"."""
        if self.stderr is None:
            return readonly(np.zeros(self.ndim))
        if self.statistic == "amplitude":
            return readonly(np.full(self.ndim, math.nan))
        return readonly(self.moments.std()[1])

    @property
    def size_stderr(self) -> float:
        """Standard error of ``size("std")``, in pixels; 0 where nothing was sampled, nan for "amplitude".

        The variances along several axes come from the same draws: their errors are not independent.
        """
        if self.stderr is None:
            return 0.0
        return math.nan if self.statistic == "amplitude" else self.moments.mean_std()[1]

    @property
    def total_stderr(self) -> float:
        """Standard error of the sum of the map; 0 where nothing was sampled, nan of a single draw or "amplitude"."""
        if self.stderr is None:
            return 0.0
        return math.nan if self.statistic == "amplitude" else self.moments.total_stderr

    @property
    def has_blocks(self) -> bool:
        """Whether the draws' block sums are of the map itself (not of its square)."""
        return self.statistic != "amplitude" and not self.box.empty

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Number of blocks per axis."""
        return tuple(map(len, block_edges(self.box.shape)))

    def blocks_of(self, other: EffectiveReceptiveField) -> Array:
        """Sums of the map of another field, `other`, over the blocks of this one's draws."""
        return block_sums(other.crop(self.box.lo, self.box.hi), self.ndim)
