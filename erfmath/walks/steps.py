"""What is walked: kernels, jumps and counts, brought to one normal form.

Every distribution here is that of S = sum_l J_l X_l (equation W2). `Problem` writes it as
S = start + span * s with s on the smallest box of non-negative integers, and keeps equal layers,
and layers that differ in their weights alone, together in a `Block`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from math import floor, fsum, gcd, log
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from ..base.checks import integer
from ..base.errors import check_bytes, quoted
from ..lattice.kernels import KernelStack, LatticeDistribution
from .scaled import DECIMAL

__all__ = ["Block", "Problem", "Step", "Steps", "as_steps"]

Step = tuple[Union[LatticeDistribution, KernelStack], Union[int, Sequence[int]], int]
Steps = Union[LatticeDistribution, KernelStack, Iterable[Step]]
#: Up to this many kernels means are summed as fractions, beyond as floats with fsum.
_EXACT_ROWS = 1024
#: Taps from which on those of a line are correlated as arrays, not pair by pair.
_MANY_TAPS = 64
#: Sites are 64-bit integers.
_FARTHEST = 2**63


@dataclass(frozen=True, eq=False)
class Block:
    """Layers with the same taps: `taps` (k, ndim), `weights` (rows, k), `counts` (rows,).

    `rounded` says that the weights were computed, so that n times them is not exact.
    """

    taps: NDArray[np.int64]
    weights: NDArray[Any]
    counts: tuple[int, ...]
    rounded: bool = False

    @cached_property
    def reach(self) -> tuple[int, ...]:
        """Largest tap along each axis (the smallest is 0)."""
        return tuple(np.maximum.reduce(self.taps, axis=0).tolist())

    @cached_property
    def depth(self) -> int:
        """Number of layers."""
        return sum(self.counts)

    @cached_property
    def totals(self) -> list[Fraction]:
        """Exact sum of each row's weights."""
        return [sum(map(Fraction, row), Fraction(0)) for row in self.weights.tolist()]

    @cached_property
    def pmf(self) -> NDArray[np.float64]:
        """Rows of probabilities, rounded once."""
        if self.weights.dtype == object:
            return np.array([[float(w / t) for w in row] for row, t in zip(self.weights, self.totals)])
        return self.weights / self.weights.sum(axis=1, keepdims=True)

    @cached_property
    def log_pmf(self) -> NDArray[np.float64]:
        """Logarithms of the probabilities, also of those below the range of floats; of very many kernels by floats."""
        if len(self.counts) > _EXACT_ROWS or self.rounded:
            with np.errstate(divide="ignore"):
                return np.log(self.pmf)
        return np.array([[float(p.ln(DECIMAL)) for p in row] for row in self.decimals])

    @cached_property
    def decimals(self) -> list[list[Decimal]]:
        """Rows of probabilities to 50 digits."""
        return [[DECIMAL.divide(DECIMAL.divide(w.numerator, w.denominator), whole)
                 for w in map(Fraction, row)]
                for row, total in zip(self.weights.tolist(), self.totals)
                for whole in [DECIMAL.divide(total.numerator, total.denominator)]]

    @cached_property
    def n(self) -> NDArray[np.float64]:
        """The counts as floats."""
        return np.array(self.counts, dtype=float)

    @cached_property
    def row_means(self) -> NDArray[np.float64]:
        """Mean tap of each row, shape (rows, ndim)."""
        return self.pmf @ self.taps

    def check_pairs(self) -> None:
        """Refuse kernels of too many taps for `pairs`, before anything is computed of them."""
        check_bytes(32 * len(self.taps) ** 2, f"the pairs of {len(self.taps)} taps",
                    "convolve a kernel that large by np.convolve or scipy.signal.fftconvolve")

    @cached_property
    def compact(self) -> bool:
        """Whether these are many taps on a line and most sites between its ends are taps: correlation is a product."""
        return self.taps.shape[1] == 1 and len(self.taps) >= _MANY_TAPS and self.reach[0] < 4 * len(self.taps)

    @cached_property
    def pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64], NDArray[np.intp]]:
        """Pairs of taps (i, j) sorted by lag, the distinct lags, and where each of them starts.

        A lag is the difference of two taps, its first nonzero coordinate positive.
        """
        self.check_pairs()
        i, j = np.triu_indices(len(self.taps), 1)
        lags = self.taps[j] - self.taps[i]
        lead = np.take_along_axis(lags, (lags != 0).argmax(axis=1)[:, None], axis=1)
        lags = lags * np.sign(lead)
        order = np.lexsort(lags.T[::-1])
        i, j, lags = i[order], j[order], lags[order]
        new = np.append(True, (lags[1:] != lags[:-1]).any(axis=1))
        return i, j, lags[new], np.flatnonzero(new)

    @property
    def lags(self) -> NDArray[np.int64]:
        """Differences of two taps, shape (lags, ndim), of `autocorrelation`."""
        return np.arange(1, self.reach[0] + 1)[:, None] if self.compact else self.pairs[2]

    def autocorrelation(self, rows: slice = slice(None)) -> NDArray[np.float64]:
        """q_d = sum_m u_m u_{m+d} of some rows of `pmf` at the `lags` d, shape (rows, lags)."""
        u = self.pmf[rows]
        if not self.compact:
            i, j, _, first = self.pairs
            return np.add.reduceat(u[:, i] * u[:, j], first, axis=1)
        line = np.zeros((len(u), self.reach[0] + 1))
        line[:, self.taps[:, 0]] = u
        return np.array([np.correlate(one, one, "full")[one.size:] for one in line])

    @cached_property
    def cumulants(self) -> NDArray[np.float64]:
        """Cumulants of orders 2 to 5 of the sum of all layers, shape (4, ndim)."""
        total = np.zeros((4, self.taps.shape[1]))
        for lo in range(0, len(self.counts), 4096):  # bounded scratch for millions of rows
            rows = slice(lo, lo + 4096)
            x = self.taps - self.row_means[rows, None, :]
            m2, m3, m4, m5 = (np.einsum("mk,mka->ma", self.pmf[rows], x**r) for r in range(2, 6))
            cumulants = np.stack([m2, m3, m4 - 3 * m2**2, m5 - 10 * m2 * m3])
            total += np.einsum("m,rma->ra", self.n[rows], cumulants)
        return total

    @cached_property
    def variances(self) -> NDArray[np.float64]:
        """Variance of the sum of all layers per axis."""
        if len(self.counts) <= _EXACT_ROWS:
            return self.cumulants[0]
        middle = np.array(self.reach) / 2
        second = self.pmf @ (self.taps - middle) ** 2 - (self.row_means - middle) ** 2
        return self.n @ second

    @cached_property
    def mean(self) -> tuple[Fraction, ...]:
        """Mean of the sum of all layers per axis, exact (but for thousands of kernels)."""
        if len(self.counts) > _EXACT_ROWS:
            return tuple(Fraction(fsum(self.n * means)) for means in self.row_means.T)
        means = [Fraction(0)] * self.taps.shape[1]
        taps = self.taps.T.tolist()
        for row, total, count in zip(self.weights.tolist(), self.totals, self.counts):
            exact = [Fraction(w) for w in row]
            for axis, coordinates in enumerate(taps):
                moment = sum(w * t for w, t in zip(exact, coordinates))
                means[axis] += count * moment / total
        return tuple(means)


class Problem:
    """The distribution of a sum of independent steps, in normal form.

    Attributes
    ----------
    ndim : int
    blocks : tuple of Block
        Layers of one tap alone are in `start`, not here.
    start, span, extent : tuple of int
        S = start + span * s, 0 <= s < extent, along each axis.
    is_signed : bool
        Whether a kernel is signed.
    log_mass : float
        Logarithm of the product of the kernels' masses.
    """

    def __init__(self, listed: Sequence[Step]) -> None:
        self.ndim = _common_ndim(listed)
        _check_sites(listed, self.ndim)
        self.is_signed = False
        self.log_mass = 0.0
        start = [0] * self.ndim
        grouped: dict[tuple[bytes, bool], dict[Any, int]] = {}
        shapes: dict[tuple[bytes, bool], NDArray[np.int64]] = {}
        stacks: list[tuple[NDArray[np.int64], NDArray[np.float64], int]] = []
        for kernel, jump, count in listed:
            if not count:
                continue
            jumps = _as_jump(jump, self.ndim)
            if isinstance(kernel, KernelStack):
                stacks += self._split(kernel, jumps[0], count, start)
                continue
            self.is_signed |= kernel.is_signed
            if kernel.mass != 1:
                self.log_mass += count * _log(kernel.mass)
            taps, weights = kernel.nonzero
            taps = taps if set(jumps) == {1} else taps * np.array(jumps)
            corner = np.minimum.reduce(taps, axis=0)
            for axis in range(self.ndim):
                start[axis] += count * (int(corner[axis]) + kernel.offset[axis] * jumps[axis])
            if len(taps) == 1 and not kernel.is_signed:
                continue
            taps = taps - corner
            if min(jumps) < 0:  # the same taps in the same order, whatever the signs of the jumps
                order = np.lexsort(taps.T[::-1])
                taps, weights = taps[order], weights[order]
            key = (taps.tobytes(), kernel.is_exact)
            shapes[key] = taps
            rows = grouped.setdefault(key, {})
            row = tuple(weights.tolist())
            rows[row] = rows.get(row, 0) + count
        self.start = tuple(start)
        raw = [(shapes[key], _array(rows, key[1]), tuple(rows.values())) for key, rows in grouped.items()]
        raw += [(taps, weights, (count,) * len(weights)) for taps, weights, count in stacks]
        self.span = tuple(_span(taps[:, axis] for taps, _, _ in raw) for axis in range(self.ndim))
        self.blocks = tuple(Block(taps // np.array(self.span), weights, counts) for taps, weights, counts in raw)
        self.extent = tuple(1 + sum(b.depth * b.reach[axis] for b in self.blocks) for axis in range(self.ndim))

    def _split(self, stack: KernelStack, jump: int, count: int, start: list[int],
               ) -> list[tuple[NDArray[np.int64], NDArray[np.float64], int]]:
        """Blocks of a stack, one for each pattern of zero weights."""
        parts = []
        used = stack.rows > 0
        if used.all():
            used = used[:1]
        packed = np.packbits(used, axis=1)
        _, first, which = np.unique(packed.view(f"V{packed.shape[1]}")[:, 0], return_index=True, return_inverse=True)
        for number, example in enumerate(first):
            pattern = used[example]
            rows = stack.rows if len(used) == 1 else stack.rows[which == number][:, pattern]
            taps = np.flatnonzero(pattern)[:, None] * jump
            corner = int(taps.min())
            start[0] += count * len(rows) * (corner + stack.offset * jump)
            if len(taps) > 1:
                order = slice(None, None, -1 if jump < 0 else 1)
                parts.append(((taps - corner)[order], rows[:, order], count))
        return parts

    @property
    def is_exact(self) -> bool:
        """Whether all weights were given as ints or Fractions."""
        return all(b.weights.dtype == object for b in self.blocks)

    @cached_property
    def depth(self) -> int:
        """Number of layers that move."""
        return sum(b.depth for b in self.blocks)

    @cached_property
    def size(self) -> int:
        """Number of lattice sites in the box of the support."""
        size = 1
        for extent in self.extent:
            size *= extent
        return size

    @cached_property
    def lattice_mean(self) -> tuple[Fraction, ...]:
        """E[s] along each axis."""
        return tuple(sum((b.mean[a] for b in self.blocks), Fraction(0)) for a in range(self.ndim))

    def deviation(self, s: NDArray[np.int64]) -> NDArray[np.float64]:
        """s - E[s] for lattice points of shape (points, ndim), rounded once however large s is."""
        origin = [floor(m) for m in self.lattice_mean]
        fraction = [float(m - o) for m, o in zip(self.lattice_mean, origin)]
        return (s - np.array(origin)) - np.array(fraction)

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """E[S] along each axis."""
        return np.array([float(o + g * m) for o, g, m in zip(self.start, self.span, self.lattice_mean)])

    @cached_property
    def lattice_covariance(self) -> NDArray[np.float64]:
        """Covariance matrix of s; variances of independent layers add."""
        total = np.zeros((self.ndim, self.ndim))
        for b in self.blocks:
            for lo in range(0, len(b.counts), 4096):  # bounded scratch for millions of rows
                rows = slice(lo, lo + 4096)
                x = b.taps[None, :, :] - b.row_means[rows, None, :]
                total += np.einsum("m,mk,mka,mkb->ab", b.n[rows], b.pmf[rows], x, x)
        return total

    @cached_property
    def lattice_cumulants(self) -> NDArray[np.float64]:
        """Cumulants of orders 2 to 5 of s along each axis, shape (4, ndim); those of layers add."""
        return sum((b.cumulants for b in self.blocks), np.zeros((4, self.ndim)))

    @cached_property
    def kurtosis(self) -> NDArray[np.float64]:
        """Excess kurtosis along each axis; nan where nothing varies."""
        second, _, fourth, _ = self.lattice_cumulants
        return fourth / np.where(second > 0, second, np.nan) ** 2

    def require_distribution(self, what: str) -> None:
        """Refuse `what` for signed kernels."""
        if self.is_signed:
            raise ValueError(
                f"{what} needs probability distributions, but a kernel has negative weights: its n-fold "
                'convolution is computed by method="fft" (error relative to the peak) or '
                '"rational" (exact)')


def _log(mass: Any) -> float:
    """Natural logarithm, of Fractions beyond the range of floats too."""
    try:
        return log(mass)
    except OverflowError:
        return log(mass.numerator) - log(mass.denominator)


def _check_sites(listed: Sequence[Step], ndim: int) -> None:
    """Refuse sites that 64-bit integers do not hold."""
    for axis in range(ndim):
        first = last = 0
        for kernel, jump, count in listed:
            size, offset = (kernel.rows.shape[1], kernel.offset) if isinstance(kernel, KernelStack) else (
                kernel.shape[axis], kernel.offset[axis])
            layers = count * (len(kernel.rows) if isinstance(kernel, KernelStack) else 1)
            ends = [layers * _as_jump(jump, ndim)[axis] * tap for tap in (offset, offset + size - 1)]
            first, last = first + min(ends), last + max(ends)
        if max(-first, last, last - first) >= _FARTHEST:
            raise ValueError(f"the support reaches from site {first} to {last}: sites, and their number, must stay "
                             f"below 2**63 ({_FARTHEST}); take fewer layers, or smaller jumps and offsets")


def _array(rows: Iterable[tuple[Any, ...]], exact: bool) -> NDArray[Any]:
    return np.array(list(rows), dtype=object if exact else float)


def as_steps(steps: Steps, n: int | None = None) -> list[Step]:
    """The checked list of (kernel, jump, count) that `walk` was given."""
    if isinstance(steps, (LatticeDistribution, KernelStack)):
        listed: list[Step] = [(steps, 1, 1 if n is None else n)]
    else:
        if n is not None:
            raise ValueError(f"n={quoted(n)} beside a sequence of steps: each step has its own count")
        if not isinstance(steps, Iterable) or isinstance(steps, np.ndarray):
            raise TypeError(f"steps={quoted(steps)}: must be a kernel from erfmath.kernels, or a sequence of (kernel, "
                            "jump, count)")
        listed = list(steps)
    for step in listed:
        if (not isinstance(step, tuple) or len(step) != 3
                or not isinstance(step[0], (LatticeDistribution, KernelStack))):
            raise TypeError(f"step {quoted(step)}: each must be a tuple (kernel, jump, count), the "
                            "kernel from erfmath.kernels")
    return [(kernel, jump, integer(count, "n" if n is not None else "count", 0)) for kernel, jump, count in listed]


def _common_ndim(steps: Sequence[Step]) -> int:
    dims = {1 if isinstance(k, KernelStack) else k.ndim for k, _, _ in steps}
    if len(dims) > 1:
        raise ValueError(f"kernels of {sorted(dims)} dimensions in one walk: use one dimension")
    return dims.pop() if dims else 1


def _as_jump(jump: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    jumps = (jump,) * ndim if isinstance(jump, (int, np.integer)) else tuple(jump)
    if len(jumps) != ndim or not all(operator.index(j) for j in jumps):
        raise ValueError(f"jump={quoted(jump)}: give a nonzero int, or one per axis of {ndim}")
    return tuple(int(j) for j in jumps)


def _span(columns: Iterable[NDArray[np.int64]]) -> int:
    """Largest lattice spacing that all taps share; 1 where nothing moves."""
    return gcd(*(int(np.gcd.reduce(column)) for column in columns)) or 1
