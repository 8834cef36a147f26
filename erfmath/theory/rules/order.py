"""Layers that may change places: functions of a value go before what only copies, picks or drops sites.

The largest of a window after a rectifier is the rectifier of the largest.  Such networks are one function, and are
brought into one order, in which every gate acts on values that nothing has picked yet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...layers import Identity, Layer
from ...layers.base import Windowed
from ...layers.geometry import AxisGeometry
from ..memory import remembered
from .base import Rule, rule_of
from .functions import Function

__all__ = ["ordered", "readers_of", "rises"]


def _strided(pick: Layer, conv: Layer, sizes: tuple[int | None, ...]) -> Layer | None:
    """A random convolution of which the next layer picks sites, as one with a larger stride."""
    ndim = len(sizes)
    steps = pick.geometry(ndim)
    if not (conv.random and isinstance(conv, Windowed) and not conv.transposed and pick.single_tap(ndim)
            and isinstance(pick, Windowed) and not (pick.takes_weights or pick.transposed)):
        return None
    if any(g._replace(stride=1) != AxisGeometry() for g in steps) or all(g.stride == 1 for g in steps):
        return None
    geometry = conv.geometry(ndim)
    spec: Any = conv
    return replace(spec, stride=tuple(a.stride * b.stride for a, b in zip(geometry, steps)),
                   padding=[g.pads(n) for g, n in zip(geometry, sizes)])


@remembered(256)
def rises(phi: Function) -> bool:
    """Whether a function never falls."""
    z = np.sinh(np.linspace(-5, 5, 4001))
    return bool((np.diff(phi.value(z)) >= 0).all())


def readers_of(sources: Sequence[tuple[int, ...]]) -> list[int]:
    """How many nodes that lead to the last one read each node; the last entry is that of the input."""
    readers, used = [0] * (len(sources) + 1), {len(sources) - 1}
    for i in range(len(sources) - 1, -1, -1):
        if i in used:
            used.update(sources[i])
            for j in sources[i]:
                readers[j] += 1
    return readers


def ordered(names: list[str], layers: list[Layer], rules: list[Rule], sources: Sequence[tuple[int, ...]],
            sizes: list[Any], last: int, given: Collection[str]) -> None:
    """Put activations before layers with which they commute; `names`, `layers`, `rules`, `sizes` are changed.

    Parameters
    ----------
    names, layers, rules, sources, sizes
        By position of the node; the wiring stays.
    last : int
        The map that the field is on: what lies below stays as it is.
    given : collection of str
        Nodes with given weights, which stay, too.
    """
    readers, ndim = readers_of(sources), len(sizes[-1])
    top = len(layers) - 1
    for i in range(last + 2, len(layers)):
        j = sources[i][0]
        if (readers[i] or i == top) and j > last and names[j] not in given and readers[j] == 1 and len(sources[j]) == 1:
            strided = _strided(layers[i], layers[j], sizes[sources[j][0]])
            if strided is not None:
                layers[j], layers[i], rules[i], sizes[j] = strided, Identity(), rule_of(Identity()), sizes[i]
    for first in range(last + 2, len(layers)):
        i, phi = first, rules[first].function(layers[first])
        while phi is not None and (readers[first] or first == top):
            j = sources[i][0]
            if (j <= last or names[j] in given or readers[j] != 1 or len(sources[j]) != 1
                    or not rules[j].commutes(layers[j], ndim, phi)):
                break
            both: tuple[list[Any], ...] = names, layers, rules
            for each in both:
                each[i], each[j] = each[j], each[i]
            sizes[j] = sizes[sources[j][0]]
            i = j
