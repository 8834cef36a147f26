"""Widths: the expected power has one size whatever the width, maps over their sums have not."""

from __future__ import annotations

import math

from figure_data import DESK
from helpers import ROUNDING, assert_close, assert_statistical

from erfmath.figures import Options, width


def test_compute_of_the_narrowest() -> None:
    """A single linear channel: the mean power has the size of wide networks, and no gradient is zero."""
    spec = {"case": "linear", "layers": 4, "width": 1, "maps": 3, "draws": 400, "seed": [0, 0, 1]}
    found = width.compute(spec, DESK)
    assert_close(found["theory_std"], math.sqrt(4 * 2 / 3), ROUNDING)
    assert_statistical(found["power"], found["power_error"], found["theory_std"])
    assert found["dead"] == 0


def test_parts_leave_out_the_single_relu() -> None:
    """Which is dead in every second layer."""
    assert not any(spec["case"] == "ReLU" and spec["width"] == 1 for spec in width.parts(Options()).values())
