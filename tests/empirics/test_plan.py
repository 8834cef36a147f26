"""The work of one chunk of draws: its memory, and draws that are dead."""

from __future__ import annotations

import math
import sys
import tracemalloc
from typing import Any

import pytest

import erfmath as em
from erfmath.empirics import convolution, plan
from erfmath.networks.settings import RunSettings

C, A = em.Conv, em.Activation


def test_measure_counts_dead_draws() -> None:
    erf = em.measure(em.repeat(em.serial(C(3), A("relu")), 20), width=1, draws=60, rng=0)
    assert 0 < erf.dead < 60
    assert erf.dead == (erf.moments.table[:, 0] == 0).sum()


MEMORY: dict[str, tuple[em.Network, dict[str, Any]]] = {
    "on the plane": (em.repeat(em.serial(C(3), A("relu")), 20), {}),
    "linear": (em.repeat(C(3), 20), {}),
    "on an image": (em.repeat(em.serial(C(3), A("relu")), 20), {"image": (41, 41)}),
    "batch norm": (em.serial(C(3), em.BatchNorm(), A("relu"), em.MaxPool(3, 2, 1), C(3)), {"image": (32, 32)}),
}


@pytest.mark.parametrize("name", MEMORY)
def test_make_plan_bounds_the_peak_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Besides the weights no more than three times the largest activation of the draws worked on together.

    Until Python 3.11 a caller holds the arguments of a call until it returns: one array more.
    """
    for module, constant in ((plan, "CHUNK_BYTES"), (convolution, "TILE_BYTES")):
        monkeypatch.setattr(module, constant, getattr(module, constant) // 16)
    net, options = MEMORY[name]
    image = options.get("image")
    work = plan.make_plan(net, RunSettings.of(net, image=image, width=8), statistic="power", entropy=0,
                          normalise=False, images=None, channel=None, batch=None, dtype=None)
    largest = max(math.prod(step.forward.out.shape) for step in work.program.steps.values())
    largest *= 4 * work.chunk * 8 * max(work.recipe.inputs[1], 1)
    weights = 4 * work.chunk * sum(math.prod(p.shape) for p in work.recipe.drawn.values())
    tracemalloc.start()
    try:
        work.moments(plan.Chunk(0, (work.chunk,)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert plan.CHUNK_BYTES / 2 < largest <= plan.CHUNK_BYTES
    assert peak - weights < (3 if sys.version_info >= (3, 11) else 4) * largest
