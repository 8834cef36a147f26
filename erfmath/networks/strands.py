"""Channels that see the same: a map whose channels come from different branches is several strands.

What a unit sees is followed map by map. Where a network picks channels (after a split a branch gets its own part
only) one map is not enough: strands are its groups of channels that come from the same places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import numpy as np

from ..base.checks import axes_of, check_network, image_shape
from ..layers.base import Labels, Layer
from ..layers.geometry import SITE, AxisGeometry
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
    own : mapping of int to tuple of AxisGeometry
        How a strand reads its sources, where that is not as its layer's other channels do.
    """

    nodes: Sequence[int]
    sources: Sources
    of_node: Sources
    own: Mapping[int, tuple[AxisGeometry, ...]]


def strands(layers: Sequence[Layer], inputs: Sources, channels: Sequence[int | None], ndim: int, source: int = -1,
            channels_in: int | None = None) -> Strands:
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
    channels_in : int, optional
        Channels of the network's input, where they are known.
    """
    phases = [layer.phases(ndim) for layer in layers]
    shuffled = {phase[0][0].transposed for phase in phases if phase}  # to sites, to channels
    if source < 0 and len(shuffled) < 2 and not any(layer.moves_channels for layer in layers):
        each = range(len(layers))
        return Strands(each, inputs, [(i,) for i in each], {})
    # Labels of a map are the strands of its channels; one int where their number is not known.
    below = DEAD if source >= 0 else -1
    labels: dict[int, Union[int, Labels]] = {-1: below if channels_in is None else np.full(channels_in, below)}
    made = _Made()
    of_node: list[tuple[int, ...]] = []
    for i, (layer, js, c_out) in enumerate(zip(layers, inputs, channels)):
        if i == source:
            labels[i] = -1 if c_out is None else np.full(c_out, -1)
            of_node.append((-1,))
            continue
        incoming = [labels[j] for j in js]
        known = [np.asarray(of_one) for of_one in incoming if not isinstance(of_one, int)]
        if c_out is None or len(known) < len(incoming):
            only = made.add(i, np.unique(np.hstack([np.ravel(of_one) for of_one in incoming])))
            found, labels[i] = np.array([only]), only if c_out is None else np.full(c_out, only)
        else:
            columns = layer.channel_reads(known, c_out, ndim)
            if not phases[i]:
                found = made.layer(i, columns)
            elif layer.transposed:
                found = made.shuffled(i, columns, phases[i])
            else:
                found = made.unshuffled(i, columns[0], phases[i])
            labels[i] = found
        of_node.append(made.joined(np.unique(found).tolist()))
    return Strands(made.nodes, made.sources, of_node, made.own)


class _Made:
    """Strands as they are made.

    A family are the strands of one map whose sites were brought to channels, a strand for each place in a block, and
    the strand that they are together: what reads all of them reads that one, as if they had never been told apart.
    """

    def __init__(self) -> None:
        self.nodes: list[int] = []
        self.sources: list[tuple[int, ...]] = []
        self.own: dict[int, tuple[AxisGeometry, ...]] = {}
        self.families: list[tuple[tuple[int, ...], int]] = []

    def add(self, node: int, sources: Iterable[int], geometry: tuple[AxisGeometry, ...] | None = None) -> int:
        self.nodes.append(node)
        self.sources.append(tuple(map(int, sources)))
        if geometry is not None:
            self.own[len(self.nodes) - 1] = geometry
        return len(self.nodes) - 1

    def joined(self, found: Iterable[int]) -> tuple[int, ...]:
        """Strands, with complete families as one."""
        kept = set(found)
        for members, together in self.families:
            if kept.issuperset(members):
                kept = kept.difference(members) | {together}
        return tuple(sorted(kept))

    def layer(self, node: int, columns: Labels) -> Labels:
        """Labels of a layer whose channel reads the strands of a column."""
        columns, which = np.unique(np.sort(columns, axis=0), axis=1, return_inverse=True)
        sets: dict[tuple[int, ...], int] = {}
        for column in columns.T.tolist():
            one = self.joined(column)
            if one not in sets:
                sets[one] = self.add(node, one)
        found = np.array([sets[self.joined(column)] for column in columns.T.tolist()], dtype=int)
        for members, together in list(self.families):
            for one in [one for one in sets if members[0] in one]:  # a family stays one, channel by channel
                rest = set(one) - {members[0]}
                others = [sets.get(tuple(sorted(rest | {member}))) for member in members]
                if None not in others:
                    self.families.append((tuple(j for j in others if j is not None),
                                          self.add(node, sorted(rest | {together}))))
        return found[which.reshape(-1)]

    def unshuffled(self, node: int, column: Labels, phases: Sequence[tuple[AxisGeometry, ...]]) -> Labels:
        """Labels of sites brought to channels: each place in a block is a strand."""
        of_one: dict[int, tuple[int, ...]] = {}
        for label in np.unique(column).tolist():
            of_one[label] = tuple(self.add(node, [label], phase) for phase in phases)
            self.families.append((of_one[label], self.add(node, [label])))
        return np.array([of_one[label][i % len(phases)] for i, label in enumerate(column.tolist())])

    def shuffled(self, node: int, columns: Labels, phases: Sequence[tuple[AxisGeometry, ...]]) -> Labels:
        """Labels of channels brought to sites: each site of a block reads a strand of its own, if they differ."""
        parts: dict[tuple[int, int], int] = {}
        made: dict[tuple[int, ...], int] = {}
        for column in map(tuple, columns.T.tolist()):
            if column in made:
                continue
            if len(set(column)) == 1:
                made[column] = self.add(node, column[:1])
                continue
            for pair in enumerate(column):
                if pair not in parts:
                    parts[pair] = self.add(node, pair[1:], phases[pair[0]])
            made[column] = self.add(node, [parts[pair] for pair in enumerate(column)], (SITE,) * len(phases[0]))
        return np.array([made[column] for column in map(tuple, columns.T.tolist())])


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
          channels_in: int | None = None, stop: int | None = None) -> Paths:
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
    open_counts = net.ndim is None and any(layer.phases(ndim) for layer in layers)
    if channels_in is not None and any(layer.moves_channels for layer in layers):
        open_counts = True
    channels = net.known_channels_in(ndim, channels_in) if open_counts else net.known_channels
    found = strands(layers, inputs, channels, ndim, root, channels_in)
    shapes = sizes = None
    if image is not None:
        pixels = image_shape(image, ndim)
        shapes = list(net.shapes(pixels, ndim).values())
        sizes = [*(shapes[i] for i in found.nodes), pixels, pixels if root < 0 else shapes[root]]
    per_strand = geometry if len(found.nodes) == len(geometry) and root < 0 else [
        found.own.get(strand, geometry[i]) for strand, i in enumerate(found.nodes)]
    return Paths(*found[:3], per_strand, shapes, sizes, ndim)


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
