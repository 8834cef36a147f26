"""The backward sweep: from a unit down to the pixels, layer by layer.

`plan` says what to carry where, the rules how it passes each kind of layer; here the two are put
together.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import Any, Union

import numpy as np

from ...base.errors import check_bytes
from ..memory import Recent, replace
from ..rules.context import Below
from .conditioning import MOST, Conditioned, Knowns, Told, conditional, crossing, entry, handed, spanned, told
from .covariance import Covariance
from .crossing import joint_of, matrix_of, pairs_of
from .factor import Factor
from .forward import Gates, needed
from .inputs import InputModel
from .lowering import SAMPLE
from .plan import RECENT, Edge, Graph, Marks, Plan, Start
from .taps import REMEDY, Array
from .ways import band_of, patterns, shared

__all__ = ["backward", "prepared"]

#: Bytes of gates that are kept for the next unit of the same graph.
KEPT = 2**25
#: Power from which on, and below whose inverse, what is on its way is scaled.
LIMIT = 2.0**300
#: Gates, random layers, sums and concatenations change power by little: one in so many is looked at, and any of a gain
#: beyond this, or below its inverse.
SOME, LARGE = 8, 2.0**20
#: Gradients linear in the unit's own numbers, by the concatenations that have parted them.
Factors = dict[Any, Factor]
State = Union[Factors, Covariance, Conditioned]
#: A way between two nodes, by its last edge and the gates and pools that it has passed.
Branch = tuple[Edge, Marks]


def backward(graph: Graph, unit: tuple[int, ...], mean: bool, inputs: InputModel = InputModel(),
             ready: tuple[Plan, Gates] | None = None) -> tuple[Array, tuple[int, ...], float]:
    """E[g^2] (or, with `mean`, E[g]) on the map that `graph` has as its source, summed over its channels.

    Parameters
    ----------
    graph : Graph
    unit : tuple of int
        Unit of the top node, whose output gradient has total power 1 (sum 1 for the mean).

    inputs : InputModel
    ready : (Plan, Gates), optional
        As `prepared` gives them.

    Returns
    -------
    values : ndarray, shape (*lattice)
    start : tuple of int
        Input pixel (site of the source) of its first element.
    log_scale : float
        `values` are times its exponential; 0 unless they would leave the range of floats on the way.

    Raises
    ------
    NotImplementedError
        Where the theory has no rule; the message says what has one.
    SizeError
        Where the covariance to be carried would not fit in memory.
    """
    return _Sweep(graph, mean, *(ready or prepared(graph, mean, inputs))).run(unit)


_prepared: Recent[tuple[Plan, Gates]] = Recent(RECENT)


def prepared(graph: Graph, mean: bool, inputs: InputModel) -> tuple[Plan, Gates]:
    """Plan and gates; those of a graph are the same for all its units, and remembered unless large."""
    about = mean, inputs.second, inputs.cov_far
    known = _prepared.find(graph, about) if inputs.covariance is None else None
    if known is not None:
        return known
    plan = Plan(graph, mean)
    gates = needed(graph, plan, inputs)
    kept = sum(gate.nbytes for gate in (*gates.power.values(), *gates.factors.values()))
    if inputs.covariance is None and kept <= KEPT:
        _prepared.put(graph, about, (plan, gates))
    return plan, gates


class _Sweep:
    """One sweep over one graph."""

    #: Whether each node is visited, those of gates that are numbers, too.
    visits_all = False

    def __init__(self, graph: Graph, mean: bool, plan: Plan, gates: Gates) -> None:
        self.graph, self.mean, self.plan, self.gates = graph, mean, plan, gates
        self.below = plan.below
        # Sources whose covariance a contraction further down will ask for.
        self.asked = {met.start for places in (self.plan.meetings, self.plan.compared) for meetings in places.values()
                      for met in meetings}
        self.kept: dict[Start, Covariance] = {}
        self.log_scale = 0.0  # of the amplitude: all states are times its exponential

    def run(self, unit: tuple[int, ...]) -> tuple[Array, tuple[int, ...], float]:
        graph, meetings, passed = self.graph, self.plan.meetings, 0
        arrived: dict[int, list[State]] = {i: [] for i in self.plan.edges}
        arrived[graph.top].append({(): self._unit(unit)})
        for i in range(graph.top, -2, -1):
            parts = arrived.pop(i)
            if i in meetings:
                starts = dict.fromkeys(met.start for met in meetings[i] if met.start in self.kept)
                parts += [part for start in starts for part in self._crossed(start, i)]
            if not parts:
                continue
            if i in self.plan.compared:
                parts += self._compared(i)
            state = self._collect(i, parts)
            if i in self.plan.cuts and (i, None) in self.asked:
                self._keep((i, None), i, state)
            if i == graph.source:
                return (*self._finish(state), self.log_scale * (1 if self.mean else 2))
            handed: list[State] = []
            for j, edge in self.below[i]:
                part = self._pass(state, edge, j)
                if part is not None:
                    if isinstance(part, dict) and j in meetings:  # branches are added as powers and what they share
                        part = self._conditioned(j, self._covariance(part, j))
                    if self.asked:
                        fresh = graph.ops[i].fresh and j not in self.plan.cuts
                        for start in ((j, None) if fresh else None, (i, edge.slot)):
                            if start in self.asked:
                                self._keep(start, j, part)
                    if isinstance(part, Covariance) and not (part.mixing or self.visits_all):
                        j, part = self._through_numbers(j, part)
                    arrived[j].append(part)
                    handed.append(part)
            op = graph.ops[i]
            passed += 1
            if passed % SOME == 0 or not op.gate and (op.taps and not op.variances or op.matrix is not None or (
                    graph.layers[i].multiplies) or not 1 / LARGE < op.gain < LARGE):
                self._rescale(arrived, handed)
        return np.zeros((0,) * graph.ndim), (0,) * graph.ndim, 0.0

    def _through_numbers(self, i: int, state: Covariance) -> tuple[int, Covariance]:
        """From node `i` on, as far as there is one way on, of layers that are numbers: where that is, and the state."""
        number, known = 1.0, self.gates.numbers
        while True:
            if i not in known:
                known[i] = self._number(i)
            step = known[i]
            if step is None or not 1 / LARGE < number < LARGE:
                return i, state if number == 1 else state._scaled(number)
            i, number = step[0], number * step[1]

    def _number(self, i: int) -> tuple[int, float] | None:
        """What the layer of node `i` hands to its only input, if it multiplies power by a number, and its input."""
        plan = self.plan
        if (i <= self.graph.source or i in plan.meetings or i in plan.compared or i in plan.cuts
                or len(plan.paths[i]) != 1 or len(self.below[i]) != 1 or conditional(self.gates.sites.get(i, ()))):
            return None
        (j, edge), = self.below[i]
        if edge.times != 1 or plan.lags[i] != plan.lags[j] or (i, edge.slot) in self.asked or (j, None) in self.asked:
            return None
        number = self.graph.rules[i].number(Below(plan, self.gates, edge, j))
        return None if number is None else (j, number)

    def _rescale(self, arrived: dict[int, list[State]], handed: list[State]) -> None:
        """Multiply all that is on its way by a power of two, if what a node has handed down nears a limit."""
        for state in handed:
            if not 1 / LIMIT < _power(state) < LIMIT:
                break
        else:
            return
        waiting = [*self.kept.values(), *(part for parts in arrived.values() for part in parts)]
        largest = max(map(_power, waiting), default=0.0)
        if 1 / LIMIT < largest < LIMIT or largest == 0 or not math.isfinite(largest):
            return
        exponent = -(math.frexp(largest)[1] // 2)
        self.log_scale -= exponent * math.log(2)
        self.kept = {start: part.times(2.0**exponent) for start, part in self.kept.items()}
        for j, parts in arrived.items():
            arrived[j] = [_times(part, 2.0**exponent) for part in parts]

    def _unit(self, unit: tuple[int, ...]) -> Factor:
        top = self.graph.top
        count = self.graph.channels[top]
        if self.plan.channels == "explicit":
            numbers = np.full((1, count), 1 / count) if self.mean else np.eye(count) * count**-0.5
        else:
            weights = {"one": [1.0], "ones": [1 / count], "modes": [1 / count, 1 - 1 / count]}
            numbers = np.sqrt(weights[self.plan.channels])[:, None]
        start = Factor(numbers.reshape(*numbers.shape, *(1,) * self.graph.ndim), unit)
        if (top, None) in self.asked:
            self._keep((top, None), top, {(): start})
        return start

    def _keep(self, start: Start, i: int, part: State) -> None:
        """Note the covariance at node `i`, below a source or an edge, of what will meet again further down."""
        if isinstance(part, dict):
            part = self._covariance(part, i)
        if isinstance(part, Conditioned):
            part = self._merge(i, [one for one, _ in part.parts])
        self.kept[start] = self._merge(i, [self.kept[start], part]) if start in self.kept else part

    def _merge(self, i: int, parts: list[Covariance]) -> Covariance:
        return parts[0] if len(parts) == 1 else Covariance.sum_of(parts, self.graph.channels[i], i in self.plan.ones)

    def _collect(self, i: int, parts: list[State]) -> State:
        """The gradient at node `i` from all that its readers handed down."""
        sites = self.gates.sites.get(i, ())
        if len(parts) == 1:
            part, = parts
            if isinstance(part, Covariance):
                return self._conditioned(i, part)
            if isinstance(part, Conditioned) and len(part.parts) == 1 and conditional(sites):
                return part
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
        if not conditional(sites):
            return self._merge(i, rest + [part for part, _ in known])
        known += [(self._merge(i, rest), entry(sites))] if rest else []
        alike: dict[Knowns, list[Covariance]] = {}
        for part, what in known:
            alike.setdefault(what, []).append(part)
        return self._compressed(i, [(self._merge(i, group), what) for what, group in alike.items()])

    def _compressed(self, i: int, parts: list[tuple[Covariance, Knowns]]) -> Conditioned:
        """In fewer parts, where what is known of some follows from what is known of others."""
        found = spanned([what for _, what in parts]) if len(parts) >= MOST else None
        if found is None or any(part.mixing or part.multiples is not None for part, _ in parts):
            return Conditioned(tuple(parts))
        chosen, coefficients = found
        sums = Covariance.combinations([part for part, _ in parts], coefficients.T)
        return Conditioned(tuple((part, parts[k][1]) for k, part in zip(chosen, sums)))

    def _conditioned(self, i: int, state: Covariance) -> Covariance | Conditioned:
        """A gradient of whose value at node `i` nothing is known yet."""
        sites = self.gates.sites.get(i, ())
        return Conditioned(((state, entry(sites)),)) if conditional(sites) else state

    def _covariance(self, factors: Factors, i: int) -> Covariance:
        return self._merge(i, [f.covariance(self.plan.lags[i], self.graph.groups[i], self.plan.channels)
                               for f in factors.values()])

    def _finish(self, state: State) -> tuple[Array, tuple[int, ...]]:
        if isinstance(state, Conditioned):
            state = self._merge(self.graph.source, [part for part, _ in state.parts])
        if isinstance(state, Covariance):
            return state.power, state.start
        if self.mean:
            factor, = state.values()
            scale = 1.0 if self.plan.channels == "explicit" else self.graph.channels[self.graph.source]**0.5
            return factor.values.sum(axis=(0, 1)) * scale, factor.start
        total = self._covariance(state, self.graph.source)
        return total.power, total.start

    # -- one layer ----------------------------------------------------------------------------

    def _pass(self, state: State, edge: Edge, j: int) -> State | None:
        """What `state` at the reader's output becomes at its input, node `j`; None where nothing is left."""
        i = edge.reader
        rule, at = self.graph.rules[i], Below(self.plan, self.gates, edge, j)
        if isinstance(state, Covariance):
            return self._through(at, state)
        if isinstance(state, dict):
            if self.plan.keeps_factor(i):
                parted = (((i, edge.slot),) if self.plan.channels == "one" and self.graph.layers[i].joins_channels
                          else ())
                below = {(*key, *parted): rule.factor(at, factor).times(edge.times) for key, factor in state.items()}
                left = {key: factor for key, factor in below.items() if factor.values.size}
                return left or None
            state = self._conditioned(i, self._covariance(state, i))
        if isinstance(state, Conditioned) and self.graph.ops[i].fresh and not conditional(self.gates.sites[i]):
            state = self._merge(i, [part for part, _ in state.parts])
        if isinstance(state, Covariance):
            return self._through(at, state)
        if not state.parts[0][0].bare.size:
            return None
        gone = handed(self.graph, self.gates, edge, j, [knowns for _, knowns in state.parts])
        if self.graph.ops[i].taps and not rule.moves:  # keeps its channel groups; others may have finer ones above
            found = [(self._through(at, part), one) for (part, _), items in zip(state.parts, gone) for one in items]
            return Conditioned(tuple((part.conditioned(one.power, one.pairs), one.knowns) for part, one in found
                                     if part is not None)) if all(part is not None for part, _ in found) else None
        alike: dict[Knowns, list[Covariance]] = {}
        for (part, _), items in zip(state.parts, gone):
            for one in items:
                alike.setdefault(one.knowns, []).append(part.conditioned(one.power, one.pairs))
        passed = [(self._through(at, self._merge(i, group)), what) for what, group in alike.items()]
        kept = tuple((part, what) for part, what in passed if part is not None)
        return Conditioned(kept) if len(kept) == len(passed) else None

    def _through(self, at: Below, state: Covariance) -> Covariance | None:
        """One part through the layer of an edge."""
        passed = self.graph.rules[at.i].backward(at, state)
        if at.edge.times != 1:
            passed = passed.times(at.edge.times)
        if passed.uniform is not None and at.j not in self.plan.ones:
            passed = replace(passed, uniform=None)
        if at.sizes[0] is None and at.op.fresh:
            passed = passed.trimmed()
        return passed.with_lags(at.lags).halved() if passed.bare.size else None

    # -- branches that meet -------------------------------------------------------------------

    def _crossed(self, start: Start, i: int) -> list[State]:
        """What branches that parted at `start` have in common at node `i`: T M T'^T for each two of them."""
        above, begin, near = self.kept[start], self.plan.begin(start), self.plan.near[start, i]
        sites = above.values.shape[1 + above.ndim:]
        count = math.prod(sites)
        if near is None:
            check_bytes(8 * count**2, f"contracting {count} gradients", REMEDY)
        unit = np.eye(count).reshape(count, 1, *sites) if near is None else patterns(sites, near)
        responses, known = self._respond(Factor(unit, above.start), begin, i)
        alike: dict[tuple[int, int], tuple[Told | None, Told | None, dict[Branch, list[Factor]]]] = {}
        sizes = {branch: f"{float(np.abs(factor.values).sum()):.9e}" for branch, factor in responses.items()}
        for met in self.plan.meetings[i]:
            if met.start == start and all(branch in responses for branch in (met.one, met.other)):
                # In an order that is not that of the nodes, as covariances are symmetric but for a rest.
                left, right = sorted((met.one, met.other), key=sizes.__getitem__)
                one, other = known.get(left), known.get(right)
                # The sum over pairs is bilinear: by the second of them.
                pairs = alike.setdefault((id(one), id(other)), (one, other, {}))[2]
                pairs.setdefault(right, []).append(responses[left])
        if not alike:
            return []
        nothing = functools.reduce(operator.add, [factor.times(0) for factor in responses.values()])
        extent = nothing.values.shape[2:]
        first = tuple(map(operator.sub, nothing.start, above.start))
        crossed: list[State] = []
        for one, other, pairs in alike.values():
            parts = [(functools.reduce(operator.add, ones, nothing), responses[branch] + nothing)
                     for branch, ones in pairs.items()]
            found, lags = [], self.plan.lags[i]
            bands = [] if near is None else [(band_of(a.values, first, sites, near),
                                              band_of(b.values, first, sites, near)) for a, b in parts]
            for group in above.values:
                if near is not None:
                    found.append(functools.reduce(np.add, [shared(group, a, b, first, extent, lags)
                                                           for a, b in bands]))
                    continue
                matrix = matrix_of(group, above.lags, sites)
                joint = functools.reduce(np.add, (joint_of(_flat(a), matrix, _flat(b)) for a, b in parts))
                found.append(pairs_of(joint, extent, lags))
            values = np.concatenate(found)
            # Independent channels stay so, and alike if they were.
            uniform = values.sum(axis=0, keepdims=True) / self.graph.channels[i] if above.mixing else None
            below = Covariance(values, nothing.start, uniform, above.mixing)
            below = below.into_groups(self.graph.owner(begin, i), len(self.graph.groups[i]))
            if one is None and other is None:
                crossed.append(below)
                continue
            what, power, others = crossing(one, other)
            below = below.conditioned(np.array([power]), np.array([others]))
            crossed.append(Conditioned(((below, (what,)),)) if what is not None else below)
        return crossed

    def _compared(self, i: int) -> list[Covariance]:
        """What gradients of different parts have in common at node `i`, as the part of their power that it takes away.

        They are products of one gradient and the means of factors: in the sum over pairs of parts
        -E[g_a g_b] / (parts - 1).
        """
        found = []
        for met in self.plan.compared[i]:
            above, factor, gathers = self.kept.get(met.start), 1.0, set()
            for edge, marks in (met.one, met.other):
                for k, slot in marks:
                    at = Below(self.plan, self.gates, Edge(k, slot), self.graph.sources[k][slot])
                    factor *= self.graph.rules[k].mean_gain(at)
                gathers.add(any(mark in self.graph.one_site for mark in marks))
            if above is None or not factor or len(gathers) > 1:
                continue
            above = above.gathered() if gathers.pop() else above
            taken = -2 * factor / (self.graph.layers[i].parts - 1)  # type: ignore[attr-defined]
            values = above.values.sum(axis=0, keepdims=True) * taken
            found.append(Covariance(values, above.start).with_lags(self.plan.lags[i]))
        return found

    def _respond(self, unit: Factor, begin: int, i: int) -> tuple[dict[Branch, Factor], dict[Branch, Told | None]]:
        """Mean gradients at node `i` for unit gradients at `begin`, by the last edge and what was passed.

        Also what the value there tells of them.
        """
        graph = self.graph
        reached: dict[int, dict[Marks, tuple[Factor, Told | None]]] = {begin: {(): (unit, None)}}
        found: dict[Branch, Factor] = {}
        known: dict[Branch, Told | None] = {}
        single = all(len(graph.groups[k]) == 1 for k in range(i, begin + 1))
        for k in range(begin, i, -1):
            for marks, (factor, what) in reached.pop(k, {}).items():
                for j, edge in self.below[k]:
                    op, rule = graph.ops[k], graph.rules[k]
                    if op.fresh or j < i or self.plan.parts_channels(k):
                        continue
                    if op.ties_channels:
                        raise NotImplementedError(f"branches of one gradient that meet again through weights that tie "
                                                  f"channels: {SAMPLE}")
                    at = Below(self.plan, self.gates, edge, j)
                    linear = rule.keeps_factor(op, mean=False)
                    below = (rule.factor if linear else rule.mean_factor)(at, factor).times(edge.times)
                    passed = marks if linear else (*marks, (k, edge.slot))
                    after, gain = told(graph, self.gates, edge, j, what) if single else (None, 1.0)
                    below = below.times(gain)
                    if j == i:
                        key: Branch = (edge, passed)
                        known[key] = after if key not in known else None
                        found[key] = found[key] + below if key in found else below
                        continue
                    there = reached.setdefault(j, {})
                    there[passed] = (there[passed][0] + below, None) if passed in there else (below, after)
        return found, known


def _power(state: State) -> float:
    """The largest power of a state; covariances, with others or at lags, are below it."""
    if isinstance(state, Covariance):
        return state.largest
    if isinstance(state, Conditioned):
        return max([part.largest for part, _ in state.parts])
    return max((float(np.abs(f.values).max(initial=0))**2 for f in state.values()), default=0.0)


def _times(state: State, factor: float) -> State:
    """The gradient multiplied by a number."""
    if isinstance(state, dict):
        return {key: part.times(factor) for key, part in state.items()}
    if isinstance(state, Conditioned):
        return Conditioned(tuple((part.times(factor), known) for part, known in state.parts))
    return state.times(factor)


def _flat(factor: Factor) -> Array:
    """Gradients of one channel, shape (numbers, sites)."""
    return factor.values.reshape(len(factor.values), -1)
