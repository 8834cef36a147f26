"""Configurations of Keras models to networks."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close
from keras_reading import CONV, conv, functional, layer, ops, read, sequential, start, tensor

from erfmath.readers.reading import from_keras


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


def test_models_inside_models_and_layers_called_twice(tmp_path: Path) -> None:
    inner = sequential(layer("Conv2D", "a", filters=3, **CONV), layer("ReLU", "b"), name="block")
    inner["inbound_nodes"] = [{"args": [tensor("image")], "kwargs": {}}, {"args": [tensor("block")], "kwargs": {}}]
    m = read(tmp_path, functional(start(8, 8, 3), inner, layer("Concatenate", "both", ("block", 0), ("block", 1))))
    assert m.net.names == ("block.a", "block.b", "block.a_2", "block.b_2", "both")
    assert m.net["both"].inputs == ("block.b", "block.b_2")


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


def test_archives_that_swell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 2**25 + b"  ")
    assert path.stat().st_size < 2**16
    with pytest.raises(ValueError, match=r"model.keras: .*config.json of 33554434 bytes"):
        from_keras(path)


def test_a_configuration_without_outputs(tmp_path: Path) -> None:
    config = {"class_name": "Functional", "config": {"layers": [], "input_layers": [], "output_layers": []}}
    (tmp_path / "model.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="model.json: names no output"):
        from_keras(tmp_path / "model.json")


def test_archives_with_bytes_changed(tmp_path: Path) -> None:
    """Compressed data that cannot be expanded is refused by the file's name."""
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(sequential(start(8, 8, 3), *(conv(f"layer{i}") for i in range(9)))))
    data = path.read_bytes()
    for at in range(41, 141, 4):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1:])
        with pytest.raises(ValueError, match="model.keras: "):
            from_keras(path)
