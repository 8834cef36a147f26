"""Branches of one value that meet again with nothing but functions of a site between: one function in their place.

x + relu(x), a x + b x, or a sum under another sum are read as what they are: leaky relu, (a + b) x, one sum of three
terms.  Gates along such branches open together, which no rule that sees one branch could know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...layers import Activation, Identity, Layer
from ..memory import remembered
from ..sweep.groups import Labels
from ..sweep.lowering import Linear
from ..sweep.taps import Array
from ..sweep.values import Affine, Step, rounded
from .activation import ActivationRule
from .base import Rule, rule_of
from .formula import resolved
from .functions import Function, rectifier
from .order import readers_of
from .sums import PLACE

__all__ = ["Merged", "PointwiseRule", "Wiring", "combined", "merged"]

#: Layers of a run of elementwise ones that are looked through.
LONGEST = 64
#: Factors of terms of sums lie between this and one over it.
LARGEST = 1e100
Steps = tuple[Step, ...]


class Wiring(NamedTuple):
    """What merging may change of a network made ready: by position of the node, as in `Graph`."""

    layers: list[Layer]
    sources: list[tuple[int, ...]]
    ops: list[Linear]
    rules: list[Rule]
    labels: Sequence[Labels]
    channels: list[int]
    sizes: list[Any]
    biases: Mapping[int, float]
    apart: Collection[int] = ()  # nodes that stay where they are


@dataclass(frozen=True)
class Merged:
    """How often sums read their inputs.

    Attributes
    ----------
    times : mapping
        By (sum, input); once where nothing is said.
    nodes : tuple of int
        Those that have been changed.
    """

    times: Mapping[tuple[int, int], float]
    nodes: tuple[int, ...] = ()

    def between(self, a: int, b: int) -> Merged:
        """That of nodes a .. b - 1 alone."""
        return Merged({(i - a, j - a): times for (i, j), times in self.times.items() if a <= i < b})


class PointwiseRule(ActivationRule):
    """A function of each site that several layers make together."""

    def __init__(self, phi: Function) -> None:
        self._phi = phi

    def function(self, layer: Layer) -> Function:
        return self._phi


@remembered(256)
def combined(branches: tuple[Steps, ...], product: bool = False) -> Function:
    """The sum (or the `product`) of functions, each given as steps."""
    slopes = [_slopes(steps) for steps in branches]
    if all(slopes) and not product:
        above, below = (rounded(sum(pair[side] for pair in slopes if pair)) for side in (0, 1))
        return rectifier(above, below)

    def value(z: Array) -> Array:
        values = [_through(steps, z)[0] for steps in branches]
        return np.asarray(math.prod(values) if product else sum(values))

    def slope(z: Array) -> Array:
        both = [_through(steps, z) for steps in branches]
        return np.asarray(sum(slope * (math.prod(v for k, (v, _) in enumerate(both) if k != n) if product else 1.0)
                              for n, (_, slope) in enumerate(both)))

    sides = slope(np.array([-1e-12, 1e-12]))
    whole = Function(value, slope, knots=(0.0,), jumps=((0.0, float(sides[1] - sides[0])),), branches=branches)
    return whole._replace(knots=resolved(whole, whole.knots)) if product else whole


def _slopes(steps: Steps) -> tuple[float, float] | None:
    """Slopes above and below zero, None where it is not all."""
    above, below = 1.0, 1.0
    for step in steps:
        if isinstance(step, Affine):
            if step.b:
                return None
            above, below = above * step.a, below * step.a
        elif step.below is None:
            return None
        else:
            above, below = (slope * (step.above if slope * side > 0 else step.below)
                            for slope, side in ((above, 1), (below, -1)))
    return above, below


def _through(steps: Steps, z: Array) -> tuple[Array, Array]:
    """Value and slope."""
    slope = np.ones(np.shape(z))
    for step in steps:
        if isinstance(step, Affine):
            z, slope = step.a * z + step.b, step.a * slope
        else:
            z, slope = step.value(z), step.slope(z) * slope
    return z, slope


def merged(wiring: Wiring, last: int, flat: bool = True) -> Merged:
    """Rewire sums whose inputs are functions of one value, and (where `flat`) sums that only a sum reads.

    Parameters
    ----------
    wiring : Wiring
        Changed in place.  Nodes that nothing reads any more stay where they are.
    last : int
        The map that the field is on: what lies below counts as given.
    flat : bool
    """
    return _Merging(wiring, last, flat).run()


class _Chains:
    """Per node, the nodes that it is a function of, site by site, and how, the nearest first; found when asked for."""

    def __init__(self, step: Callable[[int], tuple[int, Steps] | None]) -> None:
        self._step = step
        self._found: dict[int, dict[int, Steps]] = {-1: {-1: ()}}

    def forget(self, i: int) -> None:
        """A node has been changed."""
        self._found.pop(i, None)

    def __getitem__(self, i: int) -> dict[int, Steps]:
        way: list[tuple[int, Steps]] = []
        while i not in self._found:
            step = self._step(i)
            if step is None:
                self._found[i] = {i: ()}
                break
            way.append((i, step[1]))
            i = step[0]
        found = self._found[i]
        for k, steps in reversed(way):
            found = {k: ()} if len(found) >= LONGEST else {
                k: (), **{j: (*before, *steps) for j, before in found.items()}}
            self._found[k] = found
        return found


class _Merging:
    def __init__(self, wiring: Wiring, last: int, flat: bool) -> None:
        self.wiring, self.last, self.flat = wiring, last, flat
        self.readers = readers_of(wiring.sources)
        self.times: dict[tuple[int, int], float] = {}
        self.changed: set[int] = set()
        self.chains = _Chains(self._chain)
        self.places = [i for i, layer in enumerate(wiring.layers) if layer is PLACE]  # and sums that are part of others

    def run(self) -> Merged:
        wiring = self.wiring
        for i, layer in enumerate(wiring.layers):
            if layer.sums and i > self.last and (self.readers[i] or i == len(wiring.layers) - 1):
                self._sum(i)
            if layer.multiplies and i > self.last and (self.readers[i] or i == len(wiring.layers) - 1):
                self._product(i)
        return Merged(self.times, tuple(self.changed))

    def _chain(self, i: int) -> tuple[int, Steps] | None:
        """The input of a node that is a function of it, site by site, and how."""
        step, (j, *others) = self._step(i), self.wiring.sources[i]
        return None if step is None or others or i <= self.last or self._broadcasts(i) else (j, step)

    def _step(self, i: int) -> Steps | None:
        """What a node with one input does at each site, None where it does something else."""
        layer, op, rule = self.wiring.layers[i], self.wiring.ops[i], self.wiring.rules[i]
        if op.gate:
            phi = rule.function(layer)
            return None if phi is None else (phi,)
        if (layer.is_identity and not layer.many_inputs) or (layer.joins_channels and len(self.wiring.sources[i]) == 1):
            return (Affine(op.gain),)
        if layer.sums:
            return (Affine(self.times.get((i, self.wiring.sources[i][0]), 1.0)),)
        if (layer.joins_channels or layer.moves_channels or layer.multiplies or layer.draws_noise or layer.statistics
                or op.fresh or op.routes or op.equal or op.ties_channels or i in self.wiring.biases
                or not all(t.trivial for t in op.taps)):
            return None
        return (Affine(op.gain * float(np.prod([t.weights.item() for t in op.taps]))),)

    # -- sums ---------------------------------------------------------------------------------

    def _sum(self, i: int) -> None:
        if self._broadcasts(i):
            return
        place = self._after(i)
        if place is not None:  # one filter after the sum does what one in each branch does
            self._sum(place)
            self.chains.forget(place)
            return
        sources = self.wiring.sources[i]
        terms = [term for j in sources for term in self._terms(i, j)]
        groups: list[list[tuple[int, float]]] = []
        for term in terms:
            for group in groups:
                if not self.chains[group[0][0]].keys().isdisjoint(self.chains[term[0]]):
                    group.append(term)
                    break
            else:
                groups.append([term])
        if len(groups) == len(terms) and tuple(j for j, _ in terms) == sources:
            return
        found: dict[int, float] = {}
        for group in groups:
            if len(group) == 1:
                found.update(group)
                continue
            base = max(set.intersection(*(set(self.chains[j]) for j, _ in group)))
            branches = tuple((*self.chains[j][base], *((Affine(a),) if a != 1 else ())) for j, a in group)
            if all(isinstance(step, Affine) and not step.b for steps in branches for step in steps):
                factor = rounded(sum(float(np.prod([step.a for step in steps])) for steps in branches))
                found[base] = found.get(base, 0.0) + factor
                continue
            phi = combined(branches)
            if phi.below is not None and phi.below == phi.above:  # as relu(x) - relu(-x)
                found[base] = found.get(base, 0.0) + phi.above
                continue
            if len(groups) == 1 and np.array_equal(self.wiring.labels[i], self.wiring.labels[base]):
                self._put(i, base, phi)
                return
            place = max((j for j, _ in group if self._free(j, base)), default=None)
            if place is None:
                place = self._place(i, base)
            if place is None:  # moments will be followed, but no gate after them
                for j, a in group:
                    found[j] = found.get(j, 0.0) + a
                continue
            self._put(place, base, phi)
            self.chains.forget(place)
            found[place] = 1.0
        self.changed.add(i)
        if len(found) == 1:
            (j, factor), = found.items()
            self.wiring.layers[i], self.wiring.rules[i] = Identity(), rule_of(Identity())
            self.wiring.sources[i], self.wiring.ops[i] = (j,), Linear(gain=factor)
            return
        self.wiring.sources[i] = tuple(found)
        self.times.update({(i, j): a for j, a in found.items() if a != 1})

    def _product(self, i: int) -> None:
        """A product of functions of one value is a function of it."""
        sources = self.wiring.sources[i]
        common = set.intersection(*(set(self.chains[j]) for j in sources))
        if self._broadcasts(i) or len(sources) < 2 or not common:
            return
        base = max(common)
        if np.array_equal(self.wiring.labels[i], self.wiring.labels[base]):
            self._put(i, base, combined(tuple(self.chains[j][base] for j in sources), True))

    def _after(self, i: int) -> int | None:
        """Take the same filter out of all inputs of a sum; the node that the sum has moved to, if there is one."""
        wiring, inputs = self.wiring, self.wiring.sources[i]
        (first, *others), ops = inputs, wiring.ops
        op = ops[first]
        if (not others or not op.taps or all(t.trivial for t in op.taps) or op.fresh or op.gate or op.routes
                or op.equal or op.ties_channels or wiring.layers[first].joins_channels):
            return None
        spec = replace(wiring.layers[first], name=None)  # type: ignore[call-arg]
        alike = all(len(wiring.sources[j]) == 1 and self.readers[j] == 1 and j > self.last
                    and j not in wiring.biases and j not in wiring.apart for j in inputs) and all(
            type(wiring.layers[j]) is type(spec) and replace(wiring.layers[j], name=None) == spec  # type: ignore
            and ops[j].gain == op.gain for j in others)
        below = [wiring.sources[j][0] for j in inputs]
        if not alike or len({(wiring.sizes[j], wiring.channels[j]) for j in below}) > 1:
            return None
        place = max(inputs)
        layer, rule = wiring.layers[first], wiring.rules[first]
        self.changed |= {i, place}
        wiring.layers[place], wiring.rules[place], ops[place] = wiring.layers[i], wiring.rules[i], wiring.ops[i]
        wiring.layers[i], wiring.rules[i], ops[i] = layer, rule, op
        wiring.sources[place], wiring.sources[i] = tuple(below), (place,)
        wiring.sizes[place] = wiring.sizes[below[0]]
        return place

    def _free(self, j: int, base: int) -> bool:
        """Whether node `j` may become a function of `base`: nothing else reads it."""
        wiring = self.wiring
        return (self.readers[j] == 1 and j > base and not wiring.layers[j].sums
                and np.array_equal(wiring.labels[j], wiring.labels[base]))

    def _place(self, i: int, base: int) -> int | None:
        """A node that nothing reads for a function of `base` that sum `i` reads, where there is one."""
        place = max((j for j in self.places if base < j < i), default=None)
        if place is not None:
            self.places.remove(place)
            self.wiring.sizes[place], self.wiring.channels[place] = self.wiring.sizes[i], self.wiring.channels[i]
        return place

    def _broadcasts(self, i: int) -> bool:
        """Whether one site or one channel of an input serves all."""
        channels, sizes = self.wiring.channels, self.wiring.sizes
        return any(channels[j] != channels[i] or sizes[j] != sizes[i] for j in self.wiring.sources[i])

    def _put(self, i: int, base: int, phi: Function) -> None:
        wiring = self.wiring
        self.changed.add(i)
        wiring.layers[i], wiring.ops[i], wiring.rules[i] = Activation("relu"), Linear(gate=True), PointwiseRule(phi)
        wiring.sources[i] = (base,)

    def _terms(self, i: int, j: int) -> list[tuple[int, float]]:
        """An input of a sum, or what that is a multiple or a sum of, each with its factor."""
        factor = self.times.get((i, j), 1.0)
        while self.flat and self.readers[j] == 1 and j > self.last:
            sources = self.wiring.sources[j]
            if self.wiring.layers[j].sums and len(sources) > 1 and not self._broadcasts(j):
                self.places.append(j)
                return [(k, factor * self.times.get((j, k), 1.0)) for k in sources]
            step = self._step(j)
            if step is None or not isinstance(step[0], Affine) or len(sources) > 1 or (
                    step[0].a and not 1 / LARGEST < abs(factor * step[0].a) < LARGEST):
                break
            j, factor = sources[0], factor * step[0].a
        return [(j, factor)]
