"""Slow and obvious references for walks: exact fractions, one layer at a time."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import comb, prod
from typing import Any

import numpy as np

from erfmath.lattice import kernels

Distribution = dict[tuple[int, ...], Fraction]


def exact_distribution(steps: list[tuple[Any, Any, int]]) -> Distribution:
    """Site -> value of the convolution of all layers; distributions sum to 1, signed kernels as given."""
    ndim = steps[0][0].ndim
    pmf: Distribution = {(0,) * ndim: Fraction(1)}
    for kernel, jump, count in steps:
        jumps = jump if isinstance(jump, tuple) else (jump,) * ndim
        taps = [(tuple(j * (a + o) for j, a, o in zip(jumps, index, kernel.offset)), Fraction(w))
                for index, w in np.ndenumerate(kernel.weights) if w != 0]
        total = 1 if kernel.is_signed else sum(w for _, w in taps)
        for _ in range(count):
            moved: Distribution = {}
            for (site, value), (tap, weight) in itertools.product(pmf.items(), taps):
                to = tuple(s + t for s, t in zip(site, tap))
                moved[to] = moved.get(to, Fraction(0)) + value * weight / total
            pmf = moved
    return pmf


def integer_convolution(steps: list[tuple[Any, int, int]]) -> tuple[list[int], int, int]:
    """1-D floats made integers and convolved layer by layer: numerators, denominator, start."""
    values, total, start = [1], 1, 0
    for kernel, jump, count in steps:
        exact = [Fraction(w) for w in kernel.weights.tolist()]
        unit = max(w.denominator for w in exact)
        taps = [(a * jump, int(w * unit)) for a, w in enumerate(exact) if w]
        for _ in range(count):
            moved = [0] * (len(values) + taps[-1][0] - taps[0][0])
            for tap, weight in taps:
                for i, value in enumerate(values):
                    if value:
                        moved[i + tap - taps[0][0]] += value * weight
            values = moved
            total *= sum(w for _, w in taps)
            start += taps[0][0]
    return values, total, start


def uniform_count(k: int, n: int, s: int) -> int:
    """Number of ways to write s as a sum of n numbers 0..k-1, by inclusion and exclusion."""
    sign_choose, total = 1, 0  # (-1)^j C(n, j)
    rest = comb(n + s - 1, n - 1)
    for j in range(s // k + 1):
        total += sign_choose * rest
        sign_choose = -sign_choose * (n - j) // (j + 1)
        for top in range(n + s - j * k - 1, n + s - (j + 1) * k - 1, -1):  # C(top, n-1) stepwise
            if top < n - 1:
                break
            rest = rest * (top - n + 1) // top
    return total


def quotient(found: Any, numerator: int, denominator: int) -> float:
    """A Scaled scalar over numerator / denominator, to 80 bits whatever their length."""
    bits = denominator.bit_length() - numerator.bit_length() + 80
    top = (numerator << bits) // denominator if bits >= 0 else numerator // (denominator << -bits)
    return float(Fraction(float(found.mantissa)) / top * Fraction(2) ** (int(found.exponent) + bits))


def worst_relative(walk: Any, sites: Any, exact: list[Any]) -> float:
    """Largest relative error at sites; where the exact value is 0 the walk's must be 0 too.

    Exact values are Fractions, or pairs (numerator, denominator) too long to reduce.
    """
    found = walk.scaled(np.asarray(sites))
    worst = 0.0
    for i, want in enumerate(exact):
        pair = want if isinstance(want, tuple) else (want.numerator, want.denominator)
        if pair[0]:
            worst = max(worst, abs(quotient(found[i], *pair) - 1))
        else:
            assert found[i].mantissa == 0, f"site {sites[i]}: not 0"
    return worst


def hard_case(rng: np.random.Generator, sites: int) -> list[tuple[Any, int, int]]:
    """One to four groups of hard kernels whose support has a few times `sites` sites at most."""
    steps = []
    for _ in range(rng.integers(1, 5)):
        k = int(rng.integers(2, 10))
        kind = rng.integers(5)
        if kind == 0:  # tame
            weights = rng.random(k)
        elif kind == 1:  # 60 decades
            weights = 10.0 ** rng.uniform(-60, 0, k)
        elif kind == 2:  # nearly a coarser lattice
            weights = np.where(np.arange(k) % 2, 10.0 ** rng.uniform(-12, -6), 1.0)
        elif kind == 3:  # Poisson
            weights = np.full(k, 10.0 ** rng.uniform(-9, -1))
            weights[0] = 1
        else:  # holes
            weights = rng.random(k) * (rng.random(k) < 0.5)
        weights[rng.integers(k)] += 1e-3
        jump = int(rng.integers(1, 9))
        count = int(rng.integers(1, 2 + sites // ((k - 1) * jump)))
        steps.append((kernels.from_weights(weights), jump, count))
    return steps


def dense(pmf: Distribution, shape: tuple[int, ...], start: tuple[int, ...]) -> np.ndarray:
    """A pmf as an array from `start`."""
    out = np.zeros(shape)
    for site, value in pmf.items():
        out[tuple(s - f for s, f in zip(site, start))] = float(value)
    assert out.size == prod(shape)
    return out


# ---------------------------------------------------------------------------------------------
# any depth: all Fourier modes that matter, in integers of 320 bits
# ---------------------------------------------------------------------------------------------

ONE = 1 << 320  # unit of the fixed-point numbers below


def _pi() -> int:
    """Machin: pi = 16 arctan(1/5) - 4 arctan(1/239)."""
    def arctan(x: int) -> int:
        return sum((-1)**k * ((ONE << 32) // x**(2 * k + 1) // (2 * k + 1)) for k in range(260))
    return (16 * arctan(5) - 4 * arctan(239)) >> 32


PI = _pi()
Complex = tuple[int, int]


def _times(a: Complex, b: Complex) -> Complex:
    return (a[0] * b[0] - a[1] * b[1]) // ONE, (a[0] * b[1] + a[1] * b[0]) // ONE


def _wave(turns: Fraction) -> Complex:
    """exp(2 pi i turns): a Taylor series of a thousandth of the angle, squared ten times."""
    angle = 2 * PI * (turns.numerator % turns.denominator) // turns.denominator >> 10
    parts, term, k = [0, 0, 0, 0], ONE, 0
    while term:
        parts[k % 4] += term
        k += 1
        term = term * angle // ONE // k
    wave = parts[0] - parts[2], parts[1] - parts[3]
    for _ in range(10):
        wave = _times(wave, wave)
    return wave


def _power(a: Complex, n: int) -> Complex:
    result = ONE, 0
    for bit in bin(n)[2:]:
        result = _times(result, result)
        result = _times(result, a) if bit == "1" else result
    return result


def deep_distribution(weights: list[Any], n: int, period: int, offsets: list[int]) -> tuple[int, list[Fraction]]:
    """floor(n mean), and the pmf of n equal layers at that site plus `offsets`, wrapped onto `period` sites.

    Modes are summed from 0 on, until twenty in a row are below 1e-36: for kernels whose modes all
    lie around 0.
    """
    pmf = [Fraction(w) for w in weights]
    pmf = [w / sum(pmf) for w in pmf]
    middle = int(n * sum(a * w for a, w in enumerate(pmf)))
    values, mode, small = [0] * len(offsets), 0, 0
    while small < 20 and 2 * mode <= period:
        layer = [0, 0]
        for a, w in enumerate(pmf):
            wave = _wave(Fraction(mode * a, period))
            layer = [part + x * w.numerator // w.denominator for part, x in zip(layer, wave)]
        phi = _power((layer[0], layer[1]), n)
        small = small + 1 if max(map(abs, phi)) < ONE >> 120 else 0
        phi = _times(phi, _wave(Fraction(-mode * middle, period)))
        for i, x in enumerate(offsets):
            values[i] += (1 if mode in (0, period / 2) else 2) * _times(phi, _wave(Fraction(-mode * x, period)))[0]
        mode += 1
    return middle, [Fraction(v, ONE * period) for v in values]
