"""Products and sums of functions of one value, as a swish written out: one function of that value, and one gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..empirics.arrays import Array
from ..empirics.boxes import Program
from ..empirics.rules import Pull, Step, Window
from .kinds import kind_of

__all__ = ["Fused", "fuse", "fused_pull"]


class Fused(NamedTuple):
    """Nodes that make one function: from the value of node `root` to the last of `nodes`."""

    root: int
    nodes: tuple[int, ...]


def fuse(program: Program) -> tuple[Program, dict[int, Fused]]:
    """The program with merges of functions of one value as single steps, and which nodes these stand for.

    Of a product all, of a sum those of which more than one input is a gate.  Nodes that nothing else reads are left
    out.
    """
    root: dict[int, Any] = {program.source: program.source}
    gates, found = {program.source: False}, dict[int, Fused]()
    steps = {i: step for i, step in program.steps.items() if i in program.path and i > program.source}
    for i, step in steps.items():
        root[i], gates[i] = i, False
        above = {root.get(j) for j in step.inputs}
        merges = step.layer.multiplies or step.layer.sums
        if len(above) != 1 or None in above or not (merges or _pointwise(step)):
            continue
        root[i], = above
        gates[i] = step.layer.multiplies or (step.layer.is_gate and not step.layer.statistics) or any(
            gates[j] for j in step.inputs)
        if len(step.inputs) > 1 and (step.layer.multiplies or sum(gates[j] for j in step.inputs) > 1):
            nodes, waiting = {i}, list(step.inputs)
            while waiting:
                j = waiting.pop()
                if j != root[i] and j not in nodes:
                    nodes.add(j)
                    waiting.extend(steps[j].inputs)
            found[i] = Fused(root[i], tuple(sorted(nodes)))
    if not found:
        return program, {}
    small = {i: _single(step, steps, found[i]) if i in found else step for i, step in program.steps.items()}
    path = set(program.path)
    read = {j for i in path if i in small and i > program.source for j in small[i].inputs}
    for i in sorted({j for one in found.values() for j in one.nodes}, reverse=True):
        if i != program.top and i not in read:
            path.discard(i)
            read = {j for k in path if k > program.source for j in small[k].inputs}
    kept = {i: step for i, step in small.items() if i in path or i not in program.path}
    return dataclasses.replace(program, steps=kept, path=frozenset(path)), {
        i: one for i, one in found.items() if i in path}


def _pointwise(step: Step) -> bool:
    return kind_of(step.layer).pointwise and not step.over_map and not step.forward.folds


def _single(step: Step, steps: Mapping[int, Step], fused: Fused) -> Step:
    """The merge as a step that reads the root."""
    held = next(steps[i].backward.held[which] for i in fused.nodes
                for which, j in enumerate(steps[i].inputs) if j == fused.root)
    return dataclasses.replace(step, inputs=(fused.root,), backward=Window(
        step.backward.out, (held,), (step.backward.out,)))


def fused_pull(program: Program, fused: Fused, pulls: Mapping[int, Pull]) -> Pull:
    """From the gradient of the last node to that of the root, through those between."""
    def pull(dy: Array) -> list[Array]:
        waiting = {fused.nodes[-1]: dy}
        for i in reversed(fused.nodes):
            if i in waiting:
                for j, part in zip(program.steps[i].inputs, pulls[i](waiting.pop(i))):
                    waiting[j] = waiting[j] + part if j in waiting else part
        return [waiting[fused.root]]
    return pull
