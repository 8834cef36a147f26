"""Max pools and functions that never fall: pools before curved ones, as of the largest each site has its own curve.

Rectifiers are the same at any level of the values, and go before pools.  Pools of one value and of such a function of
it have the same winners, and are one pool.
"""

from __future__ import annotations

from ...layers import Activation
from .nodes import Nodes
from .traits import commutes, curved, like, odd, rising

__all__ = ["functions_below", "pooled_already", "pooled_before"]


def functions_below(nodes: Nodes, i: int) -> int:
    """How far below max pool `i` the first function is that it goes before, in layers; 0 where there is none.

    One of the functions is curved, and all commute with the pool and with what lies between.  Pools that other pools
    read beside other layers stay, as those may be one with them.
    """
    if nodes.readers[i] > 1 and any(i in read and nodes.layers[k].routes for k, read in enumerate(nodes.sources)):
        return 0
    between, depth = [nodes.layers[i]], 0
    k, = nodes.sources[i]
    while nodes._own(k) and len(nodes.sources[k]) == 1:
        layer = nodes.layers[k]
        if not isinstance(layer, Activation):
            between.append(layer)
        elif not all(commutes(layer, one, nodes.ndim) or getattr(one, "factor", 0) == -1 and odd(layer)
                     for one in between):
            break
        else:
            depth = depth or len(between)
            if curved(layer):
                return depth
        k, = nodes.sources[k]
    return 0


def pooled_already(nodes: Nodes, i: int) -> None:
    """Let pool `i` of a function that never falls be this function of a pool, where there is one of the same values."""
    layers, sources, (j,) = nodes.layers, nodes.sources, nodes.sources[i]
    if nodes._own(j) and len(sources[j]) == 1 and rising(layers[j]):
        k, = sources[j]
        pool = next((p for p in nodes.made.get(k, ()) if p < i and nodes.readers[p] and sources[p] == (k,)
                     and nodes._inner(p) and like(layers[p], layers[i]) and not nodes._beside(p, i)), None)
        if pool is not None:
            nodes._put(i, layers[j], (pool,))
            nodes._put(j, layers[j], ())
            nodes.names[i] = nodes.names[j]


def pooled_before(nodes: Nodes, i: int) -> bool:
    """Let a pool of such a function further down be pool `i`, with the function after it; whether there is one."""
    layers, sources, (j,) = nodes.layers, nodes.sources, nodes.sources[i]
    for f in nodes.made.get(j, ()):
        if f < i and nodes._own(f) and sources[f] == (j,) and rising(layers[f]):
            for k in nodes.made.get(f, ()):
                if k < i and nodes._inner(k) and sources[k] == (f,) and layers[k].routes and like(
                        layers[k], layers[i]) and not nodes._beside(k, i):
                    nodes._move_up(k, f, (j,), nodes.sizes[k], nodes.channels[k])
                    nodes._hand_on(i, f)
                    return True
    return False
