"""Sampling: the parameters of all layers, inputs, and gradients of the unit.

Draw i takes everything from the i-th child of one SeedSequence, in an order that depends on the
network alone: neither chunks nor workers change what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import integer
from ..base.errors import quoted
from ..networks.images import NaturalImages
from ..networks.network import Network
from .arrays import Array
from .rules import Parameter, rule_of

__all__ = ["Recipe", "Sample", "check_entropy", "checked", "fill_normal", "generator", "given_parameters",
           "parameters_of", "seed_entropy"]

#: Normal numbers that are made at a time: the arrays on the way stay in the cache.
BLOCK = 2**15


def parameters_of(net: Network, ndim: int, width: int, channels_in: int) -> dict[tuple[int, str], Parameter]:
    """The parameters of all layers, by the node's position and the parameter's name."""
    channels = [*net.channels(width, channels_in, ndim).values(), channels_in]
    return {(i, name): parameter for i, node in enumerate(net.nodes) for name, parameter in
            rule_of(node.layer).parameters(node.layer, channels[net.sources[i][0]], channels[i], ndim).items()}


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
    raise ValueError(f"rng={quoted(rng)}: must be a non-negative int, a numpy Generator or None")


def check_entropy(value: Any, name: str) -> Any:
    """A seed as files hold it: a number that is not negative, or a list of such numbers."""
    for item in value if isinstance(value, list) else [value]:
        integer(item, name, 0)
    return value


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

    parameters: dict[tuple[int, str], Array]  # by node and name: (draws or 1, *shape)
    combination: Array                        # (draws, channels of the unit), of variance 1 / channels
    generators: list[np.random.Generator]     # for the inputs, and what the network itself draws (dropout)


@dataclass(frozen=True)
class Recipe:
    """How to sample any draw of an ensemble.

    Attributes
    ----------
    drawn : dict
        The parameters to draw, by node and name.
    given : dict
        The arrays that are given or not random, by node and name, with a leading axis of 1.
    inputs : tuple of int
        Shape (channels, images, *space) of a draw's inputs.
    images : ndarray or NaturalImages, optional
        Shape (channels, all images, *space): draws take them in turn instead of white noise.
    unit_channels : int
    dtype : str
    entropy : int or list of int
    """

    drawn: dict[tuple[int, str], Parameter]
    given: dict[tuple[int, str], Array]
    inputs: tuple[int, ...]
    unit_channels: int
    dtype: str
    entropy: Any
    images: Array | NaturalImages | None = None

    def sample(self, start: int, stop: int) -> Sample:
        """Draws start..stop-1."""
        draws = stop - start
        normal = {key: p for key, p in self.drawn.items() if not p.uniform}
        uniform = {key: p for key, p in self.drawn.items() if p.uniform}
        bells = np.empty((draws, sum(math.prod(p.shape) for p in normal.values()) + self.unit_channels), self.dtype)
        boxes = np.empty((draws, sum(math.prod(p.shape) for p in uniform.values())), self.dtype)
        generators = [generator(self.entropy, i) for i in range(start, stop)]
        for rng, bell, box in zip(generators, bells, boxes):
            fill_normal(rng, bell)
            rng.random(out=box, dtype=box.dtype)
        boxes -= 0.5
        boxes *= math.sqrt(12)
        found = {key: array.astype(self.dtype, copy=False) for key, array in self.given.items()}
        for source, members in ((bells, normal), (boxes, uniform)):
            at = 0
            for key, p in members.items():
                size = math.prod(p.shape)
                found[key] = source[:, at:at + size].reshape(draws, *p.shape)  # a view
                found[key] *= p.std.astype(self.dtype)
                if np.any(p.value):
                    found[key] += p.value
                at += size
        combination = bells[:, bells.shape[1] - self.unit_channels:] / math.sqrt(self.unit_channels)
        return Sample(found, combination.astype(self.dtype), generators)

    def batch(self, start: int, generators: Sequence[np.random.Generator]) -> Array:
        """Inputs of the draws from `start` on, (draws, channels, images, *space)."""
        if self.images is None:
            inputs = np.empty((len(generators), *self.inputs), self.dtype)
            for rng, part in zip(generators, inputs):
                fill_normal(rng, part.reshape(-1))
            return inputs
        channels, each, *space = self.inputs
        if isinstance(self.images, NaturalImages):
            drawn = [self.images.sample(each, space, rng, channels) for rng in generators]
            return np.stack(drawn).swapaxes(1, 2).astype(self.dtype)
        turn = np.arange(start * each, (start + len(generators)) * each) % self.images.shape[1]
        return np.stack([self.images[:, t] for t in turn.reshape(-1, each)]).astype(self.dtype, copy=False)


def given_parameters(net: Network, weights: Mapping[str, Any], known: Mapping[tuple[int, str], Parameter],
                     ) -> dict[tuple[int, str], Array]:
    """Arrays of `weights` by node and name, with a leading axis of 1.

    A node's name stands for its kernel, or for its other parameters stacked; "node.bias" for a bias.

    Raises
    ------
    ValueError
        If a layer takes no such array, a shape does not fit, or a number is not finite.
    """
    found = {}
    for key, array in weights.items():
        name, part = (key, "") if key in net.names else (key.removesuffix(".bias"), "bias")
        i = net.index(name)
        stacked = () if i < 0 else rule_of(net.nodes[i].layer).stacked(net.nodes[i].layer)
        if not stacked or (part and (i, part) not in known):
            raise ValueError(f"weights[{quoted(key)}]: this layer takes no such array; convolutions, norms and PReLU "
                             "do")
        names = (part,) if part else stacked
        parameter = known[i, names[0]]
        shape = np.shape(array) if parameter.wide == np.shape(array) else parameter.shape
        array = checked(key, array, shape if len(names) == 1 else (len(names), *shape), names)
        found.update({(i, name): row[None] for name, row in zip(names, [array] if len(names) == 1 else array)})
    return found


def checked(key: str, array: Any, shape: tuple[int, ...], names: Sequence[str] = ()) -> Array:
    """The array of `weights` called `key`, which holds the parameters `names` as rows.

    Raises
    ------
    ValueError
        If it is not of this shape, or holds other than finite real numbers, or a variance that is not positive.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "fiu" or array.shape != shape or not np.isfinite(array).all():
        meant = f" ({', '.join(names)})" if len(names) > 1 else ""
        raise ValueError(f"weights[{quoted(key)}]: shape {array.shape} of {array.dtype}; must be finite real numbers "
                         f"of shape {shape}{meant}")
    if "variance" in names and array[names.index("variance")].min(initial=1) <= 0:
        raise ValueError(f"weights[{quoted(key)}]: a variance of {array[names.index('variance')].min():g}; must be "
                         "positive (a framework's epsilon is part of it)")
    return array
