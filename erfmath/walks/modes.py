"""A distribution from its few significant Fourier modes: the methods "window" and "fft"."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from math import ceil, exp, floor, log, log2, pi, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import check_bytes
from .base import Walk
from .charfun import chernoff, decay, lag_weights, log_phi
from .scaled import Scaled
from .spectrum import dense_phases, worthwhile
from .steps import Block, Problem

__all__ = ["SpectralWalk", "Torus", "fast_length"]

EPS = float(np.finfo(float).eps)
#: -log of what may be lost by truncation and aliasing, before the scale of the peak.
_NATS = 44.0
_CHUNK = 1 << 21
_QUARTERS = np.array([1, -1j, -1, 1j])


def fast_length(n: int) -> int:
    """Smallest 2^a 3^b 5^c that is at least n."""
    from scipy.fft import next_fast_len

    return int(next_fast_len(n, real=True))


def significant(lags: NDArray[np.int64], weights: NDArray[np.float64], period: int, nats: float,) -> NDArray[np.int64]:
    """Modes 0 <= l <= period / 2 of one axis where |phi| is not certainly below exp(-nats).

    With g = sum N (1 - cos D t) and M = sum N D^2 >= |g''|, no t within h of c matters where
    g(c) - |g'(c)| h - M h^2 / 2 >= nats: intervals are discarded or split (equation W9).
    """
    unit = 2 * pi / period

    def g(modes: NDArray[Any]) -> NDArray[np.float64]:
        return decay(lags[:, None], weights, modes[:, None], (period,))

    last = period // 2
    curvature = float(weights @ lags.astype(float) ** 2) * unit**2
    if last <= 64 or not curvature:
        kept = [np.arange(last + 1)]
    else:
        core = max(8.0, (2 * nats / curvature) ** 0.5)
        steps = max(1, ceil(log(max(last / core, 1.01)) / log(1.3)))
        edges = np.unique(np.append(0, np.rint(core * 1.3 ** np.arange(steps)))).astype(np.int64)
        lo, hi = edges[edges <= last], np.append(edges[edges <= last][1:] - 1, last)
        kept = []
        while lo.size:
            middle, half = (lo + hi) / 2, (hi - lo) / 2
            slope = unit * np.abs((weights * lags) @ np.sin(np.outer(lags, middle) * unit))
            floor_ = g(middle) - slope * half - curvature * half**2 / 2
            lo, hi = lo[floor_ < nats], hi[floor_ < nats]
            small = hi - lo < 32
            kept += [np.arange(a, b + 1) for a, b in zip(lo[small], hi[small])]
            lo, hi = lo[~small], hi[~small]
            split = (lo + hi) // 2
            lo, hi = np.concatenate([lo, split + 1]), np.concatenate([split, hi])
    modes = np.sort(np.concatenate(kept))
    return modes[g(modes) < nats]


def _chunks(items: NDArray[np.intp], each: int) -> list[NDArray[np.intp]]:
    """The items in parts, with scratch of `each` numbers for every one."""
    return np.array_split(items, items.size * each // _CHUNK + 1)


class Torus:
    """The significant Fourier modes of a distribution wrapped onto a torus.

    Parameters
    ----------
    blocks : sequence of Block
        The layers.
    origin, fraction : per axis
        Mean of the distribution: an integer, and the rest.
    period : tuple of int
        Sides of the torus.
    nats : float
        Modes with abs(phi) < exp(-nats) are left out.

    Attributes
    ----------
    axes : list of integer arrays
        Modes along each axis; along the last one only l >= 0, the others being conjugate.
    coefficients : complex array
        phi on the grid of `axes`, about `origin`; those with a conjugate partner count double.
    truncation, rounding : float
        Bounds of the absolute error at a site: a theorem, and a first-order model times four.
    """

    def __init__(self, blocks: Sequence[Block], origin: Sequence[int], fraction: Sequence[float],
                 period: Sequence[int], nats: float) -> None:
        self.origin, self.period = tuple(origin), tuple(period)
        if worthwhile(blocks, self.period):
            noise = self._by_transform(blocks, fraction, nats)
        else:
            noise = self._by_sums(blocks, nats)
        self.double = np.where((self.grid[:, -1] == 0) | (2 * self.grid[:, -1] == self.period[-1]), 1, 2)
        amplitude = np.exp(self.log_amplitude)
        turn = 2 * pi * self.grid @ (np.array(fraction) / np.array(self.period, dtype=float))
        waves = self.double * amplitude * np.exp(1j * (self.args + turn))
        self.coefficients = waves.reshape(self.shape)
        self.volume = float(prod(self.period))
        # The modes left out number at most `volume`, each below exp(-nats), and are divided by it.
        whole = prod(self.period[:-1]) * (self.period[-1] // 2 + 1)
        self.truncation = exp(-nats) if np.isfinite(self.log_amplitude).sum() < whole else 0.0
        # In units of eps / 2: what modes share (the kernel's rounding) adds up, what each has of its
        # own (its functions, its part in the transform) adds in squares; all of it times four.
        logs = np.abs(np.where(amplitude > 0, self.log_amplitude, 0))
        shared = 1.5 + logs + np.abs(turn) + 2 * noise
        own = 9 + 16 * logs**2 + sum(map(log2, self.period)) / 2
        size = self.double * amplitude
        self.rounding = 2 * EPS * float(size @ shared + np.sqrt(size**2 @ own)) / self.volume
        self.peak_bound = float((self.double * amplitude).sum()) / self.volume + self.truncation

    def _by_sums(self, blocks: Sequence[Block], nats: float) -> NDArray[np.float64]:
        """The significant modes by sums over taps and lags; their rounding."""
        lags, weights = lag_weights(blocks, len(self.period))
        half = []
        for axis, length in enumerate(self.period):
            parallel = (np.delete(lags, axis, axis=1) == 0).all(axis=1)
            half.append(significant(lags[parallel, axis], weights[parallel], length, nats))
        self._grid([np.concatenate([-m[(m > 0) & (2 * m < p)][::-1], m])
                    for m, p in zip(half[:-1], self.period)] + half[-1:])
        kept = np.arange(len(self.grid))
        if len(self.shape) > 1:
            order, lost = np.argsort(-weights), np.zeros(len(self.grid))
            for part in (order[:32], order[32:]):  # a few lags rule out most modes
                for some in _chunks(kept, part.size):
                    lost[some] += decay(lags[part], weights[part], self.grid[some], self.period)
                kept = kept[lost[kept] < nats]
        noise = np.zeros(len(self.grid))
        for some in _chunks(kept, len(lags)):
            self.log_amplitude[some], self.args[some], noise[some] = log_phi(blocks, self.grid[some], self.period)
        return noise

    def _by_transform(self, blocks: Sequence[Block], fraction: Sequence[float], nats: float) -> NDArray[np.float64]:
        """The significant modes of kernels of many taps; their rounding."""
        check_bytes(16 * prod(self.period), f"the transform of {' x '.join(map(str, self.period))} sites",
                    'use method="exact"')
        kept, phases = dense_phases(blocks, self.origin, fraction, self.period, nats)
        axes = []
        for axis, length in enumerate(self.period):
            modes = np.flatnonzero(kept.any(axis=tuple(a for a in range(kept.ndim) if a != axis)))
            axes.append(np.sort(np.where(2 * modes > length, modes - length, modes)))
        self._grid(axes)
        number = np.full(kept.shape, -1)
        number[kept] = np.arange(phases.shape[1])
        number = number[tuple((self.grid % np.array(self.period)).T)]
        found = number >= 0
        self.log_amplitude[found], self.args[found] = phases[:2, number[found]]
        noise = np.zeros(len(self.grid))
        noise[found] = phases[2, number[found]]
        return noise

    def _grid(self, axes: list[NDArray[np.int64]]) -> None:
        """The modes along each axis, and room for what is known of each."""
        self.axes = axes
        self.shape = tuple(m.size for m in axes)
        check_bytes(64 * prod(self.shape), f"{' x '.join(map(str, self.shape))} Fourier modes", 'use method="exact"')
        self.grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(self.period))
        self.log_amplitude = np.full(len(self.grid), -np.inf)
        self.args = np.zeros(len(self.grid))

    def _waves(self, axis: int, s: NDArray[np.int64]) -> NDArray[np.complex128]:
        """exp(-2 pi i l (s - origin) / period), the angle reduced to an eighth of a turn in integers."""
        period = self.period[axis]
        numbers = 4 * (np.outer(s - self.origin[axis], self.axes[axis]) % period)
        quarters = np.rint(numbers / period).astype(np.int64)
        return np.exp(-0.5j * pi / period * (numbers - quarters * period)) * _QUARTERS[quarters % 4]

    def at(self, s: NDArray[np.int64]) -> NDArray[np.float64]:
        """Values at lattice points of shape (points, ndim)."""
        out = np.empty(len(s))
        step = max(1, _CHUNK // prod(self.shape))
        for lo in range(0, len(s), step):
            part = s[lo:lo + step]
            terms = self.coefficients
            for axis in range(len(self.shape) - 1):
                waves = self._waves(axis, part[:, axis])
                terms = terms.reshape(-1, self.shape[axis], prod(self.shape[axis + 1:]))
                terms = waves @ terms[0] if axis == 0 else np.einsum("pm,pmr->pr", waves, terms)
            terms = self._waves(-1, part[:, -1]) * terms  # summed in pairs, which rounds less
            out[lo:lo + step] = terms.sum(axis=1).real
        return out / self.volume

    def dense(self, lo: Sequence[int], hi: Sequence[int]) -> NDArray[np.float64]:
        """Values on a lattice box: thin matrices times the small tensor of modes.

        In one dimension by one inverse FFT where the box is long.
        """
        size = hi[0] - lo[0] + 1
        if len(self.shape) == 1 and (size + 32) * self.shape[0] > 4 * self.period[0]:
            spectrum = np.zeros(self.period[0] // 2 + 1, dtype=complex)
            spectrum[self.axes[0]] = self.coefficients.conj() / self.double
            wrapped = np.fft.irfft(spectrum, self.period[0])
            at = (np.arange(lo[0], hi[0] + 1) - self.origin[0]) % self.period[0]
            return wrapped[at]
        waves = [self._waves(axis, np.arange(a, b + 1)) for axis, (a, b) in enumerate(zip(lo, hi))]
        out = self.coefficients
        for wave in waves[:-1]:
            out = np.tensordot(out, wave, axes=(0, 1))
        left = np.concatenate([out.real, -out.imag]).reshape(2 * self.shape[-1], -1)
        right = np.concatenate([waves[-1].real, waves[-1].imag], axis=1)
        return (left.T @ right.T).reshape([b - a + 1 for a, b in zip(lo, hi)]) / self.volume


class SpectralWalk(Walk):
    """Methods "window" and "fft": the distribution from its significant Fourier modes.

    Contract (equations W7 to W9): at every site of the window
    abs(pmf - p) <= errors["aliasing"] + errors["truncation"] + errors["rounding"], of which the
    first two are theorems and the third a first-order model times four; outside the window pmf is
    0 and p sums to at most `mass_outside`. Small relative to the peak, not to the value: tails
    below the bound are noise. "window" keeps the sites that carry all but 1e-19 of the mass, at a
    cost independent of depth; "fft" keeps the whole support.
    """

    def __init__(self, problem: Problem, full: bool) -> None:
        method = "fft" if full else "window"
        problem.require_distribution(f'method="{method}"')
        for block in problem.blocks:
            block.check_pairs()
        super().__init__(problem, method)
        scale = np.maximum(np.sqrt(np.diag(problem.lattice_covariance)), 1)
        self._nats = _NATS + float(np.log(scale).sum())
        lo, hi, cut = [], [], 0
        for axis, (extent, mean) in enumerate(zip(problem.extent, problem.lattice_mean)):
            first, last = 0, extent - 1
            if not full:
                below, above = chernoff(problem.blocks, axis, self._nats)
                first = max(first, min(floor(mean), ceil(mean - Fraction(below))))
                last = min(last, max(ceil(mean), floor(mean + Fraction(above))))
            cut += (first > 0) + (last < extent - 1)
            lo.append(first)
            hi.append(last)
        self._lo, self._hi = lo, hi
        self._outside = cut * exp(-self._nats)

    @cached_property
    def torus(self) -> Torus:
        """Modes on a torus that holds the window, so that only what lies outside is aliased."""
        means = self._problem.lattice_mean
        origin = [floor(m) for m in means]
        return Torus(self._problem.blocks, origin, [float(m - o) for m, o in zip(means, origin)],
                     [fast_length(b - a + 1) for a, b in zip(self._lo, self._hi)], self._nats)

    def _box(self) -> tuple[Sequence[int], Sequence[int]]:
        return self._lo, self._hi

    @property
    def mass_outside(self) -> float:
        """Upper bound of the probability outside `window`, by Chernoff."""
        return self._outside

    @property
    def peak_bound(self) -> float:
        """Sum of the modes' magnitudes."""
        return self.torus.peak_bound + self._outside

    @property
    def errors(self) -> dict[str, float]:
        """Absolute, per site: "aliasing", "truncation" of modes, "rounding"."""
        return {"aliasing": self._outside, "truncation": self.torus.truncation, "rounding": self.torus.rounding}

    @property
    def error_bound(self) -> float:
        """Upper bound of abs(pmf(x) - exact) over all sites x."""
        return sum(self.errors.values())

    def _at(self, s: NDArray[np.int64]) -> Scaled:
        inside = ((s >= np.array(self._lo)) & (s <= np.array(self._hi))).all(axis=1)
        values = np.zeros(len(s))
        values[inside] = self.torus.at(s[inside])
        return Scaled.of(np.maximum(values, 0))

    def _dense(self, lo: Sequence[int], hi: Sequence[int]) -> NDArray[np.float64]:
        out = np.zeros([b - a + 1 for a, b in zip(lo, hi)])
        first = [max(a, w) for a, w in zip(lo, self._lo)]
        last = [min(b, w) for b, w in zip(hi, self._hi)]
        if all(b >= a for a, b in zip(first, last)):
            where = tuple(slice(f - a, b - a + 1) for f, b, a in zip(first, last, lo))
            out[where] = np.maximum(self.torus.dense(first, last), 0)
        return out
