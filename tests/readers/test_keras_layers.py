"""Layers of Keras, one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from keras_reading import CONV, functional, layer, read, sequential, start
from values import forward_values

import erfmath as em
from erfmath.readers.convert import convert
from erfmath.readers.keras import trace_model


def test_gains_of_initialisers(tmp_path: Path) -> None:
    """Without weights: Glorot's variance is 2 / (fan in + fan out), He's gives a gain of 2."""
    he = {"class_name": "HeNormal", "config": {}}
    m = read(tmp_path, sequential(start(16, 16, 3), layer("Conv2D", "a", filters=12, **CONV),
                                  layer("Conv2D", "b", filters=4, kernel_initializer=he, **CONV)))
    assert_close(m.net["a"].layer.weights.gain, 2 * 27 / (27 + 108), ROUNDING._replace(rtol=1e-6))
    assert_close(m.net["b"].layer.weights.gain, 2.0, ROUNDING._replace(rtol=1e-6))


def test_flattened_maps_and_dense_layers(tmp_path: Path) -> None:
    """A dense layer on a flattened map is a convolution of its size, its weights in the order of the axes."""
    m = read(tmp_path, sequential(start(4, 5, 2), layer("Conv2D", "a", filters=3, **CONV), layer("Flatten", "flat"),
                                  layer("Dense", "head", units=7)))
    head = m.net["head"].layer
    assert head.kernel_size == (4, 5) and m.net.shapes((4, 5))["head"] == (1, 1) and m.net.output == "a"


@pytest.mark.parametrize("size, stride, padding", [(3, 2, "same"), (4, 2, "same"), (2, 3, "same"), (3, 2, "valid"),
                                                   (2, 3, "valid")])
def test_transposed_convolutions(tmp_path: Path, size: int, stride: int, padding: str) -> None:
    """Sizes as Keras documents them: n s, and n s + max(k - s, 0)."""
    m = read(tmp_path, sequential(start(5, 5, 2), layer("Conv2DTranspose", "up", filters=3, kernel_size=[size, size],
                                                        strides=[stride, stride], padding=padding)))
    n = 5 * stride + (max(size - stride, 0) if padding == "valid" else 0)
    assert m.net.shapes(5)["up"] == (n, n)


def test_padding_upsampling_and_channels_first(tmp_path: Path) -> None:
    first = {"data_format": "channels_first"}
    m = read(tmp_path, sequential(
        start(3, 6, 7), layer("ZeroPadding2D", "pad", padding=[[1, 2], [0, 3]], **first),
        layer("Conv2D", "a", filters=4, **{**CONV, **first}), layer("UpSampling2D", "up", size=[2, 2],
                                                                    interpolation="bilinear", **first),
        layer("Cropping2D", "crop", cropping=[[1, 0], [0, 2]], **first)))
    assert m.channels_in == 3 and m.net.shapes((6, 7)) == {"pad": (9, 10), "a": (9, 10), "up": (18, 20),
                                                           "crop": (17, 18)}
    assert m.net["up"].layer == em.Upsample((2, 2), "bilinear")


def values_of(folder: Path, config: Any) -> Any:
    """Of the network with the numbers of the configuration itself."""
    path = folder / "model.json"
    path.write_text(json.dumps(config))
    found = convert(trace_model(path)[0], init="weights")
    return forward_values(found.net, found.weights, X)


X = np.random.default_rng(2).standard_normal((1, 3, 6, 6))
SLICE = {"class_name": "__slice__", "config": {"start": 1, "stop": None, "step": 2}}
RELU = {"class_name": "ReLU", "config": {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}}
OPERATIONS: dict[str, tuple[list[Any], Any]] = {
    "negative": ([layer("Negative", "a", "image")], -X), "square": ([layer("Square", "a", "image")], X * X),
    "mean": ([layer("Mean", "m", "image", axis=[1, 2], keepdims=True), layer("Multiply", "a", "image", "m")],
             X * X.mean((2, 3), keepdims=True)),
    "part": ([layer("Split", "s", "image", indices_or_sections=3, axis=-1), layer("Add", "a", ("s", 0), "image")],
             X + X[:, :1]),
    "normalization inverted": ([layer("Normalization", "a", "image", mean=[1, 2, 3], variance=[1, 4, 9], invert=True)],
                               X * np.arange(1, 4)[:, None, None] + np.arange(1, 4)[:, None, None]),
    "a layer as an activation": ([layer("Activation", "a", "image", activation=RELU)], np.where(
        X < 0.2, 0.1 * (X - 0.2), np.minimum(X, 1))),
    "resizing": ([layer("Resizing", "a", "image", height=12, width=18, interpolation="nearest")],
                 X.repeat(2, 2).repeat(3, 3)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_between_layers(tmp_path: Path, name: str) -> None:
    layers, expected = OPERATIONS[name]
    assert_close(values_of(tmp_path, functional(start(6, 6, 3), *layers)), expected[0], ROUNDING)


def test_items_of_a_tensor(tmp_path: Path) -> None:
    item = layer("GetItem", "a", "image")
    item["inbound_nodes"][0]["args"].append([{"class_name": "__ellipsis__", "config": {}}, SLICE, SLICE])
    assert_close(values_of(tmp_path, functional(start(6, 6, 3), item)), X[0, 1::2][:, :, 1::2], ROUNDING)


def test_a_model_inside_of_two_inputs_and_two_outputs(tmp_path: Path) -> None:
    """f(a, b) = (a + 2 b, b - a), and the product of both."""
    inside = functional(start(6, 6, 3), layer("InputLayer", "second", batch_shape=[None, 6, 6, 3]),
                        layer("Rescaling", "twice", "second", scale=2.0), layer("Add", "sum", "image", "twice"),
                        layer("Subtract", "difference", "second", "image"), name="inside",
                        outputs=[["sum", 0, 0], ["difference", 0, 0]])
    inside["config"]["input_layers"] = [["image", 0, 0], ["second", 0, 0]]
    call = layer("Call", "inside", "image", "half")["inbound_nodes"]
    product = layer("Multiply", "product", "inside", "inside")
    product["inbound_nodes"][0]["args"][0][1]["config"]["keras_history"][2] = 1
    config = functional(start(6, 6, 3), layer("Rescaling", "half", "image", scale=0.5),
                        {**inside, "inbound_nodes": call}, product)
    assert_close(values_of(tmp_path, config), ((X + X) * (0.5 * X - X))[0], ROUNDING)
