"""What branches share, as a band near the diagonal against the whole matrix over sites."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.memory import forget
from erfmath.theory.sweep import plan as plans
from erfmath.theory.sweep.plan import Graph, Plan
from erfmath.theory.sweep.ways import Span, patterns, span


def mixer(pool: em.Layer) -> em.Network:
    """x + pool(n(x)) - n(x), as in PoolFormer."""
    return em.residual(em.serial(em.LayerNorm(), em.residual(pool, em.Scale(-1.0))))


def mixers(count: int, pool: em.Layer) -> em.Network:
    return em.serial(em.Conv(3), em.repeat(em.serial(mixer(pool), em.residual(em.serial(em.LayerNorm(), em.Conv(1)))),
                                           count), em.Conv(3))


def planned(net: em.Network, **options: object) -> Plan:
    return Plan(Graph.of(net, RunSettings.of(net, **options)), mean=False)


SAME = em.AvgPool(3, 1, 1, count_include_pad=False)
#: Windows that lie to one side of what they are for.
ASIDE = em.AvgPool(3, 1, padding=(0, 2))
CASES = {"middle": (mixers(2, SAME), {"image": 9}), "corner": (mixers(2, SAME), {"image": (7, 10), "unit": 0}),
         "aside": (em.serial(em.Conv(3), em.residual(em.serial(em.LayerNorm(), ASIDE)), em.Conv(3)), {"image": 8}),
         "line": (mixers(3, em.AvgPool(5, 1, 2)), {"image": (12,)}), "plane": (mixers(2, SAME), {})}


@pytest.mark.parametrize("name", CASES)
def test_near_by_is_the_same_as_over_all_sites(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, options = CASES[name]
    near = em.predict(net, **options)
    reaches = planned(net, **options).near.values()
    assert reaches and None not in reaches
    monkeypatch.setattr(plans, "span", lambda *args: None)
    forget()
    far = em.predict(net, **options)
    assert_close(near.map, far.map, ROUNDING)


def pyramid() -> em.Network:
    """Two levels of a feature pyramid, each a sum of a map and the map times a gate that all its sites share."""
    gate = em.serial(em.GlobalAvgPool(), em.Conv(1), em.Activation("hardsigmoid"))
    level = em.residual(em.multiply(em.Identity(), gate))
    above = em.serial(em.Conv(3, stride=2, padding=1), level, em.Upsample(2, "nearest"))
    top = em.serial(em.Conv(3), level, em.Upsample(2, "nearest"))
    return em.serial(em.Conv(3), em.add(em.serial(em.Conv(1), level), above), top, em.Conv(3))


def test_branches_part_at_the_last_edge_that_all_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is followed down the pyramid to where it parts, and no further: few lags are carried."""
    net, options = pyramid(), {"image": (8,), "unit": 5}
    plan = planned(net, **options)
    assert None not in plan.near.values() and max(max(lags) for lags in plan.lags.values()) <= 1
    late = em.predict(net, **options)
    monkeypatch.setattr(Plan, "_late", lambda self, i, meetings: list(dict.fromkeys(meetings)))
    forget()
    assert None in planned(net, **options).near.values()
    early = em.predict(net, **options)
    assert_close(late.map, early.map, ROUNDING)


def test_ways_are_spans_of_windows() -> None:
    """A window of five about a site reaches two to either side; with a stride lattices differ."""
    for pool, expected in ((em.AvgPool(5, 1, 2), Span((-2,), (2,))), (ASIDE, Span((0,), (2,))),
                           (em.serial(em.AvgPool(4, 2, 1), em.Upsample(2)), None)):
        net = em.serial(em.Conv((3,)), em.residual(em.serial(em.LayerNorm(), pool)), em.Conv((3,)))
        plan = planned(net, image=(16,))
        (start, i), = plan.near
        assert plan.near[start, i] == span(plan.graph, plan.below, plan.begin(start), i, plan.above[i]) == expected


def test_patterns_have_every_site_once_and_apart() -> None:
    found = patterns((7, 4), Span((-1, 0), (1, 2)))
    assert found.shape == (9, 1, 7, 4) and (found.sum(axis=(0, 1)) == 1).all()
    for pattern in found[:, 0]:
        rows, columns = np.nonzero(pattern)
        assert all(abs(a - b) >= 3 or abs(c - d) >= 3 for a, c in zip(rows, columns) for b, d in zip(rows, columns)
                   if (a, c) != (b, d))


def test_streams_of_many_blocks_have_one_source_a_block() -> None:
    """Names of gradients do not double with every block: below a sum that all come through they are one."""
    plan = planned(mixers(12, SAME), image=8)
    assert len(plan.meetings) > 11 and max(map(len, plan.meetings.values())) <= 2 and len(plan.cuts) > 11
