"""Norms of copies of sites, whose statistics know each site once."""

from __future__ import annotations

from .nodes import Nodes
from .traits import of_copies, unnamed

__all__ = ["norms_before_copies"]


def norms_before_copies(nodes: Nodes) -> bool:
    """Put norms of copies of sites before these, where others read the copies, too.

    Parameters
    ----------
    nodes : Nodes
        Their lists are changed, of which they know nothing then.

    Returns
    -------
    bool
        Whether there is such a norm.
    """
    lists, layers, sources, sizes = nodes.lists, nodes.layers, nodes.sources, nodes.sizes
    norms = {i for i, layer in enumerate(layers) if layer.statistics and nodes._inner(i) and nodes.readers[i]
             and nodes._inner(j := sources[i][0]) and nodes.readers[j] > 1 and of_copies(layers[j], layer)}
    if not norms:
        return False
    where = lists.take([i for i in range(len(layers)) for _ in range(1 + (i in norms))])
    for i in sorted(norms):
        copies = where[i]
        norm, (j,) = copies - 1, sources[copies]
        k, = sources[j]
        layers[copies], sources[copies], lists.names[copies] = unnamed(layers[j]), (norm,), lists.names[j]
        sources[norm], sizes[norm] = (k,), sizes[k]
    return True
