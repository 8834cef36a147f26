"""Linear layers on second moments, as matrices."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from site_pairs import box, matrix

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep.linear_layers import filtered_values, linear
from erfmath.theory.sweep.moments import Moments, _of_phases
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
        carried = Moments(box(pairs, n - 1), np.zeros(1), np.zeros(1), (None,), False)
        found = linear(op, carried, (n,), (len(lines),), (2,))
        assert_close(found, box(expected, 2), ROUNDING, scale=float(expected.max()))


def test_mean_squares_of_values_are_not_negative() -> None:
    """Covariances that no values have are cut at a site; gradients, which are of either sign, are not."""
    op = Graph.of(net := em.serial(em.AvgPool(3, 1, 1)), RunSettings.of(net, image=(5,), channels_in=1)).ops[0]
    pairs = np.eye(5) - 2 * (1 - np.eye(5))
    carried = Moments(box(pairs, 2), np.zeros(1), np.zeros(1), (None,), False)
    plain, cut = (function(op, carried, (5,), (5,), (0,)) for function in (linear, filtered_values))
    assert plain[0, 0, 2] < 0 and cut.min() == 0
    assert_close(cut, np.maximum(plain, 0), ROUNDING)


@pytest.mark.parametrize("kernel, sampled", [(2, 1.82), (4, 1.77)])
def test_averages_over_many_phases_of_a_transposed_convolution(kernel: int, sampled: float) -> None:
    """Sites of one phase have something in common, others nothing, however far apart they are.

    Sampled with 450 draws, to 0.02; 0.82 where those more than three sites apart counted as alike.
    """
    relu, wide = em.Activation("relu"), em.Conv(3, 64)
    net = em.serial(wide, relu, em.ConvTranspose(kernel, 64, stride=2), relu, em.BlurPool(5, 2), em.AvgPool(3, 1, 1),
                    em.BatchNorm(), relu, wide)
    assert abs(em.predict(net, image=8, ndim=2, channels_in=64).total / sampled - 1) < .2


def test_what_phases_share_at_one_place() -> None:
    """No less than at distant ones: a second batch norm after an average of 64 sites had a fifth of the sampled gain.

    Sampled with 120 draws of 32 channels: total 1.29 +- 0.03.
    """
    relu, wide = em.Activation("relu"), em.Conv(3, 32)
    net = em.serial(wide, relu, em.ConvTranspose(2, 32, stride=2), em.BatchNorm(), relu, em.AvgPool(8), em.BatchNorm(),
                    relu)
    assert abs(em.predict(net, image=24, ndim=2, channels_in=32).total / 1.29 - 1) < .15


def test_lags_of_phases() -> None:
    """Of a period of two, carried up to three sites: farther ones are as the last of their phase."""
    assert _of_phases(3, 6, 2).tolist() == [1, 0, 1, 0, 1, 2, 3, 4, 5, 6, 5, 6, 5]
