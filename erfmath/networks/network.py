"""Networks: immutable directed acyclic graphs of layer specs."""

from __future__ import annotations

import dataclasses
import difflib
import json
import pathlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from ..base.checks import DIMENSIONS, axes_of, image_shape, integer
from ..base.errors import MOST_CHANNELS, MOST_SITES, check_count, named, quoted
from ..base.tables import html_table
from ..layers import Layer
from ..layers.geometry import SITE, AxisGeometry
from .json import INPUT, graph_from_dict, graph_to_dict
from .trf import summary, summary_rows

__all__ = ["Network", "Node"]

#: Nodes that a notebook shows.
SHOWN = 60


class Node(NamedTuple):
    """A layer in its place.

    Attributes
    ----------
    name : str
        Given, or made from kind and build order.
    layer : Layer
        What it is.
    inputs : tuple of str
        Names of earlier nodes, or "input".

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3), em.Dropout(0.1))["dropout1"]
    Node(name='dropout1', layer=Dropout(p=0.1, name=None), inputs=('conv1',))
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]


class _State(NamedTuple):
    """What is known of a node's output before any image or width is given."""

    channels: int | None
    stride: tuple[Fraction, ...] | None  # input sites per output site; None once it depends on the image


class Network:
    """An immutable network with one input and one output.

    Built by `serial`, `add`, `concat`, `residual`, `repeat`, `from_dict` or `load`, never directly.
    Nodes that are not named are called by kind and build order: conv1, relu1, conv2, ...  It is a
    sequence of nodes (`len`, iteration) and finds them by name, ``net["conv1"]``.

    See Also
    --------
    serial : Layers and networks one after the other.
    load : Read a network from a JSON file.
    NetworkBuilder : Builds a network whose nodes may be read several times.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(3), em.Activation("relu"), em.residual(em.Conv(3)))
    >>> net.names
    ('conv1', 'relu1', 'conv2', 'add1')
    >>> net.nodes[-1].inputs
    ('relu1', 'conv2')
    """

    __slots__ = ("_layers", "_inputs", "_output", "_dims", "_state", "_names", "_nodes", "_shapes")

    def __init__(self, layers: Sequence[Layer], inputs: Sequence[tuple[int, ...]], output: int,
                 names: tuple[str, ...] | None = None, *, known: Sequence[_State] | None = None,
                 dims: frozenset[int] | None = None) -> None:
        self._layers = tuple(layers)
        self._inputs = tuple(inputs)
        self._output = output
        self._names = names
        self._nodes: tuple[Node, ...] | None = None
        self._shapes: tuple[tuple[int, ...], list[tuple[int, ...]]] | None = None
        self._dims = DIMENSIONS if dims is None else dims
        states = list(known or ())
        fresh = range(len(states), len(self._layers))
        for i in fresh:
            both = self._dims & self._layers[i].dimensions()
            if not both:
                raise ValueError(f"{self._label(i)}: lives in {_words(self._layers[i].dimensions())} dimensions, the "
                                 f"nodes before it in {_words(self._dims)}")
            self._dims = both
        for i in fresh:
            states.append(self._next_state(i, states))
        self._state = tuple(states)

    # -- what is in it ------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all nodes, in topological order."""
        if self._names is None:
            self._names = _name_nodes(self._layers)
        return self._names

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, each after its inputs."""
        if self._nodes is None:
            names = self.names + ("input",)  # index -1
            self._nodes = tuple(Node(name, layer, tuple(names[j] for j in inputs)) for
                                name, layer, inputs in zip(names, self._layers, self._inputs))
        return self._nodes

    @property
    def output(self) -> str:
        """Name of the output node."""
        return (self.names + ("input",))[self._output]

    @property
    def ndim(self) -> int | None:
        """Number of spatial dimensions, None where every layer leaves it open."""
        return next(iter(self._dims)) if len(self._dims) == 1 else None

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[self.index(name)]

    def _key(self) -> tuple[Any, ...]:
        # A name is the node's, whether it was given or made from the build order.
        bare = tuple((layer.op, *(getattr(layer, f.name) for f in dataclasses.fields(layer)
                                  if f.name != "name")) for layer in self._layers)
        return self.names, bare, self._inputs, self._output

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<Network of {len(self)} nodes, output {self.output!r}>"

    def index(self, name: str | None, argument: str = "node") -> int:
        """Position of the node called `name` (None: the output; "input": -1), given as `argument`."""
        if name is None:
            return self._output
        if isinstance(name, str) and name == "input":
            return INPUT
        try:
            return self.names.index(name if isinstance(name, str) else "")
        except ValueError:
            near = difflib.get_close_matches(quoted(name).strip("'"), self.names, n=3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "; see net.names"
            raise ValueError(f"{argument}={quoted(name)}: no node of this network{hint}") from None

    def dimension(self, ndim: int) -> int:
        """The dimension of a run: the network's own where it has one, else `ndim`.

        Parameters
        ----------
        ndim : int
            1, 2 or 3.

        Returns
        -------
        int
            1, 2 or 3.

        Raises
        ------
        ValueError
            If the network cannot live in `ndim` dimensions and its own is not unique.
        """
        if self.ndim is not None:
            return self.ndim
        number = integer(ndim, "ndim")
        if number not in self._dims:
            raise ValueError(f"ndim={quoted(ndim)}: this network lives in {_words(self._dims)} dimensions")
        return number

    # -- what follows from it -----------------------------------------------------------------

    def channels(self, width: int = 16, channels_in: int = 3, ndim: int = 2) -> dict[str, int]:
        """Output channels of every node.

        Parameters
        ----------
        width : int
            Channels of layers that leave theirs open.
        channels_in : int
            Channels of the input.
        ndim : int
            Dimension, where the network leaves it open.

        Returns
        -------
        dict of str to int
            By name of the node.

        Raises
        ------
        ValueError
            Naming node and field: groups that do not divide, branches that do not add, ...
        """
        ndim = self.dimension(ndim)
        width, channels_in = integer(width, "width", 1), integer(channels_in, "channels_in", 1)
        counts: list[int] = []
        for i, layer in enumerate(self._layers):
            incoming = [channels_in if j == INPUT else counts[j] for j in self._inputs[i]]
            counts.append(self._merge_channels(i, incoming, width, ndim) or 0)
            if counts[-1] > MOST_CHANNELS:  # messages of all nodes take longer than the rest
                check_count(counts[-1], MOST_CHANNELS, f"{self._label(i)}: channels={quoted(counts[-1])}",
                            "take fewer channels")
        return dict(zip(self.names, counts))

    def shapes(self, image: Any, ndim: int = 2) -> dict[str, tuple[int, ...]]:
        """Spatial shape of every node's output.

        Parameters
        ----------
        image : int or tuple of int
            Size of the input in pixels.
        ndim : int
            Dimension, where neither the network nor the image fixes it.

        Returns
        -------
        dict of str to tuple of int
            By name of the node.

        Raises
        ------
        ValueError
            Naming the node, where the image is smaller than the network allows or the shapes of
            branches differ.
        """
        ndim = self.dimension(axes_of(image, ndim))
        start = image_shape(image, ndim)
        found = self._shapes  # read once and written whole, so that threads do not meet
        if found is None or found[0] != start:  # runs ask several times for one image
            self._shapes = found = start, self._find_shapes(start)
        return dict(zip(self.names, found[1]))

    def _find_shapes(self, start: tuple[int, ...]) -> list[tuple[int, ...]]:
        ndim = len(start)
        shapes: list[tuple[int, ...]] = []
        for i, layer in enumerate(self._layers):
            incoming = [start if j == INPUT else shapes[j] for j in self._inputs[i]]
            read = self._broadcast(i, incoming)
            if read is None:
                raise ValueError(f"{self.names[i]}: inputs: shapes differ, "
                                 + ", ".join(f"{name} {shape}" for name, shape in
                                             zip(self.nodes[i].inputs, incoming))
                                 + f", for image={start}")
            try:
                layer.check_map(read)
            except ValueError as error:
                raise named(error, self.names[i]) from None
            axes = layer.geometry(ndim)
            if axes[0] is SITE:
                shapes.append(read)
                continue
            shape = tuple(map(AxisGeometry.out, axes, read))
            if min(shape) < 1:
                raise ValueError(f"image={quoted(start)}: too small, {self.names[i]} has no output site "
                                 f"for its input of {read}")
            if max(shape) > MOST_SITES:
                check_count(max(shape), MOST_SITES, f"image={quoted(start)}: sites of {self.names[i]} along an axis",
                            "take a smaller image")
            shapes.append(shape)
        return shapes

    def _broadcast(self, i: int, incoming: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
        """The shape of inputs that meet, where a map pooled to one site serves all sites; None if they do not fit."""
        if len(incoming) == 1:
            return incoming[0]
        pooled = {shape for shape, j in zip(incoming, self._inputs[i])
                  if j != INPUT and self._state[j].stride is None and set(shape) == {1}}
        shapes = set(incoming) - pooled or pooled
        return next(iter(shapes)) if len(shapes) == 1 else None

    @property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """Per node, the positions of its inputs; -1 is the network's input."""
        return self._inputs

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of all nodes, in order."""
        return self._layers

    @property
    def known_channels(self) -> tuple[int | None, ...]:
        """Output channels of every node, None where they depend on the channels of the input or of a run."""
        return tuple(state.channels for state in self._state)

    def known_channels_in(self, ndim: int, channels_in: int | None = None) -> tuple[int | None, ...]:
        """`known_channels` in `ndim` dimensions, of an input of `channels_in`, where the network leaves these open."""
        counts: list[int | None] = []
        for i in range(len(self._layers)):
            counts.append(self._merge_channels(i, [channels_in if j == INPUT else counts[j] for j in self._inputs[i]],
                                               None, ndim))
        return tuple(counts)

    def geometry(self, ndim: int) -> list[tuple[AxisGeometry, ...]]:
        """Per node, the connection of sites along each of `ndim` axes."""
        return [layer.geometry(ndim) for layer in self._layers]

    def summary(self, image: Any = None, ndim: int = 2) -> str:
        """A table of all nodes: op, output shape, TRF, effective stride and padding.

        Parameters
        ----------
        image : int or tuple of int, optional
            Size of the input in pixels; without it there are no shapes.
        ndim : int
            Dimension, where nothing else fixes it.

        Returns
        -------
        str
            One line a node.
        """
        return summary(self, image=image, ndim=ndim)

    def _repr_html_(self) -> str:
        try:
            rows = summary_rows(self)
        except (ValueError, NotImplementedError):  # some layers need the size of an image
            rows = [("node", "op", "inputs"), *((n.name, n.layer.kind, ", ".join(n.inputs)) for n in self.nodes)]
        left = len(rows) - 1 - SHOWN
        more = f"<p>... and {left} more nodes</p>" if left > 0 else ""
        return html_table(rows[:SHOWN + 1], caption=f"{len(self)} nodes, output {self.output}") + more

    # -- JSON ---------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The network as JSON-ready objects; `from_dict` reads them back."""
        return graph_to_dict(self.nodes, self.output)

    def save(self, path: str | pathlib.Path) -> None:
        """Write `to_dict()` as JSON to `path`; `load` reads it back."""
        from ..base.files import write_atomically
        text = json.dumps(self.to_dict(), indent=1) + "\n"
        write_atomically(path, lambda file: file.write(text.encode()))

    @staticmethod
    def from_dict(d: Mapping[str, Any]) -> Network:
        """The network that `d` describes.

        Nodes may come in any order, and fields at their defaults be left out.

        Parameters
        ----------
        d : mapping
            As `to_dict` or a JSON file gives it.

        Returns
        -------
        Network
            The network.

        Raises
        ------
        ValueError
            Naming node and field: unknown op or field, missing input, cycle, wrong type.
        """
        graph = graph_from_dict(d)
        return Network(graph.layers, graph.inputs, graph.output, graph.names)

    # -- checks -------------------------------------------------------------------------------

    def _label(self, i: int) -> str:
        """Name of a node for a message, without naming the whole network."""
        if self._names is not None:
            return self._names[i]
        return _name_nodes(self._layers[:i + 1])[i]

    def _next_state(self, i: int, states: list[_State]) -> _State:
        # The dimension may still be open while a network is put together: one axis is as good as all.
        axes = self.ndim or 1
        start = _State(None, (Fraction(1),) * axes)
        incoming = [start if j == INPUT else states[j] for j in self._inputs[i]]
        # What is pooled globally, or resized, may meet any map: the sizes of an image tell whether it fits.
        strides = [_widen(state.stride, axes) for state in incoming if state.stride is not None]
        if len(strides) > 1 and len(strides := list(dict.fromkeys(strides))) > 1:  # Fractions are slow to hash
            text = " and ".join("x".join(map(str, s)) for s in strides if s is not None)
            raise ValueError(f"{self._label(i)}: inputs: branches of different effective stride "
                             f"({text}) cannot meet")
        stride = strides[0] if strides else None
        geometry = self._layers[i].geometry(axes if self.ndim else min(self._dims))[:axes]
        if any(g.padding == "whole" or (g.resize is not None and g.resize.size is not None) for g in geometry):
            stride = None
        elif stride is not None and any(g.resize or g.stride != 1 for g in geometry):
            stride = tuple(s / g.resize.scale if g.resize else s / g.stride if g.transposed else s * g.stride
                           for s, g in zip(stride, geometry))
        channels = self._merge_channels(i, [state.channels for state in incoming], None, self.ndim)
        return _State(channels, stride)

    def _merge_channels(self, i: int, incoming: Sequence[int | None], width: int | None,
                        ndim: int | None) -> int | None:
        layer = self._layers[i]
        try:
            c_in = layer.merged_channels(incoming) if layer.many_inputs else incoming[0]
            return layer.out_channels(c_in, width, ndim)
        except ValueError as error:
            raise named(error, self._label(i)) from None


def _widen(stride: tuple[Fraction, ...] | None, axes: int) -> tuple[Fraction, ...] | None:
    """A stride noted for one open axis, for all `axes`."""
    return stride * axes if stride is not None and len(stride) < axes else stride


def _words(dims: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(dims)))


def _stem(layer: Layer) -> str:
    """What comes before the number in the name of a node: relu6_1 is not the 61st ReLU."""
    kind = layer.kind
    return f"{kind}_" if kind[-1].isdigit() else kind


def _name_nodes(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Given names, made unique by _2, _3, ... where parts repeat; else kind and build order."""
    distinct = {id(layer): layer for layer in layers}  # copies of a part share their layers
    given = {getattr(layer, "name") for layer in distinct.values()}
    used: set[str] = set()
    count: dict[str, int] = {}
    names: list[str] = []
    if given == {None}:  # nothing to run into: the common case, made short for a million layers
        built: defaultdict[str, int] = defaultdict(int)
        kinds = {key: _stem(layer) for key, layer in distinct.items()}
        for kind in map(kinds.__getitem__, map(id, layers)):
            built[kind] += 1
            names.append(f"{kind}{built[kind]}")
        return tuple(names)
    for layer in layers:
        stem = getattr(layer, "name")
        name = stem
        while name is None or name in used or (name != stem and name in given):
            key, start = (_stem(layer), 0) if stem is None else (f"{stem}_", 1)
            count[key] = count.get(key, start) + 1
            name = f"{key}{count[key]}"
        used.add(name)
        names.append(name)
    return tuple(names)
