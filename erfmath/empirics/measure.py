"""Measured effective receptive fields: an ensemble of networks, each back-propagated from one unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import choice, integer, is_sequence
from ..layers import Activation, BatchNorm, Dropout, LayerNorm, MaxPool
from ..network import Network, image_shape
from .cone import Program, compile_network
from .draw import Recipe, check_kernel, kernels_of, seed_entropy
from .run import Parameters, forward
from .welford import Moments

__all__ = ["Job", "STATISTICS"]

Array = npt.NDArray[Any]

STATISTICS = ("power", "mean", "amplitude", "magnitude", "relu")


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

    def maps(self, start: int, stop: int) -> Array:
        """Maps of draws start..stop-1 on the program's cone, (draws, *space), summed over input channels."""
        sample = self.recipe.sample(start, stop)
        parameters = Parameters(sample.kernels, self.groups, self.biases, self.norms)
        run = forward(self.program, parameters, sample.inputs, images=1, generators=sample.generators)
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
            at = tuple(c - n for c, n in zip(box.cone.lo, box.need.lo))
            gradient = gradient * (output[(slice(None), slice(None), 0, *at)] > 0)
        return gradient.reshape(*gradient.shape, 1, *space)

    def moments(self, number: int, stop: int) -> Moments:
        """Statistics of chunk `number`, of draws below `stop`."""
        start = number * self.chunk
        return Moments.of(self.maps(start, min(start + self.chunk, stop)))
