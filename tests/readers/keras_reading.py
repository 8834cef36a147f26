"""Small Keras files, written and read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from erfmath.readers.reading import from_keras

CONV = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "data_format": "channels_last"}


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
