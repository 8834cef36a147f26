"""Objects against sums of pixels; tiles against networks that are run on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import FFT, ROUNDING, assert_close

import erfmath as em

Conv, Relu = em.Conv, em.Activation("relu")
CHAIN = em.repeat(Conv(3), 6)


@pytest.mark.parametrize("options", [{}, {"image": (15, 12), "unit": (1, 5)}])
@pytest.mark.parametrize("net", [CHAIN, em.serial(Conv(3), Relu, em.residual(Conv(3, 16)), em.Upsample(2)),
                                 em.serial(Conv((7, 3, 5)), Conv((5, 3, 1)))], ids=("chain", "decoder", "volume"))
def test_share_inside_is_a_sum_over_pixels(net: em.Network, options: dict[str, Any]) -> None:
    """Of odd sides about a centre on a pixel; any side by the parts of pixels that lie inside."""
    if net.ndim == 3 and options:
        options = {"image": (9, 8, 7), "unit": (1, 5, 2)}
    erf = em.predict(net, channels_in=16, **options)
    sides = (1, 4.5)
    seen = em.coverage(net, sides, channels_in=16, **options)
    for side, share in zip(sides, seen.share):
        total = 0.0
        for place in np.ndindex(*erf.shape):
            x = np.array(place) + erf.origin
            part = [max(0.0, min(a + 0.5, c + side / 2) - max(a - 0.5, c - side / 2)) for a, c in zip(x, erf.center)]
            total += erf.share[place] * np.prod(part)
        assert_close(share, total, ROUNDING)


def test_the_smallest_object_seen_whole() -> None:
    for p in (0.5, 0.95):
        seen = em.coverage(CHAIN, 3, p=p)
        assert_close(em.coverage(CHAIN, seen.whole).share[0], p, FFT, scale=1e6)
        assert em.predict(CHAIN).size("mass", p=p) - 2 < seen.whole <= em.predict(CHAIN).size("mass", p=p)
    assert em.coverage(em.serial(Conv(1)), 1).whole < 1


@pytest.mark.parametrize("size", (0, -1, (), "5", (3, 0)))
def test_sizes_that_are_none(size: Any) -> None:
    with pytest.raises(ValueError, match="object_size"):
        em.coverage(CHAIN, size)


def test_p_between_0_and_1() -> None:
    with pytest.raises(ValueError, match="p=1"):
        em.coverage(CHAIN, 3, p=1.0)
