"""What rules of the converter share."""

from __future__ import annotations

import numpy as np
import pytest
from traces import converted, step

import erfmath as em
from erfmath.readers import rules
from erfmath.readers.axes import BATCH, CHANNELS, whole
from erfmath.readers.builder import Builder, Unsupported, View


def test_rule_is_entered_for_every_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RULES", dict(rules.RULES))

    @rules.rule("one", "other")
    def both(b: object, r: object, x: object) -> object:
        return x

    assert rules.RULES["one"] is rules.RULES["other"] is both


def test_arranged_and_tidy() -> None:
    assert rules.arranged([3, 5], [2, 0], 3, 1) == (5, 1, 3)
    assert rules.tidy([(1, 1), (1, 1)]) == 1 and rules.tidy([(1, 0), (1, 1)]) == ((1, 0), (1, 1))


def test_through_finds_the_size_and_refuses_what_has_no_site() -> None:
    b = Builder(4, (8, 6), "module")
    view = View("input", (whole(BATCH, 1), whole(CHANNELS, 4), whole(0, 8), whole(1, 6)))
    name = rules.through(b, em.MaxPool((2, 3)), view, "pool")
    assert b.places[name].space == (4, 2)
    with pytest.raises(ValueError, match=r"pool: has no output site for its input of \(8, 6\)"):
        rules.through(b, em.Conv(9, padding=0), view, "pool")
    with pytest.raises(Unsupported, match="fixed matrix"):
        rules.fixed(b, view, np.broadcast_to(0.0, (3000, 3000)), "pool")


def test_an_operation_without_a_rule_is_refused_by_name() -> None:
    shape = (1, 4, 8, 8)
    with pytest.raises(NotImplementedError, match="1 x fold: b; nothing stands in"):
        converted(step("a", "unary", "x", shape=shape, function="relu"), step("b", "fold", "a", shape=shape))
