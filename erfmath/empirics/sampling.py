"""Sampling: kernels by each layer's `weights`, inputs, and gradients of the unit.

Draw i takes everything from the i-th child of one SeedSequence, in an order that depends on the
network alone: neither chunks nor workers change what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import per_axis
from ..layers import Conv, ConvTranspose, Layer
from ..layers.weights import Fixed, Random
from ..networks.network import Network

__all__ = ["Kernel", "Recipe", "Sample", "check_kernel", "fill_normal", "generator", "kernel_of", "kernels_of",
           "seed_entropy"]

Array = npt.NDArray[Any]

#: Normal numbers that are made at a time: the arrays on the way stay in the cache.
BLOCK = 2**15


@dataclass(frozen=True)
class Kernel:
    """A convolution's kernel in a network of known channels.

    `shape` is (out, in / groups, *k), for a transposed convolution (in, out / groups, *k); `groups`
    is a number here.
    """

    shape: tuple[int, ...]
    groups: int
    transposed: bool
    weights: Any
    fan_in: float
    fan_out: float

    @property
    def random(self) -> bool:
        return isinstance(self.weights, Random)

    def scale(self) -> Array:
        """Standard deviation per tap of random weights: the root of gain / fan times the profile."""
        spec = self.weights
        size = self.shape[2:]
        variance = np.full(size, spec.gain / (self.fan_in if spec.fan == "in" else self.fan_out))
        parts = spec.variances(size)
        if len(parts) == len(size):  # one factor per axis
            for axis, part in enumerate(parts):
                variance = variance * (part * size[axis]).reshape(-1, *(1,) * (len(size) - 1 - axis))
        else:
            variance = variance * parts[0] * math.prod(size)
        return np.sqrt(variance)

    def fixed(self) -> Array:
        """The weights where they are not random."""
        if isinstance(self.weights, Fixed):
            array = self.weights.array
            return np.broadcast_to(array, self.shape) if array.ndim == len(self.shape) - 2 else array
        taps, c_in = math.prod(self.shape[2:]), self.shape[0] if self.transposed else self.shape[1] * self.groups
        return np.full(self.shape, self.groups / (taps * c_in))


def kernel_of(layer: Layer, c_in: int, c_out: int, ndim: int) -> Kernel | None:
    """The kernel of a convolution between `c_in` and `c_out` channels; None for other layers.

    Fan-in is prod(k) c_in / groups, of a transposed convolution c_in prod(k / s) / groups: the
    weights that reach one output site.  Fan-out has c_out.
    """
    if not isinstance(layer, (Conv, ConvTranspose)):
        return None
    size = per_axis(layer.kernel_size, ndim)
    same_filter = isinstance(layer.weights, Fixed) and layer.weights.per_channel(ndim)
    groups = c_in if layer.groups == "depthwise" or same_filter else layer.groups
    taps = float(math.prod(size))
    first, second = c_out, c_in // groups
    if layer.transposed:
        taps /= math.prod(per_axis(layer.stride, ndim))
        first, second = c_in, c_out // groups
    return Kernel((first, second, *size), groups, layer.transposed, layer.weights,
                  taps * c_in / groups, taps * c_out / groups)


def kernels_of(net: Network, ndim: int, width: int, channels_in: int) -> dict[int, Kernel]:
    """The kernels of all convolutions, by the node's position."""
    channels = [*net.channels(width, channels_in, ndim).values(), channels_in]
    found = {}
    for i, node in enumerate(net.nodes):
        kernel = kernel_of(node.layer, channels[net.sources[i][0]], channels[i], ndim)
        if kernel is not None:
            found[i] = kernel
    return found


def seed_entropy(rng: Any) -> Any:
    """What all draws grow from: of an int, a Generator (advanced by this), or None (fresh).

    Raises
    ------
    ValueError
        For anything else.
    """
    if isinstance(rng, np.random.Generator):
        return [int(v) for v in rng.integers(0, 2**32, size=4)]
    if rng is None:
        return np.random.SeedSequence().entropy
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, (bool, np.bool_)) and rng >= 0:
        return int(rng)
    raise ValueError(f"rng={rng!r}: must be a non-negative int, a numpy Generator or None")


def generator(entropy: Any, index: int) -> np.random.Generator:
    """The generator of draw `index`: the child of this number."""
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(index,)))


def fill_normal(rng: np.random.Generator, out: Array) -> None:
    """Fill a flat array with independent N(0, 1).

    Long arrays of float32 by the formula of Box and Muller on whole blocks, in half the time that
    the generator's own loop over single numbers takes: drawing weights is what small networks wait for.
    """
    if out.dtype != np.float32 or out.size < BLOCK // 8:
        rng.standard_normal(out=out, dtype=out.dtype)
        return
    for start in range(0, out.size, BLOCK):
        part = out[start:start + BLOCK]
        pairs = (part.size + 1) // 2
        bits = rng.bit_generator.random_raw(pairs).view(np.uint32)
        radius = bits[:pairs].astype(np.float32)
        radius *= np.float32(2.0**-32)
        radius += np.float32(2.0**-33)  # never 0
        np.log(radius, out=radius)
        radius *= np.float32(-2)
        np.sqrt(radius, out=radius)
        angle = bits[pairs:].view(np.int32).astype(np.float32)
        angle *= np.float32(math.pi / 2**31)
        np.multiply(radius, np.cos(angle), out=part[:pairs])
        rest = part.size - pairs
        np.multiply(radius[:rest], np.sin(angle[:rest]), out=part[pairs:])


class Sample(NamedTuple):
    """What a chunk of draws works on, the inputs aside."""

    kernels: dict[int, Array]              # by node: (draws or 1, *shape of the kernel)
    combination: Array                     # (draws, channels of the unit), of variance 1 / channels
    generators: list[np.random.Generator]  # for the inputs, and what the network itself draws (dropout)


@dataclass(frozen=True)
class Recipe:
    """How to sample any draw of an ensemble.

    Attributes
    ----------
    kernels : dict
        The kernels to draw, by node.
    given : dict
        The kernels that are given or not random, by node, with a leading axis of 1.
    inputs : tuple of int
        Shape (channels, images, *space) of a draw's inputs.
    images : ndarray, optional
        Shape (channels, all images, *space): draws take them in turn instead of white noise.
    unit_channels : int
    dtype : str
    entropy : int or list of int
    """

    kernels: dict[int, Kernel]
    given: dict[int, Array]
    inputs: tuple[int, ...]
    unit_channels: int
    dtype: str
    entropy: Any
    images: Array | None = None

    def sample(self, start: int, stop: int) -> Sample:
        """Draws start..stop-1."""
        draws = stop - start
        normal = {i: k for i, k in self.kernels.items() if k.weights.law == "normal"}
        uniform = {i: k for i, k in self.kernels.items() if k.weights.law == "uniform"}
        bells = np.empty((draws, sum(math.prod(k.shape) for k in normal.values()) + self.unit_channels), self.dtype)
        boxes = np.empty((draws, sum(math.prod(k.shape) for k in uniform.values())), self.dtype)
        generators = [generator(self.entropy, i) for i in range(start, stop)]
        for rng, bell, box in zip(generators, bells, boxes):
            fill_normal(rng, bell)
            rng.random(out=box, dtype=box.dtype)
        boxes -= 0.5
        boxes *= math.sqrt(12)
        kernels = {i: array.astype(self.dtype, copy=False) for i, array in self.given.items()}
        for source, members in ((bells, normal), (boxes, uniform)):
            at = 0
            for i, kernel in members.items():
                size = math.prod(kernel.shape)
                kernels[i] = source[:, at:at + size].reshape(draws, *kernel.shape)  # a view
                kernels[i] *= kernel.scale().astype(self.dtype)
                at += size
        combination = bells[:, bells.shape[1] - self.unit_channels:] / math.sqrt(self.unit_channels)
        return Sample(kernels, combination.astype(self.dtype), generators)

    def batch(self, start: int, generators: Sequence[np.random.Generator]) -> Array:
        """Inputs of the draws from `start` on, (draws, channels, images, *space)."""
        if self.images is None:
            inputs = np.empty((len(generators), *self.inputs), self.dtype)
            for rng, part in zip(generators, inputs):
                fill_normal(rng, part.reshape(-1))
            return inputs
        each = self.inputs[1]
        turn = np.arange(start * each, (start + len(generators)) * each) % self.images.shape[1]
        return np.stack([self.images[:, t] for t in turn.reshape(-1, each)]).astype(self.dtype, copy=False)


def check_kernel(name: str, array: Any, kernel: Kernel) -> Array:
    """Given weights of node `name`, with a leading axis of 1.

    Raises
    ------
    ValueError
        If the shape is not that of the node's kernel, or a weight is not finite.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "fiu" or array.shape != kernel.shape:
        raise ValueError(f"weights[{name!r}]: shape {array.shape} of {array.dtype}; must be real numbers of "
                         f"shape {kernel.shape}" + (" (in, out/groups, *k)" if kernel.transposed else
                                                    " (out, in/groups, *k)"))
    if not np.isfinite(array).all():
        raise ValueError(f"weights[{name!r}]: must be finite")
    return array[None]
