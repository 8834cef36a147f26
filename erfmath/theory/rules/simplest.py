"""A network in its simplest form: `simplify` and `parts`, as long as they find something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...layers import Layer
from .parts import into_parts
from .simplify import simplified

__all__ = ["simplest"]


def simplest(names: list[str], layers: list[Layer], sources: list[tuple[int, ...]], sizes: list[Any],
             channels: list[int], last: int, given: Mapping[str, Any], apart: frozenset[str] = frozenset()) -> int:
    """Bring a network to its simplest form; the new position of the map `last`.

    Parameters
    ----------
    names, layers, sources, sizes, channels
        By position of the node; changed.
    last : int
        The map that the field is on, which stays.
    given : mapping from str to array
        Given weights, whose nodes stay.
    apart : frozenset of str
        Nodes that stay as they are, too.
    """
    lists = names, layers, sources, sizes, channels
    kept, last = simplified(*lists, last, given, apart)
    last = _without(kept, last, *lists)
    for _ in range(len(names)):
        moved = into_parts(*lists, last, apart.union(given))
        if moved is None:
            break
        kept, last = simplified(*lists, moved, given, apart)
        last = _without(kept, last, *lists)
    return last


def _without(kept: list[int], source: int, names: list[str], layers: list[Layer], sources: list[tuple[int, ...]],
             sizes: list[Any], channels: list[int]) -> int:
    """Leave out all nodes but those `kept`; the new position of the source."""
    if len(kept) == len(layers):
        return source
    place = {-1: -1, **{i: n for n, i in enumerate(kept)}}
    lists: tuple[list[Any], ...] = names, layers, sources
    for each in lists:
        each[:] = [each[i] for i in kept]
    sources[:] = [tuple(place[j] for j in inputs) for inputs in sources]
    sizes[:], channels[:] = ([each[i] for i in (*kept, -1)] for each in (sizes, channels))
    return place[source]
