"""A network with weights that several tests look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import erfmath as em


@pytest.fixture
def branched() -> tuple[em.Network, dict[str, Any]]:
    """Norms, a pool at a border, smooth and sharp functions, a residual branch, a concatenation, strides."""
    rng = np.random.default_rng(2)
    net = em.serial(em.Conv(3, 4, stride=2), em.BatchNorm(), em.Activation("relu"), em.MaxPool(3, 2, 1),
                    em.residual(em.serial(em.Conv(3, 4), em.BatchNorm(), em.Activation("silu"))),
                    em.concat(em.Conv(3, 2), em.Conv(1, 2)), em.Activation("tanh"), em.AvgPool(2),
                    em.Conv(2, 3, padding="valid"))
    kernels = {"conv1": (4, 2, 3, 3), "conv2": (4, 4, 3, 3), "conv3": (2, 4, 3, 3), "conv4": (2, 4, 1, 1),
               "conv5": (3, 4, 2, 2)}
    weights = {name: rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:])) for name, shape in kernels.items()}
    for name in ("batch_norm1", "batch_norm2"):
        weights[name] = np.stack([rng.uniform(0.5, 1.5, 4), rng.normal(0, 0.5, 4), np.zeros(4), np.ones(4)])
    return net, weights
