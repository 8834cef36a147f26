"""Boxes of sites."""

from __future__ import annotations

from erfmath.layers.geometry import Box


def test_box() -> None:
    box, empty = Box((0, 2), (3, 4)), Box((5, 5), (4, 4))
    assert box.join(empty) == empty.join(box) == box and empty.empty and not box.empty
    assert box.join(Box((-1, 3), (0, 9))) == Box((-1, 2), (3, 9))
    assert box.within((3, 3)) == Box((0, 2), (2, 2))
    assert Box((-5, 0), (-3, 1)).within((4, 4)).empty and Box((7, 0), (9, 1)).within((4, 4)).empty
    assert box.pads(Box((-1, 3), (3, 6))) == [(1, 0), (-1, 2)]
    assert box.grown(5) == Box((-1, 1), (3, 5)) and box.grown(2) == box
