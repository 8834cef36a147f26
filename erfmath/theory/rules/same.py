"""Nodes that are the same function of one map as one, before they become part of what reads them."""

from __future__ import annotations

from .nodes import Lists, Nodes
from .single import alone
from .traits import drawn, like, nothing

__all__ = ["as_one_node"]


def as_one_node(lists: Lists, steady: frozenset[str]) -> None:
    """Leave out nodes that do what another one does, and, where there may be such, those that do nothing.

    Parameters
    ----------
    lists : Lists
        Changed.
    steady : frozenset of str
        Nodes that stay as they are.
    """
    layers, sources = lists.layers, lists.sources
    kinds = [(inputs, type(layer)) for layer, inputs in zip(layers, sources)
             if len(inputs) == 1 and not layer.random and inputs[0] >= lists.last]
    if len(set(kinds)) == len(kinds) and not any(layer.is_identity for layer in layers):
        return
    nodes = Nodes(lists, steady)
    made = nodes.made
    for i, layer in enumerate(layers):
        nodes._look_up(i)
        if not nodes._inner(i) or len(sources[i]) > 1 or not (nodes.readers[i] or i == nodes.top):
            continue
        j, = sources[i]
        layers[i] = layer = alone(layer, lists.sizes[j], lists.channels[j], nodes.ndim)
        same = j if nothing(layer, nodes.ndim) else next((k for k in made.get(j, ()) if like(layers[k], layer)), None)
        if same is not None:
            nodes._hand_on(i, same)
        elif not drawn(layer) and i != nodes.top:
            made[j] = (*made.get(j, ()), i)
    lists.take(nodes._left())
