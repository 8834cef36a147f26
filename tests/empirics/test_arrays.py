"""Arrays of the measurement, whichever order they have in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differences import check_adjoint
from helpers import EXACT, ROUNDING, assert_close
from layouts import LAYOUTS, Layout

from erfmath.empirics import arrays
from erfmath.empirics.arrays import channel_sums, channels_last, folded, give_sites, per_channel, place, take_sites
from erfmath.empirics.rules.activation import activate
from erfmath.empirics.rules.pooling import along_axes, max_pool, max_pool_grad, max_pool_winner
from erfmath.layers.geometry import Box


@pytest.mark.parametrize("wanted", [Box((-1, 0), (6, 8)), Box((1, -2), (4, 3)), Box((3, 0), (2, 5)),
                                    Box((0, 0), (4, 5)), Box((2, 3), (2, 3))])
def test_place_pads_crops_and_has_its_adjoint(wanted: Box) -> None:
    held = Box((0, 0), (4, 5))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 1, 1, *held.shape))
    y = place(x, held, wanted)
    wide = np.pad(x, [(0, 0)] * 3 + [(9, 9)] * 2)
    assert_close(y, wide[(..., *(slice(9 + a, 10 + b) for a, b in zip(*wanted)))], EXACT)
    check_adjoint(lambda u: place(u, held, wanted), lambda v: place(v, wanted, held), x, rng.standard_normal(y.shape))


@pytest.mark.parametrize("mode, expected", [
    ("reflect", [2, 1, 0, 1, 2, 3, 2, 1]), ("replicate", [0, 0, 0, 1, 2, 3, 3, 3]),
    ("circular", [2, 3, 0, 1, 2, 3, 0, 1]),
])
def test_folded_and_its_adjoint(mode: str, expected: list[int]) -> None:
    sites = np.arange(-2, 6)
    assert folded(sites, 4, mode).tolist() == expected
    assert folded(sites, 1, mode).tolist() == [0] * 8
    rng, indices = np.random.default_rng(0), [folded(sites, 4, mode), np.array([2, 0, 0, 1])]
    x = rng.standard_normal((2, 1, 1, 4, 3))
    y = take_sites(x, indices)
    assert_close(y, x[..., indices[0][:, None], indices[1]], EXACT)
    check_adjoint(lambda u: take_sites(u, indices), lambda v: give_sites(v, indices, (4, 3)), x,
                  rng.standard_normal(y.shape))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("repeated", [1, 20, 10**6])
def test_per_channel_and_channel_sums(layout: Layout, repeated: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "REPEATED", repeated)
    rng = np.random.default_rng(0)
    x = layout(rng.standard_normal((2, 3, 4, 5, 6)))
    for values in (rng.standard_normal(3), rng.standard_normal((2, 3))):
        expected = x + values.reshape(-1, 3, 1, 1, 1)
        assert_close(x + per_channel(values, x), expected, EXACT)
    assert_close(channel_sums(x), x.sum(axis=(2, 3, 4)), ROUNDING, scale=1.0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_channels_last_is_kept_by_all_operations(layout: Layout) -> None:
    rng = np.random.default_rng(0)
    plain = rng.standard_normal((1, 3, 2, 6, 8))
    x = layout(plain)
    half = [np.kron(np.eye(n // 2), [[0.5, 0.5]]) for n in (6, 8)]
    back = [matrix.T for matrix in half]
    held, wanted, pool = Box((0, 0), (5, 7)), Box((-1, 0), (5, 9)), ((2, 3), (2, 1), (1, 2))

    def results(v: Any) -> list[Any]:
        y = max_pool(v, *pool)
        winner = max_pool_winner(v, y, *pool)
        mean = along_axes(v, half)
        return [y, winner, max_pool_grad(y, winner, (6, 8), *pool), mean, along_axes(mean, back),
                along_axes(v, [None, half[1]]), place(v, held, wanted, -1.0), *activate(v, "relu")]
    for found, expected in zip(results(x), results(plain)):
        assert_close(found, expected, ROUNDING, scale=1.0)
        assert channels_last(found) == channels_last(x)
