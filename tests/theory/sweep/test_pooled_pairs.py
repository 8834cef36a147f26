"""From pairs of sites to pairs of windows that they win, against sums over all sites of both."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep.linear_layers import _flip
from erfmath.theory.sweep.plan import Graph
from erfmath.theory.sweep.pooled_pairs import pooled_pairs


@pytest.mark.parametrize("kernel, stride, padding, dilation", [
    (2, 1, 0, 1), (2, 2, 0, 1), (3, 1, 1, 1), (3, 2, 1, 1), (3, 1, 1, 2), (2, 3, 0, 2), (5, 2, 2, 1), (1, 2, 0, 1)])
@pytest.mark.parametrize("ndim", [1, 2])
def test_pairs_of_windows(kernel: int, stride: int, padding: int, dilation: int, ndim: int) -> None:
    n, reach = 5, 2
    net = em.serial(em.MaxPool(kernel, stride, padding, dilation))
    extent = net.shapes((n,) * ndim, 1)[net.output]
    op = Graph.of(net, RunSettings.of(net, image=n, channels_in=1, ndim=ndim)).ops[0]
    op = op._replace(taps=tuple(_flip(taps, (n,) * ndim) for taps in op.taps), inside_only=False)
    have, shape = stride * reach + dilation * (kernel - 1), (n,) * ndim
    factor = np.random.default_rng(0).standard_normal((n**ndim, n**ndim))
    joint = (factor @ factor.T).reshape(*shape, *shape)
    values = np.zeros((1, *(2 * have + 1,) * ndim, *shape))
    for place in np.ndindex(values.shape):
        other = tuple(z + t - have for t, z in zip(place[1:1 + ndim], place[1 + ndim:]))
        if all(0 <= z < n for z in other):
            values[place] = joint[(*place[1 + ndim:], *other)]
    expected = np.zeros((1, *(2 * reach + 1,) * ndim, *extent))

    def window(x: tuple[int, ...]) -> set[tuple[int, ...]]:
        taps = np.ndindex(*(kernel,) * ndim)
        sites = [tuple(stride * a - padding + dilation * t for a, t in zip(x, tap)) for tap in taps]
        return {z for z in sites if all(0 <= a < n for a in z)}

    for place in np.ndindex(expected.shape):
        x = place[1 + ndim:]
        y = tuple(a + t - reach for t, a in zip(place[1:1 + ndim], x))
        if all(0 <= a < m for a, m in zip(y, extent)):
            one, other = window(x), window(y)
            expected[place] = sum(joint[(*z, *w)] / len(one | other) * (
                (z == w) + (z not in other) / len(other) + (w not in one) / len(one)) for z in one for w in other)
    assert_close(pooled_pairs(values, op, extent, (reach,) * ndim), expected, ROUNDING, scale=float(expected.max()))
