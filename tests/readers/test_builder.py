"""Nodes as they are put together: names, places, functions of one value, settled views."""

from __future__ import annotations

import pytest
from traces import converted, layers, step

import erfmath as em
from erfmath.readers.axes import BATCH, CHANNELS, whole
from erfmath.readers.builder import Builder, Place, Unsupported, View

LAYOUT = (whole(BATCH, 1), whole(CHANNELS, 4), whole(0, 8), whole(1, 6))


def test_emit_numbers_names_and_keeps_places() -> None:
    b = Builder(4, (8, 6), "module")
    first = b.emit(em.Activation("relu"), ["input"], "stem")
    second = b.emit(em.Conv(1, 5), [first], "stem", 5)
    third = b.emit(em.GlobalAvgPool(), [second], "", None, (1, 1))
    assert (first, second, third) == ("stem", "stem_2", "global_avg_pool")
    assert b.places[second] == Place(5, (8, 6)) and b.places[third] == Place(5, (1, 1))
    assert b.pooled == {third}


def test_spatial_brings_channels_and_axes_in_order() -> None:
    """Of a view that holds the second axis of space first."""
    b = Builder(4, (8, 6), "module")
    view, axes = b.spatial(View("input", (LAYOUT[0], LAYOUT[1], LAYOUT[3], LAYOUT[2])))
    assert view.node == "input" and list(axes) == [1, 0]
    with pytest.raises(Unsupported):
        b.spatial(View("input", (LAYOUT[2], LAYOUT[1], LAYOUT[0], LAYOUT[3])))


def test_functions_are_nodes_once_and_only_if_something_reads_them() -> None:
    """2 relu(3 x): two readers, one node each for the inner scale, the activation and the outer scale."""
    shape = (1, 4, 8, 8)
    found = converted(step("s", "binary", "x", 3.0, shape=shape, function="multiply"),
                      step("r", "unary", "s", shape=shape, function="tanh"),
                      step("t", "binary", "r", 2.0, shape=shape, function="multiply"),
                      step("p", "max_pool", "t", shape=shape, kernel=(3, 3), stride=(1, 1), padding=((1, 1), (1, 1))),
                      step("a", "binary", "t", "p", shape=shape, function="add"))
    assert layers(found)[:3] == [em.Scale(3.0), em.Activation("tanh"), em.Scale(2.0)]
    assert len(found.net) == 5 and found.net["a"].inputs[0] == found.net["p"].inputs[0]
