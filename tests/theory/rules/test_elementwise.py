"""Layers without a nonlinearity: exact truths."""

from __future__ import annotations

from helpers import ROUNDING, assert_close

import erfmath as em


def test_dropout_widens_power_only() -> None:
    net = em.serial(em.Conv(3), em.Dropout(0.2), em.Conv(3))
    plain = em.predict(em.serial(em.Conv(3), em.Conv(3)))
    assert_close(em.predict(net).map, plain.map / 0.8, ROUNDING)
