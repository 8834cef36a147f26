"""The benchmark of gates that depend on each other."""

from __future__ import annotations

import numpy as np

import erfmath as em
from erfmath.bench import dependence


def test_blocks_and_stages() -> None:
    layer = em.serial(em.Conv(3, 2), em.BatchNorm(), em.Activation("relu"))
    net = em.serial(*[layer] * 3, em.MaxPool(2), em.Activation("tanh"))
    assert dependence.blocks(net, 2) == {"relu1": 0, "relu2": 0, "relu3": 1, "max_pool1": 1, "tanh1": 2}
    assert dependence.stages(net, (8, 8)) == {"relu1": 0, "relu2": 0, "relu3": 0, "max_pool1": 1, "tanh1": 1}


def test_parts_of_a_network() -> None:
    layer = em.serial(em.Conv(3, 2, stride=2), em.Activation("relu"))
    found = dependence.parts(em.serial(*[layer] * 5), (32, 32))
    assert found["fine maps (stride up to 8)"] == {"relu1": 0, "relu2": 0, "relu3": 0}
    assert found["coarse maps"] == {"relu4": 0, "relu5": 0}
    assert found["two halves"] == {"relu1": 0, "relu2": 0, "relu3": 0, "relu4": 1, "relu5": 1}
    assert found["every other layer"] == {"relu1": 0, "relu2": 1, "relu3": 0, "relu4": 1, "relu5": 0}


def test_orders_of_inputs() -> None:
    maps = np.zeros((4, 5, 5))
    for k, (y, x, power) in enumerate([(0, 2, 1.0), (2, 2, 4.0), (4, 2, 2.0), (1, 2, 3.0)]):
        maps[k, y, x] = power
    found = {name: order.tolist() for name, order in dependence.orders(maps).items()}
    assert found == {"power": [0, 2, 3, 1], "place along y": [0, 3, 1, 2], "reach": [1, 3, 0, 2],
                     "side, then power": [0, 3, 1, 2]}


def test_the_table() -> None:
    table = dependence.run(quick=True)
    first, layers, *others = table.rows
    assert first[1] == "measured" and first[3:] == ("0.000", "1.00") and layers[1] == "layers"
    assert len(others) == 10 and all(0 < float(row[4]) and 0 <= float(row[3]) <= 1 for row in others)
