"""The linear part of a network with given weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.empirics.plan import make_plan
from erfmath.networks.settings import RunSettings
from erfmath.trained.circuit import Circuit, channels_of, streams


def test_open_gates_are_a_linear_network() -> None:
    rng = np.random.default_rng(4)
    weights: Any = {f"conv{i}": rng.standard_normal((3, 2 if i == 1 else 3, 3, 3)) for i in (1, 2, 3)}
    open_: Any = {**weights, **{f"conv{i}.bias": np.full(3, 10.0**(3 * i)) for i in (1, 2, 3)}}
    gated = em.repeat(em.serial(em.Conv(3, 3), em.Activation("relu")), 3)
    linear = em.repeat(em.Conv(3, 3), 3)
    expected = sum(em.measure(linear, weights=weights, image=9, channels_in=2, statistic="power", channel=c,
                              dtype="float64").map for c in range(3)) / 3
    erf: Any = em.predict(gated, weights=weights, image=9, channels_in=2,
                          gates={f"relu{i}": 1.0 for i in (1, 2, 3)})
    assert_close(erf.map, expected, ROUNDING)
    assert erf.coherent == pytest.approx(1, abs=1e-12)
    images = rng.standard_normal((8, 2, 9, 9))
    for gates in ("independent", "channels", "layers"):
        through = em.predict(gated, weights=open_, images=images, gates=gates, draws=8, rng=0)
        off = np.abs(getattr(through, "coherent_map") - expected).max()
        assert off < 100 * np.finfo(np.float32).eps * expected.max()


def test_streams_end_at_kernels_and_where_they_meet() -> None:
    net = em.serial(em.Conv(3, 2), em.Activation("relu"), em.residual(em.serial(em.Conv(3, 2), em.Activation("tanh"))),
                    em.Scale(2.0))
    weights = {"conv1": np.ones((2, 1, 3)), "conv2": np.ones((2, 2, 3))}
    settings = RunSettings.of(net, image=9, channels_in=1, ndim=1, weights=weights)
    plan = make_plan(net, settings, statistic="power", entropy=0, normalise=False, images=None, channel=None,
                     batch=None, dtype="float64")
    circuit = Circuit.of(plan, channels_of(net, settings), plan.recipe.given)
    found = {step.name: streams(circuit.program)[i] for i, step in circuit.program.steps.items()}
    assert found["conv1"] == found["relu1"] and found["conv2"] == found["tanh1"] and found["add1"] == found["scale1"]
    assert len(set(found.values())) == 3
    assert [circuit.step(i).name for i in circuit.gates] == ["relu1", "tanh1"]
    rows = circuit.units(None, 1, "power")[:, :, 0, 0]
    assert_close(rows @ rows.T, np.eye(2) / 2, ROUNDING)  # one channel after the other, of power 1 in all


def residual_streams(net: em.Network) -> dict[str, str]:
    """Of each node, the name of the one where its stream begins."""
    settings = RunSettings.of(net, image=9, channels_in=2, ndim=1)
    plan = make_plan(net, settings, statistic="power", entropy=0, normalise=False, images=None, channel=None,
                     batch=None, dtype=None)
    found = streams(plan.program, joined=True)
    return {step.name: "input" if found[i] < 0 else net.names[found[i]] for i, step in plan.program.steps.items()}


def test_residual_streams_go_on_through_sums() -> None:
    block = em.residual(em.serial(em.Activation("relu"), em.Conv(3, 2), em.Activation("relu"), em.Conv(3, 2)))
    found = residual_streams(em.serial(em.Conv(3, 2), block, block, em.Activation("relu"),
                                       em.residual(em.serial(em.Activation("relu"), em.Conv(3, 4)), em.Conv(1, 4)),
                                       em.Activation("relu")))
    assert {found[name] for name in ("conv1", "relu1", "add1", "relu3", "add2", "relu5", "relu6")} == {"conv1"}
    assert (found["relu2"], found["relu4"], found["relu7"]) == ("conv2", "conv4", "add3")   # a projection begins anew


def test_residual_streams_of_other_merges() -> None:
    gated = em.multiply(em.Identity(), em.serial(em.GlobalAvgPool(), em.Conv(1, 2), em.Activation("sigmoid")))
    assert residual_streams(em.serial(em.Conv(3, 2), gated, em.Activation("relu")))["relu1"] == "conv1"
    dense = em.concat(em.Identity(), em.serial(em.Activation("relu"), em.Conv(3, 2)))
    assert residual_streams(em.serial(em.Conv(3, 2), dense, em.Activation("relu")))["relu2"] == "conv1"
    apart = em.add(em.Conv(3, 2), em.Conv(1, 2))
    assert residual_streams(em.serial(apart, em.Activation("relu")))["relu1"] == "add1"
