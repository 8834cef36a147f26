"""Layers that may change places: functions of a value go before what only copies, picks or drops sites.

The largest of a window after a rectifier is the rectifier of the largest.  Such networks are one function, and are
brought into one order, in which every gate acts on values that nothing has picked yet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ...layers import Layer
from ..memory import remembered
from ..sweep.lowering import Linear
from .base import Rule
from .functions import Function

__all__ = ["leading", "ordered", "readers_of", "rises"]


@remembered(256)
def rises(phi: Function) -> bool:
    """Whether a function never falls."""
    z = np.sinh(np.linspace(-5, 5, 4001))
    return bool((np.diff(phi.value(z)) >= 0).all())


def readers_of(sources: Sequence[tuple[int, ...]]) -> list[int]:
    """How many nodes that lead to the last one read each node; the last entry is that of the input."""
    top = len(sources) - 1
    readers = [0] * (len(sources) + 1)
    for i in range(top, -1, -1):
        if readers[i] or i == top:
            for j in sources[i]:
                readers[j] += 1
    return readers


def leading(sources: Sequence[tuple[int, ...]]) -> list[int]:
    """The nodes that lead to the last one, and itself, from the input on."""
    return [i for i, count in enumerate(readers_of(sources)[:-1]) if count or i == len(sources) - 1]


def ordered(names: list[str], layers: list[Layer], rules: list[Rule], sources: Sequence[tuple[int, ...]],
            sizes: list[Any], last: int, given: Collection[str], ops: list[Linear] | None = None) -> bool:
    """Put activations before layers with which they commute; `names`, `layers`, `rules`, `sizes` are changed.

    Parameters
    ----------
    names, layers, rules, sources, sizes
        By position of the node; the wiring stays.
    last : int
        The map that the field is on: what lies below stays as it is.
    given : collection of str
        Nodes with given weights, which stay, too.
    ops : list of Linear, optional
        What layers have been lowered to, if they have been: it goes with them.

    Returns
    -------
    bool
        Whether anything has been moved.
    """
    readers, ndim = readers_of(sources), len(sizes[-1])
    top, moved = len(layers) - 1, False
    for first in range(last + 2, len(layers)):
        i = first
        while (readers[first] or first == top) and (j := sources[i][0]) > last:
            if names[j] in given or readers[j] != 1 or len(sources[j]) != 1:
                break
            phi = None if layers[i].kind == "scale" else rules[i].function(layers[i])
            if phi is not None and rules[j].commutes(layers[j], ndim, phi) and not (
                    rules[j].moves or (phi.below is None and layers[j].routes)  # each site has a curve of its own
                    or (ops is not None and layers[j].is_identity and ops[j].gain != 1)):  # a sum of one value
                size = sizes[sources[j][0]]
            elif ops is not None and layers[i].routes and layers[j].kind != "scale" and (
                    below := rules[j].function(layers[j])) is not None and below.below is None and (
                    rules[i].commutes(layers[i], ndim, below)):  # a function that branches have become
                size = sizes[i]
            else:
                break
            lists: list[list[Any]] = [names, layers, rules, *([] if ops is None else [ops])]
            for each in lists:
                each[i], each[j] = each[j], each[i]
            sizes[j], moved = size, True
            i = j
    return moved
