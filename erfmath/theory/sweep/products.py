"""Products: their distribution, and what is known of a gradient given one factor.

Nodes are all pairs of nodes of the factors, which are split at 0, so that rectifiers of products are exact.  What is
known of a gradient given a factor a is E[b^2 h(a b)] / E[b^2] (docs/theory.md, equation 46), and for pairs of distant
sites the same with b where b is mostly its mean.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..memory import interned, remembered
from .site_distribution import SiteDistribution
from .sources import ROWS_SPLIT, Largest, from_rows, largest_wins, split_into
from .taps import Array
from .values import Affine, Gaussian, Nodes, Source, Step, Value

__all__ = ["Product", "Responsive", "constant_of"]

#: Pairs of nodes above which values are put into so many bins per factor, and rows and columns of distributions.
MOST, BINS, ROWS, COLUMNS = 600_000, 400, 8, 80
#: Values are told apart in so many digits, and bins end so much early, so that rounding decides nothing.
DIGITS, TIE = 9, 1e-7
#: Part of its second moment above which a factor counts as its mean for pairs of distant sites.
MOSTLY = 0.25
#: What sites of a channel may differ by, as a part of the second moment, in a factor that they count as sharing.
LASTING = 0.05
#: Variance, as a part of the second moment, below which a value counts as constant.
CONSTANT = 1e-12


def constant_of(value: Value) -> float | None:
    """The value where it is the same always, else None."""
    mean, second = value.mean, value.second
    return mean if second - mean**2 <= CONSTANT * second else None


class _Factor(NamedTuple):
    """Points of one factor: values, probabilities, and the point of each node of its source."""

    nodes: Nodes
    v: Array
    p: Array
    which: Array | None

    @staticmethod
    def of(value: Value, bins: int | None) -> _Factor:
        """With no more than so many points, if given."""
        nodes = value.source.nodes(tuple(sorted({*value.knots, *value.preimage((0.0,))})))
        v = np.asarray(value.at(nodes.u), dtype=float)
        if bins is None or len(v) <= bins:
            return _Factor(nodes, v, nodes.p, None)
        which = _bins(v, nodes.p, bins)
        x, p = _gathered(v, nodes.p, which, power=True)
        return _Factor(nodes, x, p, which)


def _bins(v: Array, p: Array, count: int) -> Array:
    """Which of about `count` bins each value is put to: neighbours of one sign, of like mass and second moment."""
    second = float(p @ v**2) or 1.0
    _, which = np.unique(np.round(v / math.sqrt(second), DIGITS), return_inverse=True)  # ties go to one bin
    mass = np.cumsum(np.bincount(which, p * (1 + v**2 / second)))
    place = np.minimum(np.floor(mass / mass[-1] * count + TIE), count - 1)[which]
    return np.asarray(np.unique(place + (count + 1) * np.sign(v), return_inverse=True)[1].reshape(-1))


def _gathered(v: Array, p: Array, which: Array, power: bool) -> tuple[Array, Array]:
    """Values of bins, which keep the mean or (`power`) the second moment, and their probabilities."""
    total = np.bincount(which, p)
    plain = np.zeros(len(total))
    plain[which] = v
    known = total > 0
    mean = np.bincount(which, p * v**2 if power else p * v) / np.where(known, total, 1.0)
    return np.where(known, np.sign(plain) * np.sqrt(mean) if power else mean, plain), total


@dataclass(frozen=True, eq=False)
class Product(Source):
    """The product of independent values."""

    parts: tuple[Value, ...]

    @staticmethod
    def of(parts: tuple[Value, ...]) -> Product:
        """The interned one; its parts are in an order of their own, so that it is the same however they came."""
        return _product(tuple(sorted(parts, key=_shape)))

    @functools.cached_property
    def _lasting(self) -> list[bool]:
        """Of each factor whether all sites and inputs have it in common, but for little of it."""
        return [part.second - part.distribution.cov_site <= LASTING * part.second for part in self.parts]

    @property
    def lasting(self) -> bool:
        """Whether there is such a factor."""
        return any(self._lasting)

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        factors = [_Factor.of(part, None) for part in self.parts]
        if math.prod(len(f.v) for f in factors) > MOST:
            bins = BINS if len(self.parts) == 2 else int(MOST**(1 / len(self.parts)))
            factors = [_Factor.of(part, bins) for part in self.parts]
        return Nodes(*_pairs(factors), factors)

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        return super().nodes(())  # split at zero as they are; other kinks lie between many points

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        factors: list[_Factor] = nodes.below
        whole = table.reshape(len(table), *(len(f.v) for f in factors))
        rows = [whole[0::2], whole[1::2]]
        for k in reversed([k for k in range(len(factors)) if k != part]):
            power, pairs = self._weights(k, factors[k])
            rows = [np.moveaxis(row, 1 + k, -1) @ w for row, w in zip(rows, (power, pairs))]
        out = np.stack(rows, axis=1).reshape(len(table), -1)
        which = factors[part].which
        return factors[part].nodes, out if which is None else out[:, which]

    def winning_sites(self, value: Value, nodes: Nodes, count: int) -> Array | None:
        """Of sites that share a factor the one wins whose other factors make the largest value."""
        own, shared = ([k for k, lasts in enumerate(self._lasting) if lasts is kind] for kind in (False, True))
        if not own or not shared:
            return None
        factors: list[_Factor] = nodes.below
        others, weights = _pairs([factors[k] for k in shared])
        rises = bool((np.diff(value.at(np.sort(nodes.u))) >= 0).all())
        kinds = np.sign(others).astype(int) if rises else _bins(others, weights, ROWS)
        sizes = [len(factors[k].v) for k in (*own, *shared)]
        wins = np.ones((math.prod(sizes[:len(own)]), len(others)))
        for kind in np.unique(kinds[others != 0]):
            these = kinds == kind
            factor = float(kind) if rises else float(np.average(others[these], weights=weights[these]))
            wins[:, these] = self._winning(own, factors, factor, () if rises else value.steps, count)[:, None]
        return np.moveaxis(wins.reshape(sizes), range(len(sizes)), (*own, *shared)).ravel()

    def _winning(self, own: Sequence[int], factors: Sequence[_Factor], factor: float, steps: Sequence[Step], count: int
                 ) -> Array:
        """How much oftener than others a site wins, of the product of some factors times a number."""
        part, (nodes, _, _, which) = self.parts[own[0]], factors[own[0]]
        if len(own) > 1:  # as if no two sites had anything of these in common
            x, p = _pairs([factors[k] for k in own])
            return largest_wins(_stepped(Gaussian.of(1.0, 0.0).value().times(factor), steps).at(x), p, count)
        won = Largest.of(_stepped(part.times(factor), steps), count).winning(nodes)
        if which is None:
            return won
        total = np.bincount(which, nodes.p)
        return np.asarray(np.bincount(which, nodes.p * won) / np.where(total > 0, total, 1.0))

    def _weights(self, k: int, f: _Factor) -> tuple[Array, Array]:
        """Probabilities of a factor's points, weighed by what it multiplies power and pairs by; each of sum 1."""
        square = f.p * f.v**2
        second, mean = float(square.sum()), float(f.p @ f.v)
        if not second:
            return f.p, f.p
        return square / second, f.p * f.v / mean if mean**2 > MOSTLY * second else square / second

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        x, p, share = _reduced(self.parts[0].distribution)
        for part in self.parts[1:]:
            y, r, other = _reduced(part.distribution)
            pairs = [(np.multiply.outer(a, b).ravel(), np.multiply.outer(f, g).ravel())
                     for a, f in zip(x, p) for b, g in zip(y, r)]
            x, p = _rows(pairs)
            share = np.outer(share, other).ravel()
            x, p, share = _reduced(SiteDistribution(x, p, np.ones(x.shape), share), 3 * COLUMNS)
        return SiteDistribution(x, p, np.ones(x.shape), share)


def _pairs(factors: Sequence[_Factor]) -> tuple[Array, Array]:
    """Products of all points of all factors, and their probabilities."""
    u, p = np.ones(1), np.ones(1)
    for f in factors:
        u, p = np.multiply.outer(u, f.v).ravel(), np.multiply.outer(p, f.p).ravel()
    return u, p


def _stepped(value: Value, steps: Sequence[Step]) -> Value:
    """A value after more steps."""
    for step in steps:
        value = value.times(step.a, step.b) if isinstance(step, Affine) else value.through(step)
    return value


@remembered(256, lasting=False)
def _shape(value: Value) -> tuple[float, ...]:
    """What tells values apart, whatever their scale is, and last their scale."""
    second, fourth = value.second or 1.0, float(value.nodes.p @ np.asarray(value.at(value.nodes.u))**4)
    return round(value.mean**2 / second, 9), round(fourth / second**2, 6), second


@interned(256)
def _product(parts: tuple[Value, ...]) -> Product:
    return Product(parts)


def _reduced(distribution: SiteDistribution, columns: int = COLUMNS) -> tuple[Array, Array, Array]:
    """Values, probabilities and shares of a few rows."""
    level = distribution.row_means / (math.sqrt(distribution.second) or 1.0)
    order = np.argsort(np.round(level, DIGITS), kind="stable")
    share = distribution.share[order]
    middle = np.cumsum(share) - share / 2
    into = np.minimum((middle * ROWS + TIE).astype(int), ROWS - 1)
    rows = []
    shares = []
    x = np.broadcast_to(distribution.x, distribution.p.shape)
    for n in np.unique(into):
        these = order[into == n]
        weight = distribution.share[these]
        shares.append(weight.sum())
        p = (weight[:, None] * distribution.p[these]).ravel() / weight.sum()
        rows.append((x[these].ravel(), p))
    return *_rows(rows, columns), np.array(shares)


def _rows(rows: list[tuple[Array, Array]], columns: int = COLUMNS) -> tuple[Array, Array]:
    """Values and probabilities, one row each, in the same number of columns."""
    binned = [_gathered(v, p, _bins(v, p, columns), power=False) for v, p in rows]
    most = max(len(v) for v, _ in binned)
    x = np.stack([np.pad(v, (0, most - len(v)), mode="edge") for v, _ in binned])
    p = np.stack([np.pad(p, (0, most - len(p))) for _, p in binned])
    return x, p


@dataclass(frozen=True, eq=False)
class Responsive(Source):
    """(1 + gamma N) v + beta, N the root mean square of v over the sites of its channel, in parts of the mean one."""

    parts: tuple[Value, ...]
    gamma: float
    beta: float

    @staticmethod
    @interned(64)
    def of(value: Value, gamma: float, beta: float) -> Responsive:
        """The interned one."""
        return Responsive((value,), gamma, beta)

    @functools.cached_property
    def _knots(self) -> tuple[float, ...]:
        return split_into(self.parts[0], ROWS_SPLIT)

    @functools.cached_property
    def _rows(self) -> tuple[Array, Array]:
        """Values, and what those of a channel are multiplied by, shape (rows, 1)."""
        base = self.parts[0].source.distribution(self._knots)
        v = np.broadcast_to(self.parts[0].at(base.x), base.p.shape)
        norm = np.sqrt((base.p * v**2).sum(axis=1, keepdims=True))
        factor = 1 + self.gamma * norm / (float(base.share @ norm[:, 0]) or 1.0)
        return factor * v + self.beta, factor

    @functools.cached_property
    def power(self) -> float:
        """Mean square of what channels are multiplied by."""
        return float(self.parts[0].source.distribution(self._knots).share @ self._rows[1][:, 0]**2)

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        base = self.parts[0].source.distribution(self._knots)
        return Nodes(self._rows[0].ravel(), (base.share[:, None] * base.p).ravel())

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        """What is known times the square of the channel's factor over the mean one (the factor, for pairs)."""
        x, factor = self._rows
        gain = factor**2 / self.power
        gains = np.tile([gain, np.sqrt(gain)], (len(table) // 2, 1, 1))
        return from_rows(self.parts[0], table.reshape(len(table), *x.shape) * gains, self._knots)

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        base, x = self.parts[0].source.distribution(self._knots), self._rows[0]
        return SiteDistribution(x, base.p, np.ones(x.shape), base.share)
