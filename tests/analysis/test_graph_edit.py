"""Networks with a node changed, added or taken away."""

from __future__ import annotations

import erfmath as em
from erfmath.analysis.graph_edit import assembled, inserted, swapped, upto

BRANCH = em.serial(em.Conv(3, 4, name="b"), em.Activation("relu"))
NET = em.serial(em.Conv(3, 4, name="a"), em.residual(BRANCH, name="c"), em.Conv(3, 2, name="d"))


def test_assembled_from_its_nodes_is_the_network() -> None:
    assert assembled(NET.nodes, "d") == NET


def test_upto_leaves_out_what_is_not_read() -> None:
    assert upto(NET, "c") == em.serial(em.Conv(3, 4, name="a"), em.residual(BRANCH, name="c"))
    assert upto(NET, "b").names == ("a", "b") and upto(NET, None) == NET


def test_swapped_keeps_names_and_links() -> None:
    other = swapped(NET, {"b": em.Conv(5, 4)})
    assert other["b"].layer == em.Conv(5, 4) and other.names == NET.names and other.sources == NET.sources
    assert em.receptive_field(other).size == (9, 9)


def test_inserted_is_read_by_all_readers() -> None:
    """After a node that two read, before the network, and after its output; names that are taken get a number."""
    pool = em.serial(em.BlurPool(3, 1), em.Identity())
    longer = inserted(NET, {"a": pool, "input": em.Pad(1), "d": em.Activation("tanh")})
    assert {name: longer[name].inputs for name in ("a", "b", "c")} == {
        "a": ("input.pad1",), "b": ("a.identity1",), "c": ("a.identity1", "relu1")}
    assert longer["a.identity1"].inputs == ("a.blur_pool1",) and longer.output == "d.tanh1"
    taken = inserted(em.serial(em.Conv(3, name="a"), em.Identity("a.pad1")), {"a": em.Pad(1)})
    assert taken.names == ("a", "a.pad1_2", "a.pad1") and taken["a.pad1"].inputs == ("a.pad1_2",)
