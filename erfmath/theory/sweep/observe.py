"""What the sweeps know of every node, for `erfmath.signals`: moments of values, power of gradients."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..rules.context import Below
from .backward import State, _Sweep
from .conditioning import Conditioned
from .covariance import Covariance
from .forward import Gates, forward
from .inputs import InputModel
from .moments import Moments
from .plan import Edge, Graph, Plan
from .values import Affine

__all__ = ["Observed", "observe"]


class Observed(NamedTuple):
    """By position of the node, -1 is the input; nodes that no sweep visits are left out.

    Attributes
    ----------
    moments : dict
    arriving : dict
        Power of the gradient at the node's output, over all sites and channels; nan where an activation
        acts on what another one has made, or dependent branches meet there.
    passing : dict
        Power of what the node hands to its inputs; nan where an activation acts on what another one has made.
    """

    moments: dict[int, Moments]
    arriving: dict[int, float]
    passing: dict[int, float]


def observe(graph: Graph, unit: tuple[int, ...], inputs: InputModel) -> Observed:
    """Both sweeps, for the gradient of total power 1 of a unit of the top node."""
    moments: dict[int, Moments] = {}
    plan = Plan(graph, False)
    sweep = _Watched(graph, plan, forward(graph, plan, inputs, moments))
    values, _, log_scale = sweep.run(unit)
    return Observed(moments, {**sweep.arriving, -1: _times_exp(float(values.sum()), log_scale)}, sweep.passing)


def _times_exp(value: float, log: float) -> float:
    """value exp(log): 0 or infinity where that is beyond the range of floats."""
    with np.errstate(over="ignore"):
        return value * float(np.exp(log)) if log else value


class _Watched(_Sweep):
    """The backward sweep, which adds up the power that it carries.

    Where a value is a nonlinear function of its source, what the sweep carries is already weighed by how open the
    gates before it are for this gradient (`conditioning`).  The power itself is then the sum of what readers hand down.
    """

    visits_all = True

    def __init__(self, graph: Graph, plan: Plan, gates: Gates) -> None:
        super().__init__(graph, False, plan, gates)
        self.arriving: dict[int, float] = {}
        self.passing: dict[int, float] = {}
        self.handed: dict[int, float] = {}

    def _bent(self, i: int) -> bool:
        """Whether the value of a node is more than a multiple of its source."""
        return any(value is not None and not all(isinstance(step, Affine) for step in value.steps)
                   for value in self.gates.sites.get(i, ()))

    def _collect(self, i: int, parts: list[State]) -> State:
        state = super()._collect(i, parts)
        if self._bent(i) and i in self.handed:
            self.arriving[i] = math.nan if i in self.plan.meetings else self.handed[i]
        else:
            self.arriving[i] = self._total(state, i)
        if i >= 0:
            self.passing[i] = 0.0
        return state

    def _pass(self, state: State, edge: Edge, j: int) -> State | None:
        i, part = edge.reader, super()._pass(state, edge, j)
        power = 0.0 if part is None else self._total(part, j)
        if part is not None and self._bent(j) and not self.graph.ops[i].fresh:
            power = self._unconditioned(state, edge, j)
        self.passing[i] += power
        self.handed[j] = self.handed.get(j, 0.0) + power
        return part

    def _unconditioned(self, state: State, edge: Edge, j: int) -> float:
        """What a layer hands down of the power that arrives, whatever gates before it make of that."""
        i, layer = edge.reader, self.graph.layers[edge.reader]
        if layer.is_gate and not layer.statistics:
            return math.nan
        if isinstance(state, dict):
            state = self._covariance(state, i)
        parts = [part for part, _ in state.parts] if isinstance(state, Conditioned) else [state]
        at = Below(self.plan, self.gates, edge, j)
        gone = [self._through(at, part) for part in parts]
        return self.arriving[i] * _sum([part for part in gone if part]) / _sum(parts)

    def _total(self, state: State, i: int) -> float:
        if isinstance(state, dict):
            state = self._covariance(state, i)
        parts = [part for part, _ in state.parts] if isinstance(state, Conditioned) else [state]
        return _times_exp(_sum(parts), 2 * self.log_scale)


def _sum(parts: list[Covariance]) -> float:
    return sum(float(part.power.sum()) for part in parts)
