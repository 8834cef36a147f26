"""Nodes while a network is rewired."""

from __future__ import annotations

import erfmath as em
from erfmath.theory.rules.nodes import Lists, Nodes


def nodes(net: em.Network, last: int = -1, steady: frozenset[str] = frozenset()) -> Nodes:
    count = len(net)
    return Nodes(Lists(list(net.names), list(net.layers), list(net.sources), [(None,)] * (count + 1), [4] * (count + 1),
                       last), steady)


def test_readers_are_counted() -> None:
    """What a node that nobody reads any more has read alone is read by nobody, either."""
    net = em.serial(em.Conv(1, name="a"), em.add(em.serial(em.Conv(1, name="b"), em.Conv(1, name="c")), em.Identity()))
    here = nodes(net)
    a, b, c, top = (net.index(name) for name in ("a", "b", "c", net.output))
    assert [here.readers[i] for i in (-1, a, b, c)] == [1, 2, 1, 1]
    before = here.sources[top]
    here._put(top, em.Scale(2.0), (a,))
    assert [here.readers[i] for i in (-1, a, b, c)] == [1, 1, 0, 0]
    here._put(top, em.Add(), before)
    assert [here.readers[i] for i in (-1, a, b, c)] == [1, 2, 1, 1]


def test_nodes_that_change_places() -> None:
    net = em.serial(em.Conv(1, name="a"), em.Scale(2.0, name="s"), em.Activation("relu", name="r"))
    here = nodes(net)
    here._move_up(2, 1, (0,), (None,), 4)
    assert [layer.kind for layer in here.layers] == ["conv", "relu", "scale"] and here.names == ["a", "r", "s"]
    assert here.sources == [(-1,), (0,), (1,)] and here.readers[:2] == [1, 1]


def test_which_may_be_changed() -> None:
    net = em.serial(em.Conv(1, name="a"), em.Conv(1, name="b"), em.add(em.Identity(), em.Conv(1, name="c")))
    here = nodes(net, 0, frozenset(("c",)))
    assert [here._inner(net.index(name)) for name in "abc"] == [False, True, False]
    assert not here._own(net.index("b")) and not here._own(net.index("c"))


def test_the_last_node_only_hands_on() -> None:
    here = nodes(em.serial(em.Conv(1), em.Scale(1.0), em.Scale(1.0)))
    here._hand_on(1, 0)
    here._look_up(2)
    assert here.sources[2] == (0,) and here.readers[:2] == [1, 0]
    here._hand_on(2, 0)
    assert here.layers[2] == em.Identity() and here.readers[0] == 1
