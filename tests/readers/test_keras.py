"""Configurations of Keras models to networks."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.readers.reading import from_keras


def layer(kind: str, name: str, *inputs: Any, **config: Any) -> dict[str, Any]:
    """A layer as Keras 3 writes it, called once."""
    tensors = [tensor(*source) if isinstance(source, tuple) else tensor(source) for source in inputs]
    args = [tensors] if len(tensors) > 1 else tensors
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}, "name": name,
            "inbound_nodes": [{"args": args, "kwargs": {}}] if inputs else []}


def tensor(name: str, call: int = 0) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, call, 0]}}


def start(*shape: int | None) -> dict[str, Any]:
    return layer("InputLayer", "image", batch_shape=[None, *shape])


def functional(*layers: Any, name: str = "model", outputs: Any = None) -> dict[str, Any]:
    last = layers[-1]["config"]["name"]
    return {"class_name": "Functional", "config": {
        "name": name, "layers": list(layers), "input_layers": ["image", 0, 0],
        "output_layers": outputs or [last, 0, 0]}}


def sequential(*layers: Any, name: str = "model") -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


def read(folder: Path, config: Any, **options: Any) -> Any:
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    return from_keras(path, **options)


def conv(name: str, *inputs: Any, **config: Any) -> dict[str, Any]:
    return layer("Conv2D", name, *inputs, **{"filters": 4, **CONV, **config})


def ops(m: Any) -> list[str]:
    return [item.layer.kind for item in m.net]


CONV = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "data_format": "channels_last"}


def test_a_functional_model(tmp_path: Path) -> None:
    m = read(tmp_path, functional(
        start(None, None, 3), layer("Rescaling", "scale", "image", scale=0.5),
        layer("Conv2D", "stem", "scale", filters=8, activation="relu", **{**CONV, "strides": [2, 2]}),
        layer("BatchNormalization", "norm", "stem", axis=-1, epsilon=0.001),
        layer("DepthwiseConv2D", "deep", "norm", depth_multiplier=1, activation="linear", **CONV),
        layer("Add", "sum", "deep", "norm"), layer("MaxPooling2D", "pool", "sum", pool_size=[2, 2], strides=[2, 2],
                                                   padding="valid"),
        layer("GlobalAveragePooling2D", "mean", "pool"), layer("Dense", "head", "mean", units=5, activation="softmax")),
        image=(32, 24))
    assert m.net.names == ("scale", "stem", "stem_2", "norm", "deep", "sum", "pool", "mean", "head", "head_2")
    assert ops(m) == ["scale", "conv", "relu", "batch_norm", "conv", "add", "max_pool", "global_avg_pool", "conv",
                      "softmax"]
    assert (m.net.output, dict(m.outputs), m.image, m.channels_in) == ("pool", {"out": "head_2"}, (32, 24), 3)
    assert m.net.shapes((32, 24))["pool"] == (8, 6) and m.net["stem"].layer.padding == "same"
    assert m.init == "module" and dict(m.weights) == {} and "no weights were read" in m.notes[-1]


def test_gains_of_initialisers(tmp_path: Path) -> None:
    """Without weights: Glorot's variance is 2 / (fan in + fan out), He's gives a gain of 2."""
    he = {"class_name": "HeNormal", "config": {}}
    m = read(tmp_path, sequential(start(16, 16, 3), layer("Conv2D", "a", filters=12, **CONV),
                                  layer("Conv2D", "b", filters=4, kernel_initializer=he, **CONV)))
    assert_close(m.net["a"].layer.weights.gain, 2 * 27 / (27 + 108), ROUNDING._replace(rtol=1e-6))
    assert_close(m.net["b"].layer.weights.gain, 2.0, ROUNDING._replace(rtol=1e-6))


def test_models_inside_models_and_layers_called_twice(tmp_path: Path) -> None:
    inner = sequential(layer("Conv2D", "a", filters=3, **CONV), layer("ReLU", "b"), name="block")
    inner["inbound_nodes"] = [{"args": [tensor("image")], "kwargs": {}}, {"args": [tensor("block")], "kwargs": {}}]
    m = read(tmp_path, functional(start(8, 8, 3), inner, layer("Concatenate", "both", ("block", 0), ("block", 1))))
    assert m.net.names == ("block.a", "block.b", "block.a_2", "block.b_2", "both")
    assert m.net["both"].inputs == ("block.b", "block.b_2")


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


def test_weights_of_a_file(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    kernel, norm = rng.standard_normal((3, 3, 2, 4)).astype("f4"), rng.uniform(1, 2, (4, 4)).astype("f4")
    config = sequential(start(8, 8, 2), layer("Conv2D", "mine", filters=4, use_bias=False, **CONV),
                        layer("BatchNormalization", "norm", epsilon=0.5))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/conv2d/vars/0"] = kernel
        for i, part in enumerate(norm):
            file[f"layers/batch_normalization/vars/{i}"] = part
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    m = from_keras(path)
    assert m.init == "weights"
    assert_close(m.weights["mine"], kernel.transpose(3, 2, 0, 1), EXACT)
    assert_close(m.weights["norm"], norm + np.array([[0], [0], [0], [.5]]), ROUNDING._replace(rtol=1e-6))


@pytest.mark.parametrize("config, options, words", [
    (functional(start(None, None, 3), conv("a", "image")), {}, "leaves the size of 'image'"),
    (functional(start(8, 8, 3), conv("a", "image")), {"image": 16}, "is for 8 pixels"),
    (functional(start(8, 8, 3), conv("a", "image")), {"image": (8,)}, "2 values"),
    (functional(start(2, 8, 3), conv("a", "image", padding="valid")), {}, "larger than its input"),
    (functional(start(8, 8, 3), layer("Add", "a", "image", "b"), layer("Add", "b", "a", "image")), {}, "cycle"),
    ({"class_name": "Mine", "config": {"layers": []}}, {}, "a model of class 'Mine'"),
    ({"class_name": "Functional"}, {}, "no configuration of Keras 3"), ([1, 2], {}, "no configuration of Keras 3"),
    (sequential(conv("a")), {}, "no input layer"),
    (sequential(start(8, 8, 3), conv("a")), {"init": "weights"}, "init='weights': the"),
])
def test_refused(tmp_path: Path, config: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(tmp_path, config, **options)


def test_layers_that_are_not_known(tmp_path: Path) -> None:
    config = sequential(start(8, 8, 3), conv("a"), layer("MultiHeadAttention", "mix"),
                        conv("b"))
    with pytest.raises(NotImplementedError, match="1 x MultiHeadAttention: mix; nothing stands in"):
        read(tmp_path, config)


def test_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="must be a .keras file"):
        from_keras(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("else", "")
    with pytest.raises(ValueError, match="must be a .keras file"):
        from_keras(path)
    with pytest.raises(TypeError, match="must be a path or a Keras model"):
        from_keras(3)
    (tmp_path / "model.json").write_text(json.dumps(sequential(start(8, 8, 3), conv("a"))))
    assert ops(from_keras(tmp_path / "model.json")) == ["conv"]
