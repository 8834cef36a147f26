"""Gradients whose power depends on the value that they meet: parts, each with what is known of it.

A part is a covariance and a table over the nodes of the source of its node's value: the second moment of the
gradient once it has passed all elementwise layers down to that source, given the source, over its mean (equation 45).
Where a random layer hands down a gradient nothing is known of the value that it meets, and what is known at its source
is the squared slope of the elementwise layers between.  Only where sources are made of others (sums, pools, filters,
dropout, batch norms of unequal channels) does a table change, and the power with it (equation 46).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Union

import numpy as np

from .covariance import Covariance
from .lowering import SAMPLE
from .plan import Edge
from .taps import Array
from .values import Known, Nodes, SiteValue, Source, Value

if TYPE_CHECKING:
    from .forward import Gates
    from .plan import Graph

#: Tables that vary by less say nothing of a value.
FLAT = 1e-9
#: Parts of a gradient from which on those whose tables are combinations of others, up to such an error, go with them.
MOST, NEGLIGIBLE = 30, 1e-13

__all__ = ["Conditioned", "Handed", "Knowns", "Told", "conditional", "conditioned_gain", "crossing",
           "entry", "handed", "spanned", "told"]


#: What is known after a passage, and what power and pairs of distant sites gain over independence.
Passed = tuple[Union[Known, None], float, float]


def passed(knowns: tuple[Known, ...], source: Source, part: int, below: Value) -> tuple[Passed, ...]:
    """From a source to the value number `part` that it was made of, and through that to its own source.

    Parameters
    ----------
    knowns : tuple of Known
        Of parts of one gradient, at `source`: those on the same nodes go together.
    source : Source
    part : int
    below : Value
        What the node before carries: the part itself, or what that was made of where layers between left no trace.

    Returns
    -------
    tuple
        For each of `knowns`; None is known where conditioning ends, at a Gaussian.  The same objects for the same
        arguments, as parts of which the same is known go together.
    """
    further, key = knowns[0].further, (knowns[1:], source, part, below)
    made: tuple[Passed, ...] | None = further.get(key)
    return further.setdefault(key, _passed(knowns, source, part, below)) if made is None else made


def _passed(knowns: tuple[Known, ...], source: Source, part: int, below: Value) -> tuple[Passed, ...]:
    found: dict[Known, Passed] = {}
    for same in {id(known.nodes): known.nodes for known in knowns}.values():
        these = [known for known in knowns if known.nodes is same]
        nodes, table = source.pull(part, same, np.concatenate([known.table for known in these]))
        there = source.parts[part]
        while there.source is not below.source and there.source.parts:
            nodes, table = there.source.pull(0, nodes, table)
            there = there.source.parts[0]
        onward, power, pairs = below.enter(nodes, table.reshape(len(these), 2, -1))
        for n, known in enumerate(these):
            found[known] = Known(nodes, onward[n]) if below.source.parts else None, float(power[n]), float(pairs[n])
    return tuple(found[known] for known in knowns)


#: What is known of a gradient, per channel group; None where nothing is.
Knowns = tuple[Union[Known, None], ...]


@dataclass(eq=False)
class Conditioned:
    """A gradient at a node, in uncorrelated parts that differ in what is known of them."""

    parts: tuple[tuple[Covariance, Knowns], ...]


def conditional(sites: Sequence[SiteValue]) -> bool:
    """Whether what is known of a gradient at a node with these values matters further down."""
    for site in sites:
        if site is not None and site.source.parts:
            return True
    return False


def entry(sites: Sequence[SiteValue]) -> Knowns:
    """What is known of a gradient that a random layer hands to a node with these values."""
    return tuple(site.entry if site is not None and site.source.parts else None for site in sites)


def spanned(knowns: Sequence[Knowns]) -> tuple[list[int], Array] | None:
    """Parts of whose tables all others are combinations, and the coefficients, shape (parts, chosen).

    Tables that have come down a stream of many blocks differ less with each.  None where there are few parts, or where
    they cannot be compared.
    """
    tables = [known[0] for known in knowns if len(known) == 1 and known[0] is not None]
    if len(knowns) < MOST or len(tables) < len(knowns) or any(known.nodes is not tables[0].nodes for known in tables):
        return None
    weighted = np.stack([known.table * np.sqrt(tables[0].nodes.p) for known in tables]).reshape(len(tables), -1)
    rest = weighted.copy()
    chosen: list[int] = []
    basis: list[Array] = []
    scale = np.sqrt(np.einsum("kn,kn->k", rest, rest))
    while True:
        left = np.sqrt(np.einsum("kn,kn->k", rest, rest)) / scale
        k = int(np.argmax(left))
        if left[k] < NEGLIGIBLE:
            break
        chosen.append(k)
        for _ in range(2):  # twice is enough
            for axis in basis:
                rest[k] -= (axis @ rest[k]) * axis
        basis.append(rest[k] / np.sqrt(rest[k] @ rest[k]))
        rest -= np.outer(rest @ basis[-1], basis[-1])
        rest[chosen] = 0.0
        if len(chosen) == len(tables):
            return None
    along = weighted @ np.stack(basis).T
    coefficients = np.linalg.solve(along[chosen].T, along.T).T
    coefficients[chosen] = np.eye(len(chosen))
    return chosen, coefficients


_ONE = np.ones(1)


class Handed(NamedTuple):
    """What is handed along an edge: per channel group of the reader, its part, and what power and pairs gain.

    Attributes
    ----------
    knowns : tuple
        What is known at the input, per channel group there.
    power, pairs : ndarray, shape (groups of the reader,)
        Factors on lag 0 and on all others; 0 for groups that are handed separately.
    """

    knowns: Knowns
    power: Array
    pairs: Array


def handed(graph: Graph, gates: Gates, edge: Edge, j: int, parts: Sequence[Knowns]) -> list[list[Handed]]:
    """From a node to its input `j`, for what is known of each part at its output; mostly one item for each."""
    what = edge.reader, edge.slot, j, *parts
    found = gates.handed.get(what)
    if found is None:
        found = gates.handed[what] = _handed(graph, gates, edge, j, parts)
    return found


def _handed(graph: Graph, gates: Gates, edge: Edge, j: int, parts: Sequence[Knowns]) -> list[list[Handed]]:
    i = edge.reader
    above, below, owner = gates.sites[i], gates.sites.get(j, (None,)), _owners(graph, edge, j)
    found: list[list[Passed]] = []  # per channel group, then per part
    if i not in gates.uncorrelated and (i, edge.slot) in gates.unfollowed and any(
            known is not None and np.ptp(known.table, axis=1).max() > FLAT for knowns in parts for known in knowns):
        raise NotImplementedError(f"{graph.name(i)}: adds what depends on one value in several ways, and gates "
                                  f"after it tell which part of it {graph.name(j)} is: {SAMPLE}")
    if any(len(knowns) != len(above) for knowns in parts):
        raise NotImplementedError(f"{graph.name(i)}: its channel groups differ from those read of it: {SAMPLE}")
    for g, site in enumerate(above):
        there = below[owner[g]] if owner[g] >= 0 else None
        found.append(_along(site, [knowns[g] for knowns in parts], there, gates.parts.get((i, g)), edge.slot))
    return [_apart([found[g][n] for g in range(len(above))], owner, len(below)) for n in range(len(parts))]


class Told(NamedTuple):
    """The mean derivative of a branch given the value at its end, over its mean, at nodes of the value's source."""

    value: Value
    nodes: Nodes
    table: Array


def told(graph: Graph, gates: Gates, edge: Edge, j: int, above: Told | None) -> tuple[Told | None, float]:
    """What the value at node `j` tells of a branch, of which that at the edge's reader tells `above`; what it gains.

    Of single channel groups; None where nothing is told.
    """
    i = edge.reader
    site, there, parts = gates.sites.get(i, (None,))[0], gates.sites.get(j, (None,))[0], gates.parts.get((i, 0))
    part = 0 if parts is None else parts.get(edge.slot, -1)
    if site is None or part < 0 or (i, edge.slot) in gates.unfollowed:
        return None, 1.0
    if there is not None and site.source is there.source:  # a function of each site
        nodes = above.nodes if above is not None else site.nodes
        ratio = _derivative(site, there, nodes.u)
        if ratio is None:
            return None, 1.0
        line, mean = ratio * (1.0 if above is None else above.table), float(nodes.p @ ratio)
        gained = float(nodes.p @ line)
        if not abs(mean) > FLAT or not abs(gained) > FLAT:
            return None, 1.0
        return _varying(there, nodes, line / gained), gained / mean
    if not site.source.parts:
        return None, 1.0
    value = site.source.parts[part]
    below_value = value if there is None else there
    nodes, line = (site.nodes, np.ones(len(site.nodes.u))) if above is None else (above.nodes, above.table)
    nodes, table = site.source.pull(part, nodes, np.stack([line, line]))
    while value.source is not below_value.source:
        if not value.source.parts:
            return None, 1.0
        nodes, table = value.source.pull(0, nodes, table)
        value = value.source.parts[0]
    mean = float(nodes.p @ table[1])
    return (_varying(below_value, nodes, table[1] / mean), mean) if abs(mean) > FLAT else (None, 1.0)


def _derivative(value: Value, below: Value, u: Array) -> Array | None:
    """Of one function of a source by another, which it is a function of; None where that cannot be told."""
    count = len(below.steps)
    if value.steps[:count] == below.steps:
        return Value.of(below.source, value.steps[count:]).slope(below.at(u))
    slope, under = value.slope(u), below.slope(u)
    ratio = slope[np.abs(under) > FLAT] / under[np.abs(under) > FLAT]  # factors in a row are one step
    return np.full(len(u), ratio[0]) if len(ratio) and np.ptp(ratio) < FLAT * abs(ratio[0]) else None


def _varying(value: Value, nodes: Nodes, table: Array) -> Told | None:
    return Told(value, nodes, table) if np.ptp(table) > FLAT else None


def _finer(one: Told, other: Told) -> bool:
    """Whether one of two has more nodes, or else, for them to have an order, a larger table."""
    return (len(one.nodes.u), float(one.table @ one.table)) > (len(other.nodes.u), float(other.table @ other.table))


def crossing(one: Told | None, other: Told | None) -> Passed:
    """What is known of the product of two branches that meet, at the source of the value there, and what it gains.

    Gains are of power and of pairs of distant sites.  Given the value, branches are taken as independent.
    """
    first, second = (one, other) if one is not None else (other, None)
    assert first is not None
    if second is not None and _finer(second, first):  # whichever comes first
        first, second = second, first
    nodes, also = first.nodes, np.ones(len(first.nodes.u))
    if second is not None:
        also = second.nodes.table_at(second.table, nodes.u)
    both = first.table * also
    mean = float(nodes.p @ both)
    tables, power, pairs = first.value.enter(nodes, np.stack([both / mean, (first.table + also) / 2])[None])
    known = Known(nodes, tables[0]) if first.value.source.parts else None
    return known, float(power[0]) * mean, math.sqrt(float(pairs[0]))


def _apart(found: Sequence[Passed], owner: Sequence[int], count: int) -> list[Handed]:
    """Items in each of which the same is known of all groups of the reader that are one group of the input."""
    if len(found) == count == 1:
        (known, gain, far), = found
        return [Handed((known,), _ONE if gain == 1 else np.array([gain]), _ONE if far == 1 else np.array([far]))]
    power, pairs = (np.array([one[n] for one in found]) for n in (1, 2))
    items: list[dict[int, Known | None]] = []
    which = np.zeros(len(found), int)
    for g, (known, _, _) in enumerate(found):
        if owner[g] < 0:
            continue
        which[g] = next((n for n, item in enumerate(items) if item.get(owner[g], known) is known), len(items))
        if which[g] == len(items):
            items.append({})
        items[which[g]][owner[g]] = known
    return [Handed(tuple(map(item.get, range(count))), power * (which == n), pairs * (which == n))
            for n, item in enumerate(items)]


def conditioned_gain(graph: Graph, gates: Gates) -> float:
    """Logarithm of what conditioning adds to the power that passes a chain of single layers (equation 46)."""
    total, knowns = 0.0, None
    for i in range(graph.top, -1, -1):
        sites = gates.sites.get(i, ())
        if not conditional(sites):
            knowns = None
            continue
        (one,), = handed(graph, gates, Edge(i, 0), graph.sources[i][0], [knowns or entry(sites)])
        knowns = one.knowns
        total += math.log(one.power[0]) if one.power[0] > 0 else -math.inf
    return total


def _owners(graph: Graph, edge: Edge, j: int) -> list[int]:
    """Channel group of node `j` to which each group of its reader belongs; -1 for those of other inputs."""
    return [int(k) for k in graph.owners[edge.reader][edge.slot][0]]


def _along(site: SiteValue, knowns: Sequence[Known | None], below: SiteValue, parts: dict[int, int] | None, slot: int
           ) -> list[Passed]:
    """What is known of each part at one group of the input, and what its power and its pairs gain."""
    part = 0 if parts is None else parts.get(slot, -1)
    if (site is None and below is None) or part < 0:
        return [(None, 1.0, 1.0)] * len(knowns)
    if below is None:  # a Gaussian, which only what is made of it knows as a value
        assert site is not None
        if not site.source.parts:
            return [(None, 1.0, 1.0)] * len(knowns)
        below = site.source.parts[part]
    fresh = below.entry if below.source.parts else None, 1.0, 1.0
    if site is None:
        return [fresh] * len(knowns)
    if site.source is below.source:
        return [(known, 1.0, 1.0) for known in knowns]
    known = tuple(known for known in knowns if known is not None)
    gone = iter(passed(known, site.source, part, below) if known else ())
    return [fresh if known is None else next(gone) for known in knowns]
