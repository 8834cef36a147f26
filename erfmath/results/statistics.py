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

__all__ = ["Moments", "block_edges", "block_sums"]

Array = npt.NDArray[np.float64]

#: Blocks into which the window is summed for the test against correlated pixels: this many at most,
#: the same number on each axis.
BLOCKS = 400


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


@dataclass(frozen=True)
class Moments:
    """Statistics of n maps f_d(i), of total m_d = sum over i of f_d(i).

    Attributes
    ----------
    count : int
    mean : ndarray
        Mean over draws, per pixel.
    square : ndarray
        Sum of (f_d - mean)^2, per pixel.
    cross : ndarray
        Sum of (f_d - mean)(m_d - mean of m), per pixel: gives the standard error of the share.
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
    total: float
    tables: tuple[Array, ...]
    scatter: Array

    @staticmethod
    def of(maps: Array) -> Moments:
        """Of maps of shape (draws, *space), coordinates counted from the first pixel."""
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
        rough = block_sums(off, ndim)
        return Moments(draws, mean, np.einsum("d...,d...->...", off, off),
                       np.tensordot(total - total.mean(), off, 1), float(total.mean()),
                       (np.stack(columns, axis=1),), rough.T @ rough)

    def merge(self, other: Moments) -> Moments:
        """Of both sets of draws, `other` after `self`."""
        count = self.count + other.count
        part = other.count / count
        step, jump = other.mean - self.mean, other.total - self.total
        rough = block_sums(step, step.ndim)
        return Moments(count, self.mean + step * part,
                       self.square + other.square + step * step * (self.count * part),
                       self.cross + other.cross + step * (jump * self.count * part),
                       self.total + jump * part, self.tables + other.tables,
                       self.scatter + other.scatter + np.outer(rough, rough * (self.count * part)))

    # -- what follows ---------------------------------------------------------------------------

    @functools.cached_property
    def table(self) -> Array:
        """`tables` in one piece, (draws, 1 + 2 axes)."""
        return np.concatenate(self.tables)

    @property
    def dead(self) -> int:
        """Draws that are zero everywhere."""
        return int((self.table[:, 0] == 0).sum())

    @property
    def stderr(self) -> Array:
        """Standard error of `mean`, per pixel; nan for a single draw."""
        return np.sqrt(self.square / (self.count * (self.count - 1))) if self.count > 1 \
            else np.full(self.mean.shape, math.nan)

    @property
    def share_stderr(self) -> Array:
        """Standard error of mean / sum(mean), per pixel, to first order in the fluctuations."""
        total = self.table[:, 0]
        if self.count < 2 or not total.any():
            return np.full(self.mean.shape, math.nan)
        share = self.mean / total.mean()
        spread = ((total - total.mean())**2).sum()
        square = self.square - 2 * share * self.cross + share**2 * spread
        return np.sqrt(np.maximum(square, 0) / (self.count * (self.count - 1))) / total.mean()

    def std(self) -> tuple[Array, Array]:
        """Standard deviation of the share along each axis, and its standard error."""
        total = self.table[:, 0]
        if not total.any():
            nothing = np.full(self.mean.ndim, math.nan)
            return nothing, nothing
        first, second = self.table[:, 1::2], self.table[:, 2::2]
        centre = first.sum(axis=0) / total.sum()
        variance = second.sum(axis=0) / total.sum() - centre**2
        std = np.sqrt(np.maximum(variance, 0))
        if self.count < 2:
            return std, np.full(std.shape, math.nan)
        # Each draw's pull on the variance: sum of f_d ((x - centre)^2 - variance).
        pull = second - 2 * centre * first + (centre**2 - variance) * total[:, None]
        error = pull.std(axis=0, ddof=1) / math.sqrt(self.count) / total.mean()
        return std, error / (2 * np.where(std > 0, std, 1))

    # -- files ----------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Any]:
        """Everything as arrays; `from_arrays` reads them back."""
        return {name: np.asarray(getattr(self, name)) for name in _STORED}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Any]) -> Moments:
        """What `arrays` gave."""
        count, total, mean, square, cross, table, scatter = (arrays[name] for name in _STORED)
        return Moments(int(count), mean, square, cross, float(total), (table,), scatter)


_STORED = ("count", "total", "mean", "square", "cross", "table", "scatter")
