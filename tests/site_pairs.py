"""Pairs of sites on a line: covariances as boxes of lags, filters as matrices, and layers for networks on one."""

from __future__ import annotations

from typing import Any

import numpy as np

import erfmath as em

NEAREST = em.Upsample(2)
RANDOM1 = em.Random(gain=1)
lines = em.serial


def avg(k: int, **options: Any) -> em.AvgPool:
    """An average of stride 1."""
    return em.AvgPool(k, 1, padding=options.pop("padding", 0), **options)


def box(pairs: np.ndarray, reach: int) -> np.ndarray:
    """Covariances of all pairs of sites as M(x, tau), 0 where a partner is no site."""
    n = len(pairs)
    return np.array([[pairs[x, x + tau] if 0 <= x + tau < n else 0.0 for x in range(n)]
                     for tau in range(-reach, reach + 1)])[None]


def matrix(kernel: list[float], n: int, stride: int, padding: int) -> np.ndarray:
    """A filter as a matrix."""
    rows = range((n + 2 * padding - len(kernel)) // stride + 1)
    out = np.zeros((len(rows), n))
    for x in rows:
        for a, w in enumerate(kernel):
            if 0 <= stride * x + a - padding < n:
                out[x, stride * x + a - padding] += w
    return out
