"""Sampled sizes and their standard errors; interruptions are raised, never kept."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from figure_data import DESK, Interruption
from helpers import ROUNDING, assert_close, assert_statistical

import erfmath as em
from erfmath import figures
from erfmath.figures.sampling import SIZES, keep, measured


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_measured_raises_an_interruption(calls: int) -> None:
    """Where `measure` would hand back what is done: a part has all its draws or is not kept."""
    with pytest.raises(KeyboardInterrupt):
        measured(em.zoo.plain(4), {"draws": 300, "seed": 0, "width": 4}, DESK._replace(progress=Interruption(calls)))


def test_measure_is_called_in_one_place_and_fit_where_interruptions_are_raised() -> None:
    """Everything else goes through what raises interruptions."""
    for path in Path(figures.__file__).parent.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert path.name == "sampling.py" or not re.search(r"empirics(\.measure)? import (measure|_)", source), path
        assert not re.search(r"(?<!finished\()training\.fit\(", source), path


def test_jackknife_is_the_scatter() -> None:
    """Over many seeds, the variance of each size is the mean of the squared errors given with it."""
    net, seeds = em.zoo.plain(6), 30
    found = [measured(net, {"draws": 50, "seed": seed, "width": 4}, DESK) for seed in range(seeds)]
    for name in SIZES:
        spread = np.var([float(f[name]) for f in found], ddof=1)
        told = np.mean([float(f[f"{name}_error"])**2 for f in found])
        # relative variances of both: 2 / degrees of freedom, 24 in each jackknife
        assert_statistical(np.log(told / spread), np.sqrt(2 / (seeds - 1) + 2 / (24 * seeds)), 0.0)


def test_measured_without_randomness_has_no_error() -> None:
    net = em.zoo.plain(4, weights=em.Constant())
    found = measured(net, {"draws": 5, "seed": 0, "width": 16}, DESK)
    assert found["std_error"] == found["width_error"] == 0
    assert_close(found["std"], np.sqrt(4 * 2 / 3), ROUNDING)


def test_weights_are_kept_beside_a_part(in_tmp: Path) -> None:
    desk = DESK._replace(scratch=in_tmp / "part.scratch.npz")
    path = keep(desk, {"conv1": np.full((1, 1, 1), 2.0)}, "after")
    assert path == in_tmp / "part.weights-after.npz"
    with np.load(path) as kept:
        assert em.measure(em.serial(em.Conv(1, 1)), weights=dict(kept), channels_in=1, ndim=1, channel=0).total == 4
