"""Hypotheses on gates of trained networks: networks of the cases, and a run of two steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import EXACT, assert_close

import erfmath as em
from erfmath.figures import Desk, Options, gates


@pytest.mark.parametrize("kind, norms, sums", [("plain", 0, 0), ("norms", 5, 0), ("residual", 5, 4)])
def test_network_of_each_kind(kind: str, norms: int, sums: int) -> None:
    net = gates.network({"layers": 5, "channels": 3, "network": kind})
    ops = [node.layer.op for node in net]
    assert (ops.count("conv"), ops.count("batch_norm"), ops.count("add")) == (6, norms, sums)
    assert em.receptive_field(net).size == (11, 11)


def test_compute_measures_itself_without_error(tmp_path: Path) -> None:
    spec = {**gates.parts(Options(quick=True))["two pixels"], "layers": 2, "channels": 2, "size": 7, "reach": 1,
            "steps": 2, "batch": 2}
    found = gates.compute(spec, Desk(lambda done, total: None, tmp_path / "run.npz", {}))
    for when in ("before", "after"):
        assert_close([found[f"variation_measured_{when}"], found[f"total_measured_{when}"]], [0.0, 1.0], EXACT)
        assert 0 <= found[f"coherent_{when}"] <= 1
    maps = [found[f"map_{name}"] for name in gates.ROWS]
    for array in maps:  # of two layers 3x3, on the middle of 7x7 pixels
        assert array.shape == (5, 5) or not array[[0, -1]].any()
