"""T M T'^T against sums over all pairs of sites."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

from erfmath.theory.sweep import crossing
from erfmath.theory.sweep.crossing import joint_of, matrix_of, pairs_of


@pytest.mark.parametrize("sites, lags", [((5,), (2,)), ((3, 4), (1, 3)), ((2, 3, 2), (1, 2, 1))])
def test_a_covariance_as_a_matrix(sites: tuple[int, ...], lags: tuple[int, ...]) -> None:
    """There, as M(x, tau) over both sites, and back, where both orders of a pair are added up."""
    rng = np.random.default_rng(1)
    group = rng.normal(size=(*(2 * h + 1 for h in lags), *sites))
    matrix = matrix_of(group, lags, sites).reshape(*sites, *sites)
    back = pairs_of(matrix.reshape(np.prod(sites), -1), sites, lags)[0]
    for one, other in itertools.product(np.ndindex(*sites), repeat=2):
        tau = tuple(b - a for a, b in zip(one, other))
        near = all(abs(t) <= h for t, h in zip(tau, lags))
        place = tuple(t + h for t, h in zip(tau, lags))
        assert matrix[(*one, *other)] == (group[(*place, *one)] if near else 0)
        if near:
            assert back[(*place, *one)] == matrix[(*one, *other)] + matrix[(*other, *one)]
    pairs = itertools.product(np.ndindex(*back.shape[:len(sites)]), np.ndindex(*sites))
    assert all(back[(*place, *one)] == 0 for place, one in pairs if not all(
        0 <= x + t - h < n for x, t, h, n in zip(one, place, lags, sites)))


def test_sparse_and_dense_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(40, 40))
    one, other = (np.where(rng.random((40, 30)) < 0.05, rng.normal(size=(40, 30)), 0.0) for _ in range(2))
    dense = joint_of(one, matrix, other)
    assert_close(dense, np.einsum("nx,nm,my->xy", one, matrix, other), ROUNDING)
    monkeypatch.setattr(crossing, "MANY", 0)
    assert_close(joint_of(one, matrix, other), dense, ROUNDING)
