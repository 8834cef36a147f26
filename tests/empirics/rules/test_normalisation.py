"""Norms as layers of a run, and their operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differences import Case, check_input_gradient, check_parameter_gradients, check_quotient, check_windows
from helpers import ROUNDING, assert_close, assert_statistical
from layouts import LAYOUTS, Layout, channels_last

import erfmath as em
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.plan import make_plan
from erfmath.empirics.rules import normalisation
from erfmath.empirics.rules.normalisation import (batch_norm, normalised, normalised_grad, scaled_batch_norm,
                                                  scaled_batch_norm_grad)
from erfmath.empirics.run import forward
from erfmath.layers.geometry import Box
from erfmath.networks.settings import RunSettings

C, A = em.Conv, em.Activation

CASES: dict[str, Case] = {
    "batch norm": (em.serial(C(3), em.BatchNorm(), A("relu"),
                             em.residual(em.serial(C(3), em.BatchNorm(), A("leaky_relu"), em.Scale(0.3), C(3))),
                             em.BatchNorm(mode="identity"), A("elu")), (8, 7)),
    "layer norm": (em.serial(C(3), em.LayerNorm(), A("softplus"), C(3)), (5, 4)),
    "through the batch": (em.serial(C(3), em.BatchNorm("batch"), A("tanh"), C(3), em.BatchNorm(), C(3, stride=2)),
                          (5, 6)),
    "groups": (em.serial(C(3), em.GroupNorm(2), A("tanh"), C(3), em.GroupNorm(1), C(3, stride=2)), (5, 6)),
    "instances": (em.serial(C(3), em.InstanceNorm(scale_var=1), A("silu"), C(3), em.InstanceNorm()), (5, 4)),
    "sites": (em.serial(C(3), em.RMSNorm(), A("tanh"), C(3), em.LayerNorm()), (5, 4)),
    "no statistics": (em.serial(C(3), em.BatchNorm("identity", scale_var=0.5, shift_var=1), A("tanh"), C(3)), (5, 4)),
    "responses": (em.serial(C(3), em.GRN(0.7, -0.3), A("tanh"), C(3), em.GRN(), C(1)), (5, 4)),
    "1d": (em.serial(C(3), em.BatchNorm(), C(3), em.LayerNorm(), C(2, padding=0), em.GroupNorm(2), em.GRN(1.0)), (9,)),
    "3d": (em.serial(C(3), em.LayerNorm(), C(3), em.BatchNorm(), C(1), em.InstanceNorm(), em.RMSNorm()), (3, 4, 3)),
}
#: Of numbers about 1000 in single precision: three times its last bit, and of the variance, where that averages out.
LAST_BITS, AVERAGED = 2e-4, 1e-5


@pytest.mark.parametrize("name", CASES)
def test_run_on_windows(name: str) -> None:
    check_windows(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_run_and_its_input_gradient(name: str) -> None:
    check_input_gradient(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_run_and_its_parameter_gradients(name: str) -> None:
    check_parameter_gradients(CASES[name])


def test_compile_network_takes_statistics_of_the_whole_map() -> None:
    net = em.serial(C(3), em.BatchNorm(), C(3))
    program = compile_network(net, 2, image=(12, 9), unit=(0, 0))
    assert program.forward == Box((0, 0), (11, 8)) and program.backward == Box((0, 0), (2, 2))
    assert program.steps[2].forward.out == program.steps[2].backward.out == Box((0, 0), (0, 0))
    frozen = compile_network(net, 2, image=(12, 9), unit=(0, 0), given={1: {"mean", "variance"}})
    assert frozen.forward == frozen.backward == Box((0, 0), (2, 2))
    on_plane = compile_network(net, 2, unit=(0, 0))
    assert on_plane.steps[1].forward.out.shape == (8, 8) and on_plane.backward.shape == (5, 5)


def test_group_norm_in_its_extremes() -> None:
    """With a channel a group it is instance norm, and of one site with all channels in one layer norm."""
    x = np.random.default_rng(0).standard_normal((2, 6, 3, 4, 5))
    for one, other, y in ((em.GroupNorm(6), em.InstanceNorm(), x), (em.GroupNorm(1), em.LayerNorm(), x[..., :1, :1])):
        runs = [forward(compile_network(em.serial(layer), 2, image=y.shape[3:]), {}, y) for layer in (one, other)]
        assert_close(runs[0].output, runs[1].output, ROUNDING, scale=1.0)
        assert_close(*(run.backward(np.cos(y)) for run in runs), ROUNDING, scale=1.0)


def test_norms_on_the_plane_are_frozen_at_a_patch() -> None:
    for layer, sites in ((em.BatchNorm("batch"), 8), (em.GroupNorm(2), 32), (em.GRN(1.0), 32)):
        program = compile_network(em.serial(C(3), layer), 2, unit=(0, 0))
        assert program.forward.shape == (sites + 2,) * 2 and program.backward.shape == (3, 3)
        erf = em.measure(em.serial(C(3), layer), draws=10, rng=0)
        assert erf.shape == (3, 3)


@pytest.mark.parametrize("norm", [em.BatchNorm(scale_var=0.5, shift_var=2), em.LayerNorm(scale_var=0.5, shift_var=2),
                                  em.GroupNorm(2, scale_var=0.5, shift_var=2)])
def test_scales_and_shifts_are_drawn(norm: em.Layer) -> None:
    net = em.serial(C(3, 8), norm, C(3))
    plan = make_plan(net, RunSettings.of(net, image=6), statistic="power", entropy=0, normalise=False, images=None,
                     channel=None, batch=None, dtype=None)
    sample, draws = plan.recipe.sample(0, 4000).parameters, 4000 * 8
    for name, mean, variance in (("scale", 1, 0.5), ("shift", 0, 2)):
        x = sample[1, name].astype(float)
        errors = np.sqrt(variance / draws), variance * np.sqrt(2 / draws)
        assert_statistical([x.mean(), x.var()], errors, [mean, variance])


def test_grn_takes_given_numbers() -> None:
    """A layer that is the identity at initialisation is not, once it is trained."""
    net = em.serial(C(3, 4), em.GRN(), C(3, 4))
    rng = np.random.default_rng(0)
    kernels = {"conv1": rng.standard_normal((4, 3, 3, 3)), "conv2": rng.standard_normal((4, 4, 3, 3))}
    numbers = np.stack([np.full(4, 0.5), np.full(4, -0.2)])
    images = rng.standard_normal((4, 3, 6, 7))
    given = em.measure(net, weights={**kernels, "grn1": numbers}, images=images, rng=0)
    same = em.measure(em.serial(C(3, 4), em.GRN(0.5, -0.2), C(3, 4)), weights=kernels, images=images, rng=0)
    assert_close(given.map, same.map, ROUNDING)
    assert (given.map > 0).all()  # through its statistics


def test_norms_normalise() -> None:
    x = 3 + 2 * np.random.default_rng(4).standard_normal((2, 3, 4, 6, 5))
    y, _ = batch_norm(x, eps=0.0)
    assert_close(y.mean(axis=(2, 3, 4)), np.zeros((2, 3)), ROUNDING, scale=1.0)
    assert_close(y.var(axis=(2, 3, 4)), np.ones((2, 3)), ROUNDING)
    y, _ = normalised(x, (1,), eps=0.0)
    assert_close(y.mean(axis=1), np.zeros((2, 4, 6, 5)), ROUNDING, scale=10.0)
    assert_close(y.var(axis=1), np.ones((2, 4, 6, 5)), ROUNDING, scale=10.0)
    single = x.astype(np.float32)
    assert batch_norm(single)[0].dtype == normalised(single, (1,))[0].dtype == np.float32


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("axes", [(1,), (1, 3), (2, 3)])
def test_normalised_grad(axes: tuple[int, ...], centred: bool) -> None:
    rng = np.random.default_rng(3)
    x, u, v = rng.standard_normal((3, 2, 4, 3, 5))
    slope = float((normalised_grad(v, *normalised(x, axes, centred), axes, centred) * u).sum())
    check_quotient(lambda h: v * normalised(x + h * u, axes, centred)[0], slope)
    with pytest.raises(AssertionError):
        check_quotient(lambda h: v * normalised(x + h * u, axes, centred)[0], 1.001 * slope)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("space", [(5,), (4, 5), (2, 3, 4)])
@pytest.mark.parametrize("block", [1, 40, 10**6])
def test_scaled_batch_norm(block: int, space: tuple[int, ...], layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalisation, "BLOCK", block)
    rng = np.random.default_rng(0)
    x, dy = (layout(rng.standard_normal((2, 3, 4, *space)) + 1) for _ in range(2))
    scale, shift = rng.standard_normal((2, 1, 3))
    axes, across = tuple(range(2, x.ndim)), (..., *(None,) * (x.ndim - 2))

    def mean(values: Any) -> Any:
        return values.mean(axes, keepdims=True)
    y, means, variance = scaled_batch_norm(x, scale, shift)
    unit, factor = batch_norm(x)
    assert_close(y, unit * scale[across] + shift[across], ROUNDING, scale=1.0)
    assert_close(means, x.mean(axis=axes), ROUNDING)
    assert_close(variance, x.var(axis=axes), ROUNDING)
    dx, to_scale, to_shift = scaled_batch_norm_grad(dy, x, scale, means, variance)
    wide = dy * scale[across]
    assert_close(dx, factor * (wide - mean(wide) - unit * mean(wide * unit)), ROUNDING, scale=1.0)
    assert_close(to_scale, (dy * unit).sum(axis=axes), ROUNDING, scale=1.0)
    assert_close(to_shift, dy.sum(axis=axes), ROUNDING, scale=1.0)


def test_scaled_batch_norm_far_from_zero() -> None:
    """Single precision: the mean is taken away before squares are added up."""
    x = channels_last(1000 + np.random.default_rng(0).standard_normal((1, 3, 8, 16, 16))).astype(np.float32)
    y, _, variance = scaled_batch_norm(x, np.ones(3, np.float32), np.zeros(3, np.float32))
    exact = x.astype(np.float64)
    assert abs(variance - exact.var(axis=(2, 3, 4))).max() < AVERAGED
    assert abs(y - batch_norm(exact)[0]).max() < LAST_BITS
