"""Max pools before curved functions that never fall: of the largest each site has a curve of its own then.

Rectifiers are the same at any level of the values, and go before pools.
"""

from __future__ import annotations

from ...layers import Activation
from .nodes import Nodes
from .traits import commutes, curved, odd

__all__ = ["functions_below"]


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
