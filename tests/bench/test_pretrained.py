"""The benchmark of pretrained networks: its inputs and its table, without the packages."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import erfmath as em
from erfmath.bench import pretrained


def test_run_without_the_packages_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    table = pretrained.run()
    assert not table.rows and all(name in table.notes[0] for name in pretrained.MODELS)
    assert pretrained.photographs(2, (8, 8), 0) is None


def test_photographs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from matplotlib.image import imsave
    (tmp_path / "data").mkdir()
    whole = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for name in pretrained.PHOTOGRAPHS:
        imsave(tmp_path / "data" / name, whole)
    monkeypatch.setattr(pretrained.importlib.util, "find_spec",
                        lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    crops = pretrained.photographs(6, (20, 30), 1)
    assert crops is not None and crops.shape == (6, 3, 20, 30)
    straight = np.moveaxis(whole, 2, 0)
    assert all(any(np.allclose(crop, one, atol=1e-3) for one in (straight, straight[..., ::-1])) for crop in crops)


def test_run_of_a_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One layer of 3x3 and a ReLU: the gate changes the size of a gradient, and not its shape."""
    net = em.serial(em.Conv(3, 2), em.Activation("relu"))
    weights = {"conv1": np.ones((2, 3, 3, 3))}
    monkeypatch.setattr(pretrained.Model, "path", tmp_path / "one.onnx")
    monkeypatch.setattr(pretrained.Model, "read", lambda self: (net, weights))
    monkeypatch.setattr(pretrained, "photographs", lambda count, shape, seed: np.full((count, 3, *shape), 200.0))
    table = pretrained.run(quick=True)
    assert table.rows[0][-1] == "1.00, 1.00" and not table.notes
    assert all(cell.startswith("0.816") for cell in table.rows[0][1:-1])     # the square root of 2 / 3
