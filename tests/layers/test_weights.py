"""Weights: what they accept and refuse, and that they are values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close
from specs import REAL

import erfmath as em
from erfmath.empirics.rules import rule_of
from erfmath.networks.json import layer_from_dict, layer_to_dict


@pytest.mark.parametrize("make, message", [
    (lambda: em.Random(gain=0), "gain=0.0: must be positive"),
    (lambda: em.Random(gain="2"), "gain='2': " + REAL),
    (lambda: em.Random(gain=math.nan), "gain=nan: must be finite"),
    (lambda: em.Random(fan="avg"), "fan='avg': must be one of 'in', 'out', 'average'"),
    (lambda: em.Random(law="cauchy"), "law='cauchy': must be one of 'normal', 'uniform'"),
    (lambda: em.Random(profile=[1, -1]), "profile: .* not negative"),
    (lambda: em.Random(profile=[0, 0]), "profile: .* not all zero"),
    (lambda: em.Random(profile=2.0), "profile: .* 1 to 3 dimensions"),
    (lambda: em.Random.like("tensorflow"), "name='tensorflow': must be one of 'torch', 'he_normal', .*'keras'"),
    (lambda: em.Random.like(2), "name=2: must be one of"),  # type: ignore[arg-type]
    (lambda: em.Conv(3, weights=em.Constant(), bias="weights"), "bias='weights': must be a variance"),
    (lambda: em.Conv(3, bias="torch"), "bias='torch': must be a variance, or 'weights'"),
    (lambda: em.Fixed([]), "array: must hold finite numbers, at least one"),
    (lambda: em.Fixed([1, math.inf]), "array: must hold finite numbers"),
    (lambda: em.Fixed(["1", "2"]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([1j]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([True, False]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([[1], [1, 2]]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([10**400]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed(1.0), "array: has 0 axes"),
])
def test_weights_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_weights_are_compared_by_value_and_cannot_be_changed() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    fixed, random = em.Fixed(values), em.Random(profile=values)
    assert fixed == em.Fixed([[1, 2], [3, 4]]) and hash(fixed) == hash(em.Fixed([[1, 2], [3, 4]]))
    assert fixed != em.Fixed([1, 2, 3, 4]) and fixed != em.Fixed([[1, 2], [3, 5]])
    assert random == em.Random(profile=values) and hash(random) == hash(em.Random(profile=values))
    assert random != em.Random() and random != em.Random(profile=2 * values) and random != fixed
    assert em.Constant() == em.Constant() and em.Constant() != em.Random()
    values[0, 0] = 9
    assert fixed.array[0, 0] == random.profile[0, 0] == 1
    for array in (fixed.array, random.profile):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 9
    same = em.Fixed(fixed.array.tolist())
    assert em.Conv(2, padding=0, weights=fixed) == em.Conv(2, padding=0, weights=same)


def test_variances_have_sum_one() -> None:
    two, four = em.Random().variances((2, 4))
    assert_close(two, [1 / 2] * 2, EXACT)
    assert_close(four, [1 / 4] * 4, EXACT)
    rows = em.Random(profile=[1, 2, 5]).variances((3, 3))
    assert len(rows) == 2
    for row in rows:
        assert_close(row, [1 / 8, 2 / 8, 5 / 8], ROUNDING)
    whole, = em.Random(profile=[[1, 2], [3, 4]]).variances((2, 2))
    assert_close(whole, [[0.1, 0.2], [0.3, 0.4]], ROUNDING)


#: Variances of a convolution of 3 x 3 taps between 4 and 12 channels, as the frameworks' pages define them.
@pytest.mark.parametrize("name, variance, law", [
    ("torch", 1 / (3 * 36), "uniform"),                    # kaiming_uniform_ with a = sqrt(5)
    ("keras", 2 / (36 + 108), "uniform"),                  # limit sqrt(6 / (fan_in + fan_out))
    ("Kaiming_normal", 2 / 36, "normal"), ("he_uniform", 2 / 36, "uniform"),
    ("xavier_uniform", 2 / (36 + 108), "uniform"), ("glorot_normal", 2 / (36 + 108), "normal"),
    ("lecun_normal", 1 / 36, "normal"), ("lecun_uniform", 1 / 36, "uniform"),
])
def test_initialisers_by_name(name: str, variance: float, law: str) -> None:
    """In the theory, in the measurement, and where biases have the variance of the weights."""
    weights = em.Random.like(name)
    assert weights.law == law
    assert_close(weights.gain / (9 * weights.fan_channels(4, 12)), variance, ROUNDING)
    net = em.serial(em.Conv(3, 12, weights=weights), em.Conv(1, 1, weights=em.Random(gain=1)))
    assert_close(em.predict(net, channels_in=4).map, np.full((3, 3), 4 * variance), ROUNDING)
    layer = em.Conv(3, 12, weights=weights, bias="weights")
    found = rule_of(layer).parameters(layer, 4, 12, 2)
    assert_close(found["kernel"].std, np.full((3, 3), variance**0.5), ROUNDING)
    assert_close(found["bias"].std, np.array(variance**0.5), ROUNDING)
    assert layer_from_dict(layer_to_dict(layer)) == layer


def test_biases_like_weights_count_groups_and_strides() -> None:
    like = em.Random(gain=3, fan="average")
    grouped = em.Conv(3, 12, groups=4, weights=like, bias="weights")
    transposed = em.ConvTranspose(4, 12, stride=2, weights=like, bias="weights")
    for layer, taps, groups in ((grouped, 9, 4), (transposed, 16 / 4, 1)):
        parameters = rule_of(layer).parameters(layer, 4, 12, 2)
        assert_close(layer.bias_variance(4, 12, 2), 3 * groups / (taps * 8), ROUNDING)
        assert_close(parameters["bias"].std**2, parameters["kernel"].std.flat[0]**2, ROUNDING)
    assert grouped.parameters(4, 12, 2) == 9 * 12 + 12


def test_biases_like_weights_are_those_of_their_variance() -> None:
    like = em.Random.like("torch")
    nets = [em.serial(em.Conv(3, 8, weights=like, bias=first), em.Activation("tanh"),
                      em.Conv(3, 8, weights=like, bias=second), em.Activation("tanh"), em.MaxPool(2))
            for first, second in (("weights", "weights"), (1 / (3 * 27), 1 / (3 * 72)))]
    one, two = (em.predict(net, image=10) for net in nets)
    assert_close(one.map, two.map, ROUNDING)
    assert one.total < em.predict(em.serial(*(em.Conv(3, 8, weights=like), em.Activation("tanh")) * 2, em.MaxPool(2)),
                                  image=10).total
