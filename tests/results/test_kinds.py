"""Kinds of results by name."""

from __future__ import annotations

import pytest

import erfmath as em
from erfmath.results import kinds


def test_enter_keeps_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "KINDS", dict(kinds.KINDS))

    @kinds.enter("rumour")
    class Rumour:
        pass

    assert kinds.KINDS["rumour"] is Rumour and Rumour.__name__ == "Rumour"


def test_every_result_is_entered() -> None:
    net = em.repeat(em.Conv(3), 2)
    assert {type(em.predict(net)), type(em.measure(net, draws=3, rng=0))} <= set(kinds.KINDS.values())
