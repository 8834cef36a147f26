"""Entries by kind: one object a kind, and a clear word where there is none."""

from __future__ import annotations

import pytest

import erfmath as em
from erfmath.layers.registry import Registry


class Count:
    """Something that a side may know of a kind."""


def test_enter_makes_one_object_for_each_kind() -> None:
    registry: Registry[Count] = Registry("nothing is counted")
    assert registry.enter(em.Conv, em.MaxPool)(Count) is Count
    assert set(registry) == {"conv", "max_pool"}
    assert registry.of(em.Conv(3)) is registry.of(em.Conv(5)) is not registry.of(em.MaxPool(2))


def test_of_names_the_kind_that_has_no_entry() -> None:
    registry: Registry[Count] = Registry("nothing is counted")
    registry.enter(em.Conv)(Count)
    with pytest.raises(NotImplementedError, match="^max_pool: nothing is counted$"):
        registry.of(em.MaxPool(2))
