"""Activation functions and their expectations under Gaussian distributions.

ReLU, leaky ReLU and the identity (arc-cosine kernels, Cho and Saul 2009) and GELU in closed form.
The others by quadrature and, for pairs, by expansion in Hermite polynomials h_k (Mehler's formula)

    E[f(s z) f(s z')] = sum_k a_k^2 rho^k,    a_k = E[f(s z) h_k(z)],

cut at `TERMS`; what the last even and the last odd term must add to be exact at rho = 1 and -1, they
add.  Largest relative errors over all rho, for q up to 1, 4 and 25 (found by quadrature split at the
kinks, and held by the tests):

=================  =======  =======  =======
`second`, `gate`   1e-6     2e-6     6e-6      (`elu`; the others 1e-12)
`cross`            1e-6     1e-6     5e-4      (`tanh`)
`gate_pair`        5e-5     2e-4     2e-2      (`elu`; `tanh` at 25)
=================  =======  =======  =======
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...layers import Activation
from ..memory import remembered

__all__ = ["Array", "Function", "cross", "function", "gate", "gate_pair", "normal_points", "second"]

Array = npt.NDArray[np.float64]

#: Terms of the expansion in Hermite polynomials.
TERMS = 64


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


class Function(NamedTuple):
    """phi, phi', the slope below zero where phi is piecewise linear, and closed forms if there are.

    `cross(q, rho)` is E[phi(z) phi(z')], `slopes(q, rho)` is E[phi'(z) phi'(z')].
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    below: float | None = None
    cross: Callable[[Array, Array], Array] | None = None
    slopes: Callable[[Array, Array], Array] | None = None
    knots: tuple[float, ...] = ()


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * z))


def _normal_cdf(z: Array) -> Array:
    from scipy.special import ndtr
    return np.asarray(ndtr(z))


@remembered(16)
def _leaky(below: float) -> Function:
    """Linear on both sides of zero, with slopes `below` and 1."""
    bend = (1 - below)**2  # phi(z) = below z + (1 - below) max(z, 0)

    def both(q: Array, rho: Array) -> Array:
        relu = np.sqrt(1 - rho**2) + rho * (np.pi / 2 + np.arcsin(rho))
        return q * (below * rho + bend * relu / (2 * np.pi))

    return Function(lambda z: np.where(z > 0, z, below * z), lambda z: np.where(z > 0, 1.0, below),
                    below, both,
                    lambda q, rho: below + bend * (0.25 + np.arcsin(rho) / (2 * np.pi)) + 0 * q, knots=(0.0,))


def _gelu_cross(q: Array, rho: Array) -> Array:
    r = q * rho
    return (r * (0.25 + np.arcsin(r / (1 + q)) / (2 * np.pi))
            + (q**2 + r**2 * (1 - q) / (1 + q)) / (2 * np.pi * np.sqrt((1 + q)**2 - r**2)))


def _gelu_slopes(q: Array, rho: Array) -> Array:
    """The derivative of the above by r (Price's theorem)."""
    r = q * rho
    root = np.sqrt((1 + q)**2 - r**2)
    rest = (r + 2 * r * (1 - q) / (1 + q)) / root + (q**2 + r**2 * (1 - q) / (1 + q)) * r / root**3
    return 0.25 + (np.arcsin(r / (1 + q)) + rest) / (2 * np.pi)


_FUNCTIONS = {
    "tanh": Function(np.tanh, lambda z: 1 - np.tanh(z)**2),
    "sigmoid": Function(_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
    "gelu": Function(lambda z: z * _normal_cdf(z),
                     lambda z: _normal_cdf(z) + z * np.exp(-z**2 / 2) / np.sqrt(2 * np.pi),
                     cross=_gelu_cross, slopes=_gelu_slopes),
    "silu": Function(lambda z: z * _sigmoid(z),
                     lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z)))),
    "elu": Function(lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
                    lambda z: np.exp(np.minimum(z, 0)), knots=(0.0,)),
    "softplus": Function(lambda z: np.logaddexp(0, z), _sigmoid),
    "relu": _leaky(0.0),
    "identity": _leaky(1.0),
}


def function(layer: Activation) -> Function:
    """The function of an activation layer.

    Raises
    ------
    NotImplementedError
        If it is not known here.
    """
    if layer.function == "leaky_relu":
        return _leaky(layer.slope)
    if layer.function not in _FUNCTIONS:
        raise NotImplementedError(f"the theory has no rule for {layer.function}; erfmath.measure may have one")
    return _FUNCTIONS[layer.function]


def second(phi: Function, q: Array) -> Array:
    """E[phi(z)^2] for z ~ N(0, q), elementwise in q."""
    if phi.below is not None:
        return np.asarray(q) * ((1 + phi.below**2) / 2)
    if phi.cross is not None:
        return phi.cross(np.asarray(q), np.ones(np.shape(q)))
    return _square(phi.value, q)


def gate(phi: Function, q: Array) -> Array:
    """E[phi'(z)^2] for z ~ N(0, q), elementwise in q."""
    if phi.below is not None:
        return np.full(np.shape(q), (1 + phi.below**2) / 2)
    if phi.slopes is not None:
        return phi.slopes(np.asarray(q), np.ones(np.shape(q)))
    return _square(phi.slope, q)


def cross(phi: Function, q: Array, rho: Array) -> Array:
    """E[phi(z) phi(z')] for two such variables of correlation rho, elementwise."""
    rho = np.minimum(np.maximum(rho, -1), 1)
    return _pairs(phi.value, q, rho) if phi.cross is None else phi.cross(np.asarray(q), rho)


def gate_pair(phi: Function, q: Array, rho: Array) -> Array:
    """E[phi'(z) phi'(z')] for two such variables of correlation rho, elementwise."""
    rho = np.minimum(np.maximum(rho, -1), 1)
    return _pairs(phi.slope, q, rho) if phi.slopes is None else phi.slopes(np.asarray(q), rho)


def _distinct(q: Array) -> tuple[Array, Array]:
    """Distinct roots of q (up to rounding; maps repeat them many times), and which is where."""
    s = np.sqrt(q)
    unit = np.max(s) or 1.0
    found: Any = np.unique(np.round(s / unit, 14), return_inverse=True)
    return found[0] * unit, found[1].reshape(np.shape(q))


def _square(f: Callable[[Array], Array], q: Array) -> Array:
    s, where = _distinct(q)
    return np.asarray(f(s[:, None] * _POINTS)**2 @ _WEIGHTS)[where]


def _pairs(f: Callable[[Array], Array], q: Array, rho: Array) -> Array:
    """E[f(z) f(z')], by Horner's rule."""
    q, rho = np.broadcast_arrays(q, rho)
    s, where = _distinct(q)
    terms = _terms(f, s)
    total = terms[-1][where]
    for term in terms[-2::-1]:
        total = total * rho + term[where]
    return np.asarray(total)


def _terms(f: Callable[[Array], Array], s: Array) -> Array:
    """a_k^2 for each of `s`, shape (TERMS, len(s)), the last two with all that is cut off."""
    values = f(s[:, None] * _POINTS)
    terms = (_hermite() * _WEIGHTS @ values.T)**2
    for parity, sign in enumerate((1, -1)):  # even and odd part of f
        part = (values + sign * values[:, ::-1]) / 2
        terms[parity - 2] += part**2 @ _WEIGHTS - terms[parity::2].sum(axis=0)
    return terms


@remembered(1)
def _hermite() -> Array:
    """Orthonormal Hermite polynomials at the points, shape (TERMS, points)."""
    h = np.ones((TERMS, len(_POINTS)))
    h[1] = _POINTS
    for k in range(1, TERMS - 1):
        h[k + 1] = (_POINTS * h[k] - math.sqrt(k) * h[k - 1]) / math.sqrt(k + 1)
    return h
