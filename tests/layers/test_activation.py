"""Activations: what they accept and refuse."""

from __future__ import annotations

from typing import Any

import pytest
from specs import REAL, check_spec, examples

import erfmath as em
from erfmath.layers import Layer


@pytest.mark.parametrize("layer", examples("activation"), ids=repr)
def test_activation_spec(layer: Layer) -> None:
    check_spec(layer)


@pytest.mark.parametrize("make, message", [
    (lambda: em.Activation("ReLU"), "function='ReLU': must be one of 'relu', "),
    (lambda: em.Activation("leaky_relu", slope=True), "slope=True: " + REAL),
])
def test_activation_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_activation_traits() -> None:
    assert em.Activation("gelu").kind == "gelu"
    assert em.Activation("gelu").is_gate and not em.Activation("gelu").is_identity
    assert em.Activation("identity").is_identity and not em.Activation("identity").is_gate
