"""Networks: immutable directed acyclic graphs of layer specs, and the combinators that build them."""

from __future__ import annotations

import dataclasses
import difflib
import heapq
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Union

from .checks import integer, per_axis
from .geometry import AxisGeometry
from .layers import Add, Concat, Identity, Layer
from .spec_json import layer_from_dict, layer_to_dict

__all__ = ["Network", "Node", "add", "concat", "load", "repeat", "residual", "serial"]

FORMAT = "erfmath-network"
VERSION = 1
INPUT = -1  # index that stands for the network's input


class Node(NamedTuple):
    """A layer in its place: `inputs` are names of earlier nodes, or "input"."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]


class _State(NamedTuple):
    """What is known of a node's output before any image or width is given."""

    channels: int | None
    stride: tuple[Fraction, ...] | None  # input sites per output site; None once pooled globally


Part = Union[Layer, "Network"]


class Network:
    """An immutable network with one input and one output.

    Built by `serial`, `add`, `concat`, `residual`, `repeat`, `from_dict` or `load`, never directly.
    Nodes that are not named are called by kind and build order: conv1, relu1, conv2, ...

    Examples
    --------
    >>> net = serial(Conv(3), Activation("relu"), residual(Conv(3)))
    >>> net.names
    ('conv1', 'relu1', 'conv2', 'add1')
    >>> net.nodes[-1].inputs
    ('relu1', 'conv2')
    """

    __slots__ = ("_layers", "_inputs", "_output", "_dims", "_state", "_names", "_nodes")

    def __init__(self, layers: Sequence[Layer], inputs: Sequence[tuple[int, ...]], output: int,
                 names: tuple[str, ...] | None = None, *, known: Sequence[_State] | None = None,
                 dims: frozenset[int] | None = None) -> None:
        self._layers = tuple(layers)
        self._inputs = tuple(inputs)
        self._output = output
        self._names = names
        self._nodes: tuple[Node, ...] | None = None
        self._dims = frozenset((1, 2, 3)) if dims is None else dims
        states = list(known or ())
        fresh = range(len(states), len(self._layers))
        for i in fresh:
            both = self._dims & self._layers[i].dimensions()
            if not both:
                raise ValueError(f"{self._label(i)}: lives in {_words(self._layers[i].dimensions())} "
                                 f"dimensions, the nodes before it in {_words(self._dims)}")
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
            self._nodes = tuple(Node(names[i], layer, tuple(names[j] for j in inputs))
                                for i, (layer, inputs) in enumerate(zip(self._layers, self._inputs)))
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
        bare = tuple(dataclasses.replace(layer, name=None) for layer in self._layers)  # type: ignore[call-arg]
        return self.names, bare, self._inputs, self._output

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<Network of {len(self)} nodes, output {self.output!r}>"

    def index(self, name: str | None) -> int:
        """Position of the node called `name` (None: the output; "input": -1)."""
        if name is None:
            return self._output
        if name == "input":
            return INPUT
        try:
            return self.names.index(name)
        except ValueError:
            near = difflib.get_close_matches(str(name), self.names, n=3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "; see net.names"
            raise ValueError(f"node={name!r}: no node of this network{hint}") from None

    def dimension(self, ndim: int) -> int:
        """The dimension of a run: the network's own where it has one, else `ndim`.

        Raises
        ------
        ValueError
            If the network cannot live in `ndim` dimensions and its own is not unique.
        """
        if self.ndim is not None:
            return self.ndim
        if integer(ndim, "ndim") not in self._dims:
            raise ValueError(f"ndim={ndim}: this network lives in {_words(self._dims)} dimensions")
        return ndim

    # -- what follows from it -----------------------------------------------------------------

    def channels(self, width: int = 16, channels_in: int = 3, ndim: int = 2) -> dict[str, int]:
        """Output channels of every node, with `width` for layers that leave theirs open.

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
        return dict(zip(self.names, counts))

    def shapes(self, image: Any, ndim: int = 2) -> dict[str, tuple[int, ...]]:
        """Spatial shape of every node's output for an input of shape `image`, in pixels.

        Raises
        ------
        ValueError
            Naming the node, where the image is smaller than the network allows or the shapes of
            branches differ.
        """
        ndim = self.dimension(ndim if isinstance(image, int) else len(image))
        start = image_shape(image, ndim)
        shapes: list[tuple[int, ...]] = []
        for i, layer in enumerate(self._layers):
            incoming = [start if j == INPUT else shapes[j] for j in self._inputs[i]]
            if len(set(incoming)) > 1:
                raise ValueError(f"{self.names[i]}: inputs: shapes differ, "
                                 + ", ".join(f"{name} {shape}" for name, shape in
                                             zip(self.nodes[i].inputs, incoming))
                                 + f", for image={start}")
            shape = tuple(axis.out(n) for axis, n in zip(layer.geometry(ndim), incoming[0]))
            if min(shape) < 1:
                raise ValueError(f"image={start}: too small, {self.names[i]} has no output site for its "
                                 f"input of {incoming[0]}")
            shapes.append(shape)
        return dict(zip(self.names, shapes))

    @property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """Per node, the positions of its inputs; -1 is the network's input."""
        return self._inputs

    def geometry(self, ndim: int) -> list[tuple[AxisGeometry, ...]]:
        """Per node, the connection of sites along each axis."""
        return [layer.geometry(ndim) for layer in self._layers]

    def summary(self, image: Any = None, ndim: int = 2) -> str:
        """A table of all nodes: op, output shape, theoretical receptive field, effective stride."""
        from .theory.support import summary  # the one look upwards: a table of what lies above
        return summary(self, image=image, ndim=ndim)

    # -- JSON ---------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The network as JSON-ready objects; `from_dict` reads them back."""
        return {"format": FORMAT, "version": VERSION, "output": self.output,
                "nodes": [{"name": node.name, "inputs": list(node.inputs), **layer_to_dict(node.layer)}
                          for node in self.nodes]}

    def save(self, path: str | pathlib.Path) -> None:
        """Write `to_dict()` as JSON."""
        from .files import write_atomically
        text = json.dumps(self.to_dict(), indent=1) + "\n"
        write_atomically(path, lambda file: file.write(text.encode()))

    @staticmethod
    def from_dict(d: Mapping[str, Any]) -> Network:
        """The network that `to_dict` or a JSON file describes; nodes may come in any order.

        Raises
        ------
        ValueError
            Naming node and field: unknown op or field, missing input, cycle, wrong type.
        """
        return _from_dict(d)

    # -- checks -------------------------------------------------------------------------------

    def _label(self, i: int) -> str:
        """Name of a node for a message, without naming the whole network."""
        if self._names is not None:
            return self._names[i]
        return _name_nodes(self._layers[:i + 1])[i]

    def _next_state(self, i: int, states: list[_State]) -> _State:
        # The dimension may still be open while the network is put together: one axis stands for all.
        axes = self.ndim or 1
        start = _State(None, (Fraction(1),) * axes)
        incoming = [start if j == INPUT else states[j] for j in self._inputs[i]]
        strides = {_widen(state.stride, axes) for state in incoming}
        if len(strides) > 1:
            text = " and ".join("the whole image" if s is None else "x".join(map(str, s)) for s in strides)
            raise ValueError(f"{self._label(i)}: inputs: branches of different effective stride ({text}) "
                             "cannot meet")
        stride = strides.pop()
        geometry = self._layers[i].geometry(axes if self.ndim else min(self._dims))[:axes]
        if any(axis.padding == "whole" for axis in geometry):
            stride = None
        if stride is not None:
            stride = tuple(s / g.stride if g.transposed else s * g.stride for s, g in zip(stride, geometry))
        return _State(self._merge_channels(i, [state.channels for state in incoming], None, self.ndim), stride)

    def _merge_channels(self, i: int, incoming: Sequence[int | None], width: int | None,
                        ndim: int | None) -> int | None:
        layer = self._layers[i]
        known = [c for c in incoming if c is not None]
        if isinstance(layer, Concat):
            return sum(known) if len(known) == len(incoming) else None
        if len(set(known)) > 1:
            raise ValueError(f"{self._label(i)}: inputs: cannot add {' and '.join(map(str, known))} channels")
        try:
            return layer.out_channels(known[0] if known else None, width, ndim)
        except ValueError as error:
            raise ValueError(f"{self._label(i)}: {error}") from None


def _widen(stride: tuple[Fraction, ...] | None, axes: int) -> tuple[Fraction, ...] | None:
    """A stride noted for one open axis, for all `axes`."""
    return stride * axes if stride is not None and len(stride) < axes else stride


def _words(dims: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(dims)))


def _name_nodes(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Given names, made unique by _2, _3, ... where parts repeat; kind and build order for the rest."""
    given = {getattr(layer, "name") for layer in layers}
    used: set[str] = set()
    count: dict[str, int] = {}
    names = []
    for layer in layers:
        stem = getattr(layer, "name")
        name = stem
        while name is None or name in used or (name != stem and name in given):
            key = layer.kind if stem is None else stem
            count[key] = count.get(key, 0 if stem is None else 1) + 1
            name = f"{key}{count[key]}" if stem is None else f"{key}_{count[key]}"
        used.add(name)
        names.append(name)
    return tuple(names)


def image_shape(image: Any, ndim: int) -> tuple[int, ...]:
    """`image` as one positive int per axis."""
    if isinstance(image, Sequence) and not isinstance(image, str):
        if len(image) != ndim:
            raise ValueError(f"image={tuple(image)!r}: must have {ndim} values, one per axis of the network")
        return tuple(integer(n, "image", 1) for n in image)
    return per_axis(integer(image, "image", 1), ndim)


# ---------------------------------------------------------------------------------------------
# combinators
# ---------------------------------------------------------------------------------------------

def _network(part: Part) -> Network:
    if isinstance(part, Network):
        return part
    if isinstance(part, Layer):
        if part.many_inputs:
            raise ValueError(f"{type(part).__name__}: merges several inputs; use erfmath.{part.op}(...)")
        return Network([part], [(INPUT,)], 0)
    raise TypeError(f"{part!r}: a part of a network is a layer or a network")


def serial(*parts: Part) -> Network:
    """Layers and networks one after the other.

    Examples
    --------
    >>> len(serial(Conv(3), serial(Conv(3), Activation("relu"))))
    3
    """
    if not parts:
        return Network([Identity()], [(INPUT,)], 0)
    first = _network(parts[0])
    layers, inputs, output = list(first._layers), list(first._inputs), first._output
    for part in parts[1:]:
        output = _append(layers, inputs, _network(part), output)
    return Network(layers, inputs, output, known=first._state, dims=first._dims)


def _append(layers: list[Layer], inputs: list[tuple[int, ...]], net: Network, source: int) -> int:
    """Put `net` behind node `source`; return where its output now is."""
    shift = len(layers)
    layers += net._layers
    inputs += [tuple(source if j == INPUT else j + shift for j in js) for js in net._inputs]
    return source if net._output == INPUT else net._output + shift


def _merge(layer: Layer, branches: Sequence[Part]) -> Network:
    if not branches:
        raise ValueError(f"{layer.op}: needs at least one branch")
    layers: list[Layer] = []
    inputs: list[tuple[int, ...]] = []
    ends = []
    for branch in branches:
        # A bare Identity() branch is the input itself, not a node of its own.
        plain = isinstance(branch, Identity) and branch.name is None
        ends.append(INPUT if plain else _append(layers, inputs, _network(branch), INPUT))
    return Network(layers + [layer], inputs + [tuple(ends)], len(layers))


def add(*branches: Part, name: str | None = None) -> Network:
    """The sum of several branches from one input."""
    return _merge(Add(name), branches)


def concat(*branches: Part, name: str | None = None) -> Network:
    """Several branches from one input, concatenated along the channels in the order given."""
    return _merge(Concat(name), branches)


def residual(branch: Part, shortcut: Part | None = None, *, name: str | None = None) -> Network:
    """``shortcut(x) + branch(x)``; the shortcut is the identity unless given."""
    return add(Identity() if shortcut is None else shortcut, branch, name=name)


def repeat(part: Part, n: int) -> Network:
    """`n` copies of a layer or network, one after the other, each with weights of its own."""
    return serial(*[part] * integer(n, "n", 0))


# ---------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------

def _from_dict(d: Mapping[str, Any]) -> Network:
    if not isinstance(d, Mapping):
        raise ValueError(f"a network is a JSON object, not {type(d).__name__}")
    if d.get("format") != FORMAT or d.get("version") != VERSION or isinstance(d.get("version"), bool):
        raise ValueError(f"format={d.get('format')!r}, version={d.get('version')!r}: must be "
                         f"{FORMAT!r} and {VERSION}")
    for key in d:
        if key not in ("format", "version", "nodes", "output"):
            raise ValueError(f"{key}: not a field of a network; fields are format, version, nodes, output")
    nodes = d.get("nodes")
    if not isinstance(nodes, Sequence) or isinstance(nodes, str) or not nodes:
        raise ValueError("nodes: must be a list of at least one node")
    layers: dict[str, Layer] = {}
    inputs: dict[str, tuple[str, ...]] = {}
    for position, item in enumerate(nodes):
        if not isinstance(item, Mapping):
            raise ValueError(f"nodes[{position}]: must be an object, not {type(item).__name__}")
        name = item.get("name")
        if not isinstance(name, str) or not name or name == "input":
            raise ValueError(f"nodes[{position}]: name={name!r}: must be a non-empty string other than 'input'")
        if name in layers:
            raise ValueError(f"{name}: name: used by two nodes")
        try:
            layers[name] = layer_from_dict({key: v for key, v in item.items() if key != "inputs"})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}: {error}") from None
        inputs[name] = _check_inputs(name, item.get("inputs"), layers[name])
    order = _topological(inputs)
    output = d.get("output", nodes[-1]["name"])
    if output not in layers:
        raise ValueError(f"output={output!r}: must be the name of a node")
    position_of = {name: i for i, name in enumerate(order)} | {"input": INPUT}
    return Network([layers[name] for name in order],
                   [tuple(position_of[source] for source in inputs[name]) for name in order],
                   position_of[output], tuple(order))


def _check_inputs(name: str, value: Any, layer: Layer) -> tuple[str, ...]:
    if (not isinstance(value, Sequence) or isinstance(value, str)
            or not all(isinstance(source, str) for source in value)):
        raise ValueError(f"{name}: inputs={value!r}: must be a list of node names or 'input'")
    if not value or (len(value) > 1 and not layer.many_inputs):
        raise ValueError(f"{name}: inputs={list(value)!r}: {layer.op!r} takes "
                         + ("at least one" if layer.many_inputs else "exactly one"))
    return tuple(value)


def _topological(inputs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Names in an order in which each comes after its inputs, else as written."""
    readers: dict[str, list[str]] = {name: [] for name in inputs}
    missing = {}
    for name, sources in inputs.items():
        missing[name] = len(set(sources) - {"input"})
        for source in set(sources) - {"input"}:
            if source not in inputs:
                raise ValueError(f"{name}: inputs: no node is called {source!r}")
            readers[source].append(name)
    place = {name: i for i, name in enumerate(inputs)}
    ready = [place[name] for name in inputs if not missing[name]]
    heapq.heapify(ready)
    names, order = list(inputs), []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for reader in readers[name]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, place[reader])
    if len(order) < len(inputs):
        stuck = [name for name in inputs if missing[name]]
        raise ValueError(f"{stuck[0]}: inputs: part of, or behind, a cycle ({', '.join(stuck[:5])})")
    return order


def load(path: str | pathlib.Path) -> Network:
    """Read a network from a JSON file.

    Raises
    ------
    ValueError
        Naming the file, and the line of broken JSON or the node and field that are wrong.
    OSError
        If the file cannot be read.
    """
    text = pathlib.Path(path).read_text(encoding="utf-8")
    try:
        return _from_dict(json.loads(text))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: line {error.lineno}: not JSON: {error.msg}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
