"""Gates of activations: exact truths."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, Tolerance, assert_close

import erfmath as em

RELU = em.Activation("relu")


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("depth", [1, 3])
def test_total_of_a_rectified_chain(slope: float, depth: int) -> None:
    """Each layer multiplies power by its gain and by the mean of phi'^2: 2 * 1/2 for ReLU."""
    block = em.serial(em.Conv(3, weights=em.Random(gain=2.0)), em.Activation("leaky_relu", slope=slope))
    assert_close(em.predict(em.repeat(block, depth)).total, (1 + slope**2)**depth, ROUNDING)


def test_gates_of_a_plain_chain_leave_the_shape_alone() -> None:
    net = em.repeat(em.serial(em.Conv(3), RELU), 5)
    assert_close(em.predict(net).share, em.predict(em.repeat(em.Conv(3), 5)).share, ROUNDING)


RECTIFIED: dict[str, Callable[[], em.Network]] = {
    "chain": lambda: em.repeat(em.serial(em.Conv(3), RELU), 3),
    "residual": lambda: em.serial(em.Conv(3), RELU, em.residual(
                                   em.serial(em.Conv(3), RELU, em.Conv(3))), RELU, em.Conv(3)),
    "pooled": lambda: em.serial(em.Conv(3), RELU, em.MaxPool(2), em.Conv(3), RELU, em.Conv(3)),
    "upsampled": lambda: em.serial(em.Conv(3, stride=2), RELU, em.Upsample(2, mode="bilinear"), em.Conv(3), RELU),
}


@pytest.mark.parametrize("name", RECTIFIED)
def test_rectified_networks_do_not_know_the_scale_of_their_input(name: str) -> None:
    net = RECTIFIED[name]()
    base, scaled = (em.predict(net, image=16, input_moments=(s, 0.3 * s)) for s in (1.0, 50.0))
    assert_close(scaled.map, base.map, Tolerance(1e-9, 1e-12))


@pytest.mark.parametrize("function", ["tanh", "sigmoid", "gelu"])
def test_other_activations_do(function: str) -> None:
    net = em.repeat(em.serial(em.Conv(3), em.Activation(function)), 2)
    base, scaled = (em.predict(net, image=16, input_moments=(s, 0.0)).total for s in (1.0, 4.0))
    assert abs(scaled / base - 1) > 0.05


def test_gelu_in_closed_form() -> None:
    """E[gelu'(z)^2] for z ~ N(0, 2), by quadrature."""
    t, w = np.polynomial.hermite_e.hermegauss(80)
    z = math.sqrt(2) * t
    cdf = np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in z])
    slope = cdf + z * np.exp(-z**2 / 2) / math.sqrt(2 * math.pi)
    assert_close(em.predict(em.serial(em.Conv(3), em.Activation("gelu"))).total, 2 * (w @ slope**2) / w.sum(), ROUNDING)


def test_gates_of_sums_know_the_level_at_borders() -> None:
    """A sum of a function and a Gaussian at a corner, where both are smaller, against its sites one by one."""
    def silu(v: Any) -> tuple[Any, Any]:
        s = 1 / (1 + np.exp(-v))
        return v * s, s * (1 + v * (1 - s))

    rng, inside = np.random.default_rng(0), 4 / 9
    act = em.Activation("silu")
    net = em.serial(em.Conv(3, weights=em.Random(gain=2.0)), act,
                    em.residual(em.Conv(1, weights=em.Random(gain=4.0))), act)
    value, first = silu((2 * inside)**0.5 * rng.standard_normal(400_000))
    branch = 2 * np.sqrt(np.mean(value**2)) * rng.standard_normal(value.size)
    second = silu(value + branch)[1]**2
    total = 2 * inside * (np.mean(second * first**2) + 4 * np.mean(second) * np.mean(first**2))
    assert em.predict(net, image=5, unit=(0, 0)).total == pytest.approx(total, rel=0.02)


@pytest.mark.parametrize("function, phi", [
    ("relu", lambda v: np.maximum(v, 0)), ("silu", lambda v: v / (1 + np.exp(-v))), ("tanh", np.tanh)])
def test_neighbours_of_pools_have_more_in_common_after_a_gate(function: str, phi: Any) -> None:
    """Windows that overlap share winners, through a batch norm and a gate: the variance of their average, sampled."""
    draws = np.random.default_rng(0).standard_normal((300_000, 3))
    pooled = np.maximum(draws[:, :-1], draws[:, 1:])
    values = phi((pooled - pooled.mean()) / pooled.std())
    net = em.serial(em.Conv((1,), weights=em.Random(gain=1.0)), em.MaxPool(2, 1), em.BatchNorm(),
                    em.Activation(function), em.AvgPool(2, 1), em.BatchNorm(), em.Conv((1,)))
    node, = [one for one in em.signals(net).nodes if one.kind == "avg_pool"]
    assert node.variance == pytest.approx(values.mean(axis=1).var(), rel=0.008)


def test_gates_at_borders_know_the_mean_that_a_batch_norm_took() -> None:
    """Pooled values at a corner are lower than the mean of the map in every channel: their second moments, sampled."""
    rng, n = np.random.default_rng(0), 9
    draws = np.maximum(rng.standard_normal((60_000, n)), 0)
    padded = np.pad(draws, [(0, 0), (2, 2)], constant_values=-np.inf)
    pooled = np.stack([padded[:, k:k + n] for k in range(5)]).max(axis=0)
    rectified = np.maximum((pooled - pooled.mean()) / pooled.std(), 0)
    net = em.serial(em.Conv((1,), weights=em.Random(gain=1.0)), RELU, em.MaxPool(5, 1, 2), em.BatchNorm(), RELU,
                    em.Conv((1,), weights=em.Random(gain=2.0)))
    # Of independent channels the last convolution passes what the gates of its site let through: all of the power of
    # the pool, 1 over its variance, twice the part of gates that are open.
    for unit in (0, n // 2):
        total = 2 * (rectified[:, unit] > 0).mean() / pooled.var()
        won = em.predict(net, image=(n,), unit=unit, source="max_pool1").total
        assert won == pytest.approx(total, rel=0.06)
    assert (rectified[:, 0] > 0).mean() < 0.8 * (rectified[:, n // 2] > 0).mean()


def test_biases_of_fixed_weights_between_activations() -> None:
    """relu(relu(z) + b): both gates are open with probability 1/4 + asin(rho) / 2 pi, rho that of z and z + b."""
    bias = 0.7
    one = em.Conv(1, groups="depthwise", weights=em.Fixed(np.ones((1, 1))), bias=bias)
    net = em.serial(em.Conv(3, weights=em.Random(gain=2.0)), RELU, one, RELU, em.Conv(1, weights=em.Random(gain=2.0)))
    both = 0.25 + math.asin(math.sqrt(2 / (2 + bias))) / (2 * math.pi)
    assert em.predict(net).total == pytest.approx(4 * both, rel=1e-3)


def test_slopes_that_training_has_changed() -> None:
    """Of given slopes predict takes the root mean square, whatever slope the layer began with."""
    rng = np.random.default_rng(0)
    kernels = {name: rng.standard_normal((4, 4, 3)) for name in ("conv1", "conv2")}
    found, expected = (em.predict(em.serial(em.Conv((3,), 4), gate, em.Conv((3,), 4)), weights={**kernels, **slopes},
                                  image=(9,), channels_in=4) for gate, slopes in (
        (em.Activation("prelu"), {"prelu1": np.array([0.1, 0.7, 0.5, 0.5])}),
        (em.Activation("leaky_relu", slope=0.5), {})))
    assert_close(found.map, expected.map, ROUNDING)
    with pytest.raises(ValueError, match=r"prelu1: weights: slopes of shape \(3,\); must be 1 or 4"):
        em.predict(em.serial(em.Conv((3,), 4), em.Activation("prelu")), weights={"prelu1": np.ones(3)}, channels_in=4)


def test_functions_of_zeros_at_borders() -> None:
    """Zeros that a 1x1 convolution pads stay zero under hardtanh, and are 1/2 after hardsigmoid: 20 of 36 sites."""
    below = em.Conv(1, 6, padding=1, weights=em.Random(gain=.5)), em.Activation("hardtanh")
    net = em.serial(*below, em.Activation("hardsigmoid"), em.BatchNorm())
    z, p = np.polynomial.hermite_e.hermegauss(200)
    inside = 1 / 4 + p @ np.clip(math.sqrt(.5) * z, -1, 1)**2 / p.sum() / 36
    found = em.signals(net, image=4, channels_in=2, ndim=2)["hardsigmoid1"].second
    assert_close(found, (20 / 4 + 16 * inside) / 36, Tolerance(1e-3, 0))
