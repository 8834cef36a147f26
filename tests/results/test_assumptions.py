"""Assumptions: those of the theory by name, those of a model in its words."""

from __future__ import annotations

from typing import Any

import pytest

from erfmath.results.assumptions import Assumption, Stated, as_stored, from_stored


def test_as_stored_and_back() -> None:
    held = [Assumption.INFINITE_WIDTH, Stated("STAND_IN", "a softmax as the identity"), Assumption.NEIGHBOURS]
    assert from_stored(as_stored(held)) == held
    assert as_stored(held)[0] == "INFINITE_WIDTH"


@pytest.mark.parametrize("value", ["MAGIC", ["one"], ["a", "b", "c"], 3])
def test_from_stored_refuses(value: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_stored([value])
