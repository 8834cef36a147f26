"""What neighbours near a border share."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from wide_limit import limit, relu

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep import forward as moments
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.plan import Graph, Plan


@pytest.mark.parametrize("stride", [1, 2])
def test_what_neighbours_share_near_borders(stride: int) -> None:
    """Along each axis, against the covariances of all pairs of sites; beyond an activation and a pool too."""
    net = em.serial(em.Conv(3), em.Conv(5, stride=stride), relu(), em.MaxPool(2, 1))
    image, rho = (9, 8), 0.6
    graph = Graph.of(net, RunSettings.of(net, image=image, channels_in=16))
    sweep = moments._Forward(graph, Plan(graph, False), InputModel(1.0, rho))
    sweep.run()
    exact = limit(em.serial(*[node.layer for node in net][:3]), image, 1.0, rho)
    for i, name in enumerate(("conv1", "conv2", "relu1")):
        pairs, shape = exact[name], net.shapes(image)[name]
        same = pairs.same[0].reshape(shape + shape)
        far = pairs.other[0].diagonal() / pairs.same[0].diagonal()  # of independent inputs at one place
        for axis, line in enumerate(sweep.borders.lines[i]):
            n, beside = shape[axis], shape[1 - axis] // 2
            at = np.arange(n)
            block = same[at[:, None], beside, at, beside] if axis == 0 else same[beside, at[:, None], beside, at]
            found = block / np.sqrt(np.outer(block.diagonal(), block.diagonal())) / far[0]
            for d in range(1, min(len(line), n)):
                assert_close(line[d, :n - d], found.diagonal(d), ROUNDING)
    assert min(float(line.min()) for line in sweep.borders.lines[2]) < 0.95


@pytest.mark.parametrize("between", [(), (em.Shuffle(2),), (em.Dropout(0.0),)])
@pytest.mark.parametrize("gate", ["gelu", "tanh"])
def test_factors_between_a_convolution_and_a_pool(gate: str, between: tuple[em.Layer, ...]) -> None:
    """A factor before or after a convolution is one of its weights, with biases that borders tell from values, too."""
    first = em.Conv(5, 6, padding="same", dilation=2, bias=0.1)
    nets = [em.serial(first, *ways, em.Activation(gate), em.MaxPool(2, 2)) for ways in (
        (em.Conv(1, 6), em.Scale(2.0), *between), (em.Scale(2.0), em.Conv(1, 6), *between),
        (em.Conv(1, 6, weights=em.Random(gain=8.0)), *between))]
    totals = [em.predict(net, image=8, unit=0, channels_in=3).total for net in nets]
    assert_close(totals, [totals[0]] * 3, ROUNDING)
