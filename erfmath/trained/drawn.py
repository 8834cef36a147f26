"""Gates as real inputs open them, each layer's or each channel's of another input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..empirics.arrays import Array
from ..empirics.rules import Pull
from ..empirics.run import forward
from ..empirics.sampling import generator
from .circuit import Circuit, streams
from .fused import fused_pull
from .independent import Totals, follow
from .kinds import kind_of
from .slopes import Gate

__all__ = ["Grouping", "drawn"]

#: Bytes of what gates of a batch keep, and the least number of inputs in one.
BATCH_BYTES, LEAST = 2**28, 8


@dataclass(frozen=True)
class Grouping:
    """Which layers take their gates from one input, and from how different ones the others: to tell what matters.

    Attributes
    ----------
    together : mapping of str to int
        Nodes whose gates come from one input, by the number of their group; others as they would.
    window : int, optional
        Inputs of one draw are at most so many places apart, where these are in a certain order.
    """

    together: Mapping[str, int] = field(default_factory=dict)
    window: int | None = None


def drawn(circuit: Circuit, gates: Mapping[int, Gate], inputs: Array, draws: int, hypothesis: str,
          grouping: Grouping = Grouping()) -> Iterator[tuple[Array, Totals]]:
    """Maps of draws, (n, *space), and what comes of each gate.

    Draw d meets at each layer the gates of another one of the inputs that went forward together: input d + s, s a
    random shift of the layer (of each of its channels for "channels").  Layers that follow each other without a kernel
    in between, as an activation and a pool, share it; for "streams" so do all that read one residual stream.

    Parameters
    ----------
    inputs : ndarray, shape (channels, N, *space)
    hypothesis : {"streams", "layers", "channels", "none"}
        "none" shifts nothing: then the draws are those of `measure`.
    """
    plan, program = circuit.plan, circuit.program
    batch = max(plan.recipe.inputs[1], 1)
    count = min(draws, inputs.shape[1] // batch)
    if count < 2:
        raise ValueError(f"images: {inputs.shape[1]} are too few to draw the gates of layers from different ones")
    kept = sum(circuit.channels[i] * math.prod(circuit.step(i).backward.out.shape) for i in gates)
    each = min(count, max(LEAST, BATCH_BYTES // max(4 * kept, 1)))
    parts = math.ceil(count / each)
    stream = streams(program, hypothesis == "streams")
    first: dict[int, int] = {}
    for i in gates:  # nodes of one stream go together in any case
        group = grouping.together.get(circuit.step(i).name)
        if group is not None:
            first.setdefault(group, stream[circuit.step(i).inputs[0]])
            old, new = stream[circuit.step(i).inputs[0]], first[group]
            stream = {j: new if number == old else number for j, number in stream.items()}
    images = batch if program.mixes_images else 1
    for chunk in range(parts):
        start, stop = count * chunk // parts, count * (chunk + 1) // parts
        n, rng = stop - start, generator(plan.recipe.entropy, chunk)
        part = inputs[:, start * batch:stop * batch].astype(plan.recipe.dtype, copy=False)
        x = np.moveaxis(part.reshape(part.shape[0], n, batch, *part.shape[2:]), 1, 0)
        sample = plan.recipe.sample(start, stop)
        run = forward(plan.program, sample.parameters, x, images=images, generators=sample.generators)
        pulls = {i: fused_pull(plan.program, circuit.fused[i], run.pulls) if i in circuit.fused else run.pulls[i]
                 for i in gates}
        shifts = _Shifts(circuit, stream, hypothesis, n, rng, grouping.window)

        def through(i: int, pull: Pull, shifts: _Shifts = shifts) -> Pull:
            return lambda dy: shifts.through(i, pull, dy)
        units = circuit.units(rng, n, "power")
        if images > 1:
            units = np.concatenate([units, *(images - 1) * [np.zeros_like(units)]], axis=2)
        yield from follow(circuit, gates, {i: through(i, pulls[i]) for i in gates}, units, {}, chunk == 0)


class _Shifts:
    """Which input's gates each draw meets at each node."""

    def __init__(self, circuit: Circuit, stream: Mapping[int, int], hypothesis: str, draws: int,
                 rng: np.random.Generator, window: int | None = None) -> None:
        self.window = window
        self.circuit, self.stream, self.hypothesis, self.draws, self.rng = circuit, stream, hypothesis, draws, rng
        self.drawn: dict[tuple[int, int], Array] = {}
        order = rng.permutation(draws)
        self.spare = iter([*order, *rng.integers(0, draws, len(stream))])

    def through(self, i: int, pull: Pull, dy: Array) -> list[Array]:
        """The gradients of a node's inputs, of every draw by the gates that it meets."""
        step = self.circuit.step(i)
        stream = self.stream[step.inputs[0]]
        if self.hypothesis == "none":
            return list(pull(dy))
        counts = {dy.shape[1], *(self.circuit.channels[j] for j in step.inputs)}
        if self.hypothesis == "channels" and kind_of(step.layer).channelwise and len(counts) == 1:
            shift = self.of(stream, dy.shape[1])
        else:
            shift = np.broadcast_to(self.of(stream, 1), (dy.shape[1],))
        return [_shifted(part, -np.broadcast_to(shift[:1], (part.shape[1],)) if part.shape[1] != len(shift)
                         else -shift) for part in pull(_shifted(dy, shift))]

    def of(self, stream: int, channels: int) -> Array:
        """The shift of every channel of a stream, or one for all."""
        key = stream, channels
        if key not in self.drawn:
            if self.window is not None:
                self.drawn[key] = self.rng.integers(-self.window, self.window + 1, channels)
            else:
                self.drawn[key] = (np.array([next(self.spare)]) if channels == 1 else
                                   self.rng.integers(0, self.draws, channels))
        return self.drawn[key]


def _shifted(x: Array, shift: Array) -> Array:
    """Draw d of channel c becomes draw d + shift[c]."""
    if (shift == shift[0]).all():
        return np.roll(x, int(shift[0]), axis=0)
    draws = (np.arange(len(x))[:, None] - shift) % len(x)
    return x[draws, np.arange(x.shape[1])]
