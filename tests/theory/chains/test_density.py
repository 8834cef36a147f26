"""The density of a walk: sizes, files, and numbers that are not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close
from walked_chains import NETWORKS, SKEWED, TILTED, every_network, swept, walked

import erfmath as em


@every_network
def test_sizes_of_walks_are_those_of_maps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erfmath.theory.chains.density._BLOCK", 1000)  # several blocks even on small maps
    net = NETWORKS[name]()
    walk, sweep = (find(net, monkeypatch) for find in (walked, swept))
    for kind, options in [("threshold", {"reference": "max"}), ("threshold", {"level": .3, "reference": "max"}),
                          ("std", {}), ("mass", {}), ("mass", {"p": .5}), ("participation", {}), ("area_ratio", {})]:
        assert_close(walk.size(kind, **options), sweep.size(kind, **options), ROUNDING)
    if max(np.abs(np.subtract(sweep.centroid, sweep.center))) < 1:  # else the centre lies far out
        assert_close(walk.size(), sweep.size(), EXACT)
        assert_close(walk.size("half_max"), sweep.size("half_max"), EXACT)
        assert_close(walk.ratio(), sweep.ratio(), ROUNDING)


def test_total_beyond_floats() -> None:
    erf = em.predict(em.repeat(em.Conv(3, weights=em.Random(gain=2, profile=TILTED.profile)), 2000))
    with pytest.raises(OverflowError, match="1386.29"):
        erf.crop(0, 0)
    assert erf.crop(0, 0, of="share").shape == (1, 1) and erf.size() > 0


def test_numbers_within_the_error_of_the_law_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The true centre of a skewed chain lies in the far tail, where only the largest values are known."""
    erf = em.predict(em.repeat(em.Conv(3, weights=SKEWED), 300))
    with pytest.raises(ValueError, match="reference='max'"):
        erf.size()
    assert erf.size(reference="max") > 0
    with pytest.raises(ValueError, match="level=2"):
        erf.size(level=2)
    with pytest.raises(ValueError, match="must be one of"):
        erf.size(reference="top")
    with pytest.raises(ValueError, match="p=0"):
        erf.size("mass", p=0)
    with pytest.raises(ValueError, match="not an option"):
        erf.size("mass", level=.5)


def test_saved_and_loaded(tmp_path: Any) -> None:
    erf = em.predict(em.repeat(em.Conv(3, weights=TILTED), 250))
    erf.save(tmp_path / "chain.npz")
    back = em.EffectiveReceptiveField.load(tmp_path / "chain.npz")
    assert_close(back.crop(-250, 250), erf.crop(-250, 250), EXACT)
    assert (back.trf, back.method, back.center) == (erf.trf, erf.method, erf.center)
    assert_close(back.std, erf.std, ROUNDING)
    assert not erf.share.flags.writeable and not erf.profile(0).flags.writeable and not erf.map.flags.writeable
