"""Factors: below the layers that do the same with each channel (squeeze and excite), and into random weights."""

from __future__ import annotations

from ...layers import ConvTranspose, Pad, Scale
from .fusion import Row, as_one
from .nodes import Nodes
from .traits import by_channel, copies, filters, homogeneous, rising

__all__ = ["before_factors", "into_weights"]


def before_factors(nodes: Nodes, i: int) -> bool:
    """Put filters of a product, and its max pools and rectifiers, before factors of one site; whether node `i` is such.

    Of one channel such factors are numbers; these are positive for pools and rectifiers.  Functions between a pool and
    the product come after both then.
    """
    layers, sources, sizes = nodes.layers, nodes.sources, nodes.sizes
    layer, way = layers[i], [i]
    if copies(layer) or isinstance(layer, (Pad, ConvTranspose)) or layer.draws_noise:  # one with what comes after
        return False
    while (j := sources[way[-1]][0]) >= 0 and layer.routes and nodes._own(j) and len(sources[j]) == 1 and (
            rising(layers[j])):
        way.append(j)
    if not nodes._own(j) or not layers[j].multiplies or any(isinstance(layers[k], Scale) for k in sources[j]):
        return False  # numbers come after the product first
    one_site = layer.is_gate and set(sizes[j]) == {1}
    maps = [k for k in sources[j] if (k not in nodes.positive if one_site else sizes[k] == sizes[j])]
    factors = [k for k in sources[j] if k not in maps]
    if len(maps) != 1 or not factors or any(known[maps[0]] != known[j] for known in (sizes, nodes.channels)):
        return False
    if not filters(layer, nodes.ndim) and not (
            nodes.positive.issuperset(factors) and homogeneous(layer, 2.0) and by_channel(layer)):
        return False
    places = [j, *way[::-1]]
    moved = [layer, *(layers[k] for k in places[:-1])]
    names = [nodes.names[i], *(nodes.names[k] for k in places[:-1])]
    inputs = [(maps[0],), (j, *factors), *((k,) for k in places[1:-1])]
    for k, name, one, read in reversed(list(zip(places, names, moved, inputs))):
        nodes._put(k, one, read)
        nodes.names[k], sizes[k] = name, sizes[i]
        nodes.positive.discard(k)
        for known in (nodes.origin, nodes.normed):
            known.pop(k, None)
    return True


def into_weights(nodes: Nodes, i: int, scale: Scale, gated: bool) -> bool:
    """Let random weights further down take up factor `i`, if all between is as much larger; whether they do."""
    layers, sources, (k,) = nodes.layers, nodes.sources, nodes.sources[i]
    while nodes._own(k) and len(sources[k]) == 1 and not layers[k].random and homogeneous(layers[k], scale.factor):
        k, = sources[k]
    if i == nodes.top or not nodes._own(k) or not layers[k].random or len(sources[k]) > 1:
        return False
    below, = sources[k]
    louder = as_one(Row(layers[k], scale, (nodes.sizes[below], nodes.sizes[k]), (
        nodes.channels[below], nodes.channels[k], nodes.channels[k]), gated, nodes.ndim))
    if louder is None:
        return False
    nodes._put(k, louder, (below,))
    nodes._hand_on(i, sources[i][0])
    return True
