"""The registry of rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

import erfmath as em
from erfmath.layers import base


def test_rule_of_an_unknown_kind_is_missed_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "KINDS", dict(base.KINDS))

    @dataclass(frozen=True)
    class Whirl(em.Identity):
        op: ClassVar[str] = "whirl"
    with pytest.raises(NotImplementedError, match="whirl"):
        em.measure(em.serial(Whirl()))
