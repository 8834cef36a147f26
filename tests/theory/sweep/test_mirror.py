"""Half of all lags, against layers on all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

from erfmath.layers.geometry import AxisGeometry
from erfmath.theory.sweep.factor import correlate
from erfmath.theory.sweep.lowering import Linear, box, separable
from erfmath.theory.sweep.mirror import half_fixed, halved, mirrored, nearby
from erfmath.theory.sweep.pairs import fixed_pairs

Array = Any
STEPS = {"average": AxisGeometry(3, padding=(1, 1)), "stride": AxisGeometry(2, 2),
         "overlapping": AxisGeometry(3, 2, padding=(1, 1)), "dilated": AxisGeometry(3, 1, 2, (2, 2)),
         "long stride": AxisGeometry(5, 3, padding=(2, 1))}


def pairs(rng: np.random.Generator, lags: tuple[int, ...], sites: tuple[int, ...], groups: int = 1) -> Array:
    """M(x, tau) of a few random gradients."""
    return np.concatenate([correlate(g, g, lags) for g in rng.normal(size=(groups, 5, 1, *sites))])


@pytest.mark.parametrize("lags, sites", [((2,), (6,)), ((5,), (4,)), ((2, 1), (4, 5)), ((1, 3), (5, 3)),
                                         ((1, 2, 1), (3, 2, 4))], ids=str)
def test_half_tells_the_rest(lags: tuple[int, ...], sites: tuple[int, ...]) -> None:
    rng = np.random.default_rng(sum(sites))
    values = pairs(rng, lags, sites, 2)
    assert np.array_equal(mirrored(halved(values)), values)
    small = tuple(max(h - 1, 0) for h in lags)
    inner = tuple(slice(h - s, h + s + 1) for h, s in zip(lags, small))
    assert np.array_equal(nearby(halved(values), small), values[(slice(None), *inner)])


@pytest.mark.parametrize("plane", [False, True], ids=["image", "plane"])
@pytest.mark.parametrize("even", [False, True], ids=["filter", "even"])
@pytest.mark.parametrize("step", STEPS)
def test_filters(step: str, even: bool, plane: bool) -> None:
    g, rng = STEPS[step], np.random.default_rng(5)
    for ndim, lags, want in ((1, (3,), (4,)), (1, (1,), (7,)), (2, (2, 1), (3, 2)), (2, (1, 3), (1, 1)),
                             (2, (4, 4), (2, 5))):
        geometry = (g,) * ndim
        taps = box(geometry) if even else separable(geometry, rng.normal(size=(ndim, g.kernel)))
        op = Linear(taps, gain=1.3, inside_only=even and not plane)
        sizes: tuple[Any, ...] = (None,) * ndim if plane else (11,) * ndim
        extent = tuple(4 if plane else g.out(11) for _ in range(ndim))
        values = pairs(rng, lags, extent)
        whole, first = fixed_pairs(values, (0,) * ndim, op, sizes, want)
        half, start = half_fixed(halved(values), (0,) * ndim, op, sizes, want)
        assert start == first
        assert_close(half, halved(whole), ROUNDING, scale=float(np.abs(whole).max()))
