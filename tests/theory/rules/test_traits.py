"""What specs tell of layers, against what layers of every kind do with random maps."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import REWRITE, assert_close
from single_layers import close, drawn, run_of
from vocabulary import LAYERS

import erfmath as em
from erfmath.theory.rules import traits
from erfmath.theory.rules.base import rule_of

RELU = em.Activation("relu")
#: Functions of a value that layers may commute with: increasing ones, an odd one, a bump, one that moves zero.
GATES = [RELU, em.Activation("tanh"), em.Activation("leaky_relu", slope=-.5), em.Activation("x * exp(-x**2)"),
         em.Activation("sigmoid")]


every_kind = pytest.mark.parametrize("op", LAYERS)


@every_kind
def test_sums_and_multiples_after_linear_layers(op: str) -> None:
    for layer, f, x in drawn(op):
        y = np.sin(10 * x)
        if traits.linear(layer):
            close(f(x + y), f(x) + f(y))
        for factor in (1.7, -.6):
            if traits.homogeneous(layer, factor):
                close(f(factor * y), factor * f(y))


@every_kind
def test_channels_by_themselves(op: str) -> None:
    """A channel is the same whatever the others are, and in whatever place: where there are no weights, exactly."""
    for layer, f, x in drawn(op):
        if not traits.by_channel(layer):
            continue
        other = x.copy()
        other[:, 1] *= -3
        close(f(other)[:, 0], f(x)[:, 0])
        if not (layer.takes_weights or getattr(layer, "scale_var", 0) or getattr(layer, "shift_var", 0)):
            close(f(x[:, ::-1])[:, ::-1], f(x))


@every_kind
def test_functions_before_and_after(op: str) -> None:
    for layer, f, x in drawn(op):
        y = np.sin(10 * x)
        for gate in GATES:
            phi = traits.function_of(gate)
            assert phi is not None
            if traits.commutes(gate, layer, x.ndim - 3):
                close(f(phi.value(y)), phi.value(f(y)))


@every_kind
def test_what_stays_positive(op: str) -> None:
    for layer, f, x in drawn(op):
        if traits.keeps_positive(layer, True):
            assert f(x).min() >= 0
        if traits.keeps_positive(layer, False):
            assert f(-3 * x).min() >= 0


@every_kind
def test_sizes_that_norms_forget(op: str) -> None:
    for layer, f, x in drawn(op):
        if rule_of(layer).normalises and layer.statistics:
            assert_close(f(1e6 * x), f(2e6 * x), REWRITE, scale=1.0)


@every_kind
def test_norms_of_copies(op: str) -> None:
    for norm, f, x in drawn(op):
        for up in (em.Upsample(2), em.Upsample(size=(10, 12)[:x.ndim - 3])):
            if traits.of_copies(up, norm):
                g = run_of(up, x.shape[3:])
                large = 1e6 * x  # beside what norms add to variances
                assert_close(run_of(norm, g(x).shape[3:])(g(large)), g(f(large)), REWRITE, scale=1.0)


def test_functions_of_functions() -> None:
    of = {name: em.Activation(name) for name in (
        "relu", "relu6", "hardtanh", "tanh", "sigmoid", "elu", "gelu", "softsign", "relu_squared", "x * exp(-x**2)",
        "abs(x)", "softplus", "hardsigmoid")}
    assert {name for name, phi in of.items() if traits.odd(phi)} == {
        "hardtanh", "tanh", "softsign", "x * exp(-x**2)"}
    assert {name for name, phi in of.items() if traits.spares_positive(phi)} == {"relu", "elu", "abs(x)"}
    assert {(one, other) for one, phi in of.items() for other, before in of.items()
            if traits.absorbs(phi, before)} == {
        ("relu", "relu"), ("relu6", "relu6"), ("relu6", "relu"), ("hardtanh", "hardtanh"), ("relu_squared", "relu"),
        ("abs(x)", "abs(x)"), ("relu", "elu"), ("relu6", "elu"), ("relu_squared", "elu")}
    positive = {name for name in of if traits.keeps_positive(em.Activation(name), False)}
    assert positive == {"relu", "relu6", "sigmoid", "relu_squared", "abs(x)", "softplus", "hardsigmoid"}


def test_layers_that_do_nothing_and_layers_by_another_name() -> None:
    assert traits.nothing(em.MaxPool(1), 2) and not traits.nothing(em.MaxPool(1, 2), 2)
    assert traits.like(em.Conv(3, name="a"), em.Conv(3, name="b")) and not traits.like(em.Conv(3), em.Conv(3, 4))
    assert traits.like(em.Conv(3, 2), em.Conv(3, 4), "channels") and not traits.like(em.MaxPool(2), em.AvgPool(2))


def test_windows_written_in_several_ways() -> None:
    conv, average = em.Conv(3, 4), em.AvgPool(3, 1, 1)
    for one, other in ((average, em.AvgPool((3, 3), (1, 1), ((1, 1), (1, 1)))), (em.Pad(1), em.Pad((1, 1))),
                       (em.Conv(5, 4, padding="same"), em.Conv(5, 4, padding=2)), (em.Upsample(2), em.Upsample((2, 2))),
                       (em.Conv(1, 4, dilation=3), em.Conv(1, 4, padding="valid")),
                       (em.Conv(3, 4, padding="valid", padding_mode="reflect"), em.Conv(3, 4, padding=0))):
        assert traits.like(one, other) and traits.like(other, one)
    for one, other in ((em.AvgPool((3,), 1, 1), em.AvgPool((3, 3), 1, 1)), (conv, em.Conv(3, 4, padding="valid")),
                       (em.Conv(3, 4, stride=2, padding="same"), em.Conv(3, 4, stride=2)), (conv, em.Conv(3, 8)),
                       (em.MaxPool(3, 1, 1), average)):
        assert not traits.like(one, other)
