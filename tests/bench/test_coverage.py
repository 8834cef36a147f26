"""The benchmark of the readers: what it says without the frameworks, what it counts, and that it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from erfmath.bench import coverage
from erfmath.bench.readers import Reading

FOUND = {"timm:a": Reading("timm:a", 2.0, True, True, True, True, cpu=1.0, onnx=0.25),
         "timm:b": Reading("timm:b", 4.0, True, False, True, False, True, 2.0,
                           reason="no layer: attention; predict: no rule"),
         "timm:c": Reading("timm:c", 3.0, reason="unit (0, 4) of layer.1.conv sees other pixels"),
         "timm:d": Reading("timm:d", 3.0, reason="unit (1, 2) of out_3 sees other pixels")}


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four models without a framework; the list of those that are read."""
    read: list[str] = []
    monkeypatch.setattr(coverage.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(coverage, "names", lambda each: list(FOUND))
    monkeypatch.setattr(coverage, "apart", lambda name, seconds, memory, onnx: read.append(name) or FOUND[name])
    return read


def test_run_without_the_frameworks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage.importlib.util, "find_spec", lambda name: None if name == "timm" else object())
    table = coverage.run()
    assert table.notes == ("not installed: timm",) and table.rows[0][:2] == ("none", 0)


def test_run_counts_by_library_and_groups_what_is_refused(models: list[str]) -> None:
    table = coverage.run()
    assert table.rows == (("timm", 4, 2, 1, 2, 1, 1, "1 of 3", 3.0, 0.5, 0.25),)
    assert table.notes == ("2 x unit ... of ... sees other pixels: timm:c, timm:d", "1 x no layer: attention: timm:b",
                           "1 x predict: no rule: timm:b")


def test_run_goes_on_where_it_stopped(models: list[str], tmp_path: Path) -> None:
    file, steps = tmp_path / "readings.jsonl", []
    coverage.run(models=["timm:[ab]"], results=str(file))
    table = coverage.run(results=str(file), progress=lambda done, total: steps.append((done, total)))
    assert models == ["timm:a", "timm:b", "timm:c", "timm:d"] and steps == [(i, 4) for i in range(4)]
    assert table == coverage.run(results=str(file)) and len(models) == len(file.read_text().splitlines()) == 4
    with pytest.raises(ValueError, match=r"models=\['x'\]: no model of the list of 4 matches"):
        coverage.run(models=["x"])


@pytest.mark.torch
def test_names_are_models_of_both_libraries() -> None:
    for package in ("torch", "torchvision", "timm"):
        pytest.importorskip(package)
    names = coverage.names(1)
    assert {"torchvision:resnet18", "torchvision:regnet_y_128gf", "timm:poolformer_s12", "timm:vgg11"} <= set(names)
    assert len(names) == len(set(names)) and set(coverage.QUICK[:2]) <= set(names) < set(coverage.names(2))


@pytest.mark.torch
def test_apart_stops_what_takes_too_long() -> None:
    for package in ("torch", "torchvision", "timm"):
        pytest.importorskip(package)
    assert coverage.apart("torchvision:resnet18", 0.01, 8.0).reason == "took more than 0.01 s"
