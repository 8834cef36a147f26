"""What branches of one gradient share where they meet again: T M T'^T as matrices over sites (equation 24)."""

from __future__ import annotations

import math

import numpy as np

from ...base.errors import check_bytes
from .taps import REMEDY, Array

__all__ = ["joint_of", "matrix_of", "pairs_of"]

#: Sites from which on branches are taken as sparse matrices.
MANY = 512


def joint_of(one: Array, matrix: Array, other: Array) -> Array:
    """T M T'^T for the gradients at sites, shape (numbers, sites), of unit gradients, and their covariance."""
    if len(matrix) < MANY or max(map(np.count_nonzero, (one, other))) > one.size // 16:
        return np.asarray(one.T @ (matrix @ other))
    from scipy.sparse import csr_array
    return np.asarray(csr_array(one).T @ (csr_array(other).T @ matrix.T).T)


def matrix_of(group: Array, lags: tuple[int, ...], sites: tuple[int, ...]) -> Array:
    """M(x, tau) as a matrix over all pairs of sites."""
    matrix = np.zeros((*sites, *sites))
    for place in np.ndindex(*group.shape[:len(sites)]):
        tau = tuple(t - h for t, h in zip(place, lags))
        window = tuple(slice(max(-t, 0), max(n - max(t, 0), 0)) for t, n in zip(tau, sites))
        _diagonal(matrix, tau)[...] = group[(*place, *window)]
    return matrix.reshape(math.prod(sites), -1)


def pairs_of(joint: Array, sites: tuple[int, ...], lags: tuple[int, ...]) -> Array:
    """C(x, x + tau) + C(x + tau, x) of a matrix over sites, for lags in a box, shape (1, *lags, *sites)."""
    shape = 1, *(2 * h + 1 for h in lags), *sites
    check_bytes(8 * math.prod(shape), f"a covariance of shape {shape}", REMEDY)
    out, both = np.zeros(shape), (joint + joint.T).reshape(*sites, *sites)
    for place in np.ndindex(*shape[1:1 + len(sites)]):
        tau = tuple(t - h for t, h in zip(place, lags))
        window = tuple(slice(max(-t, 0), max(n - max(t, 0), 0)) for t, n in zip(tau, sites))
        out[(0, *place, *window)] = _diagonal(both, tau)
    return out


def _diagonal(matrix: Array, tau: tuple[int, ...]) -> Array:
    """The view of pairs of sites that are `tau` apart, of shape (*sites, *sites)."""
    ndim = len(tau)
    counts = [max(n - abs(t), 0) for n, t in zip(matrix.shape, tau)]
    first = matrix[(*(slice(max(-t, 0), None) for t in tau), *(slice(max(t, 0), None) for t in tau))]
    strides = [a + b for a, b in zip(first.strides[:ndim], first.strides[ndim:])]
    return np.lib.stride_tricks.as_strided(first, counts, strides)
