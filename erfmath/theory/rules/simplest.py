"""A network in its simplest form: `simplify` and `parts`, as long as they find something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .copied import some_repeat
from .nodes import Lists
from .parts import into_parts
from .same import as_one_node
from .simplify import simplified

__all__ = ["simplest"]


def simplest(lists: Lists, given: Mapping[str, Any], apart: frozenset[str] = frozenset()) -> None:
    """Bring a network to its simplest form.

    Parameters
    ----------
    lists : Lists
        Changed.
    given : mapping from str to array
        Given weights, whose nodes stay.
    apart : frozenset of str
        Nodes that stay as they are, too.
    """
    steady = apart.union(name.removesuffix(".bias") for name in given)
    as_one_node(lists, steady)
    _simplest(lists, given, apart, steady, False, True)
    if some_repeat(lists.layers):
        _simplest(lists, given, apart, steady, True, False)
        _simplest(lists, given, apart, steady, False, False)  # what has not moved is one again


def _simplest(lists: Lists, given: Mapping[str, Any], apart: frozenset[str], steady: frozenset[str],
              repeated: bool, first: bool) -> None:
    simplified(lists, given, steady, repeated, first)
    for _ in range(len(lists.names)):
        if not into_parts(lists, apart.union(given)):
            break
        simplified(lists, given, steady, repeated, False)
