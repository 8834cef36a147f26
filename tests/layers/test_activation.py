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
    (lambda: em.Activation("rely"), "function='rely': must be one of 'relu', "),
    (lambda: em.Activation(1), "function=1: must be one of 'relu', "),
    (lambda: em.Activation("leaky_relu", slope=True), "slope=True: " + REAL),
])
def test_activation_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_activation_traits() -> None:
    assert em.Activation("gelu").kind == "gelu"
    assert em.Activation("gelu").is_gate and not em.Activation("gelu").is_identity
    assert em.Activation("identity").is_identity and not em.Activation("identity").is_gate


@pytest.mark.parametrize("said, meant", [
    ("ReLU", "relu"), ("swish", "silu"), ("SiLU", "silu"), ("hard_swish", "hardswish"), ("Hard-Sigmoid", "hardsigmoid"),
    ("clip", "hardtanh"), ("GELU_tanh", "gelu_tanh"), ("LeakyReLU", "leaky_relu"), ("PReLU", "prelu"),
    ("squared_relu", "relu_squared"), ("squared relu", "relu_squared"), ("h_swish", "hardswish"),
    ("LReLU", "leaky_relu"),
    ("relu2", "relu_squared"), ("gelu_new", "gelu_tanh"), ("relu6", "relu6"), ("linear", "identity"), ("CELU", "celu"),
])
def test_activation_forgives(said: str, meant: str) -> None:
    assert em.Activation(said) == em.Activation(meant) and em.Activation(said).function == meant


def test_activation_slopes() -> None:
    assert em.Activation("leaky_relu").slope == 0.01 and em.Activation("prelu").slope == 0.25
    assert em.serial(em.Activation("prelu")).to_dict()["nodes"][0] == {
        "name": "prelu1", "inputs": ["input"], "op": "activation", "function": "prelu"}
    assert em.Activation("prelu").with_given([-0.3, -0.4]).slope == pytest.approx(-(0.125**0.5))
    assert em.Activation("relu").with_given([1.0]).slope == em.Activation("relu").slope
    assert em.Activation("prelu").parameters(8, 8, 2) == 1 and em.Activation("relu").parameters(8, 8, 2) == 0
