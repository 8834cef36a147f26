"""Networks with a node changed, added or taken away; names of all other nodes stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..layers import Layer
from ..networks.building import Part, serial
from ..networks.network import Network, Node

__all__ = ["assembled", "inserted", "swapped", "upto"]


def assembled(nodes: Iterable[Node], output: str) -> Network:
    """The network of these nodes, each after its inputs."""
    nodes = list(nodes)
    place = {node.name: i for i, node in enumerate(nodes)} | {"input": -1}
    return Network([node.layer for node in nodes], [tuple(place[name] for name in node.inputs) for node in nodes],
                   place[output], tuple(node.name for node in nodes))


def upto(net: Network, node: str | None) -> Network:
    """The nodes that lead to `node`, which becomes the output."""
    top = net.index(node)
    used = {top}
    for i in range(top, -1, -1):
        if i in used:
            used.update(net.sources[i])
    return assembled([net.nodes[i] for i in sorted(used - {-1})], net.names[top])


def swapped(net: Network, layers: Mapping[str, Layer]) -> Network:
    """Other layers in the place of some nodes'."""
    return assembled((node._replace(layer=layers.get(node.name, node.layer)) for node in net.nodes), net.output)


def inserted(net: Network, parts: Mapping[str, Part]) -> Network:
    """A part put after each of the named nodes ("input": before the network), read by all their readers."""
    moved: dict[str, str] = {}
    taken = set(net.names)
    nodes: list[Node] = []
    for name in ("input", *net.names):
        if name != "input":
            node = net[name]
            nodes.append(node._replace(inputs=tuple(moved.get(j, j) for j in node.inputs)))
        if name not in parts:
            continue
        fresh: dict[str, str] = {"input": name}
        for new in serial(parts[name]).nodes:
            fresh[new.name] = _free(f"{name}.{new.name}", taken)
            taken.add(fresh[new.name])
            nodes.append(Node(fresh[new.name], new.layer, tuple(fresh[j] for j in new.inputs)))
        moved[name] = nodes[-1].name
    return assembled(nodes, moved.get(net.output, net.output))


def _free(name: str, taken: set[str]) -> str:
    """`name`, with a number where it is taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
