"""Channels that are moved about and back."""

from __future__ import annotations

from typing import Any

import numpy as np

import erfmath as em
from erfmath.theory.rules.moved import unmoved


def there(j: int) -> bool:
    return True


def test_channels_that_are_back_in_their_order() -> None:
    origin: dict[int, Any] = {}
    sources, channels = [(-1,), (0,), (-1,), (0, 2), (2, 0)], [6, 6, 2, 8, 8, 6]
    assert unmoved(0, em.Shuffle(2), sources, channels, origin, 1, there) is None
    assert np.array_equal(origin[0], [[-1] * 6, [0, 3, 1, 4, 2, 5]])
    assert unmoved(1, em.Shuffle(3), sources, channels, origin, 1, there) == -1
    assert unmoved(2, em.Slice(1, 3), sources, channels, origin, 1, there) is None
    assert unmoved(3, em.Concat(), sources, channels, origin, 1, there) is None
    assert np.array_equal(origin[3][1], [0, 3, 1, 4, 2, 5, 1, 2])
    assert unmoved(4, em.Activation("relu"), sources, channels, origin, 1, there) is None and 4 not in origin


def test_parts_of_one_map_in_their_order() -> None:
    origin: dict[int, Any] = {}
    sources, channels = [(-1,), (-1,), (0, 1), (1, 0)], [2, 4, 6, 6, 6]
    for i, part in enumerate((em.Slice(0, 2), em.Slice(2, 6))):
        assert unmoved(i, part, sources, channels, origin, 1, there) is None
    assert unmoved(2, em.Concat(), sources, channels, origin, 1, there) == -1
    assert unmoved(3, em.Concat(), sources, channels, origin, 1, there) is None


def test_channels_that_another_node_has_in_this_order() -> None:
    origin: dict[int, Any] = {}
    sources, channels = [(-1,), (-1,), (0,), (2, 1)], [5, 1, 2, 3, 6]
    for i, part in enumerate((em.Slice(0, 5), em.Slice(2, 3), em.Slice(0, 2))):
        assert unmoved(i, part, sources, channels, origin, 1, there) is None
    assert unmoved(3, em.Concat(), sources, channels, origin, 1, there) is None
    sources, channels = [*sources, (-1,)], [5, 1, 2, 3, 3, 6]
    assert unmoved(4, em.Slice(0, 3), sources, channels, origin, 1, there) == 3
    assert unmoved(4, em.Slice(0, 3), sources, channels, origin, 1, lambda j: j != 3) is None
