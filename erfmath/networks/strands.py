"""Channels that see the same: a map whose channels come from different branches is several strands.

What a unit sees is followed map by map. Where a network picks channels (after a split a branch gets its own part
only) one map is not enough: strands are its groups of channels that come from the same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import numpy as np

from ..base.checks import axes_of, check_network, image_shape
from ..layers.base import Labels, Layer
from ..layers.geometry import AxisGeometry
from .windows import DEAD

if TYPE_CHECKING:
    from .network import Network

__all__ = ["Paths", "Strands", "paths", "strands"]

Sources = Sequence[tuple[int, ...]]


class Strands(NamedTuple):
    """The graph of strands.

    Attributes
    ----------
    nodes : sequence of int
        The node of each strand.
    sources : sequence of tuple of int
        The strands that each strand reads; -1 is what the field is on, `DEAD` what does not depend on that.
    of_node : sequence of tuple of int
        The strands of each node.
    """

    nodes: Sequence[int]
    sources: Sources
    of_node: Sources


def strands(layers: Sequence[Layer], inputs: Sources, channels: Sequence[int | None], ndim: int, source: int = -1
            ) -> Strands:
    """The strands of a graph.

    Parameters
    ----------
    layers : sequence of Layer
    inputs : sequence of tuple of int
        Positions of each layer's inputs, -1 is the network's.
    channels : sequence of int or None
        Channels of each layer's output; where they are not known, a map counts as one strand.
    ndim : int
    source : int
        The node whose map the field is on; -1 is the network's input.
    """
    if source < 0 and not any(layer.moves_channels for layer in layers):
        each = range(len(layers))
        return Strands(each, inputs, [(i,) for i in each])
    # Labels of a map are the strands of its channels; one int where their number is not known.
    labels: dict[int, Union[int, Labels]] = {-1: DEAD if source >= 0 else -1}
    nodes: list[int] = []
    sources: list[tuple[int, ...]] = []
    of_node: list[tuple[int, ...]] = []
    for i, (layer, js, c_out) in enumerate(zip(layers, inputs, channels)):
        if i == source:
            labels[i] = -1 if c_out is None else np.full(c_out, -1)
            of_node.append((-1,))
            continue
        incoming = [labels[j] for j in js]
        known = [np.asarray(of_one) for of_one in incoming if not isinstance(of_one, int)]
        if c_out is None or len(known) < len(incoming):
            columns, which = np.unique(np.hstack([np.ravel(of_one) for of_one in incoming]))[:, None], None
        else:
            columns = np.sort(layer.channel_reads(known, c_out, ndim), axis=0)
            columns, which = np.unique(columns, axis=1, return_inverse=True)
        start = len(nodes)
        nodes += [i] * columns.shape[1]
        sources += [tuple(dict.fromkeys(map(int, column))) for column in columns.T]
        of_node.append(tuple(range(start, len(nodes))))
        if which is not None:
            labels[i] = start + which.reshape(-1)
        else:
            labels[i] = start if c_out is None else np.full(c_out, start)
    return Strands(nodes, sources, of_node)


class Paths(NamedTuple):
    """What fields are followed on: strands, how they read each other, and their sizes where an image is given.

    Attributes
    ----------
    nodes, sources, of_node
        As in `Strands`.
    geometry : sequence of tuple of AxisGeometry
        Per strand and axis.
    shapes : sequence of tuple of int, or None
        Of the nodes' maps.
    sizes : sequence of tuple of int, or None
        Of the strands' maps, of the image, and of what the field is on.
    """

    nodes: Sequence[int]
    sources: Sources
    of_node: Sources
    geometry: Sequence[tuple[AxisGeometry, ...]]
    shapes: Sequence[tuple[int, ...]] | None
    sizes: Sequence[tuple[int, ...]] | None
    ndim: int

    @property
    def pixels(self) -> tuple[int, ...] | None:
        """Size of what the field is on."""
        return None if self.sizes is None else self.sizes[-1]


def paths(net: Network, ndim: int, *, image: Any = None, source: str | None = None, gates: bool = True,
          stop: int | None = None) -> Paths:
    """The paths from a source to the first `stop` nodes of a network.

    Raises
    ------
    TypeError
        If `net` is no network.
    ValueError
        If there is no such source, or the image does not fit.
    """
    check_network(net)
    ndim = net.dimension(axes_of(image, ndim))
    root = -1 if source is None else net.index(source, "source")
    layers: Sequence[Layer] = net.layers[:stop]
    geometry = net.geometry(ndim)[:stop]
    inputs: Sources = net.sources[:stop]
    if not gates:
        inputs = _without_gates(layers, geometry, inputs)
    found = strands(layers, inputs, net.known_channels, ndim, root)
    shapes = sizes = None
    if image is not None:
        pixels = image_shape(image, ndim)
        shapes = list(net.shapes(pixels, ndim).values())
        sizes = [*(shapes[i] for i in found.nodes), pixels, pixels if root < 0 else shapes[root]]
    per_strand = geometry if len(found.nodes) == len(geometry) and root < 0 else [geometry[i] for i in found.nodes]
    return Paths(*found, per_strand, shapes, sizes, ndim)


def _without_gates(layers: Sequence[Layer], geometry: Sequence[tuple[AxisGeometry, ...]], inputs: Sources) -> Sources:
    """The inputs of each layer; of products those left out that were pooled to one site, where others were not."""
    pooled: list[bool] = []
    kept = []
    for layer, axes, js in zip(layers, geometry, inputs):
        one_site = [j >= 0 and pooled[j] for j in js]
        maps = tuple(j for j, one in zip(js, one_site) if not one)
        kept.append(maps if layer.multiplies and maps else js)
        stays = not any(axis.transposed or axis.resize for axis in axes)
        pooled.append(any(axis.padding == "whole" for axis in axes) or (all(one_site) and stays))
    return kept
