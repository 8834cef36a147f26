"""Distributions of one site's value where it is not Gaussian: after activations, pools and gated sums.

The value at a site of a channel depends on what all sites of that channel share and on what is the
site's own (docs/theory.md, equations 30 and 31).  A `SiteDistribution` has one row per value of the shared part
and one column per value of the own part; pooling and thresholding act on columns, the far
covariance c is the mean square of the rows' means.

Errors: after activations and pools of up to nine sites E[x^2] and c are good to 5e-4, gates of
rectifiers to 1e-4 and of saturating functions to 1.5e-3; along runs of residual sums all to 2e-3.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..memory import remembered
from ..rules.functions import Array, hermite, normal_points

__all__ = ["SiteDistribution", "distant", "far_of", "plus", "share_of", "shared", "shares"]

#: Values of the shared part, dense where a rectifier leaves a kink in the rows' means.
ROWS, SHARES = normal_points(48, 0.3, reach=7.0)
#: Columns of a distribution, and how far they reach in standard deviations of the own part.
COLUMNS, REACH = 240, 7.5
#: Columns of the distribution of a residual sum, and how far they reach beyond what has more than a probability.
SUMS, BEYOND, LEAST = 150, 6.0, 1e-9
#: Parts of the sites of a window that another has.
OVERLAPS = np.arange(1, 9) / 8
#: Rows per standard deviation of the rows' means, where there are too many to keep.
MERGED = 8


@dataclass(frozen=True, eq=False)
class SiteDistribution:
    """Values x[row, column] with probabilities p[row, column] (each row sums to 1).

    Distributions are equal if they are the same object: what is made of one is remembered by it.

    Attributes
    ----------
    x : ndarray, shape (rows or 1, columns)
        One row stands for all.
    p : ndarray, shape (rows, columns)
    slope : ndarray, shape like `x`
        phi' of the activation that made each value, 1 where none did.
    share : ndarray, shape (rows,)
        Probability of each row.
    below : ndarray, shape (rows, columns), optional
        Probability below each value, where columns are in the order of their values and it is known better than
        from `p`.
    """

    x: Array
    p: Array
    slope: Array
    share: Array
    below: Array | None = None

    def _row_means(self, values: Array) -> Array:
        return self.p @ values[0] if len(values) == 1 else np.einsum("rc,rc->r", self.p, values)

    def _mean(self, values: Array) -> float:
        return float(self.share @ self._row_means(values))

    @functools.cached_property
    def mean(self) -> float:
        """E[x]."""
        return float(self.share @ self.row_means)

    @functools.cached_property
    def second(self) -> float:
        """E[x^2]."""
        return self._mean(self.x**2)

    @functools.cached_property
    def row_means(self) -> Array:
        """E[x] given the shared part."""
        return self._row_means(self.x)

    @functools.cached_property
    def marginal(self) -> Array:
        """Probability of each column."""
        return np.asarray(self.share @ self.p)

    @functools.cached_property
    def cov_site(self) -> float:
        """E[x x'] of sites that share the row."""
        return float(self.share @ self.row_means**2)

    @functools.cached_property
    def mean_gate(self) -> float:
        """E[phi'^2]."""
        return self._mean(self.slope**2)

    @functools.cached_property
    def pair_gate(self) -> float:
        """E[phi' phi'] of sites that share the row."""
        return float(self.share @ self.row_slopes**2)

    @property
    def row_slopes(self) -> Array:
        """E[phi'] given the shared part."""
        return self._row_means(self.slope)

    @remembered(128, lasting=False)
    def largest_of(self, count: int) -> SiteDistribution:
        """The largest of `count` sites that share the row."""
        if self._rises and self.below is not None:
            others = _power(self.below, count - 1)
            p = self.p * others
            p /= p.sum(axis=1, keepdims=True)
            return replace(self, p=p, below=others * self.below)
        distribution = self if self._rises else self._ascending
        reached = _power(distribution._reached, count)
        return replace(distribution, p=np.diff(reached, axis=1, prepend=0.0), below=None)

    def gates_of_largest(self, counts: Sequence[int]) -> list[float]:
        """`mean_gate` of the largest of so many sites, for each of `counts`, in ascending order."""
        if not self._rises or self.below is None:
            return [self.largest_of(count).mean_gate for count in counts]
        opened, found = self.p * self.slope**2, []
        power, others = 0, np.ones(self.p.shape)
        for count in counts:
            while power < count - 1:
                others, power = others * self.below, power + 1
            part, whole = (np.einsum("rc,rc->r", others, p) for p in (opened, self.p))
            found.append(float(self.share @ (part / whole)))
        return found

    @remembered(64, lasting=False)
    def overlap(self, count: int, function: Callable[[Array], Array] | None = None) -> Array:
        """Covariances of the largest of two windows of `count` sites, of which a part is common: each of `OVERLAPS`.

        Of a `function` of the largest, if there is one.
        Sites that share the row are independent.  By Hoeffding, with F the probability below a value and s the
        sites in common, the covariance is the integral of P(both below a and b) - P(one below a) P(other below b),
        which for a < b is F(a)^n F(b)^(n - s) (1 - F(b)^s).
        """
        ordered = self if self._rises else self._ascending
        below, steps = ordered.below, np.diff(ordered.x if function is None else function(ordered.x), axis=1)
        f = ordered._reached[:, :-1] if below is None else (below[:, 1:] + below[:, :-1]) / 2
        powers = np.empty((len(OVERLAPS) + 1, *f.shape))  # of F^n, from none of it on
        powers[0], powers[1] = 1.0, f**(count * OVERLAPS[0])
        for n in range(1, len(OVERLAPS)):
            np.multiply(powers[n], powers[1], out=powers[n + 1])
        one = powers[-1] * steps
        before = 2 * np.cumsum(one, axis=1) - one  # a < b, b < a, and the diagonal once
        before *= steps
        before *= self.share[:, None]
        moments = powers.reshape(len(powers), -1) @ before.ravel()
        return np.asarray(moments[-2::-1] - moments[-1])

    def as_one_row(self) -> SiteDistribution:
        """The distribution of a site where others share nothing with it."""
        x, slope = (np.broadcast_to(a, self.p.shape).ravel() for a in (self.x, self.slope))
        order = np.argsort(x, kind="stable")
        p = (self.share[:, None] * self.p).ravel()[order]
        return SiteDistribution(x[None, order], p[None], slope[None, order], np.ones(1))

    @functools.cached_property
    def _rises(self) -> bool:
        """Whether the values of each row are in order."""
        return bool((self.x[:, 1:] >= self.x[:, :-1]).all())

    @functools.cached_property
    def _ascending(self) -> SiteDistribution:
        """The same with the values of each row in order."""
        order = np.argsort(self.x, axis=1, kind="stable")
        x, slope = (np.take_along_axis(a, order, axis=1) for a in (self.x, self.slope))
        return replace(self, x=x, p=np.take_along_axis(self.p, np.broadcast_to(order, self.p.shape), axis=1),
                       slope=slope, below=None)

    @functools.cached_property
    def _reached(self) -> Array:
        """Probability of each column and those before it."""
        return np.minimum(np.cumsum(self.p, axis=1), 1.0)


def _power(base: Array, n: int) -> Array:
    """A whole power, by products, which take half the time."""
    found = None
    while n:
        if n & 1:
            found = base if found is None else found * base
        n >>= 1
        base = base * base if n else base
    return np.ones(base.shape) if found is None else found


def far_of(row_means: Array, share: Array, kappa: Array) -> Array:
    """E[v v'] of distant sites that share only a part kappa (correlation) of what makes the row.

    `row_means` in the order of what is shared, with probabilities `share`.
    """
    if len(share) == 1:
        return np.full(np.shape(kappa), float(row_means[0])**2)
    weighed = share * row_means
    terms = (weighed @ _polynomials(share.tobytes()))**2
    terms[-1] += weighed @ row_means - np.add.reduce(terms)
    return np.asarray(np.power.outer(kappa, _DEGREES) @ terms)


def share_of(row_means: Array, share: Array, cov_far: float) -> float:
    """The kappa for which `far_of` gives `cov_far`."""
    reached = np.maximum.accumulate(far_of(row_means, share, _KAPPAS))
    return float(np.interp(cov_far, reached, _KAPPAS))


def distant(before: Array, after: Array, share: Array, cov_far: float) -> float:
    """E[v v'] of distant sites after a function of each site, if it was `cov_far` before.

    `before` and `after` are the means of the rows: what distant sites share of them, they keep.
    """
    if len(after) == len(before) and np.abs(after - before).max() <= 1e-13 * np.abs(before).max():
        return cov_far
    # Rows whose means do not differ say nothing of what is shared: all of it.
    differ = len(share) > 1 and np.ptp(before) > 1e-9 * np.abs(after).max()
    kappa = share_of(before, share, cov_far) if differ else 1.0
    return float(far_of(after, share, np.array(kappa)))


_DEGREES = np.arange(12)
_KAPPAS = np.linspace(0, 1, 33)


@remembered(64)
def _polynomials(share: bytes) -> Array:
    """Hermite polynomials of what rows of these probabilities share, shape (rows, degrees)."""
    shares = np.frombuffer(share)
    return hermite(ROWS if np.array_equal(shares, SHARES) else _quantiles(shares), len(_DEGREES))


def _quantiles(share: Array) -> Array:
    """Standard normal values in the middle of consecutive shares of the probability."""
    from scipy.special import ndtri
    below = np.cumsum(share) - share / 2
    above = np.cumsum(share[::-1])[::-1] - share / 2  # tails keep their relative accuracy
    return np.where(below < 0.5, ndtri(np.minimum(below, 0.5)), -ndtri(np.minimum(above, 0.5)))


def shares(q: float, c: float) -> bool:
    """Whether sites of a channel share a part c of q that is more than rounding."""
    return c > 1e-12 * q


def shared(q: float, c: float) -> tuple[Array, Array]:
    """Values and probabilities of the part c shared by all sites of a channel."""
    if not shares(q, c):
        return np.zeros(1), np.ones(1)
    return np.sqrt(c) * ROWS, SHARES


def plus(distribution: SiteDistribution, q: float, c: float) -> SiteDistribution:
    """x + f for x of `distribution` and an independent f ~ N(0, q) with shared part c, on one grid of values."""
    c = min(max(c, 0.0), q)
    own, common = np.sqrt(q - c), np.sqrt(c)
    met = np.broadcast_to(distribution.x, distribution.p.shape)[distribution.p > LEAST]
    margin = BEYOND * max(own + common, 0.01 * np.ptp(met))
    ends = met.min() - margin, met.max() + margin
    step = (ends[1] - ends[0]) / SUMS or 1.0
    grid = (np.floor(ends[0] / step) + 0.5 + np.arange(SUMS + 1)) * step  # zero between two points
    alone = [_kernel(x, grid, own) for x in distribution.x]
    if len(distribution.x) == 1:
        p = distribution.p @ alone[0]
    else:
        p = np.stack([row @ kernel for row, kernel in zip(distribution.p, alone)])
    if not c:
        return SiteDistribution(grid[None], p, np.ones((1, len(grid))), distribution.share)
    # What f shares moves whole rows, by multiples of the grid's step.
    stride = max(round(0.4 * common / step), 1)
    moves = stride * np.arange(-int(6 * common / (stride * step)), int(6 * common / (stride * step)) + 1)
    shares = np.exp(-(moves * step / common)**2 / 2)
    rows = np.stack([np.roll(p, n, axis=1) for n in moves], axis=1).reshape(-1, len(grid))
    share = np.outer(distribution.share, shares / shares.sum()).ravel()
    return _merge_rows(SiteDistribution(grid[None], rows, np.ones((1, len(grid))), share))


def _kernel(x: Array, grid: Array, spread: float) -> Array:
    """Probability to get from each x to each point of the grid by adding N(0, spread^2)."""
    # Narrower steps than those of the grid it cannot show: c is then up to 3 % too large.
    spread = max(spread, 0.7 * (grid[1] - grid[0]))
    # A rectifier makes many zeros; what lies beyond the grid has no probability.
    distinct: Any = np.unique(np.clip(x, grid[0], grid[-1]), return_inverse=True)
    return _bells(np.subtract.outer(distinct[0] / spread, grid / spread))[distinct[1]]


def _bells(z: Array) -> Array:
    """exp(-z^2 / 2) in place, each row over its sum."""
    np.square(z, out=z)
    z *= -0.5
    np.exp(z, out=z)
    z /= np.add.reduce(z, axis=1, keepdims=True)
    return z


def _merge_rows(distribution: SiteDistribution) -> SiteDistribution:
    """Rows of nearly the same mean, if there are many, as one."""
    if len(distribution.p) <= len(ROWS):
        return distribution
    off = distribution.row_means - distribution.mean
    width = np.sqrt(distribution.share @ off**2) / MERGED
    levels = np.clip(np.rint(off / width), -4 * MERGED, 4 * MERGED)
    into: Any = np.unique(levels, return_inverse=True)[1]
    share = np.bincount(into, distribution.share).astype(float)
    p = np.zeros((len(share), distribution.p.shape[1]))
    np.add.at(p, into, distribution.share[:, None] * distribution.p)
    return replace(distribution, p=p / share[:, None], share=share)
