"""Sources that are made of other values: sums, the largest of a window, dropout, batch norm, fixed filters.

Each takes what is known of a gradient to the values that it was made of by its row of the table below equation 46 in
docs/theory.md, where the errors are listed, too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..memory import interned, lazy
from ..rules.functions import Function
from . import site_distribution
from .site_distribution import SiteDistribution
from .taps import Array
from .values import ORDER, PANEL, REACH, Affine, Gaussian, Nodes, Source, Value, cumulated, panels, rounded

__all__ = ["Averaged", "Dropped", "Itself", "Joint", "Largest", "RowMeans", "Standardised", "Sum", "average",
           "largest_wins"]

#: Points of a lattice for filters and for sums, and panels of the values that go onto either.
GRID, FINE, ROWS_SPLIT, SPLIT = 1024, 4096, 64, 256
#: Panels and nodes of a single value plus a Gaussian at most: narrower Gaussians are added on a lattice, and products.
MOST_PANELS, MOST_NODES = 120, 6000
#: Values less likely than this are left out of the range of a sum.
LEAST = 1e-15
#: Logarithm of what counts as nothing in a kernel: far smaller numbers are slow.
FAINT = -138.0
#: Variance of a channel, as part of the mean one, below which it counts as dead.
DEAD = 1e-9
#: Terms above which the own part of a filter's average counts as Gaussian.
MANY = 25
#: Digits in which values are told apart, so that rounding decides nothing.
DIGITS = 9


# ---------------------------------------------------------------------------------------------
# sums of independent terms on a lattice
# ---------------------------------------------------------------------------------------------

class _Lattice(NamedTuple):
    """The points step * first, step * (first + 1), ..., one of which is 0."""

    step: float
    first: int
    size: int

    @staticmethod
    def over(ends: Sequence[tuple[float, float]], size: int) -> _Lattice:
        """With room for every sum of terms that lie between these `ends`, and for 0."""
        start, stop = (sum(end) for end in zip(*((min(lo, 0.0), max(hi, 0.0)) for lo, hi in ends)))
        step = (stop - start) / (size - 8) or 1.0
        return _Lattice(step, math.floor(start / step) - 2, size)

    def spectrum(self, x: Array, p: Array) -> Array:
        """Transform of the distribution of a term per row: each value is split so that means are kept."""
        low, part = self._between(x)
        rows = np.arange(len(p))[:, None] * self.size
        total = np.bincount((rows + low % self.size).ravel(), (p * (1 - part)).ravel(), len(p) * self.size)
        total += np.bincount((rows + (low + 1) % self.size).ravel(), (p * part).ravel(), len(p) * self.size)
        return np.fft.rfft(total.reshape(len(p), self.size), axis=1)

    def rows(self, spectra: Sequence[Array]) -> Array:
        """Probabilities of the sum per row."""
        whole = np.fft.irfft(math.prod(spectra, start=np.ones(1)), self.size, axis=1)
        rows = np.roll(np.maximum(whole, 0.0), -self.first, axis=1)
        return rows / rows.sum(axis=1, keepdims=True)

    def given(self, x: Array, rest: Sequence[Array], table: Array) -> Array:
        """E[table(x + the other terms)] per row, shape (functions, rows, columns)."""
        others = np.conj(math.prod(rest, start=np.ones((1, 1))))
        spectrum = np.fft.rfft(np.roll(table, self.first, axis=1), axis=1)
        low, part = self._between(x)
        out = np.empty((len(table), *x.shape))
        for n in range(len(table)):
            moved = np.fft.irfft(spectrum[n] * others, self.size, axis=1)
            here, there = (np.take_along_axis(moved, place % self.size, axis=1) for place in (low, low + 1))
            out[n] = here + part * (there - here)
        return out

    def cut(self, p: Array, knots: Sequence[float], heap: bool) -> tuple[Array, Array, list[tuple[int, float]]]:
        """Points and probabilities (per row), the cells around `knots` in two; which those are, and their parts below.

        Where there is a `heap` at 0, as rectifiers make it, what is there is exactly there.
        """
        u = self.step * (self.first + np.arange(self.size))
        cuts: list[tuple[int, float]] = []
        for knot in sorted(knots, reverse=True):
            near = round(knot / self.step)
            n, below = near - self.first, knot / self.step - near + 0.5
            if (near or not heap) and 0 <= n < self.size and (not cuts or cuts[-1][0] != n):
                cuts.append((n, below))
                u = np.insert(u, n + 1, knot + (1 - below) / 2 * self.step)
                u[n] = knot - below / 2 * self.step
                p = np.insert(p, n + 1, (1 - below) * p[:, n], axis=1)
                p[:, n] *= below
        return u, p, cuts

    @staticmethod
    def whole(table: Array, cuts: Sequence[tuple[int, float]]) -> Array:
        """A table over cut cells as one over the lattice."""
        for n, below in reversed(cuts):
            mean = below * table[:, n] + (1 - below) * table[:, n + 1]
            table = np.delete(table, n + 1, axis=1)
            table[:, n] = mean
        return table

    def _between(self, x: Array) -> tuple[Array, Array]:
        """The point below each value, and what part goes to the next; nothing beside zero goes to zero."""
        place = x / self.step
        low = np.floor(place).astype(int)
        return low, np.where((low == 0) & (place > 0), 1.0, np.where(low == -1, 0.0, place - low))


# ---------------------------------------------------------------------------------------------
# sums
# ---------------------------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Sum(Source):
    """The sum of independent values and of N(0, q), of which c is shared by all sites of a channel.

    One value and a Gaussian that is not much narrower make smooth densities, on panels; all else is added on a
    lattice.
    """

    parts: tuple[Value, ...]
    q: float
    c: float

    @staticmethod
    def of(parts: Sequence[Value], q: float, c: float) -> Sum:
        """The one with rounded moments."""
        q = max(rounded(q), 0.0)
        return _sum(tuple(parts), q, rounded(min(max(c, 0.0), q)))

    @functools.cached_property
    def smooth(self) -> bool:
        """Whether it has a smooth density on panels."""
        lo, hi = self._ends[0]
        few = len(self.parts) == 1 and len(self.parts[0].nodes.u) <= MOST_NODES
        return few and self.q > 0 and hi - lo <= MOST_PANELS * PANEL * math.sqrt(self.q)

    @functools.cached_property
    def _ends(self) -> list[tuple[float, float]]:
        """Where the likely values of terms lie, those of the parts first."""
        terms = [part.at(part.nodes.u)[part.nodes.p > LEAST] for part in self.parts]
        end = REACH * math.sqrt(self.q)
        return [(float(x.min()), float(x.max())) for x in terms] + [(-end, end)] * (self.q > 0)

    def reach(self) -> tuple[float, float]:
        lo, hi = zip(*self._ends)
        return sum(lo), sum(hi)

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        # Rectifiers follow most sums: where it is split at zero anyway one table does.
        return super().nodes(tuple(k for k in knots if k) if self.smooth else knots)

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        return self._on_panels(knots) if self.smooth else self._on_lattice(knots)

    @lazy
    def second(self) -> float:
        """E[u^2], as its nodes give it up to rounding where they are on panels."""
        if not self.smooth:
            nodes = self.nodes(())
            return float(nodes.p @ nodes.u**2)
        return self.q + self.parts[0].second

    @functools.cached_property
    def _narrow(self) -> Nodes:
        """Nodes of the only part, on panels that are not much wider than the Gaussian."""
        part, = self.parts
        (lo, hi), _ = self._ends
        count = math.ceil((hi - lo) / (PANEL * math.sqrt(self.q)))
        return part.source.nodes(split_into(part, count)) if count * ORDER > len(part.nodes.u) else part.nodes

    def _on_panels(self, knots: tuple[float, ...]) -> Nodes:
        (lo, hi), spread, below = self.reach(), math.sqrt(self.q), self._narrow
        count = max(math.ceil((hi - lo) / (PANEL * spread)), 1)
        ends = {*np.linspace(lo, hi, count + 1).tolist(), *(k for k in (0.0, *knots) if lo < k < hi)}
        v, w = panels(np.array(sorted(ends)))
        unit, x = math.sqrt(0.5) / spread, np.clip(self.parts[0].at(below.u), lo, hi)
        same = max(int(np.argmax(x != x[0])), 1)  # what a rectifier stops is one value
        bells = np.subtract.outer(unit * x[same - 1:], unit * v)
        np.multiply(bells, bells, out=bells)
        np.negative(bells, out=bells)
        np.maximum(bells, FAINT, out=bells)  # numbers below the normal range are slow
        np.exp(bells, out=bells)
        whole = bells @ w  # of each row, which is a distribution
        p = below.p[same - 1:].copy()
        p[0] = np.add.reduce(below.p[:same])
        return Nodes(v, (p / whole) @ bells * w, (bells, w, whole, same))

    @functools.cached_property
    def _terms(self) -> tuple[_Lattice, list[Nodes], list[Array]]:
        """The lattice, and nodes and values of the parts, then of the Gaussian."""
        terms = [*self.parts, *[Gaussian.of(self.q, 0.0).value()] * (self.q > 0)]
        nodes = [term.source.nodes(split_into(term, SPLIT)) for term in terms]
        return _Lattice.over(self._ends, FINE), nodes, [term.at(n.u)[None] for term, n in zip(terms, nodes)]

    @functools.cached_property
    def _spectra(self) -> list[Array]:
        lattice, nodes, values = self._terms
        return [lattice.spectrum(x, n.p[None]) for x, n in zip(values, nodes)]

    def _on_lattice(self, knots: tuple[float, ...]) -> Nodes:
        lattice = self._terms[0]
        heap = not self.q and all((x == 0).any() for x in self._terms[2])
        u, p, cuts = lattice.cut(lattice.rows(self._spectra), knots, heap)
        return Nodes(u, p[0], cuts)

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        if self.smooth:
            bells, w, whole, same = nodes.below
            found = (table * w) @ bells.T / whole
            return self._narrow, np.concatenate([np.repeat(found[:, :1], same - 1, axis=1), found], axis=1)
        lattice, terms, values = self._terms
        rest = [one for n, one in enumerate(self._spectra) if n != part]
        return terms[part], lattice.given(values[part], rest, lattice.whole(table, nodes.below))[:, 0]

    def given(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        return self.pull(part, nodes, table)

    def sharing_more(self, part: float) -> Sum:
        parts = [Value.of(one.source.sharing_more(part), one.steps) for one in self.parts]
        return Sum.of(parts, self.q, self.c + part * (self.q - self.c))

    @property
    def _terms_of_all(self) -> tuple[list[Value], float, float]:
        """The parts, those that are sums themselves by what they are sums of, and the moments of all Gaussians."""
        found: list[Value] = []
        q, c = self.q, self.c
        for part in self.parts:
            if not isinstance(part.source, Sum) or not all(isinstance(step, Affine) for step in part.steps):
                found.append(part)
                continue
            factor = float(part.slope(np.zeros(())))
            inner, more, shared = part.source._terms_of_all
            shift = float(part.at(np.zeros(())))
            found += [one.times(factor, shift * (n == 0)) for n, one in enumerate(inner)]
            q, c = q + factor**2 * more, c + factor**2 * shared
        return found, q, c

    @functools.cached_property
    def alone(self) -> bool:
        return not self.c and all(part.source.alone for part in self.parts)

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        if not self.c and all(len(part.rows[1]) == 1 for part in self.parts):
            nodes = self.nodes(knots)
            below = cumulated(nodes.p[None]) if self.smooth else None
            return SiteDistribution(nodes.u[None], nodes.p[None], np.ones((1, len(nodes.u))), np.ones(1), below)
        # What is shared is followed for the part that varies most; the others count as Gaussian there.
        parts, q, c = self._terms_of_all
        spread = [part.second - part.mean**2 for part in parts]
        main = int(np.argmax(spread))
        rest = [part for n, part in enumerate(parts) if n != main]
        q += sum(s for n, s in enumerate(spread) if n != main)
        c += sum(part.distribution.cov_site - part.mean**2 for part in rest)
        known = parts[main].distribution
        shifted = replace(known, x=known.x + sum(part.mean for part in rest))
        return site_distribution.plus(shifted, q, min(max(c, 0.0), q))


def split_into(value: Value, count: int) -> tuple[float, ...]:
    """The knots of a value, and more for so many panels at least."""
    ends = np.linspace(*value.source.reach(), count + 1)
    return tuple(sorted({*value.knots, *ends[1:-1].tolist()}))


@interned(256)
def _sum(parts: tuple[Value, ...], q: float, c: float) -> Sum:
    return Sum(parts, q, c)


# ---------------------------------------------------------------------------------------------
# pools, dropout, norms
# ---------------------------------------------------------------------------------------------

@dataclass(frozen=True, eq=False)
class Largest(Source):
    """The largest of `count` sites of one value, which share what sites of a channel do.

    `window` is the value such that its sites share what those of one window do, if that is more; `local` says that
    sites of one window share it, and no others.
    """

    parts: tuple[Value, ...]
    count: int
    local: bool
    window: Value

    @staticmethod
    @interned(256)
    def of(value: Value, count: int, local: bool = False, window: Value | None = None) -> Largest:
        """The interned one."""
        return Largest((value,), count, local, window or value)

    def of_sites(self, count: int) -> Largest:
        """The largest of so many of these sites."""
        return Largest.of(self.parts[0], count, self.local, self.window)

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        value, = self.parts
        below = value.source.nodes(tuple(sorted({*value.knots, *value.preimage(knots)})))
        wins = self.winning(below)
        wins /= below.p @ wins
        return Nodes(value.at(below.u), below.p * wins, (below, wins))

    def overlaps(self, above: Value) -> Array:
        """Correlations of a function of the largest between windows that have a part of their sites in common."""
        found = self.window.distribution.overlap(self.count, above.at)
        return np.asarray(found / (found[-1] or 1.0))

    def winning(self, below: Nodes) -> Array:
        """How much oftener than others a site wins, at nodes of the source of its value."""
        value, = self.parts
        source, x = value.source, value.at(below.u)
        joint = source.winning_sites(value, below, self.count)
        if joint is not None:
            return joint
        rising = (np.diff(x[np.argsort(below.u, kind="stable")]) >= 0).all()
        if isinstance(source, Gaussian) and rising:
            return source.winning(below.u, self.count)
        distribution, source = self.window.distribution, self.window.source
        if len(distribution.share) == 1:
            if rising and isinstance(source, Sum) and source.smooth:
                return np.asarray(self.count * cumulated(below.p)**(self.count - 1))
            return largest_wins(x, below.p, self.count)
        # Rows on their own points: what a site wins given its value, averaged over rows.
        base = source.distribution(value.knots)
        at = np.broadcast_to(value.at(base.x), base.p.shape)
        wins = np.stack([largest_wins(row, p, self.count) for row, p in zip(at, base.p)])
        where = base.x if rising else value.at(base.x)
        weight = base.share[:, None] * base.p
        return _at(below.u if rising else x, np.broadcast_to(where, weight.shape), weight, wins)

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        below, wins = nodes.below
        return below, table * wins

    def given(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        """The site itself if it wins, else what is larger."""
        below, wins = nodes.below
        order = np.argsort(nodes.u, kind="stable")
        won, h = np.maximum.accumulate(np.minimum(wins[order] / self.count, 1.0)), table[:, order]
        steps = (h[:, 1:] + h[:, :-1]) / 2 * np.diff(won)
        larger = np.zeros(h.shape)
        larger[:, :-1] = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
        out = np.empty(h.shape)
        out[:, order] = h * won + larger + (1 - won[-1]) * h[:, -1:]
        return below, out

    @functools.cached_property
    def _largest(self) -> SiteDistribution:
        largest = self.window.distribution.largest_of(self.count)
        return largest.as_one_row() if self.local else largest

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        return replace(self._largest, slope=np.ones(self._largest.x.shape))


def largest_wins(x: Array, p: Array, count: int) -> Array:
    """`count` times the probability that the largest of `count` sites is one of value x; equal ones win equally."""
    unit = float(np.abs(x).max(initial=0.0)) or 1.0
    _, which = np.unique(np.round(x / unit, DIGITS), return_inverse=True)
    mass = np.bincount(which, p)
    reached = np.minimum(np.cumsum(mass), 1.0)
    won = np.diff(reached**count, prepend=0.0)
    return np.divide(won, mass, out=count * reached**(count - 1), where=mass > 0)[which]


def _at(targets: Array, x: Array, weight: Array, table: Array) -> Array:
    """Weighted means of a table over points x, at targets near to them; rounding does not tell targets apart."""
    unit = float(np.abs(targets).max(initial=0.0)) or 1.0
    distinct, which = np.unique(np.round(targets / unit, DIGITS), return_inverse=True)
    edges = (distinct[1:] + distinct[:-1]) / 2 + 10.0**-DIGITS / 4  # beside what has been rounded
    bins = np.searchsorted(edges, np.round(x.ravel() / unit, DIGITS))
    total, sums = (np.bincount(bins, w.ravel(), len(distinct)) for w in (weight, weight * table))
    met = np.flatnonzero(total > 0)
    return np.interp(np.arange(len(distinct)), met, sums[met] / total[met])[which.reshape(-1)]


@dataclass(frozen=True, eq=False)
class Dropped(Source):
    """Inverted dropout: a value over 1 - p, or 0 with probability p."""

    parts: tuple[Value, ...]
    p: float

    @staticmethod
    @interned(256)
    def of(value: Value, p: float) -> Dropped:
        """The interned one."""
        return Dropped((value,), p)

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        value, kept = self.parts[0], 1 - self.p
        below = value.source.nodes(tuple(sorted({*value.knots, *value.preimage([knot * kept for knot in knots])})))
        return Nodes(np.append(value.at(below.u) / kept, 0.0), np.append(below.p * kept, self.p), below)

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        return nodes.below, table[:, :-1]

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        distribution = self.parts[0].distribution
        zero = np.zeros((len(distribution.x), 1))
        x = np.concatenate([distribution.x / (1 - self.p), zero], axis=1)
        p = np.concatenate([distribution.p * (1 - self.p), np.full((len(distribution.p), 1), self.p)], axis=1)
        return SiteDistribution(x, p, np.ones(x.shape), distribution.share)


@dataclass(frozen=True, eq=False)
class Itself(Source):
    """A value as a source of its own: gradients are followed to it, and not to what it was made of."""

    parts: tuple[Value, ...]

    ends = True

    @staticmethod
    @interned(256)
    def of(value: Value) -> Itself:
        """The interned one."""
        return Itself((value,))

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        value, = self.parts
        below = value.source.nodes(tuple(sorted({*value.knots, *value.preimage(knots)})))
        return Nodes(value.at(below.u), below.p, below)

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        return nodes.below, table

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        known = self.parts[0].distribution
        return replace(known, slope=np.ones(known.x.shape))


@dataclass(frozen=True, eq=False)
class Joint(Source):
    """The sum of functions of one source."""

    parts: tuple[Value, ...]

    joint = True

    @staticmethod
    @interned(256)
    def of(parts: tuple[Value, ...]) -> Joint:
        """The interned one."""
        return Joint(parts)

    def _at(self, u: Array) -> Array:
        return np.asarray(sum(part.at(u) for part in self.parts))

    @functools.cached_property
    def _knots(self) -> tuple[float, ...]:
        return tuple(sorted({knot for part in self.parts for knot in part.knots}))

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        whole = Value(self.parts[0].source, (Function(self._at, np.zeros_like),))
        below = whole.source.nodes(tuple(sorted({*self._knots, *whole.preimage(knots)})))
        return Nodes(self._at(below.u), below.p, below)

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        return nodes.below, table

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        base = self.parts[0].source.distribution(self._knots)
        return replace(base, x=self._at(base.x), slope=np.ones(base.x.shape))


#: The largest value after a batch norm, over its deviation: that of a thousand values of which one is not zero.
FARTHEST = 32.0


@dataclass(frozen=True, eq=False)
class Standardised(Source):
    """A value less the mean of its channel, over its deviation: what batch norm makes of one whose channels differ."""

    parts: tuple[Value, ...]

    @staticmethod
    @interned(256)
    def of(value: Value) -> Standardised:
        """The interned one."""
        return Standardised((value,))

    @functools.cached_property
    def _knots(self) -> tuple[float, ...]:
        return split_into(self.parts[0], ROWS_SPLIT)

    @functools.cached_property
    def _rows(self) -> tuple[Array, Array]:
        """Values, and the gain of power in a channel over 1 / mean variance, shape (rows, 1)."""
        base = self.parts[0].source.distribution(self._knots)
        x = np.broadcast_to(self.parts[0].at(base.x), base.p.shape)
        x = x - (base.p * x).sum(axis=1, keepdims=True)
        variance = (base.p * x**2).sum(axis=1, keepdims=True)
        mean = float(base.share @ variance[:, 0])
        variance = np.maximum(variance, DEAD * mean)
        # Of n values none is more than sqrt(n) deviations off; nearly closed channels would reach far beyond that.
        return np.clip(x / np.sqrt(variance), -FARTHEST, FARTHEST), mean / variance

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        base = self.parts[0].source.distribution(self._knots)
        return Nodes(self._rows[0].ravel(), (base.share[:, None] * base.p).ravel())

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        """What is known times the channel's gain (its root for pairs)."""
        x, gain = self._rows
        gains = np.tile([gain, np.sqrt(gain)], (len(table) // 2, 1, 1))
        return from_rows(self.parts[0], table.reshape(len(table), *x.shape) * gains, self._knots)

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        base = self.parts[0].source.distribution(self._knots)
        x = self._rows[0]
        return SiteDistribution(x, base.p, np.ones(x.shape), base.share)


@dataclass(frozen=True, eq=False)
class RowMeans(Source):
    """What all sites of a channel share of a value: its mean given the shared part."""

    parts: tuple[Value, ...]

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        distribution = self.parts[0].distribution
        return Nodes(distribution.row_means, distribution.share)

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        return from_rows(self.parts[0], table[:, :, None], self.parts[0].knots)

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        nodes = self.nodes(())
        return SiteDistribution(nodes.u[:, None], np.ones((len(nodes.u), 1)), np.ones((len(nodes.u), 1)), nodes.p)


def from_rows(value: Value, table: Array, knots: tuple[float, ...]) -> tuple[Nodes, Array]:
    """A table over rows and points of a source's distribution as one over nodes of the source: means over rows."""
    base = value.source.distribution(knots)
    weight = base.share[:, None] * base.p
    table = np.broadcast_to(table, (len(table), *weight.shape))
    if not value.source.parts:  # nothing further down asks
        return (Nodes(np.broadcast_to(base.x, base.p.shape).ravel(), weight.ravel()),
                table.reshape(len(table), -1))
    nodes = value.source.nodes(knots)
    if base.x.shape == (1, len(nodes.u)) and np.array_equal(base.x[0], nodes.u):  # rows on these very points
        p, mean = weight.sum(axis=0), (table * weight).sum(axis=1)
        return nodes, np.divide(mean, p, out=np.ones(mean.shape), where=p > 0)
    # Products have some values at several nodes, which know the same of them.
    unit = float(np.abs(nodes.u).max()) or 1.0
    _, first, which = np.unique(np.round(nodes.u / unit, DIGITS), return_index=True, return_inverse=True)
    target = nodes.u[first]
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
        out[n] = np.interp(np.arange(len(target)), np.flatnonzero(met), made[met] / total[met])
    return nodes, out[:, which]


# ---------------------------------------------------------------------------------------------
# filters
# ---------------------------------------------------------------------------------------------

def average(value: Value, weights: Sequence[float], q: float, c: float) -> Value:
    """sum_b w_b u_b over sites of one value, with second moment q, of which c is shared by all sites of a channel.

    Where the sites have more in common than their channel, the sum has fewer independent terms.
    """
    taps = sorted(w for w in weights if w)
    if not taps:
        return value.times(0.0)
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


@interned(128)
def _row_means(value: Value) -> RowMeans:
    return RowMeans((value,))


@interned(128)
def _averaged(value: Value, weights: tuple[float, ...]) -> Averaged:
    return Averaged((value,), weights)


@dataclass(frozen=True, eq=False)
class Averaged(Source):
    """sum_b w_b u_b over sites of one value that are independent given what their channel shares."""

    parts: tuple[Value, ...]
    weights: tuple[float, ...]

    @functools.cached_property
    def _knots(self) -> tuple[float, ...]:
        return split_into(self.parts[0], ROWS_SPLIT)

    @functools.cached_property
    def _sites(self) -> tuple[Array, Array]:
        """Values of a site and their probabilities per row."""
        base = self.parts[0].source.distribution(self._knots)
        return np.broadcast_to(self.parts[0].at(base.x), base.p.shape), base.p

    @functools.cached_property
    def _lattice(self) -> _Lattice:
        x = self._sites[0]
        lo, hi = float(x.min()), float(x.max())
        return _Lattice.over([(min(w * lo, w * hi), max(w * lo, w * hi)) for w in self.weights], GRID)

    @functools.cached_property
    def _heap(self) -> bool:
        """Whether sites are often exactly zero."""
        return bool((self._sites[0] == 0).any())

    @functools.cached_property
    def _spectra(self) -> dict[float, Array]:
        x, p = self._sites
        return {w: self._lattice.spectrum(w * x, p) for w in set(self.weights)}

    @functools.cached_property
    def _rows(self) -> Array:
        return self._lattice.rows([self._spectra[w] for w in self.weights])

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        u, rows, cuts = self._lattice.cut(self._rows, knots, self._heap)
        return Nodes(u, self.parts[0].distribution.share @ rows, cuts)

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        """Each site's squared weight times what is known given its value, over the sum of squares."""
        return self._over_sites(nodes, table, {w: w * w for w in self.weights})

    def given(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        """The mean over its sites."""
        return self._over_sites(nodes, table, dict.fromkeys(self.weights, 1.0))

    def _over_sites(self, nodes: Nodes, table: Array, often: dict[float, float]) -> tuple[Nodes, Array]:
        """The mean of what is known given the value of a site, where those of each weight count so often."""
        (x, _), table = self._sites, self._lattice.whole(table, nodes.below)
        total = np.zeros((len(table), *x.shape))
        for w, each in often.items():
            rest = list(self.weights)
            rest.remove(w)
            there = self._lattice.given(w * x, [self._spectra[b] for b in rest], table)
            total += each * self.weights.count(w) * there
        return from_rows(self.parts[0], total / sum(often[w] for w in self.weights), self._knots)

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        u, rows, _ = self._lattice.cut(self._rows, knots, self._heap)
        return SiteDistribution(u[None], rows, np.ones((1, len(u))), self.parts[0].distribution.share)
