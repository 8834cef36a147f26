"""What is asked of each kind: states against samples sent through the measurement's layers, and slopes told by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.run import forward
from erfmath.layers.base import Layer
from erfmath.trained.kinds import KINDS, Origin, kind_of

MEAN, VARIANCE = np.array([-0.8, 0.0, 0.5, 3.0]), np.array([1.0, 0.5, 2.0, 4.0])


@pytest.mark.parametrize("layer", [
    em.Identity(), em.Scale(-2), em.Slice(1, 3), em.Shuffle(2), em.MaxPool(3), em.Activation("relu"),
    em.Activation("leaky_relu"), em.Activation("relu6"), em.Activation("hardsigmoid"), em.Activation("gelu"),
], ids=lambda layer: getattr(layer, "function", layer.op))
def test_state_is_that_of_samples(layer: Layer) -> None:
    net = em.serial(layer)
    count, sites = 4000, 3
    program = compile_network(net, 1, image=sites)
    rng = np.random.default_rng(0)
    x = MEAN[:, None, None] + np.sqrt(VARIANCE)[:, None, None] * rng.standard_normal((1, 4, count, sites))
    y = forward(program, {}, x, to_inputs=True).output
    mean, variance = y.mean(axis=(0, 2, 3)), y.var(axis=(0, 2, 3))
    step = program.steps[0]
    state = kind_of(layer).state(step, [(MEAN, VARIANCE)], y.shape[1])
    assert state is not None and kind_of(layer).state(step, [None], y.shape[1]) is None
    error = np.sqrt(VARIANCE.max() / count)
    assert np.allclose(state[0], mean, atol=5 * error) and np.allclose(state[1], variance, rtol=0.15)


@pytest.mark.parametrize("function", ["relu", "leaky_relu", "relu6", "hardsigmoid", "hardtanh", "silu"])
def test_slopes_told_are_those_of_samples(function: str) -> None:
    layer = em.Activation(function)
    program = compile_network(em.serial(layer), 1, image=1)
    x = MEAN[:, None, None] + np.sqrt(VARIANCE)[:, None, None] * np.random.default_rng(1).standard_normal(
        (1, 4, 4000, 1))
    slope = forward(program, {}, x).pulls[0](np.ones_like(x))[0]
    told, = kind_of(layer).told(program.steps[0], (MEAN, VARIANCE), 4)
    assert np.allclose(told.mean, slope.mean(axis=(0, 2, 3)), atol=0.04)
    assert np.allclose(told.square, (slope**2).mean(axis=(0, 2, 3)), atol=0.04)


def test_origins() -> None:
    above = Origin(5, 2, 6)
    asked = {op: KINDS[op] for op in KINDS}
    assert asked["slice"].origin(em.Slice(1, 3), above, 8) == Origin(5, 3, 5)
    assert asked["max_pool"].origin(em.MaxPool(2), above, 8) == above
    assert asked["layer_norm"].origin(em.LayerNorm(), above, 8) == Origin(5, 0, 8)
    assert asked["conv"].origin(em.Conv(3), above, 8) is None
    assert asked["global_avg_pool"].origin(em.GlobalAvgPool(), above, 8) is None


def test_a_kind_without_an_entry_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KINDS, "scale")
    with pytest.raises(NotImplementedError, match="scale.*measure"):
        kind_of(em.Scale(2))


@pytest.mark.parametrize("gates, message", [
    ({"multiply1": np.ones((2, 3))}, r"must be mean and mean square.*\(2, 2, 3\)"),
    ({"multiply1": np.stack([np.ones((2, 3)), np.zeros((2, 3))], axis=1)}, "square of the mean"),
    ({"nothing": 1.0}, "no node 'nothing'"), ({}, "nothing is said of multiply1"),
])
def test_by_hand_is_checked(gates: Any, message: str) -> None:
    net = em.serial(em.Conv(1, 6), em.multiply(em.Slice(0, 3), em.Slice(3, 6)))
    with pytest.raises(ValueError, match=message):
        em.predict(net, weights={"conv1": np.ones((6, 3, 1, 1))}, gates=gates)
