"""Networks written and read: JSON as documented, and documents of anybody's."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from graphs import links
from helpers import NETWORKS

import erfmath as em

relu = em.Activation("relu")

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


def node(name: Any = "a", op: Any = "conv", inputs: Any = ("input",),
         **fields: Any) -> dict[str, Any]:
    size = {"kernel_size": 3} if op == "conv" else {}
    return {"name": name, "op": op, "inputs": inputs if isinstance(inputs, str) else list(inputs),
            **size, **fields}


def document(*nodes: Any, **extra: Any) -> dict[str, Any]:
    return {"format": "erfmath-network", "version": 1, "nodes": list(nodes)} | extra


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
