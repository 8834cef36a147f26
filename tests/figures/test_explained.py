"""Networks that are followed while they train, by the hypotheses about gates."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.figures import base, explained, recipes
from erfmath.figures.base import Part


def spec_of_a_box_task() -> base.Spec:
    return recipes.spec("box", 3, steps=12, layers=2, size=9, radius=1, images=12)


def test_rows_are_measured_and_predicted(tmp_path: pathlib.Path) -> None:
    spec = spec_of_a_box_task()
    found = explained.CIFAR.compute(spec, base.Desk(lambda done, total: None, tmp_path / "run.npz", {}))
    run = recipes.run(spec, recipes.train_data(spec, {}))
    assert found["step"].tolist() == [0, 1, 4, 12]
    net, test = recipes.network(spec), recipes.test_data(spec, {}, recipes.train_data(spec, {}))
    images = test.inputs(slice(12))
    measured = em.measure(net, node="features", weights=run.weights, images=images, batch=1, draws=12, rng=3)
    layers: Any = em.predict(net, node="features", weights=run.weights, images=images, gates="layers", draws=12, rng=3)
    assert_close(found["std_measured"][-1], measured.std, ROUNDING)
    assert_close(found["std_layers"][-1], layers.std, ROUNDING)
    assert found["total_layers"][-1] == pytest.approx(layers.total / measured.total)
    assert found["coherent"][-1] == pytest.approx(layers.coherent)
    assert found["variation_measured"].max() == 0 and set(explained.ROWS) == {
        name.removeprefix("total_") for name in found if name.startswith("total_")}
    kept = np.load(tmp_path / "run.weights-12.npz")
    assert_close(kept["conv1"], run.weights["conv1"].astype(np.float32), EXACT)


def test_picture_and_numbers() -> None:
    """Of three seeds: means, and a standard error."""
    data = {}
    for group in explained.CIFAR.groups:
        for i in range(3):
            arrays = {"step": np.array([0, 5, 10]), "test_accuracy": np.array(0.5)}
            for k, name in enumerate(explained.ROWS):
                arrays |= {f"std_{name}": np.full((3, 2), 2.0 + 0.1 * k * (i + 1)), f"total_{name}": np.ones(3) + k,
                           f"variation_{name}": np.full(3, 0.1 * k)}
            data[f"{group}, seed {i}"] = Part({"steps": 10}, arrays, 0.0)
    quotes = {quote.what: quote for quote in explained.CIFAR.quotes(data)}
    taps = quotes["with batch norm, after 10 steps: std over measured, second moments per tap"]
    assert taps.value == pytest.approx(1.1) and taps.stderr == pytest.approx(0.05 / 3**0.5)
    assert "10 steps, test accuracy 50.0%" in explained.CIFAR.caption(data)
    assert len(explained.CIFAR.draw(data).axes) == 4


def test_parts(files: Any) -> None:
    parts = explained.CAMVID.parts(base.Options(files=files))
    assert list(parts) == ["with batch norm, seed 0", "without batch norm, seed 0"]
    assert all(part["steps"] == 300 and part["file"] == base.digest(files["camvid"]) for part in parts.values())
