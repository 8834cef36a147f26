"""Sources made of other values, against quadrature, enumeration and order statistics."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, Tolerance, assert_close
from scipy import integrate
from scipy.interpolate import CubicSpline
from scipy.special import ndtr, ndtri

import erfmath as em
from erfmath.theory.rules import functions as activations
from erfmath.theory.rules.functions import Function
from erfmath.theory.sweep.sources import Averaged, Dropped, Largest, Standardised, Sum, average
from erfmath.theory.sweep.values import Gaussian, Nodes, Source, Value

Array = Any

RELU, TANH, IDENTITY, SILU = (activations.function(em.Activation(name)) for name in (
    "relu", "tanh", "identity", "silu"))
#: Panels; the lattice of a sum, probabilities on it and second moments; the lattice of a filter, and its rows.
PANELS, LATTICE, SECONDS, FILTER = (Tolerance(rtol, 0.0) for rtol in (1e-9, 1e-3, 2e-4, 2e-3))
#: The largest of a window: of Gaussians, of what shares a part; batch norms; functions that do not rise.
WINNERS, CORRELATED, ROWS, NORMS, SORTED = (Tolerance(rtol, 0.0) for rtol in (1e-8, 3e-4, 2e-3, 1e-2, 1e-2))


def gaussian(q: float = 1.0, c: float = 0.0) -> Value:
    return Gaussian.of(q, c).value()


def rectified(q: float = 1.0, c: float = 0.0) -> Value:
    return gaussian(q, c).through(RELU)


def passed(value: Value, part: int = 0) -> tuple[Nodes, Array]:
    """E[slope of `value`^2, slope | part] on the nodes of the source of that part."""
    slope = value.slope(value.nodes.u)
    assert value.source.parts
    return value.source.pull(part, value.nodes, np.stack([slope**2, slope]))


def joint(value: Value, part: int = 0) -> float:
    """E[slope of `value`^2 times slope of its part^2]."""
    nodes, table = passed(value, part)
    return float(nodes.p @ (table[0] * value.source.parts[part].slope(nodes.u)**2))


def density(x: float, q: float = 1.0) -> float:
    return math.exp(-x * x / (2 * q)) / math.sqrt(2 * math.pi * q)


def quad(f: Callable[[float], float], lo: float, hi: float, *points: float) -> float:
    ends = sorted({lo, hi, *(x for x in points if lo < x < hi)})
    return sum(integrate.quad(f, a, b, epsabs=1e-13, epsrel=1e-11, limit=200)[0] for a, b in zip(ends, ends[1:]))


# ---------------------------------------------------------------------------------------------
# functions with few values: all of their sums can be enumerated
# ---------------------------------------------------------------------------------------------

def steps(values: Sequence[int], chances: Sequence[Fraction], slopes: Sequence[int]) -> Value:
    """A value of a standard normal source that is one of a few integers."""
    edges = tuple(float(x) for x in ndtri(np.cumsum([float(c) for c in chances])[:-1]))

    def pick(table: Sequence[int]) -> Callable[[Array], Array]:
        return lambda z: np.asarray(table, float)[np.searchsorted(edges, z)]
    return gaussian().through(Function(pick(values), pick(slopes), knots=edges))


Third, Sixth = Fraction(1, 3), Fraction(1, 6)
FEW = [([0, 1, 3], [Fraction(1, 2), Third, Sixth], [0, 2, 1]), ([0, 2], [Fraction(1, 4), Fraction(3, 4)], [3, 1]),
       ([0, 4, 5], [Third, Third, Third], [0, 2, 1])]


def outcomes(terms: Sequence[Any]) -> list[tuple[Fraction, list[int], list[int]]]:
    """Probability, values and slopes of all that can happen."""
    found = []
    for picks in itertools.product(*(range(len(values)) for values, _, _ in terms)):
        chance = math.prod((term[1][k] for term, k in zip(terms, picks)), start=Fraction(1))
        found.append((chance, [term[0][k] for term, k in zip(terms, picks)],
                      [term[2][k] for term, k in zip(terms, picks)]))
    return found


@pytest.mark.parametrize("level", [0.0, 0.4, 2.5])
@pytest.mark.parametrize("count", [2, 3])
def test_sums_of_few_values_by_enumeration(count: int, level: float) -> None:
    """P(sum > level), and with each part's squared slope; an atom at the kink 0 is not above it."""
    terms = FEW[:count]
    total = Sum.of([steps(*term) for term in terms], 0.0, 0.0).value()
    gate = total.times(1.0, -level).through(RELU)
    everything = outcomes(terms)
    assert_close(total.mean, float(sum(p * sum(x) for p, x, _ in everything)), REWRITE)
    assert_close(total.second, float(sum(p * sum(x)**2 for p, x, _ in everything)), SECONDS)
    assert_close(gate.squared_slope, float(sum(p for p, x, _ in everything if sum(x) > level)), REWRITE)
    for part in range(count):
        both = sum(p * slopes[part]**2 for p, x, slopes in everything if sum(x) > level)
        assert_close(joint(gate, part), float(both), REWRITE)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (1.0, -2.0), (0.25, 0.5, 0.25)])
@pytest.mark.parametrize("level", [0.0, 0.3])
def test_filters_of_few_values_by_enumeration(weights: tuple[float, ...], level: float) -> None:
    """P(average > level), and with the squared slope of one site, chosen by its squared weight."""
    term = FEW[0]
    gate = Averaged((steps(*term),), weights).value().times(1.0, -level).through(RELU)
    everything = [(float(p), float(np.dot(weights, x)), np.dot(np.square(weights), np.square(slopes)))
                  for p, x, slopes in outcomes([term] * len(weights))]
    assert_close(gate.squared_slope, sum(p for p, x, _ in everything if x > level), REWRITE)
    both = sum(p * square for p, x, square in everything if x > level) / np.square(weights).sum()
    assert_close(joint(gate), both, REWRITE)


@pytest.mark.parametrize("count", [2, 3])
def test_the_largest_of_few_values_by_enumeration(count: int) -> None:
    """Sites of equal value win equally often."""
    term = FEW[0]
    pool = Largest.of(steps(*term), count).value()
    top, squares = Fraction(0), Fraction(0)
    for p, x, slopes in outcomes([term] * count):
        winner = max(range(count), key=lambda n: x[n])
        top, squares = top + p * x[winner], squares + p * slopes[winner]**2
    nodes, table = pool.source.pull(0, pool.nodes, np.ones((2, len(pool.nodes.u))))
    got = nodes.p @ (table[0] * pool.source.parts[0].slope(nodes.u)**2)
    assert_close([pool.mean, got], [float(top), float(squares)], REWRITE)


# ---------------------------------------------------------------------------------------------
# sums
# ---------------------------------------------------------------------------------------------

#: Variance of what is added to a rectified standard normal value, and how well its gates are known.
NARROW = [(1e-8, 2e-3), (1e-6, 2e-3), (1e-4, 2e-3), (1e-3, 1e-3), (1e-2, 2e-4), (0.1, 1e-7), (1.0, 1e-12),
          (10.0, 1e-12)]


@pytest.mark.parametrize("q, error", NARROW)
def test_two_gates_on_an_identity(q: float, error: float) -> None:
    """P(z > 0, z + f > 0) = 1/4 + arcsin(1 / sqrt(1 + q)) / (2 pi), and 1/4 of z < 0 with f > 0."""
    both = 0.25 + math.asin(1 / math.sqrt(1 + q)) / (2 * math.pi)
    gate = Sum.of([rectified()], q, 0.0).value().through(RELU)
    assert_close([gate.squared_slope, joint(gate)], [both + 0.25, both], Tolerance(error, 0.0))


@pytest.mark.parametrize("q", [0.01, 1.0])
@pytest.mark.parametrize("level", [-0.5, 0.0, 0.7])
def test_one_rectified_value_and_a_gaussian(q: float, level: float) -> None:
    """P(relu(z) + f > level) by quadrature, also given z > 0."""
    gate = Sum.of([rectified()], q, 0.0).value().times(1.0, -level).through(RELU)
    spread = math.sqrt(q)
    both = quad(lambda z: density(z) * ndtr((z - level) / spread), 0, 10, level - 4 * spread, level + 4 * spread)
    assert_close([gate.squared_slope, joint(gate)], [both + ndtr(-level / spread) / 2, both],
                 Tolerance(2e-4 if q < 1 else 1e-9, 0.0))


@pytest.mark.parametrize("level", [0.3, 0.8, 2.0])
def test_two_rectified_values(level: float) -> None:
    """P(relu(a) + relu(b) > level), and with a > 0, b > 0; Var b = 2."""
    gate = Sum.of([rectified(), rectified(2.0)], 0.0, 0.0).value().times(1.0, -level).through(RELU)
    a = quad(lambda x: density(x) * ndtr((x - level) / math.sqrt(2)), 0, level) + ndtr(-level)
    b = quad(lambda x: density(x, 2.0) * ndtr(x - level), 0, level) + ndtr(-level / math.sqrt(2))
    whole = a + ndtr(-level / math.sqrt(2)) / 2
    assert_close([gate.squared_slope, joint(gate, 0), joint(gate, 1)], [whole, a, b], LATTICE)


@pytest.mark.parametrize("q", [0.0, 1e-4, 0.01, 0.3, 4.0])
@pytest.mark.parametrize("count", [2, 3])
def test_moments_of_sums(count: int, q: float) -> None:
    parts = [rectified(1.0 + n) for n in range(count)]
    total = Sum.of(parts, q, 0.0).value()
    mean = sum(part.mean for part in parts)
    spread = sum(part.second - part.mean**2 for part in parts) + q
    assert_close([total.mean, total.second], [mean, mean**2 + spread], SECONDS)
    assert_close(total.nodes.p.sum(), 1.0, ROUNDING)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_sums_of_rectified_values_are_zero_only_together(count: int) -> None:
    parts = [rectified(1.0 + n) for n in range(count)]
    gate = Sum.of(parts, 0.0, 0.0).value().through(RELU)
    assert_close(gate.squared_slope, 1 - 0.5**count, REWRITE)
    for part in range(count):  # relu(x + relu(f)): given that its own gate is open the outer one is
        assert_close(joint(gate, part), 0.5, REWRITE)


@pytest.mark.parametrize("q", [0.0, 0.05, 1.0])
def test_sums_may_be_nested(q: float) -> None:
    """(a + b) + f, a + (b + f) and a + b + f: gates, and what is known at a."""
    a, b, level = rectified(), rectified(0.7).times(0.8), 0.4
    flat = Sum.of([a, b], q, 0.0).value()
    left = Sum.of([Sum.of([a, b], 0.0, 0.0).value()], q, 0.0).value()
    right = Sum.of([a, Sum.of([b], q, 0.0).value()], 0.0, 0.0).value()
    gates = [one.times(1.0, -level).through(RELU) for one in (flat, left, right)]
    assert_close([gate.squared_slope for gate in gates], [gates[0].squared_slope] * 3, LATTICE)
    nodes, table = passed(gates[1])
    below, inner = gates[1].source.parts[0].source.pull(0, nodes, table)
    through = float(below.p @ (inner[0] * a.slope(below.u)**2))
    assert_close([through, joint(gates[2])], [joint(gates[0])] * 2, LATTICE)


def test_the_order_of_terms_does_not_matter() -> None:
    a, b = rectified(), rectified(3.0)
    gates = [Sum.of(parts, 0.2, 0.0).value().times(1.0, -1.0).through(RELU) for parts in ((a, b), (b, a))]
    assert_close(gates[0].squared_slope, gates[1].squared_slope, REWRITE)
    assert_close([joint(gates[0], n) for n in (0, 1)], [joint(gates[1], n) for n in (1, 0)], REWRITE)


@pytest.mark.parametrize("q, c", [(1.0, 0.0), (1.0, 0.4)])
def test_what_sites_share_of_a_sum(q: float, c: float) -> None:
    """tanh(x + f) for Gaussian x is tanh of a Gaussian of the summed moments."""
    rows = Sum.of([gaussian(0.6, 0.2).through(IDENTITY)], q, c).value().through(TANH).distribution
    total, rho = np.array(0.6 + q), np.array((0.2 + c) / (0.6 + q))
    assert_close([rows.second, rows.cov_site, rows.mean_gate], [
        float(activations.second(TANH, total)), float(activations.cross(TANH, total, rho)),
        float(activations.gate(TANH, total))], ROWS)


def test_blocks_with_a_rectifier_before_the_sum() -> None:
    """Branch 1 / (4 (k + 1) s^4) beside an identity of 1, with s^2 = 1/2 - 1/(2 pi) (docs/theory.md)."""
    def part() -> em.Network:
        return em.serial(em.Conv(3, 16), em.BatchNorm(), em.Activation("relu"))
    net = em.serial(part(), *[em.residual(em.serial(part(), part())) for _ in range(3)])
    s2 = 0.5 - 1 / (2 * math.pi)
    branches = [1 / (4 * (k + 1) * s2**2) for k in range(3)]
    steps_ = sum(2 * branch / (1 + branch) for branch in branches) + 1
    erf = em.predict(net, ndim=1)
    assert_close(erf.total, 0.5 * math.prod(1 + branch for branch in branches), Tolerance(1e-6, 0.0))
    assert_close(erf.std[0], math.sqrt(steps_ * 2 / 3), Tolerance(1e-6, 0.0))


# ---------------------------------------------------------------------------------------------
# the largest of a window
# ---------------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def order_statistics(name: str, c: float, count: int) -> tuple[float, float, float]:
    """E[m^2], E[m m'] of windows that share c and E[phi'(winner)^2], m the largest of phi(z_i), z_i ~ N(0, 1)."""
    function, own = {"relu": RELU, "tanh": TANH, "identity": IDENTITY}[name], math.sqrt(1 - c)
    t, weight = np.polynomial.hermite_e.hermegauss(80)
    weight = weight / weight.sum()
    if not c:
        t, weight = np.zeros(1), np.ones(1)
    x, w = np.polynomial.legendre.leggauss(12)
    rows = []
    for middle in math.sqrt(c) * t:
        edges = np.sort([*np.linspace(-9, 9, 25), float(np.clip(-middle / own, -9, 9))])
        u = ((edges[1:] + edges[:-1]) / 2 + np.diff(edges) / 2 * x[:, None]).ravel()
        p = (np.diff(edges) / 2 * w[:, None]).ravel() * count * ndtr(u)**(count - 1) * np.exp(-u**2 / 2)
        z = middle + own * u  # phi does not fall: the largest phi is that of the largest z
        rows.append([p @ f / math.sqrt(2 * math.pi) for f in (
            function.value(z)**2, function.value(z), function.slope(z)**2)])
    square, mean, gate = np.transpose(rows)
    return float(weight @ square), float(weight @ mean**2), float(weight @ gate)


def test_the_oracle_knows_order_statistics() -> None:
    """E max of 2, 3 and 4 independent standard normal variables (Teichroew 1956)."""
    root = math.sqrt(math.pi)
    for count, mean in ((2, 1 / root), (3, 1.5 / root), (4, 3 / root * (0.5 + math.asin(1 / 3) / math.pi))):
        assert_close(order_statistics("identity", 0.0, count)[1], mean**2, PANELS)


def won(pool: Value) -> float:
    """E[phi'^2] of winners."""
    nodes, table = pool.source.pull(0, pool.nodes, np.ones((2, len(pool.nodes.u))))
    return float(nodes.p @ (table[0] * pool.source.parts[0].slope(nodes.u)**2))


@pytest.mark.parametrize("count", [2, 4, 9])
@pytest.mark.parametrize("c", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("name", ["relu", "tanh", "identity"])
def test_largest_of_correlated_sites(name: str, c: float, count: int) -> None:
    function = {"relu": RELU, "tanh": TANH, "identity": IDENTITY}[name]
    pool = Largest.of(gaussian(1.0, c).through(function), count).value()
    second, shared, gate = order_statistics(name, c, count)
    assert_close([pool.second, won(pool)], [second, gate], CORRELATED)
    assert_close([pool.distribution.second, pool.distribution.cov_site], [second, shared], ROWS, scale=second)


@pytest.mark.parametrize("count", [2, 4, 9])
def test_winners_are_active_unless_none_is(count: int) -> None:
    pool = Largest.of(rectified(2.0), count).value()
    assert_close([won(pool), pool.through(RELU).squared_slope, joint(pool.through(RELU))], [1 - 0.5**count] * 3,
                 WINNERS)


def test_largest_of_sites_that_share_what_distant_ones_do_not() -> None:
    """A window's sites are alike, the windows are not: one row, and the same values at a site."""
    value = rectified(1.0, 0.7)
    alike, local = (Largest.of(value, 9, own).value() for own in (False, True))
    assert len(local.distribution.share) == 1 < len(alike.distribution.share)
    assert_close(local.distribution.second, alike.distribution.second, ROUNDING)
    assert_close(local.distribution.cov_site, alike.distribution.mean**2, ROUNDING)
    assert (np.diff(local.distribution.x) >= 0).all()


@pytest.mark.parametrize("c", [0.0, 0.3])
def test_largest_of_the_largest(c: float) -> None:
    """Rows of what is no function of a Gaussian, on their own points."""
    value = gaussian(1.0, c)
    nested, once = Largest.of(Largest.of(value, 3).value(), 2).value(), Largest.of(value, 6).value()
    assert_close([nested.second, nested.distribution.cov_site], [once.second, once.distribution.cov_site],
                 SORTED, scale=once.second)


@pytest.mark.parametrize("count", [2, 4])
def test_functions_that_do_not_rise(count: int) -> None:
    """The largest of N values of z^2: E[max |z|^2], and E[4 z^2] of winners."""
    square = Function(lambda z: z**2, lambda z: 2 * z)
    pool = Largest.of(gaussian().through(square), count).value()
    top = quad(lambda r: r**2 * count * (2 * ndtr(r) - 1)**(count - 1) * 2 * density(r), 0, 10)
    assert_close([pool.mean, won(pool)], [top, 4 * top], SORTED)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("count", [2, 4])
def test_winners_of_dropped_values(p: float, count: int) -> None:
    """Zeros of dropout and of a rectifier are equal: some site is active unless all are zero."""
    pool = Largest.of(Dropped.of(rectified(), p).value(), count).value()
    assert_close(pool.through(RELU).squared_slope, 1 - (p + (1 - p) / 2)**count, REWRITE)
    assert_close(joint(pool.through(RELU)), 1 - (p + (1 - p) / 2)**count, REWRITE)


def test_winners_of_a_sum() -> None:
    """E[max of N] = integral of x d(F^N), with F of relu(z) + f by quadrature."""
    x = np.linspace(-7, 14, 2101)
    below = [ndtr(level) / 2 + quad(lambda z: density(z) * ndtr(level - z), 0, 9) for level in x[::20]]
    distribution = CubicSpline(x[::20], below)(x)
    for count in (2, 4):
        expected = x[-1] - integrate.simpson(distribution**count, x=x)
        pool = Largest.of(Sum.of([rectified()], 1.0, 0.0).value(), count).value()
        assert_close(pool.mean, expected, Tolerance(1e-5, 0.0))


# ---------------------------------------------------------------------------------------------
# dropout, batch norm
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("p", [0.0, 0.2, 0.9])
def test_dropped(p: float) -> None:
    value = gaussian(1.0, 0.3).through(RELU)
    dropped = Dropped.of(value, p).value()
    assert_close([dropped.mean, dropped.second], [value.mean, value.second / (1 - p)], ROUNDING)
    rows = dropped.distribution
    assert_close([rows.second, rows.cov_site], [value.distribution.second / (1 - p), value.distribution.cov_site],
                 ROUNDING)
    # A gate at 1: given u it sees u / (1 - p), where the value is kept at all.
    nodes, table = passed(dropped.times(1.0, -1.0).through(RELU))
    assert_close(table[0], (nodes.u > 1 - p).astype(float), ROUNDING)
    assert_close(nodes.p @ table[0], ndtr(p - 1), PANELS)


@pytest.mark.parametrize("c", [0.0, 0.1, 0.3, 0.6])
def test_standardised(c: float) -> None:
    """relu(z) over its deviation in a channel, less its mean there: gates by quadrature over what sites share.

    The power that passes is that of channels of small variance above all: E[1 / s^2], not 1 / E[s^2].
    """
    value = gaussian(1.0, c).through(RELU)
    norm = Standardised.of(value).value()
    assert_close([norm.mean, norm.distribution.cov_site], [0.0, 0.0], CORRELATED, scale=1.0)
    assert_close(norm.second, 1.0, NORMS)  # less the rarest values
    own = math.sqrt(1 - c)

    def channel(t: float) -> tuple[float, float]:
        """P(above the mean), where z is positive, and the variance."""
        middle = math.sqrt(c) * t
        at = middle / own
        mean = middle * ndtr(at) + own * density(at)
        return float(ndtr((middle - mean) / own)), float((middle**2 + own**2) * ndtr(at) + middle * own * density(at)
                                                         - mean**2)
    if c:
        above, spread, passing = (quad(lambda t: density(t) * f(*channel(t)), -6, 9, -3.0, 0.0) for f in (
            lambda p, s2: p, lambda p, s2: s2, lambda p, s2: p / s2))
    else:
        (above, spread), passing = channel(0.0), channel(0.0)[0] / channel(0.0)[1]
    gate = norm.through(RELU)
    assert_close([gate.squared_slope, joint(gate)], [above, spread * passing], NORMS)


# ---------------------------------------------------------------------------------------------
# fixed filters
# ---------------------------------------------------------------------------------------------

def filtered(value: Value, weights: Sequence[float]) -> Value:
    """Sites that are independent but for what the channel shares."""
    own = value.distribution.second - value.distribution.cov_site
    c = sum(weights)**2 * value.distribution.cov_site
    return average(value, weights, own * float(np.square(weights).sum()) + c, c)


@pytest.mark.parametrize("count", [2, 4, 9])
def test_an_average_is_positive_unless_no_site_is(count: int) -> None:
    """P(average of N rectified sites > 0) = 1 - 2^-N; after an open gate the second one is always open."""
    mean = filtered(rectified(), [1 / count] * count)
    gate = mean.through(RELU)
    assert_close(np.array([gate.squared_slope, joint(gate)]) / mean.squared_slope, [1 - 0.5**count, 0.5], REWRITE)


@pytest.mark.parametrize("level", [0.2, 0.5])
def test_an_average_of_two_rectified_sites(level: float) -> None:
    """P((relu(a) + relu(b)) / 2 > level), and with a > 0."""
    gate = Averaged((rectified(),), (0.5, 0.5)).value().times(1.0, -level).through(RELU)
    both = quad(lambda x: density(x) * ndtr(x - 2 * level), 0, 2 * level) + ndtr(-2 * level)
    assert_close([gate.squared_slope, joint(gate)], [both + ndtr(-2 * level) / 2, both], SORTED)


@pytest.mark.parametrize("c", [0.0, 0.3])
@pytest.mark.parametrize("count", [4, 16, 64])
def test_moments_of_averages(count: int, c: float) -> None:
    value = rectified(1.0, c)
    rows = value.distribution
    value_of = filtered(value, [1 / count] * count)
    assert_close([value_of.second, value_of.mean],
                 [(rows.second - rows.cov_site) / count + rows.cov_site, rows.mean], SORTED)
    assert_close([value_of.distribution.second, value_of.distribution.cov_site], [value_of.second, rows.cov_site],
                 SORTED)


def test_many_taps_are_a_shared_part_and_a_gaussian() -> None:
    """Of 64 sites that share nothing the average is Gaussian about its mean: its gate is P(z > -mean / spread)."""
    gate = filtered(rectified(), [1 / 64] * 64).times(1.0, -0.42).through(RELU)
    mean, spread = 1 / math.sqrt(2 * math.pi), math.sqrt((0.5 - 0.5 / math.pi) / 64)
    assert_close(gate.squared_slope, ndtr((mean - 0.42) / spread), FILTER)


def test_weights_of_no_effect_are_left_out() -> None:
    value = rectified()
    assert filtered(value, [0.0, 1.0, 0.0]) is value
    assert filtered(value, [0.0, 0.5]).source is value.source


@pytest.mark.parametrize("source", [
    Sum.of([rectified(), rectified(2.0)], 0.0, 0.0), Sum.of([rectified()], 1.0, 0.0), Largest.of(rectified(), 4),
    Dropped.of(rectified(), 0.5), Standardised.of(rectified()), Averaged((rectified(1.0, 0.3),), (0.5, 0.5))],
    ids=lambda source: type(source).__name__)
@pytest.mark.parametrize("knots", [(), (0.0,), (0.0, 0.7)])
def test_conditional_expectations_keep_the_mean(source: Source, knots: tuple[float, ...]) -> None:
    """The tower property: E[E[h | part]] = E[h], where no value is dropped; a pool and a filter count each site.

    A norm weighs channels by their gain, which has mean one where the deviations are equal, as here.
    """
    nodes = source.nodes(knots)
    assert source.nodes(knots) is nodes
    table = np.stack([np.tanh(nodes.u) + 2, (nodes.u > 0.7) + 0.5]).astype(float)
    kept = nodes.u != 0 if isinstance(source, Dropped) else np.ones(len(nodes.u), bool)
    kept[:-1] |= isinstance(source, Dropped)
    for part in range(len(source.parts)):
        below, pulled = source.pull(part, nodes, table)
        assert_close(pulled @ below.p, table[:, kept] @ nodes.p[kept] / nodes.p[kept].sum(), LATTICE)


@pytest.mark.parametrize("shared", [.3, .6, .9])
def test_nearly_closed_channels_do_not_widen_the_lattice_of_a_sum(shared: float) -> None:
    """After a batch norm their rare values are a hundred thousand deviations off, and those of batches are not."""
    value = Standardised.of(rectified(1.0, shared)).value()
    total = Sum.of((value,), .5, .2)
    for distribution in (total.value().distribution, value.distribution):
        mean = distribution.share @ distribution.row_means
        assert abs(mean) < 2e-3
    assert_close(total.value().second, value.second + .5, LATTICE)
    assert_close(total.value().distribution.second, value.second + .5, LATTICE)
