"""The benchmark of pretrained networks: its inputs and its table, without the packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.bench import pretrained


def test_run_without_the_packages_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    table = pretrained.run()
    assert not table.rows and all(name in table.notes[0] for name in pretrained.MODELS)
    assert pretrained.photographs(2, (8, 8), 0) is None


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


def test_inputs_of_tones() -> None:
    sounds: Any = pretrained.tones(3, 1024, 0)
    assert sounds.shape == (3, 1, 1024) and np.allclose(sounds.mean(axis=2), 0) and np.allclose(sounds.std(axis=2), 1)
    spectrum = np.abs(np.fft.rfft(sounds[:, 0]))**2
    below = spectrum[:, :3].sum(axis=1) / spectrum.sum(axis=1)               # less than 47 Hz
    assert (below < 0.1).all()
