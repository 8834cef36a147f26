"""The variance of a chain's field as a sum over its layers (docs/theory.md, equation 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ...lattice.kernels import from_weights
from ..sweep.lowering import Linear
from ..sweep.taps import Array

__all__ = ["variance_terms"]


def _variance(weights: Array) -> Array:
    return np.asarray(from_weights(weights).var)


def variance_terms(ops: Iterable[Linear], ndim: int, variance: Callable[[Array], Array] = _variance) -> Array:
    """J_l^2 d_l^2 sigma_l^2 of each layer along each axis, in square pixels.

    Parameters
    ----------
    ops : iterable of Linear
        From the input up; J_l is the product of the strides before layer l.
    ndim : int
    variance : callable
        sigma^2 of an array of taps, in taps.

    Returns
    -------
    ndarray, shape (layers, ndim)
    """
    terms, jumps = [], np.ones(ndim)
    known: dict[int, Array] = {}  # repeated layers share their operation
    for op in ops:
        if id(op) not in known:
            known[id(op)] = np.zeros(ndim)
            for taps in op.taps:
                known[id(op)][list(taps.axes)] = variance(taps.weights) * np.square([g.dilation for g in taps.geometry])
        terms.append(known[id(op)] * jumps**2)
        for taps in op.taps:
            for axis, g in zip(taps.axes, taps.geometry):
                jumps[axis] *= g.stride
    return np.array(terms).reshape(-1, ndim)
