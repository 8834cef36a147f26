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


@pytest.mark.parametrize("gates", ["independent", "layers"])
def test_weights_that_are_not_given_are_drawn(gates: str) -> None:
    """With all of them drawn it is the theory of random weights; the width of one given kernel is in the field."""
    net = em.repeat(em.serial(em.Conv(3, 8), em.Activation("relu")), 3)
    options: dict[str, Any] = {"channels_in": 2, "ndim": 1}
    theory = em.predict(net, **options)
    erf: Any = em.predict(net, gates=gates, draws=60, rng=0, **options)
    assert erf.networks == erf.draws == 60 and erf.stderr is not None
    assert abs(erf.std[0] - theory.std[0]) < 4 * erf.std_stderr[0] < 0.3 * theory.std[0]
    assert abs(erf.total - theory.total) < 4 * erf.total_stderr
    assert erf.coherent + sum(erf.contributions.values()) == pytest.approx(1)
    middle = np.zeros((8, 8, 3))
    middle[..., 1] = np.random.default_rng(0).normal(0, 0.5, (8, 8))      # does not widen: two kernels are left
    erf = em.predict(net, weights={"conv2": middle}, gates=gates, draws=60, rng=0, **options)
    assert abs(erf.std[0] - (2 * 2 / 3)**0.5) < 4 * erf.std_stderr[0]
    drawn, = (one for one in erf.assumptions if one.name == "WEIGHTS_DRAWN")
    assert drawn.nodes == ("conv1", "conv3")


def test_refusals() -> None:
    net = em.serial(em.Conv(3, 2), em.Activation("relu"), em.Conv(3, 2))
    weights = {"conv1": np.ones((2, 3, 3, 3)), "conv2": np.ones((2, 2, 3, 3))}
    with pytest.raises(ValueError, match="no array for conv1.bias;"):
        em.activities(em.serial(em.Conv(3, 2, bias=1.0)), {"conv1": np.ones((2, 3, 3, 3))}, np.zeros((2, 3, 5, 5)))
    with pytest.raises(ValueError, match="statistic='mean': conv2 have"):
        em.predict(net, weights={"conv1": weights["conv1"]}, gates="layers", statistic="mean")
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
