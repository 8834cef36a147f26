"""The saddlepoint approximation: a tilt of its own for every site."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cached_property
from math import ceil, floor, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import quoted
from .base import Walk
from .certify import certificate, edgeworth_coefficients
from .scaled import DECIMAL, Scaled
from .steps import Block, Problem

__all__ = ["SaddlepointWalk"]

#: Tilts at which the certificate is evaluated, over this many standard deviations on either side.
_TILTS, _SPREAD = 65, 8.0
_CHUNK = 1 << 20
#: What the certificate is multiplied by for the sites between those tilts, and sites that are looked at.
_BETWEEN, _SITES = 1.25, 4096
#: Tilted variance below which nothing is certified; relative rounding of a value.
_LEAST, _ROUNDING = 1e-150, 64 * float(np.finfo(float).eps)


class SaddlepointWalk(Walk):
    """Method "saddlepoint": Daniels' approximation, of order 0 or 1 (equation W13).

    With K the cumulant generating function and K'(theta) = s,

        p(s) ~ exp(K - theta s) / sqrt(2 pi K'') * (1 + lambda_4 / 8 - 5 lambda_3^2 / 24)

    the bracket for order 1; the two ends of the support are set to their exact values. The error
    is *relative*, of order n^-1 (order 0) or n^-2 (order 1), in the far tail too.

    Contract: `relative_bound(x)` bounds the relative error at sites x, by the certificate of the
    distribution tilted to have its mean there (equation W11). errors["sup"] is the largest of
    pmf * relative_bound over 65 sites that are spread evenly and 64 whose tilted variance is least, among all sites of
    a support of 4096, or as many within eight standard deviations; errors["total_variation"] half its sum by
    interpolation; both times 1.25: certified at those sites, estimated between them.
    """

    def __init__(self, problem: Problem, order: int = 1) -> None:
        problem.require_distribution('method="saddlepoint"')
        if order not in (0, 1):
            raise ValueError(f"order={quoted(order)}: saddlepoint orders 0 and 1 are offered")
        if problem.ndim > 1:
            raise ValueError('method="saddlepoint" is for one dimension and for products of 1-D '
                             'kernels: use method="exact" or "window"')
        super().__init__(problem, "saddlepoint")
        self._order = order

    def _cumulants(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """K of s - E s and its first four derivatives, shape (5, tilts)."""
        out = np.zeros((5, theta.size))
        for block in self._problem.blocks:
            x = block.taps[:, 0].astype(float)
            step = max(1, _CHUNK // (x.size * theta.size))
            for lo in range(0, len(block.counts), step):
                rows = slice(lo, lo + step)
                u, logs = block.pmf[rows][:, :, None], block.log_pmf[rows][:, :, None]
                centred = x - block.row_means[rows]
                exponent = centred[:, :, None] * theta
                top = (logs + exponent).max(axis=1)
                weights = np.exp(logs + exponent - top[:, None, :])
                total = weights.sum(axis=1)
                weights /= total[:, None, :]
                near = np.clip(exponent, -1, 1)  # where exact, log f loses nothing to the 1
                k0 = np.where(np.abs(exponent).max(axis=1) < 1, np.log1p((u * (np.expm1(near) - near)).sum(axis=1)),
                              top + np.log(total))
                k1 = np.einsum("mk,mkt->mt", centred, weights)
                y = centred[:, :, None] - k1[:, None, :]
                m2, m3, m4 = (np.einsum("mkt,mkt->mt", weights, y**r) for r in (2, 3, 4))
                out += np.einsum("m,rmt->rt", block.n[rows], np.stack([k0, k1, m2, m3, m4 - 3 * m2**2]))
        return out

    def _solve(self, s: NDArray[np.int64]) -> NDArray[np.float64]:
        """Tilts with K'(theta) = s, strictly inside the support, by safeguarded Newton steps."""
        target = self._problem.deviation(s[:, None])[:, 0]
        lo, hi = np.full(s.size, -4096.0), np.full(s.size, 4096.0)
        theta = np.zeros(s.size)
        for _ in range(200):
            _, mean, var, _, _ = self._cumulants(theta)
            error = mean - target
            lo, hi = np.where(error < 0, theta, lo), np.where(error > 0, theta, hi)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                newton = theta - error / var
            inside = (newton > lo) & (newton < hi) & (np.abs(newton - theta) < 4)
            far = theta - np.clip(error, -1, 1) * np.maximum(1, np.abs(theta))
            step = np.where(inside, newton, np.where((far > lo) & (far < hi), far, (lo + hi) / 2))
            done = (np.abs(error) <= 1e-14 * (1 + np.abs(target))) | (np.abs(step - theta) <= 1e-15)
            if done.all():
                break
            theta = np.where(done, theta, step)
        return theta

    def _at(self, s: NDArray[np.int64]) -> Scaled:
        s = s[:, 0]
        last = self._problem.extent[0] - 1
        result = Scaled.of(np.zeros(s.size))
        inner = (s > 0) & (s < last)
        for lo in range(0, s.size, 4096):
            part = np.flatnonzero(inner[lo:lo + 4096]) + lo
            if part.size:
                found = self._inner(s[part])
                result.mantissa[part], result.exponent[part] = found.mantissa, found.exponent
        for site, tap in ((0, 0), (last, -1)):
            mass = Decimal(1)
            for block in self._problem.blocks:
                for row, n in zip(block.decimals, block.counts):
                    mass = DECIMAL.multiply(mass, DECIMAL.power(row[tap], n))
            end = Scaled.of_decimal(mass)
            result.mantissa[s == site], result.exponent[s == site] = end.mantissa, end.exponent
        return result

    def _inner(self, s: NDArray[np.int64]) -> Scaled:
        theta = self._solve(s)
        k0, _, k2, k3, k4 = self._cumulants(theta)
        k2 = np.maximum(k2, _LEAST)
        correction = _bracket(k2, k3, k4) if self._order else 1.0
        bits = (k0 - theta * self._problem.deviation(s[:, None])[:, 0]) / log(2)
        whole = np.floor(bits)
        return Scaled.of(np.exp2(bits - whole) / np.sqrt(2 * np.pi * k2) * correction,
                         whole.astype(np.int64))

    def relative_bound(self, x: ArrayLike) -> NDArray[np.float64]:
        """Certified bound of abs(pmf(x) / p(x) - 1) at sites x; 0 at the ends, inf where p = 0.

        The tilted distribution at its own mean is met by 1 / sqrt(2 pi K'') times the bracket, which is an
        Edgeworth expansion at y = 0: that difference is certified.
        """
        s, inside = self._locate(x)
        out = np.full(inside.shape, np.inf)
        for index in np.argwhere(inside):
            site = s[tuple(index)][0]
            at_end = site in (0, self._problem.extent[0] - 1)
            out[tuple(index)] = 0.0 if at_end else self._certified(site)
        return out

    def _certified(self, site: int) -> float:
        theta = self._solve(np.array([site]))
        blocks = [_tilted(block, float(theta[0])) for block in self._problem.blocks]
        cumulants = np.sum([block.cumulants for block in blocks], axis=0)
        coefficients = edgeworth_coefficients(cumulants[:, 0], 2 * self._order)
        second, third, fourth, _ = cumulants[:, 0]
        if coefficients is None or second < _LEAST:
            return np.inf
        error = certificate(blocks, cumulants[:1], coefficients)["centre"]
        height = (_bracket(second, third, fourth) if self._order else 1.0) / sqrt(2 * np.pi * second)
        return error / (height - error) if height > error else np.inf

    @cached_property
    def errors(self) -> dict[str, float]:
        """"sup": absolute, per site; "total_variation": half the sum over all sites."""
        if not self._problem.blocks:
            return {"sup": 0.0, "total_variation": 0.0}
        mean, sd = float(self._problem.mean[0]), sqrt(self.covariance[0, 0])
        start, span = self._problem.start[0], self._problem.span[0]
        lo, hi = 0, self._problem.extent[0] - 1
        if hi >= _SITES:
            lo = max(lo, floor((mean - _SPREAD * sd - start) / span))
            hi = min(hi, ceil((mean + _SPREAD * sd - start) / span))
        near = np.unique(np.rint(np.linspace(lo, hi, min(hi - lo + 1, _SITES))).astype(np.int64))
        least = near[np.argsort(self._cumulants(self._solve(near))[2])[:_TILTS - 1]]
        even = near[np.rint(np.linspace(0, near.size - 1, min(near.size, _TILTS))).astype(np.int64)]
        steps = np.union1d(even, least)
        values = np.abs(self.pmf(start + span * steps))
        relative = np.minimum(self.relative_bound(start + span * steps), 1e300)
        bounds = np.minimum(values * np.minimum(relative, 1e300 / np.maximum(values, 1)), np.maximum(values, 1))
        bounds += _ROUNDING * values
        sums = np.cumsum(np.append(0, np.diff(steps) * (bounds[1:] + bounds[:-1]) / 2))
        area = float(sums[-1] + (bounds[0] + bounds[-1]) / 2)
        return {"sup": _BETWEEN * float(bounds.max()), "total_variation": _BETWEEN * area / 2}

    @property
    def error_bound(self) -> float:
        """Bound of abs(pmf(x) - exact), from the tilts of `errors`."""
        return self.errors["sup"]


def _bracket(k2: Any, k3: Any, k4: Any) -> Any:
    """1 + lambda_4 / 8 - 5 lambda_3^2 / 24 from cumulants."""
    return 1 + k4 / k2 / (8 * k2) - 5 * (k3 / k2) ** 2 / (24 * k2)


def _tilted(block: Block, theta: float) -> Block:
    exponent = block.log_pmf + block.taps[:, 0] * theta
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return replace(block, weights=weights / weights.sum(axis=1, keepdims=True), rounded=True)
