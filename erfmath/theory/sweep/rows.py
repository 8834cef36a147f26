"""Layers along one axis of an image whose weights depend on the place: one row of weights per output site.

Resizing at any ratio, bins of unequal sizes, windows that are only partly filled, and padding by what the map holds:
y(x) = sum_z W(x, z) v(z).  Gradients go back through the transpose, their covariances through

    M'(z, z') = sum_{x, x'} W(x, z) W(x', z') M(x, x'),

which is a sparse matrix over pairs of a site and a lag.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from ...base.errors import check_bytes

__all__ = ["Rows", "padding"]

Array = npt.NDArray[Any]


class Rows:
    """Weights along one axis, row by row; compared by identity.

    Attributes
    ----------
    matrix : ndarray, shape (sites out, sites in)
    fold : bool
        Whether it is the identity on the plane: padding by what the map holds.
    """

    def __init__(self, matrix: Array, fold: bool = False) -> None:
        self.matrix, self.fold = np.asarray(matrix, dtype=float), fold

    @functools.cached_property
    def transposed(self) -> Rows:
        """The same read the other way."""
        other = Rows(self.matrix.T, self.fold)
        other.transposed = self
        return other

    @functools.cached_property
    def typical(self) -> Array:
        """Weights of one row, that whose sum of squares is nearest to the mean, without zeros."""
        power = (self.matrix**2).sum(axis=1)
        row = self.matrix[int(np.argmin(np.abs(power - power.mean())))]
        return row[row != 0]

    @functools.cached_property
    def _spans(self) -> tuple[Array, Array]:
        """First and last site that each row reads."""
        hit = self.matrix != 0
        count = hit.shape[1]
        first = np.where(hit.any(axis=1), hit.argmax(axis=1), count)
        return first, np.where(hit.any(axis=1), count - 1 - hit[:, ::-1].argmax(axis=1), -1)

    def reach(self, lag: int) -> int:
        """Largest lag between sites read by two rows that are at most `lag` apart."""
        first, last = self._spans
        found = 0
        for step in range(min(lag, len(first) - 1) + 1):
            one, other = slice(None, len(first) - step), slice(step, None)
            found = max(found, *(int(np.max(b - a, initial=0)) for a, b in
                                 ((first[one], last[other]), (first[other], last[one]))))
        return min(found, self.matrix.shape[1] - 1)

    @functools.cached_property
    def _entries(self) -> tuple[Array, Array]:
        """Sites and weights of each row, filled up with zeros to the longest."""
        longest = max(int((self.matrix != 0).sum(axis=1).max(initial=0)), 1)
        sites = np.argsort(self.matrix == 0, axis=1, kind="stable")[:, :longest]
        return sites, np.take_along_axis(self.matrix, sites, axis=1)

    @functools.cached_property
    def _made(self) -> dict[tuple[int, int], Any]:
        return {}

    def _pair_matrix(self, above: int, below: int) -> Any:
        """From pairs (lag, site) of rows, half-width `above`, to those of the sites that they read."""
        from scipy.sparse import csr_matrix
        if (above, below) in self._made:
            return self._made[above, below]
        (n, m), (sites, weights) = self.matrix.shape, self._entries
        rows, columns, values = [], [], []
        for lag in range(-above, above + 1):
            x = np.arange(max(-lag, 0), n - max(lag, 0))
            if not x.size:
                continue
            z, other = sites[x][:, :, None], sites[x + lag][:, None, :]
            both = weights[x][:, :, None] * weights[x + lag][:, None, :]
            apart = other - z
            held = (both != 0) & (np.abs(apart) <= below)
            rows.append(np.broadcast_to(((lag + above) * n + x)[:, None, None], held.shape)[held])
            columns.append(((apart + below) * m + z)[held])
            values.append(both[held])
        found = csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
                           shape=((2 * above + 1) * n, (2 * below + 1) * m))
        self._made[above, below] = found
        return found

    def _window(self, start: int, count: int) -> tuple[int, int, int, int]:
        """Rows that lie in start .. start + count - 1, and the sites that they read, half-open."""
        low, high = max(start, 0), max(min(start + count, len(self.matrix)), max(start, 0))
        first, last = (part[low:high] for part in self._spans)
        begin = int(first.min(initial=self.matrix.shape[1]))
        return low, high, begin, max(int(last.max(initial=-1)) + 1, begin)

    def adjoint(self, values: Array, axis: int, start: int) -> tuple[Array, int]:
        """Hand `values` at output sites, from `start` along `axis`, back to the sites that they were read from."""
        low, high, begin, end = self._window(start, values.shape[axis])
        part = np.moveaxis(values, axis, 0)[low - start:high - start]
        flat = self.matrix[low:high, begin:end].T @ part.reshape(high - low, -1)
        return np.moveaxis(flat.reshape(end - begin, *part.shape[1:]), 0, axis), begin

    def pairs(self, values: Array, lag_axis: int, axis: int, start: int, below: int) -> tuple[Array, int]:
        """The same for both sites of pairs, with lags up to `below` at the sites that are read."""
        above = values.shape[lag_axis] // 2
        low, high, begin, end = self._window(start, values.shape[axis])
        matrix = self._pair_matrix(above, below)
        n, m = self.matrix.shape
        if (low, high) != (0, n):
            matrix = matrix[(np.arange(2 * above + 1)[:, None] * n + np.arange(low, high)).ravel()]
        if (begin, end) != (0, m):
            matrix = matrix[:, (np.arange(2 * below + 1)[:, None] * m + np.arange(begin, end)).ravel()]
        part = np.moveaxis(values, (lag_axis, axis), (0, 1))[:, low - start:high - start]
        flat = matrix.T @ part.reshape((2 * above + 1) * (high - low), -1)
        out = flat.reshape(2 * below + 1, end - begin, *part.shape[2:])
        return np.moveaxis(out, (0, 1), (lag_axis, axis)), begin


def padding(n: int, pads: tuple[int, int], border: str) -> Array:
    """The map of `n` sites continued by (before, after) sites that repeat others, or less those cut off.

    "reflect" repeats about the last site, "replicate" the last site itself, "circular" the other end.
    """
    z = np.arange(-pads[0], n + pads[1])
    if border == "replicate":
        z = np.clip(z, 0, n - 1)
    elif border == "circular":
        z = z % n
    else:
        period = max(2 * (n - 1), 1)
        z = np.minimum(z % period, -z % period)
    check_bytes(40 * len(z) * n, f"padding of mode {border!r} of {n} sites", "take a smaller image")
    matrix = np.zeros((len(z), n))
    matrix[np.arange(len(z)), z] = 1
    return matrix
