"""Convolutions of one map, summed or side by side, have the variances of one."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.layers.weights import Random
from erfmath.theory.rules.parallel import beside, of_fan_in, one_convolution


def variances(conv: Any) -> Any:
    """Of each tap, in units of one over the number of channels."""
    power = functools.reduce(np.multiply.outer, conv.weights.variances(conv.kernel_size))
    power = np.broadcast_to(power, conv.kernel_size)
    return conv.weights.gain * power / power.sum()


def test_sums() -> None:
    terms = [em.Conv(3, 8, padding=1, weights=Random(gain=.9)), em.Conv(1, 8, weights=Random(gain=.5)),
             em.Conv((1, 5), 8, padding=((0, 0), (2, 2)), weights=Random(gain=2.))]
    whole: Any = one_convolution(terms, 4, 2)
    expected = np.zeros((3, 5))
    expected[:, 1:4] += .1
    expected[1, 2] += .5
    expected[1] += .4
    assert_close(variances(whole), expected, ROUNDING)
    assert whole.padding == ((1, 1), (2, 2)) and whole.channels == 8


def test_terms_that_stay_apart() -> None:
    conv = em.Conv(3, 8)
    for other in (em.Conv(3, 8, stride=2), em.Conv(3, 8, groups=2), em.Conv(3, 8, bias=.1), em.Conv(3, 4),
                  em.Conv(3, 8, weights=em.Constant()), em.Conv(3, 8, padding_mode="reflect"), em.MaxPool(3, 1, 1)):
        assert one_convolution([conv, other], 4, 2) is None


def test_side_by_side() -> None:
    assert beside(em.Conv(3, 8, name="a"), em.Conv(3, 4, name="b"), (2, 8, 4)) == em.Conv(3, 12)
    for other in (em.Conv(5, 4), em.Conv(3, 4, weights=Random(gain=3.)), em.MaxPool(3, 1, 1)):
        assert beside(em.Conv(3, 8), other, (2, 8, 4)) is None


def test_parts_of_a_convolution_are_convolutions() -> None:
    """Channels 1 to 3 and 4 to 8 of a random convolution have weights of their own, as two convolutions do."""
    parts = em.serial(em.Conv(3, 9), em.concat(em.serial(em.Slice(1, 3), em.Activation("tanh")), em.Slice(4, 8)))
    each = em.concat(em.serial(em.Conv(3, 2), em.Activation("tanh")), em.Conv(3, 4))
    both = [em.predict(em.serial(net, em.Conv(3, 4)), channels_in=3).map for net in (parts, each)]
    assert_close(both[0], both[1], ROUNDING)


def test_channels_that_two_parts_have_are_not_parted() -> None:
    """x times itself is no product of two independent convolutions."""
    parts = em.serial(em.Conv(3, 6), em.multiply(em.Slice(0, 4), em.Slice(0, 4)))
    apart = em.serial(em.multiply(em.Conv(3, 4), em.Conv(3, 4)))
    square, product = (em.predict(net, channels_in=3).total for net in (parts, apart))
    assert square / product > 1.9


@pytest.mark.parametrize("fan", ["out", "average"])
@pytest.mark.parametrize("kind", [em.Conv, em.ConvTranspose])
def test_variances_over_other_channels(fan: str, kind: type[em.Conv]) -> None:
    """2 / 12, or 2 / 9, of 6 incoming and 12 outgoing channels is 1 / 6, or 4 / 3 over 6."""
    layer = of_fan_in(kind(3, 12, stride=2, weights=em.Random(fan=fan)), 6)  # type: ignore[arg-type]
    gain = 1.0 if fan == "out" else 4 / 3
    assert layer == kind(3, 12, stride=2, weights=em.Random(gain=gain))
