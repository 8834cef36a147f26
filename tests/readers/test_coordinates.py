"""Resizing by coordinates, against interpolation at them by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from traces import converted, step
from values import forward_values

from erfmath.readers.coordinates import COORDINATES, ROUNDED

N = 12
X = np.random.default_rng(0).standard_normal((1, 2, N))


def read(mode: str, at: Any) -> Any:
    found = converted(step("a", "resize", "x", shape=(1, 2, len(at)), mode=mode, coordinates=[at]), shape=(1, 2, N))
    return forward_values(found.net, found.weights, X)


@pytest.mark.parametrize("rounding", ROUNDED)
@pytest.mark.parametrize("rule", COORDINATES)
@pytest.mark.parametrize("scale", [2, 3, 1 / 2, 1 / 3])
def test_nearest(rule: str, rounding: str, scale: float) -> None:
    """Copies of the sites at rounded coordinates, or a refusal that names them."""
    m = round(N * scale)
    at = np.clip(ROUNDED[rounding](COORDINATES[rule](N, m, scale)), 0, N - 1)
    try:
        found = read("nearest", at)
    except ValueError as refused:
        assert rule == "align_corners" and "that reads sites" in str(refused)
        return
    assert_close(found, X[0][:, at.astype(int)], ROUNDING)


@pytest.mark.parametrize("rule, scale", [(rule, scale) for rule in COORDINATES for scale in (2, 3, 1 / 2, 1 / 3)])
def test_bilinear(rule: str, scale: float) -> None:
    at = COORDINATES[rule](N, round(N * scale), scale)
    expected = [np.interp(at, np.arange(N), channel) for channel in X[0]]
    assert_close(read("bilinear", at), np.array(expected), ROUNDING)


def test_a_scale_that_is_not_the_ratio_of_sizes() -> None:
    """Half of thirteen sites is six, each between two: means, of which the thirteenth site is no part."""
    x = np.random.default_rng(1).standard_normal((1, 2, 13))
    at = COORDINATES["half_pixel"](13, 6, 0.5)
    found = converted(step("a", "resize", "x", shape=(1, 2, 6), mode="bilinear", coordinates=[at]), shape=(1, 2, 13))
    assert_close(forward_values(found.net, found.weights, x), (x[0, :, :12:2] + x[0, :, 1:12:2]) / 2, ROUNDING)
    with pytest.raises(ValueError, match="resizing of 12 sites to 15, bilinear, that reads sites 0, 0.654, 1.42, ..."):
        read("bilinear", COORDINATES["half_pixel"](N, 15, 1.3))
