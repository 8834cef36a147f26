"""The contract of rules: what a new kind of layer gets from the defaults, shown by kinds that do not exist."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.layers import Layer
from erfmath.layers.base import KINDS
from erfmath.theory.rules.activation import ActivationRule
from erfmath.theory.rules.base import RULES, Rule, rule_for, rule_of
from erfmath.theory.rules.functions import Function
from erfmath.theory.sweep.lowering import Linear, separable


@pytest.fixture
def kinds() -> Iterator[None]:
    """Kinds and rules made in a test are gone after it."""
    known, ruled = dict(KINDS), dict(RULES)
    yield
    for registry, before in ((KINDS, known), (RULES, ruled)):
        for name in set(registry) - set(before):
            del registry[name]


def test_an_elementwise_gate_is_its_function(kinds: None) -> None:
    """Leaky ReLU under another name: the same field, on the plane, near borders, behind pools and in streams."""
    @dataclass(frozen=True)
    class Kinked(Layer):
        op: ClassVar[str] = "kinked"
        follows: ClassVar[bool] = True
        name: Any = None

        @property
        def is_gate(self) -> bool:
            return True

    @rule_for(Kinked)
    class KinkedRule(ActivationRule):
        def function(self, layer: Layer) -> Function:  # type: ignore[override]
            return Function(lambda z: np.where(z > 0, z, 0.2 * z), lambda z: np.where(z > 0, 1.0, 0.2), below=0.2,
                            cross=known.cross, slopes=known.slopes, knots=(0.0,))

    known = ActivationRule().function(em.Activation("leaky_relu", slope=0.2))
    made, real = ([em.serial(em.Conv(3, 8), gate, em.MaxPool(2), em.Conv(3, 8), em.BatchNorm(), gate,
                             em.residual(em.serial(em.Conv(3, 8), em.BatchNorm(), gate, em.Conv(3, 8))), gate,
                             em.Conv(1, 4))] for gate in (Kinked(), em.Activation("leaky_relu", slope=0.2)))
    for one, other in zip(made, real):
        for about in ({}, {"image": 16}, {"image": 16, "unit": 0}):
            assert_close(em.predict(one, **about).map, em.predict(other, **about).map, ROUNDING)
        assert_close(em.erf_size_map(one, 16).std, em.erf_size_map(other, 16).std, ROUNDING)


def test_a_filter_is_its_taps(kinds: None) -> None:
    """The mean of a site and the next one: an average pool of 2 with stride 1."""
    @dataclass(frozen=True)
    class Blend(em.AvgPool):
        op: ClassVar[str] = "blend"

    @rule_for(Blend)
    class BlendRule(Rule):
        fields = frozenset({"kernel_size", "stride", "padding"})

        def lower(self, layer: Layer, sizes: Any, c_in: int, c_out: int) -> Linear:
            return Linear(separable(layer.geometry(len(sizes)), [np.full(2, 0.5)] * len(sizes)))

    for about in ({}, {"image": 12}, {"image": 12, "unit": 0}):
        one, other = (em.predict(em.serial(em.Conv(3), pool(2, 1), em.Activation("relu"), em.Conv(3), pool(2, 1)),
                                 **about).map for pool in (Blend, em.AvgPool))
        assert_close(one, other, ROUNDING)


def test_a_kind_without_a_rule_is_refused_by_name(kinds: None) -> None:
    @dataclass(frozen=True)
    class Unknown(Layer):
        op: ClassVar[str] = "unknown"
        name: Any = None

    with pytest.raises(NotImplementedError, match="unknown: the theory has no rule"):
        rule_of(Unknown())
    with pytest.raises(NotImplementedError, match="unknown: the theory has no rule"):
        em.predict(em.serial(em.Conv(3), Unknown()))


def test_filters_of_neighbours_that_differ_more_than_they_can() -> None:
    """Sites whose mean square was negative: a root that was no number, and a warning."""
    net = em.serial(em.Conv(1, 6), em.MaxPool(2), em.BlurPool(5, 1), em.InstanceNorm(), em.Upsample(2, "bilinear"),
                    em.MaxPool(3, 3))
    theory, sampled = (ask(net, image=(6, 6), unit=(0, 0), channels_in=64, width=64, **options) for ask, options in (
        (em.predict, {}), (em.measure, {"draws": 60, "rng": 0})))
    assert np.isfinite(theory.total) and theory.map.min() >= 0
    assert theory.std == pytest.approx(sampled.std, rel=0.1)
