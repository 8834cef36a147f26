"""Sources that are made of other values: sums, the largest of a window, dropout, batch norm, fixed filters."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..memory import remembered
from ..rules.functions import Function
from . import site_distribution
from .site_distribution import SiteDistribution
from .taps import Array
from .values import (ORDER, PANEL, POINTS, REACH, Gaussian, Nodes, Source, Value, cumulated, gauss_hermite, panels,
                     rounded)

__all__ = ["Averaged", "Centred", "Dropped", "Joint", "Largest", "RowMeans", "Sum", "average"]

#: Panels of a sum at most; narrower Gaussian parts are points of a Gauss-Hermite rule instead, none of them at 0.
MOST_PANELS, HERMITE = 600, 10
#: Panels on which sums of tabulated values are interpolated, good to about 1e-7.
JOINED = 32
#: Values less likely than this are left out of the range of a sum.
LEAST = 1e-15
#: Logarithm of what counts as nothing in a kernel: far smaller numbers are slow.
FAINT = -138.0
#: Points on which a filter's average is tabulated, and terms above which its own part counts as Gaussian.
GRID, MANY = 1024, 25


# ---------------------------------------------------------------------------------------------
# sums
# ---------------------------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Sum(Source):
    """The sum of independent values and of N(0, q), of which c is shared by all sites of a channel."""

    parts: tuple[Value, ...]
    q: float
    c: float

    @staticmethod
    def of(parts: Sequence[Value], q: float, c: float) -> Sum:
        """The one with rounded moments, its parts in a fixed order."""
        q = max(rounded(q), 0.0)
        return _sum(tuple(parts), q, rounded(min(max(c, 0.0), q)))

    @functools.cached_property
    def _points(self) -> tuple[Array, ...]:
        return tuple(part.at(part.nodes.u) for part in self.parts)

    @functools.cached_property
    def _chain(self) -> list[_Joined]:
        """The parts, joined one by one; the last is their sum without the wide Gaussian."""
        joined = [_Joined(self._points[0], self.parts[0].nodes.p, None)]
        for x, part in zip(self._points[1:], self.parts[1:]):
            joined.append(_join(joined[-1], x, part.nodes.p, ()))
        return joined

    @functools.cached_property
    def _smooth(self) -> bool:
        """Whether the Gaussian part is wide enough that densities are smooth on panels."""
        lo, hi = self._span
        return self.q > 0 and (hi - lo) <= MOST_PANELS * PANEL * math.sqrt(self.q)

    @functools.cached_property
    def _span(self) -> tuple[float, float]:
        likely = [x[part.nodes.p > LEAST] for x, part in zip(self._points, self.parts)]
        return float(sum(x.min() for x in likely)), float(sum(x.max() for x in likely))

    def reach(self) -> tuple[float, float]:
        lo, hi = self._span
        end = REACH * math.sqrt(self.q)
        return lo - end, hi + end

    @functools.cached_property
    def _made(self) -> dict[tuple[float, ...], tuple[Nodes, Array]]:
        return {}

    def _make(self, knots: tuple[float, ...]) -> tuple[Nodes, Array]:
        """Nodes, and the matrix that takes a table over them to one over the sum of the parts."""
        if knots not in self._made:
            last = self._chain[-1]
            if self._smooth:
                lo, hi = self.reach()
                spread = math.sqrt(self.q)
                count = max(math.ceil((hi - lo) / (PANEL * spread)), 1)
                edges = np.union1d(np.linspace(lo, hi, count + 1), [k for k in knots if lo < k < hi])
                v, w = panels(edges)
                kernel = np.subtract.outer(np.clip(last.x, lo, hi) / spread, v / spread)
                np.square(kernel, out=kernel)
                kernel *= -0.5
                np.maximum(kernel, FAINT, out=kernel)  # numbers below the normal range are slow
                np.exp(kernel, out=kernel)
                kernel *= w
                kernel /= kernel.sum(axis=1, keepdims=True)
                self._made[knots] = Nodes(v, last.p @ kernel), kernel
            else:
                z, w = gauss_hermite(HERMITE) if self.q else (np.zeros(1), np.ones(1))
                joined = _join(last, z * math.sqrt(self.q), w, knots)
                assert joined.first is not None
                self._made[knots] = Nodes(joined.x, joined.p), joined.first
        return self._made[knots]

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        return self._make(knots)[0]

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        table = table @ next(kernel for its, kernel in self._made.values() if its is nodes).T
        for n in range(len(self.parts) - 1, 0, -1):
            joined = self._chain[n]
            if n == part:
                assert joined.second is not None
                return self.parts[part].nodes, table @ joined.second.T
            assert joined.first is not None
            table = table @ joined.first.T
        return self.parts[part].nodes, table

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        if not self.c and all(len(part.distribution.share) == 1 for part in self.parts):
            nodes = self.nodes(knots)
            below = cumulated(nodes.p[None]) if self._smooth else None
            return SiteDistribution(nodes.u[None], nodes.p[None], np.ones((1, len(nodes.u))), np.ones(1), below)
        # What is shared is followed for the part that varies most; the others count as Gaussian there.
        spread = [part.second - part.mean**2 for part in self.parts]
        main = int(np.argmax(spread))
        rest = [part for n, part in enumerate(self.parts) if n != main]
        q = self.q + sum(s for n, s in enumerate(spread) if n != main)
        c = self.c + sum(part.distribution.cov_site - part.mean**2 for part in rest)
        known = self.parts[main].distribution
        shifted = replace(known, x=known.x + sum(part.mean for part in rest))
        return site_distribution.plus(shifted, q, min(max(c, 0.0), q))


@remembered(256, lasting=False)
def _sum(parts: tuple[Value, ...], q: float, c: float) -> Sum:
    return Sum(parts, q, c)


class _Joined(NamedTuple):
    """Points and probabilities of a sum of two, and the matrices that take tables over it to either."""

    x: Array
    p: Array
    first: Array | None
    second: Array | None = None


def _join(a: _Joined, y: Array, p: Array, knots: tuple[float, ...]) -> _Joined:
    """x + y of independent x, y: tables are interpolated on panels split at `knots`; what lies on a knot stays."""
    total = np.add.outer(a.x, y)
    lo, hi = float(total.min()), float(total.max())
    unit = (hi - lo) or 1.0
    inner = [k for k in knots if lo - 1e-12 * unit <= k <= hi + 1e-12 * unit]
    edges = np.union1d(np.linspace(lo, hi, JOINED + 1), inner)
    v, _ = panels(edges)
    flat = total.ravel()
    panel = np.clip(np.searchsorted(edges, flat, side="left") - 1, 0, len(edges) - 2)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    local = (flat - middle[panel]) / half[panel]
    weights = _lagrange(local)
    columns = panel[:, None] * ORDER + np.arange(ORDER)
    count = len(v)
    for n, knot in enumerate(inner):  # atoms on a knot are points of their own
        on = np.abs(flat - knot) <= 1e-12 * unit
        weights[on], columns[on] = 0.0, 0
        weights[on, 0], columns[on, 0] = 1.0, count + n
    x = np.concatenate([v, inner])
    shape = len(a.x), len(y), len(x)
    weights, columns = weights.reshape(shape[0], shape[1], ORDER), columns.reshape(shape[0], shape[1], ORDER)
    row, col = np.arange(shape[0])[:, None, None], np.arange(shape[1])[None, :, None]
    first = np.bincount((row * shape[2] + columns).ravel(), (weights * p[:, None]).ravel(), shape[0] * shape[2])
    second = np.bincount((col * shape[2] + columns).ravel(), (weights * a.p[:, None, None]).ravel(),
                         shape[1] * shape[2])
    first = first.reshape(shape[0], -1)
    return _Joined(x, a.p @ first, first, second.reshape(shape[1], -1))


_BARYCENTRIC = 1 / np.prod(POINTS[:, None] - POINTS + np.eye(ORDER), axis=1)


def _lagrange(t: Array) -> Array:
    """Weights of the points of a panel that interpolate at `t` in [-1, 1], shape (len(t), ORDER)."""
    apart = t[:, None] - POINTS
    hit = np.abs(apart) < 1e-14
    terms = _BARYCENTRIC / np.where(hit, 1.0, apart)
    out = terms / terms.sum(axis=1, keepdims=True)
    exact = hit.any(axis=1)
    out[exact] = hit[exact]
    return out


# ---------------------------------------------------------------------------------------------
# pools, dropout, filters, norms
# ---------------------------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Largest(Source):
    """The largest of `count` sites of one value, which share what sites of a channel do."""

    parts: tuple[Value, ...]
    count: int

    @staticmethod
    @remembered(256, lasting=False)
    def of(value: Value, count: int) -> Largest:
        """The interned one."""
        return Largest((value,), count)

    @functools.cached_property
    def _made(self) -> dict[tuple[float, ...], tuple[Nodes, Nodes, Array]]:
        return {}

    def _make(self, knots: tuple[float, ...]) -> tuple[Nodes, Nodes, Array]:
        """Nodes, those of the sites' source, and how much oftener than others a site of that value wins."""
        if knots not in self._made:
            value, = self.parts
            below = value.source.nodes(tuple(sorted({*value.knots, *value.preimage(knots)})))
            wins = self._winning(value, below)
            wins /= below.p @ wins
            self._made[knots] = Nodes(value.at(below.u), below.p * wins), below, wins
        return self._made[knots]

    def _winning(self, value: Value, below: Nodes) -> Array:
        x = value.at(below.u)
        rising = (np.diff(x[np.argsort(below.u, kind="stable")]) >= 0).all()
        if isinstance(value.source, Gaussian) and rising:
            return value.source.winning(below.u, self.count)
        distribution = value.distribution
        if len(distribution.share) == 1:
            its = value.source
            reached = cumulated(below.p) if rising and isinstance(its, Sum) and its._smooth else _reached(
                below.u if rising else x, below.p)
            return np.asarray(self.count * reached**(self.count - 1))
        # Rows on their own points: what a site wins given its value, averaged over rows.
        base = value.source.distribution(value.knots)
        at = base.x if rising else value.at(base.x)
        at = np.broadcast_to(at, base.p.shape)
        wins = np.stack([self.count * _reached(row, p)**(self.count - 1) for row, p in zip(at, base.p)])
        weight = base.share[:, None] * base.p
        order = np.argsort(at.ravel(), kind="stable")
        there, w, k = at.ravel()[order], weight.ravel()[order], (weight * wins).ravel()[order]
        # The ratio of two smooth cumulated curves' increments, at the nodes.
        targets = below.u if rising else x
        edges = np.concatenate([[-np.inf], (np.sort(targets)[1:] + np.sort(targets)[:-1]) / 2, [np.inf]])
        bins = np.searchsorted(edges, there, side="right") - 1
        total = np.bincount(bins, w, len(targets))
        won = np.bincount(bins, k, len(targets))
        ratio = np.interp(np.arange(len(targets)), np.flatnonzero(total > 0), (won[total > 0] / total[total > 0]))
        out = np.empty(len(targets))
        out[np.argsort(targets, kind="stable")] = ratio
        return out

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        return self._make(knots)[0]

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        _, below, wins = next(made for made in self._made.values() if made[0] is nodes)
        return below, table * wins

    @functools.cached_property
    def _largest(self) -> SiteDistribution:
        value, = self.parts
        return value.distribution.largest_of(self.count)

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        return replace(self._largest, slope=np.ones(self._largest.x.shape))


def _reached(x: Array, p: Array) -> Array:
    """Probability below each point, half of its own included."""
    order = np.argsort(x, kind="stable")
    below = np.empty(len(x))
    cumulated = np.cumsum(p[order])
    below[order] = np.clip(cumulated - p[order] / 2, 0.0, 1.0)
    return below


@dataclass(frozen=True, eq=False)
class Dropped(Source):
    """Inverted dropout: a value over 1 - p, or 0 with probability p."""

    parts: tuple[Value, ...]
    p: float

    @staticmethod
    @remembered(256, lasting=False)
    def of(value: Value, p: float) -> Dropped:
        """The interned one."""
        return Dropped((value,), p)

    @functools.cached_property
    def _made(self) -> dict[tuple[float, ...], tuple[Nodes, Nodes]]:
        return {}

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        if knots not in self._made:
            value, = self.parts
            passed = value.preimage([knot * (1 - self.p) for knot in knots])
            below = value.source.nodes(tuple(sorted({*value.knots, *passed})))
            self._made[knots] = Nodes(np.append(value.at(below.u) / (1 - self.p), 0.0),
                                      np.append(below.p * (1 - self.p), self.p)), below
        return self._made[knots][0]

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        below = next(below for its, below in self._made.values() if its is nodes)
        return below, table[:, :-1]

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        distribution = self.parts[0].distribution
        zero = np.zeros((len(distribution.x), 1))
        x = np.concatenate([distribution.x / (1 - self.p), zero], axis=1)
        p = np.concatenate([distribution.p * (1 - self.p), np.full((len(distribution.p), 1), self.p)], axis=1)
        return SiteDistribution(x, p, np.ones(x.shape), distribution.share)


@dataclass(frozen=True, eq=False)
class Joint(Source):
    """The sum of functions of one source."""

    parts: tuple[Value, ...]

    @staticmethod
    @remembered(256, lasting=False)
    def of(parts: tuple[Value, ...]) -> Joint:
        """The interned one."""
        return Joint(parts)

    def _at(self, u: Array) -> Array:
        return np.asarray(sum(part.at(u) for part in self.parts))

    @functools.cached_property
    def _made(self) -> dict[tuple[float, ...], tuple[Nodes, Nodes]]:
        return {}

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        if knots not in self._made:
            own = {knot for part in self.parts for knot in part.knots}
            below = self.parts[0].source.nodes(tuple(sorted(own | set(self._preimage(knots)))))
            self._made[knots] = Nodes(self._at(below.u), below.p), below
        return self._made[knots][0]

    def _preimage(self, knots: tuple[float, ...]) -> tuple[float, ...]:
        whole = Function(self._at, np.zeros_like)
        return Value(self.parts[0].source, (whole,)).preimage(knots) if knots else ()

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        return next(below for its, below in self._made.values() if its is nodes), table

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        own = tuple(sorted({knot for part in self.parts for knot in part.knots}))
        base = self.parts[0].source.distribution(own)
        return replace(base, x=self._at(base.x), slope=np.ones(base.x.shape))


@dataclass(frozen=True, eq=False)
class Centred(Source):
    """A value less the mean of its channel: what batch norm makes of one whose channels differ."""

    parts: tuple[Value, ...]

    @staticmethod
    @remembered(256, lasting=False)
    def of(value: Value) -> Centred:
        """The interned one."""
        return Centred((value,))

    @functools.cached_property
    def _flat(self) -> Nodes:
        value, = self.parts
        base = value.source.distribution(value.knots)
        x = value.at(np.broadcast_to(base.x, base.p.shape)) - value.distribution.row_means[:, None]
        return Nodes(x.ravel(), (base.share[:, None] * base.p).ravel())

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        return self._flat

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        value, = self.parts
        return _from_rows(value, table.reshape(len(table), *value.distribution.p.shape))

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        distribution = self.parts[0].distribution
        x = distribution.x - distribution.row_means[:, None]
        return SiteDistribution(x, distribution.p, np.ones(x.shape), distribution.share)


@dataclass(frozen=True, eq=False)
class RowMeans(Source):
    """What all sites of a channel share of a value: its mean given the shared part."""

    parts: tuple[Value, ...]

    @functools.cached_property
    def _nodes(self) -> Nodes:
        distribution = self.parts[0].distribution
        return Nodes(distribution.row_means, distribution.share)

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        return self._nodes

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        return _from_rows(self.parts[0], table[:, :, None])

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        nodes = self._nodes
        return SiteDistribution(nodes.u[:, None], np.ones((len(nodes.u), 1)), np.ones((len(nodes.u), 1)), nodes.p)


def _from_rows(value: Value, table: Array) -> tuple[Nodes, Array]:
    """A table over rows and points of a value's distribution as one over nodes of its source: means over rows."""
    base = value.source.distribution(value.knots)
    weight = base.share[:, None] * base.p
    table = np.broadcast_to(table, (len(table), *weight.shape))
    if not value.source.parts:  # nothing further down asks
        return (Nodes(np.broadcast_to(base.x, base.p.shape).ravel(), weight.ravel()),
                table.reshape(len(table), -1))
    nodes = value.nodes
    if base.x.shape == (1, len(nodes.u)) and np.array_equal(base.x[0], nodes.u):  # rows on these very points
        p, mean = weight.sum(axis=0), (table * weight).sum(axis=1)
        return nodes, np.divide(mean, p, out=np.ones(mean.shape), where=p > 0)
    order = np.argsort(nodes.u, kind="stable")
    target = nodes.u[order]
    place = np.interp(np.broadcast_to(base.x, weight.shape).ravel(), target, np.arange(len(target)))
    low = np.minimum(place.astype(int), len(target) - 2)
    out = np.ones((len(table), len(target)))
    total = np.zeros(len(target))
    for step, part in ((0, 1 - (place - low)), (1, place - low)):
        total += np.bincount(low + step, weight.ravel() * part, len(target))
    met = total > 0
    for n, row in enumerate(table):
        made = np.zeros(len(target))
        for step, part in ((0, 1 - (place - low)), (1, place - low)):
            made += np.bincount(low + step, (weight * row).ravel() * part, len(target))
        out[n, order] = np.interp(np.arange(len(target)), np.flatnonzero(met), made[met] / total[met])
    return nodes, out


def average(value: Value, weights: Sequence[float], q: float, c: float) -> Value:
    """sum_b w_b u_b over sites of one value, with second moment q, of which c is shared by all sites of a channel.

    Where the sites have more in common than their channel, the sum has fewer independent terms.
    """
    taps = sorted(w for w in weights if w)
    distribution = value.distribution
    total, own = sum(taps), max(distribution.second - distribution.cov_site, 0.0)
    apart = sum(w * w for w in taps) * own
    target = max(q - c, 0.0)
    if target > apart * (1 + 1e-9) and own:
        count = max(round(total**2 * own / target), 1)
        taps = [total / count] * min(count, len(taps))
        apart = sum(w * w for w in taps) * own
    if len(taps) > MANY:
        both = Sum.of((Value.of(_row_means(value), ()).times(total),), apart, 0.0).value()
    elif len(taps) == 1:
        both = value.times(taps[0])
    else:
        both = _averaged(value, tuple(map(rounded, taps))).value()
    return both.times(math.sqrt(q / both.second)) if both.second > 0 and q > 0 else both


@remembered(128, lasting=False)
def _row_means(value: Value) -> RowMeans:
    return RowMeans((value,))


@remembered(128, lasting=False)
def _averaged(value: Value, weights: tuple[float, ...]) -> Averaged:
    return Averaged((value,), weights)


@dataclass(frozen=True, eq=False)
class Averaged(Source):
    """sum_b w_b u_b over sites of one value that are independent given what their channel shares."""

    parts: tuple[Value, ...]
    weights: tuple[float, ...]

    @functools.cached_property
    def _grid(self) -> tuple[float, int, int]:
        """Step, number of points and index of the first value of a lattice that holds 0 and every sum."""
        distribution = self.parts[0].distribution
        lo, hi = min(float(distribution.x.min()), 0.0), max(float(distribution.x.max()), 0.0)
        ends = [sorted((w * lo, w * hi)) for w in self.weights]
        start, stop = sum(a for a, _ in ends), sum(b for _, b in ends)
        step = (stop - start) / (GRID - 8) or 1.0
        return step, GRID, math.floor(start / step) - 2

    @functools.cached_property
    def _spectra(self) -> dict[float, Array]:
        step, size, _ = self._grid
        distribution = self.parts[0].distribution
        x = np.broadcast_to(distribution.x, distribution.p.shape)
        return {w: np.fft.rfft(_binned(x * (w / step), distribution.p, size), axis=1) for w in set(self.weights)}

    @functools.cached_property
    def _nodes(self) -> tuple[Nodes, Array]:
        """Nodes of positive probability, and probabilities per row on the lattice."""
        step, size, first = self._grid
        spectrum = math.prod((self._spectra[w] for w in self.weights), start=np.ones(1))
        rows = np.roll(np.maximum(np.fft.irfft(spectrum, size, axis=1), 0.0), -first, axis=1)
        rows /= rows.sum(axis=1, keepdims=True)
        return Nodes(step * (first + np.arange(size)), self.parts[0].distribution.share @ rows), rows

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        return self._nodes[0]

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        (step, size, first), distribution = self._grid, self.parts[0].distribution
        x = np.broadcast_to(distribution.x, distribution.p.shape)
        total = np.zeros((len(table), *x.shape))
        spectrum = np.fft.rfft(np.roll(table, first, axis=1), axis=1)
        for w in set(self.weights):
            left = list(self.weights)
            left.remove(w)
            rest = math.prod((self._spectra[b] for b in left), start=np.ones(1))
            # E[table(y + rest)] for y on the lattice, read at w x.
            moved = np.fft.irfft(spectrum[:, None] * np.conj(rest), size, axis=2)
            low, part_of = _between(x * (w / step))
            weight = w * w * self.weights.count(w)
            for n in range(len(table)):
                here = np.take_along_axis(moved[n], low % size, axis=1)
                total[n] += weight * (here + part_of * (np.take_along_axis(moved[n], (low + 1) % size, axis=1) - here))
        total /= sum(w * w for w in self.weights)
        return _from_rows(self.parts[0], total)

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        nodes, rows = self._nodes
        return SiteDistribution(nodes.u[None], rows, np.ones((1, len(nodes.u))), self.parts[0].distribution.share)


def _between(place: Array) -> tuple[Array, Array]:
    """The point of a lattice below each place, and what part goes to the next; nothing beside zero goes to zero."""
    low = np.floor(place).astype(int)
    return low, np.where((low == 0) & (place > 0), 1.0, np.where(low == -1, 0.0, place - low))


def _binned(place: Array, p: Array, size: int) -> Array:
    """Probabilities on a cyclic lattice, each value split between its neighbours so that means are kept."""
    low, part = _between(place)
    rows = np.arange(len(place))[:, None] * size
    total = np.bincount((rows + low % size).ravel(), (p * (1 - part)).ravel(), len(place) * size)
    total += np.bincount((rows + (low + 1) % size).ravel(), (p * part).ravel(), len(place) * size)
    return total.reshape(len(place), size)
