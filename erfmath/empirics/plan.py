"""What a measurement computes: the job of one chunk of draws, and how it is made from the arguments."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.checks import choice, integer
from ..base.errors import check_bytes
from ..layers import Activation, BatchNorm, Dropout, LayerNorm, MaxPool
from ..networks.network import Network
from ..results.field import STATISTICS
from ..results.statistics import Moments
from .boxes import Program, compile_network
from .convolution import on_space
from .run import Parameters, forward
from .sampling import Kernel, Recipe, check_kernel, kernels_of

__all__ = ["Job", "fingerprint", "make_job"]

Array = npt.NDArray[Any]

#: Inputs per draw where a batch norm takes its statistics from them.
BATCH = 8
#: Bytes of the largest activation of a chunk of draws, and the most draws in one.
CHUNK_BYTES, CHUNK_DRAWS = 2**23, 256


@dataclass(frozen=True)
class Job:
    """Everything that a chunk of draws needs; the same for all chunks, and small enough to send."""

    program: Program
    recipe: Recipe
    groups: dict[int, int]
    biases: dict[int, Array]
    norms: dict[int, Array]
    statistic: str
    channel: int | None
    normalise: bool
    chunk: int

    @property
    def exact(self) -> bool:
        """Whether one draw says everything: nothing is random."""
        return not (self.recipe.kernels or self.recipe.inputs[1]) and (
            self.statistic == "mean" or self.channel is not None)

    def maps(self, start: int, stop: int) -> Array:
        """Maps of draws start..stop-1 on the program's cone, (draws, *space), summed over input channels."""
        sample = self.recipe.sample(start, stop)
        parameters = Parameters(sample.kernels, self.groups, self.biases, self.norms)
        run = forward(self.program, parameters, self.recipe.batch(start, sample.generators), images=1,
                      generators=sample.generators)
        gradient = self._output_gradient(run.output, sample.combination)
        g = run.backward(gradient.astype(self.recipe.dtype))[:, :, 0]
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
            program = self.program
            box = program.steps[program.top]
            at = on_space(slice(c - n, c - n + 1) for c, n in zip(box.cone.lo, box.need.lo))
            gradient = gradient * (output[:, :, 0][at].reshape(gradient.shape) > 0)
        return gradient.reshape(*gradient.shape, 1, *space)

    def moments(self, part: tuple[int, int]) -> Moments:
        """Statistics of draws part[0]..part[1]-1."""
        return Moments.of(self.maps(*part))


def make_job(net: Network, *, ndim: int, image: tuple[int, ...] | None, unit: tuple[int, ...], node: str | None,
             statistic: str, width: int, channels_in: int, entropy: Any, normalise: bool,
             weights: Mapping[str, Any], images: Array | None, channel: int | None, batch: int | None,
             dtype: str | None) -> Job:
    """Check the arguments against the network and each other, and put the work together."""
    choice(statistic, "statistic", STATISTICS)
    kernels = kernels_of(net, ndim, width, channels_in)
    counts = [*net.channels(width, channels_in, ndim).values(), channels_in]
    given, biases, norms = _given(net, weights, kernels, counts)
    program = compile_network(net, ndim, image=image, node=node, unit=unit, frozen=norms)
    used = {i: kernels[i] for i in program.steps if i in kernels}
    random = {i: kernel for i, kernel in used.items() if i not in given and kernel.random}
    fixed = {i: given[i] if i in given else kernel.fixed()[None] for i, kernel in used.items() if i not in random}
    if channel is not None and not 0 <= integer(channel, "channel") < counts[program.top]:
        raise ValueError(f"channel={channel}: the node has {counts[program.top]} channels, counted from 0")
    if batch is None:
        batch = BATCH if any(_from_data(program, i, norms) for i in program.steps) else 1
        batch = batch if images is None else min(batch, len(images))
    elif integer(batch, "batch", 1) and images is not None and batch > len(images):
        raise ValueError(f"batch={batch}: there are only {len(images)} images")
    # A linear network's gradient is the same for every input: it is run on no image at all.
    gated = statistic == "relu" or any(_is_gate(program, i, norms) for i in program.steps)
    size = (channels_in, batch if gated else 0, *program.need.shape)
    if dtype is None:
        dtype = "float32" if random or gated or (statistic != "mean" and channel is None) else "float64"
    choice(dtype, "dtype", ("float32", "float64"))
    if images is not None:
        cut = on_space(slice(a, b + 1) for a, b in zip(*program.need))
        images = images.swapaxes(0, 1)[cut].astype(dtype)
    recipe = Recipe(random, fixed, size, counts[program.top], dtype, entropy, images if gated else None)
    largest = max([math.prod(size), *(counts[i] * max(batch * gated * math.prod(step.need.shape),
                                                      math.prod(step.cone.shape))
                                      for i, step in program.steps.items())])
    nbytes = np.dtype(dtype).itemsize * max(largest, sum(math.prod(k.shape) for k in random.values()) // 4)
    check_bytes(nbytes, "one draw's largest activation", "give a smaller image, width or batch")
    chunk = max(1, min(CHUNK_DRAWS, CHUNK_BYTES // max(nbytes, 1)))
    return Job(program, recipe, {i: kernel.groups for i, kernel in used.items()}, biases, norms, statistic,
               channel, normalise, chunk)


def _from_data(program: Program, i: int, norms: Mapping[int, Array]) -> bool:
    layer = program.steps[i].layer
    return isinstance(layer, BatchNorm) and layer.mode == "data" and i not in norms


def _is_gate(program: Program, i: int, norms: Mapping[int, Array]) -> bool:
    """Whether the gradient through the node depends on what went forward (or is drawn there)."""
    layer = program.steps[i].layer
    if isinstance(layer, Activation):
        return layer.function != "identity"
    return isinstance(layer, (Dropout, LayerNorm, MaxPool)) or _from_data(program, i, norms)


def _given(net: Network, weights: Mapping[str, Any], kernels: Mapping[int, Kernel],
           counts: list[int]) -> tuple[dict[int, Array], dict[int, Array], dict[int, Array]]:
    """Given kernels, biases and batch norms by the node's position."""
    given, biases, norms = {}, {}, {}
    for key, array in weights.items():
        name = key.removesuffix(".bias") if key not in net.names else key
        i = net.index(name)
        if i < 0 or (i not in kernels and not isinstance(net.nodes[i].layer, BatchNorm)):
            raise ValueError(f"weights[{key!r}]: only convolutions and batch norms have weights")
        if name == key and i in kernels:
            given[i] = check_kernel(key, array, kernels[i])
            continue
        array = np.asarray(array, dtype=float)
        want = (4, counts[i]) if name == key else (counts[i],)
        if array.shape != want or not np.isfinite(array).all() or (name != key and i not in kernels):
            raise ValueError(f"weights[{key!r}]: shape {array.shape}; must be finite numbers of shape {want}"
                             + (" (scale, shift, mean, variance)" if name == key else ""))
        if name == key:
            norms[i] = array
        else:
            biases[i] = array
    return given, biases, norms


def fingerprint(net: Network, job: Job, about: Mapping[str, Any]) -> str:
    """Of everything that decides what is measured, the number of draws and the entropy aside."""
    recipe = job.recipe
    plain = [net.to_dict(), {key: str(value) for key, value in about.items()}, recipe.inputs, recipe.dtype,
             job.statistic, job.channel, job.normalise, job.chunk,
             {i: kernel.shape for i, kernel in recipe.kernels.items()}]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True, default=repr).encode())
    for arrays in (recipe.given, job.biases, job.norms, {} if recipe.images is None else {0: recipe.images}):
        for i in sorted(arrays):
            digest.update(repr((i, arrays[i].shape, arrays[i].dtype)).encode())
            digest.update(np.ascontiguousarray(arrays[i]).tobytes())
    return digest.hexdigest()
