"""Runs a network: forward over the steps of a program, and backward.

What a layer does is its rule's business (`empirics.rules`); here values and gradients are handed on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from .arrays import Array, place
from .boxes import Program
from .rules import Call, Pull, Step, rule_of

__all__ = ["Parameters", "Run", "forward"]

#: By the node's position and the parameter's name: (draws or 1, *shape).
Parameters = Mapping[tuple[int, str], Array]


class Run:
    """A forward pass, ready to go backward.

    Attributes
    ----------
    output : ndarray
        Values of the last node on its forward box, (draws, channels, images, *space).
    pulls : dict
        Of the nodes between source and unit, until `backward` has used them.
    """

    def __init__(self, program: Program, calls: dict[int, Call], pulls: dict[int, Pull], output: Array) -> None:
        self.output = output
        self.pulls = pulls
        self._calls = calls
        self._program = program

    def backward(self, gradient: Array) -> Array:
        """Gradient of the program's source on its backward box, from that of the output on the program's unit.

        What the forward pass left is released on the way.
        """
        return self._sweep(gradient)[self._program.source]

    def learn(self, gradient: Array) -> dict[tuple[int, str], Array]:
        """Gradients of the parameters of a run in training, by node and name."""
        self._sweep(gradient)
        return {(i, name): array for i, call in reversed(self._calls.items()) for name, array in call.gradients.items()}

    @property
    def statistics(self) -> dict[tuple[int, str], Array]:
        """In training: mean and variance that batch norms have met, (draws, channels), by node and name."""
        return {(i, name): array for i, call in self._calls.items() for name, array in call.statistics.items()}

    def _sweep(self, gradient: Array) -> dict[int, Array]:
        program = self._program
        top = program.steps[program.top]
        waiting = {top.index: place(gradient, program.unit, top.backward.out)}
        del gradient
        for i in sorted(self.pulls, reverse=True):
            _add_to(waiting, program.path, program.steps[i].inputs, self.pulls.pop(i)(waiting.pop(i)))
        return waiting


def _add_to(waiting: dict[int, Array], path: Collection[int], inputs: Sequence[int], parts: Sequence[Array]) -> None:
    """In a function of its own, so that nothing holds the parts any longer."""
    for j, part in zip(inputs, parts):
        if j in path:
            waiting[j] = waiting[j] + part if j in waiting else part


def forward(program: Program, parameters: Parameters, x: Array, *, images: int | None = None, training: bool = False,
            to_inputs: bool = True, generators: Sequence[np.random.Generator] = (),
            seen: Callable[[Step, Sequence[Array]], None] | None = None) -> Run:
    """Run the steps of `program` on inputs `x`.

    Parameters
    ----------
    program : Program
    parameters : mapping
        By the node's position and the parameter's name: kernels of convolutions, and what else is given or drawn.
        Norms without statistics take those of the batch.
    x : ndarray
        Inputs on the program's forward box, shape (draws, channels, images, *space).
    images : int, optional
        How many of the images, the first ones, will be back-propagated (default: all).  The others
        only serve batch statistics.
    training : bool
        Keep what the gradients to the parameters need, and back-propagate through batch statistics.
    to_inputs : bool
        Whether `backward` is asked for the gradient of the inputs; without, the first convolutions spare it.
    generators : sequence of Generator
        One a draw, for dropout; without, nothing is dropped.
    seen : callable, optional
        Called with each step and its inputs, before it is run.
    """
    if x.shape[3:] != program.forward.shape:
        raise ValueError(f"x: {x.shape[3:]} sites; the program needs {program.forward.shape}")
    images = x.shape[2] if images is None else images
    by_node: dict[int, dict[str, Array]] = {i: {} for i in program.steps}
    for (i, name), array in parameters.items():
        if i in by_node:
            by_node[i][name] = array
    values, calls = {-1: x}, {}
    pulls: dict[int, Pull] = {}
    del x
    last_use = {j: i for i, step in program.steps.items() for j in step.inputs}
    for i, step in program.steps.items():
        inputs = [values[j] for j in step.inputs]
        for j in set(step.inputs):
            if last_use[j] == i:
                del values[j]
        if seen is not None:
            seen(step, inputs)
        calls[i] = Call(step, by_node[i], images, training, generators, to_inputs or min(step.inputs) >= 0)
        values[i], pull = rule_of(step.layer).run(calls[i], inputs)
        if i in program.path and i > program.source:
            pulls[i] = pull
    return Run(program, calls, pulls, values[program.top])
