"""Models by name; exported files without their weights, with shapes and windows as the frameworks found them."""

from __future__ import annotations

import gzip
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recorded
from onnx_reading import kernel, read
from onnx_writer import node

import erfmath as em
from erfmath.readers.reading import from_name

ABOUT = json.loads(gzip.decompress((recorded.FOLDER / "files.gz").read_bytes()))
#: Looked at without being asked, the others with -m slow.
FEW = ("shufflenet_v2_x0_5_torchscript.onnx.gz", "convnext_tiny_dynamo.onnx.gz", "MobileNetV2.keras")


def test_models_by_name(tmp_path: Path) -> None:
    read(tmp_path, [node("Conv", ["x", "w"], ["out"], "stem")], {"w": kernel(4, 3, 3, 3)})
    assert from_name(str(tmp_path / "model.onnx"), init="he").net.names == ("stem",)
    for text, words in (("model.pt", "must be a file .onnx or .keras, or package.module:callable"),
                        ("package.module:thing", "image=None: must be the size of an image")):
        with pytest.raises(ValueError, match=words):
            from_name(text)


def test_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "timm", "h5py"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match="^from_torch needs the package torch, .* not installed: pip install torch$"):
        em.from_torch(None, (1, 3, 8, 8))
    with pytest.raises(ImportError, match="timm:create_model needs the package timm, .*: pip install timm"):
        from_name("timm:create_model", image=8)
    path, config = tmp_path / "model.keras", {"class_name": "Sequential", "config": {"name": "small", "layers": [
        {"class_name": "InputLayer", "config": {"name": "image", "batch_shape": [None, 8, 8, 3]}},
        {"class_name": "Conv2D", "config": {"name": "stem", "filters": 2, "kernel_size": 3}}]}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(ImportError, match="reading the weights needs the package h5py, .*: pip install h5py, or use"):
        em.from_keras(path, init="weights")
    assert em.from_keras(path).init == "module"


@pytest.fixture(scope="module", params=[pytest.param(name, marks=() if name in FEW else pytest.mark.slow)
                                        for name in ABOUT["files"]])
def file_model(request: Any, tmp_path_factory: Any) -> Any:
    path = recorded.FOLDER / request.param
    if path.suffix == ".keras":
        return em.from_keras(path), ABOUT["files"][request.param]
    file = Path(tmp_path_factory.mktemp("files")) / path.stem
    file.write_bytes(gzip.decompress(path.read_bytes()))
    return em.from_onnx(file), ABOUT["files"][request.param]


def test_shapes_and_channels_of_files(file_model: Any) -> None:
    m, about = file_model
    shapes, channels = m.net.shapes(m.image), m.net.channels()
    assert m.image == tuple(about["image"]) and not m.stand_ins
    last = "keras" in m.source.lower()
    for name, (_, *sizes) in about["shapes"].items():
        expected = (sizes[-1], *sizes[:-1]) if last else tuple(sizes)
        assert (channels[name], *shapes[name]) == expected, name
    assert len(about["shapes"]) > 15


def test_windows_of_files(file_model: Any) -> None:
    m, about = file_model
    for name, unit, lo, hi in about["windows"]:
        seen = em.support(m.net, image=m.image, node=name, unit=tuple(unit), gates=False)
        filled = np.argwhere(seen.mask) + seen.origin
        assert (filled.min(0).tolist(), filled.max(0).tolist()) == (lo, hi), (name, unit)


def test_versions_are_said_and_files_are_small() -> None:
    assert {"torch", "torchvision", "onnx", "keras"} <= set(ABOUT["versions"])
    assert sum(path.stat().st_size for path in recorded.FOLDER.iterdir()) < 300_000
