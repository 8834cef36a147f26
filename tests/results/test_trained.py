"""The result of given weights through gates: what is coherent, what each gate adds, and both from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.results.trained import TrainedReceptiveField


def through(open_with: float) -> Any:
    """One site, one channel: a gate between weights 3 and 2."""
    net = em.serial(em.Conv(1, 1), em.Activation("relu"), em.Conv(1, 1))
    return em.predict(net, weights={"conv1": np.full((1, 1, 1), 3.0), "conv2": np.full((1, 1, 1), 2.0)},
                      gates={"relu1": open_with}, channels_in=1, ndim=1)


def test_coherent_and_contributions_by_hand() -> None:
    """E g^2 = 36 p, of which 36 p^2 is coherent."""
    erf = through(0.25)
    assert isinstance(erf, TrainedReceptiveField) and erf.gates == "by hand"
    assert_close([erf.total, erf.coherent_map.sum(), erf.coherent], [9.0, 36 / 16, 0.25], ROUNDING)
    assert_close(erf.contributions["relu1"], 0.75, ROUNDING)
    rows = dict(erf.table())
    assert rows["coherent"] == "25.0% of the power" and rows["fluctuations of"] == "relu1 75.0%"


def test_a_file_keeps_what_gates_do(in_tmp: Path) -> None:
    erf = through(0.5)
    erf.save("field.npz")
    again = em.EffectiveReceptiveField.load("field.npz")
    assert type(again) is type(erf) and (again.gates, again.contributions) == (erf.gates, erf.contributions)
    assert_close(again.coherent_map, erf.coherent_map, EXACT)
    assert not again.coherent_map.flags.writeable
