"""Signals by hand, against `predict`, and against networks that are run and back-propagated."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, FFT, ROUNDING, assert_close, assert_statistical

import erfmath as em
from erfmath.empirics import run
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.plan import make_plan
from erfmath.networks.settings import RunSettings

Conv, Relu = em.Conv, em.Activation("relu")


def test_signals_of_a_rectified_chain_by_hand() -> None:
    """On the plane, for fan-in gain 2: second moments 2, 1, 2, means 1 / sqrt(pi), gates of 1/2."""
    rows = em.signals(em.repeat(em.serial(Conv(3), Relu), 3))
    correlation = 0.0
    for layer in (1, 2, 3):
        conv, relu = rows[f"conv{layer}"], rows[f"relu{layer}"]
        assert_close([conv.second, conv.mean, relu.second, relu.mean], [2, 0, 1, math.sqrt(1 / math.pi)], FFT)
        assert_close(conv.shared, 2 * correlation, FFT, scale=2)
        # the arc-cosine kernel, of q = 2
        correlation = (math.sqrt(1 - correlation**2) + correlation * (math.pi - math.acos(correlation))) / math.pi
        assert abs(relu.shared - correlation) < 1e-3
        correlation = relu.shared
        assert_close([relu.arriving, relu.passing, conv.arriving, conv.passing], [1, 1 / 2, 1 / 2, 1], ROUNDING)
    assert_close(rows["input"].arriving, 1, ROUNDING)
    assert rows["input"].passing is None and rows["relu3"].gain == 0.5 and rows["input"].gain is None


def test_signals_around_gates_and_pools() -> None:
    """A pool hands on what arrives; of four sites one at least is open with probability 15/16 on white noise."""
    rows = em.signals(em.serial(Conv(3), Relu, em.MaxPool(2), Conv(3)))
    assert_close([rows[name].arriving for name in ("max_pool1", "relu1", "conv1")], [2, 2, 2 * 15 / 16], FFT, scale=1e3)
    stream = em.signals(em.serial(Conv(3), Relu, em.residual(Conv(3)), Relu))
    # The sum is open with probability 1/2 + 1/4 where the identity is, else with 1/2.
    assert_close(stream["add1"].arriving, 0.5 + 1 / 8, FFT, scale=1e3)
    assert_close(stream["relu1"].arriving, stream["conv2"].passing + stream["add1"].arriving, ROUNDING)


@pytest.mark.parametrize("net, options", [
    (em.serial(Conv(3), Relu, em.residual(em.serial(Conv(3), em.BatchNorm(), Relu, Conv(3))), em.AvgPool(2)),
     {"image": 12}),
    (em.serial(Conv(5, stride=2), Relu, em.concat(Conv(3, 8), em.MaxPool(3, 1, 1)), Conv(3)),
     {"image": 16, "unit": 0}),
    (em.zoo.unet(levels=2, width=8), {"image": 16}), (em.repeat(Conv(3), 4), {"ndim": 1, "input_moments": (2.0, 1.0)}),
])
def test_signals_end_in_the_total_of_predict(net: em.Network, options: dict[str, Any]) -> None:
    rows = em.signals(net, **options)
    assert_close(rows["input"].arriving, em.predict(net, **options).total, ROUNDING)
    assert [row.node for row in rows][1:] == list(net.names)
    if all(len(node.inputs) == 1 for node in net):
        for row, before in zip(rows.nodes[1:], rows):
            assert_close(row.passing, before.arriving, ROUNDING)


def test_signals_of_layers_that_do_nothing() -> None:
    bare = em.signals(em.serial(Conv(3), Relu, Conv(3)), image=8)
    rows = em.signals(em.serial(Conv(3), em.Scale(1.0), Relu, em.Pad(0), em.Identity(), Conv(3)), image=8)
    for name, same in (("scale1", "conv1"), ("pad1", "relu1"), ("identity1", "relu1"), ("conv2", "conv2")):
        left, right = dataclasses.asdict(rows[name]), dataclasses.asdict(bare[same])
        for key in ("second", "shared", "mean", "std", "arriving"):
            assert_close(left[key], right[key], FFT, scale=1)


def test_signals_where_powers_do_not_add_are_not_known() -> None:
    rows = em.signals(em.serial(Conv(3), Relu, em.Activation("gelu"), Conv(3)))
    assert rows["relu1"].arriving is None and rows["gelu1"].passing is None and rows["gelu1"].arriving == 2
    assert str(rows).splitlines()[3].split()[-2] == "-"


def test_signals_as_table_and_dict() -> None:
    rows = em.signals(em.serial(Conv(3), Relu), image=8, unit=(0, 1))
    assert len(rows) == 3 and len(str(rows).splitlines()) == 4
    values = json.loads(json.dumps(rows.to_dict()))
    assert values["image"] == [8, 8] and values["unit"] == [0, 1]
    assert values["nodes"][2] == dataclasses.asdict(rows["relu1"])
    assert_close(rows["relu1"].variance, rows["relu1"].second - rows["relu1"].shared, EXACT)
    with pytest.raises(KeyError, match="nothing"):
        rows["nothing"]


@pytest.mark.parametrize("options, words", [({"node": "input"}, "not its input"), ({"image": 0}, "image=0"),
                                            ({"image": 8, "unit": 9}, "outside")])
def test_signals_refuse(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        em.signals(em.serial(Conv(3), Relu), **options)


# ---------------------------------------------------------------------------------------------
# against networks that are run
# ---------------------------------------------------------------------------------------------

WIDTH, BATCH = 96, 16


def sampled(net: em.Network, image: int, draws: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Second moment, shared part, mean and power of the gradient of every node, (4, draws) each."""
    values: dict[int, Any] = {}
    gradients: dict[int, Any] = {}

    class Recorded:
        def __init__(self, rule: Any) -> None:
            self.rule = rule

        def run(self, call: Any, inputs: Any) -> Any:
            i, (value, pull) = call.step.index, self.rule.run(call, inputs)
            values[i] = value

            def kept(gradient: Any) -> Any:
                gradients[i] = gradient
                return pull(gradient)
            return value, kept

    rule_of = run.rule_of
    monkeypatch.setattr(run, "rule_of", lambda layer: Recorded(rule_of(layer)))
    settings = RunSettings.of(net, image=image, width=WIDTH, channels_in=WIDTH)
    recipe = make_plan(net, settings, statistic="power", entropy=5, normalise=False, images=None, channel=None,
                       batch=BATCH, dtype=None).recipe
    recipe = dataclasses.replace(recipe, inputs=(WIDTH, BATCH, *settings.pixels))
    sample = recipe.sample(0, draws)
    done = run.forward(compile_network(net, settings.ndim, image=image), sample.parameters,
                       recipe.batch(0, sample.generators), generators=sample.generators)
    gradient = np.zeros_like(done.output)
    gradient[(slice(None), slice(None), 0, *settings.unit_of(net))] = sample.combination
    done.backward(gradient)
    found = {}
    for i, value in values.items():
        v = value.astype(float)
        means = v.mean(axis=tuple(range(3, v.ndim)))  # draws, channels, images: pairs of images are independent
        pairs = (means.sum(axis=2)**2 - (means**2).sum(axis=2)) / (BATCH * (BATCH - 1))
        each = (v**2, pairs, v, gradients[i].astype(float)**2)
        over = [part.reshape(draws, -1) for part in each]
        found[net.names[i]] = [*(part.mean(axis=1) for part in over[:3]), over[3].sum(axis=1)]
    return found


def block(width: int) -> em.Network:
    return em.serial(Conv(3, width), em.BatchNorm(), Relu, Conv(3, width), em.BatchNorm())


RUN: dict[str, tuple[Callable[[], em.Network], int]] = {
    "rectified": (lambda: em.repeat(em.serial(Conv(3), Relu), 4), 10),
    "tanh": (lambda: em.repeat(em.serial(Conv(3, weights=em.Random(gain=1.5)), em.Activation("tanh")), 3), 10),
    "gelu": (lambda: em.repeat(em.serial(Conv(3), em.Activation("gelu")), 3), 10),
    "norms": (lambda: em.repeat(em.serial(Conv(3), em.BatchNorm(), Relu), 3), 12),
    "post-activation": (lambda: em.serial(Conv(3), Relu, *(em.serial(em.residual(block(WIDTH)), Relu),) * 2), 12),
    "pre-activation": (lambda: em.repeat(em.residual(em.serial(em.BatchNorm(), Relu, Conv(3), Relu, Conv(3))), 2), 12),
    "pools": (lambda: em.serial(Conv(3), Relu, em.MaxPool(2), Conv(3), Relu, em.AvgPool(2), Conv(3), Relu), 16),
    "strides": (lambda: em.serial(Conv(5, stride=2), Relu, em.Dropout(0.2), Conv(3, dilation=2), Relu, Conv(3)), 14),
    "branches": (lambda: em.serial(Conv(3), Relu, em.concat(Conv(1, 32), em.serial(Conv(3, 64), Relu)), Conv(3)), 10),
    "decoder": (lambda: em.serial(Conv(3, stride=2), Relu, em.ConvTranspose(2, stride=2), Relu, Conv(3)), 12),
}


def check_run(name: str, draws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net, image = RUN[name][0](), RUN[name][1]
    found = sampled(net, image, draws, monkeypatch)
    rows = em.signals(net, image=image, width=WIDTH, channels_in=WIDTH)
    expected = np.array([[row.second, row.shared, row.mean, row.arriving] for row in rows.nodes[1:]], dtype=float)
    each = np.array([found[row.node] for row in rows.nodes[1:]])
    seen = each.std(axis=2) > np.finfo(np.float32).eps * np.abs(expected).max(axis=1, keepdims=True)
    stderr = each.std(axis=2, ddof=1) / math.sqrt(draws)
    # Finite width, of order 1 / WIDTH in each number, counts as another error.
    size = np.maximum(np.abs(expected), expected[:, :1] * [1, 1, 0, 0])
    stderr = np.hypot(stderr, size / WIDTH)
    assert_statistical(each.mean(axis=2)[seen], stderr[seen], expected[seen])


@pytest.mark.slow
def test_signals_are_those_of_networks_that_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    check_run("pools", 12, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_signals_are_those_of_ten_networks_that_are_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_run(name, 40, monkeypatch)
