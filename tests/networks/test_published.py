"""Receptive fields as published, row by row, from the layer graphs published beside them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

import erfmath as em

DATA = json.loads((Path(__file__).parents[1] / "data" / "trf.json").read_text(encoding="utf-8"))
ROWS = DATA["published_table"]
OPS = {"maxpool": "max_pool", "avgpool": "avg_pool", "depthwise_conv": "conv",
       "separable_conv": "conv"}
MEASURED = [(name, node, row) for name, net in DATA["torchvision_measured"].items()
            for node, row in net["end_points"].items()]


def converted(layer: dict[str, Any]) -> dict[str, Any]:
    """A published layer in the project's own JSON."""
    padding = layer["padding"]
    if isinstance(padding, str):
        padding = padding.lower()
    else:
        top, bottom, left, right = padding
        padding = [[top, bottom], [left, right]]
    node = {"name": layer["name"], "op": OPS.get(layer["op"], layer["op"]),
            "inputs": layer["inputs"], "kernel_size": layer["kernel"], "stride": layer["stride"],
            "padding": padding, "dilation": layer["dilation"]}
    if node["op"].endswith("_pool"):
        assert node.pop("dilation") == [1, 1]
    if layer["op"] == "depthwise_conv":
        node["groups"] = "depthwise"
    return node


@functools.cache
def published(cnn: str) -> em.Network:
    nodes = [converted(layer) for layer in DATA["networks"][cnn]["layers"]]
    return em.Network.from_dict({"format": "erfmath-network", "version": 1, "nodes": nodes,
                                 "output": nodes[-1]["name"]})


@functools.cache
def fields(net: em.Network, image: int | None) -> dict[str, em.ReceptiveField]:
    return em.receptive_fields(net, image=image)


@functools.cache
def shapes(net: em.Network, image: int) -> dict[str, tuple[int, ...]]:
    return net.shapes(image)


def check(net: em.Network, node: str, row: dict[str, Any], image: int | None) -> None:
    """Size, stride and padding are those of the row, and so is the window they stand for."""
    rf = fields(net, image)[node]
    size, stride, padding = row["rf"], row["effective_stride"], row["effective_padding"]
    assert (rf.size, rf.stride) == ((size,) * 2, (stride,) * 2)
    assert rf.padding == (None if padding is None else (padding,) * 2)
    if padding is not None:
        unit = 3 if rf.shape is None else rf.shape[0] // 2  # far from borders, where windows end early
        first = unit * stride - padding
        assert rf.window(unit) == ((first,) * 2, (first + size - 1,) * 2)
    if row.get("output_size") is not None:
        assert image is not None and shapes(net, image)[node] == (row["output_size"],) * 2


def test_all_rows_are_here() -> None:
    assert len(ROWS) == 198
    assert {row["resolution"] for row in ROWS} == {None, 224, 321}
    assert {row["cnn"] for row in ROWS} == set(DATA["networks"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['end_point']}-{row['resolution']}")
def test_published_row(row: dict[str, Any]) -> None:
    check(published(row["cnn"]), row["end_point"], row, row["resolution"])


# The published networks that the zoo builds too; its nodes bear the last part of their names.
ZOO = {"vgg_16": "vgg16", "vgg_a": "vgg11", "resnet_v1_50": "resnet_v1_50",
       "mobilenet_v1": "mobilenet_v1"}


@functools.cache
def of_the_zoo(name: str) -> em.Network:
    return em.zoo.build(name)


@pytest.mark.parametrize("row", [row for row in ROWS if row["cnn"] in ZOO],
                         ids=lambda row: f"{row['end_point']}-{row['resolution']}")
def test_the_zoo_has_the_published_row(row: dict[str, Any]) -> None:
    check(of_the_zoo(ZOO[row["cnn"]]), row["end_point"].split("/")[-1], row, row["resolution"])


# torchvision numbers the layers of VGG-16.
VGG16_NODES = {"features.28": "conv5_3", "features.29": "relu13", "features.30": "pool5"}


@pytest.mark.parametrize("name, node, row", MEASURED, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("image", (None, 224))
def test_the_zoo_has_what_was_measured_on_torchvision(name: str, node: str, row: dict[str, Any],
                                                      image: int | None) -> None:
    check(of_the_zoo(name), VGG16_NODES.get(node, node), row, image)


def test_a_wrong_graph_is_caught() -> None:
    """One stride elsewhere in ResNet-50 does not pass for the published network."""
    wrong = of_the_zoo("resnet50")
    row = next(row for row in ROWS if row["end_point"] == "resnet_v1_50/block4")
    with pytest.raises(AssertionError):
        check(wrong, "layer4", row, None)
