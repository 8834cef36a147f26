"""Runs a network: forward over the steps of a program, and backward through what they left behind.

Every op has one rule.  It takes the step and the values of its inputs, and returns the output and a
function `pull` that takes the gradient of the output to the gradients of the inputs.  A rule that
makes a large copy of an input first takes it out of the list, so that the input can be released.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..layers.geometry import Box
from . import ops
from .boxes import Program, Step
from .convolution import conv, conv_input_grad, conv_weight_grad
from .row_convolution import Rows, fits_rows

__all__ = ["Parameters", "Run", "forward"]

Array = npt.NDArray[Any]
Pull = Callable[[Array], Sequence[Array]]


@dataclass(frozen=True)
class Parameters:
    """Numbers that a network runs on, by the node's position.

    Attributes
    ----------
    kernels : dict
        Of convolutions: (draws or 1, *shape of the kernel).
    groups : dict
        Of convolutions: numbers of groups.
    biases : dict
        Of convolutions, where there are any: (draws or 1, channels).
    norms : dict
        Of batch norms whose statistics are given: scale, shift, mean and variance, (4, channels).
        Other batch norms take the statistics of the batch.
    """

    kernels: dict[int, Array]
    groups: dict[int, int]
    biases: dict[int, Array] = field(default_factory=dict)
    norms: dict[int, Array] = field(default_factory=dict)


class Run:
    """What a forward pass leaves behind.

    Attributes
    ----------
    output : ndarray
        Values of the last node on its `need` box, (draws, channels, images, *space).
    gradients : dict
        After `backward` of a run in training: by (node, name) those of "kernel", "bias", "scale", "shift".
    statistics : dict
        In training: by node the mean and variance that a batch norm has met, (draws, channels).
    """

    def __init__(self, program: Program, parameters: Parameters, images: int, training: bool,
                 generators: Sequence[np.random.Generator]) -> None:
        self.program = program
        self.parameters = parameters
        self.images = images
        self.training = training
        self.generators = generators
        self.output: Array
        self.gradients: dict[tuple[int, str], Array] = {}
        self.statistics: dict[int, tuple[Array, Array]] = {}
        self.pulls: dict[int, Pull] = {}
        self.inputs_wait = True

    def backward(self, gradient: Array, *, keep: bool = False) -> Array:
        """Gradient of the inputs on the program's `cone`, from that of the output on its `cone` box.

        What the forward pass left is released on the way, unless another call is to `keep` it.
        """
        return self._sweep(gradient, keep)[-1]

    def learn(self, gradient: Array) -> dict[tuple[int, str], Array]:
        """`gradients` to the parameters alone: convolutions of the network's inputs spare them theirs."""
        self.inputs_wait = False
        self._sweep(gradient, False)
        return self.gradients

    def _sweep(self, gradient: Array, keep: bool) -> dict[int, Array]:
        waiting = {self.program.top: gradient}
        del gradient
        for i in sorted(self.program.steps, reverse=True):
            pull = self.pulls[i] if keep else self.pulls.pop(i)
            _add_to(waiting, self.program.steps[i].inputs, pull(waiting.pop(i)))
        return waiting

    def kept(self, array: Array, step: Step) -> Array:
        """The part of a forward array, on `need`, that the backward pass will use."""
        if step.need == step.cone and array.shape[2] == self.images:
            return array
        return ops.fit(array[:, :, :self.images], step.need.pads(step.cone)).copy()


def forward(program: Program, parameters: Parameters, x: Array, *, images: int | None = None,
            training: bool = False, generators: Sequence[np.random.Generator] = ()) -> Run:
    """Run the steps of `program` on inputs `x`.

    Parameters
    ----------
    program : Program
    parameters : Parameters
    x : ndarray
        Inputs on the box `program.need`, shape (draws, channels, images, *space).
    images : int, optional
        How many of the images, the first ones, will be back-propagated (default: all).  The others
        only serve batch statistics.
    training : bool
        Keep what the gradients to the parameters need, and back-propagate through batch statistics.
    generators : sequence of Generator
        One a draw, for dropout; without, nothing is dropped.
    """
    if x.shape[3:] != program.need.shape:
        raise ValueError(f"x: {x.shape[3:]} sites; the program needs {program.need.shape}")
    run = Run(program, parameters, x.shape[2] if images is None else images, training, generators)
    values = {-1: x}
    del x
    last_use = {j: i for i, step in program.steps.items() for j in step.inputs}
    for i, step in program.steps.items():
        inputs = [values[j] for j in step.inputs]
        for j in set(step.inputs):
            if last_use[j] == i:
                del values[j]
        values[i], run.pulls[i] = _RULES[step.layer.op](run, i, step, inputs)
    run.output = values[program.top]
    return run


def _add_to(waiting: dict[int, Array], sources: Sequence[int], parts: Sequence[Array]) -> None:
    for j, part in zip(sources, parts):
        waiting[j] = waiting[j] + part if j in waiting else part


# -- the rules --------------------------------------------------------------------------------

def _placed(run: Run, step: Step, x: Array, which: int = 0) -> Array:
    """Input number `which` on the sites of the step's output: for layers that act site by site."""
    return ops.fit(x, run.program.box(step.inputs[which]).pads(step.need))


def _returned(run: Run, step: Step, dx: Array, box: Box | None = None, which: int = 0) -> Array:
    """A gradient on `box` (default: the step's own cone) as one on the cone of input `which`."""
    return ops.fit(dx, (box or step.cone).pads(run.program.cone_box(step.inputs[which])))


def _conv(run: Run, i: int, step: Step, inputs: list[Array]) -> tuple[Array, Pull]:
    w, groups = run.parameters.kernels[i], run.parameters.groups[i]
    if run.training and fits_rows(inputs[0], w, groups):
        return _conv_on_rows(run, i, step, inputs[0])
    read = np.ascontiguousarray(ops.fit(inputs.pop(), run.program.box(step.inputs[0]).pads(step.reads)))
    y = _biased(run, i, conv(read, w, step.stride, step.dilation, groups))
    x = read if run.training else None

    def pull(dy: Array) -> Sequence[Array]:
        if x is not None:
            run.gradients[i, "kernel"] = conv_weight_grad(x, dy, step.kernel, step.stride, step.dilation, groups)
            _bias_grad(run, i, dy)
            if step.inputs[0] < 0 and not run.inputs_wait:
                return []
        last = [dy]
        del dy  # nothing holds it any more once it is padded there
        dx = conv_input_grad(last.pop(), w, step.cone_reads.shape, step.stride, step.dilation, groups)
        return [_returned(run, step, dx, step.cone_reads)]
    return y, pull


def _conv_on_rows(run: Run, i: int, step: Step, x: Array) -> tuple[Array, Pull]:
    """The same in training, faster."""
    box = run.program.box(step.inputs[0])
    rows = Rows(x, run.parameters.kernels[i], step.need.shape, step.stride, step.dilation,
                [before for before, _ in box.pads(step.reads)], run.parameters.groups[i])

    def pull(dy: Array) -> Sequence[Array]:
        run.gradients[i, "kernel"], dx = rows.gradients(dy, step.inputs[0] >= 0 or run.inputs_wait)
        _bias_grad(run, i, dy)
        return [] if dx is None else [_returned(run, step, dx, box)]
    return rows.conv(run.parameters.biases.get(i)), pull


def _conv_transpose(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    # The adjoint of a convolution from the output's sites to the input's.
    w, groups, ones = run.parameters.kernels[i], run.parameters.groups[i], step.dilation
    x = ops.fit(inputs[0], run.program.box(step.inputs[0]).pads(step.reads))
    reached = _reached(step, step.reads)
    y = ops.fit(conv_input_grad(x, w, reached.shape, step.stride, ones, groups), reached.pads(step.need))
    y = _biased(run, i, y)
    kept = x if run.training else None

    def pull(dy: Array) -> Sequence[Array]:
        wide = ops.fit(dy, step.cone.pads(_reached(step, step.cone_reads)))
        if kept is not None:
            run.gradients[i, "kernel"] = conv_weight_grad(wide, kept, step.kernel, step.stride, ones, groups)
            _bias_grad(run, i, dy)
        return [_returned(run, step, conv(wide, w, step.stride, ones, groups), step.cone_reads)]
    return y, pull


def _reached(step: Step, box: Box) -> Box:
    """Output sites that a transposed convolution's input sites reach, borders aside."""
    if box.empty:
        return box
    before = [g.pads(None)[0] for g in step.geometry]
    return Box(tuple(s * a - p for s, a, p in zip(step.stride, box.lo, before)),
               tuple(s * b - p + k - 1 for s, b, p, k in zip(step.stride, box.hi, before, step.kernel)))


def _biased(run: Run, i: int, y: Array) -> Array:
    bias = run.parameters.biases.get(i)
    if bias is not None:
        y += ops.per_channel(bias, y)
    return y


def _bias_grad(run: Run, i: int, dy: Array) -> None:
    if i in run.parameters.biases:
        run.gradients[i, "bias"] = ops.channel_sums(dy)


def _max_pool(run: Run, i: int, step: Step, inputs: list[Array]) -> tuple[Array, Pull]:
    read = ops.fit(inputs.pop(), run.program.box(step.inputs[0]).pads(step.reads), -np.inf)
    y = ops.max_pool(read, step.kernel, step.stride)
    seen = ops.fit(read[:, :, :run.images], step.reads.pads(step.cone_reads))
    winner = ops.max_pool_winner(seen, run.kept(y, step), step.kernel, step.stride)

    def pull(dy: Array) -> Sequence[Array]:
        dx = ops.max_pool_grad(dy, winner, step.cone_reads.shape, step.kernel, step.stride)
        return [_returned(run, step, dx, step.cone_reads)]
    return y, pull


def _spread(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    assert step.rows is not None and step.cone_rows is not None
    rows = step.cone_rows
    return ops.spread(inputs[0], step.rows), lambda dy: [ops.spread_grad(dy, rows)]


def _activation(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    layer: Any = step.layer
    if layer.function == "identity":
        return _pass(run, i, step, inputs)
    y, slope = ops.activate(_placed(run, step, inputs[0]), layer.function, layer.slope)
    slope = run.kept(slope, step)
    if slope.dtype != bool:
        return y, lambda dy: [_returned(run, step, dy * slope)]
    # The gates of all layers wait at once: as bits, in the order that they have in memory.
    bits, shape, strides = np.packbits(slope.ravel("K")), slope.shape, slope.strides

    def pull(dy: Array) -> Sequence[Array]:
        gate = np.ndarray(shape, bool, np.unpackbits(bits, count=math.prod(shape)), strides=strides)
        return [_returned(run, step, dy * gate)]
    return y, pull


def _batch_norm(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    x = _placed(run, step, inputs[0])
    given = run.parameters.norms.get(i)
    layer: Any = step.layer
    if given is None and layer.mode == "identity":
        return x, lambda dy: [_returned(run, step, dy)]
    if run.training:
        return _batch_norm_training(run, i, step, x, given)
    if given is None:
        y, factor = ops.batch_norm(x)
    else:
        scale, shift, mean, variance = (ops.per_channel(row, x) for row in given)
        factor = scale / np.sqrt(variance + x.dtype.type(ops.EPS))
        y = (x - mean) * factor + shift
    return y, lambda dy: [_returned(run, step, dy * factor)]


def _batch_norm_training(run: Run, i: int, step: Step, x: Array, given: Array | None) -> tuple[Array, Pull]:
    scale, shift = np.repeat([[1], [0]], x.shape[1], axis=1) if given is None else given[:2]
    scale, shift = scale.astype(x.dtype), shift.astype(x.dtype)
    y, mean, variance = ops.scaled_batch_norm(x, scale, shift)
    run.statistics[i] = mean, variance

    def pull(dy: Array) -> Sequence[Array]:
        dx, to_scale, to_shift = ops.scaled_batch_norm_grad(dy, x, scale, mean, variance)
        if given is not None:
            run.gradients[i, "scale"], run.gradients[i, "shift"] = to_scale, to_shift
        return [_returned(run, step, dx)]
    return y, pull


def _layer_norm(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    y, factor = ops.layer_norm(_placed(run, step, inputs[0]))
    kept, slope = run.kept(y, step), run.kept(factor, step)
    return y, lambda dy: [_returned(run, step, ops.layer_norm_grad(dy, kept, slope))]


def _scale(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    layer: Any = step.layer
    x = _placed(run, step, inputs[0])
    factor = x.dtype.type(layer.factor)
    return x * factor, lambda dy: [_returned(run, step, dy * factor)]


def _dropout(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    x = _placed(run, step, inputs[0])
    if not run.generators:
        return x, lambda dy: [_returned(run, step, dy)]
    p = getattr(step.layer, "p")
    factor = np.empty_like(x)
    for rng, part in zip(run.generators, factor):
        part[...] = rng.random(part.shape, np.float32) >= p
    factor /= 1 - p
    kept = run.kept(factor, step)
    return x * factor, lambda dy: [_returned(run, step, dy * kept)]


def _pass(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    """Identity, and padding, which moves the map's corner and adds zeros."""
    read = ops.fit(inputs[0], run.program.box(step.inputs[0]).pads(step.reads))
    return read, lambda dy: [_returned(run, step, dy, step.cone_reads)]


def _add(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    y = _placed(run, step, inputs[0])
    for which, x in enumerate(inputs[1:], start=1):
        y = y + _placed(run, step, x, which)
    return y, lambda dy: [_returned(run, step, dy, None, which) for which in range(len(step.inputs))]


def _concat(run: Run, i: int, step: Step, inputs: Sequence[Array]) -> tuple[Array, Pull]:
    y = np.concatenate([_placed(run, step, x, which) for which, x in enumerate(inputs)], axis=1)
    ends = np.cumsum([x.shape[1] for x in inputs])[:-1]
    return y, lambda dy: [_returned(run, step, part, None, which)
                          for which, part in enumerate(np.split(dy, ends, axis=1))]


_RULES: dict[str, Callable[[Run, int, Step, list[Array]], tuple[Array, Pull]]] = {
    "conv": _conv, "conv_transpose": _conv_transpose, "max_pool": _max_pool, "avg_pool": _spread, "blur_pool": _spread,
    "global_avg_pool": _spread, "upsample": _spread, "activation": _activation, "batch_norm": _batch_norm,
    "layer_norm": _layer_norm, "scale": _scale, "dropout": _dropout, "identity": _pass, "pad": _pass,
    "add": _add, "concat": _concat,
}
