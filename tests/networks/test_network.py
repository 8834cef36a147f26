"""Networks: how they are put together, named, checked, written and read."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import NETWORKS

import erfmath as em

relu = em.Activation("relu")


def links(net: em.Network) -> dict[str, tuple[str, ...]]:
    return {node.name: node.inputs for node in net}


# ---------------------------------------------------------------------------------------------
# putting together
# ---------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("parts, names", [
    ([em.Conv(3), em.Conv(3, name="conv1"), em.Conv(3)], "conv2 conv1 conv3"),
    ([em.Conv(3, name="a")] * 3, "a a_2 a_3"),
    ([em.Conv(3, name="a"), em.Conv(3, name="a_2"), em.Conv(3, name="a")], "a a_2 a_3"),
    ([em.Conv(3, name="a"), em.Conv(3, name="a"), em.Conv(3, name="a_2")], "a a_3 a_2"),
    ([em.Conv(3, name="conv"), em.Conv(3), em.Conv(3, name="conv"), em.Conv(3)],
     "conv conv1 conv_2 conv2"),
    ([em.Activation("tanh"), em.Activation("relu"), em.Activation("tanh")], "tanh1 relu1 tanh2"),
    ([em.repeat(em.serial(em.Conv(3, name="c"), relu), 2)], "c relu1 c_2 relu2"),
    ([em.ConvTranspose(3), em.AvgPool(3), em.Upsample(), em.BatchNorm(), em.LayerNorm(), em.Pad(0),
      em.Scale(1), em.Dropout(0), em.Identity(), em.BlurPool(), em.GlobalAvgPool()],
     "conv_transpose1 avg_pool1 upsample1 batch_norm1 layer_norm1 pad1 scale1 dropout1 identity1 "
     "blur_pool1 global_avg_pool1"),
])
def test_names(parts: list[Any], names: str) -> None:
    assert em.serial(*parts).names == tuple(names.split())


def test_a_network_is_a_value() -> None:
    for build in NETWORKS.values():
        net = build()
        for other in (build(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert other == net and hash(other) == hash(net)
        assert em.serial(net, relu) != net
    assert em.serial(em.Conv(3)) != em.serial(em.Conv(5)) != em.Conv(5)
    assert em.serial(em.Conv(3)) != em.serial(em.Conv(3, name="other"))
    assert em.serial(em.Conv(3)) == em.serial(em.Conv(3, name="conv1"))  # a name is the node's
    assert em.add(em.Conv(3), em.Identity()) != em.add(em.Identity(), em.Conv(3))


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


# ---------------------------------------------------------------------------------------------
# shapes and channels
# ---------------------------------------------------------------------------------------------

def test_shapes() -> None:
    net = em.serial(em.Conv(7, stride=2, padding=3), em.MaxPool(3, 2, 1),
                    em.residual(em.Conv(3), em.Identity(name="skip")), em.GlobalAvgPool())
    assert list(net.shapes(224).values()) == [(112,) * 2, (56,) * 2, (56,) * 2, (56,) * 2,
                                              (56,) * 2, (1, 1)]
    assert net.shapes((9, 20))["max_pool1"] == (3, 5)
    assert net.shapes(np.array([9, 20])) == net.shapes([9, 20]) == net.shapes((9, 20))
    assert net.shapes(np.int64(9), ndim=3)["conv1"] == (5, 5, 5)
    assert net.shapes((9,))["conv1"] == (5,)
    assert tuple(net.shapes(9)) == net.names


@pytest.mark.parametrize("net, image, message", [
    (em.serial(em.Conv(5, padding=0)), 4, r"image=\(4, 4\): too small, conv1 has no output site"),
    (em.repeat(em.MaxPool(2), 3), (8, 7), r"image=\(8, 7\): too small, max_pool3 .* \(2, 1\)"),
    (em.serial(em.Pad(-2)), 4, "too small, pad1"),
    (em.serial(em.Conv(3)), 0, "image=0: must be at least 1"),
    (em.serial(em.Conv(3)), (3, -1), "image=-1: must be at least 1"),
    (em.serial(em.Conv(3)), 3.0, "image=3.0: must be an integer"),
    (em.serial(em.Conv(3)), True, "image=True: must be an integer"),
    (em.serial(em.Conv(3)), "224", "image='224': must be an integer"),
    (em.serial(em.Conv((3, 3))), (4, 4, 4), r"image=\(4, 4, 4\): must have 2 values"),
    (em.serial(em.Conv(3)), (4, 4, 4, 4), "ndim=4: this network lives in 1 or 2 or 3 dimensions"),
    (em.residual(em.Conv(3, padding=0)), 8, r"add1: inputs: shapes differ, input \(8, 8\), conv1"),
    (em.residual(em.serial(em.MaxPool(2), em.Upsample(2))), 7, r"upsample1 \(6, 6\), for image="),
])
def test_shapes_refused(net: em.Network, image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        net.shapes(image)


def test_dimension() -> None:
    assert em.serial(em.Conv(3)).dimension(3) == 3
    assert em.serial(em.Conv((3, 3))).dimension(3) == 2  # its own
    cube = em.serial(em.Conv(3, weights=em.Fixed(np.ones((3, 3, 3)))))
    assert cube.ndim is None and cube.dimension(1) == 1
    with pytest.raises(ValueError, match="ndim=2: this network lives in 1 or 3 dimensions"):
        cube.dimension(2)


def test_channels() -> None:
    net = em.serial(em.Conv(3), relu, em.Conv(3, 10, name="ten"),
                    em.concat(em.Identity(), em.Conv(1)), em.Conv(3, groups="depthwise"),
                    em.Conv(1, 8, groups=2), em.MaxPool(2))
    counts = net.channels(width=6, channels_in=4)
    assert counts == {"conv1": 6, "relu1": 6, "ten": 10, "conv2": 6, "concat1": 16, "conv3": 16,
                      "conv4": 8, "max_pool1": 8}
    assert net.channels()["concat1"] == 26
    assert em.serial(relu).channels() == {"relu1": 3}
    one = em.serial(em.Conv(3, weights=em.Fixed(np.ones((3, 3, 3)))))
    assert one.channels(ndim=3) == one.channels(ndim=1) == {"conv1": 3}


@pytest.mark.parametrize("net, options, message", [
    (em.residual(em.Conv(3, 8)), {}, "add1: inputs: cannot add 3 and 8 channels"),
    (em.residual(em.Conv(3)), {"width": 8}, "add1: inputs: cannot add 3 and 8"),
    (em.serial(em.Conv(3), em.Conv(3, groups=4)), {"width": 6}, "conv2: groups=4: must divide"),
    (em.serial(em.Conv(3, groups=2, name="g")), {}, "g: groups=2: must divide the 3 incoming"),
    (em.serial(relu), {"width": 0}, "width=0: must be at least 1"),
    (em.serial(relu), {"width": 2.0}, "width=2.0: must be an integer"),
    (em.serial(relu), {"channels_in": 0}, "channels_in=0: must be at least 1"),
    (em.serial(relu), {"ndim": 5}, "ndim=5: this network lives in"),
])
def test_channels_refused(net: em.Network, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        net.channels(**options)


def test_an_unknown_node_is_named_with_its_neighbours() -> None:
    net = em.serial(em.Conv(3), relu)
    with pytest.raises(ValueError, match="node='conv2': .* did you mean 'conv1'"):
        net.index("conv2")
    with pytest.raises(ValueError, match="node='xyz': no node of this network; see net.names"):
        net["xyz"]
    with pytest.raises(ValueError, match="node=3: no node"):
        net.index(3)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------
# depth
# ---------------------------------------------------------------------------------------------

@contextmanager
def shallow_stack(room: int = 60) -> Iterator[None]:
    """Little room for recursion above the present depth."""
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + room)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def test_the_shallow_stack_catches_recursion() -> None:
    def down(n: int) -> int:
        return down(n - 1) if n else 0

    with shallow_stack(), pytest.raises(RecursionError):
        down(100)


@pytest.mark.parametrize("part, nodes", [(em.Conv(3), 1), (em.residual(em.Conv(3, 3)), 2)])
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


# ---------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------

EVERYTHING = em.serial(
    em.Conv((3, 5), 8, stride=(1, 2), padding=((1, 0), (2, 2)), dilation=(2, 1), name="stem"),
    em.BatchNorm("identity"), em.Activation("leaky_relu", slope=0.2), em.Dropout(0.25),
    em.concat(em.Conv(1, groups=2, weights=em.Constant()), em.Identity(),
              em.AvgPool(3, 1, 1, count_include_pad=False), em.MaxPool(3, 1, "half")),
    em.Conv(3, groups="depthwise", weights=em.Fixed([[1, 2, 1], [0, 1 / 3, 0], [-1, 0, 1e-300]])),
    em.residual(em.serial(em.LayerNorm(), em.Scale(1e-6), em.Pad((1, -1)))),
    em.Conv(2, padding="same", weights=em.Random(1.0, "out", [[1, 2], [3, 4.5]], "uniform")),
    em.ConvTranspose(4, stride=2, padding=(1, -1)), em.Upsample((2, 3), "bilinear"),
    em.BlurPool(4, (1, 2), (1, 2)), em.GlobalAvgPool(name="head"))


def random_network(rng: random.Random, depth: int = 3) -> em.Network:
    leaves = [em.Conv(3), em.Conv(5, 4, dilation=2), em.Conv(1, groups="depthwise"), relu,
              em.Conv((3, 1), weights=em.Random(profile=[[1], [2], [1]])), em.BatchNorm(),
              em.AvgPool(3, 1, "same"), em.Conv(3, name="named"), em.Identity(),
              em.Pad([(1, 0), (0, -1)])]
    parts: list[Any] = [rng.choice(leaves) for _ in range(rng.randint(1, 3))]
    if depth:
        branches = [random_network(rng, depth - 1) for _ in range(rng.randint(1, 3))]
        parts.insert(rng.randint(0, len(parts)), em.concat(*branches))
    return em.serial(*parts)


def through_json(net: em.Network) -> em.Network:
    return em.Network.from_dict(json.loads(json.dumps(net.to_dict(), allow_nan=False)))


def test_round_trip() -> None:
    nets = [EVERYTHING, *(build() for build in NETWORKS.values())]
    nets += [random_network(random.Random(seed)) for seed in range(40)]
    for net in nets:
        back = through_json(net)
        assert back == net and back.names == net.names and back.output == net.output
        assert back.nodes[-1].inputs == net.nodes[-1].inputs and back.ndim == net.ndim
        assert through_json(back).to_dict() == net.to_dict()


def test_what_is_read_back_composes() -> None:
    net = through_json(em.serial(em.Conv(3), relu))
    assert em.serial(net, net, em.Conv(3)).names == ("conv1", "relu1", "conv1_2", "relu1_2",
                                                     "conv2")


def test_json_is_the_documented_one() -> None:
    net = em.serial(em.Conv([7, 7], 64, stride=2, padding=[[3, 3], [3, 3]]), em.residual(relu))
    assert net.to_dict() == {
        "format": "erfmath-network", "version": 1, "output": "add1", "nodes": [
            {"name": "conv1", "op": "conv", "inputs": ["input"], "kernel_size": [7, 7],
             "channels": 64, "stride": 2, "padding": [[3, 3], [3, 3]]},
            {"name": "relu1", "op": "activation", "inputs": ["conv1"], "function": "relu"},
            {"name": "add1", "op": "add", "inputs": ["conv1", "relu1"]}]}


def document(*nodes: Any, **extra: Any) -> dict[str, Any]:
    return {"format": "erfmath-network", "version": 1, "nodes": list(nodes)} | extra


def node(name: Any = "a", op: Any = "conv", inputs: Any = ("input",),
         **fields: Any) -> dict[str, Any]:
    size = {"kernel_size": 3} if op == "conv" else {}
    return {"name": name, "op": op, "inputs": inputs if isinstance(inputs, str) else list(inputs),
            **size, **fields}


def test_nodes_come_in_any_order() -> None:
    nodes = [item for item in EVERYTHING.to_dict()["nodes"]]
    for seed in range(20):
        shuffled = random.Random(seed).sample(nodes, len(nodes))
        net = em.Network.from_dict(document(*shuffled, output=EVERYTHING.output))
        assert links(net) == links(EVERYTHING)
        assert {n.name: n for n in net} == {n.name: n._replace(layer=net[n.name].layer)
                                            for n in EVERYTHING}
        place = {name: i for i, name in enumerate(net.names)} | {"input": -1}
        assert all(place[source] < place[n.name] for n in net for source in n.inputs)
    back = em.Network.from_dict(document(node("b", inputs=["a"]), node("a")))
    assert back.names == ("a", "b") and back.output == "a"  # the last that is written


def test_defaults_of_json() -> None:
    second = node("b", inputs=["a"], channels=None, stride=[1, 1], weights="constant")
    net = em.Network.from_dict(document(node(), second, output="a"))
    assert net.output == "a" and len(net) == 2  # a node that leads nowhere stays
    assert net["b"].layer == em.Conv(3, stride=(1, 1), weights=em.Constant(), name="b")
    pool = em.Network.from_dict(document(node(op="max_pool", kernel_size=2, stride=None)))
    assert pool["a"].layer == em.MaxPool(2, name="a")


@pytest.mark.parametrize("op", ["add", "concat", "identity"])
def test_window_fields_that_say_nothing(op: str) -> None:
    for fields in ({"kernel_size": [1, 1], "stride": 1, "padding": "same", "dilation": [1]},
                   {"kernel_size": 1, "stride": [1, 1], "padding": "valid"},
                   {"padding": 0}, {"padding": [[0, 0], [0, 0]]}):
        assert len(em.Network.from_dict(document(node(op=op, **fields)))) == 1
    for field, values in {"kernel_size": (3, [1, 3], True, 1.0, None, "same"),
                          "stride": (2, [1, 2]), "dilation": (2, "1"), "channels": (1, None),
                          "padding": (1, [[0, 1], [0, 0]], "half", False, [])}.items():
        for value in values:
            with pytest.raises(ValueError, match=f"^a: {field}=.*: not a field of '{op}'"):
                em.Network.from_dict(document(node(op=op, **{field: value})))


@pytest.mark.parametrize("d, message", [
    # the whole
    ([], "a network is a JSON object, not list"),
    (None, "a network is a JSON object, not NoneType"),
    ({}, "format=None, version=None: must be 'erfmath-network' and 1"),
    (document(node(), format="other"), "format='other'"),
    (document(node(), version=2), ".*version=2: must be"),
    (document(node(), version=True), ".*version=True: must be"),
    (document(node(), version=1.0), ".*version=1.0: must be"),
    (document(node(), title="x"), "title: not a field of a network"),
    (document(), "nodes: must be a list of at least one node"),
    (document(nodes={"a": node()}), "nodes: must be a list"),
    (document(nodes="conv"), "nodes: must be a list"),
    (document(node(), output="b"), "output='b': must be the name of a node"),
    (document(node(), output="input"), "output='input': must be the name of a node"),
    (document(node(), output=["a"]), r"output=\['a'\]: must be the name of a node"),
    (document(node(), output=None), "output=None: must be the name of a node"),
    # nodes
    (document(node(), ["b"]), r"nodes\[1\]: must be an object, not list"),
    (document({"op": "conv"}), r"nodes\[0\]: name=None: must be a non-empty string"),
    (document(node(""), node("b")), r"nodes\[0\]: name=''"),
    (document(node("input")), r"nodes\[0\]: name='input'"),
    (document(node(7)), r"nodes\[0\]: name=7"),
    (document(node(), node()), "a: name: used by two nodes"),
    (document(node(op="convolution")), "a: op='convolution': must be one of activation, adaptive_avg_pool,"),
    (document(node(op=None)), "a: op=None: must be one of"),
    (document(node(op=["conv"])), r"a: op=\['conv'\]: must be one of"),
    (document(node(kernel=3)), "a: kernel=3: not a field of 'conv'.* are kernel_size, channels"),
    (document(node(op="avg_pool", kernel_size=2, dilation=1)), "a: dilation=1: not a field"),
    (document({"name": "a", "op": "conv", "inputs": ["input"]}), "a: kernel_size: missing"),
    (document(node(op="scale")), "a: factor: missing; 'scale' needs it"),
    # inputs
    (document({"name": "a", "op": "identity"}), "a: inputs=None: must be a list"),
    (document(node(inputs="input")), "a: inputs='input': must be a list of node names"),
    (document(node(inputs=[0])), r"a: inputs=\[0\]: must be a list of node names"),
    (document(node(inputs=[])), r"a: inputs=\[\]: 'conv' takes exactly one"),
    (document(node(op="add", inputs=[])), r"a: inputs=\[\]: 'add' takes at least one"),
    (document(node(), node("b", inputs=["a", "input"])), "b: inputs=.*: 'conv' takes exactly one"),
    (document(node(inputs=["b"])), "a: inputs: no node is called 'b'"),
    (document(node(inputs=["a"])), "a: inputs: part of, or after, a cycle"),
    (document(node(), node("b", inputs=["c"]), node("c", inputs=["b"])), "b: inputs: .* a cycle"),
    # values
    (document(node(kernel_size=True)), "a: kernel_size=True: must be an integer"),
    (document(node(kernel_size=3.0)), "a: kernel_size=3.0: must be an integer"),
    (document(node(kernel_size="3")), "a: kernel_size='3': must be an integer"),
    (document(node(kernel_size=None)), "a: kernel_size=None: must be an integer"),
    (document(node(kernel_size={"y": 3})), "a: kernel_size=.*: must be an integer"),
    (document(node(kernel_size=2)), "a: padding='half': .* use padding='same'"),
    (document(node(stride=[1, True])), r"a: stride\[1\]=True: must be an integer"),
    (document(node(padding="SAME")), "a: padding='SAME': must be .*'same'"),
    (document(node(padding={"before": 1})), "a: padding=.*: must be an integer"),
    (document(node(channels="64")), "a: channels='64': must be an integer"),
    (document(node(groups=[2])), r"a: groups=\[2\]: must be an integer"),
    (document(node(name="a", op="dropout", p="0.5")), "a: p='0.5': must be a real number"),
    (document(node(op="scale", factor=False)), "a: factor=False: must be a real number"),
    (document(node(op="activation", function=["relu"])), "a: function=.*: must be one of"),
    (document(node(op="avg_pool", kernel_size=2, count_include_pad="no")), "a: count_include_pad="),
    # weights
    (document(node(weights=None)), "a: weights=None: must be .* whose kind is one of random"),
    (document(node(weights="he")), "a: weights=.*: must be an object whose kind"),
    (document(node(weights={"kind": ["fixed"]})), "a: weights=.*: must be an object whose kind"),
    (document(node(weights={"gain": 2})), "a: weights=.*: must be an object whose kind"),
    (document(node(weights={"kind": "random", "std": 1})), "a: weights.std: not a field of"),
    (document(node(weights={"kind": "constant", "gain": 1})), "a: weights.gain: .* are none"),
    (document(node(weights={"kind": "fixed"})), "a: weights.array: missing"),
    (document(node(weights={"kind": "fixed", "array": [[1], [1, 2]]})), "a: array: must be an"),
    (document(node(weights={"kind": "random", "gain": True})), "a: gain=True: must be a real"),
    # what only shows between nodes
    (document(node("s", stride=2), node(op="add", inputs=["s", "input"])), "a: inputs: .*stride"),
    (document(node("b", channels=4), node("c", channels=5), node(op="add", inputs=["b", "c"])),
     "a: inputs: cannot add 4 and 5 channels"),
    (document(node("b", kernel_size=[3]), node(inputs=["b"], kernel_size=[3, 3])), "a: lives in"),
])
def test_bad_json(d: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        em.Network.from_dict(d)


def test_save_and_load(in_tmp: Path) -> None:
    EVERYTHING.save("net.json")
    assert em.load("net.json") == em.load(Path("net.json")) == EVERYTHING
    EVERYTHING.save("net.json")  # again, over the old one
    assert [path.name for path in in_tmp.iterdir()] == ["net.json"]


def test_load_names_the_file_and_the_line(in_tmp: Path) -> None:
    text = json.dumps(document(node(), node("b", inputs=["a"], stride=0)), indent=1)
    broken = text.replace('"stride": 0', '"stride": }')
    line = 1 + broken[:broken.index("}", broken.index("stride"))].count("\n")
    for content, message in ((broken, f"net.json: line {line}: not JSON: Expecting value"),
                             ("", "net.json: line 1: not JSON"),
                             (text, "net.json: b: stride=0: must be at least 1"),
                             ("[" * 100_000, "net.json: not a network: nested too deeply"),
                             (text.replace("0", "NaN"), "net.json: b: stride=nan: must be an int")):
        Path("net.json").write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match="^" + message):
            em.load("net.json")
    Path("net.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match="^net.json: 'utf-8' codec"):
        em.load("net.json")
    with pytest.raises(FileNotFoundError, match="missing.json"):
        em.load("missing.json")


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


def test_shapes_of_what_is_pooled_to_one_site() -> None:
    """It serves every site of the maps that it meets; anything else must have their shape."""
    gate = em.serial(em.GlobalAvgPool(), em.Conv(1, 16), em.Activation("sigmoid"))
    for meet, c in ((em.multiply, 16), (em.add, 16), (em.concat, 32)):
        net = em.serial(em.Conv(3, 16, stride=2), meet(gate, em.Identity(), name="met"), em.Conv(3))
        assert net.shapes(image=8)["met"] == net.shapes(image=8)["conv3"] == (4, 4) and net.channels()["met"] == c
    up = em.concat(em.Conv(1, 16), em.serial(em.GlobalAvgPool(), em.Upsample(32)), name="met")
    assert up.shapes(image=32)["met"] == (32, 32)
    with pytest.raises(ValueError, match=r"met: inputs: shapes differ, .*\(33, 33\).*\(32, 32\), for image=\(33, 33\)"):
        up.shapes(image=33)
    with pytest.raises(ValueError, match="shapes differ"):  # one site that is none of a pooled map
        em.add(em.Conv(3), em.Conv(5, padding=0)).shapes(image=5)


def test_names_of_kinds_that_end_in_a_digit() -> None:
    layers = [em.Activation("relu6"), *[em.Activation("relu")] * 61]
    assert len(set(em.serial(*layers).names)) == 62 and em.serial(*layers).names[0] == "relu6_1"
    assert len(set(em.serial(em.Identity("in"), *layers).names)) == 63


# -- documents of anybody's -------------------------------------------------------------------------

ONE = ('{"format": "erfmath-network", "version": 1, "output": "c", '
       '"nodes": [{"name": "c", "op": "conv", %s"inputs": ["input"]}]}')


def test_load_refuses_fields_that_are_given_twice(in_tmp: Path) -> None:
    Path("net.json").write_text(ONE % '"kernel_size": 3, "kernel_size": 7, ')
    with pytest.raises(ValueError, match="net.json: kernel_size: is given twice"):
        em.load("net.json")


def test_load_takes_a_byte_order_mark(in_tmp: Path) -> None:
    Path("net.json").write_bytes(b"\xef\xbb\xbf" + (ONE % '"kernel_size": 3, ').encode())
    assert em.load("net.json") == em.serial(em.Conv(3, name="c"))


def test_load_refuses_what_is_no_file(in_tmp: Path) -> None:
    for path, words in ((os.devnull, "no regular file"), ("a\0b", "must be the name of a file")):
        with pytest.raises((ValueError, OSError), match=words):
            em.load(path)


@pytest.mark.parametrize("levels", [40, 450, 100_000])
def test_documents_nested_without_end(levels: int) -> None:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    document = json.loads(ONE % '"kernel_size": 3, ')
    document["nodes"][0]["kernel_size"] = value
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        em.Network.from_dict(document)
    while isinstance(value, list):  # Python itself frees such lists by recursion
        value = value.pop()


@pytest.mark.parametrize("make", [
    lambda: em.Scale(1e200), lambda: em.Activation("leaky_relu", slope=1e300),
    lambda: em.Activation("prelu", slope=-1e200)])
def test_factors_whose_squares_are_no_floats(make: Any) -> None:
    with pytest.raises(ValueError, match="at most 1e.150 in size"):
        make()
