"""Laws of one site's value where it is not Gaussian: behind activations, pools and gated sums.

The value at a site of a channel depends on what all sites of that channel share and on what is the
site's own (docs/theory.md, one-factor picture).  A `Law` has one row per value of the shared part
and one column per value of the own part; pooling and thresholding act on columns, the far
covariance c is the mean square of the rows' means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .activations import GRID, GRID_WEIGHTS, Array, Function

__all__ = ["Law", "gaussian", "rectified_sum"]

ROWS = 15
COLUMNS = np.linspace(-1.0, 1.0, 121)


@dataclass(frozen=True)
class Law:
    """Values x[row, column] with probabilities p[row, column] (each row sums to 1), rows equally likely.

    `gate` is phi'(z)^2 of the activation that made each value, 1 where none did.
    """

    x: Array
    p: Array
    gate: Array

    @property
    def second(self) -> float:
        """E[x^2]."""
        return float((self.p * self.x**2).sum(axis=1).mean())

    @property
    def row_means(self) -> Array:
        """E[x] given the shared part."""
        return np.asarray((self.p * self.x).sum(axis=1))

    @property
    def far(self) -> float:
        """E[x x'] between far sites of one channel."""
        return float((self.row_means**2).mean())

    @property
    def mean_gate(self) -> float:
        """E[phi'^2]."""
        return float((self.p * self.gate).sum(axis=1).mean())

    @property
    def far_gate(self) -> float:
        """E[phi' phi'] of distant sites."""
        return float(((self.p * np.sqrt(self.gate)).sum(axis=1)**2).mean())

    def through(self, phi: Function) -> Law:
        """Behind an activation."""
        return Law(phi.value(self.x), self.p, phi.slope(self.x)**2)

    def largest_of(self, count: int) -> Law:
        """The largest of `count` sites that share the row."""
        order = np.argsort(self.x, axis=1, kind="stable")
        x, p, gate = (np.take_along_axis(a, order, axis=1) for a in (self.x, self.p, self.gate))
        reach = np.minimum(np.cumsum(p, axis=1), 1.0)**count
        return Law(x, np.diff(reach, axis=1, prepend=0.0), gate)

    def scaled(self, factor: float) -> Law:
        """The value multiplied by a number."""
        return Law(self.x * factor, self.p, self.gate)

    def standardised(self) -> Law:
        """The value less its row's mean, over the root of the mean variance."""
        own = self.x - self.row_means[:, None]
        return Law(own / np.sqrt((self.p * own**2).sum(axis=1).mean()), self.p, np.ones_like(self.p))


def _shared() -> Array:
    """Equally likely values of a standard normal shared part: the middles of equal shares."""
    from scipy.special import ndtri
    rows = ndtri((np.arange(ROWS) + 0.5) / ROWS)
    return np.asarray(rows / np.sqrt((rows**2).mean()))


def gaussian(q: float, c: float) -> Law:
    """N(0, q), of which c is shared by all sites of a channel."""
    share = min(max(c, 0.0), q)
    rows = np.sqrt(share) * _shared() if share > 1e-12 * q else np.zeros(1)
    x = rows[:, None] + np.sqrt(q - share) * GRID
    p = np.broadcast_to(GRID_WEIGHTS, x.shape)
    return Law(x, p, np.ones(x.shape))


def rectified_sum(law: Law, q: float, c: float, phi: Function) -> tuple[Law, Array]:
    """phi(x + f) for x of `law` and an independent f ~ N(0, q) with shared part c.

    Returns
    -------
    law : Law
        Of phi(x + f); its columns are one grid of values of x + f.
    transition : ndarray, shape (columns before, columns after)
        Per row averaged: phi'(x + f)^2 times the probability to get from a column to a column.
    """
    shared = np.sqrt(c) * _shared() if c > 1e-12 * q else np.zeros(1)
    rows = law.x[:, None, :] + shared[:, None]                  # (rows, shared, columns)
    spread = np.sqrt(q - min(c, q) if len(shared) > 1 else q)
    top = max(abs(law.x[law.p > 1e-12]).max(), 0.0) + abs(shared).max() + 7 * spread
    grid = top * COLUMNS + top * (COLUMNS[1] - COLUMNS[0]) / 2  # zero lies between two points
    density = np.exp(-((grid - rows[..., None]) / spread)**2 / 2)
    density /= density.sum(axis=-1, keepdims=True)
    p = np.einsum("rk,rskj->rsj", law.p, density).reshape(-1, len(grid))
    slope = phi.slope(grid)**2
    merged = _merge_rows(Law(np.broadcast_to(phi.value(grid), p.shape), p, np.broadcast_to(slope, p.shape)))
    return merged, density.mean(axis=(0, 1)) * slope


def _merge_rows(law: Law) -> Law:
    """At most `ROWS` rows: neighbours in the order of their means are averaged."""
    count = len(law.p)
    if count <= ROWS:
        return law
    order = np.argsort(law.row_means)
    parts = np.array_split(law.p[order], ROWS)
    weights = np.array([len(part) for part in parts]) * ROWS / count
    p = np.stack([part.mean(axis=0) for part in parts])
    assert np.allclose(weights, 1, atol=0.5)
    return Law(np.broadcast_to(law.x[0], p.shape), p, np.broadcast_to(law.gate[0], p.shape))
