"""Convolution powers by repeated squaring of positive numbers: nothing cancels, no tail is lost.

Contract: relative error at most `bound` (rounding, first order) at every site of the support, and
exact zeros where there is no path (equation W6). Each product of sums adds rounding, and squaring
doubles what is already there, so that an error made in w**m ends n/m times as large: the first
powers are therefore computed in exact integers. Cost: about (support size)^2 / 3 multiplications.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import ceil, log2, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .integers import as_integers, power
from .scaled import DECIMAL, ZERO_EXPONENT, Scaled
from .steps import Block, Problem

__all__ = ["convolve", "cost", "direct_pmf", "flat_corner", "flat_taps", "reachable"]

EPS = float(np.finfo(float).eps)
#: Two factors within this many bits of their largest value multiply without underflow.
_RANGE = 480
#: Bits of integers to spend on the exact first powers.
_HEAD_BITS = 400_000
#: From this depth on rounding in the first squarings would show.
_HEAD_DEPTH = 256
#: Distributions within this many bits fit floats as they are.
_NARROW = 900


def flat_taps(problem: Problem, block: Block) -> NDArray[np.int64]:
    """Taps numbered in the C order of the support's box, where convolution is one-dimensional.

    The numbers increase; the first is 0 only if the box's corner carries weight.
    """
    if problem.ndim == 1:
        return block.taps[:, 0]
    strides = [prod(problem.extent[axis + 1:]) for axis in range(problem.ndim)]
    return block.taps @ np.array(strides, dtype=np.int64)


def flat_corner(problem: Problem) -> int:
    """Number of the first site of the support: the sum of all layers' first taps."""
    return sum(b.depth * int(flat_taps(problem, b)[0]) for b in problem.blocks)


def cost(problem: Problem) -> float:
    """Multiplications that `direct_pmf` needs, roughly."""
    total, size = 0.0, 1.0
    for block in problem.blocks:
        codes = flat_taps(problem, block)
        codes = codes - codes[0]
        stretch = float(np.gcd.reduce(codes))
        own = block.depth * float(codes.max()) / stretch + 1
        total += own**2 / 3 + size * own
        size += own * stretch
    return total


def direct_pmf(problem: Problem) -> tuple[Scaled, float]:
    """Probabilities of all sites of the support's box in C order, and their relative bound."""
    parts = []
    mass = Decimal(1)
    for block in problem.blocks:
        codes = flat_taps(problem, block)
        codes = codes - codes[0]
        stretch = int(np.gcd.reduce(codes))
        rows = []
        for row, count in zip(block.weights.tolist(), block.counts):
            integers, _ = as_integers(row)
            rows.append(_row_power(codes // stretch, integers, count))
            mass = DECIMAL.multiply(mass, DECIMAL.power(sum(integers), count))
        parts.append((stretch, *_product(rows)))
    parts.sort(key=lambda part: part[0])
    pmf, bound = (parts[0][1], EPS + parts[0][2]) if parts else (Scaled.of([1.0]), EPS)
    if parts and parts[0][0] > 1:
        pmf = _stretched(Scaled.of([1.0]), pmf, parts[0][0])
    for stretch, factor, error in parts[1:]:
        bound += error + _rounding(min(pmf.shape[0], factor.shape[0]))
        pmf = _stretched(pmf, factor, stretch)
    scale = Scaled.of_decimal(mass)
    mantissa, corner = pmf.mantissa / scale.mantissa, flat_corner(problem)
    if mantissa.size < problem.size:
        mantissa = np.pad(mantissa, (corner, problem.size - corner - mantissa.size))
        pmf = Scaled(mantissa, np.pad(pmf.exponent, (corner, problem.size - corner - pmf.exponent.size)))
    return Scaled.of(mantissa, pmf.exponent - scale.exponent), bound


def reachable(problem: Problem) -> NDArray[np.bool_]:
    """Which sites of the flat box a path can end on: convolution of booleans by squaring."""

    def both(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.bool_]:
        size = a.size + b.size - 1
        paths = np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size), size)
        return paths > 0.5

    reached = np.ones(1, dtype=bool)
    for block in problem.blocks:
        codes = flat_taps(problem, block)
        kernel = np.zeros(int(codes[-1] - codes[0]) + 1, dtype=bool)
        kernel[codes - codes[0]] = True
        power = kernel
        for bit in bin(block.depth)[3:]:
            power = both(power, power)
            power = both(power, kernel) if bit == "1" else power
        reached = both(reached, power)
    corner = flat_corner(problem)
    return np.pad(reached, (corner, problem.size - corner - reached.size))


def _rounding(terms: int) -> float:
    """Relative rounding of a sum of `terms` positive products (a random walk of roundings)."""
    return EPS * (1 + sqrt(terms) / 4)


def _row_power(codes: NDArray[np.int64], integers: list[int], n: int) -> tuple[Scaled, float]:
    """Coefficients of (sum_j integers[j] z**codes[j])**n and their relative error."""
    exact_bits = log2(sum(integers))
    size = int(codes[-1]) + 1
    taps = [0] * size
    for code, weight in zip(codes.tolist(), integers):
        taps[code] = weight
    levels = n.bit_length() - 1
    error = kernel_error = EPS / 2 if exact_bits > 53 else 0.0
    unit = ceil(exact_bits)  # dividing by 2**unit keeps sums below 1 and rounds nothing
    narrow = n <= _HEAD_DEPTH and n * (unit - log2(min(integers))) < _NARROW
    product: Callable[[Any, Any], Any] = np.convolve if narrow else convolve
    pmf: Any
    kernel: Any
    pmf = kernel = (np.array([tap / (1 << unit) for tap in taps]) if narrow else Scaled.of_integers(taps))
    if n > _HEAD_DEPTH:
        while levels and _HEAD_BITS > (n >> levels - 1) ** 2 * size * exact_bits:
            levels -= 1
        pmf = Scaled.of_integers(power(codes.tolist(), integers, n >> levels))
        error = EPS / 2 if exact_bits * (n >> levels) > 53 else 0.0
    for level in reversed(range(levels)):
        done = n >> level
        exact = exact_bits * done <= 53
        error = 0.0 if exact else 2 * error + _rounding(pmf.shape[0])
        pmf = product(pmf, pmf)
        if done & 1:
            error = 0.0 if exact else error + kernel_error + _rounding(size)
            pmf = product(pmf, kernel)
    return (Scaled.of(pmf, n * unit) if narrow else pmf), error


def _product(rows: list[tuple[Scaled, float]]) -> tuple[Scaled, float]:
    """Product of many distributions, neighbours first so that sizes stay balanced."""
    while len(rows) > 1:
        pairs = [(convolve(a, b), x + y + _rounding(min(a.shape[0], b.shape[0])))
                 for (a, x), (b, y) in zip(rows[::2], rows[1::2])]
        rows = pairs + rows[2 * len(pairs):]
    return rows[0]


def _stretched(pmf: Scaled, factor: Scaled, stretch: int) -> Scaled:
    """pmf(z) * factor(z**stretch), phase by phase."""
    if stretch == 1:
        return convolve(pmf, factor)
    size = pmf.shape[0] + stretch * (factor.shape[0] - 1)
    mantissa, exponent = np.zeros(size), np.full(size, ZERO_EXPONENT)
    for phase in range(min(stretch, pmf.shape[0])):
        part = convolve(pmf[phase::stretch], factor)
        mantissa[phase::stretch][:part.shape[0]] = part.mantissa
        exponent[phase::stretch][:part.shape[0]] = part.exponent
    return Scaled(mantissa, exponent)


def convolve(a: Scaled, b: Scaled) -> Scaled:
    """Convolution of non-negative sequences with relative accuracy at every element.

    Sequences that span more than the range of floats are cut into pieces that do not.
    """
    a_pieces = _pieces(a)
    b_pieces = a_pieces if b is a else _pieces(b)
    if len(a_pieces) == len(b_pieces) == 1:
        (_, x, e), (_, y, f) = a_pieces[0], b_pieces[0]
        return Scaled.of(np.convolve(x, y), e + f)
    size = a.shape[0] + b.shape[0] - 1
    mantissa, exponent = np.zeros(size), np.full(size, ZERO_EXPONENT)
    for i, (at, x, e) in enumerate(a_pieces):
        for other, y, f in (a_pieces[i:] if b is a else b_pieces):
            part = np.convolve(x, y)
            if b is a and other != at:
                part *= 2
            m, shift = np.frexp(part)
            where = slice(at + other, at + other + part.size)
            p = np.where(m == 0, ZERO_EXPONENT, shift.astype(np.int64) + (e + f))
            top = np.maximum(exponent[where], p)
            mantissa[where] = (np.ldexp(mantissa[where], _shift(exponent[where] - top)) + np.ldexp(m, _shift(p - top)))
            exponent[where] = top
    return Scaled.of(mantissa, exponent)


def _shift(bits: NDArray[np.int64]) -> NDArray[np.intc]:
    return np.maximum(bits, -2000).astype(np.intc)


def _pieces(a: Scaled) -> list[tuple[int, NDArray[np.float64], int]]:
    """(start, floats, exponent): runs of `a` whose nonzero values lie within the safe range."""
    done, todo = [], [(0, a.shape[0])]
    while todo:
        lo, hi = todo.pop()
        mantissa, exponent = a.mantissa[lo:hi], a.exponent[lo:hi]
        top = int(exponent.max())
        if top == ZERO_EXPONENT:
            continue
        low = int(np.where(mantissa == 0, top, exponent).min())
        if top - low <= _RANGE:
            done.append((lo, np.ldexp(mantissa, _shift(exponent - top)), top))
        else:
            middle = (lo + hi) // 2
            todo += [(middle, hi), (lo, middle)]
    return done
