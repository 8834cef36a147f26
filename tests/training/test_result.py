"""Runs that were saved."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close
from training_tasks import residual_net, shapes_task

import erfmath as em
from erfmath import training
from erfmath.base.files import write_archive

pytestmark = pytest.mark.filterwarnings("error")


def test_load_reads_saved_runs(tmp_path: pathlib.Path) -> None:
    done = em.fit(residual_net(True), shapes_task(20), steps=2, batch=8, rng=0, keep=(0, 1))
    done.save(tmp_path / "run.npz")
    read = training.Training.load(tmp_path / "run.npz")
    assert (read.steps, read.seed, read.partial, sorted(read.kept)) == (2, 0, False, [0, 1])
    for name, array in done.kept[1].items():
        assert_close(read.kept[1][name], array, EXACT)
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ValueError, match="not a training run"):
        training.Training.load(tmp_path / "other.npz")


@pytest.mark.parametrize("name, array, about, told", [
    ("weights:conv1", np.full((1, 1, 1, 1), np.nan), {}, "conv1: holds values that are not finite"),
    ("weights:conv1", np.array(["a"]), {}, "conv1: is of <U1"), ("run:loss", np.zeros(3), {}, "3 and 1 steps"),
    ("run:loss", np.zeros((1, 1)), {}, "loss: has shape"), ("kept/9:conv1", np.zeros(1), {}, "kept: of step 9"),
    ("kept/x:conv1", np.zeros(1), {}, "invalid literal"), ("run:loss", np.zeros(1), {"steps": "2"}, "steps='2'"),
    ("run:loss", np.zeros(1), {"steps": -1}, "steps=-1"), ("run:loss", np.zeros(1), {"partial": 1}, "partial=1"),
    ("run:loss", np.zeros(1), {"seed": -3}, "seed=-3"), ("run:loss", np.zeros(1), {"seed": ["a"]}, "seed='a'"),
])
def test_load_checks_every_value(tmp_path: pathlib.Path, name: str, array: Any, about: dict[str, Any],
                                 told: str) -> None:
    path = tmp_path / "run.npz"
    arrays = {"weights:conv1": np.zeros((1, 1, 1, 1)), "run:loss": np.zeros(1), "run:accuracy": np.zeros(1)}
    write_archive(path, {**arrays, name: array}, {"steps": 2, "seed": 0, "partial": True, **about})
    with pytest.raises(ValueError, match=told) as caught:
        training.Training.load(path)
    assert str(path) in str(caught.value)
