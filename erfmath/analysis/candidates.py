"""Candidates: a given network changed so that its units may see further, one network per idea."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import per_axis
from ..lattice.kernels import corners, soft_rim
from ..layers import Constant, Conv, ConvTranspose, Identity, Layer, MaxPool, Random, Scale, Windowed
from ..networks.building import serial
from ..networks.network import Network, Node
from ..networks.trf import receptive_fields
from .graph_edit import assembled, inserted, swapped

__all__ = ["Candidate", "KINDS", "candidates"]

#: Kinds of candidates, in the order in which they are tried.
KINDS = ("dilation", "kernel", "stride", "skip", "initialisation", "depth")
#: Half of the mass on the rim: on the way from flat to all in the corners, where it still trains.
RIM = 0.5


class Candidate(NamedTuple):
    """One idea: its kind, what is done in words, and the network that it makes."""

    kind: str
    what: str
    net: Network


def candidates(net: Network, ndim: int) -> Iterator[Candidate]:
    """All changes that can be made to a network; its output keeps name and, at stride 1, size."""
    graph = _Anatomy(net, ndim)
    for make in (_dilations, _kernels, _strides, _skips, _initialisations, _depths):
        for kind, what, build in make(graph):
            try:
                made = build()
            except ValueError:  # a change that the network's shapes do not allow
                continue
            if made != net:
                yield Candidate(kind, what, made)


class _Anatomy:
    """What the changes need to know: levels of resolution, spatial layers, cut vertices."""

    def __init__(self, net: Network, ndim: int) -> None:
        self.net, self.ndim = net, ndim
        self.fields = receptive_fields(net, ndim=ndim)
        self.readers: dict[str, list[str]] = {name: [] for name in ("input", *net.names)}
        for node in net.nodes:
            for name in set(node.inputs):
                self.readers[name].append(node.name)
        self.levels: dict[Fraction, list[Node]] = {}
        for node in net.nodes:
            if isinstance(node.layer, Conv) and self.spatial(node):
                self.levels.setdefault(self.stride(node.name), []).append(node)

    def stride(self, name: str) -> Fraction:
        """Effective stride along the first axis."""
        return Fraction(1) if name == "input" else Fraction(self.fields[name].stride[0])

    def spatial(self, node: Node) -> bool:
        """Whether a layer reads more than one site."""
        return isinstance(node.layer, Windowed) and max(per_axis(node.layer.kernel_size, self.ndim)) > 1

    def cuts(self) -> list[str]:
        """Nodes that every path passes, the input first."""
        found = ["input"]
        last = {name: max((self.net.index(r) for r in readers), default=-1) for name, readers in self.readers.items()}
        open_until = last["input"]
        for i, name in enumerate(self.net.names):
            if open_until <= i:
                found.append(name)
            open_until = max(open_until, last[name])
        return found


_Idea = tuple[str, str, Any]


def _at(stride: Fraction) -> str:
    return f"at stride {stride}"


# ---------------------------------------------------------------------------------------------
# layers that are already there
# ---------------------------------------------------------------------------------------------

def _reshaped(node: Node, ndim: int, *, kernel: int = 0, dilation: int = 1) -> Layer | None:
    """The layer with `kernel` more taps per axis, or `dilation` times the dilation, on the same sites."""
    layer: Any = node.layer
    weights = getattr(layer, "weights", None)
    if not isinstance(weights, (Random, Constant)):  # a filter of its own stays
        return None
    if kernel and getattr(weights, "profile", None) is not None:  # nobody knows what it would be on more taps
        return None
    before = per_axis(layer.kernel_size, ndim)
    sizes = tuple(k + kernel * (k > 1) for k in before)
    rates = tuple(d * dilation if k > 1 else d for d, k in zip(per_axis(layer.dilation, ndim), before))
    new = replace(layer, kernel_size=_plain(sizes), dilation=_plain(rates))
    if layer.padding in ("half", "same"):
        return new
    grown = [b.extent - a.extent for a, b in zip(layer.geometry(ndim), new.geometry(ndim))]
    if any(more % 2 for more in grown):
        return None
    pads = [(p + more // 2, q + more // 2) for (p, q), more in
            zip((g.pads(None) for g in layer.geometry(ndim)), grown)]
    return replace(new, padding=pads[0] if len(set(pads)) == 1 else tuple(pads))


def _plain(values: tuple[int, ...]) -> Any:
    """One int where all axes agree, so that the dimension stays open."""
    return values[0] if len(set(values)) == 1 else values


def _changed(graph: _Anatomy, nodes: list[Node], **how: int) -> Any:
    layers = {node.name: _reshaped(node, graph.ndim, **how) for node in nodes}
    return lambda: swapped(graph.net, {name: layer for name, layer in layers.items() if layer is not None})


def _dilations(graph: _Anatomy) -> Iterator[_Idea]:
    for stride, nodes in graph.levels.items():
        plain = [node for node in nodes if max(per_axis(node.layer.stride, graph.ndim)) == 1]  # type: ignore
        if plain:
            yield "dilation", f"double the dilation of all {_at(stride)}", _changed(graph, plain, dilation=2)
        if len(plain) > 2:
            yield ("dilation", f"double the dilation of every second {_at(stride)}",
                   _changed(graph, plain[1::2], dilation=2))
            yield "dilation", f"double the dilation of {plain[-1].name}", _changed(graph, plain[-1:], dilation=2)


def _kernels(graph: _Anatomy) -> Iterator[_Idea]:
    for stride, nodes in graph.levels.items():
        yield "kernel", f"two more taps per axis in all {_at(stride)}", _changed(graph, nodes, kernel=2)
        if len(nodes) > 2:
            yield "kernel", f"two more taps per axis in {nodes[-1].name}", _changed(graph, nodes[-1:], kernel=2)


def _initialisations(graph: _Anatomy) -> Iterator[_Idea]:
    nodes = [node for level in graph.levels.values() for node in level
             if isinstance(node.layer.weights, Random) and node.layer.weights.profile is None]  # type: ignore
    for words, make in (("half of the variance on the rim of all kernels", lambda k: soft_rim(k, RIM)),
                        ("all variance on the corners of all kernels", corners)):
        layers: dict[str, Layer] = {}
        for node in nodes:
            layer: Any = node.layer
            lines = [make(k).pmf for k in per_axis(layer.kernel_size, graph.ndim)]
            profile = lines[0] if len({len(line) for line in lines}) == 1 else _outer(lines)
            layers[node.name] = replace(layer, weights=replace(layer.weights, profile=profile))
        yield "initialisation", words, lambda layers=layers: swapped(graph.net, layers)


def _outer(lines: list[Any]) -> Any:
    product = np.ones(())
    for line in lines:
        product = np.multiply.outer(product, line)
    return product


# ---------------------------------------------------------------------------------------------
# the graph
# ---------------------------------------------------------------------------------------------

def _strides(graph: _Anatomy) -> Iterator[_Idea]:
    """Each halving of the map one spatial layer (or block) earlier, as a pool after an earlier cut."""
    cuts = graph.cuts()
    for place, cut in enumerate(cuts[1:], 1):
        coarse, fine = graph.stride(cut), graph.stride(cuts[place - 1])
        if coarse <= fine or coarse.denominator > 1 or fine.denominator > 1:
            continue
        start = place - 1  # from here on the map is finer
        seen = False
        while start > 0 and graph.stride(cuts[start - 1]) == fine and not seen:
            start -= 1
            seen = _between(graph, cuts[start], cuts[start + 1])
        if not seen:
            continue
        ratio = int(coarse / fine)
        inner = _inside(graph, cuts[place - 1], cut)
        yield ("stride", f"the stride {ratio} of {cut} moved before {_first_spatial(graph, cuts[start])}",
               lambda inner=inner, at=cuts[start], ratio=ratio: inserted(
                   swapped(graph.net, {name: _unstrided(graph.net[name].layer, graph.ndim) for name in inner}),
                   {at: MaxPool(ratio)}))


def _inside(graph: _Anatomy, first: str, last: str) -> list[str]:
    """Nodes after the cut `first` up to the cut `last`."""
    names = graph.net.names
    return list(names[0 if first == "input" else names.index(first) + 1:names.index(last) + 1])


def _between(graph: _Anatomy, first: str, last: str) -> bool:
    return any(graph.spatial(graph.net[name]) for name in _inside(graph, first, last))


def _first_spatial(graph: _Anatomy, cut: str) -> str:
    names = graph.net.names
    start = 0 if cut == "input" else names.index(cut) + 1
    return next(name for name in names[start:] if graph.spatial(graph.net[name]))


def _unstrided(layer: Layer, ndim: int) -> Layer:
    """The layer at stride 1; what only strides goes."""
    stride = getattr(layer, "stride", 1)
    if not isinstance(layer, Windowed) or isinstance(layer, ConvTranspose) or max(per_axis(stride, ndim)) == 1:
        return layer
    if not isinstance(layer, Conv):
        return Identity() if layer.kernel_size == stride else replace(layer, stride=1)  # type: ignore[call-arg]
    if layer.kernel_size == stride:
        return replace(layer, kernel_size=1, stride=1)
    return replace(layer, stride=1)


def _skips(graph: _Anatomy) -> Iterator[_Idea]:
    """The inputs of sums that add nothing to the view of the others: weakened, or left out."""
    skips: dict[str, list[str]] = {}
    for node in graph.net.nodes:
        if node.layer.sums and len(set(node.inputs)) == len(node.inputs) > 1:
            size = {name: 1 if name == "input" else graph.fields[name].size[0] for name in node.inputs}
            short = [name for name in node.inputs if size[name] < max(size.values())]
            if 0 < len(short) < len(node.inputs):
                skips[node.name] = short
    if not skips:
        return
    yield "skip", f"all {len(skips)} skips at half their weight", lambda: _reweighted(graph.net, skips, 0.5)
    yield "skip", f"all {len(skips)} skips left out", lambda: _reweighted(graph.net, skips, 0.0)
    if len(skips) > 2:
        second = {name: skips[name] for name in list(skips)[1::2]}
        yield "skip", "every second skip left out", lambda: _reweighted(graph.net, second, 0.0)
        last = list(skips)[-1]
        yield "skip", f"the skip into {last} left out", lambda: _reweighted(graph.net, {last: skips[last]}, 0.0)


def _reweighted(net: Network, skips: dict[str, list[str]], factor: float) -> Network:
    nodes: list[Node] = []
    for node in net.nodes:
        inputs = list(node.inputs)
        for name in skips.get(node.name, ()):
            if not factor:
                inputs.remove(name)
                continue
            scale = f"{node.name}.scale_{name}"
            nodes.append(Node(scale, Scale(factor), (name,)))
            inputs[inputs.index(name)] = scale
        nodes.append(node._replace(inputs=tuple(inputs)))
    return _living(nodes, net.output)


def _living(nodes: list[Node], output: str) -> Network:
    """Without the nodes that nothing reads any more."""
    used = {output}
    for node in reversed(nodes):
        if node.name in used:
            used.update(node.inputs)
    return assembled([node for node in nodes if node.name in used], output)


def _depths(graph: _Anatomy) -> Iterator[_Idea]:
    """Once more the last block, or the last layer, of each resolution."""
    cuts = graph.cuts()
    for stride, nodes in graph.levels.items():
        blocks = [(a, b) for a, b in zip(cuts, cuts[1:])
                  if graph.stride(a) == graph.stride(b) == stride and _between(graph, a, b)
                  and len(_inside(graph, a, b)) > 1]
        if blocks:
            first, last = blocks[-1]
            yield ("depth", f"the block that ends in {last} once more",
                   lambda first=first, last=last: inserted(graph.net, {last: _copy(graph, first, last)}))
            continue
        node = nodes[-1]
        tail, after = [node.name], graph.readers[node.name]
        while len(after) == 1 and graph.net[after[0]].layer.follows:
            tail.append(after[0])
            after = graph.readers[after[0]]
        parts = [_again(graph.net[name].layer, graph.ndim) for name in tail]
        yield ("depth", f"{node.name} once more after it",
               lambda tail=tail, parts=parts: inserted(graph.net, {tail[-1]: serial(*parts)}))


def _again(layer: Layer, ndim: int) -> Any:
    """A layer after itself: its own channels come in, and the map keeps its size."""
    layer = replace(layer, name=None)  # type: ignore[call-arg]
    if isinstance(layer, Conv):
        layer = _unstrided(layer, ndim)
    return layer


def _copy(graph: _Anatomy, first: str, last: str) -> Network:
    """The block after the cut `first` up to the cut `last` as a network of its own."""
    nodes = [graph.net[name] for name in _inside(graph, first, last)]
    inner = [node._replace(layer=_again(node.layer, graph.ndim),
                           inputs=tuple("input" if j == first else j for j in node.inputs)) for node in nodes]
    return assembled(inner, last)
