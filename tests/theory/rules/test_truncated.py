"""Piecewise polynomials: values, and expectations of pairs against quadrature and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, assert_close

from erfmath.theory.rules.truncated import LARGEST, Piecewise

RELU = Piecewise((0.0,), ((0.0, 1, 1.0),))
#: x clipped to -1 .. 2, and a parabola that begins at 1/2.
CLIPPED = Piecewise((0.0, 1.0), ((2.0, 1, -1.0), (-1.0, 1, 1.0)))
PARABOLA = Piecewise((0.0,), ((0.5, 2, 1.0),))


def test_at_is_the_function() -> None:
    x = np.linspace(-4, 4, 33)
    assert_close(RELU.at(x), np.maximum(x, 0), ROUNDING)
    assert_close(CLIPPED.at(x), np.clip(x, -1, 2), ROUNDING)
    assert_close(PARABOLA.at(x), np.maximum(x - 0.5, 0)**2, ROUNDING)


@pytest.mark.parametrize("rho", [-1.0, -0.3, 0.0, 0.8, 1.0])
def test_pair_of_rectifiers_is_the_arc_cosine_kernel(rho: float) -> None:
    expected = 2.5 * (math.sqrt(1 - rho**2) + rho * (math.pi - math.acos(rho))) / (2 * math.pi)
    assert_close(RELU.pair(np.array(2.5), np.array(rho)), expected, ROUNDING, scale=1.0)


@pytest.mark.parametrize("f", [CLIPPED, PARABOLA], ids=["clipped", "parabola"])
@pytest.mark.parametrize("q, rho", [(1.0, 0.6), (4.0, -0.5)])
def test_pair_is_a_sum_over_hermite_polynomials(f: Piecewise, q: float, rho: float) -> None:
    """E[f(x) f(x')] = sum_n rho^n E[f(x) h_n(x)]^2 for the normalised polynomials (Mehler), by Gauss between kinks."""
    s = math.sqrt(q)
    edges = sorted({-12.0, 12.0, *(k / s for k, _, _ in f.tails)})
    t, w = np.polynomial.legendre.leggauss(200)
    x = np.concatenate([(a + b + (b - a) * t) / 2 for a, b in zip(edges, edges[1:])])
    weights = np.concatenate([(b - a) / 2 * w for a, b in zip(edges, edges[1:])]) * np.exp(-x * x / 2)
    values, before, now, total = f.at(s * x) * weights / math.sqrt(2 * math.pi), np.zeros(x.size), np.ones(x.size), 0.0
    for n in range(60):
        total += rho**n * (values @ now)**2
        before, now = now, (x * now - math.sqrt(n) * before) / math.sqrt(n + 1)
    assert_close(f.pair(np.array(q), np.array(rho)), total, REWRITE)


def test_pair_of_large_values_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="at most 1e.12"):
        RELU.pair(np.array(2 * LARGEST), np.array(0.5))
