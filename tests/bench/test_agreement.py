"""Agreement of both sides: chains of ones to rounding, and a theory of another network is found out."""

from __future__ import annotations

import pytest

import erfmath as em
from erfmath.bench import agreement


def test_maps_of_ones_differ_by_rounding() -> None:
    assert agreement._difference(5) < 1e-6  # measured in single precision


@pytest.mark.parametrize("profile, verdict", [([1, 1, 1], "yes"), ([3, 2, 3], "no")])
def test_cells_agree_with_the_same_network_only(profile: list, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = em.repeat(em.Conv(3, weights=em.Random(profile=profile)), 5)
    monkeypatch.setattr(agreement, "predict", lambda net, **about: em.predict(other, **about))
    cells = agreement._cells("5", em.repeat(em.Conv(3), 5), {}, {"draws": 600}, "exact", workers=1)
    assert cells[2] == 600 and cells[-1] == verdict
