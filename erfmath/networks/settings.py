"""The settings of one run: what is looked at and under which conditions, checked once and handed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..base.checks import axes_of, check_network, image_shape, integer, is_sequence, point
from ..base.errors import MOST_CHANNELS, check_count, quoted
from .strands import paths
from .trf import ReceptiveField, default_unit, receptive_field

if TYPE_CHECKING:
    from .network import Network

__all__ = ["RunSettings"]


@dataclass(frozen=True, eq=False)
class RunSettings:
    """The arguments that all verbs have in common, as one checked value; made by `RunSettings.of`.

    It holds no network: the same settings serve a network and its variants.

    Attributes
    ----------
    ndim : int
    image : tuple of int or None
        Pixels along each axis; None is the infinite plane.
    unit : tuple of int or None
        None is the default of the map, see `unit_of`.
    node : str or None
        None is the output.
    source : str or None
        On whose map the field is; None is the input.
    width, channels_in : int
    weights : mapping
        Given arrays by node; empty where all are drawn.
    input_moments, input_covariance
        Of the pixels, as in `predict`, which checks them.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv((3, 3), stride=2), em.Conv(3))
    >>> settings = RunSettings.of(net, image=9)
    >>> settings.image, settings.shape(net), settings.unit_of(net)
    ((9, 9), (5, 5), (2, 2))
    """

    ndim: int
    image: tuple[int, ...] | None = None
    unit: tuple[int, ...] | None = None
    node: str | None = None
    source: str | None = None
    width: int = 16
    channels_in: int = 3
    weights: Mapping[str, Any] = field(default_factory=dict)
    input_moments: Any = (1.0, 0.0)
    input_covariance: Any = None

    @staticmethod
    def of(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None, source: str | None = None,
           width: int = 16, channels_in: int = 3, ndim: int = 2, weights: Mapping[str, Any] | None = None,
           input_moments: Any = (1.0, 0.0), input_covariance: Any = None) -> RunSettings:
        """Check the arguments of a verb against each other and against `net`.

        Raises
        ------
        TypeError
            If `net` is no network, or `weights` no mapping.
        ValueError
            For a dimension, image or unit that does not fit, an unknown node, or the input as the node.
        """
        check_network(net)
        channels_in, ndim = integer(channels_in, "channels_in", 1), integer(ndim, "ndim")
        check_count(channels_in, MOST_CHANNELS, f"channels_in={quoted(channels_in)}", "take fewer channels")
        if is_sequence(image) and ndim not in (2, len(image)):
            raise ValueError(f"image={quoted(tuple(image))}: has {len(image)} axes, ndim={quoted(ndim)}")
        ndim = net.dimension(axes_of(image, ndim))
        if net.index(node) < 0:
            raise ValueError(f"node={quoted(node)}: must be a node of the network, not its input")
        weights = {} if weights is None else weights
        if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
            raise TypeError(f"weights={quoted(weights)}: must be a mapping from names of nodes to arrays")
        return RunSettings(ndim, None if image is None else image_shape(image, ndim),
                           None if unit is None else point(unit, "unit", ndim), node,
                           None if net.index("input" if source is None else source, "source") < 0 else source,
                           integer(width, "width", 1), channels_in, dict(weights), input_moments, input_covariance)

    def but(self, **changes: Any) -> RunSettings:
        """The same settings with some of them changed, as ``settings.but(node=None)``."""
        return replace(self, **changes)

    @property
    def keywords(self) -> dict[str, Any]:
        """What `predict` takes."""
        return {"image": self.image, "unit": self.unit, "node": self.node, "source": self.source, "width": self.width,
                "channels_in": self.channels_in, "ndim": self.ndim, "weights": self.weights or None,
                "input_moments": self.input_moments, "input_covariance": self.input_covariance}

    @property
    def pixels(self) -> tuple[int, ...]:
        """`image`, where the plane will not do.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self.image is None:
            raise ValueError("image=None: must be the size of an image, in pixels")
        return self.image

    def shapes(self, net: Network) -> dict[str, tuple[int, ...]] | None:
        """Spatial shape of every node's map; None on the plane."""
        return None if self.image is None else net.shapes(self.image, self.ndim)

    def shape(self, net: Network) -> tuple[int, ...] | None:
        """Spatial shape of the map whose units are looked at; None on the plane."""
        shapes = self.shapes(net)
        return None if shapes is None else shapes[net.names[net.index(self.node)]]

    def unit_of(self, net: Network) -> tuple[int, ...]:
        """The unit; where none was given n // 2 of the map, 0 on the plane.

        Raises
        ------
        ValueError
            If the unit lies outside the map.
        """
        return default_unit(self.shape(net), self.ndim, self.unit)

    def channels(self, net: Network) -> dict[str, int]:
        """Output channels of every node."""
        return net.channels(self.width, self.channels_in, self.ndim)

    def on_the_way(self, net: Network) -> list[int]:
        """The nodes, by position, that lead from the source to the node that is looked at."""
        top, source = net.index(self.node), net.index(self.source or "input")
        wanted, found = {top}, {source}
        for i in range(top, source, -1):
            if i in wanted:
                wanted.update(net.sources[i])
        if any(layer.moves_channels for layer in net.layers[:top + 1]):  # what is read of each node
            wanted &= self._read(net, top) | found
        if source < 0:  # from which everything comes
            return sorted(wanted - found)
        for i in range(source + 1, top + 1):
            if i in wanted and not found.isdisjoint(net.sources[i]):
                found.add(i)
        return sorted(found - {source})

    def _read(self, net: Network, top: int) -> set[int]:
        """Nodes of which the one that is looked at sees any channels."""
        graph = paths(net, self.ndim, channels_in=self.channels_in, stop=top + 1)
        seen: set[int] = set(graph.of_node[top])
        for strand in range(len(graph.nodes) - 1, -1, -1):
            if strand in seen:
                seen.update(graph.sources[strand])
        return {top, *(graph.nodes[strand] for strand in seen if strand >= 0)}

    def default_statistic(self, net: Network) -> str:
        """"mean" if every weight on the way is deterministic, else "power"."""
        names, layers = net.names, net.layers
        return "power" if any(layers[i].random or (layers[i].takes_weights and names[i] in self.weights)
                              for i in self.on_the_way(net)) else "mean"

    def receptive_field(self, net: Network) -> ReceptiveField:
        """Theoretical receptive field of the node's units."""
        return receptive_field(net, image=self.image, node=self.node, source=self.source, ndim=self.ndim,
                               channels_in=self.channels_in).on_plane()
