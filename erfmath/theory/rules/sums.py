"""Sums of sums as one sum, and nodes for the functions that some terms of a sum are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...layers import Identity, Layer, Scale
from .order import readers_of
from .single import scale

__all__ = ["PLACE", "flattened", "with_places"]

#: A node that nothing reads, before a sum: where a function of some of its terms may go.
PLACE = Identity("place of a function")


def flattened(names: list[str], layers: list[Layer], sources: list[tuple[int, ...]], sizes: list[Any],
              channels: list[int], last: int, steady: frozenset[str]) -> int | None:
    """Let sums read the terms of sums that they alone read, times factors between; None where there are none.

    Parameters
    ----------
    names, layers, sources, sizes, channels
        By position of the node; changed.
    last : int
        The map that the field is on, which stays.
    steady : frozenset of str
        Nodes that stay as they are, too.

    Returns
    -------
    int or None
        The new position of the map `last`.
    """
    sums = [i for i, layer in enumerate(layers) if layer.sums and i > last and len(sources[i]) > 1]
    if len(sums) < 2:
        return None
    readers = readers_of(sources)

    def own(j: int) -> bool:
        return j > last and readers[j] == 1 and names[j] not in steady

    def whole(j: int) -> tuple[float, int] | None:
        """What sum a term is, times what."""
        factor, k = 1.0, j
        while own(k) and isinstance(layers[k], Scale):
            factor, k = factor * layers[k].factor, sources[k][0]  # type: ignore[attr-defined]
        found = own(k) and layers[k].sums and len(sources[k]) > 1 and all(
            (sizes[n], channels[n]) == (sizes[j], channels[j]) for n in sources[k])
        return (factor, k) if found else None

    flat: dict[int, list[tuple[int, float]]] = {}
    gone: set[int] = set()
    for i in reversed(sums):  # the last sum of sums reads the terms of all of them
        if i in gone or names[i] in steady or not (readers[i] or i == len(layers) - 1):
            continue
        waiting, terms = [(j, 1.0) for j in reversed(sources[i])], []
        while waiting:
            j, factor = waiting.pop()
            inner = whole(j) if (sizes[j], channels[j]) == (sizes[i], channels[i]) else None
            if inner is None or scale(factor * inner[0]) is None:
                terms.append((j, factor))
                continue
            gone.add(inner[1])
            waiting += [(k, factor * inner[0]) for k in reversed(sources[inner[1]])]
        if tuple(j for j, _ in terms) != sources[i]:
            flat[i] = terms
    if not flat:
        return None
    more = {i: sum(factor != 1 for _, factor in terms) for i, terms in flat.items()}
    where = _insert(more, names, layers, sources, sizes, channels)
    for i, terms in flat.items():
        place, inputs = where[i] - more[i], []
        for j, factor in terms:
            if factor == 1:
                inputs.append(where[j])
                continue
            layers[place], sources[place] = scale(factor) or layers[place], (where[j],)
            inputs.append(place)
            place += 1
        sources[where[i]] = tuple(inputs)
    return where[last]


def with_places(names: list[str], layers: list[Layer], sources: list[tuple[int, ...]], sizes: list[Any],
                channels: list[int], last: int) -> int:
    """Put places for functions before sums of more than two terms; the new position of the map `last`.

    The lists are changed.
    """
    more = {i: len(sources[i]) // 2 for i, layer in enumerate(layers) if layer.sums and len(sources[i]) > 2}
    if not more:
        return last
    where = _insert(more, names, layers, sources, sizes, channels)
    for i, count in more.items():
        for place in range(where[i] - count, where[i]):
            layers[place], sources[place] = PLACE, sources[place][:1]
    return where[last]


def _insert(more: dict[int, int], names: list[str], layers: list[Layer], sources: list[tuple[int, ...]],
            sizes: list[Any], channels: list[int]) -> dict[int, int]:
    """Put so many copies of nodes before them, which nothing reads; where each node is then."""
    kept = [i for i in range(len(layers)) for _ in range(more.get(i, 0) + 1)]
    where = {-1: -1, **{i: n for n, i in enumerate(kept)}}  # the last of its copies
    every: Sequence[list[Any]] = names, layers, sources
    for each in every:
        each[:] = [each[i] for i in kept]
    sources[:] = [tuple(where[j] for j in inputs) for inputs in sources]
    sizes[:] = [sizes[i] for i in (*kept, -1)]
    channels[:] = [channels[i] for i in (*kept, -1)]
    return where
