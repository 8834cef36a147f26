"""Exported programs of PyTorch without their blocks: what stands under `torch.autocast` or `torch.no_grad`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["unwrapped"]


def unwrapped(program: Any) -> tuple[Sequence[Any], dict[str, str]]:
    """The nodes of a program, those inside blocks (`torch.autocast`, `no_grad`) in their place, and new names."""
    import torch.fx

    def inside(node: Any, module: Any) -> Any:
        """The module of a block, and the position of its first argument; None of other nodes."""
        if node.op != "call_function" or not getattr(node.target, "__name__", "").startswith("wrap_with_"):
            return None
        for i, argument in enumerate(node.args):
            if getattr(argument, "op", "") == "get_attr":
                return module.get_submodule(argument.target), i + 1
        return None

    module = program.graph_module
    if not any(inside(node, module) for node in program.graph.nodes):
        return list(program.graph.nodes), {}
    graph = torch.fx.Graph()

    def copied(module: Any, known: dict[Any, Any]) -> Any:
        for node in module.graph.nodes:
            block = inside(node, module)
            if node.op == "output":
                return node.args[0]
            if block is not None:
                places = [n for n in block[0].graph.nodes if n.op == "placeholder"]
                within = {n: known.get(a, a) for n, a in zip(places, node.args[block[1]:])}
                outputs = copied(block[0], within)
                known[node] = [within[n] for n in outputs]
            elif node.op == "call_function" and isinstance(known.get(node.args[0] if node.args else None), list):
                known[node] = known[node.args[0]][node.args[1]]
            elif node not in known:
                known[node] = graph.node_copy(node, known.__getitem__)
        return ()

    known: dict[Any, Any] = {}
    copied(module, known)
    return list(graph.nodes), {node.name: new.name for node, new in known.items() if hasattr(new, "name")}
