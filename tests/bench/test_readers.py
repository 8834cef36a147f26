"""One model of the benchmark of the readers: read exactly, its units see what those of the module see."""

from __future__ import annotations

import importlib.util

import pytest

from erfmath.bench import readers


@pytest.mark.torch
@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:test_resnet"])
def test_read_of_a_model(name: str) -> None:
    for package in ("torch", "torchvision", "timm"):
        pytest.importorskip(package)
    reading = readers.read(name, onnx=importlib.util.find_spec("onnxscript") is not None)
    assert reading.traced and reading.exact and reading.seen and reading.predicted and not reading.reason
    assert not reading.attention and 0 < reading.cpu and 0 <= reading.onnx < reading.cpu
    assert readers.read("timm:nothing").reason.startswith("RuntimeError")


@pytest.mark.torch
def test_read_notices_pixels_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "torchvision", "timm"):
        pytest.importorskip(package)
    masks = readers.windows
    monkeypatch.setattr(readers, "windows", lambda *about: (
        (value, unit, ~mask) for value, unit, mask in masks(*about)))
    reading = readers.read("timm:test_resnet")
    assert reading.exact and not reading.seen and "sees other pixels" in reading.reason
