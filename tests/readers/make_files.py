"""Export small files of models, with their weights left out, for the tests of the readers of ONNX and Keras.

    KERAS_BACKEND=torch python tests/readers/make_files.py

Needs torch, torchvision, onnx, onnxscript and Keras.  An ONNX file keeps its graph; each large array becomes the
output of a ConstantOfShape of its root mean square.  A Keras file keeps its configuration.  Beside them `files.gz`
has the shapes that the frameworks found for every layer, windows by automatic differentiation, and all versions.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import keras  # noqa: E402
import onnx  # noqa: E402
import recorded  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402

from erfmath.bench.readers import create, windows  # noqa: E402
from erfmath.readers.torch import trace_module  # noqa: E402

SHAPE = (1, 3, 192, 64)
ONNX = {"resnet18_dynamo": ("resnet18", True), "resnet18_torchscript": ("resnet18", False),
        "mobilenet_v3_small_torchscript": ("mobilenet_v3_small", False),
        "shufflenet_v2_x0_5_torchscript": ("shufflenet_v2_x0_5", False),
        "convnext_tiny_dynamo": ("convnext_tiny", True)}
KERAS = ("MobileNetV2", "ResNet50V2", "EfficientNetB0", "ConvNeXtTiny", "DenseNet121")
#: What the exporter notes of nodes and is used for their names.
NOTES = ("pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy")


def stripped(model: Any) -> Any:
    graph, constants = model.graph, []
    for tensor in [t for t in graph.initializer if np.prod(t.dims) > recorded.FEW]:
        array = onnx.numpy_helper.to_array(tensor)
        size = np.float32(np.sqrt(np.mean(np.square(array, dtype=float)))).astype(array.dtype)
        shape = onnx.numpy_helper.from_array(np.array(array.shape, np.int64), f"{tensor.name}.shape")
        constants.append(onnx.helper.make_node("ConstantOfShape", [shape.name], [tensor.name],
                                               value=onnx.numpy_helper.from_array(size.reshape(1))))
        graph.initializer.remove(tensor)
        graph.initializer.append(shape)
    nodes = list(graph.node)
    del graph.node[:], graph.value_info[:], model.functions[:], model.metadata_props[:], graph.metadata_props[:]
    graph.node.extend([*constants, *nodes])
    for node in graph.node:
        kept = [note for note in node.metadata_props if note.key in NOTES]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
        node.doc_string = ""
    return model


def make_onnx(name: str, source: str, dynamo: bool) -> dict[str, Any]:
    module = create(f"torchvision:{source}")
    with torch.no_grad():
        program = torch.export.export(module, (torch.zeros(SHAPE),), strict=False)
    trace = trace_module(program)
    paths = {record.name: record.path for record in trace.live()}
    seen = [[paths[value], list(unit), np.argwhere(mask).min(0).tolist(), np.argwhere(mask).max(0).tolist()]
            for value, unit, mask in windows(program, trace)]
    shapes = {r.path: list(r.shape) for r in trace.live() if r.op in ("conv", "max_pool") and len(r.shape) == 4}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(module, (torch.zeros(SHAPE),), str(path), dynamo=dynamo, **({} if dynamo else {
            "opset_version": 17}))
        model = stripped(onnx.load(str(path)))
    (recorded.FOLDER / f"{name}.onnx.gz").write_bytes(gzip.compress(model.SerializeToString(), 9, mtime=0))
    return {"shapes": shapes, "windows": seen, "image": SHAPE[2:]}


def make_keras(name: str) -> dict[str, Any]:
    model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(192, 64, 3))
    with zipfile.ZipFile(recorded.FOLDER / f"{name}.keras", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo("config.json"), model.to_json(), zipfile.ZIP_DEFLATED)
    shapes = {layer.name: list(layer.output.shape) for layer in model.layers
              if type(layer).__name__ in ("Conv2D", "DepthwiseConv2D", "MaxPooling2D", "AveragePooling2D")}
    return {"shapes": shapes, "image": (192, 64), "windows": windows_of(model) if name == "MobileNetV2" else []}


def windows_of(model: Any) -> list[Any]:
    """Of a middle and a corner unit of the last map: all weights positive, norms the identity, values small."""
    for layer in model.layers:
        if "Norm" in type(layer).__name__:
            arrays = zip(layer.get_weights(), (1, 0, 0, 1))
            layer.set_weights([np.full(w.shape, value, np.float32) for w, value in arrays])
        else:
            layer.set_weights([np.full(w.shape, 1 / np.prod(w.shape[:3])) for w in layer.get_weights()])
    x = torch.full((1, 192, 64, 3), 0.1, requires_grad=True)
    y = model(x)
    found = []
    for unit in (tuple(n // 2 for n in y.shape[1:3]), (0, 0)):
        gradient, = torch.autograd.grad(y[(0, *unit)].sum(), x, retain_graph=True)
        mask = (gradient[0].abs().sum(-1) > 0).cpu().numpy()
        found.append([model.layers[-1].name, list(unit), np.argwhere(mask).min(0).tolist(),
                      np.argwhere(mask).max(0).tolist()])
    return found


def main() -> None:
    about: dict[str, Any] = {lib.__name__: lib.__version__ for lib in (torch, torchvision, onnx, keras)}
    about = {"versions": about, "files": {}}
    for name, (source, dynamo) in ONNX.items():
        about["files"][f"{name}.onnx.gz"] = make_onnx(name, source, dynamo)
    for name in KERAS:
        about["files"][f"{name}.keras"] = make_keras(name)
    text = json.dumps(about, separators=(",", ":")).encode()
    (recorded.FOLDER / "files.gz").write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main()
