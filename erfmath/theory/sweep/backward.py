"""The backward sweep: from a unit down to the pixels, layer by layer.

`plan` says what to carry where, `states` how it passes each kind of layer; here the two are put
together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Union

import numpy as np

from ...base.errors import check_bytes
from ...layers import Add, Concat, Dropout
from .covariance import MIXED, Covariance, Factor, correlate
from .forward import Gates, forward
from .inputs import InputModel
from .plan import RECENT, SAMPLE, Edge, Graph, Plan
from .taps import REMEDY, Array

__all__ = ["backward", "prepared"]

#: Bytes of gates that are kept for the next unit of the same graph.
KEPT = 2**25
#: Gradients linear in the unit's own numbers, by the concatenations that have parted them.
Factors = dict[Any, Factor]
State = Union[Factors, Covariance, "Runs"]


def backward(graph: Graph, unit: tuple[int, ...], mean: bool, inputs: InputModel = InputModel()
             ) -> tuple[Array, tuple[int, ...]]:
    """E[g^2] (or, with `mean`, E[g]) at the network's input, summed over its channels.

    Parameters
    ----------
    graph : Graph
    unit : tuple of int
        Unit of the top node, whose output gradient has total power 1 (sum 1 for the mean).

    inputs : InputModel

    Returns
    -------
    values : ndarray, shape (*lattice)
    start : tuple of int
        Input pixel of its first element.

    Raises
    ------
    NotImplementedError
        Where the theory has no rule; the message says what has one.
    SizeError
        Where the covariance to be carried would not fit in memory.
    """
    return _Sweep(graph, mean, inputs).run(unit)


@dataclass(frozen=True)
class Runs:
    """A gradient inside a residual stream, split by the gate through which each part entered.

    The same site is gated again and again along the identity branches: with each part goes
    survival, the mean of phi'^2 along the gates passed so far given the value below the last.
    """

    parts: tuple[tuple[Covariance, Array], ...]


def prepared(graph: Graph, mean: bool, inputs: InputModel) -> tuple[Plan, Gates]:
    """Plan and gates; those of a graph are the same for all its units, and kept with it unless large."""
    about = mean, inputs.second, inputs.far
    if about in graph.found and inputs.covariance is None:
        plan, gates = graph.found[about]
        return plan, gates
    plan = Plan(graph, mean)
    gates = forward(graph, plan, inputs) if plan.gated else Gates()
    if inputs.covariance is None and sum(gate.nbytes for gate in gates.power.values()) <= KEPT:
        if len(graph.found) == RECENT:
            graph.found.clear()
        graph.found[about] = plan, gates
    return plan, gates


class _Sweep:
    """One sweep over one graph."""

    def __init__(self, graph: Graph, mean: bool, inputs: InputModel) -> None:
        self.graph, self.mean = graph, mean
        self.plan, self.gates = prepared(graph, mean, inputs)
        self.below: dict[int, list[tuple[int, Edge]]] = {}  # per node, what it reads and how
        for j, edges in self.plan.edges.items():
            for edge in edges:
                self.below.setdefault(edge.reader, []).append((j, edge))
        # Sources whose covariance a contraction further down will ask for.
        self.kept = {source for sources in self.plan.meetings.values() for source in sources}
        self.fresh: dict[int, Covariance] = {}

    def run(self, unit: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
        graph, meetings = self.graph, self.plan.meetings
        arrived: dict[int, list[State]] = {i: [] for i in self.plan.edges}
        arrived[graph.top].append({(): self._unit(unit)})
        for i in range(graph.top, -2, -1):
            parts = arrived.pop(i)
            if i in meetings:
                parts += [self._contract(source, i) for source in meetings[i] if source in self.fresh]
            if not parts:
                continue
            state = self._collect(i, parts)
            if i < 0:
                return self._finish(state)
            for j, edge in self.below[i]:
                part = self._pass(state, edge, j) if graph.ops[i].random or j not in meetings else None
                if part is not None:
                    arrived[j].append(part)
                    if graph.ops[i].random and j in self.kept:
                        self._keep(j, part)
        return np.zeros((0,) * graph.ndim), (0,) * graph.ndim

    def _unit(self, unit: tuple[int, ...]) -> Factor:
        top = self.graph.top
        count = self.graph.channels[top]
        if self.plan.channels == "explicit":
            numbers = np.full((1, count), 1 / count) if self.mean else np.eye(count) * count**-0.5
        else:
            weights = {"one": [1.0], "ones": [1 / count], "modes": [1 / count, 1 - 1 / count]}
            numbers = np.sqrt(weights[self.plan.channels])[:, None]
        start = Factor(numbers.reshape(*numbers.shape, *(1,) * self.graph.ndim), unit)
        if top in self.kept:
            self._keep(top, self._covariance({(): start}, top))
        return start

    def _keep(self, i: int, part: State) -> None:
        assert isinstance(part, Covariance)
        self.fresh[i] = self._merge(i, [self.fresh[i], part]) if i in self.fresh else part

    def _merge(self, i: int, parts: list[Covariance]) -> Covariance:
        total = parts[0]
        for part in parts[1:]:
            total = total.merge(part, self.graph.channels[i], i in self.plan.ones)
        return total

    def _collect(self, i: int, parts: list[State]) -> State:
        """The gradient at node `i` from all that its readers handed down."""
        factors: Factors = {}
        for part in parts:
            if isinstance(part, dict):
                for key, factor in part.items():
                    factors[key] = factors[key] + factor if key in factors else factor
        if i in self.plan.factor:
            return factors
        rest = [part for part in parts if isinstance(part, Covariance)]
        rest += [self._covariance(factors, i)] if factors else []
        runs = [run for part in parts if isinstance(part, Runs) for run in part.parts]
        if runs and i in self.gates.streams:
            entering = [(self._merge(i, rest), np.ones_like(self.gates.streams[i].p_behind))] if rest else []
            return Runs((*runs, *entering))
        if runs and not rest:
            return Runs(tuple(runs))
        return self._merge(i, rest + [part for part, _ in runs])

    def _covariance(self, factors: Factors, i: int) -> Covariance:
        return self._merge(i, [f.covariance(self.plan.lags[i], self.graph.groups[i], self.plan.channels)
                               for f in factors.values()])

    def _finish(self, state: State) -> tuple[Array, tuple[int, ...]]:
        if isinstance(state, Runs):
            state = self._merge(-1, [part for part, _ in state.parts])
        if isinstance(state, Covariance):
            return state.power, state.start
        if self.mean:
            factor, = state.values()
            scale = 1.0 if self.plan.channels == "explicit" else self.graph.channels[-1]**0.5
            return factor.values.sum(axis=(0, 1)) * scale, factor.start
        total = self._covariance(state, -1)
        return total.power, total.start

    # -- one layer ----------------------------------------------------------------------------

    def _pass(self, state: State, edge: Edge, j: int) -> State | None:
        """What `state` at the reader's output becomes at its input, node `j`; None where nothing is left."""
        i = edge.reader
        if isinstance(state, dict):
            if self.plan.keeps_factor(i):
                below = {key if self.plan.channels != "one" or not isinstance(self.graph.layers[i], Concat)
                         else (*key, (i, edge.slot)): self._pass_factor(factor, edge, j).times(edge.times)
                         for key, factor in state.items()}
                left = {key: factor for key, factor in below.items() if factor.values.size}
                return left or None
            state = self._covariance(state, i)
        if isinstance(state, Covariance) and i in self.gates.streams:
            state = Runs(((state, np.ones_like(self.gates.streams[i].p_behind)),))
        if isinstance(state, Runs):
            if i in self.gates.streams:
                return self._pass_stream(state, i)
            if j in self.gates.streams:
                return state
            state = self._merge(i, [part for part, _ in state.parts])
        passed = self._pass_covariance(state, edge, j).times(edge.times)
        if passed.uniform is not None and j not in self.plan.ones:
            passed = replace(passed, uniform=None)
        return passed.with_lags(self.plan.lags[j]) if passed.bare.size else None

    def _pass_stream(self, runs: Runs, i: int) -> Runs:
        """Through the gate behind a residual sum: open more often for what passed later gates already."""
        stream = self.gates.streams[i]
        behind = np.stack([survival for _, survival in runs.parts], axis=1)
        before = stream.transition @ behind
        open_more = np.sqrt((stream.p_before @ before) / (stream.p_behind @ behind))
        return Runs(tuple((part.times(factor), survival) for (part, _), factor, survival in
                          zip(runs.parts, open_more.tolist(), before.T)))

    def _pass_factor(self, factor: Factor, edge: Edge, j: int) -> Factor:
        i, channels = edge.reader, self.plan.channels
        layer, op, sizes = self.graph.layers[i], self.graph.ops[i], self.graph.sizes[j]
        c_in, c_out = self.graph.channels[j], self.graph.channels[i]
        if isinstance(layer, Concat):
            if channels != "explicit":
                return factor.times((c_in / c_out)**0.5)
            first = sum(self.graph.channels[k] for k in self.graph.sources[i][:edge.slot])
            return replace(factor, values=factor.values[:, first:first + c_in])
        if op.kind == "full":
            return factor.through_full(op, sizes)
        if op.kind == "constant":
            if channels == "explicit":
                return factor.through_constant(op, sizes, c_in, c_out)
            below = factor.through(op, sizes).times((c_out / c_in)**0.5)
            below.values[1:] = 0  # directions other than that of equal channels end here
            return below
        return factor.through(op, sizes)

    def _pass_covariance(self, state: Covariance, edge: Edge, j: int) -> Covariance:
        i, graph = edge.reader, self.graph
        layer, op, sizes, lags = graph.layers[i], graph.ops[i], graph.sizes[j], self.plan.lags[j]
        if isinstance(layer, Concat):
            if state.mixing == MIXED or (state.mixing and j in self.plan.ones):
                raise NotImplementedError(f"a concatenation between deterministic layers that mix channels: {SAMPLE}")
            first = sum(len(graph.groups[k]) for k in graph.sources[i][:edge.slot])
            return replace(state, bare=state.bare[first:first + len(graph.groups[j])], uniform=None)
        if isinstance(layer, Add):
            return state.regrouped(graph.groups[i], graph.groups[j])
        if op.kind == "gate":
            if state.mixing and j in self.plan.ones:
                raise NotImplementedError(f"a gate between deterministic layers that mix channels: {SAMPLE}")
            return state.gated(self.gates.power[i])
        if isinstance(layer, Dropout):
            return state.masked(layer.p, graph.channels[i])
        if op.kind == "random":
            return state.through_random(op, sizes, lags, graph.shares(j), graph.channels[j])
        if op.kind == "constant":
            return state.through_constant(op, sizes, lags, graph.channels[j], graph.channels[i], graph.shares(j))
        if op.kind == "full":
            if len(graph.groups[j]) > 1:
                raise NotImplementedError(f"given weights that mix channels right after a concatenation: {SAMPLE}")
            return state.through_full(op, sizes, lags)
        if op.kind == "route":
            op, bias = self.gates.routes.get(i, (op, None))
            return state.through_route(op, sizes, lags, graph.channels[i], bias)
        return state.through_fixed(op, sizes, lags)

    # -- branches that meet -------------------------------------------------------------------

    def _contract(self, source: int, i: int) -> Covariance:
        """Covariance at node `i` of what comes from `source` along all deterministic paths: T^T M T."""
        above = self.fresh[source]
        sites = above.values.shape[1 + above.ndim:]
        count = math.prod(sites)
        check_bytes(8 * count**2, f"contracting {count} gradients", REMEDY)
        unit = np.eye(count).reshape(count, 1, *sites)
        responses = self._respond(Factor(unit, above.start), source, i)
        mixed = []
        for group in above.values:
            matrix = _dense(group, above.lags, sites)
            mixed.append(np.tensordot(matrix, responses.values, 1))
        values = np.concatenate([correlate(responses.values, m, self.plan.lags[i]) for m in mixed])
        # Independent channels stay so, and alike if they were.
        uniform = values.sum(axis=0, keepdims=True) / self.graph.channels[i] if above.mixing else None
        below = Covariance(values, responses.start, uniform, above.mixing)
        return below.regrouped(self.graph.groups[source], self.graph.groups[i])

    def _respond(self, unit: Factor, source: int, i: int) -> Factor:
        """Gradients at node `i` for each of the unit gradients at `source`."""
        reached = {source: unit}
        for k in range(source, i, -1):
            if k not in reached:
                continue
            factor = reached.pop(k)
            for j, edge in self.below[k]:
                op, layer = self.graph.ops[k], self.graph.layers[k]
                if op.random or j < i:
                    continue
                if op.kind != "fixed" or isinstance(layer, (Concat, Dropout)):
                    raise NotImplementedError(
                        f"branches that part above a layer of kind {layer.kind!r} and meet again below it, with no "
                        f"random layer between: {SAMPLE}")
                below = factor.through(op, self.graph.sizes[j]).times(edge.times)
                reached[j] = reached[j] + below if j in reached else below
        return reached[i]


def _dense(group: Array, lags: tuple[int, ...], sites: tuple[int, ...]) -> Array:
    """M(x, tau) as a matrix over all pairs of sites."""
    count = math.prod(sites)
    first = np.indices(sites).reshape(len(sites), -1)
    matrix = np.zeros((count, count))
    for tau in np.ndindex(*group.shape[:len(sites)]):
        second = first + (np.array(tau) - lags)[:, None]
        near = ((second >= 0) & (second < np.array(sites)[:, None])).all(axis=0)
        matrix[np.flatnonzero(near), np.ravel_multi_index(tuple(second[:, near]), sites)] = group[tau].reshape(-1)[near]
    return matrix
