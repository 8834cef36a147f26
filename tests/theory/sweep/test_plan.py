"""The network made ready, and what a sweep carries where."""

from __future__ import annotations

import pytest

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep.plan import Graph, Plan


def planned(net: em.Network, mean: bool = False, **options: object) -> Plan:
    return Plan(Graph.of(net, RunSettings.of(net, **options)), mean)


def test_graph_knows_the_numbers_of_a_run() -> None:
    net = em.serial(em.Conv(3, 8, stride=2), em.concat(em.Conv(3, 2), em.Conv(1, 6), name="c"), em.Conv(3))
    graph = Graph.of(net, RunSettings.of(net, image=(9, 7), width=5))
    assert graph.names == net.names and graph.sources == net.sources and graph.top == 4
    assert dict(zip((*graph.names, "input"), graph.sizes)) == {**net.shapes((9, 7)), "input": (9, 7)}
    assert graph.channels == (8, 2, 6, 8, 5, 3) and graph.groups[3] == (2, 6) and graph.shares(3) == [0.25, 0.75]
    assert graph.times(3, 1) == 1 and graph.name(-1) == "the input"


def test_plan_knows_where_branches_meet() -> None:
    """Only where nothing random lies between: gradients of a residual unit part at the sum and meet at its input."""
    fixed = em.serial(em.Conv(3, 4), em.residual(em.AvgPool(3, 1, 1, count_include_pad=False)), em.Conv(3, 4))
    random = em.serial(em.Conv(3, 4), em.residual(em.Conv(3, 4)), em.Conv(3, 4))
    meetings = planned(fixed).meetings
    assert list(meetings) == [0] and not planned(random).meetings
    assert {edge.reader for meeting in meetings[0] for edge, _ in (meeting.one, meeting.other)} == {1, 2}


@pytest.mark.parametrize("net, lags", [
    (em.serial(em.Conv(3), em.Conv(3)), 0), (em.serial(em.AvgPool(3, 1, 1), em.Conv(3)), 0),
    (em.serial(em.Conv(3), em.AvgPool(3, 1, 1), em.Conv(5)), 0),
    (em.serial(em.Conv(3), em.AvgPool(3, 1, 1), em.AvgPool(3, 1, 1), em.Conv(5)), 2),
])
def test_lags_are_those_that_something_below_asks_for(net: em.Network, lags: int) -> None:
    """A pool that reads a spread-out gradient sums over pairs; below random weights only lag 0 is left."""
    assert max(max(h) for h in planned(net, ndim=1).lags.values()) == lags


def test_gates_ask_for_a_forward_sweep() -> None:
    assert planned(em.serial(em.Conv(3), em.Activation("relu"), em.Conv(3))).gated
    assert not planned(em.serial(em.Conv(3), em.Activation("identity"), em.Conv(3))).gated


def test_readers_lead_to_the_top() -> None:
    """What has been merged away reads nothing."""
    net = em.serial(em.Conv(3, 4), em.add(em.Identity(), em.Scale(1.5), em.Scale(-1.5)), em.BatchNorm())
    graph = Graph.of(net, RunSettings.of(net, image=8))
    assert graph.readers[graph.names.index("conv1")] == 1
