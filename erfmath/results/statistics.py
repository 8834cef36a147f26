"""One-pass statistics of maps: means, standard errors, and what they need for shares and widths.

Chunks are merged in order by the parallel form of Welford's update (Chan, Golub and LeVeque,
Updating formulae and a pairwise algorithm for computing sample variances, 1979): no sum of squares
is ever subtracted from another.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.checks import DIMENSIONS
from ..base.contents import numbers_of
from ..base.errors import quoted

__all__ = ["Moments", "block_edges", "block_sums"]

Array = npt.NDArray[np.float64]

#: Blocks into which the window is summed for the test against correlated pixels: this many at most,
#: the same number on each axis.
BLOCKS = 400
#: How far sums in a file may be from one another, over the sum of the absolute values.
CLOSE = 1e-6
#: Numbers whose squares, summed over many draws, floats hold.
SQUARED = 1e100


def block_edges(shape: tuple[int, ...]) -> list[npt.NDArray[np.int64]]:
    """First pixel of each block per axis: blocks of nearly equal size, fixed by the shape alone."""
    most = int(BLOCKS ** (1 / len(shape)) + 1e-9)
    return [np.unique(np.linspace(0, n, min(n, most), endpoint=False).astype(np.int64)) for n in shape]


def block_sums(maps: Array, ndim: int) -> Array:
    """Sums over the blocks of the last `ndim` axes, flat."""
    lead = maps.shape[:maps.ndim - ndim]
    for axis, edges in enumerate(block_edges(maps.shape[maps.ndim - ndim:]), start=len(lead)):
        maps = np.add.reduceat(maps, edges, axis=axis) if maps.shape[axis] else maps
    return maps.reshape(*lead, math.prod(maps.shape[len(lead):]))


def marginals(maps: Array, ndim: int) -> Array:
    """Sums over all but one of the last `ndim` axes, one axis after the other along the last axis."""
    lead = maps.ndim - ndim
    return np.concatenate([maps.sum(axis=tuple(lead + a for a in range(ndim) if a != axis))
                           for axis in range(ndim)], axis=-1)


@dataclass(frozen=True)
class Moments:
    """Statistics of n maps f_d(i), of total m_d = sum over i of f_d(i); arrays are read-only.

    Attributes
    ----------
    count : int
    mean : ndarray
        Mean over draws, per pixel.
    square : ndarray
        Sum of (f_d - mean)^2, per pixel.
    cross : ndarray
        Sum of (f_d - mean)(m_d - mean of m), per pixel: gives the standard error of the share.
    line_square, line_cross : ndarray
        The same for the marginals of the maps, one axis after the other.
    total : float
        Mean of m_d.
    tables : tuple of ndarray
        In parts, per draw: m_d, then per axis the sums over i of f_d(i) x and f_d(i) x^2.
    scatter : ndarray
        Sum of the outer products of b_d - mean, where b_d are the sums over the blocks of the window.
    """

    count: int
    mean: Array
    square: Array
    cross: Array
    line_square: Array
    line_cross: Array
    total: float
    tables: tuple[Array, ...]
    scatter: Array

    def __post_init__(self) -> None:
        for array in (self.mean, self.square, self.cross, self.line_square, self.line_cross, *self.tables,
                      self.scatter):
            array.flags.writeable = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # a copy, or from another process
        self.__post_init__()
        self.__dict__.pop("table", None)  # is made anew, read-only

    @staticmethod
    def of(maps: Array) -> Moments:
        """Of maps of shape ``(draws, *space)``, coordinates counted from the first pixel."""
        maps = np.asarray(maps, np.float64)
        draws, ndim = len(maps), maps.ndim - 1
        total = maps.reshape(draws, -1).sum(axis=1)
        columns = [total]
        for axis in range(ndim):
            marginal = maps.sum(axis=tuple(a + 1 for a in range(ndim) if a != axis))
            x = np.arange(maps.shape[axis + 1], dtype=np.float64)
            columns += [marginal @ x, marginal @ x**2]
        mean = maps.mean(axis=0)
        off = maps - mean
        rough, lines, swing = block_sums(off, ndim), marginals(off, ndim), total - total.mean()
        return Moments(draws, mean, np.einsum("d...,d...->...", off, off), np.tensordot(swing, off, 1),
                       (lines**2).sum(axis=0), swing @ lines, float(total.mean()),
                       (np.stack(columns, axis=1),), rough.T @ rough)

    def merge(self, other: Moments) -> Moments:
        """Of both sets of draws, `other` after `self`."""
        count = self.count + other.count
        part = other.count / count
        step, jump = other.mean - self.mean, other.total - self.total
        rough, lines = block_sums(step, step.ndim), marginals(step, step.ndim)
        return Moments(count, self.mean + step * part,
                       self.square + other.square + step * step * (self.count * part),
                       self.cross + other.cross + step * (jump * self.count * part),
                       self.line_square + other.line_square + lines * lines * (self.count * part),
                       self.line_cross + other.line_cross + lines * (jump * self.count * part),
                       self.total + jump * part, self.tables + other.tables,
                       self.scatter + other.scatter + np.outer(rough, rough * (self.count * part)))

    # -- what follows ---------------------------------------------------------------------------

    @functools.cached_property
    def table(self) -> Array:
        """`tables` in one piece, (draws, 1 + 2 axes)."""
        table = np.concatenate(self.tables)
        table.flags.writeable = False
        return table

    @property
    def totals(self) -> Array:
        """m_d, per draw."""
        return self.table[:, 0]

    @property
    def dead(self) -> int:
        """Draws that are zero everywhere."""
        return int((self.totals == 0).sum())

    @property
    def effective(self) -> float:
        """Effective number of draws, (sum abs(m_d))^2 / sum m_d^2: few large totals leave few draws that count."""
        totals = np.abs(self.totals) / (np.abs(self.totals).max() or 1.0)
        return float(totals.sum()**2 / (totals @ totals)) if totals.any() else 0.0

    @property
    def stderr(self) -> Array:
        """Standard error of `mean`, per pixel; nan for a single draw."""
        return np.sqrt(self.square / (self.count * (self.count - 1))) if self.count > 1 \
            else np.full(self.mean.shape, math.nan)

    @property
    def total_stderr(self) -> float:
        """Standard error of the mean of m_d; nan for a single draw."""
        return float(self.totals.std(ddof=1) / math.sqrt(self.count)) if self.count > 1 else math.nan

    def log_total(self) -> tuple[float, float]:
        """Logarithm of the mean of m_d, as a lognormal distribution has it, and its standard error.

        mean(y) + s^2 / 2 and sqrt(s^2 / n + s^4 / (2 (n - 1))) with y = log m_d of variance s^2 (Cox's
        method; Land, Confidence intervals for linear functions of the normal mean and variance, 1971).
        nan for a single draw, or unless all totals are positive.
        """
        if self.count < 2 or not (self.totals > 0).all():
            return math.nan, math.nan
        logs = np.log(self.totals)
        square = float(logs.var(ddof=1))
        return float(logs.mean()) + square / 2, math.sqrt(square / self.count + square**2 / (2 * (self.count - 1)))

    @property
    def share_stderr(self) -> Array:
        """Standard error of mean / sum(mean), per pixel, to first order in the fluctuations."""
        return self._ratio_stderr(self.mean, self.square, self.cross)

    @property
    def line_stderr(self) -> list[Array]:
        """The same for the marginals of the share, per axis."""
        ends = np.cumsum(self.mean.shape)[:-1]
        return np.split(self._ratio_stderr(marginals(self.mean, self.mean.ndim), self.line_square, self.line_cross),
                        ends)

    def _ratio_stderr(self, mean: Array, square: Array, cross: Array) -> Array:
        total = self.totals.mean()
        if self.count < 2 or total == 0:
            return np.full(mean.shape, math.nan)
        share, spread = mean / total, ((self.totals - total)**2).sum()
        square = square - 2 * share * cross + share**2 * spread
        return np.sqrt(np.maximum(square, 0) / (self.count * (self.count - 1))) / abs(total)

    def variances(self) -> tuple[Array, Array]:
        """Variance of the normalised ERF along each axis, and the covariance matrix of the sampling errors of these.

        All standard errors of widths come from this one matrix: those of several axes are not independent.
        """
        total, ndim = self.totals.mean(), self.mean.ndim
        if total == 0:
            return np.full(ndim, math.nan), np.full((ndim, ndim), math.nan)
        first, second = self.table[:, 1::2] / total, self.table[:, 2::2] / total
        centre = first.mean(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            variance = second.mean(axis=0) - centre**2
        if self.count < 2:
            return variance, np.full((ndim, ndim), math.nan)
        with np.errstate(over="ignore", invalid="ignore"):  # a file may hold any numbers
            # Each draw's pull on the variance: sum of f_d ((x - centre)^2 - variance), over the mean total.
            pull = second - 2 * centre * first + (centre**2 - variance) * (self.totals / total)[:, None]
            off = pull - pull.mean(axis=0)
            return variance, off.T @ off / (self.count * (self.count - 1))

    def std(self) -> tuple[Array, Array]:
        """Standard deviation of the normalised ERF along each axis, and its standard error."""
        variance, covariance = self.variances()
        std = np.sqrt(np.maximum(variance, 0))
        return std, np.sqrt(np.diag(covariance)) / (2 * np.where(std > 0, std, 1))

    def mean_std(self) -> tuple[float, float]:
        """Root of the mean variance over the axes, and its standard error."""
        variance, covariance = self.variances()
        std = math.sqrt(max(float(variance.mean()), 0.0)) if np.isfinite(variance).all() else math.nan
        return std, math.sqrt(covariance.mean()) / (2 * (std or 1.0)) if np.isfinite(covariance).all() else math.nan

    # -- files ----------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Any]:
        """Everything as arrays; `from_arrays` reads them back."""
        return {name: np.asarray(getattr(self, name)) for name in _STORED}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Any]) -> Moments:
        """What `arrays` gave, of a file of anybody's.

        Raises
        ------
        ValueError
            Naming an array that is missing, or does not fit the others.
        """
        mean = numbers_of(arrays, "mean")
        if mean.ndim not in DIMENSIONS:
            raise ValueError(f"mean: has {mean.ndim} axes, must have 1 to 3")
        number, lines = float(numbers_of(arrays, "count", ())), (sum(mean.shape),)
        count = int(number)
        if count < 1:
            raise ValueError(f"count={quoted(count)}: must be at least 1")
        if count != number:
            raise ValueError(f"count={number:g}: must be an integer")
        blocks = math.prod(map(len, block_edges(mean.shape)))
        total, table = float(numbers_of(arrays, "total", ())), numbers_of(arrays, "table", (count, 1 + 2 * mean.ndim))
        for name, value in (("total", total), ("table", float(table[:, 0].mean()))):
            if abs(value - mean.sum()) > CLOSE * np.abs(mean).sum():
                raise ValueError(f"{name}: gives a mean sum of {value:g}, the mean map has {mean.sum():g}")
        # Squares of numbers that are very large are honestly infinite.
        finite = max(np.abs(mean).max(initial=0.0), np.abs(table).max()) < SQUARED
        scatter = numbers_of(arrays, "scatter", (blocks, blocks), finite=finite)
        if finite and (np.diag(scatter) < -CLOSE * np.abs(scatter).max()).any():
            raise ValueError("scatter: holds negative variances")
        return Moments(
            count, mean, numbers_of(arrays, "square", mean.shape, signed=False, finite=finite),
            numbers_of(arrays, "cross", mean.shape, finite=finite),
            numbers_of(arrays, "line_square", lines, signed=False, finite=finite),
            numbers_of(arrays, "line_cross", lines, finite=finite), total, (table,), scatter)


_STORED = ("count", "total", "mean", "square", "cross", "line_square", "line_cross", "table", "scatter")
