"""Pairs of sites down through layers, against matrices and against every ranking of the sites."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close
from site_pairs import box, matrix

import erfmath as em
from erfmath.layers.geometry import AxisGeometry
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep import pairs
from erfmath.theory.sweep.lowering import Linear
from erfmath.theory.sweep.plan import Graph


def lowered(layer: em.Layer, n: int) -> tuple[Linear, int]:
    """A layer on n sites as taps, and the sites of its output."""
    net = em.serial(layer)
    return Graph.of(net, RunSettings.of(net, image=n, channels_in=1, ndim=1)).ops[0], net.shapes((n,), 1)[net.output][0]


def covariance(sites: int) -> np.ndarray:
    factor = np.random.default_rng(sites).standard_normal((sites, sites))
    return factor @ factor.T


@pytest.mark.parametrize("stride, padding", [(1, 1), (2, 1), (3, 2), (1, 0)])
def test_fixed_pairs_are_those_of_a_matrix(stride: int, padding: int) -> None:
    kernel, n = [1.0, -2.0, 0.5], 7
    op, sites = lowered(em.Conv((3,), 1, stride=stride, padding=padding, weights=em.Fixed(kernel)), n)
    above, lines = covariance(sites), matrix(kernel, n, stride, padding)
    found, (start,) = pairs.fixed_pairs(box(above, sites - 1), (0,), op, (n,), (3,))
    expected = box(lines.T @ above @ lines, 3)
    assert_close(found, expected[..., start:start + found.shape[-1]], ROUNDING, scale=float(expected.max()))


@pytest.mark.parametrize("kernel, stride, padding", [(2, 1, 0), (2, 2, 0), (3, 1, 1), (3, 2, 1)])
def test_routed_pairs_over_all_rankings(kernel: int, stride: int, padding: int) -> None:
    """Of n sites ranked at random, each window hands its gradient to the site of the highest rank."""
    n = 5
    op, sites = lowered(em.MaxPool(kernel, stride, padding), n)
    above, total = covariance(sites), np.zeros((n, n))
    windows = [[z for z in range(stride * x - padding, stride * x - padding + kernel) if 0 <= z < n]
               for x in range(sites)]
    rankings = list(itertools.permutations(range(n)))
    for ranks in rankings:
        route = np.zeros((sites, n))
        for x, window in enumerate(windows):
            route[x, max(window, key=lambda z: ranks[z])] = 1
        total += route.T @ above @ route / len(rankings)
    found, (start,) = pairs.routed_pairs(box(above, sites - 1), (0,), op, (n,), (n - 1,))
    expected = box(total, n - 1)
    assert_close(found, expected[..., start:start + found.shape[-1]], ROUNDING, scale=float(above.max()))
    power, _ = pairs.routed(box(above, 0)[:, 0], (0,), op, (n,))
    assert_close(power[0], [sum(above[x, x] / len(w) for x, w in enumerate(windows) if z in w)
                            for z in range(start, start + power.shape[-1])], ROUNDING)


def test_select_lags_multiplies_them_by_the_stride() -> None:
    values = np.arange(5.0).reshape(1, 5, 1)  # lags -2 to 2
    assert_close(pairs.select_lags(values, 1, AxisGeometry(1, 3), 2, 4)[0, :, 0], [0, 1, 0, 0, 2, 0, 0, 3, 0], EXACT)
    assert_close(pairs.select_lags(values, 1, AxisGeometry(1, 2, transposed=True), 2, 1)[0, :, 0], [0, 2, 4], EXACT)


def test_cut_pairs_whose_partner_is_outside() -> None:
    values, (start,) = pairs.cut_pairs(np.ones((1, 5, 6)), (-1,), (4,), (0,))
    assert start == 0
    assert_close(values, box(np.ones((4, 4)), 2), EXACT)


def test_sums_of_both_sites_and_weights_by_lag() -> None:
    values, lags = np.arange(1.0, 7.0).reshape(1, 2, 3), (1, 2)
    found, weights = pairs.of_both(values, lags), pairs.by_lag((np.array([2.0, 3.0]), 5.0), lags)
    for tau, x in itertools.product(np.ndindex(3, 5), np.ndindex(2, 3)):
        other = tuple(a + t - h for a, t, h in zip(x, tau, lags))
        inside = all(0 <= a < n for a, n in zip(other, (2, 3)))
        assert found[(0, *tau, *x)] == values[(0, *x)] + (values[(0, *other)] if inside else 0)
        assert weights[(..., *tau, 0, 0)].tolist() == ([2, 3] if tau == lags else [5, 5])
