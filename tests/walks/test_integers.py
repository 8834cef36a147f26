"""Powers and products of exact integers against counting and NumPy's objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close
from walk_oracles import uniform_count

import erfmath as em
from erfmath.walks.integers import multiply, power


@pytest.mark.parametrize("k, n", [(2, 60), (3, 40), (7, 12), (31, 3)])
def test_path_counts(k: int, n: int) -> None:
    counts = em.path_counts(k, n)
    assert counts == [uniform_count(k, n, s) for s in range(n * (k - 1) + 1)]
    assert sum(counts) == k**n


@pytest.mark.parametrize("k, n, told", [(0, 3, "k=0"), (3, -1, "n=-1"), (2.5, 3, "k=2.5"), (3, "2", "n='2'")])
def test_path_counts_refuses(k: Any, n: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        em.path_counts(k, n)


def test_multiply_integers() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-10**9, 10**9, size=n).tolist() for n in (7, 5))
    stretched = np.zeros(13, dtype=object)
    stretched[::3] = b
    assert_close(multiply(a, b, 3), np.convolve(np.array(a, dtype=object), stretched), EXACT)
    cube = np.convolve(np.convolve(a, np.array(a, dtype=object)), a)
    assert_close(power(range(7), a, 3), cube, EXACT)
