"""What files say of themselves: taken as it is, or refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from erfmath.base.contents import field_of, numbers_of

ABOUT = {"layers": 3, "name": "x", "plain": True, "rate": 0.5}
ARRAYS = {"whole": np.array([[1, -2], [3, 4]], np.int8), "halves": np.array([0.5, np.inf], np.float32),
          "words": np.array(["a"]), "complex": np.array([1j]), "truth": np.array([True])}


def test_field_of_the_right_type() -> None:
    assert field_of(ABOUT, "layers", int) == 3 and field_of(ABOUT, "rate", (int, float)) == 0.5
    assert field_of(ABOUT, "plain", bool) is True and field_of(ABOUT, "plain") is True


@pytest.mark.parametrize("about, name, kind, message", [
    (ABOUT, "nothing", int, "nothing: is missing"), ([1], "layers", int, "layers: is missing"),
    (ABOUT, "name", int, "name='x': must be int"), (ABOUT, "plain", int, "plain=True: must be int"),
    (ABOUT, "name", (int, float), "name='x': must be int or float"),
])
def test_field_of_refuses(about: Any, name: str, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        field_of(about, name, kind)


def test_numbers_of_are_floats() -> None:
    values = numbers_of(ARRAYS, "whole", (2, 2))
    assert values.dtype == float and values.tolist() == [[1, -2], [3, 4]]
    assert numbers_of(ARRAYS, "halves", ndim=1, finite=False)[1] == np.inf


@pytest.mark.parametrize("name, how, message", [
    ("nothing", {}, "nothing: is missing"), ("words", {}, "must hold real numbers"),
    ("complex", {}, "must hold real numbers"), ("truth", {}, "must hold real numbers"),
    ("whole", {"shape": (4,)}, r"has shape \(2, 2\), must have shape \(4,\)"),
    ("whole", {"ndim": 1}, "must have 1 axes"), ("whole", {"signed": False}, "holds negative values"),
    ("halves", {}, "not finite"),
])
def test_numbers_of_refuses(name: str, how: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        numbers_of(ARRAYS, name, **how)
