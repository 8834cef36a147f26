"""Branches of one value as one linear function of it."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.rules.pooling import AvgPoolRule
from erfmath.theory.sweep.branches import Branch, gathered, kernel_of
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.forward import forward
from erfmath.theory.sweep.moments import Moments
from erfmath.theory.sweep.plan import Graph, Plan

R = em.Activation("relu")


def pool(inside: bool, n: int = 3) -> Branch:
    layer = em.AvgPool(n, 1, n // 2, count_include_pad=not inside)
    return Branch.of(AvgPoolRule().lower(layer, (7,), 1, 1))


@pytest.mark.parametrize("inside", [False, True])
def test_second_moments_by_matrices(inside: bool) -> None:
    """T Q T^T with T = 1 + 2 pool pool - pool / 2 as a matrix, borders as pools have them."""
    n, lags = 7, (2,)
    rng = np.random.default_rng(0)
    root = rng.normal(size=(n, n))
    whole = root @ root.T
    box = 10
    values = np.zeros((1, 2 * box + 1, n))
    for tau in range(-box, box + 1):
        for x in range(n):
            if 0 <= x + tau < n:
                values[0, tau + box, x] = whole[x, x + tau]
    m = Moments(values, np.zeros(1), np.zeros(1), (None,), False)
    average = np.array([[float(abs(x - z) <= 1) for z in range(n)] for x in range(n)])
    average /= average.sum(axis=1, keepdims=True) if inside else 3
    t = np.eye(n) + 2 * average @ average - average / 2
    one = pool(inside)
    branches = [Branch(), Branch(2.0, ops=one.ops + one.ops), Branch(-.5, ops=one.ops)]
    after, kernel = gathered(m, branches, {}, [False] * 3, (n,), lags)
    expected = t @ whole @ t.T
    for tau in range(-2, 3):
        for x in range(n):
            if 0 <= x + tau < n:
                assert_close(after.values[0, tau + 2, x], expected[x, x + tau], ROUNDING)
    assert_close(kernel, np.convolve([2 / 3] * 3, [1 / 3] * 3) + [0, -1 / 6, 1 - 1 / 6, -1 / 6, 0], ROUNDING)


def test_kernels_with_dilation() -> None:
    op = Branch.of(AvgPoolRule().lower(em.AvgPool(3, 1, 1), (None,), 1, 1)).ops[0]
    wide = op._replace(taps=tuple(t._replace(geometry=tuple(g._replace(dilation=2, padding=(2, 2)) for g in t.geometry))
                                  for t in op.taps))
    assert_close(kernel_of([wide], 1), np.array([1, 0, 1, 0, 1]) / 3, ROUNDING)


@pytest.mark.parametrize("image", [None, 9])
def test_values_less_their_norm(image: int | None) -> None:
    """x - n(x) of N(0, 4) is x / 2, and x - BatchNorm(x) keeps what all sites share."""
    conv = em.Conv(1, 8, weights=em.Random(gain=4.))
    norms = [(em.BatchNorm(), 0.), (em.BatchNorm(), .5)]
    if image is None:  # on images the variance of a group fluctuates
        norms.append((em.GroupNorm(1), 0.))
    for norm, shared in norms:
        net = em.serial(conv, em.add(em.Identity(), em.serial(norm, em.Scale(-1.))), em.LayerNorm(), em.Conv(1, 8), R)
        settings = RunSettings.of(net, image=image, channels_in=8, ndim=1)
        graph = Graph.of(net, settings)
        seen: dict[int, Moments] = {}
        gates = forward(graph, Plan(graph, False), InputModel(1., shared), seen)
        gain = gates.power[graph.sources[graph.names.index("add1")][1]].item()
        m = seen[graph.names.index("add1")]
        expected = 4 * (1 - shared) * (1 - gain**.5)**2 + 4 * shared
        assert_close([m.average[0], m.cov_far[0]], [expected, 4 * shared], ROUNDING)


def test_dependent_values_before_a_gate_are_refused_by_name() -> None:
    less = em.serial(em.MaxPool(3, 1, 1), em.Scale(-.5))  # what they have in common is taken away
    net = em.serial(em.Conv(3), R, em.residual(less, em.Identity()))
    assert em.predict(net, image=12).total > 0           # no gate asks
    with pytest.raises(NotImplementedError, match="add1"):
        em.predict(em.serial(net, R), image=12)
