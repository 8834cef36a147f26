"""Gates that are independent of each other: exactly, or by random signs.

E[g^2] at node k of the gradient g of a unit, with gates of mean p and mean square s, is

    P_k = m_k^2 + sum over gates l above, channels c and sites y of V_l(c, y) K_lk(c, y; .)^2,   V_l = (s - p^2) P_l,

m the gradient when every gate has its mean, and K that of gate l's output at y with respect to node k, in the same way
(docs/trained.md).  It is exact under the hypothesis: correlations between paths, channels and sites are all in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ..empirics.arrays import Array, place
from ..empirics.sampling import generator
from .circuit import Circuit, Pulls, add_to, sweep
from .slopes import Gate, signs

__all__ = ["Totals", "coherent", "exact", "exact_fits", "follow", "probed", "squared"]

#: Sum over pixels of the power that comes of each gate's fluctuations, by position.
Totals = dict[int, float]

#: Numbers of the largest array of an exact pass, and gradients in it.
EXACT_NUMBERS, EXACT_COLUMNS = 2**24, 2**12
#: Bytes of the largest array of a chunk of draws.
CHUNK_BYTES = 2**23
#: Gradients of single gates that are followed in all, of at most so many draws each.
FOLLOWED, MOST_FOLLOWED = 32, 8


def mean_pulls(circuit: Circuit, gates: Mapping[int, Gate]) -> Pulls:
    """All nodes, gates with their mean."""
    return {**circuit.linear, **{i: gate.passed for i, gate in gates.items()}}


def started(circuit: Circuit, units: Array) -> dict[int, Array]:
    """Gradients of the unit, on the sites of its node."""
    top = circuit.step(circuit.program.top)
    return {top.index: place(units, circuit.program.unit, top.backward.out)}


def squared(gradient: Array) -> Array:
    """The power of the first image's gradient, summed over channels, (draws, *space)."""
    g = gradient[:, :, 0]
    return np.einsum("dc...,dc...->d...", g, g, dtype=np.float64)


def chunk_of(circuit: Circuit, draws: int) -> int:
    """How many draws go backward at a time."""
    largest = max(circuit.channels[i] * math.prod(step.backward.out.shape) for i, step in circuit.program.steps.items())
    return max(1, min(draws, CHUNK_BYTES // max(largest * circuit.dtype.itemsize, 1)))


def coherent(circuit: Circuit, gates: Mapping[int, Gate], units: Array, square: bool = True) -> Array:
    """The gradient if every gate has its mean: the sum over `units` of its square, or the gradient itself of one."""
    pulls, total = mean_pulls(circuit, gates), np.zeros(circuit.program.backward.shape)
    each = chunk_of(circuit, len(units))
    for start in range(0, len(units), each):
        g = sweep(circuit.program, pulls, started(circuit, units[start:start + each]))
        total += squared(g).sum(axis=0) if square else g[0, :, 0].sum(axis=0, dtype=float)
    return total


# -- exactly ------------------------------------------------------------------------------------

def exact_fits(circuit: Circuit, gates: Mapping[int, Gate]) -> bool:
    """Whether a gradient for each gate of each site and channel can be carried."""
    columns = circuit.channels[circuit.program.top]
    for i, gate in gates.items():
        out = circuit.step(i).backward.out
        if not gate.independent or out.empty:
            return False
        like = np.zeros((1, circuit.channels[i], 1, *out.shape), np.float32)
        columns += sum(math.prod(shape) for shape in gate.numbers(like))
        if columns > EXACT_COLUMNS:
            return False
    largest = max(circuit.channels[i] * math.prod(step.backward.out.shape) for i, step in circuit.program.steps.items())
    return columns * largest <= EXACT_NUMBERS


def exact(circuit: Circuit, gates: Mapping[int, Gate]) -> tuple[Array, Array, Totals]:
    """Power and coherent power on the source's sites, and what comes of each gate.

    A gradient is carried for each channel of the unit, and another one for each number that a gate multiplies by.
    """
    program, source = circuit.program, circuit.program.source
    units = circuit.units(None, 1, "power")
    waiting, count, ranges = started(circuit, units), len(units), {}
    for i in sorted({**circuit.linear, **gates}, reverse=True):
        if i not in waiting:
            continue
        dy = waiting.pop(i)
        if i in circuit.linear:
            parts = list(circuit.linear[i](dy))
        else:
            root, first = np.sqrt(np.einsum("d...,d...->...", dy, dy)[None]), count
            shapes, parts = gates[i].numbers(root), list(gates[i].passed(dy))
            for which, shape in enumerate(shapes):
                numbers = [np.zeros((1, *other)) for other in shapes]
                numbers[which] = np.eye(math.prod(shape)).reshape(-1, *shape)
                new = gates[i].varied(root, numbers)[which]
                new = new[new.reshape(len(new), -1).any(axis=1)]
                parts[which] = np.concatenate([_padded(parts[which], count), new])
                count += len(new)
            ranges[i] = slice(first, count)
        for j, part in zip(program.steps[i].inputs, parts):
            if j in program.path:
                known = waiting.get(j, part[:0])
                longest = max(len(part), len(known))
                waiting[j] = _padded(part, longest) + _padded(known, longest)
    power = squared(_padded(waiting[source], count))
    return power.sum(axis=0), power[:len(units)].sum(axis=0), {i: float(power[cut].sum()) for i, cut in ranges.items()}


def _padded(array: Array, length: int) -> Array:
    if len(array) == length:
        return array
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])


# -- by random signs -----------------------------------------------------------------------------

def probed(circuit: Circuit, gates: Mapping[int, Gate], draws: int) -> Iterator[tuple[Array, Totals]]:
    """Maps of draws, (n, *space), with what comes of each gate; every number is its mean plus or minus its spread.

    The mean of the maps is the power, exactly in expectation.
    """
    mean, each = mean_pulls(circuit, gates), chunk_of(circuit, draws)
    for chunk, start in enumerate(range(0, draws, each)):
        n = min(each, draws - start)
        rng = generator(circuit.plan.recipe.entropy, chunk)

        def through(i: int, dy: Array, rng: np.random.Generator = rng) -> list[Array]:
            numbers = [signs(rng, (len(dy), *shape), dy.dtype) for shape in gates[i].numbers(dy)]
            return gates[i].drawn(dy, numbers)
        units = circuit.units(rng, n, "power")
        gradient, totals = follow(circuit, mean, through, units, tuple(gates), chunk == 0)
        yield squared(gradient), totals


def follow(circuit: Circuit, mean: Pulls, through: Callable[[int, Array], Sequence[Array]], units: Array,
           gates: tuple[int, ...], alone: bool) -> tuple[Array, Totals]:
    """One pass downwards, `through` drawn gates; and if `alone`, what each adds to its mean, with the means below it.

    Fluctuations of different gates are uncorrelated, so that the powers of what they add sum up.
    """
    program, waiting = circuit.program, started(circuit, units)
    followed = max(1, min(MOST_FOLLOWED, FOLLOWED // max(len(gates), 1))) if alone else 0
    side = _Columns(circuit)
    for i in sorted(mean, reverse=True):
        if i not in waiting:
            continue
        dy = waiting.pop(i)
        side.through(i, mean)
        parts = through(i, dy) if i in gates else mean[i](dy)
        if alone and i in gates:
            some = [part[:followed] for part in parts]
            side.begin(i, [part - usual for part, usual in zip(some, mean[i](dy[:followed]))])
        add_to(program, waiting, i, parts)
    return waiting[program.source], side.totals()


class _Columns:
    """Gradients on their way down side by side, more of them at every gate."""

    def __init__(self, circuit: Circuit) -> None:
        self.program, self.waiting, self.count = circuit.program, dict[int, Array](), 0
        self.ranges: dict[int, slice] = {}

    def _hand(self, i: int, parts: Sequence[Array]) -> None:
        for j, part in zip(self.program.steps[i].inputs, parts):
            if j in self.program.path:
                longest = max(len(part), len(self.waiting.get(j, ())))
                self.waiting[j] = (_padded(part, longest) + _padded(self.waiting[j], longest) if j in self.waiting
                                   else part)

    def through(self, i: int, mean: Pulls) -> None:
        """All that wait at node `i`, on by its mean."""
        if i in self.waiting:
            self._hand(i, mean[i](self.waiting.pop(i)))

    def begin(self, i: int, added: Sequence[Array]) -> None:
        """New ones at the inputs of node `i`."""
        self.ranges[i] = slice(self.count, self.count + len(added[0]))
        self._hand(i, [np.concatenate([np.zeros_like(part, shape=(self.count, *part.shape[1:])), part])
                       for part in added])
        self.count += len(added[0])

    def totals(self) -> Totals:
        """Power of the gradients of each gate, at the source."""
        if self.program.source not in self.waiting:
            return {}
        power = squared(_padded(self.waiting[self.program.source], self.count))
        return {i: float(power[cut].sum()) for i, cut in self.ranges.items()}
