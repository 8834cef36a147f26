"""Keras models to records: the configuration of a `.keras` file or of a model, and its weights where h5py reads them.

A configuration is a complete graph.  Maps have their channels last; what works on windows is recorded with the
channels moved first and back again, which costs nothing.
"""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..base.checks import integer, is_sequence
from ..base.errors import check_bytes, optional, quoted
from ..base.files import open_regular
from .keras_layers import Layer
from .records import Array, Record, Trace

__all__ = ["trace_model"]

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
#: Bytes of a configuration; those of large models have a hundredth of it.
LARGEST = 2**25
#: What a damaged archive raises.
DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError)


def trace_model(model: Any, image: Any = None, required: bool = False) -> tuple[Trace, bool]:
    """Records of a `.keras` file, a JSON file of `to_json`, or a model; and whether its weights were read.

    Without weights, arrays of the variance that the initialisers have are put in their place.

    Parameters
    ----------
    model : path or keras.Model
    image : int or tuple of int, optional
        Size of the input in pixels, where the model leaves it open.
    required : bool, optional
        Raise an error if a file has weights and h5py is not installed.

    Raises
    ------
    ImportError
        If h5py is `required` and not installed.
    OSError
        If the file cannot be read.
    ValueError
        Naming file and layer, if it is no such file, or needs what is not read.
    """
    if isinstance(model, (str, os.PathLike)):
        source, config = os.fspath(model), _config_of(model)
        weights = _weights_of(model, required)
    elif hasattr(model, "to_json") and hasattr(model, "layers"):
        source, config = f"Keras model {quoted(model.name)}", json.loads(model.to_json())
        weights = dict(_weights_in(model, ""))
    else:
        raise TypeError(f"model={type(model).__name__}: must be a path or a Keras model")
    try:
        return _Reader(config, weights, image).trace(source), weights is not None
    except (ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, StopIteration, TypeError) as error:
        raise ValueError(f"{source}: no configuration of Keras 3 ({type(error).__name__}: {error})") from None
    except ValueError as error:
        raise type(error)(f"{source}: {error}") from None


def _config_of(path: str | os.PathLike[str]) -> Any:
    name = os.fspath(path)
    try:
        with open_regular(path) as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                if os.path.getsize(path) > LARGEST:
                    raise ValueError("too large for a configuration")
                return json.loads(file.read())
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(CONFIG).file_size
            if size > LARGEST:
                raise ValueError(f"{CONFIG} of {size} bytes")
            return json.loads(archive.read(CONFIG))
    except (KeyError, ValueError, RecursionError, *DAMAGED) as error:
        raise ValueError(f"{name}: must be a .keras file, or JSON of to_json() ({error})") from None


def _weights_of(path: str | os.PathLike[str], required: bool) -> dict[str, list[Array]] | None:
    """Arrays by layer, as the file names them; None where there are none, or no h5py and it is not `required`."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        if WEIGHTS not in archive.namelist():
            return None
        try:
            h5py = optional("h5py", f"{os.fspath(path)}: reading the weights", "use init='module'")
        except ImportError:
            if required:
                raise
            return None
        check_bytes(archive.getinfo(WEIGHTS).file_size, f"{os.fspath(path)}: {WEIGHTS}", "it is too large to be read")
        found: dict[str, dict[int, Array]] = {}
        held: list[int] = []

        def visit(name: str, item: Any) -> None:
            layer, vars_, number = name.rpartition("/vars/")
            if vars_ and isinstance(item, h5py.Dataset) and number.isdigit():
                held.append(8 * math.prod(item.shape))
                check_bytes(sum(held), f"{os.fspath(path)}: {name}", "it is too large to be read")
                found.setdefault(layer, {})[int(number)] = np.asarray(item)
        try:
            with archive.open(WEIGHTS) as file, h5py.File(file, "r") as stored:
                stored.visititems(visit)
        except (OSError, RuntimeError, KeyError, TypeError, *DAMAGED) as error:
            raise ValueError(f"{os.fspath(path)}: {WEIGHTS} cannot be read ({error})") from None
    return {layer: [arrays[i] for i in sorted(arrays)] for layer, arrays in found.items()}


def _weights_in(model: Any, at: str) -> Iterator[tuple[str, list[Array]]]:
    """The same of a model in memory."""
    for layer, name in zip(model.layers, _stored_names([type(layer).__name__ for layer in model.layers])):
        if hasattr(layer, "layers"):
            yield from _weights_in(layer, f"{at}layers/{name}/")
        elif layer.get_weights():
            yield f"{at}layers/{name}", [np.asarray(array) for array in layer.get_weights()]


def _stored_names(classes: Sequence[str]) -> list[str]:
    """What Keras calls layers in a file of weights: their class, counted."""
    count: dict[str, int] = {}
    names = []
    for kind in classes:
        word = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
        names.append(f"{word}_{count[word]}" if word in count else word)
        count[word] = count.get(word, 0) + 1
    return names


class _Reader:
    def __init__(self, config: Any, weights: Mapping[str, list[Array]] | None, image: Any) -> None:
        self.config, self.weights, self.image = config, weights, image
        self.records: list[Record] = []
        self.constants: dict[str, Array] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.first = '"data_format": "channels_first"' in json.dumps(config)
        self.input = ""
        self.lost = False  # after a layer of which nobody knows the shape

    def trace(self, source: str) -> Trace:
        outputs = self.model(self.config, [], "", "")
        if not outputs:
            raise ValueError("names no output")
        names = outputs if len(outputs) > 1 else {"out": next(iter(outputs.values()))}
        axis = None if len(self.shapes[self.input]) < 3 else 1 if self.first else len(self.shapes[self.input]) - 1
        return Trace(tuple(self.records), self.input, self.shapes[self.input], axis, self.constants, names, source)

    # -- graphs -------------------------------------------------------------------------------

    def model(self, model: Any, given: list[str], path: str, stored: str) -> dict[str, str]:
        """The records of a model inside, from the values `given`; its outputs by the name of their layer."""
        config = model["config"]
        layers = config["layers"]
        names = dict(zip([layer["config"]["name"] for layer in layers],
                         _stored_names([layer["class_name"] for layer in layers])))
        if model["class_name"] == "Sequential":
            if len(given) > 1:
                raise ValueError(f"a sequential model of {len(given)} inputs")
            values = given
            for layer in layers:
                name = layer["config"]["name"]
                values = self.layer(layer, values[:1], path, f"{stored}layers/{names[name]}")
            return {name: value for value in values[:1]}
        if model["class_name"] not in ("Functional", "Model"):
            raise ValueError(f"a model of class {quoted(model['class_name'])}: only functional and sequential models "
                             "have a configuration that says what they do; export it as ONNX")
        made: dict[tuple[str, int], list[str]] = {}
        starts = dict(zip((name for name, *_ in _references(config.get("input_layers", []))), given))
        waiting = [(layer, i, node) for layer in layers for i, node in enumerate(layer.get("inbound_nodes") or [None])]
        while waiting:
            later = []
            for layer, i, node in waiting:
                sources = list(_tensors(node)) if node is not None else []
                if any((name, index) not in made for name, index, _ in sources):
                    later.append((layer, i, node))
                    continue
                name = layer["config"]["name"]
                inputs = [made[name, index][tensor] for name, index, tensor in sources]
                name = layer["config"]["name"]
                if layer["class_name"] == "InputLayer" and name in starts:
                    made[name, i] = [starts[name]]
                else:
                    made[name, i] = self.layer(layer, inputs, path, f"{stored}layers/{names[name]}", node)
            if len(later) == len(waiting):
                raise ValueError(f"layer {quoted(later[0][0]['config']['name'])}: part of a cycle, or after one")
            waiting = later
        found: dict[str, str] = {}
        for name, index, tensor in _references(config["output_layers"]):
            value = made[name, index][tensor]
            found[name if name not in found else f"{name}.{len(found)}"] = value
        return found

    def layer(self, layer: Any, inputs: list[str], path: str, stored: str, node: Any = None) -> list[str]:
        kind, config = layer["class_name"], layer["config"]
        name = f"{path}{config['name']}"
        if "layers" in config:
            return list(self.model(layer, inputs, f"{name}.", f"{stored}/").values())
        if kind == "InputLayer":
            return inputs[:1] if inputs else [self.start(name, config)]
        if not inputs and not self.input:
            raise ValueError(f"layer {quoted(name)}: the model has no input layer; build it before it is saved")
        value = Layer(self, kind, config, name, inputs, stored, node).value()
        return [value] if isinstance(value, str) else value

    def start(self, name: str, config: Any) -> str:
        if self.input:
            raise ValueError(f"inputs {quoted(self.input)} and {quoted(name)}: the reader takes models of one input; "
                             "make one that holds the others, as keras.Model(image, model([image, constant]))")
        shape = [1, *config["batch_shape"][1:]]
        space = [i for i in range(1, len(shape)) if i != (1 if self.first else len(shape) - 1) or len(shape) == 2]
        given = list(self.image) if is_sequence(self.image) else [self.image] * len(space)
        if len(given) != len(space):
            raise ValueError(f"image={quoted(self.image)}: must have {len(space)} values, one per axis")
        for axis, n in zip(space, given):
            if shape[axis] is None and n is None:
                raise ValueError(f"image=None: the model leaves the size of {quoted(name)} open; give it in pixels, as "
                                 "image=224")
            if n is not None and shape[axis] not in (None, n):
                raise ValueError(f"image={quoted(self.image)}: the model is for {shape[axis]} pixels on axis {axis}")
            shape[axis] = shape[axis] or integer(n, "image", 1)
        self.input = name
        self.shapes[name] = tuple(integer(n, f"input {quoted(name)}", 1) for n in shape)
        return name

    def add(self, op: str, inputs: Sequence[Any], attributes: Mapping[str, Any], shape: Sequence[int],
            path: str) -> str:
        name = f"{path}:{len(self.records)}"
        self.records.append(Record(name, op, tuple(inputs), attributes, tuple(int(n) for n in shape), path))
        self.shapes[name] = self.records[-1].shape
        return name


def _references(value: Any) -> Iterator[tuple[str, int, int]]:
    """(layer, call, tensor) of nested lists of them."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if len(value) == 3 and isinstance(value[0], str):
        yield value[0], value[1], value[2]
    else:
        for item in value:
            yield from _references(item)


def _tensors(value: Any) -> Iterator[tuple[str, int, int]]:
    """(layer, call, tensor) of the tensors among the arguments of a call."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            name, index, tensor = value["config"]["keras_history"]
            yield name, index, tensor
            return
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
