"""What a sweep shows of a node to its rule."""

from __future__ import annotations

import numpy as np
from helpers import EXACT, assert_close

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.rules.context import Above, Below
from erfmath.theory.sweep.forward import Gates, forward
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.plan import Graph, Plan

#: A convolution with stride, and its value and a gate of one site added up.
GATE = em.serial(em.GlobalAvgPool(), em.Conv(1, 4))
NET = em.serial(em.Conv(3, 4, stride=2), em.add(em.Identity(), GATE, name="sum"))


def ready() -> tuple[Plan, Gates]:
    graph = Graph.of(NET, RunSettings.of(NET, image=9, ndim=1))
    plan = Plan(graph, False)
    return plan, forward(graph, plan, InputModel())


def test_below_is_an_edge_from_a_node_to_its_input() -> None:
    plan, gates = ready()
    seen = {name: Below(plan, gates, edge, j) for j in (-1, 0, 2) for edge in plan.edges[j]
            for name in [(plan.graph.name(edge.reader), edge.slot)]}
    first, value, gate = seen["conv1", 0], seen["sum", 0], seen["sum", 1]
    assert (first.sizes, first.channels, first.layer, first.before) == ((9,), (3, 4), NET["conv1"].layer, ())
    assert (value.sizes, value.channels, value.gathers, value.before) == ((5,), (4, 4), False, ())
    assert (gate.sizes, gate.gathers, gate.before) == ((1,), True, (0,))
    assert first.op is plan.graph.ops[0] and first.owner.tolist() == [0]


def test_above_spreads_one_site_over_the_map() -> None:
    plan, gates = ready()
    values = {0: np.arange(5.0).reshape(1, 1, 1, 5), 2: np.full((1, 1, 1, 1), 7.0)}
    at = Above(plan, gates, 3, values)
    assert_close(at.spread(values[2], 1), np.full((1, 1, 1, 5), 7.0), EXACT)
    assert_close(at.summed(3, plan.graph.sources[3]), np.arange(7.0, 12).reshape(1, 1, 1, 5), EXACT)
