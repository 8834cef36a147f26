"""Fields through gates: kept in files, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close

import erfmath as em


def test_results_are_kept(branched: Any, in_tmp: Path) -> None:
    net, weights = branched
    for gates in ("independent", "layers"):
        erf: Any = em.predict(net, weights=weights, image=21, channels_in=2, gates=gates, draws=12, rng=0)
        erf.save("field.npz")
        for other in (em.EffectiveReceptiveField.load("field.npz"), pickle.loads(pickle.dumps(erf))):
            assert type(other) is type(erf) and str(other) == str(erf) and not other.coherent_map.flags.writeable
            assert_close(other.map, erf.map, EXACT)
            assert other.contributions == erf.contributions and other.coherent == erf.coherent
        assert "of the power" in str(erf) and "<img" in erf._repr_html_()
        assert "one network" not in str(erf)


def test_refusals() -> None:
    net = em.serial(em.Conv(3, 2), em.Activation("relu"), em.Conv(3, 2))
    weights = {"conv1": np.ones((2, 3, 3, 3)), "conv2": np.ones((2, 2, 3, 3))}
    with pytest.raises(ValueError, match="no array for conv1.bias;"):
        em.predict(em.serial(em.Conv(3, 2, bias=1.0)), weights={"conv1": np.ones((2, 3, 3, 3))}, gates="layers")
    with pytest.raises(ValueError, match="no array for conv2"):
        em.predict(net, weights={"conv1": weights["conv1"]}, gates="layers")
    with pytest.raises(ValueError, match="too few"):
        em.predict(net, weights=weights, gates="layers", images=np.zeros((1, 3, 9, 9)))
    with pytest.raises(ValueError, match="gates='sites'"):
        em.predict(net, weights=weights, gates="sites")
    with pytest.raises(ValueError, match="method='normal'"):
        em.predict(net, weights=weights, gates="layers", method="normal")
    winners = em.serial(em.Conv(1, 2), em.multiply(em.MaxPool(3, 1, 1), em.Identity()))
    with pytest.raises(NotImplementedError, match="multiply1.*layers"):
        em.predict(winners, weights={"conv1": np.ones((2, 3, 1, 1))}, gates="independent")
    with pytest.raises(ValueError, match="statistic='amplitude'"):
        em.predict(net, weights=weights, gates="layers", statistic="amplitude")
