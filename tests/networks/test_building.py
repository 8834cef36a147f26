"""Networks put together: names, links, repetition, depth, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import links, shallow_stack

import erfmath as em

relu = em.Activation("relu")


def test_serial() -> None:
    net = em.serial(em.Conv(3), relu, em.serial(em.Conv(3), em.MaxPool(2)))
    assert links(net) == {"conv1": ("input",), "relu1": ("conv1",), "conv2": ("relu1",),
                          "max_pool1": ("conv2",)}
    assert net.output == "max_pool1" and len(net) == 4 and net.ndim is None
    assert net["conv2"].layer == em.Conv(3) and list(net) == list(net.nodes)
    assert net.index("relu1") == 1 and net.index(None) == 3 and net.index("input") == -1
    assert net.sources == ((-1,), (0,), (1,), (2,))
    assert repr(net) == "<Network of 4 nodes, output 'max_pool1'>"
    assert em.serial(em.serial(em.Conv(3), relu), em.serial(em.Conv(3)), em.MaxPool(2)) == net
    assert links(em.serial()) == {"identity1": ("input",)}


def test_branches() -> None:
    part = em.serial(em.Conv(3), relu)
    assert links(em.residual(part)) == {"conv1": ("input",), "relu1": ("conv1",),
                                        "add1": ("input", "relu1")}
    assert links(em.residual(em.Conv(3), em.Conv(1), name="sum")) == {
        "conv1": ("input",), "conv2": ("input",), "sum": ("conv1", "conv2")}
    assert links(em.serial(relu, em.concat(part, em.Identity(), em.Conv(1), name="c"))) == {
        "relu1": ("input",), "conv1": ("relu1",), "relu2": ("conv1",), "conv2": ("relu1",),
        "c": ("relu2", "relu1", "conv2")}
    # Only a bare Identity() is the input itself.
    assert links(em.add(em.Identity(name="skip"), em.Conv(1)))["skip"] == ("input",)
    assert links(em.add(em.Identity(), em.Identity())) == {"add1": ("input", "input")}
    assert links(em.add(em.Conv(3))) == {"conv1": ("input",), "add1": ("conv1",)}


def test_nesting() -> None:
    block = em.residual(em.concat(em.Conv(3), em.residual(em.Conv(1))), em.Conv(1))
    net = em.serial(em.repeat(block, 2), em.Conv(3))
    assert links(net) == {
        "conv1": ("input",), "conv2": ("input",), "conv3": ("input",), "add1": ("input", "conv3"),
        "concat1": ("conv2", "add1"), "add2": ("conv1", "concat1"),
        "conv4": ("add2",), "conv5": ("add2",), "conv6": ("add2",), "add3": ("add2", "conv6"),
        "concat2": ("conv5", "add3"), "add4": ("conv4", "concat2"), "conv7": ("add4",)}


def test_repeat() -> None:
    assert em.repeat(em.Conv(3), 3) == em.serial(em.Conv(3), em.Conv(3), em.Conv(3))
    assert em.repeat(em.residual(em.Conv(3)), 2).names == ("conv1", "add1", "conv2", "add2")
    assert em.repeat(em.Conv(3), np.int64(1)) == em.serial(em.Conv(3))
    assert em.repeat(em.Conv(3), 0) == em.serial()


@pytest.mark.parametrize("build, error, message", [
    (lambda: em.serial("conv"), TypeError, "'conv': a part of a network is a Layer or a Network"),
    (lambda: em.serial("relu"), TypeError, r"not str; did you mean Activation\(.relu.\)\?"),
    (lambda: em.serial(em.Identity), TypeError, "a part of a network is a Layer or a Network"),
    (lambda: em.add(em.Conv(3), None), TypeError, "None: a part of a network is"),
    (lambda: em.serial(em.Add()), ValueError, r"Add: merges several inputs; use erfmath.add\("),
    (lambda: em.concat(em.Concat()), ValueError, r"Concat: .* use erfmath.concat\("),
    (lambda: em.add(), ValueError, "add: needs at least one branch"),
    (lambda: em.concat(), ValueError, "concat: needs at least one branch"),
    (lambda: em.repeat(em.Conv(3), -1), ValueError, "n=-1: must be at least 0"),
    (lambda: em.repeat(em.Conv(3), 2.0), ValueError, "n=2.0: must be an integer"),
    (lambda: em.repeat(em.Conv(3), True), ValueError, "n=True: must be an integer"),
    (lambda: em.residual(em.Conv(3), name=""), ValueError, "name='': must be a non-empty string"),
    # dimensions
    (lambda: em.serial(em.Conv((3, 3)), relu, em.Conv((3,), name="row")), ValueError,
     "row: lives in 1 dimensions, the nodes before it in 2"),
    (lambda: em.add(em.Conv((3, 3)), em.Pad([(1, 1)] * 3)), ValueError, "pad1: lives in 3 dim"),
    # effective strides
    (lambda: em.residual(em.Conv(3, stride=2)), ValueError,
     r"add1: inputs: branches of different effective stride \(1 and 2\) cannot meet"),
    (lambda: em.serial(em.Conv(3, stride=2), em.concat(em.Conv(1), em.Upsample(3))), ValueError,
     r"concat1: inputs: branches of different effective stride \(1 and 1/3\)"),
    (lambda: em.add(em.Conv(3, stride=(1, 2)), em.Conv(3, stride=(2, 1))), ValueError, "1x2"),
    # channels
    (lambda: em.add(em.Conv(3, 4), em.Conv(3, 5)), ValueError, "add1: inputs: cannot add 4 and 5"),
    (lambda: em.add(em.concat(em.Conv(1, 2), em.Conv(1, 3)), em.Conv(1, 4)), ValueError,
     "add1: inputs: cannot add 5 and 4 channels"),
    (lambda: em.serial(em.Conv(3, 6), em.Conv(3, 8, groups=4, name="g")), ValueError,
     "g: groups=4: must divide the 6 incoming channels"),
    (lambda: em.serial(em.Conv(3, 6), relu, em.Conv(3, 8, groups="depthwise")), ValueError,
     "conv2: channels=8: this layer keeps its 6"),
    (lambda: em.serial(em.Conv(3, 6), em.Conv(3, weights=em.Fixed(np.ones((4, 5, 3, 3))))),
     ValueError, "conv2: weights of shape .* take 5 channels, 6 come in"),
])
def test_refused_when_built(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_what_meets() -> None:
    """Branches whose strides agree in the end, whatever they did on the way."""
    em.residual(em.serial(em.Conv(3, stride=2), em.Conv(3), em.Upsample(2)))
    em.add(em.Conv(3, stride=(2, 2)), em.MaxPool(2))
    em.add(em.serial(em.Upsample(3), em.MaxPool(6)), em.serial(em.MaxPool(4), em.Upsample(2)))
    em.concat(em.GlobalAvgPool(), em.serial(em.Conv(3, stride=2), em.GlobalAvgPool()))
    assert em.serial(em.Conv(3), em.add(em.Conv((3, 3)), em.Identity()), em.Conv(3)).ndim == 2


@pytest.mark.parametrize("part, nodes", [pytest.param(em.Conv(3), 1, marks=pytest.mark.slow),
                                         (em.residual(em.Conv(3, 3)), 2)])
def test_ten_thousand_layers_without_recursion(part: Any, nodes: int) -> None:
    with shallow_stack():
        net = em.repeat(part, 10_000)
        assert len(net) == nodes * 10_000 and net.names[-nodes] == "conv10000"
        assert net.shapes(5)[net.output] == (5, 5)
        assert net.channels()[net.output] in (3, 16)
        again = em.Network.from_dict(net.to_dict())
        assert again == net and hash(again) == hash(net)


def test_the_work_is_linear_in_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: each layer is looked at a fixed number of times."""
    looks = 0
    true_geometry = em.Conv.geometry

    def counted(self: em.Conv, ndim: int) -> Any:
        nonlocal looks
        looks += 1
        return true_geometry(self, ndim)

    monkeypatch.setattr(em.Conv, "geometry", counted)
    layer, seen = em.Conv(3), []
    for n in (100, 200, 400):
        looks = 0
        em.repeat(layer, n)
        seen.append(looks)
    assert seen[2] - seen[1] == 2 * (seen[1] - seen[0]) and seen[1] <= 2 * 200


@pytest.mark.parametrize("part", [
    em.Conv(3), em.Conv(3, stride=2), em.Identity(), em.serial(em.Conv(3, 8), em.Activation("relu")),
    em.residual(em.Conv(3)), em.concat(em.Identity(), em.Conv(1, 2)), em.Conv(3, name="step"),
], ids=str)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_repeating_is_putting_copies_one_after_the_other(part: Any, n: int) -> None:
    short, long = em.repeat(part, n), em.serial(*[part] * n)
    assert short == long
    assert short.nodes == long.nodes
    assert short.output == long.output
    assert short.channels(channels_in=16) == long.channels(channels_in=16)
    assert em.receptive_field(short) == em.receptive_field(long)
