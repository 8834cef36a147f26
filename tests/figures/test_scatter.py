"""Scatter of single networks: sampled against theory."""

from __future__ import annotations

import math

from figure_data import DESK
from helpers import ROUNDING, assert_close, assert_statistical

import erfmath as em
from erfmath.figures import Options, scatter


def test_network_of_each_kind() -> None:
    """Side of the TRF of n layers 3x3: 2n + 1, more with strides; with a convolution before the residual units."""
    sides = {kind: em.receptive_field(scatter.network({"kind": kind, "layers": 4})).size[0]
             for kind in {case["kind"] for case in scatter.CASES.values()}}
    assert sides == {"linear": 9, "relu": 9, "tanh": 9, "norms": 9, "strides": 1 + 2 * (1 + 2 + 2 + 4), "residual": 11}


def test_compute_scatters_as_theory_says() -> None:
    """Two linear layers of 16 channels, 150 networks: sizes and totals within their errors."""
    assert all(spec["draws"] <= 200 for spec in scatter.parts(Options()).values())
    found = scatter.compute({"kind": "linear", "image": None, "width": 16, "layers": 2, "draws": 150, "seed": 0}, DESK)
    assert_close(found["mean"], math.sqrt(2 * 2 / 3), ROUNDING)
    for name in ("size", "log_total"):
        assert_statistical(found[name], found[f"{name}_error"], found[f"theory_{name}"])
