"""Where no border acts: one gradient for each channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, assert_close

import erfmath as em
from erfmath.trained import independent


def test_where_no_border_acts_gradients_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """One gradient a channel, instead of one a channel and site: strides, pools that overlap, a residual branch."""
    rng = np.random.default_rng(6)
    net = em.serial(em.Conv(3, 3, stride=2), em.Activation("relu"), em.MaxPool(3, 2, 1),
                    em.residual(em.serial(em.Conv(3, 3), em.Activation("silu"))), em.Conv(3, 2))
    about: Any = {"weights": {name: rng.standard_normal(shape) for name, shape in {
        "conv1": (3, 2, 3), "conv2": (3, 3, 3), "conv3": (2, 3, 3)}.items()}, "channels_in": 2, "ndim": 1, "gates": {
            "relu1": rng.uniform(0.2, 0.8, 3), "max_pool1": rng.dirichlet(np.ones(3), 3), "silu1": np.array(
                [[0.5, 0.4, 0.6], [0.4, 0.5, 0.5]])}}
    single: Any = em.predict(net, **about)
    inside, corner = (em.predict(net, image=64, unit=unit, **about) for unit in (8, 0))
    monkeypatch.setattr(independent, "EXACT_COLUMNS", 0)
    for kept, place in ((single, {}), (inside, {"image": 64, "unit": 8})):
        found: Any = em.predict(net, **place, **about)
        assert found.stderr is None
        assert_close(found.map, kept.map, REWRITE)
        assert_close(list(found.contributions.values()), list(getattr(kept, "contributions").values()), REWRITE)
    assert corner.stderr is None and em.predict(net, image=64, unit=0, **about).stderr is not None
