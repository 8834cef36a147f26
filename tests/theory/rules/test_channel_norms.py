"""Global response norms as gates of channels, against closed forms."""

from __future__ import annotations

import math

import numpy as np
from helpers import Tolerance, assert_close

import erfmath as em


def test_gate_of_values_that_all_sites_share() -> None:
    """N = |z| over its mean: E[(1 + gamma N)^2] = 1 + 2 gamma + gamma^2 pi / 2."""
    gamma, mix = 0.5, em.Conv((1,), 8, weights=em.Random(gain=1))
    net = em.serial(mix, em.GRN(gamma=gamma), mix, em.Activation("relu"), em.Conv((1,), 8, weights=em.Random(gain=2)))
    erf = em.predict(net, image=(5,), input_moments=(1, 1))
    assert_close(erf.total, 1 + 2 * gamma + gamma**2 * math.pi / 2, Tolerance(0.005, 0.0))
    assert_close(erf.map, np.eye(5)[2] * erf.total, Tolerance(1e-9, 1e-12))
