"""Networks in their simplest form."""

from __future__ import annotations

from helpers import REWRITE, assert_close

import erfmath as em
from erfmath.theory.rules.nodes import Lists
from erfmath.theory.rules.simplest import simplest


def lists(net: em.Network, image: int, source: int = -1) -> Lists:
    return Lists(list(net.names), list(net.layers), list(net.sources), [*net.shapes((image,)).values(), (image,)],
                 [*net.channels(channels_in=2, ndim=1).values(), 2], source)


def test_what_is_left_and_where_the_source_is() -> None:
    """A pool of two parts is one in each, of which one is that of a larger window; what does nothing is gone."""
    pool, parts = em.MaxPool(3, 1, 1), em.concat(em.Conv(1, 4), em.serial(em.Conv(1, 4), em.MaxPool(3, 1, 1)))
    net = em.serial(em.Identity(), em.Conv(1, 3), parts, em.Scale(2.0), em.Scale(0.5), pool)
    made = lists(net, 9, net.index("conv1"))
    simplest(made, {})
    assert made.layers[made.last] == em.Conv(1, 3) and made.sources[made.last] == (-1,)
    assert sorted(layer.kind for layer in made.layers) == ["concat", *["conv"] * 3, *["max_pool"] * 3]
    assert len(made.names) == len(made.layers) == len(made.sizes) - 1 == len(made.channels) - 1


def test_nodes_that_stay() -> None:
    net = em.serial(em.Conv(1, 3), em.Scale(2.0), em.Scale(0.5))
    made = lists(net, 5)
    simplest(made, {}, frozenset(net.names))
    assert made.last == -1 and made.names == list(net.names)


def test_a_factor_that_several_layers_read() -> None:
    """Is one for each of them, and goes before or after pools, of which two in a row are one."""
    conv, scale, pool, cut = em.Conv(3, 6), em.Scale(.74), em.MaxPool(2, 1), em.Slice(3, 6)
    end = em.concat(em.MaxPool(3, 1, 1), em.Identity())
    nets = [em.serial(conv, *way, cut, end) for way in ((scale, pool), (pool, scale))]
    assert_close(*[em.predict(net, ndim=1, channels_in=2).map for net in nets], REWRITE)
