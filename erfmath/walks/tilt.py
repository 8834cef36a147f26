"""The whole support with small relative error, by tilted windows: one dimension.

Tilting by z moves the mean: p(s) = M(z)^n z^-s p_z(s), where p_z is the distribution of a walk with weights
w_m z^m / M(z) (equation W12). Near its own mean a tilted distribution is not small, so its modes give it
with small *relative* error. Tilts are spread so that the stretches "mean of p_z, plus or minus c
standard deviations" tile the support: there are about sqrt(n) of them, with FFTs of about 3 times
the support in all. M(z)^n and the means are kept to 50 digits.

Every value comes with its bound: where the modes' absolute bound is not small against the value
(near-lattice kernels, combs) the caller takes another method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from math import asinh
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .modes import Torus, fast_length
from .scaled import DECIMAL, ZERO_EXPONENT, Scaled
from .steps import Block, Problem

__all__ = ["tilted_pmf"]

EPS = float(np.finfo(float).eps)
#: Half width of a window in standard deviations: rounding grows like exp(c^2 / 2).
_HALF_WIDTH = 2.5
#: -log of the aliasing and truncation allowed relative to the smallest value of a window.
_NATS = 41.0
#: Points of the table of tilts per window, and windows on either side used for tail bounds.
_PER_WINDOW = 4
_REACH = 18


def _cgf(problem: Problem, theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """K, K', K'' of s, shape (3, tilts)."""
    out = np.zeros((3, theta.size))
    for block in problem.blocks:
        x = block.taps[:, 0].astype(float)
        with np.errstate(divide="ignore"):
            logs = np.log(block.pmf)
        for row, n in zip(logs, block.n):
            exponent = row[:, None] + np.outer(x, theta)
            top = exponent.max(axis=0)
            weights = np.exp(exponent - top)
            total = weights.sum(axis=0)
            mean = x @ weights / total
            var = ((x[:, None] - mean) ** 2 * weights).sum(axis=0) / total
            out += n * np.stack([top + np.log(total), mean, var])
    return out


def _tilts(problem: Problem) -> NDArray[np.float64]:
    """Tilts at equal distances in the integral of sd(theta) d theta, which means measure in sds."""
    unit = 1.0 / max(b.reach[0] for b in problem.blocks)
    edge = 8.0
    while edge < 4096:
        low, high = _cgf(problem, np.array([-edge, edge]))[1]
        if max(low, problem.extent[0] - 1 - high) < 0.02:
            break
        edge *= 1.5
    theta = unit * np.sinh(np.linspace(-1, 1, 2049) * asinh(edge / unit))
    sd = np.sqrt(_cgf(problem, theta)[2])
    arc = np.append(0, np.cumsum(np.diff(theta) * (sd[1:] + sd[:-1]) / 2))
    windows = max(1, int(np.ceil(arc[-1] / (2 * _HALF_WIDTH))))
    return np.interp(np.linspace(0, arc[-1], windows * _PER_WINDOW + 1), arc, theta)


def _tails(theta: NDArray[np.float64], cgf: NDArray[np.float64], centres: NDArray[np.intp],
           nats: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sites below and above which the tilted distributions have less than exp(-nats), by Chernoff.

    The cumulant generating function of a tilted distribution is K(phi) - K(theta): the table of tilts
    itself supplies the exponents to try.
    """
    bounds = []
    for sign in (-1, 1):
        best = np.full(centres.size, np.inf * sign)
        for step in range(1, _REACH + 1):
            other = centres + sign * step
            ok = (other >= 0) & (other < theta.size)
            i, j = centres[ok], other[ok]
            site = (cgf[0, j] - cgf[0, i] + nats[ok]) / (theta[j] - theta[i])
            best[ok] = np.minimum(best[ok], site) if sign > 0 else np.maximum(best[ok], site)
        bounds.append(best)
    return bounds[0], bounds[1]


def _tilted(block: Block, z: Decimal) -> tuple[Block, Decimal, Decimal]:
    """The tilted block, the product of M(z)^n over its layers, and its mean, to 50 digits."""
    powers, last = [], 0
    gaps: dict[int, Decimal] = {0: Decimal(1)}
    power = Decimal(1)
    for tap in block.taps[:, 0].tolist():
        gap = tap - last
        if gap not in gaps:
            gaps[gap] = DECIMAL.power(z, gap)
        power = DECIMAL.multiply(power, gaps[gap])
        powers.append(power)
        last = tap
    mass, mean = Decimal(1), Decimal(0)
    rows = []
    for row, n in zip(block.decimals, block.counts):
        terms = [DECIMAL.multiply(w, p) for w, p in zip(row, powers)]
        total = moment = Decimal(0)
        for tap, term in zip(block.taps[:, 0].tolist(), terms):
            total = DECIMAL.add(total, term)
            moment = DECIMAL.fma(tap, term, moment)
        rows.append([float(DECIMAL.divide(term, total)) for term in terms])
        mass = DECIMAL.multiply(mass, DECIMAL.power(total, n))
        mean = DECIMAL.fma(n, DECIMAL.divide(moment, total), mean)
    tilted = replace(block, weights=np.array(rows), rounded=True)
    if not block.compact:
        tilted.__dict__["pairs"] = block.pairs
    return tilted, mass, mean


def tilted_pmf(problem: Problem, show: Callable[[int, int], Any] = lambda done, total: None,
               ) -> tuple[Scaled, NDArray[np.float64]]:
    """Probabilities on the support, and the bound of each one's relative error (inf at zeros)."""
    size = problem.extent[0]
    theta = _tilts(problem)
    cgf = _cgf(problem, theta)
    centres = np.arange(_PER_WINDOW // 2, theta.size, _PER_WINDOW)
    edges = np.append(np.clip(np.ceil(cgf[1, ::_PER_WINDOW]), 0, size)[:-1], size).astype(int)
    edges[0] = 0
    nats = _NATS + _HALF_WIDTH**2 / 2 + 0.5 * np.log1p(cgf[2, centres])
    below, above = _tails(theta, cgf, centres, nats)
    mantissa, exponent = np.zeros(size), np.full(size, ZERO_EXPONENT)
    relative = np.full(size, np.inf)
    for number, centre in enumerate(centres):
        show(number, len(centres))
        first, stop = edges[number], edges[number + 1]
        if first >= stop:
            continue
        lo, hi = max(0.0, below[number]), min(size - 1.0, above[number])
        # Sites a torus length away from the window first..stop-1 must lie outside lo..hi.
        period = fast_length(min(size, int(max(hi - first, stop - 1 - lo)) + 2))
        z = Decimal(float(np.exp(theta[centre])))
        parts = [_tilted(block, z) for block in problem.blocks]
        mass, mean = Decimal(1), Decimal(0)
        for _, factor, part in parts:
            mass, mean = DECIMAL.multiply(mass, factor), DECIMAL.add(mean, part)
        origin = int(mean)
        torus = Torus([block for block, _, _ in parts], [origin], [float(mean - origin)], [period], float(nats[number]))
        values = torus.dense([first], [stop - 1])
        scale = Scaled.of_decimal(DECIMAL.multiply(mass, DECIMAL.power(z, -origin)))
        pmf = Scaled.of(np.maximum(values, 0)) * scale
        away = origin - np.arange(first, stop)
        stride = max(1, int(600 / max(abs(theta[centre]), 600 / size)))
        bound = torus.truncation + torus.rounding + 2 * np.exp(-nats[number])
        relative[first:stop] = np.where(np.abs(away) <= 64 * stride,
                                        bound / np.maximum(values, 1e-300) + 8 * EPS, np.inf)
        away = np.clip(away, -64 * stride, 64 * stride)
        while away.any():
            part = np.clip(away, -stride, stride)
            pmf = pmf * Scaled.of(np.power(float(z), part))
            away = away - part
        mantissa[first:stop], exponent[first:stop] = pmf.mantissa, pmf.exponent
    return Scaled(mantissa, exponent), relative
