"""Second moments on maps: boxes of lags, and linear layers as matrices."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close
from site_pairs import box, matrix

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep import moments
from erfmath.theory.sweep.plan import Graph


@pytest.mark.parametrize("stride, padding", [(1, 1), (2, 1), (1, 0), (3, 2)])
def test_linear_is_a_filter_on_both_sites(stride: int, padding: int) -> None:
    """M K M' for a given filter, sum of w_a^2 along the diagonals for a random one."""
    kernel, n = [1.0, -2.0, 0.5], 8
    factor = np.random.default_rng(0).standard_normal((n, n))
    pairs = factor @ factor.T
    for weights, given in ((em.Fixed(kernel), True), (em.Random(gain=1, profile=np.square(kernel)), False)):
        net = em.serial(em.Conv((3,), 1, stride=stride, padding=padding, weights=weights))
        op = Graph.of(net, RunSettings.of(net, image=n, channels_in=1)).ops[0]
        lines = matrix(kernel, n, stride, padding)
        if given:
            expected = lines @ pairs @ lines.T
        else:
            steps = [matrix([float(a == b) for b in range(3)], n, stride, padding) for a in range(3)]
            expected = sum(w**2 / 5.25 * step @ pairs @ step.T for w, step in zip(kernel, steps))
        carried = moments.Moments(box(pairs, n - 1), np.zeros(1), np.zeros(1), (None,), False)
        found = moments.linear(op, carried, (n,), (len(lines),), (2,))
        assert_close(found, box(expected, 2), ROUNDING, scale=float(expected.max()))


def test_inside_counts_pairs_on_the_map() -> None:
    found = moments.inside((4, 3), (1, 2))
    for s in range(-1, 2):
        for t in range(-2, 3):
            assert found[s + 1, t + 2].sum() == (4 - abs(s)) * (3 - abs(t))
    assert moments.inside((4, 3), (1, 2), wraps=True).all()


def test_refit_keeps_common_lags() -> None:
    values = np.arange(15.0).reshape(1, 5, 3)
    assert_close(moments.refit(values, (1,), 1), values[:, 1:4], EXACT)
    wide = moments.refit(values, (3,), 1)
    assert wide.shape == (1, 7, 3) and not wide[:, [0, 6]].any()
    assert_close(wide[:, 1:6], values, EXACT)


def test_ratio_of_nothing_is_what_is_said() -> None:
    assert_close(moments.ratio(np.array([1.0, 2.0]), np.array([4.0, 0.0]), otherwise=9.0), [0.25, 9.0], EXACT)
