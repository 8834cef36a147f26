"""Weights of upsamplings."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, Tolerance, assert_close

import erfmath as em
from erfmath.layers.geometry import Resize
from erfmath.theory.rules.resampling import interpolation

SAME = Tolerance(1e-9, 1e-12)


def test_bicubic_weights() -> None:
    """Of two sites a quarter and three quarters away: Keys' kernel with a = -3/4."""
    quarter = [-27 / 256, 225 / 256, 67 / 256, -9 / 256]
    net = em.serial(em.Upsample(2, "bicubic"))
    assert_close(em.predict(net, ndim=1, unit=1).map, quarter, SAME)
    assert_close(em.predict(net, image=(8,), unit=9).map[3:7], quarter, SAME)
    assert_close(em.predict(net, image=(8,), unit=0).map[:3], [-9 / 256 + 67 / 256 + 225 / 256, -27 / 256, 0],
                 SAME)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("n, size", [(5, 13), (7, 3), (4, 8), (1, 6)])
def test_interpolation_is_linear_between_sites(n: int, size: int, corners: bool) -> None:
    """As NumPy's `interp`, which holds the end values."""
    values = np.random.default_rng(0).random(n)
    at = np.linspace(0, n - 1, size) if corners else (np.arange(size) + 0.5) * n / size - 0.5
    weights = interpolation(Resize("bilinear", size, 1, corners), n)
    assert_close(weights @ values, np.interp(at, np.arange(n), values), ROUNDING)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_interpolation_keeps_constants(mode: str) -> None:
    assert_close(interpolation(Resize(mode, None, 3), 5).sum(axis=1), np.ones(15), ROUNDING)
