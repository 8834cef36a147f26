"""What a measurement computes: the work of one chunk of draws, and how it is made from the arguments."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import choice, integer
from ..base.errors import check_bytes, quoted
from ..layers.geometry import Box
from ..layers.normalisation import BATCH
from ..networks.images import NaturalImages
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..results.field import STATISTICS
from ..results.statistics import Moments
from .arrays import Array, on_space, place
from .boxes import Program, compile_network
from .rules import rule_of
from .run import forward
from .sampling import Recipe, given_parameters, parameters_of

__all__ = ["Chunk", "Plan", "fingerprint", "make_plan"]

#: Bytes of the largest activation of a chunk of draws, and the most draws in one.
CHUNK_BYTES, CHUNK_DRAWS = 2**23, 256


class Chunk(NamedTuple):
    """Draws begin..stops[-1]-1, which are made together; at each of the stops somebody asks for the statistics."""

    begin: int
    stops: tuple[int, ...]
    whole: bool = True


@dataclass(frozen=True)
class Plan:
    """Everything that a chunk of draws needs; the same for all chunks, and small enough to send.

    Maps are those of the sites of `field`, where gradients can be other than zero.
    """

    program: Program
    field: Box
    recipe: Recipe
    statistic: str
    channel: int | None
    normalise: bool
    chunk: int

    @property
    def exact(self) -> bool:
        """Whether one draw says everything: nothing is random."""
        return not (self.recipe.drawn or self.recipe.inputs[1]) and (
            self.statistic == "mean" or self.channel is not None)

    def maps(self, start: int, stop: int) -> Array:
        """Maps of draws start..stop-1 on the field, (draws, *space), summed over channels."""
        if self.field.empty:
            return np.zeros((stop - start, *self.field.shape))
        sample = self.recipe.sample(start, stop)
        x = self.recipe.batch(start, sample.generators)
        # Gradients reach other images of the batch, and come back, where they pass through its statistics.
        images = x.shape[2] if self.program.mixes_images else 1
        run = forward(self.program, sample.parameters, x, images=images, generators=sample.generators)
        gradient = self._output_gradient(run.output, sample.combination).astype(self.recipe.dtype)
        if images > 1:
            gradient = np.concatenate([gradient, *(images - 1) * [np.zeros_like(gradient)]], axis=2)
        del x
        g = place(run.backward(gradient)[:, :, 0], self.program.backward, self.field)
        if self.statistic in ("power", "amplitude"):
            maps = np.einsum("dc...,dc...->d...", g, g, dtype=np.float64)
        elif self.statistic == "magnitude":
            maps = np.abs(g).sum(axis=1, dtype=np.float64)
        elif self.statistic == "relu":
            maps = np.maximum(g, 0).sum(axis=1, dtype=np.float64)
        else:
            maps = g.sum(axis=1, dtype=np.float64)
        if self.normalise:
            total = maps.reshape(len(maps), -1).sum(axis=1).reshape(-1, *(1,) * (maps.ndim - 1))
            maps = np.divide(maps, total, out=np.zeros_like(maps), where=total != 0)
        return maps

    def _output_gradient(self, output: Array, combination: Array) -> Array:
        """Gradient of the unit, (draws, channels, 1, 1, ...)."""
        if self.channel is not None:
            gradient = np.zeros_like(combination)
            gradient[:, self.channel] = 1
        elif self.statistic in ("mean", "relu"):
            gradient = np.full_like(combination, 1 / combination.shape[1])
        else:
            gradient = combination
        space = (1,) * (output.ndim - 3)
        if self.statistic == "relu":
            top = self.program.steps[self.program.top]
            value = place(output[:, :, 0], top.forward.out, self.program.unit)
            gradient = gradient * (value.reshape(gradient.shape) > 0)
        return gradient.reshape(*gradient.shape, 1, *space)

    def moments(self, chunk: Chunk) -> list[Moments]:
        """Statistics of the draws of a chunk, up to each of its stops."""
        maps = self.maps(chunk.begin, chunk.stops[-1])
        return [Moments.of(maps[:stop - chunk.begin]) for stop in chunk.stops]


def make_plan(net: Network, settings: RunSettings, *, statistic: str, entropy: Any, normalise: bool,
              images: Array | NaturalImages | None, channel: int | None, batch: int | None, dtype: str | None,
              window: Box | None = None) -> Plan:
    """Check the arguments against the network and each other, and put the work together.

    Nothing outside of the `window` reaches the unit.
    """
    choice(statistic, "statistic", STATISTICS)
    counts = [*settings.channels(net).values(), settings.channels_in]
    known = parameters_of(net, settings.ndim, settings.width, settings.channels_in)
    given = given_parameters(net, settings.weights, known)
    by_node: dict[int, set[str]] = {}
    for i, name in given:
        by_node.setdefault(i, set()).add(name)
    program = compile_network(net, settings.ndim, image=settings.image, node=settings.node,
                              source=settings.source, unit=settings.unit_of(net), given=by_node)
    used = {key: parameter for key, parameter in known.items() if key[0] in program.steps}
    drawn = {key: parameter for key, parameter in used.items() if key not in given and parameter.random}
    fixed = {key: given[key] if key in given else parameter.fixed()[None] for key, parameter in used.items()
             if key in given or not (parameter.random or parameter.optional)}
    if channel is not None and not 0 <= integer(channel, "channel") < counts[program.top]:
        raise ValueError(f"channel={quoted(channel)}: the node has {counts[program.top]} channels, counted from 0")
    if batch is None:
        batch = BATCH if program.over_batch else 1
        batch = min(batch, len(images)) if isinstance(images, np.ndarray) else batch
    elif integer(batch, "batch", 1) and isinstance(images, np.ndarray) and batch > len(images):
        raise ValueError(f"batch={quoted(batch)}: there are only {len(images)} images")
    # A linear network's gradient is the same for every input: it is run on no image at all.
    gated = statistic == "relu" or any(
        rule_of(step.layer).is_gate(step.layer, by_node.get(i, ())) for i, step in program.steps.items())
    size = (settings.channels_in, batch if gated else 0, *program.forward.shape)
    if dtype is None:
        dtype = "float32" if drawn or gated or (statistic != "mean" and channel is None) else "float64"
    choice(dtype, "dtype", ("float32", "float64"))
    if isinstance(images, np.ndarray):
        cut = on_space(slice(a, b + 1) for a, b in zip(*program.forward))
        images = images.swapaxes(0, 1)[cut].astype(dtype)
    recipe = Recipe(drawn, fixed, size, counts[program.top], dtype, entropy, images if gated else None)
    largest = max([math.prod(size), *(counts[i] * max(batch * gated * math.prod(step.forward.out.shape),
                                                      math.prod(step.backward.out.shape))
                                      for i, step in program.steps.items())])
    nbytes = np.dtype(dtype).itemsize * max(largest, sum(math.prod(p.shape) for p in drawn.values()) // 4)
    check_bytes(nbytes, "one draw's largest activation", "give a smaller image, width or batch")
    chunk = max(1, min(CHUNK_DRAWS, CHUNK_BYTES // max(nbytes, 1)))
    field = program.backward
    if window is not None:
        field = Box(*(tuple(map(pick, a, b)) for pick, a, b in zip((max, min), field, window)))
    if field.empty:
        field = Box(field.lo, tuple(a - 1 for a in field.lo))
    return Plan(program, field, recipe, statistic, channel, normalise, chunk)


def fingerprint(net: Network, plan: Plan, facts: Mapping[str, Any]) -> str:
    """Of everything that decides what is measured, the number of draws and the entropy aside."""
    recipe, images = plan.recipe, plan.recipe.images
    plain = [net.to_dict(), {key: str(value) for key, value in facts.items()}, recipe.inputs, recipe.dtype,
             *([repr(images)] if isinstance(images, NaturalImages) else []),
             plan.statistic, plan.channel, plan.normalise, plan.chunk,
             [(*key, parameter.shape) for key, parameter in recipe.drawn.items()]]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True, default=repr).encode())
    arrays: dict[Any, Array] = recipe.given | ({"images": images} if isinstance(images, np.ndarray) else {})
    for key, array in sorted(arrays.items(), key=lambda item: str(item[0])):
        digest.update(repr((key, array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
