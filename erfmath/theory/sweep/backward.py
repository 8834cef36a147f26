"""The backward sweep: from a unit down to the pixels, layer by layer.

`plan` says what to carry where, the rules how it passes each kind of layer; here the two are put
together.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Union

import numpy as np

from ...base.errors import check_bytes
from ..memory import PerObject
from ..rules.context import Below
from .conditioning import Conditioned, Knowns, conditional, entry, handed
from .covariance import Covariance, Factor, correlate
from .forward import Gates, forward
from .inputs import InputModel
from .lowering import SAMPLE
from .plan import RECENT, Edge, Graph, Plan
from .taps import REMEDY, Array

__all__ = ["backward", "prepared"]

#: Bytes of gates that are kept for the next unit of the same graph.
KEPT = 2**25
#: Gradients linear in the unit's own numbers, by the concatenations that have parted them.
Factors = dict[Any, Factor]
State = Union[Factors, Covariance, Conditioned]


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


_prepared: PerObject[tuple[Plan, Gates]] = PerObject(RECENT)


def prepared(graph: Graph, mean: bool, inputs: InputModel) -> tuple[Plan, Gates]:
    """Plan and gates; those of a graph are the same for all its units, and remembered unless large."""
    about = mean, inputs.second, inputs.cov_far
    known = _prepared.get(graph, about) if inputs.covariance is None else None
    if known is not None:
        return known
    plan = Plan(graph, mean)
    gates = forward(graph, plan, inputs) if plan.gated else Gates()
    if inputs.covariance is None and sum(gate.nbytes for gate in gates.power.values()) <= KEPT:
        _prepared.put(graph, about, (plan, gates))
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
                part = self._pass(state, edge, j) if graph.ops[i].fresh or j not in meetings else None
                if part is not None:
                    arrived[j].append(part)
                    if graph.ops[i].fresh and j in self.kept:
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
        known = [one for part in parts if isinstance(part, Conditioned) for one in part.parts]
        sites = self.gates.sites.get(i, ())
        if not conditional(sites):
            return self._merge(i, rest + [part for part, _ in known])
        known += [(self._merge(i, rest), entry(sites))] if rest else []
        alike: dict[Knowns, list[Covariance]] = {}
        for part, what in known:
            alike.setdefault(what, []).append(part)
        return Conditioned(tuple((self._merge(i, group), what) for what, group in alike.items()))

    def _conditioned(self, i: int, state: Covariance) -> Covariance | Conditioned:
        """A gradient of whose value at node `i` nothing is known yet."""
        sites = self.gates.sites.get(i, ())
        return Conditioned(((state, entry(sites)),)) if conditional(sites) else state

    def _covariance(self, factors: Factors, i: int) -> Covariance:
        return self._merge(i, [f.covariance(self.plan.lags[i], self.graph.groups[i], self.plan.channels)
                               for f in factors.values()])

    def _finish(self, state: State) -> tuple[Array, tuple[int, ...]]:
        if isinstance(state, Conditioned):
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
        rule, at = self.graph.rules[i], Below(self.plan, self.gates, edge, j)
        if isinstance(state, dict):
            if self.plan.keeps_factor(i):
                parted = (((i, edge.slot),) if self.plan.channels == "one" and self.graph.layers[i].joins_channels
                          else ())
                below = {(*key, *parted): rule.factor(at, factor).times(edge.times) for key, factor in state.items()}
                left = {key: factor for key, factor in below.items() if factor.values.size}
                return left or None
            state = self._conditioned(i, self._covariance(state, i))
        if isinstance(state, Conditioned) and self.graph.ops[i].fresh:
            state = self._merge(i, [part for part, _ in state.parts])
        if isinstance(state, Covariance):
            return self._through(at, state)
        if not state.parts[0][0].bare.size:
            return None
        parts = []
        gone = handed(self.graph, self.gates, edge, j, [knowns for _, knowns in state.parts])
        for (part, _), items in zip(state.parts, gone):
            for one in items:
                # Layers with taps keep their channel groups; those without may have finer ones than their input.
                taps = bool(self.graph.ops[i].taps)
                passed = self._through(at, part if taps else part.conditioned(one.power, one.pairs))
                if passed is None:
                    return None
                parts.append((passed.conditioned(one.power, one.pairs) if taps else passed, one.knowns))
        return Conditioned(tuple(parts))

    def _through(self, at: Below, state: Covariance) -> Covariance | None:
        """One part through the layer of an edge."""
        passed = self.graph.rules[at.i].backward(at, state).times(at.edge.times)
        if passed.uniform is not None and at.j not in self.plan.ones:
            passed = replace(passed, uniform=None)
        return passed.with_lags(self.plan.lags[at.j]) if passed.bare.size else None

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
                if op.fresh or j < i:
                    continue
                if op.ties_channels or layer.joins_channels or not self.graph.rules[k].keeps_factor(op, mean=False):
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
