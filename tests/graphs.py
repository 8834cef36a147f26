"""Networks as names and links, and a stack on which nothing may recurse."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import erfmath as em


def links(net: em.Network) -> dict[str, tuple[str, ...]]:
    return {node.name: node.inputs for node in net}


@contextmanager
def shallow_stack(room: int = 60) -> Iterator[None]:
    """Little room for recursion above the present depth."""
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + room)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
