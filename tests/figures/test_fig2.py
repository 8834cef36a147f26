"""Figure 2: exact slopes, and the three protocols pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
from figure_data import DESK, QUICK
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.figures import Part, fig2


def test_fig2_exact_slopes() -> None:
    specs = fig2.parts(QUICK)
    data = {name: Part(specs[name], fig2.compute(specs[name], DESK), 0.0) for name in fig2.THEORIES}
    known = {"all ones": (0.496, -0.490), "random amplitude": (0.508, -0.478)}
    known_sizes = {"all ones": [8.31, 16.16, 50.92], "random amplitude": [10.44, 22.74, 71.95]}
    for name, slopes in known.items():
        part = data[name]
        fits = fig2.slopes(part["layers"], part["size"], None)
        assert tuple(round(fit.slope, 3) for fit in fits) == slopes
        sizes = dict(zip(part["layers"].tolist(), part["size"].round(2).tolist()))
        assert [sizes[n] for n in (5, 20, 200)] == known_sizes[name]


def test_fig2_protocols_against_brute_force() -> None:
    """The three ways to measure, pixel by pixel on the same maps."""
    spec = {"layers": 4, "draws": 9, "run": 3, "seed": 5}
    found = fig2.compute(spec, DESK)
    rng = np.random.default_rng(5)
    net = em.zoo.plain(4, weights=em.Random(gain=1.0))
    maps = [np.sqrt(em.measure(net, draws=1, width=1, channels_in=1, rng=rng).map) for _ in range(9)]
    level = 1 - 0.9545

    def size(values, reference):
        return math.sqrt(sum(value > level * reference for row in values.tolist() for value in row))

    runs = [sum(m / m.max() for m in maps[start:start + 3]) for start in (0, 3, 6)]
    assert_close(found["center"], [size(m, m[4, 4]) for m in maps], ROUNDING)
    assert_close(found["max"], [size(m, m.max()) for m in maps], ROUNDING)
    assert_close(found["run"], [size(m, m[4, 4]) for m in runs], ROUNDING)
