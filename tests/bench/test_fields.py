"""ERFs of modules at their own initialisation: what is asked for, and one of a small module."""

from __future__ import annotations

from pathlib import Path

import pytest

from erfmath.bench import fields, readers


def test_run_without_the_frameworks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields.importlib.util, "find_spec", lambda name: None if name == "torch" else object())
    assert fields.run().notes == ("not installed: torch",)


def test_run_compares_each_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fields.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(fields, "field", lambda name, draws: (10.0, 10.0 + len(name), 0.1 * draws))
    done: list[tuple[int, int]] = []
    table = fields.run(models=("a", "bb"), draws=5, progress=lambda *step: done.append(step))
    assert table.rows == (("a", 10.0, 11.0, 0.5, pytest.approx(10)), ("bb", 10.0, 12.0, 0.5, pytest.approx(20)))
    assert done == [(0, 2), (1, 2)] and len(fields.run(quick=True).rows) == 1
    first = fields.run(models=("a",), results=str(tmp_path / "kept"))
    monkeypatch.setattr(fields, "field", lambda name, draws: (1.0, 1.0, 1.0))
    assert fields.run(models=("a", "bb"), results=str(tmp_path / "kept")).rows[:1] == first.rows
    assert len(set(fields.MODELS)) == 17


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:grads")  # the ERF reaches the borders
def test_field_of_a_small_module() -> None:
    for package in ("torch", "torchvision", "timm"):
        pytest.importorskip(package)
    predicted, sampled, error = readers.field("timm:test_resnet", image=64, draws=6)
    assert 0 < error < 0.1 * predicted and abs(sampled - predicted) < 5 * error + 0.02 * predicted
