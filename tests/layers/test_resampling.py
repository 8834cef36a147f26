"""Upsampling: what it accepts and refuses, and its weights against direct interpolation."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from specs import INT, check_spec, examples

import erfmath as em
from erfmath.layers import Layer
from erfmath.layers.geometry import AxisGeometry


@pytest.mark.parametrize("layer", examples("upsample"), ids=repr)
def test_upsample_spec(layer: Layer) -> None:
    check_spec(layer)


@pytest.mark.parametrize("make, message", [
    (lambda: em.Upsample(0), "scale=0: must be at least 1"),
    (lambda: em.Upsample(1.5), "scale=1.5: " + INT),
    (lambda: em.Upsample(2, size=4), "scale=2: give a scale or size=4, not both"),
    (lambda: em.Upsample(size=0), "size=0: must be at least 1"),
    (lambda: em.Upsample(2, align_corners=True), "align_corners=True: has no meaning with mode='nearest'"),
    (lambda: em.Upsample(2, "bilinear", align_corners=0), "align_corners=0: must be True or False"),
    (lambda: em.Upsample(2, "cubic"), "mode='cubic': must be one of 'nearest', 'bilinear'"),
])
def test_upsample_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_upsampling_weights_are_those_of_direct_interpolation(mode: Any) -> None:
    n = 7
    for scale in range(1, 6):
        layer = em.Upsample(scale, mode)
        axis, weights = layer.geometry(1)[0], layer.axis_weights(scale)
        assert axis.out(n) == n * scale and len(weights) == axis.kernel and axis.transposed
        scattered = np.zeros((n * scale, n))
        for z in range(n):
            for tap, weight in enumerate(weights):
                x = scale * z + tap - axis.pads(n)[0]
                if 0 <= x < n * scale:
                    scattered[x, z] += weight
        direct = np.zeros((n * scale, n))
        for x in range(n * scale):
            if mode == "nearest":
                direct[x, x // scale] = 1
            else:  # half-pixel centres
                source = Fraction(2 * x + 1, 2 * scale) - Fraction(1, 2)
                low = math.floor(source)
                for z, share in ((low, 1 - (source - low)), (low + 1, source - low)):
                    if 0 <= z < n:
                        direct[x, z] += float(share)
        assert_close(scattered, direct, ROUNDING)
        assert weights.min() > 0


def test_upsampling_per_axis() -> None:
    assert [axis.stride for axis in em.Upsample((1, 2, 5)).geometry(3)] == [1, 2, 5]
    assert em.Upsample((1, 4), "bilinear").geometry(2)[0] == AxisGeometry(transposed=True)
