"""Sums of few sites with random weights, against closed forms and sampled numbers."""

import numpy as np
import pytest

from erfmath import Activation, BatchNorm, Conv, MaxPool, concat, predict, repeat, serial
from erfmath.theory.rules import functions
from erfmath.theory.sweep.few_terms import FewTerms
from erfmath.theory.sweep.values import Gaussian
from helpers import ROUNDING, assert_close

RELU = functions.function(Activation("relu"))
RECTIFIED = Gaussian.of(1.0, 0.0).value().through(RELU)


@pytest.mark.parametrize("terms", (3, 9, 25))
def test_moments(terms):
    """E[y^2] and E[y y'] are those of one term; half of what comes passes, as weights have both signs."""
    value = FewTerms.of(RECTIFIED, (1 / terms,) * terms).value()
    assert_close(value.second, 0.5, ROUNDING)
    assert_close(value.distribution.cov_site, 1 / (2 * np.pi), ROUNDING)
    assert_close(value.through(RELU).squared_slope, 0.5, ROUNDING)
    normed = value.source.standardised().value()
    assert_close(normed.through(RELU).second, 0.5, ROUNDING)


@pytest.mark.parametrize("normed", (False, True))
@pytest.mark.parametrize("shared", (0.0, 0.3))
def test_second_moment_is_that_of_the_nodes(shared, normed):
    for variances in ((1.0,), (0.5, 0.25, 0.25), (1 / 9,) * 9):
        source = FewTerms.of(Gaussian.of(1.0, shared).value().through(RELU), variances, normed)
        nodes = source.nodes(())
        assert_close(source.second, nodes.p @ nodes.u**2, ROUNDING)


@pytest.mark.parametrize("terms, error", ((2, 0.06), (3, 0.06), (9, 0.06), (25, 0.08)))
def test_kurtosis(terms, error):
    """Excess of a channel: that of a site times sum w^4 / (sum w^2)^2, on average 3 / (terms + 2)."""
    normed = FewTerms.of(RECTIFIED, (1 / terms,) * terms, True).value()
    x = RECTIFIED.at(RECTIFIED.nodes.u) - RECTIFIED.mean
    p = RECTIFIED.nodes.p
    excess = (p @ x**4) / (p @ x**2)**2 - 3
    found = normed.nodes.p @ normed.nodes.u**4 - 3
    assert found == pytest.approx(3 / (terms + 2) * excess, rel=error)


def test_length_of_the_weights():
    """Without a norm channels differ by their weights: E[s^4] / E[s^2]^2 is 1 + 2 / terms, and powers pass as s^2."""
    source = FewTerms.of(RECTIFIED, (1 / 3,) * 3)
    x, p, share = source.distribution(()).x, source.distribution(()).p, source.distribution(()).share
    mean = (p * x).sum(axis=1)
    spread = (p * x**2).sum(axis=1) - mean**2
    assert share @ spread**2 / (share @ spread)**2 == pytest.approx(1 + 2 / 3, rel=1e-6)
    passing = source.passing(source.nodes(())).reshape(p.shape).sum(axis=1)
    assert passing / share == pytest.approx(spread / (share @ spread), rel=1e-6)


@pytest.mark.parametrize("terms, sampled, error", ((3, 0.14823, 0.0005), (9, 0.15172, 0.00024), (25, 0.15585, 0.00006)))
def test_rectified(terms, sampled, error):
    """E over channels of E[relu]^2, sampled with 400 draws of the weights; 1 / (2 pi) = 0.1592 of Gaussians."""
    normed = FewTerms.of(RECTIFIED, (1 / terms,) * terms, True).value()
    assert abs(normed.through(RELU).distribution.cov_site - sampled) < 4 * error + 1e-3 * sampled


def test_depthwise_total():
    """Sampled with 1,200 draws at width 64: 10.61(18); with Gaussians 11.58."""
    block = serial(Conv(1), BatchNorm(), Activation("relu6"), Conv(3, groups="depthwise"), BatchNorm(),
                   Activation("relu6"), Conv(1), BatchNorm())
    net = serial(Conv(3), BatchNorm(), repeat(block, 3))
    assert abs(predict(net, image=32, ndim=1, width=64, channels_in=32).total - 10.61) < 3 * 0.18


def test_scales_are_taken_apart():
    """A norm takes away the scale of what it reads: one source serves all of them."""
    rectified = Gaussian.of(1.0, 0.0).value().through(RELU)
    first = FewTerms.of(rectified.times(2.0), (0.5, 0.5)).standardised()
    assert first is FewTerms.of(rectified, (0.5, 0.5)).standardised()


@pytest.mark.parametrize("function, terms, q, normed, sampled, error", (
    ("hardswish", 3, 1.0, True, 0.4958, 0.0124), ("gelu", 3, 1.0, True, 0.5983, 0.0157),
    ("relu", 3, 1.0, True, 0.7227, 0.0103), ("hardswish", 9, 1.0, True, 0.4553, 0.0064),
    ("hardswish", 3, 2.0, False, 0.2064, 0.0059), ("gelu", 3, 2.0, False, 0.2375, 0.0069),
    ("hardswish", 9, 2.0, False, 0.1942, 0.0035)))
def test_gates_of_terms_and_of_their_sum(function, terms, q, normed, sampled, error):
    """E[sum_a w_a^2 phi'(y)^2 phi'(z_a)^2 / variance], by draws of weights and sites; with a norm, and without one."""
    phi = functions.function(Activation(function))
    below = Gaussian.of(q, 0.0).value().through(phi)
    raw = FewTerms.of(below, (1 / terms,) * terms).value()
    source = raw.source.standardised() if normed else raw.source
    above = (source.value() if normed else raw.times(2**0.5)).through(phi)
    nodes, table = above.entry.nodes, above.entry.table
    power = above.squared_slope * below.squared_slope
    if normed:
        nodes, table = source.pull(0, nodes, table)
        onward, gained, _ = raw.enter(nodes, table[None])
        table, power = onward[0], power * gained[0] / (below.second - below.mean**2)
    else:
        power /= 2
    nodes, table = raw.source.pull(0, nodes, table)
    _, gained, _ = below.enter(nodes, table[None])
    assert abs(power * gained[0] - sampled) < 4 * error


def test_terms_of_several_kinds_of_channels():
    """A concatenation of layers that share nothing has the mean of their fields, also below what knows its terms."""
    gate, last = Activation("relu"), (Conv(3, groups="depthwise"), Activation("sigmoid"))
    one, other = serial(Conv(1, 4), MaxPool(3, 1, 1), gate), serial(Conv(3, 4), gate)
    whole, *parts = (predict(serial(part, *last), ndim=1) for part in (concat(one, other), one, other))
    assert_close(whole.total, np.mean([part.total for part in parts]), ROUNDING)
