"""Sums of sums as one sum, and nodes for the functions that some terms of a sum are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...layers import Identity, Layer, Scale
from .copied import repeats
from .nodes import Lists, Nodes
from .single import scale
from .traits import filters, like, linear, spreads

__all__ = ["PLACE", "flattened", "with_places"]

Term = tuple[int, float]  #: a node, and how often a sum has it

#: A node that nothing reads, before a sum: where a function of some of its terms may go.
PLACE = Identity("place of a function")


def flattened(nodes: Nodes) -> bool:
    """Let sums read the terms of sums that they alone read, times factors between, and one filter of terms of the same.

    Parameters
    ----------
    nodes : Nodes
        Their lists are changed, of which they know nothing then.

    Returns
    -------
    bool
        Whether there is anything of this.
    """
    layers, sources, sizes, channels = nodes.layers, nodes.sources, nodes.sizes, nodes.channels
    sums = [i for i, layer in enumerate(layers) if layer.sums and i > nodes.last and len(sources[i]) > 1]
    if len(sums) < 2 and not any(len(sources[i]) > 2 for i in sums):
        return False
    own = nodes._own

    def bare(j: int) -> Term:
        """What a term is a multiple of, and by what."""
        factor = 1.0
        while own(j) and isinstance(layers[j], Scale):
            factor, j = factor * layers[j].factor, sources[j][0]  # type: ignore[attr-defined]
        return j, factor

    def is_sum(k: int, like: int) -> bool:
        """Whether a node is a sum of terms of the size of node `like`."""
        return own(k) and layers[k].sums and len(sources[k]) > 1 and all(
            (sizes[n], channels[n]) == (sizes[like], channels[like]) for n in (k, *sources[k]))

    flat: dict[int, list[list[Term]]] = {}
    gone: set[int] = set()
    for i in reversed(sums):  # the last sum of sums reads the terms of all of them
        if i in gone or nodes.names[i] in nodes.steady or not (nodes.readers[i] or i == nodes.top):
            continue
        waiting, terms = [(j, 1.0) for j in reversed(sources[i])], []
        while waiting:
            j, factor = waiting.pop()
            inner, times_inner = bare(j)
            if not is_sum(inner, i) or scale(factor * times_inner) is None:
                terms.append((j, factor))
                continue
            gone.add(inner)
            waiting += [(k, factor * times_inner) for k in reversed(sources[inner])]
        groups = _of_one_filter(terms, bare, own, layers, sources, sizes, channels)
        if tuple(j for j, _ in terms) != sources[i] or len(groups) < len(terms):
            flat[i] = groups
    if not flat:
        return False
    more = {i: sum(len(group) + 3 if len(group) > 1 else group[0][1] != 1 for group in groups)
            for i, groups in flat.items()}
    where = _insert(more, nodes.lists)
    before = list(layers), list(sources)
    for i, groups in flat.items():
        place, inputs = where[i] - more[i], []

        def put(layer: Layer, read: tuple[int, ...], like: int) -> int:
            nonlocal place
            layers[place], sources[place], sizes[place], channels[place] = layer, read, sizes[like], channels[like]
            place += 1
            return place - 1

        def times(j: int, factor: float) -> int:
            return j if factor == 1 else put(scale(factor) or layers[j], (j,), j)

        for group in groups:
            first, most = where[group[0][0]], max((factor for _, factor in group), key=abs)
            if len(group) == 1:
                inputs.append(times(first, most))
                continue
            below = [before[1][where[j]][0] for j, _ in group]
            joint = put(layers[where[i]], tuple(times(j, f / most) for j, (_, f) in zip(below, group)), below[0])
            inputs.append(times(put(before[0][first], (joint,), first), most))
        sources[where[i]] = tuple(inputs)
    return True


def _of_one_filter(terms: list[Term], bare: Callable[[int], Term], own: Callable[[int], bool], layers: list[Layer],
                   sources: list[tuple[int, ...]], sizes: list[Any], channels: list[int]) -> list[list[Term]]:
    """Terms that one filter, or the like, makes of maps of one size together, unless all are; each other by itself."""
    groups: list[list[Term]] = []
    for term in terms:
        j, factor = bare(term[0])
        if own(j) and len(sources[j]) == 1 and _may_come_after(layers[j], len(sizes[-1])):
            term, k = (j, factor * term[1]), sources[j][0]
            for group in groups:
                first, = sources[group[0][0]][:1]
                if own(group[0][0]) and like(layers[j], layers[group[0][0]]) and (
                        sizes[k], channels[k]) == (sizes[first], channels[first]):
                    group.append(term)
                    break
            else:
                groups.append([term])
        else:
            groups.append([term])
    alone = [term for group in groups if len(group) == 1 for term in group]
    if len(groups) == 1 or len(alone) == len(groups):
        return [[term] for term in terms]
    return groups


def _may_come_after(layer: Layer, ndim: int) -> bool:
    """Whether a layer may be taken out of some terms of a sum: filters, copies of sites, borders, shuffles."""
    return linear(layer) and (spreads(layer, ndim) and filters(layer, ndim) or repeats(layer))


def with_places(lists: Lists) -> None:
    """Put places for functions before sums of more than two terms."""
    layers, sources = lists.layers, lists.sources
    more = {i: len(sources[i]) // 2 for i, layer in enumerate(layers) if layer.sums and len(sources[i]) > 2}
    if not more:
        return
    where = _insert(more, lists)
    for i, count in more.items():
        for place in range(where[i] - count, where[i]):
            layers[place], sources[place] = PLACE, sources[place][:1]


def _insert(more: dict[int, int], lists: Lists) -> dict[int, int]:
    """Put so many copies of nodes before them, which nothing reads; where each node is then."""
    return lists.take([i for i in range(len(lists.layers)) for _ in range(more.get(i, 0) + 1)])
