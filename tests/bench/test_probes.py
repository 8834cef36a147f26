"""The benchmark of predictions through independent gates."""

from __future__ import annotations

import numpy as np

import erfmath as em
from erfmath.bench import probes


def test_weights_are_complete() -> None:
    net = em.zoo.resnet18(width=4)
    weights = probes.weights_of(net, 0)
    assert set(weights) == {node.name for node in net if node.layer.takes_weights or node.layer.takes_norm}
    kernel = weights["conv5"]
    assert abs(kernel.var() * np.prod(kernel.shape[1:]) / 2 - 1) < 0.3     # He


def test_table() -> None:
    table = probes.run(quick=True)
    assert [row[0].split()[0] for row in table.rows] == ["a", "a", "2", "4"]
    assert all(float(row[1]) >= 0 for row in table.rows)
    assert probes.backward_pass(em.zoo.resnet18(width=4), probes.weights_of(em.zoo.resnet18(width=4), 0), 32)() >= 0
