"""Scale, dropout, padding, identity: what they accept and refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
from specs import REAL, check_spec, examples

import erfmath as em
from erfmath.layers import Layer


@pytest.mark.parametrize("layer", examples("scale", "dropout", "pad", "identity"), ids=repr)
def test_elementwise_spec(layer: Layer) -> None:
    check_spec(layer)


@pytest.mark.parametrize("make, message", [
    (lambda: em.Scale(1 + 0j), r"factor=\(1\+0j\): " + REAL),
    (lambda: em.Scale([1.0]), r"factor=\[1.0\]: " + REAL),
    (lambda: em.Scale(-math.inf), "factor=-inf: must be finite"),
    (lambda: em.Scale(10**400), "factor=1.*: must be finite"),
    (lambda: em.Dropout(1), "p=1.0: must be at least 0 and below 1"),
    (lambda: em.Dropout(-0.1), "p=-0.1: must be at least 0 and below 1"),
    (lambda: em.Pad("same"), "padding='same': must be an integer, pairs of integers$"),
    (lambda: em.Pad(1, "mirror"), "mode='mirror': must be one of 'zeros', 'reflect', 'replicate', 'circular'"),
    (lambda: em.Pad((1, 2, 3)), r"padding=\(1, 2, 3\): "),
])
def test_elementwise_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_elementwise_traits() -> None:
    assert [em.Scale(f).is_identity for f in (1, 0.5)] == [em.Dropout(p).is_identity for p in (0, 0.5)] == [True, False]
    assert em.Pad(0).is_identity and em.Pad(((0, 0), (0, 0))).is_identity and not em.Pad((0, 1)).is_identity
    assert em.Dropout(0.5).draws_noise and not em.Scale(2).draws_noise and em.Identity().is_identity


def test_pads_crop() -> None:
    assert em.Pad((2, -3)).geometry(1)[0].out(10) == 9
    assert em.Pad(-1).geometry(1)[0].out(2) == 0


@pytest.mark.parametrize("make", [
    lambda: em.Scale(1e200), lambda: em.Activation("leaky_relu", slope=1e300),
    lambda: em.Activation("prelu", slope=-1e200)])
def test_factors_whose_squares_are_no_floats(make: Any) -> None:
    with pytest.raises(ValueError, match="at most 1e.150 in size"):
        make()
