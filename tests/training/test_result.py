"""Runs that were saved."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from helpers import EXACT, assert_close
from training_tasks import residual_net, shapes_task

import erfmath as em
from erfmath import training

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
