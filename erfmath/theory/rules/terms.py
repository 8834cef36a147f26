"""Terms of a sum that are convolutions of one map as one convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...layers import Activation, Conv, Layer, Scale
from ...layers.base import Windowed
from ...layers.weights import Fixed
from .base import Sizes
from .fusion import taps_of
from .nodes import Nodes
from .parallel import one_convolution
from .traits import like, linear

__all__ = ["one_filter", "terms_of_one_map"]


#: The filter that changes nothing, by the number of axes.
ITSELF = {ndim: Conv((1,) * ndim, groups="depthwise", weights=Fixed(np.ones((1,) * ndim))) for ndim in (1, 2, 3)}


def terms_of_one_map(nodes: Nodes, i: int, wait: bool) -> bool:
    """Let sum `i` read one convolution in place of those of a map: with random weights, or the same for each channel.

    The map itself is a filter of it, too, unless a term is a function of it: both are one function then.  A filter that
    other terms of the sum are made by, too, comes after it.

    Returns whether there are such convolutions; where `wait`, as long as the sum may be part of another, that is all.
    """
    groups: dict[Any, list[tuple[int, Layer, float]]] = {}
    bare: list[tuple[int, int, float]] = []
    for j in nodes.sources[i]:
        k, factor = j, 1.0
        while nodes._own(k) and isinstance(nodes.layers[k], Scale):
            factor, (k,) = factor * getattr(nodes.layers[k], "factor"), nodes.sources[k]
        layer = nodes.layers[k]
        if isinstance(layer, Windowed) and nodes._own(k) and (layer.random and k == j or linear(layer)):
            groups.setdefault((layer.random, nodes.sources[k], nodes.sizes[k]), []).append((j, layer, factor))
        else:
            bare.append((j, k, factor))
    of_functions = {below for _, k, _ in bare if nodes._own(k) and isinstance(nodes.layers[k], Activation)
                    for below in nodes.sources[k]}
    for j, k, factor in bare:
        if (False, (k,), nodes.sizes[k]) in groups and k not in of_functions:
            groups[False, (k,), nodes.sizes[k]].append((j, ITSELF[nodes.ndim], factor))
    found, tops = False, {place: layer for terms in groups.values() for place, layer, _ in terms}
    for (random, inputs, _), terms in groups.items():
        below, = inputs
        layers, places = [layer for _, layer, _ in terms], [j for j, _, _ in terms]
        if not random and any(like(layer, tops[j]) for j in tops if j not in places for layer in layers):
            continue
        whole = None if len(terms) == 1 else one_convolution(layers, nodes.channels[below], nodes.ndim) if random else (
            one_filter(layers, [factor for _, _, factor in terms], nodes.sizes[below], nodes.channels[below]))
        if whole is None:
            continue
        if wait:
            return True
        place = max(j for j in places if j != below)
        for j in places:
            if j != below:
                nodes._put(j, whole, inputs if j == place else ())
        nodes._put(i, nodes.layers[i], tuple(j for j in nodes.sources[i] if j == place or j not in places))
        found = True
    return found


def one_filter(layers: Sequence[Layer], factors: Sequence[float], sizes: Sizes, channels: int) -> Layer | None:
    """The sum of multiples of filters of one map, of equal strides, as one; None where it is no such."""
    ndim = len(sizes)
    weights = [taps_of(layer, sizes, (channels, channels)) for layer in layers]
    if any(array is None for array in weights):
        return None
    axes = [layer.geometry(ndim) for layer in layers]
    if any(g.stride != h.stride or isinstance(g.padding, str) and n is None
           for geometry in axes for g, h, n in zip(geometry, axes[0], sizes)):
        return None
    lines = [[(*g.pads(n), g.extent) for g in line] for line, n in zip(zip(*axes), sizes)]  # per axis, of all terms
    before = [max(p for p, _, _ in line) for line in lines]
    after = [max(extent - p for p, _, extent in line) for line in lines]
    total = np.zeros([p + q for p, q in zip(before, after)])
    for geometry, array, factor in zip(axes, weights, factors):
        starts = [p - g.pads(n)[0] for p, g, n in zip(before, geometry, sizes)]
        total[tuple(slice(s, s + g.extent, g.dilation) for s, g in zip(starts, geometry))] += factor * array
    if not total.any():
        return None
    pads = [(p, q + max(sum(around) - extent for *around, extent in line)) for p, q, line in zip(before, after, lines)]
    return Conv(total.shape, stride=tuple(g.stride for g in axes[0]), padding=tuple(pads), groups="depthwise",
                weights=Fixed(total))
