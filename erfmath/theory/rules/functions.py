"""Activation functions and their expectations under Gaussian distributions.

ReLU, leaky ReLU and the identity (arc-cosine kernels, Cho and Saul 2009), GELU and all piecewise polynomials in
closed form.  Expectations of one value by quadrature that is split at kinks and bends, at any variance.  Pairs by
expansion in Hermite polynomials h_k (Mehler's formula)

    E[f(s z) f(s z')] = sum_k a_k^2 rho^k,    a_k = E[f(s z) h_k(z)],

cut at `TERMS`; what the last even and the last odd term must add to be exact at rho = 1 and -1, they
add.  Jumps of f are taken out and added in closed form.  Where what is cut off may matter, by its size and
the largest rho, up to `MANY_TERMS` are summed; where that is not enough the pair is refused.  Largest relative errors
over all rho, for q up to 1, 4 and 25 (found by quadrature split at the kinks, and held by the tests):

=================  =======  =======  =======
`second`, `gate`   1e-12    1e-12    1e-12
`cross`            1e-6     1e-6     1e-5
`gate_pair`        1e-4     5e-4     5e-3      (`softsign`; the others 1e-5, 5e-5, 1e-3)
=================  =======  =======  =======
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...layers import Activation
from ..memory import remembered
from .formula import Formula, followed, resolved
from .truncated import Piecewise

__all__ = ["Array", "Function", "cross", "function", "gate", "gate_pair", "hermite", "normal_cdf", "normal_points",
           "of_rectified", "rectifier", "second", "slant", "steepness"]

Array = npt.NDArray[np.float64]

#: Terms of the expansion in Hermite polynomials, and where these do not do.
TERMS, MANY_TERMS = 64, 512
#: Points of the table of the normal distribution in one standard deviation.
FINE = 256
#: What may be cut off: beyond this more terms are summed, beyond that the pair is refused.
SMALL, LARGE = 1e-6, 2e-2


def normal_points(count: int, finest: float, reach: float = 9.0) -> tuple[Array, Array]:
    """Points and weights for expectations over a standard normal variable, dense around zero.

    The trapezoidal rule in u for z = sinh(u): exact to rounding for what is analytic; what has a
    kink at 0, midway between two points (`count` even), is good to the square of their distance.

    Parameters
    ----------
    count : int
    finest : float
        Half the width around zero within which points are about evenly spaced.
    reach : float
        The outermost points.
    """
    end = np.arcsinh(reach / finest)
    u = np.linspace(-end, end, count)
    z = finest * np.sinh(u)
    weights = np.exp(-z**2 / 2) * np.cosh(u)
    return z, weights / weights.sum()


_POINTS, _WEIGHTS = normal_points(256, 0.1)
#: Smooth functions of values of a larger deviation are integrated on panels.
EVEN = 5.0
#: How far panels reach, in standard deviations, and points on each.
REACH, ORDER = 9.0, 10
#: Deviations beyond which there are too few values to matter.
FEW = 5.0


class Function(NamedTuple):
    """phi, phi', the slopes below and above zero where phi is piecewise linear, and closed forms if there are.

    `cross(q, rho)` is E[phi(z) phi(z')], `slopes(q, rho)` is E[phi'(z) phi'(z')].  `knots` are kinks of phi.
    `branches` are the steps of the functions that it is a sum of, if it is.  `jumps` and `leaps` are where phi' and phi
    jump, and by how much.  `reach` is the largest value up to which panels follow it.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    below: float | None = None
    cross: Callable[[Array, Array], Array] | None = None
    slopes: Callable[[Array, Array], Array] | None = None
    knots: tuple[float, ...] = ()
    jumps: tuple[tuple[float, float], ...] = ()
    above: float = 1.0
    branches: tuple[tuple[Any, ...], ...] = ()
    leaps: tuple[tuple[float, float], ...] = ()
    reach: float = math.inf


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * z))


def normal_cdf(z: Array) -> Array:
    """Probability that a standard normal variable is below z, to 4e-16, from a table: to load SciPy takes longer."""
    points, below, density = _normal_table()
    z = np.clip(z, points[0], points[-1])
    k = np.rint((z - points[0]) * FINE).astype(np.intp)
    near = points[k]
    d = z - near
    square = near * near
    series = d * (near * (3 - square) / 24)
    series += (square - 1) / 6
    series *= d
    series -= near / 2
    series *= d
    series += 1
    return np.asarray(below[k] + density[k] * d * series)


@remembered(1)
def _normal_table() -> tuple[Array, Array, Array]:
    """Points so close that five terms of a series about the nearest will do, probabilities below them and densities."""
    points = np.arange(-10 * FINE, 10 * FINE + 1) / FINE
    below = np.array([0.5 * math.erfc(x) for x in (points * -math.sqrt(0.5)).tolist()])
    return points, below, np.exp(-points**2 / 2) / math.sqrt(2 * math.pi)


@remembered(64)
def rectifier(above: float, below: float) -> Function:
    """Linear on both sides of zero, with slopes `above` and `below`."""
    bend, mean = (above - below)**2, above * below  # phi(z) = below z + (above - below) max(z, 0)

    def both(q: Array, rho: Array) -> Array:
        relu = np.sqrt(1 - rho**2) + rho * (np.pi / 2 + np.arcsin(rho))
        return q * (mean * rho + bend * relu / (2 * np.pi))

    return Function(lambda z: np.where(z > 0, above * z, below * z), lambda z: np.where(z > 0, above, below),
                    below, both, lambda q, rho: mean + bend * (0.25 + np.arcsin(rho) / (2 * np.pi)) + 0 * q,
                    knots=(0.0,), above=above)


def _gelu_cross(q: Array, rho: Array) -> Array:
    r = q * rho
    return (r * (0.25 + np.arcsin(r / (1 + q)) / (2 * np.pi))
            + (q**2 + r**2 * (1 - q) / (1 + q)) / (2 * np.pi * np.sqrt((1 + (q - r)) * (1 + q + r))))


def _gelu_slopes(q: Array, rho: Array) -> Array:
    """The derivative of the above by r (Price's theorem)."""
    r = q * rho
    root = np.sqrt((1 + (q - r)) * (1 + q + r))
    rest = (r + 2 * r * (1 - q) / (1 + q)) / root + (q**2 + r**2 * (1 - q) / (1 + q)) * r / root**3
    return 0.25 + (np.arcsin(r / (1 + q)) + rest) / (2 * np.pi)


def _piecewise(value: Piecewise, slope: Piecewise) -> Function:
    knots = tuple(sorted({k for k, _, _ in value.tails}))
    return Function(value.at, slope.at, cross=value.pair, slopes=slope.pair, knots=knots)


def _mish(z: Array) -> Array:
    return np.asarray(z * np.tanh(np.logaddexp(0, z)))


def _mish_slope(z: Array) -> Array:
    t = np.tanh(np.logaddexp(0, z))
    return np.asarray(t + z * (1 - t * t) * _sigmoid(z))


def _exponential(scale: float, alpha: float) -> Function:
    """Linear above zero, alpha (exp(z) - 1) below, all times `scale`."""
    return Function(lambda z: scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
                    lambda z: scale * np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0))),
                    knots=(0.0,), jumps=((0.0, scale * (1 - alpha)),) if alpha != 1 else ())


_ROOT, _CUBE = math.sqrt(2 / math.pi), 0.044715


def _gelu_tanh(z: Array) -> Array:
    return np.asarray(0.5 * z * (1 + np.tanh(_ROOT * (z + _CUBE * z * z * z))))


def _gelu_tanh_slope(z: Array) -> Array:
    t = np.tanh(_ROOT * (z + _CUBE * z * z * z))
    return np.asarray(0.5 * (1 + t) + 0.5 * z * (1 - t * t) * _ROOT * (1 + 3 * _CUBE * z * z))


_FUNCTIONS = {
    "tanh": Function(np.tanh, lambda z: 1 - np.tanh(z)**2),
    "sigmoid": Function(_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
    "gelu": Function(lambda z: z * normal_cdf(z),
                     lambda z: normal_cdf(z) + z * np.exp(-z**2 / 2) / np.sqrt(2 * np.pi),
                     cross=_gelu_cross, slopes=_gelu_slopes),
    "gelu_tanh": Function(_gelu_tanh, _gelu_tanh_slope),
    "silu": Function(lambda z: z * _sigmoid(z),
                     lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z)))),
    "mish": Function(_mish, _mish_slope),
    "elu": _exponential(1.0, 1.0),
    "celu": _exponential(1.0, 1.0),
    "selu": _exponential(1.0507009873554805, 1.6732632423543772),
    "softplus": Function(lambda z: np.logaddexp(0, z), _sigmoid),
    "softsign": Function(lambda z: z / (1 + np.abs(z)), lambda z: 1 / (1 + np.abs(z))**2, knots=(0.0,)),
    "relu6": _piecewise(Piecewise((0.0,), ((0, 1, 1.0), (6, 1, -1.0))),
                        Piecewise((0.0,), ((0, 0, 1.0), (6, 0, -1.0)))),
    "hardtanh": _piecewise(Piecewise((0.0, 1.0), ((1, 1, -1.0), (-1, 1, 1.0))),
                           Piecewise((1.0,), ((1, 0, -1.0), (-1, 0, -1.0)))),
    "hardsigmoid": _piecewise(Piecewise((1 / 2, 1 / 6), ((3, 1, -1 / 6), (-3, 1, 1 / 6))),
                              Piecewise((1 / 6,), ((3, 0, -1 / 6), (-3, 0, -1 / 6)))),
    "hardswish": _piecewise(Piecewise((0.0, 1 / 2, 1 / 6), ((3, 1, -1 / 2), (3, 2, -1 / 6),
                                                            (-3, 1, -1 / 2), (-3, 2, -1 / 6))),
                            Piecewise((1 / 2, 1 / 3), ((3, 0, -1 / 2), (3, 1, -1 / 3),
                                                       (-3, 0, 1 / 2), (-3, 1, 1 / 3)))),
    "relu_squared": _piecewise(Piecewise((0.0,), ((0, 2, 1.0),)), Piecewise((0.0,), ((0, 1, 2.0),))),
    "relu": rectifier(1.0, 0.0),
    "identity": rectifier(1.0, 1.0),
}


def function(layer: Activation) -> Function:
    """The function of an activation layer.

    Raises
    ------
    NotImplementedError
        If it is not known here.
    """
    if layer.function in ("leaky_relu", "prelu"):
        return rectifier(1.0, layer.slope)
    if layer.is_formula:
        return _written(layer.function)
    if layer.function not in _FUNCTIONS:
        raise NotImplementedError(f"the theory has no rule for {layer.function}; erfmath.measure may have one")
    return _FUNCTIONS[layer.function]


@remembered(64)
def _written(text: str) -> Function:
    """The function of a formula: what is linear on both sides of zero is a rectifier."""
    formula = Formula(text)
    if _bends_at_zero_only(formula, 50.0) and _bends_at_zero_only(formula, 1e7):
        return rectifier(*(float(slope) for slope in formula.slope(np.array([1.0, -1.0]))))
    kinks = formula.kinks()
    leaps, jumps = formula.jumps(kinks)
    knots = resolved(formula, kinks)
    return Function(formula.value, formula.slope, knots=knots, jumps=tuple(jumps), leaps=tuple(leaps),
                    reach=followed(formula))


def _bends_at_zero_only(formula: Formula, end: float) -> bool:
    """Whether a formula is linear on both sides of zero, up to `end`."""
    some = np.concatenate([-np.geomspace(1e-3, end, 80), np.geomspace(1e-3, end, 80)])
    try:
        slopes = formula.slope(some)
    except NotImplementedError:
        return False
    return bool(np.ptp(slopes[:80]) == np.ptp(slopes[80:]) == 0 and not formula.value(np.zeros(1)).any()
                and np.allclose(formula.value(some), slopes * some, rtol=1e-12))


def hermite(z: Array, count: int) -> Array:
    """The first Hermite polynomials, of mean square 1 under a standard normal variable, shape (points, count)."""
    found = np.empty((count, len(z)))
    found[0], found[1] = 1.0, z
    for k in range(2, count):  # scaled from the start, so that none is too large for floats
        found[k] = (z * found[k - 1] - math.sqrt(k - 1) * found[k - 2]) / math.sqrt(k)
    return found.T


def second(phi: Function, q: Array) -> Array:
    """E[phi(z)^2] for z ~ N(0, q), elementwise in q."""
    if phi.below is not None:
        return np.asarray(q) * ((phi.above**2 + phi.below**2) / 2)
    return _square(phi, phi.value, q)


def gate(phi: Function, q: Array) -> Array:
    """E[phi'(z)^2] for z ~ N(0, q), elementwise in q."""
    if phi.below is not None:
        return np.full(np.shape(q), (phi.above**2 + phi.below**2) / 2)
    return _square(phi, phi.slope, q)


def steepness(phi: Function, q: float) -> float:
    """E[phi'(z)^2 z^2] / (E[phi'(z)^2] q) for z ~ N(0, q): 1 of rectifiers."""
    if phi.below is not None:
        return 1.0
    slopes = float(gate(phi, np.array(q)))
    return float(_square(phi, lambda z: phi.slope(z) * z, np.array(q))) / (slopes * q) if slopes else 1.0


def slant(phi: Function, q: float) -> tuple[float, float]:
    """E[phi'(z) z]^2 / (E[phi'(z)]^2 q) and E[phi'(z)^2] / E[phi'(z)]^2 - 1 for z ~ N(0, q): 2 / pi and 1 of ReLU."""
    z, weights = normal_points(256, 0.1)
    slopes = phi.slope(z * math.sqrt(q))
    mean = float(weights @ slopes)**2
    if mean <= 1e-12 * float(weights @ slopes**2):
        return 0.0, 0.0
    return float(weights @ (slopes * z))**2 / mean, float(weights @ slopes**2) / mean - 1


def cross(phi: Function, q: Array, rho: Array) -> Array:
    """E[phi(z) phi(z')] for two such variables of correlation rho, elementwise."""
    rho = np.minimum(np.maximum(rho, -1), 1)
    return _pairs(phi, phi.value, q, rho, phi.leaps) if phi.cross is None else phi.cross(np.asarray(q), rho)


def of_rectified(phi: Function, q: float, rho: float) -> float:
    """`cross` of a rectifier of two numbers."""
    assert phi.below is not None
    rho = min(max(rho, -1.0), 1.0)
    relu = math.sqrt(1 - rho * rho) + rho * (math.pi / 2 + math.asin(rho))
    return q * (phi.above * phi.below * rho + (phi.above - phi.below)**2 * relu / (2 * math.pi))


def gate_pair(phi: Function, q: Array, rho: Array) -> Array:
    """E[phi'(z) phi'(z')] for two such variables of correlation rho, elementwise."""
    rho = np.minimum(np.maximum(rho, -1), 1)
    return _pairs(phi, phi.slope, q, rho, phi.jumps) if phi.slopes is None else phi.slopes(np.asarray(q), rho)


def _distinct(q: Array) -> tuple[Array, Array]:
    """Distinct roots of q (up to rounding; maps repeat them many times), and which is where."""
    s = np.sqrt(q)
    unit = np.max(s) or 1.0
    if np.min(s) >= (1 - 4e-15) * unit:  # all are the same
        return np.full(1, unit), np.zeros(np.shape(q), np.intp)
    found: Any = np.unique(np.round(s / unit, 14), return_inverse=True)
    return found[0] * unit, found[1].reshape(np.shape(q))


def _points(s: Array, knots: tuple[float, ...], finest: float = 2.0) -> tuple[Array, Array]:
    """Points and weights for z ~ N(0, 1) such that functions of s z are integrated, shape (1 or len(s), points).

    Smooth functions of values that do not reach far need one set; others have panels that end at `knots` and that grow
    with the distance from zero, and none wider than `finest` deviations.
    """
    reach = float(np.max(s, initial=0.0))
    if not knots and reach <= EVEN and finest == 2.0:
        return _POINTS[None], _WEIGHTS[None]
    bends = np.concatenate([np.arange(-4.0, 5.0), *(sign * 6.0 * 2.0**np.arange(
        max(math.ceil(math.log2(REACH * max(reach, 1.0) / 6)), 0)) for sign in (-1, 1)), knots])
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(s[:, None] > 0, bends / s[:, None], 0.0)
    ends = np.linspace(-REACH, REACH, math.ceil(2 * REACH / finest) + 1)
    edges = np.concatenate([np.broadcast_to(ends, (len(s), len(ends))), np.clip(inside, -REACH, REACH)], axis=1)
    edges.sort(axis=1)
    x, w = _legendre()
    half = np.diff(edges)[..., None] / 2
    z = ((edges[:, 1:] + edges[:, :-1])[..., None] / 2 + half * x).reshape(len(s), -1)
    weights = (half * w).reshape(z.shape) * np.exp(-z**2 / 2)
    return z, weights / weights.sum(axis=1, keepdims=True)


@remembered(1)
def _legendre() -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(ORDER)


def _check_reach(phi: Function, s: Array) -> None:
    """Refuse values so large that panels do not follow a function there."""
    if phi.reach < math.inf and FEW * s.max(initial=0.0) > phi.reach:
        raise NotImplementedError(f"an activation with waves or kinks beyond {phi.reach:g}, of values of variance "
                                  f"{s.max()**2:.3g}; at most {(phi.reach / FEW)**2:.3g}; normalise them, or use "
                                  "erfmath.measure")


def _square(phi: Function, f: Callable[[Array], Array], q: Array) -> Array:
    s, where = _distinct(q)
    _check_reach(phi, s)
    if len(s) == 1:
        return np.full(np.shape(q), _mean_square(f, phi.knots, float(f"{s.item():.14e}")))
    return np.asarray(_of_many(partial(_mean_squares, f, phi.knots), s, 64)[where])


def _mean_squares(f: Callable[[Array], Array], knots: tuple[float, ...], s: Array) -> Array:
    z, weights = _points(s, knots)
    return np.asarray((weights * f(s[:, None] * z)**2).sum(axis=1))


@remembered(1024, lasting=False)
def _mean_square(f: Callable[[Array], Array], knots: tuple[float, ...], s: float) -> float:
    """The same of one deviation, up to rounding: many layers meet the same."""
    return _mean_squares(f, knots, np.array([s])).item()


def _pairs(phi: Function, f: Callable[[Array], Array], q: Array, rho: Array,
           jumps: tuple[tuple[float, float], ...] = ()) -> Array:
    """E[f(z) f(z')], by Horner's rule; each pair has the terms that it needs.  Jumps of f are added in closed form."""
    steps = _steps(jumps)
    q, rho = np.broadcast_arrays(q, rho)
    shape, q, rho = q.shape, q.reshape(-1), rho.reshape(-1)
    total = np.empty(rho.shape)
    left = np.arange(rho.size)
    if not left.size:
        return total.reshape(shape)
    for count in (TERMS, MANY_TERMS):
        s, where = _distinct(q[left])
        _check_reach(phi, s)
        # Where f has knots, terms oscillate with s, the more of them the more often: a_k as h_k(knot / s).
        terms = _of_many(partial(_terms, f, knots=phi.knots, count=count, jumps=jumps), s, 96 + count // 2)
        r = rho[left]
        whole = terms.sum(axis=0) + steps.pair(s**2, np.ones(s.shape))
        lost = (np.abs(terms[-2:]).sum(axis=0) / np.maximum(whole, 1e-13 * whole.max() + 1e-300))[where]
        lost = np.where(np.abs(r) < 1 - 1e-12, lost * np.abs(r)**(count - 2), 0.0)
        if count == MANY_TERMS and lost.max() > LARGE:
            raise NotImplementedError(
                f"correlations of {r[lost.argmax()]:.6g} between values of variance {q[left].max():.3g} before an "
                "activation; normalise them, or use erfmath.measure")
        part = terms[-1][where]
        for term in terms[-2::-1]:
            part = part * r + term[where]
        total[left] = part
        left = left[lost > SMALL]
        if not left.size:
            break
    if jumps:
        total += steps.pair(q, rho)
    return total.reshape(shape)


def _steps(jumps: tuple[tuple[float, float], ...]) -> Piecewise:
    """A sum of steps from 0 to 1 at the knots, times their sizes."""
    return Piecewise((sum(size for k, size in jumps if k < 0),),
                     tuple((k, 0, size if k >= 0 else -size) for k, size in jumps))


def _of_many(compute: Callable[[Array], Array], s: Array, nodes: int) -> Array:
    """`compute(s)` along its last axis; of many `s`, ascending, by interpolation in log s.

    Chebyshev polynomials of degree `nodes` - 1 on ranges of a factor of e^2.
    """
    if len(s) < 2 * nodes:
        return compute(s)
    zero = int(np.searchsorted(s, 0.0, side="right"))
    panel = np.floor(np.log(s[zero:] / s[-1]) / 2.0)
    starts = sorted({0, *(zero + np.flatnonzero(np.diff(panel, prepend=-np.inf))), len(s)})
    parts = []
    for some in (s[first:last] for first, last in zip(starts, starts[1:])):
        if len(some) < 2 * nodes:
            parts.append(compute(some))
            continue
        middle, half = math.log(some[0] * some[-1]) / 2, math.log(some[-1] / some[0]) / 2
        angles, orders = np.pi * (np.arange(nodes) + 0.5) / nodes, np.arange(nodes)[:, None]
        modes = np.cos(orders * angles) * np.where(orders, 2, 1) / nodes
        angle = np.arccos(np.clip((np.log(some) - middle) / half, -1, 1))
        parts.append(compute(np.exp(middle + half * np.cos(angles))) @ modes.T @ np.cos(orders * angle))
    return np.concatenate(parts, axis=-1)


def _terms(f: Callable[[Array], Array], s: Array, knots: tuple[float, ...], count: int,
           jumps: tuple[tuple[float, float], ...]) -> Array:
    """a_k^2 for each of `s`, shape (count, len(s)), the last two with all that is cut off, less those of the jumps."""
    z, weights = _points(s, tuple(sorted({*knots, *(-k for k in knots)})), 2.0 if count == TERMS else 0.2)
    values = f(s[:, None] * z)
    weighted, terms = weights * values, np.empty((count, len(s)))
    before, here = np.zeros(z.shape), np.ones(z.shape)
    for k in range(count):
        terms[k] = (weighted * here).sum(axis=1)**2
        before, here = here, (z * here - math.sqrt(k) * before) / math.sqrt(k + 1)
    stepped = _steps(jumps).at(s[:, None] * z) if jumps else np.zeros(1)
    if jumps:
        terms -= _step_terms(jumps, s, count)**2
    for parity, sign in enumerate((1, -1)):  # even and odd part of f
        part, of_steps = ((v + sign * v[..., ::-1]) / 2 for v in (values, stepped))
        whole = (weights * (part**2 - of_steps**2)).sum(axis=1)
        terms[parity - 2] += whole - terms[parity::2].sum(axis=0)
    return terms


def _step_terms(jumps: tuple[tuple[float, float], ...], s: Array, count: int) -> Array:
    """a_k of steps: of one at t, 1 - Phi(t), and h_(k-1)(t) exp(-t^2/2) / sqrt(2 pi k)."""
    terms = np.zeros((count, len(s)))
    for knot, size in jumps:
        beyond = np.full(s.shape, math.copysign(40.0, knot) if knot else 0.0)
        t = np.divide(knot, s, out=beyond, where=s > abs(knot) / 40)
        terms[0] += size * normal_cdf(-t)
        before, here = np.zeros(t.shape), np.exp(-t**2 / 2) / math.sqrt(2 * math.pi)
        for k in range(1, count):
            terms[k] += size * here / math.sqrt(k)
            before, here = here, (t * here - math.sqrt(k - 1) * before) / math.sqrt(k)
    return terms


@remembered(64)
def chi_square(freedoms: float, points: int = 32) -> tuple[Array, Array]:
    """Points and probabilities of a chi-square variable: Gauss-Laguerre, as eigenvalues of its recurrence."""
    k, a = np.arange(float(points)), freedoms / 2 - 1
    off = np.sqrt(k[1:] * (k[1:] + a))
    x, v = np.linalg.eigh(np.diag(2 * k + 1 + a) + np.diag(off, 1) + np.diag(off, -1))
    return 2 * x, v[0]**2
