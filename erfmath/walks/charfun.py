"""The characteristic function of a walk, accurate for any number of layers.

With f the characteristic function of a centred layer, phi = f**n amplifies every relative error of
f by n, and 1/3 + 1/3 + 1/3 is not even 1 in floats. So log f itself is computed from sums in which
nothing cancels (equations W7):

    1 - |f|^2 = 4 sum_d q_d sin(d t / 2)^2,           q_d = sum_m u_m u_{m+d}
    arg f     = atan2(sum u (sin y - y), 1 - 2 sum u sin(y/2)^2),   y = (x - mu) t

at angles t = 2 pi l / L whose multiples are reduced as integers. Means are exact fractions and
never enter as n times a rounded number.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .integers import as_integers
from .steps import Block

__all__ = ["Phases", "chernoff", "decay", "lag_weights", "log_phi"]

#: log |phi|, arg phi (both about the mean), and the rounding they carry in units of eps.
Phases = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
#: Elements of scratch arrays.
_CHUNK = 1 << 21
#: Kernels of one block above which Chernoff bounds use their variance and width alone.
_MANY = 64


def log_phi(blocks: Sequence[Block], modes: NDArray[np.int64], period: tuple[int, ...]) -> Phases:
    """log of E exp(i t (s - E s)) at t = 2 pi modes / period, modes of shape (points, ndim)."""
    logs, args, noise = np.zeros((3, len(modes)))
    for block in blocks:
        for part, total in zip(_block_log_phi(block, modes, period), (logs, args, noise)):
            total += part
    return logs, args, noise


def _signed_residue(numbers: NDArray[np.int64], period: int) -> NDArray[np.int64]:
    """The number of smallest magnitude congruent to each."""
    residue = numbers % period
    return np.where(residue > period // 2, residue - period, residue)


def _block_log_phi(block: Block, modes: NDArray[np.int64], period: tuple[int, ...]) -> Phases:
    """log f summed over the layers of a block.

    Each angle x t, x counted from the likeliest tap, is 2 pi (cycles + whole), whole an integer:
    it drops out of f but not of the mean, which leaves n sum u whole turns, modulo 1.
    """
    start = block.taps[(block.n @ block.pmf).argmax()]
    cycles, whole = np.zeros((2, len(block.taps), len(modes)))
    for taps, numbers, length in zip((block.taps - start).T, modes.T, period):
        product = np.outer(taps, numbers)
        residue = _signed_residue(product, length)
        cycles += residue / length
        whole += (product - residue) // length
    extra = np.rint(cycles)
    cycles -= extra
    whole += extra
    wrapped = whole.any()
    if block.taps.shape[1] == 1 and not wrapped and block.pmf.size * len(modes) > 4 * _CHUNK:
        series = _cumulant_series(block, 2 * pi * modes[:, 0] / period[0])
        if series is not None:
            return series
    lag_cycles = sum(_signed_residue(np.outer(d, numbers), length) / length
                     for d, numbers, length in zip(block.lags.T, modes.T, period))
    sines = 4 * np.sin(pi * (lag_cycles - np.rint(lag_cycles))) ** 2
    logs, args, noise = np.zeros((3, len(modes)))
    wide = len(block.lags) if block.compact else len(block.pairs[0])
    rows = max(1, _CHUNK // max(1, len(block.taps) * len(modes), wide))
    for lo in range(0, len(block.counts), rows):
        u, n = block.pmf[lo:lo + rows], block.n[lo:lo + rows]
        deficit = block.autocorrelation(slice(lo, lo + rows)) @ sines
        y = 2 * pi * (cycles - (u @ cycles)[:, None, :])
        cosine = 1 - 2 * np.einsum("mk,mkp->mp", u, np.sin(y / 2) ** 2)
        sine = np.einsum("mk,mkp->mp", u, _sin_minus(y))
        size = np.hypot(cosine, np.einsum("mk,mkp->mp", u, np.sin(y)))
        far = deficit > 0.5
        with np.errstate(divide="ignore"):
            logs += n @ np.where(far, np.log(size), 0.5 * np.log1p(-np.where(far, 0, deficit)))
        args += n @ np.arctan2(sine, cosine)
        near = np.abs(y)
        noise += n @ (np.einsum("mk,mkp->mp", u, np.minimum(near, near**3 / 6))
                      + np.where(size < 0.7, 1 / np.maximum(size, 1e-300), 0))
    if wrapped:
        turns, rounding = _whole_turns(block, whole)
        args -= 2 * pi * turns
        noise += rounding
    return logs, args, noise


def _whole_turns(block: Block, whole: NDArray[np.float64],) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """sum over layers of sum_m u_m whole_m modulo 1, and its rounding; exact for few kernels of weights as given."""
    if len(block.counts) > _MANY or block.rounded and block.compact:
        shifts = block.pmf @ whole
        return block.n @ (shifts % 1), block.n @ np.abs(shifts)
    patterns, which = np.unique(whole, axis=1, return_inverse=True)
    integers = [as_integers(row)[0] for row in block.weights.tolist()]
    totals = [sum(row) for row in integers]
    rounding = block.n @ np.abs(block.pmf @ whole) if block.rounded else np.zeros(whole.shape[1])
    most = int(np.abs(patterns).max())
    turns = np.zeros(patterns.shape[1])
    for row, total, n in zip(integers, totals, block.counts):
        # Python's integers, where those of 64 bits would not do.
        kind: Any = np.int64 if total * most < 2**62 else object
        sums = (np.array(row, dtype=kind) @ patterns.astype(np.int64).astype(kind)).tolist()
        turns += [n * one % total / total for one in sums]
    return turns[which.ravel()], rounding


def _sin_minus(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """sin(y) - y without cancellation."""
    z = y * y
    series = np.zeros_like(y)
    for term in range(8, 0, -1):  # to y**17: 1e-19 relative at 0.6
        series = (-1) ** term / factorial(2 * term + 1) + z * series
    return np.where(np.abs(y) < 0.6, y * z * series, np.sin(y) - y)


def _cumulant_series(block: Block, angle: NDArray[np.float64]) -> Phases | None:
    """log phi of very many kernels from their summed cumulants, where the series converges.

    About the middle c of the taps, |E exp(z (x - c)) - 1| <= 1/2 for |z| w <= log(3/2) with w the
    half width, so Cauchy's estimate bounds the coefficients by log 2 / (log(3/2) / w)^r and the
    remainder by a geometric series (equation W8).
    """
    half = block.taps.max() / 2
    ratio = float(np.abs(angle).max()) * half / log(1.5)
    orders = next((r for r in range(4, 33, 2) if ratio < 1 and
                   block.depth * log(2) * ratio ** (r + 1) / (1 - ratio) < 1e-17), None)
    if orders is None:
        return None
    powers = (block.taps / half - 1) ** np.arange(orders + 1)
    powers = powers / np.array([float(factorial(r)) for r in range(orders + 1)])
    total = np.zeros(orders + 1)
    for lo in range(0, len(block.counts), 8192):
        a = np.ascontiguousarray((block.pmf[lo:lo + 8192] @ powers).T)
        b = np.zeros_like(a)
        for r in range(1, orders + 1):
            b[r] = a[r] - sum((s / r) * b[s] * a[r - s] for s in range(1, r))
        total += b @ block.n[lo:lo + 8192]
    z = angle * half
    even = range(2, orders + 1, 2)
    logs = sum((-1) ** (r // 2) * total[r] * z**r for r in even)
    args = sum((-1) ** (r // 2) * total[r + 1] * z ** (r + 1) for r in even if r < orders)
    return logs, args, np.sqrt(float(block.depth)) * np.abs(z)


def lag_weights(blocks: Sequence[Block], ndim: int,) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lags D, shape (lags, ndim), and N with |phi(t)| <= exp(-sum N (1 - cos D t)).

    A theorem, from log(1 - x) <= -x applied to 1 - |f|^2 (equation W9); leaving lags out keeps it.
    """
    found: dict[tuple[int, ...], float] = {}
    for block in blocks:
        if block.compact:
            sums = block.n @ block.autocorrelation()
        else:
            i, j, _, first = block.pairs
            sums = np.add.reduceat(((block.pmf * block.n[:, None]).T @ block.pmf)[i, j], first)
        for lag, value in zip(block.lags.tolist(), sums.tolist()):
            found[tuple(lag)] = found.get(tuple(lag), 0.0) + value
    lags = np.array(list(found), dtype=np.int64).reshape(-1, ndim)
    return lags, np.array(list(found.values()))


def decay(lags: NDArray[np.int64], weights: NDArray[np.float64], modes: NDArray[Any],
          period: Sequence[int]) -> NDArray[np.float64]:
    """sum N (1 - cos D t) at t = 2 pi modes / period."""
    cycles = (lags / np.array(period, dtype=float)) @ modes.T
    return 2 * weights @ np.sin(pi * cycles) ** 2


def chernoff(blocks: Sequence[Block], axis: int, nats: float) -> tuple[float, float]:
    """Distances (a, b) with P(s < E s - a) <= exp(-nats) and P(s > E s + b) <= exp(-nats).

    For every theta > 0, P(s - E s >= (K(theta) + nats) / theta) <= exp(-nats), K the cumulant
    generating function; the smallest over a grid of theta is taken (equation W9).
    """
    var = sum(float(b.variances[axis]) for b in blocks)
    if not var:
        return 0.0, 0.0
    reach = max(block.reach[axis] for block in blocks)
    out = []
    for sign in (-1, 1):
        grid = min((2 * nats / var) ** 0.5 * 4096, 700 / reach) * 0.5 ** np.arange(19)
        for step in (0.125, None):
            with np.errstate(over="ignore", invalid="ignore"):
                distance = (_cgf(blocks, axis, sign * grid) + nats * (1 + 1e-6)) / grid
            distance = np.where(np.isnan(distance), np.inf, distance)
            best = int(distance.argmin())
            if step is not None:
                grid = grid[best] * 2.0 ** np.arange(-1, 1 + step, step)
        out.append(float(distance[best]))
    return out[0], out[1]


def _cgf(blocks: Sequence[Block], axis: int, theta: NDArray[np.float64],) -> NDArray[np.float64]:
    """log E exp(theta (s - E s)), or Bennett's bound of it for blocks of very many kernels."""
    total = np.zeros_like(theta)
    for block in blocks:
        if len(block.counts) > _MANY:
            width = block.reach[axis]
            y = np.abs(theta) * width
            total += block.variances[axis] / width**2 * (np.expm1(y) - y)
            continue
        deviation = block.taps[:, axis] - block.row_means[:, axis, None]
        y = deviation[:, :, None] * theta
        total += block.n @ np.log1p(np.einsum("mk,mkt->mt", block.pmf, np.expm1(y) - y))
    return total
