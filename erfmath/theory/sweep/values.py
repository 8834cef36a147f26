"""Values of one site: where they come from, and what is known of a gradient given the value that it meets.

A `Source` is a random variable of one site that no elementwise layer made: a Gaussian (what a random layer puts
out), a sum of independent values, the largest of a window, a filter's average, dropout.  A `Value` is a
function of one source, made by elementwise layers.  The second moment of a gradient, given the value of its
site, is a table over the *nodes* of a source; `Source.pull` gives it on the nodes of each value that the
source was made of, as a conditional expectation (docs/theory.md, equations 45 and 46).

Nodes are Gauss-Legendre points on panels split wherever a function on them has a kink, so that expectations are
good to about 1e-10 (1e-7 where poles are near, as those of tanh).  Sources that are made of other values are in
`sources`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Union

import numpy as np

from ..memory import interned, lazy, remembered
from ..rules import functions
from ..rules.functions import Function, normal_cdf
from . import site_distribution
from .site_distribution import SiteDistribution
from .taps import Array

__all__ = ["Affine", "Gaussian", "Known", "Nodes", "ORDER", "PANEL", "POINTS", "REACH", "SiteValue", "Source", "Value",
           "cumulated", "gauss_hermite", "panels", "rounded"]

#: How far nodes of a Gaussian reach, in standard deviations, the width of their panels, and points on each.
REACH, PANEL, ORDER = 8.5, 2.0, 10
POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(ORDER)
#: Smooth functions bend here; nodes of values that reach over more than so much are split there.
BENDS, WIDE = (-8.0, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0), 8.0
#: Probability below which rounding may have made a value.
RARE = 1e-13
#: What counts as nothing in a table: far smaller numbers are slow.
NOTHING = 1e-60
#: Terms of the expansion that says how much Gaussians have in common whose functions have something in common.
TERMS = 40


class Nodes(NamedTuple):
    """Points of a source and their probabilities.

    Attributes
    ----------
    u, p : ndarray, shape (nodes,)
    below : object
        What the source that made them needs to take a table over them to its parts.
    """

    u: Array
    p: Array
    below: Any = None

    def table_at(self, table: Array, u: Array) -> Array:
        """A function given at these points, at others."""
        order = np.argsort(self.u, kind="stable")
        return np.asarray(np.interp(u, self.u[order], table[order]))


@dataclass(frozen=True, eq=False)
class Known:
    """Second and first moment of what gates multiply a gradient by, given the source: each of mean 1.

    Attributes
    ----------
    nodes : Nodes
        Of the source.
    table : ndarray, shape (2, nodes)
        For the power, and for pairs of distant sites.
    """

    nodes: Nodes
    table: Array

    @lazy
    def further(self) -> dict[Any, Any]:
        """What it becomes below, as `conditioning.passed` has found it."""
        return {}


class Affine(NamedTuple):
    """v = a u + b."""

    a: float
    b: float = 0.0


Step = Union[Function, Affine]


def _inverse(step: Step) -> Callable[[Sequence[float]], list[float]] | None:
    """Where a step that never falls, or always does, and is of straight lines passes any of some values."""
    if isinstance(step, Affine):
        return (lambda values: [(v - step.b) / step.a for v in values]) if step.a else None
    above, below = step.above, step.below
    if below is None or not above > 0 or below < 0:
        return None
    return lambda values: [v / above if v >= 0 else v / below for v in values if v >= 0 or below]


def rounded(x: float) -> float:
    """Two numbers that differ by rounding as one, so that what is made of them can be remembered."""
    return float(f"{x:.13e}")


def panels(edges: Array) -> tuple[Array, Array]:
    """Gauss-Legendre points and weights between consecutive `edges`, along the last axis."""
    middle, half = (edges[..., 1:] + edges[..., :-1]) / 2, np.diff(edges) / 2
    u = middle[..., None] + half[..., None] * POINTS
    w = half[..., None] * _WEIGHTS
    return u.reshape(*edges.shape[:-1], -1), w.reshape(*edges.shape[:-1], -1)


_LEGENDRE = np.polynomial.legendre.legvander(POINTS, ORDER)
_DEGREES = np.arange(ORDER)
# From -1 to each point, the integral of P_k is (P_{k+1} - P_{k-1}) / (2 k + 1).
_INTEGRALS = np.column_stack([POINTS + 1, (_LEGENDRE[:, 2:] - _LEGENDRE[:, :-2]) / (2 * _DEGREES[1:] + 1)]) @ (
    (_DEGREES + 0.5)[:, None] * _LEGENDRE[:, :-1].T * _WEIGHTS)
_PARTS = _INTEGRALS / _WEIGHTS


def cumulated(p: Array) -> Array:
    """Probability below each of the nodes of panels that lie side by side, along the last axis."""
    part = p.reshape(*p.shape[:-1], -1, ORDER)
    whole = part.sum(axis=-1)
    before = np.cumsum(whole, axis=-1) - whole
    return np.clip((before[..., None] + part @ _PARTS.T).reshape(p.shape), 0.0, 1.0)


class Source(ABC):
    """A random variable of one site; sources are interned, so that equal parts of networks are made once."""

    #: The values that it was made of; empty where conditioning ends.
    parts: tuple[Value, ...]

    def nodes(self, knots: tuple[float, ...]) -> Nodes:
        """Nodes on panels split at `knots`: the same object for the same knots."""
        made = self._made.get(knots)
        return self._made.setdefault(knots, self._make(knots)) if made is None else made  # of two threads the first

    @lazy
    def _made(self) -> dict[tuple[float, ...], Nodes]:
        return {}

    @abstractmethod
    def _make(self, knots: tuple[float, ...]) -> Nodes:
        """The nodes, when they are first asked for."""

    @abstractmethod
    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        """The distribution with the part that all sites of a channel share as rows."""

    @abstractmethod
    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        """E[table | value number `part`], on nodes of that value's source; `table` has shape (functions, nodes)."""

    def given(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array] | None:
        """E[table at the source | value number `part` at one of its sites]; None where that is not known."""
        return None

    def winning_sites(self, value: Value, nodes: Nodes, count: int) -> Array | None:
        """How much oftener than others a site wins of `count` of a value of it, at its nodes; None: as the value says.

        Where sites have part of a source in common, a larger one is no reason to win.
        """
        return None

    def sharing_more(self, part: float) -> Source:
        """The same, sites of which share this part of what else is their own, if it can tell."""
        return self

    def passing(self, nodes: Nodes) -> Array:
        """Parts of the power of a gradient that passes what made the source, at its nodes; their sum is 1."""
        return nodes.p

    @lazy
    def joint(self) -> bool:
        """Whether values that depend on one another went into it: conditioning on one is then not enough."""
        return any(part.source.joint for part in self.parts)

    @lazy
    def ends(self) -> bool:
        """Whether gradients are followed to a value that went into it, and not to what that was made of."""
        return any(part.source.ends for part in self.parts)

    @property
    def alone(self) -> bool:
        """Whether it is known at once that sites of a channel share nothing: their distribution has one row."""
        return False

    @lazy
    def second(self) -> float:
        """E[u^2]."""
        nodes = self.nodes(())
        return float(nodes.p @ nodes.u**2)

    def reach(self) -> tuple[float, float]:
        """Where its values lie."""
        u = self.nodes(()).u
        return float(u.min()), float(u.max())

    def value(self) -> Value:
        """The source itself as a value."""
        return Value.of(self, ())


@dataclass(frozen=True, eq=False)
class Value:
    """A function of a source: steps of elementwise layers, the lowest first."""

    source: Source
    steps: tuple[Step, ...] = ()

    @staticmethod
    @interned(4096)
    def of(source: Source, steps: tuple[Step, ...] = ()) -> Value:
        """The interned one."""
        return Value(source, steps)

    def at(self, u: Array) -> Array:
        """The value where the source is `u`."""
        for step in self.steps:
            u = u * step.a + step.b if isinstance(step, Affine) else step.value(u)
        return u

    def slope(self, u: Array) -> Array:
        """Its derivative by the source."""
        total, last = np.ones(np.shape(u)), len(self.steps) - 1
        for n, step in enumerate(self.steps):
            total *= step.a if isinstance(step, Affine) else step.slope(u)
            if n < last:
                u = u * step.a + step.b if isinstance(step, Affine) else step.value(u)
        return total

    def through(self, phi: Function) -> Value:
        """After an activation."""
        return Value.of(self.source, (*self.steps, phi))

    def sharing(self, cov_site: float) -> Value:
        """The same, such that E[v v'] of two sites is `cov_site`, as far as its source can tell."""
        if not isinstance(self.source, Gaussian):
            least, most = (value.distribution.cov_site for value in (self, self._sharing_more(1.0)))
            return self if most - least <= 1e-9 * most else self._sharing_more(
                float(np.clip((cov_site - least) / (most - least), 0.0, 1.0)))
        if not self.source.q:
            return self
        found = float(np.interp(cov_site, self._made_of_correlations, _powers()[0]))
        return Value.of(self.source.sharing(found * self.source.q), self.steps)

    @lazy
    def _made_of_correlations(self) -> Array:
        """E[v v'] where two values of its Gaussian source have the correlations of `_powers`."""
        assert isinstance(self.source, Gaussian)
        nodes, end = self.nodes, math.sqrt(self.source.q)
        hermite, v = functions.hermite(nodes.u / end, TERMS), self.at(nodes.u)
        terms = ((nodes.p * v) @ hermite)**2
        terms[-1] += max(float(nodes.p @ v**2) - terms.sum(), 0.0)
        return np.asarray(np.maximum.accumulate(_powers()[1] @ terms))

    def _sharing_more(self, part: float) -> Value:
        source = self.source.sharing_more(part)
        return self if source is self.source else Value.of(source, self.steps)

    def times(self, a: float, b: float = 0.0) -> Value:
        """a v + b."""
        if abs(a - 1) < 1e-13 and b == 0:
            return self
        if self.steps and isinstance(self.steps[-1], Affine):
            last = self.steps[-1]
            return Value.of(self.source, (*self.steps[:-1], Affine(rounded(last.a * a), rounded(last.b * a + b))))
        return Value.of(self.source, (*self.steps, Affine(rounded(a), rounded(b))))

    @lazy
    def knots(self) -> tuple[float, ...]:
        """Where the source's nodes must be split: kinks of the steps, and bends that nodes may miss."""
        found: set[float] = set()
        for n, step in enumerate(self.steps):
            if isinstance(step, Affine):
                continue
            for branch in step.branches:
                found.update(Value.of(self.source, (*self.steps[:n], *branch)).knots)
            below, knots = Value.of(self.source, self.steps[:n]), step.knots
            if step.below is None and np.ptp(below.at(np.array(self.source.reach()))) > WIDE:
                knots += BENDS
            if knots:
                found.update(below.preimage(knots))
        return tuple(sorted(found))

    def preimage(self, knots: Sequence[float]) -> tuple[float, ...]:
        """Values of the source at which this one passes any of `knots`."""
        if not self.steps:
            return tuple(knots)
        (lo, hi), steps = self.source.reach(), self.steps
        while steps and (inverse := _inverse(steps[-1])) is not None:
            knots, steps = inverse(knots), steps[:-1]
        ends = Value.of(self.source, steps)._passing(knots) if steps else [end for end in knots if lo < end < hi]
        # Rectifiers are split where they always are, not one rounding beside it.
        return tuple(0.0 if abs(end) < 1e-13 * (hi - lo) else rounded(end) for end in ends)

    def _passing(self, knots: Sequence[float]) -> list[float]:
        """The same of functions that are known by their values."""
        lo, hi = self.source.reach()
        u, level = np.linspace(lo, hi, 2001), np.asarray(knots)[:, None]
        above = self.at(u) > level
        which, k = np.nonzero(above[:, 1:] != above[:, :-1])
        left, right, before, level = u[k], u[k + 1], above[which, k], level[which, 0]
        each, parts = np.arange(len(k)), np.linspace(0, 1, 33)[:, None]
        for _ in range(10 if len(k) else 0):  # where it passes, of 32 parts each time
            inner = left + (right - left) * parts
            inner[-1] = right
            passed = (self.at(inner[1:]) > level) != before
            passed[-1] = True
            after = np.argmax(passed, axis=0) + 1
            left, right = inner[after - 1, each], inner[after, each]
        return list(right.tolist())

    @lazy
    def nodes(self) -> Nodes:
        """Nodes of the source that do for this function of it."""
        return self.source.nodes(self.knots)

    @lazy
    def distribution(self) -> SiteDistribution:
        """The distribution in rows."""
        base = self.source.distribution(self.knots)
        return SiteDistribution(self.at(base.x), base.p, self.slope(base.x), base.share, base.below)

    @lazy
    def second(self) -> float:
        """E[v^2]."""
        return self.source.second if not self.steps else float(self.nodes.p @ self.at(self.nodes.u)**2)

    @lazy
    def mean(self) -> float:
        """E[v]."""
        return float(self.nodes.p @ self.at(self.nodes.u))

    @lazy
    def rows(self) -> tuple[Array, Array]:
        """E[v] given what all sites of a channel share, and the probabilities of that."""
        if self.source.alone:
            return np.array([self.mean]), _ONE
        return self.distribution.row_means, self.distribution.share

    @lazy
    def cov_site(self) -> float:
        """E[v v'] of sites that share all of that."""
        means, share = self.rows
        return float(share @ means**2)

    @lazy
    def squared_slope(self) -> float:
        """E of the squared derivative by the source."""
        return float(self.source.passing(self.nodes) @ self._slopes[0])

    @lazy
    def mean_slope(self) -> float:
        """E of the derivative by the source."""
        return float(self.nodes.p @ self.slope(self.nodes.u))

    @lazy
    def positive(self) -> bool:
        """Whether it is never below zero, and gradients where it is zero are lost anyway."""
        some = bool(self.source.parts or self.steps) and not self.source.ends
        return some and not (self.at(self.nodes.u[self.nodes.p > RARE]) < 0).any()

    @lazy
    def plain(self) -> bool:
        """Whether conditioning on it changes nothing: it is a multiple of a Gaussian source."""
        return not self.source.parts and all(isinstance(step, Affine) for step in self.steps)

    @lazy
    def entry(self) -> Known:
        """What is known of a gradient that enters here, once it is at the source: slope^2 and slope, of mean 1."""
        return Known(self.nodes, normalised(self._slopes, self.source.passing(self.nodes))[0])

    @lazy
    def _slopes(self) -> Array:
        return self._slopes_at(self.nodes)

    def _slopes_at(self, nodes: Nodes) -> Array:
        """slope^2 and slope at nodes, shape (2, nodes)."""
        slope = self.slope(nodes.u)
        return np.array([slope * slope, slope])

    def enter(self, nodes: Nodes, table: Array) -> tuple[Array, Array, Array]:
        """Tables over its source, seen at this value, taken on to the source; `table` has shape (parts, 2, nodes).

        Returns the tables there, and what power and pairs of distant sites gain over independence.
        """
        slopes = self._slopes if nodes is self.nodes else self._slopes_at(nodes)
        p = self.source.passing(nodes)
        alone = slopes @ p
        onward, gained = normalised(slopes * table, p)
        there = np.abs(alone) > 1e-12 * np.abs(slopes).max()
        ratio = np.divide(gained, alone, out=np.ones(gained.shape), where=there)
        return onward, ratio[:, 0], ratio[:, 1]**2


_ONE = np.ones(1)
#: What the value of a site is; None is a Gaussian that a random layer has just put out.
SiteValue = Union[Value, None]


def normalised(table: Array, p: Array) -> tuple[Array, Array]:
    """Rows of a table over their means by probabilities `p`, and the means; rows of mean 0 become ones."""
    means = table @ p
    safe = np.abs(means) > 1e-12 * (np.abs(table) @ p)
    out = np.divide(table, means[..., None], out=np.ones(table.shape), where=safe[..., None])
    out[np.abs(out) < NOTHING] = 0.0
    return out, means


# ---------------------------------------------------------------------------------------------
# what random layers put out
# ---------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Gaussian(Source):
    """N(0, q), of which c is shared by all sites of a channel."""

    q: float
    c: float
    parts: ClassVar[tuple[Value, ...]] = ()  # type: ignore[misc]

    @staticmethod
    @remembered(1024, lasting=False)
    def of(q: float, c: float) -> Gaussian:
        """The one with rounded moments."""
        q = max(rounded(q), 0.0)
        return _gaussian(q, rounded(min(max(c, 0.0), q)))

    @property
    def alone(self) -> bool:
        return not site_distribution.shares(self.q, self.c)

    def reach(self) -> tuple[float, float]:
        end = REACH * math.sqrt(self.q)
        return -end, end

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        u, p = _bell(np.zeros(1), math.sqrt(self.q), knots)
        return Nodes(u[0], p[0])

    @remembered(512, lasting=False)
    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        rows, share = site_distribution.shared(self.q, self.c)
        x, p = _bell(rows, math.sqrt(max(self.q - self.c, 1e-12 * self.q)), knots)
        return SiteDistribution(x, p, np.ones(x.shape), share, cumulated(p))

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        raise TypeError("a Gaussian source has no parts")

    def sharing(self, c: float) -> Gaussian:
        """The same distribution, of which another part is shared."""
        return Gaussian.of(self.q, c)

    def sharing_more(self, part: float) -> Gaussian:
        return self.sharing(self.c + part * (self.q - self.c))

    def winning(self, u: Array, count: int) -> Array:
        """`count` times the probability that the largest of `count` sites is one of value u."""
        if not self.q:
            return np.ones(u.shape)
        corr_site = self.c / self.q
        z, w = gauss_hermite(48) if corr_site else (np.zeros(1), np.ones(1))
        # Given u, the site's own part is u sqrt(1 - rho) / sqrt(q) on average, of variance rho.
        own = np.sqrt(1 - corr_site) * u[..., None] / math.sqrt(self.q) + math.sqrt(corr_site) * z
        return np.asarray(count * normal_cdf(own)**(count - 1) @ w)


@remembered(1)
def _powers() -> tuple[Array, Array]:
    """Correlations from 0 to 1, and their powers."""
    corr_site = np.linspace(0, 1, 257)
    return corr_site, np.power.outer(corr_site, np.arange(TERMS))


@remembered(8)
def gauss_hermite(count: int) -> tuple[Array, Array]:
    """Points and probabilities of a standard normal variable."""
    z, w = np.polynomial.hermite_e.hermegauss(count)
    return z, w / w.sum()


@interned(1024)
def _gaussian(q: float, c: float) -> Gaussian:
    return Gaussian(q, c)


def _bell(middle: Array, spread: float, knots: tuple[float, ...]) -> tuple[Array, Array]:
    """Nodes and probabilities of N(middle, spread^2) per row."""
    spread = spread or 1e-300
    ends = np.linspace(-REACH, REACH, round(2 * REACH / PANEL) + 1)
    edges = np.broadcast_to(ends, (len(middle), len(ends)))
    if knots:
        inside = np.clip((np.array(knots) - middle[:, None]) / spread, -REACH, REACH)
        edges = np.sort(np.concatenate([edges, inside], axis=1), axis=1)
    z, w = panels(edges)
    p = w * np.exp(-z**2 / 2)
    p /= p.sum(axis=1, keepdims=True)
    return middle[:, None] + spread * z, p
