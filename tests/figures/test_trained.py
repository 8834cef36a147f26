"""What is measured of a run while it is trained."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath import training
from erfmath.figures import base, recipes
from erfmath.figures.trained import _shuffled, follow


def test_shuffled_keeps_each_kernel() -> None:
    rng = np.random.default_rng(0)
    weights = {"a": rng.standard_normal((4, 3, 3, 3)), "a.bias": rng.standard_normal(4),
               "n": rng.standard_normal((4, 4))}
    mixed = _shuffled(weights, rng)
    assert_close(np.sort(mixed["a"].reshape(12, 9), axis=0), np.sort(weights["a"].reshape(12, 9), axis=0), EXACT)
    by_bias = {bias: np.sort(kernel, axis=None) for bias, kernel in zip(weights["a.bias"].tolist(), weights["a"])}
    for bias, kernel in zip(mixed["a.bias"].tolist(), mixed["a"]):
        assert_close(np.sort(kernel, axis=None), by_bias[bias], EXACT)
    assert_close(mixed["n"], weights["n"], EXACT)
    assert not np.array_equal(mixed["a"], weights["a"])


def test_follow_measures_the_snapshots(tmp_path: pathlib.Path) -> None:
    spec = recipes.spec("box", 3, steps=4, layers=2, size=9, radius=1, images=12)
    found = follow(spec, base.Desk(lambda done, total: None, tmp_path / "run.npz", {}))
    run = recipes.run(spec, recipes.train_data(spec, {}))
    assert sorted(run.kept) == found["step"].tolist() and run.steps == 4
    task = training.BoxMajority(9, 1)
    inputs, _ = task.batch(0, 12, [3, recipes.TEST])
    net = recipes.network(spec)
    erf = em.measure(net, node="features", weights=run.weights, images=inputs, batch=1, draws=12, rng=3)
    assert_close(found["std"][-1], erf.size("std"), ROUNDING)
    assert_close(found["map_after"], erf.share.astype(np.float32), EXACT)


def test_follow_refuses_a_run_that_diverged(tmp_path: pathlib.Path) -> None:
    spec = recipes.spec("box", 3, steps=8, layers=2, size=9, radius=1, images=12, rate=1e30)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="not finite"):
        follow(spec, base.Desk(lambda done, total: None, tmp_path / "run.npz", {}))
