"""How often intervals hold the true value: 300 repeated ensembles of linear chains, whose ERFs are known exactly.

    python tests/results/test_coverage.py     # prints the tables of docs/empirics.md, in about five minutes
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import erfmath as em
from erfmath.comparison import Estimate
from erfmath.empirics.plan import make_plan
from erfmath.networks.settings import RunSettings
from erfmath.results.statistics import Moments

REPEATS, LEVELS = 300, (0.68, 0.95)
DRAWS, WIDTHS = (3, 10, 30, 100, 300), (2, 4, 8, 16)
LAYERS = (5, 20)


def coverage(width: int, layers: int) -> dict[int, dict[str, list[float]]]:
    """By number of draws and quantity, how often the intervals of each level hold the truth."""
    net = em.repeat(em.Conv(3, weights=em.Random(gain=1)), layers)
    truth = em.predict(net, ndim=1)
    plan = make_plan(net, RunSettings.of(net, ndim=1, width=width), statistic="power", entropy=width, normalise=False,
                     images=None, channel=None, batch=None, dtype=None)
    found: dict[int, dict[str, list[float]]] = {}
    maps = np.concatenate([plan.maps(a, a + 1000) for a in range(0, REPEATS * DRAWS[-1], 1000)])
    for draws in DRAWS:
        held = {"std": np.zeros(len(LEVELS)), "total": np.zeros(len(LEVELS))}
        for i in range(REPEATS):
            # Other draws for each repetition; of short ensembles as far apart as those of long ones.
            moments = Moments.of(maps[i * DRAWS[-1]:i * DRAWS[-1] + draws])
            std, error = moments.std()
            freedom = max(moments.effective - 1, 0.0)
            for name, value, stderr, true in (("std", std[0], error[0], truth.std[0]),
                                              ("total", moments.total, moments.total_stderr, truth.total)):
                for k, level in enumerate(LEVELS):
                    low, high = Estimate(float(value), float(stderr), freedom).interval(1 - level)
                    held[name][k] += low <= true <= high
        found[draws] = {name: list(counts / REPEATS) for name, counts in held.items()}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_intervals_hold_the_truth_as_often_as_they_say(width: int) -> None:
    """Within three standard errors of the level, or above it, short of what heavy tails of narrow networks take."""
    for draws, by_name in coverage(width, LAYERS[0]).items():
        for name, parts in by_name.items():
            for level, part in zip(LEVELS, parts):
                least = level - 3 * math.sqrt(level * (1 - level) / REPEATS) - 0.3 / width
                assert part >= least, (draws, name, level, part)


if __name__ == "__main__":
    for name in ("std", "total"):
        print(f"| {name}: width | layers | 3 draws | {' | '.join(map(str, DRAWS[1:]))} |")
        print("|---" * (2 + len(DRAWS)) + "|")
        for width in WIDTHS:
            for layers in LAYERS:
                cells = [" / ".join(f"{100 * part:.0f}" for part in found[name])
                         for found in coverage(width, layers).values()]
                print(f"| {width} | {layers} | {' | '.join(cells)} |", flush=True)
