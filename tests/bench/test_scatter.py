"""The benchmark of single networks' scatter."""

from __future__ import annotations

import numpy as np
import pytest

import erfmath as em
from erfmath.bench import scatter
from erfmath.empirics.measure import measure


def test_sampled_standard_deviations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a symmetric case, from single networks: sizes about the middle are roots of second moments."""
    case = scatter.Case("", lambda width: em.repeat(em.Conv(3), 2), 4, about={"ndim": 1})
    erf = measure(case.build(4), draws=40, rng=1, width=4, ndim=1)
    size, total = scatter.sampled(case, 40)
    table = erf.moments.table
    assert total == pytest.approx(np.log(table[:, 0]).std(ddof=1))
    x = erf.center[0] - erf.origin[0]
    about_the_middle = np.sqrt(table[:, 2] / table[:, 0] - 2 * x * table[:, 1] / table[:, 0] + x**2)
    assert size == pytest.approx(about_the_middle.std(ddof=1), rel=0.1)


def test_the_table() -> None:
    table = scatter.run(quick=True)
    (_, width, draws, theory, _, ratio, *_), = table.rows
    assert (width, draws) == (16, 30) and 0.6 < float(ratio) < 1.6
    assert theory == pytest.approx(em.scatter(em.repeat(em.serial(em.Conv(3), em.Activation("relu")), 10)).size)
    names = {case.name for case in scatter.CASES}
    assert set(scatter.NETWORKS) <= names and len(scatter.CASES) == 22 + 2 * len(scatter.NETWORKS)
