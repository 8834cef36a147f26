"""What the measurement knows of a kind of layer: one rule each, entered by a decorator, found by the kind's name.

A rule runs its layer forward and hands back a function, `pull`, that takes the gradient of the output to the
gradients of the inputs.  It also answers what the plan of a run asks: which sites and parameters the layer needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...layers import Layer
from ...layers.geometry import AxisGeometry, Box
from ...layers.registry import Registry
from ..arrays import Array, give_sites, place, take_sites

__all__ = ["Call", "Parameter", "Pull", "RULES", "Rule", "Step", "Window", "rule", "rule_of"]

Pull = Callable[[Array], Sequence[Array]]


class Window(NamedTuple):
    """The sites of one pass, forward or backward, at a node.

    Attributes
    ----------
    out : Box
        Those of the output.
    held : tuple of Box
        Those that each input has.
    reads : tuple of Box
        Those of each input that `out` reads, padding included.
    matrices : tuple of ndarray
        Of a layer that works along each axis by a matrix: from the sites `held` to those of `out`.
    folds : tuple of ndarray
        Where padding repeats the map instead of adding zeros: per axis, the site that each one of `reads` repeats.
    """

    out: Box
    held: tuple[Box, ...]
    reads: tuple[Box, ...]
    matrices: tuple[Array, ...] = ()
    folds: tuple[Array, ...] = ()

    def read(self, x: Array, which: int = 0, fill: float = 0.0) -> Array:
        """Input number `which` on the sites that the output reads."""
        if self.folds:
            return take_sites(x, self._folds())
        return place(x, self.held[which], self.reads[which], fill)

    def give_back(self, dx: Array, which: int = 0) -> Array:
        """Adjoint of `read`: a gradient on the sites that were read as one on those that the input has."""
        if self.folds:
            return give_sites(dx, self._folds(), self.held[which].shape)
        return place(dx, self.reads[which], self.held[which])

    def _folds(self) -> list[Array]:
        return [sites - first for sites, first in zip(self.folds, self.held[0].lo)]


@dataclass(frozen=True)
class Step:
    """A node's place in a run: its layer, its inputs (-1 is that of the network), and the sites of both passes.

    `over_map` is whether it takes statistics of the whole map, `through` whether gradients pass through them.
    """

    index: int
    name: str
    layer: Layer
    inputs: tuple[int, ...]
    geometry: tuple[AxisGeometry, ...]
    forward: Window
    backward: Window
    over_map: bool = False
    through: bool = False

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(g.kernel for g in self.geometry)

    @property
    def stride(self) -> tuple[int, ...]:
        return tuple(g.stride for g in self.geometry)

    @property
    def dilation(self) -> tuple[int, ...]:
        return tuple(g.dilation for g in self.geometry)


@dataclass(eq=False)
class Call:
    """What a rule gets for one step of a run, inputs aside, and where it leaves what training asks for.

    Attributes
    ----------
    step : Step
    parameters : mapping
        By name: (draws or 1, *shape of the parameter).
    images : int
        How many of the images, the first ones, are back-propagated; the others only serve batch statistics.
    training : bool
        Whether gradients to the parameters are wanted, and batch norms work by the batch.
    generators : sequence of Generator
        One a draw, for dropout; without, nothing is dropped.
    to_inputs : bool
        Whether the gradients of the inputs are wanted.
    coarse : bool
        Whether these may be wrong by some 1e-5 of their size where that is faster.
    gradients : dict
        In training, after the pull: those of the parameters, by name.
    statistics : dict
        In training: "mean" and "variance" that a batch norm has met, (draws, channels).
    """

    step: Step
    parameters: Mapping[str, Array]
    images: int
    training: bool
    generators: Sequence[np.random.Generator]
    to_inputs: bool
    coarse: bool = False
    gradients: dict[str, Array] = field(default_factory=dict)
    statistics: dict[str, Array] = field(default_factory=dict)

    def kept(self, array: Array, which: int | None = None) -> Array:
        """The part that the backward pass will use of an array on the output's sites, or on those read of an input."""
        held, wanted = ((window.out if which is None else window.reads[which])
                        for window in (self.step.forward, self.step.backward))
        if held == wanted and array.shape[2] == self.images:
            return array
        return place(array[:, :, :self.images], held, wanted).copy()


@dataclass(frozen=True)
class Parameter:
    """An array that a layer works with: of independent random numbers, or of given ones.

    Attributes
    ----------
    shape : tuple of int
    std : ndarray, optional
        Standard deviations, in a shape that broadcasts to `shape`; None where nothing is random.
    uniform : bool
        Whether random numbers are uniform instead of normal.
    value : ndarray
        Means, or the array where nothing is random; broadcasts to `shape`.
    wide : tuple of int, optional
        Another shape in which it may be given.
    optional : bool
        Whether the layer does without it where nothing is random or given.
    trained, decays : bool
        Whether training changes it, and weight decay acts on it.
    """

    shape: tuple[int, ...]
    std: Any = None
    uniform: bool = False
    value: Any = 0.0
    wide: tuple[int, ...] | None = None
    optional: bool = False
    trained: bool = True
    decays: bool = False

    @property
    def random(self) -> bool:
        return self.std is not None

    def fixed(self) -> Array:
        """The array where nothing is random, without a copy."""
        return np.broadcast_to(self.value, self.shape)

    def draw(self, rng: np.random.Generator) -> Array:
        """One network's array, in single precision."""
        if not self.random:
            return np.array(self.fixed(), np.float32)
        # Of the uniform ones so many are taken in any case: seeds stand for the networks that they always have.
        numbers = (rng.random(self.shape, np.float32) - np.float32(0.5)) * np.float32(math.sqrt(12))
        numbers = numbers if self.uniform else rng.standard_normal(self.shape, np.float32)
        return numbers * self.std.astype(np.float32) + np.float32(self.value)


class Rule:
    """Defaults: windows as the geometry says, no parameters."""

    def run(self, call: Call, inputs: list[Array]) -> tuple[Array, Pull]:
        """The output on its sites, and its pull; large copies are made of inputs taken out of the list."""
        raise NotImplementedError

    def parameters(self, layer: Any, c_in: int, c_out: int, ndim: int) -> dict[str, Parameter]:
        """Its parameters by name, between so many channels; "kernel" and the like are called as the node."""
        return {}

    def stacked(self, layer: Any) -> tuple[str, ...]:
        """Names of the parameters that are given together, stacked, under the node's name."""
        return ()

    def reads(self, layer: Any, g: AxisGeometry, first: int, last: int, n: int | None) -> tuple[int, int]:
        """First and last site, padding included, that output sites first..last read along an axis of `n`."""
        before = g.pads(n)[0]
        if g.transposed:
            return -((g.extent - 1 - first - before) // g.stride), (last + before) // g.stride
        return g.stride * first - before, g.stride * last - before + g.extent - 1

    def is_gate(self, layer: Any, given: Collection[str]) -> bool:
        """Whether gradients depend on the data, or on what is drawn on the way, with the parameters `given`."""
        return bool(layer.needs_data or layer.draws_noise)

    def over_map(self, layer: Any, given: Collection[str]) -> bool:
        """Whether it takes statistics of the whole map."""
        return "space" in layer.statistics

    def through_map(self, layer: Any) -> bool:
        """Whether gradients pass through these statistics."""
        return bool(layer.through_statistics)

    def matrix(self, layer: Any, g: AxisGeometry, out: Array, sites: Array, n: int | None) -> Array | None:
        """Weights of input `sites` in output sites `out` along an axis, if all the layer does is such a product."""
        return None


#: The rule of each kind of layer, by the name that it has in JSON.
RULES: Registry[Rule] = Registry("the measurement has no rule for this kind of layer")
rule, rule_of = RULES.enter, RULES.of
