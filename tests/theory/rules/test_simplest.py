"""Networks in their simplest form."""

from __future__ import annotations

from typing import Any

import erfmath as em
from erfmath.theory.rules.simplest import simplest


def lists(net: em.Network, image: int) -> Any:
    return (list(net.names), list(net.layers), list(net.sources), [*net.shapes((image,)).values(), (image,)],
            [*net.channels(channels_in=2, ndim=1).values(), 2])


def test_what_is_left_and_where_the_source_is() -> None:
    """A pool of two parts is one in each, of which one is that of a larger window; what does nothing is gone."""
    pool, parts = em.MaxPool(3, 1, 1), em.concat(em.Conv(1, 4), em.serial(em.Conv(1, 4), em.MaxPool(3, 1, 1)))
    net = em.serial(em.Identity(), em.Conv(1, 3), parts, em.Scale(2.0), em.Scale(0.5), pool)
    names, layers, sources, sizes, channels = made = lists(net, 9)
    last = simplest(*made, net.index("conv1"), {})
    assert layers[last] == em.Conv(1, 3) and sources[last] == (-1,)
    assert sorted(layer.kind for layer in layers) == ["concat", *["conv"] * 3, *["max_pool"] * 3]
    assert len(names) == len(layers) == len(sizes) - 1 == len(channels) - 1


def test_nodes_that_stay() -> None:
    net = em.serial(em.Conv(1, 3), em.Scale(2.0), em.Scale(0.5))
    made = lists(net, 5)
    assert simplest(*made, -1, {}, frozenset(net.names)) == -1 and made[0] == list(net.names)
