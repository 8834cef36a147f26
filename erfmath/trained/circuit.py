"""The backward pass of given weights, its gates aside: linear, the same for every input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..empirics.arrays import Array
from ..empirics.boxes import Program
from ..empirics.plan import Plan
from ..empirics.rules import Call, Pull, Step, rule_of
from ..layers import Conv
from ..networks.network import Network
from ..networks.settings import RunSettings
from .fused import Fused, fuse
from .kinds import Origin, kind_of
from .slopes import signs

__all__ = ["Circuit", "add_to", "channels_of", "gates_of", "given_names", "missing_names", "origins", "streams"]

#: What a node does to the gradient of its output.
Pulls = Mapping[int, Callable[[Array], Sequence[Array]]]


def add_to(program: Program, waiting: dict[int, Array], i: int, parts: Sequence[Array]) -> None:
    """Hand the gradients of node `i`'s inputs to them."""
    for j, part in zip(program.steps[i].inputs, parts):
        if j in program.path:
            waiting[j] = waiting[j] + part if j in waiting else part


def given_names(plan: Plan) -> dict[int, set[str]]:
    """By the node's position, names of the parameters that are given."""
    found: dict[int, set[str]] = {}
    for i, name in plan.recipe.given:
        found.setdefault(i, set()).add(name)
    return found


def missing_names(net: Network, plan: Plan) -> tuple[str, ...]:
    """What has no array and is random, by its name in `weights`."""
    return tuple(net.names[i] + (f".{name}" if name == "bias" else "") for i, name in sorted(plan.recipe.drawn))


def gates_of(plan: Plan) -> tuple[Program, dict[int, Fused], list[int]]:
    """The program with functions of one value fused, what its steps stand for, and the gates.

    These are the positions of the nodes between source and unit whose gradients depend on the data, from the input on.
    """
    program, fused = fuse(plan.program)
    given = given_names(plan)
    return program, fused, [i for i, step in program.steps.items() if i in program.path and i > program.source
                            and (i in fused or rule_of(step.layer).is_gate(step.layer, given.get(i, ())))]


def channels_of(net: Network, settings: RunSettings) -> dict[int, int]:
    """Channels of the nodes by position, and of the input at -1."""
    return dict(enumerate(settings.channels(net).values())) | {-1: settings.channels_in}


def streams(program: Program, joined: bool = False) -> dict[int, int]:
    """A number for each node: the same where values follow from each other without a kernel in between.

    Where streams meet, a new one begins.  If `joined`, it goes on where one of them is what all others are made of, as
    at the end of a residual branch.
    """
    found, above = {-1: -1}, {-1: frozenset((-1,))}
    for i, step in program.steps.items():
        met = list(dict.fromkeys(found[j] for j in step.inputs))
        made_of = [frozenset.union(*(above[j] for j in step.inputs if found[j] == stream)) for stream in met]
        kept = [stream for k, stream in enumerate(met) if all(stream in made_of[n] for n in range(len(met)) if n != k)]
        goes_on = not step.layer.takes_weights and len(kept) == 1 and (joined or len(met) == 1)
        found[i] = kept[0] if goes_on else i
        above[i] = frozenset.union(*(above[j] for j in step.inputs), (found[i],))
    return found


def origins(circuit: Circuit) -> dict[int, Origin]:
    """The value that each node's is made of, site by site; averages over sites and kernels make values of their own."""
    count, found = circuit.channels, {-1: Origin(-1, 0, circuit.channels[-1])}
    for i, step in circuit.program.steps.items():
        made = None
        if len(step.inputs) == 1:
            above = found[step.inputs[0]]
            made = above if i in circuit.fused else kind_of(step.layer).origin(step.layer, above, count[above.root])
        found[i] = made or Origin(i, 0, count[i])
    return found


def _side_by_side(pull: Pull) -> Pull:
    """All draws meet the same weights: as images of one draw, one long matrix product serves them all."""
    def of_all(dy: Array) -> list[Array]:
        if dy.shape[2] != 1:
            return list(pull(dy))
        return [part.swapaxes(0, 2) for part in pull(dy.swapaxes(0, 2))]
    return of_all


def _nothing_done(dy: Array) -> list[Array]:
    return [dy]


@dataclass(frozen=True)
class Circuit:
    """What all draws have in common.

    Attributes
    ----------
    plan : Plan
    program : Program
        Of the plan, functions of one value fused.
    fused : dict
        What nodes these stand for.
    linear : dict
        Pulls of the nodes whose gradients depend on no data.
    gates : tuple of int
        The others.
    channels : dict of int to int
        Of the nodes, -1 the input.
    """

    plan: Plan
    program: Program
    fused: dict[int, Fused]
    linear: dict[int, Pull]
    gates: tuple[int, ...]
    channels: dict[int, int]

    @property
    def dtype(self) -> Any:
        return np.dtype(self.plan.recipe.dtype)

    @staticmethod
    def of(plan: Plan, channels: Mapping[int, int], parameters: Mapping[tuple[int, str], Array]) -> Circuit:
        """Of a plan and the `channels_of` its network; nothing goes forward but shapes."""
        program, fused, gates = gates_of(plan)
        by_node: dict[int, dict[str, Array]] = {i: {} for i in program.steps}
        for (i, name), array in parameters.items():
            if i in by_node:
                by_node[i][name] = array.astype(plan.recipe.dtype, copy=False)
        linear = dict[int, Pull]()
        readers = Counter(j for i in program.path if i > program.source for j in program.steps[i].inputs)
        for i in sorted(program.path, reverse=True):
            step = program.steps.get(i)
            if step is None or i <= program.source or i in gates:
                continue
            nothing = [np.zeros((1, channels[j], 0, *held.shape), plan.recipe.dtype)
                       for j, held in zip(step.inputs, step.forward.held)]
            pull = rule_of(step.layer).run(Call(step, by_node[i], 0, False, (), True, True), nothing)[1]
            below = step.inputs[0]
            if (step.layer.takes_norm and below in program.path and below > program.source and readers[below] == 1
                    and isinstance(program.steps[below].layer, Conv) and step.backward.out == step.backward.held[0]):
                # What multiplies each channel of a convolution's output goes into its kernel.
                ones = np.ones((1, channels[i], 1, *(1,) * len(step.geometry)), plan.recipe.dtype)
                factor = np.asarray(pull(ones)[0]).reshape(-1, *(1,) * (len(step.geometry) + 1))
                by_node[below] = {**by_node[below], "kernel": by_node[below]["kernel"] * factor}
                linear[i] = _nothing_done
            else:
                linear[i] = _side_by_side(pull)
        return Circuit(plan, program, fused, linear, tuple(gates), dict(channels))

    def step(self, i: int) -> Step:
        """The step of a node."""
        return self.program.steps[i]

    def units(self, rng: np.random.Generator | None, draws: int, statistic: str) -> Array:
        """Gradients of the unit, (draws, channels, 1, 1, ...): random signs, one channel after the other, or the mean.

        Random signs have variance 1 / channels each.  Without `rng` there are as many draws as channels.
        """
        count, space = self.channels[self.program.top], (1,) * len(self.program.unit.lo)
        channel = self.plan.channel
        if channel is not None:
            numbers = np.zeros((draws if rng is not None else 1, count))
            numbers[:, channel] = 1
        elif statistic == "mean":
            numbers = np.full((1, count), 1 / count)
        elif rng is None:
            numbers = np.eye(count) / np.sqrt(count)
        else:
            numbers = signs(rng, (draws, count), float) / np.sqrt(count)
        return numbers.reshape(*numbers.shape, 1, *space).astype(self.dtype)
