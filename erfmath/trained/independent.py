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
from ..empirics.boxes import Program
from ..empirics.sampling import generator
from .circuit import Circuit, Pulls, add_to
from .slopes import Gate

__all__ = ["Totals", "coherent", "exact", "exact_fits", "follow", "probed", "squared"]

#: Sum over pixels of the power that comes of each gate's fluctuations, by position.
Totals = dict[int, float]

#: Numbers of the largest array of an exact pass, and gradients in it.
EXACT_NUMBERS, EXACT_COLUMNS = 2**24, 2**12
#: Bytes of the largest array of a chunk of draws.
CHUNK_BYTES = 2**24
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


def coherent(circuit: Circuit, gates: Mapping[int, Gate], units: Array, square: bool = True) -> Array:
    """The gradient if every gate has its mean: the sum over `units` of its square, or the gradient itself of one."""
    pulls, total = mean_pulls(circuit, gates), np.zeros(circuit.program.backward.shape)
    for g in descend(circuit, pulls, started(circuit, units), pieces(circuit)):
        total += squared(g).sum(axis=0) if square else g[0, :, 0].sum(axis=0, dtype=float)
    return total


def pieces(circuit: Circuit) -> dict[int, int]:
    """How many draws pass each node at a time: kernels want many, wide maps have room for few."""
    size = {-1: 1, **{i: circuit.channels[i] * math.prod(step.backward.out.shape)
                      for i, step in circuit.program.steps.items()}}
    return {i: max(1, CHUNK_BYTES // (circuit.dtype.itemsize * max(1, size[i], *(
        size[j] for j in step.inputs if j in circuit.program.path)))) for i, step in circuit.program.steps.items()}


def descend(circuit: Circuit, pulls: Pulls, waiting: dict[int, Array], at_once: Mapping[int, int],
            side: _Columns | None = None) -> Iterator[Array]:
    """Gradients of the source, of some draws after others: where maps grow these part, and go on one after another.

    Parameters
    ----------
    pulls : mapping
        Of all nodes; gradients that are `waiting` go down through them.
    at_once : mapping of int to int
        How many draws may pass a node together; nodes that are not in it, any number.
    side : _Columns, optional
        What accompanies the first of them.
    """
    waiting = dict(waiting)
    for i in sorted(pulls, reverse=True):
        if i not in waiting:
            continue
        count, most = len(waiting[i]), at_once.get(i, math.inf)
        if count > most:
            parts = math.ceil(count / most)
            for k in range(parts):
                cut = slice(count * k // parts, count * (k + 1) // parts)
                some = {j: array[cut] for j, array in waiting.items()}
                yield from descend(circuit, {j: pulls[j] for j in pulls if j <= i}, some, at_once,
                                   None if k else side)
            return
        dy = waiting.pop(i)
        passed = pulls[i](dy)
        if side is not None:
            side.meet(i, dy, passed)
        add_to(circuit.program, waiting, i, passed)
    yield waiting[circuit.program.source]


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
        _add_columns(program, waiting, i, parts)
    power = squared(_padded(waiting[source], count))
    return power.sum(axis=0), power[:len(units)].sum(axis=0), {i: float(power[cut].sum()) for i, cut in ranges.items()}


def _add_columns(program: Program, waiting: dict[int, Array], i: int, parts: Sequence[Array]) -> None:
    """As `add_to`, where inputs may have fewer gradients waiting than others."""
    longest = max([len(part) for part in parts] + [len(waiting[j]) for j in program.steps[i].inputs if j in waiting])
    for j in set(program.steps[i].inputs) & set(waiting):
        waiting[j] = _padded(waiting[j], longest)
    add_to(program, waiting, i, [_padded(part, longest) for part in parts])


def _padded(array: Array, length: int) -> Array:
    if len(array) == length:
        return array
    return np.concatenate([array, _nothing(array, length - len(array))])


def _nothing(like: Array, length: int) -> Array:
    return np.zeros_like(like, shape=(length, *like.shape[1:]))


# -- by random signs -----------------------------------------------------------------------------

def probed(circuit: Circuit, gates: Mapping[int, Gate], draws: int) -> Iterator[tuple[Array, Totals]]:
    """Maps of draws, (n, *space), with what comes of each gate; every number is its mean plus or minus its spread.

    The mean of the maps is the power, exactly in expectation.
    """
    rng = generator(circuit.plan.recipe.entropy, 0)

    def through(i: int) -> Callable[[Array], Sequence[Array]]:
        def pull(dy: Array) -> Sequence[Array]:
            return gates[i].sample(dy, rng)
        return pull
    units = circuit.units(rng, draws, "power")
    yield from follow(circuit, gates, {i: through(i) for i in gates}, units, pieces(circuit), True)


def follow(circuit: Circuit, gates: Mapping[int, Gate], through: Pulls, units: Array, at_once: Mapping[int, int],
           alone: bool) -> Iterator[tuple[Array, Totals]]:
    """Maps of draws downwards, `through` drawn gates; if `alone`, with what each adds to its mean, means below it.

    Fluctuations of different gates are uncorrelated, so that the powers of what they add sum up.
    """
    mean = mean_pulls(circuit, gates)
    side = _Columns(circuit, mean, tuple(gates)) if alone else None
    for k, gradient in enumerate(descend(circuit, {**mean, **through}, started(circuit, units), at_once, side)):
        yield squared(gradient), side.totals() if side is not None and not k else {}


class _Columns:
    """What each gate adds to its mean in the first few draws: gradients side by side, more of them at every gate."""

    def __init__(self, circuit: Circuit, mean: Pulls, gates: tuple[int, ...]) -> None:
        self.program, self.mean, self.gates = circuit.program, mean, gates
        self.waiting, self.count, self.ranges = dict[int, Array](), 0, dict[int, slice]()
        self.followed = max(1, min(MOST_FOLLOWED, FOLLOWED // max(len(gates), 1)))

    def meet(self, i: int, dy: Array, passed: Sequence[Array]) -> None:
        """All that wait at node `i` go on by its mean, and new ones begin: what was `passed` beyond that."""
        parts = self.mean[i](self.waiting.pop(i)) if i in self.waiting else []
        if i in self.gates:
            usual = self.mean[i](dy[:self.followed])
            added = [part[:self.followed] - other for part, other in zip(passed, usual)]
            before = [_padded(part, self.count) for part in parts] or [_nothing(part, self.count) for part in added]
            parts = [np.concatenate(pair) for pair in zip(before, added)]
            self.ranges[i] = slice(self.count, self.count + len(added[0]))
            self.count += len(added[0])
        if parts:
            _add_columns(self.program, self.waiting, i, parts)

    def totals(self) -> Totals:
        """Power of the gradients of each gate, at the source."""
        if self.program.source not in self.waiting:
            return {}
        power = squared(_padded(self.waiting[self.program.source], self.count))
        return {i: float(power[cut].sum()) for i, cut in self.ranges.items()}
