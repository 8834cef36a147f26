"""Activation functions and their expectations under Gaussian laws.

ReLU, leaky ReLU and the identity in closed form (arc-cosine kernels, Cho and Saul 2009); the others
by the trapezoidal rule on [-9, 9] in steps of 0.1, which for analytic functions of a Gaussian is
exact to rounding and for `elu` (kink in the second derivative) good to about 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..layers import Activation

__all__ = ["GRID", "GRID_WEIGHTS", "Function", "cross", "function", "gate", "gate_pair", "second"]

Array = npt.NDArray[np.float64]

#: Points and weights for expectations over a standard normal variable.
GRID: Array = np.linspace(-9.0, 9.0, 181)
GRID_WEIGHTS: Array = np.exp(-GRID**2 / 2)
GRID_WEIGHTS /= GRID_WEIGHTS.sum()


class Function(NamedTuple):
    """phi, phi', and the slope below zero where phi is piecewise linear (else None)."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    below: float | None = None


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * z))


def _normal_cdf(z: Array) -> Array:
    from scipy.special import ndtr
    return np.asarray(ndtr(z))


def _leaky(below: float) -> Function:
    return Function(lambda z: np.where(z > 0, z, below * z), lambda z: np.where(z > 0, 1.0, below), below)


_SMOOTH = {
    "tanh": Function(np.tanh, lambda z: 1 / np.cosh(z)**2),
    "sigmoid": Function(_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
    "gelu": Function(lambda z: z * _normal_cdf(z),
                     lambda z: _normal_cdf(z) + z * np.exp(-z**2 / 2) / np.sqrt(2 * np.pi)),
    "silu": Function(lambda z: z * _sigmoid(z), lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z)))),
    "elu": Function(lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
                    lambda z: np.where(z > 0, 1.0, np.exp(np.minimum(z, 0)))),
    "softplus": Function(lambda z: np.logaddexp(0, z), _sigmoid),
}


def function(layer: Activation) -> Function:
    """The function of an activation layer."""
    if layer.function in _SMOOTH:
        return _SMOOTH[layer.function]
    return _leaky({"relu": 0.0, "identity": 1.0}.get(layer.function, layer.slope))


def second(phi: Function, q: Array) -> Array:
    """E[phi(z)^2] for z ~ N(0, q), elementwise in q."""
    if phi.below is not None:
        return q * (1 + phi.below**2) / 2
    return _per_value(lambda s: phi.value(s * GRID)**2 @ GRID_WEIGHTS, np.sqrt(q))


def gate(phi: Function, q: Array) -> Array:
    """E[phi'(z)^2] for z ~ N(0, q), elementwise in q."""
    if phi.below is not None:
        return np.full(np.shape(q), (1 + phi.below**2) / 2)
    return _per_value(lambda s: phi.slope(s * GRID)**2 @ GRID_WEIGHTS, np.sqrt(q))


def cross(phi: Function, q: Array, rho: Array) -> Array:
    """E[phi(z) phi(z')] for two such variables of correlation rho, elementwise."""
    rho = np.clip(rho, -1, 1)
    if phi.below is not None:
        a = phi.below
        both = (np.sqrt(1 - rho**2) + rho * (np.pi / 2 + np.arcsin(rho))) / (2 * np.pi)  # of two ReLUs
        return q * (a * rho + (1 - a)**2 * both)
    return _pairs(phi.value, q, rho)


def gate_pair(phi: Function, q: Array, rho: Array) -> Array:
    """E[phi'(z) phi'(z')] for two such variables of correlation rho, elementwise."""
    rho = np.clip(rho, -1, 1)
    if phi.below is not None:
        a = phi.below
        return a + (1 - a)**2 * (0.25 + np.arcsin(rho) / (2 * np.pi))
    return _pairs(phi.slope, q, rho)


def _per_value(f: Callable[[Array], Array], s: Array) -> Array:
    """f at every distinct value of `s`, which maps repeat many times over; f takes a column."""
    distinct, where = np.unique(s, return_inverse=True)
    return np.asarray(f(distinct[:, None]))[where].reshape(np.shape(s))


def _pairs(f: Callable[[Array], Array], q: Array, rho: Array) -> Array:
    """E[f(z) f(z')]: z and z' share sqrt(|rho|) of their deviation, on a table of rho per variance."""
    q, rho = np.broadcast_arrays(q, rho)
    table = np.linspace(-1, 1, 41) if rho.min() < 0 else np.linspace(0, 1, 21)
    out = np.empty(q.shape)
    distinct, where = np.unique(np.round(np.sqrt(q), 6), return_inverse=True)
    where = where.reshape(q.shape)
    for k, s in enumerate(distinct):
        here = where == k
        values = rho[here]
        at = np.unique(values) if values.size < 8 else table
        out[here] = np.interp(values, at, [_pair(f, s, r) for r in at])
    return out


def _pair(f: Callable[[Array], Array], s: float, rho: float) -> float:
    common, own = np.sqrt(abs(rho)), np.sqrt(1 - abs(rho))
    first = f(s * (common * GRID[:, None] + own * GRID)) @ GRID_WEIGHTS
    other = first if rho >= 0 else first[::-1]
    return float(GRID_WEIGHTS @ (first * other))
