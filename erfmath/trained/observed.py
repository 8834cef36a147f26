"""Activities of gates: how often each is open, from inputs sent forward."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..empirics.arrays import Array, place
from ..empirics.boxes import Program, compile_network
from ..empirics.convolution import taps
from ..empirics.measure import check_images
from ..empirics.plan import Plan, make_plan
from ..empirics.rules import Call, Pull, Step, rule_of
from ..empirics.rules.pooling import max_pool, max_pool_winner
from ..networks.network import Network
from ..networks.settings import RunSettings
from .circuit import channels_of, gates_of, given_names
from .slopes import Slope, signs

__all__ = ["Observed", "activities", "all_units", "batch_of", "forward_pulls", "observed", "two_slopes"]

#: What is known of a gate: one `Slope` for each input, or the shares of a pool's taps.
Observed = Any
#: Bytes of the largest activation of a batch.
BATCH_BYTES = 2**26


def activities(net: Network, weights: Mapping[str, Any], images: Any, *, node: str | None = None,
               width: int = 16) -> dict[str, Array]:
    """How often the gates of given weights are open, over images.

    What ``predict(net, weights=..., gates=...)`` takes by hand.

    Parameters
    ----------
    net : Network
    weights : mapping
        Arrays of all nodes, as in `measure`.
    images : ndarray
        Inputs (N, channels, *space), normalised as in training.
    node : str, optional
        Up to which node (default: the output).
    width : int
        Channels of layers that leave theirs open.

    Returns
    -------
    dict of ndarray
        By node.  Of ReLU and leaky ReLU the part of the values above zero, (channels,); of other activations the mean
        of phi' and of phi'^2, (2, channels); of max pools how often each tap of a window wins, (channels, taps).

    Raises
    ------
    ValueError
        If weights or images do not fit the network.

    Examples
    --------
    >>> import numpy as np
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(1, 2), em.Activation("relu"))
    >>> weights = {"conv1": np.array([[[1]], [[-1]]]), "conv1.bias": np.array([0, 2])}
    >>> em.activities(net, weights, np.array([[[-1, 1, 3, 1]]]))["relu1"].tolist()
    [0.75, 0.75]
    """
    images = check_images(images)
    settings = RunSettings.of(net, image=images.shape[2:], node=node, width=width, channels_in=images.shape[1],
                              weights=weights)
    plan = make_plan(net, settings, statistic="power", entropy=0, normalise=False, images=images, channel=None,
                     batch=None, dtype=None)
    plan = all_units(net, settings, plan)
    found = observed(plan, np.moveaxis(images, 1, 0), channels_of(net, settings))
    return {plan.program.steps[i].name: _told(plan.program.steps[i], what) for i, what in found.items()
            if isinstance(what, np.ndarray) or len(what) == 1}


def _told(step: Step, what: Observed) -> Array:
    if isinstance(what, np.ndarray):
        return what
    slope = what[0]
    low = two_slopes(step)
    if low is not None and low != 1:
        return (slope.mean - low) / (1 - low)
    return np.stack([slope.mean, slope.square])


def two_slopes(step: Step) -> float | None:
    """Of functions of slope 1 above zero, their slope below; None of others."""
    layer: Any = step.layer
    if step.layer.op != "activation" or layer.function not in ("relu", "leaky_relu"):
        return None
    return 0.0 if layer.function == "relu" else float(layer.slope)


def all_units(net: Network, settings: RunSettings, plan: Plan) -> Plan:
    """The same plan for all units of the node at once."""
    if settings.image is None:
        return plan
    program = compile_network(net, settings.ndim, image=settings.image, node=settings.node, source=settings.source,
                              given=given_names(plan))
    return dataclasses.replace(plan, program=program)


def batch_of(plan: Plan, channels: Mapping[int, int], wanted: int) -> int:
    """How many inputs go forward at a time: as many as wanted, or as fit."""
    largest = max(channels[i] * math.prod(step.forward.out.shape) for i, step in plan.program.steps.items())
    return max(1, min(wanted, BATCH_BYTES // max(largest * np.dtype(plan.recipe.dtype).itemsize, 1)))


def forward_pulls(program: Program, parameters: Mapping[tuple[int, str], Array], x: Array, images: int,
                  generators: Sequence[np.random.Generator] = ()) -> Iterator[tuple[Step, list[Array], Pull]]:
    """Run the program on `x`, and give of each node its step, its inputs and its pull.

    Of the images the first `images` are back-propagated.  Values are let go when nothing reads them any more.
    """
    by_node: dict[int, dict[str, Array]] = {i: {} for i in program.steps}
    for (i, name), array in parameters.items():
        if i in by_node:
            by_node[i][name] = array
    values = {-1: x}
    last = {j: i for i, step in program.steps.items() for j in step.inputs}
    for i, step in program.steps.items():
        inputs = [values[j] for j in step.inputs]
        for j in set(step.inputs):
            if last[j] == i:
                del values[j]
        call = Call(step, by_node[i], images, False, generators, True)
        values[i], pull = rule_of(step.layer).run(call, list(inputs))
        yield step, inputs, pull


def observed(plan: Plan, inputs: Array, channels: Mapping[int, int]) -> dict[int, Observed]:
    """What all gates of a plan do on average over inputs (channels, N, *space)."""
    recipe, program, gates = plan.recipe, plan.program, set(gates_of(plan))
    batch = max(recipe.inputs[1], 1)
    counted = inputs.shape[1] // batch * batch
    each = max(batch, batch_of(plan, channels, counted) // batch * batch)
    parameters = recipe.sample(0, 1).parameters
    total: dict[int, list[tuple[int, Observed]]] = {}
    rng = np.random.default_rng(0)
    for start in range(0, counted, each):
        part = inputs[:, start:min(start + each, counted)].astype(recipe.dtype, copy=False)
        draws = part.shape[1] // batch
        x = np.moveaxis(part.reshape(part.shape[0], draws, batch, *part.shape[2:]), 1, 0) if batch > 1 else part[None]
        for step, values, pull in forward_pulls(program, parameters, x, 1 if batch > 1 else draws):
            if step.index in gates:
                total.setdefault(step.index, []).append((draws, _seen(step, values, pull, rng)))
    return {i: _mean(parts) for i, parts in total.items()}


def _seen(step: Step, inputs: list[Array], pull: Pull, rng: np.random.Generator) -> Observed:
    """What one gate does on average over one batch."""
    op = step.layer.op
    if op == "max_pool":
        return _winners(step, inputs[0])
    if op == "adaptive_max_pool":
        return ()
    if op == "multiply":
        return _factors(step, inputs)
    # The mean diagonal of the derivative, and the mean of its squares: exact where each site has a derivative of its
    # own, as activations have.
    window = step.backward
    probe = signs(rng, (*inputs[0].shape[:3], *window.out.shape), inputs[0].dtype)
    slope = place(pull(probe)[0], window.held[0], window.out)
    return (Slope(_per_channel(probe * slope), _per_channel(slope * slope)),)


def _winners(step: Step, x: Array) -> Array:
    """How often each tap of a window that lies inside the map has its largest value, (channels, taps)."""
    read = step.forward.read(x, fill=-np.inf)
    geometry = (step.kernel, step.stride, step.dilation)
    y = max_pool(read, *geometry)
    winner = max_pool_winner(read, y, *geometry)
    views = [view[:1, 0, 0] > -np.inf for view in taps(read[:1, :1, :1], *geometry, y.shape[3:])]
    inside = np.broadcast_to(functools.reduce(operator.and_, views)[:, None, None], winner.shape[:1] + (1,) * 2
                             + winner.shape[3:])
    counts = np.stack([_per_channel((winner == a) * inside) for a in range(len(views))], axis=1)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1), 1 / len(views))


def _factors(step: Step, inputs: list[Array]) -> tuple[Slope, ...]:
    """Of a product: what the other inputs multiply the gradient of each one by."""
    parts = [place(x, held, reads) for x, held, reads in zip(inputs, step.forward.held, step.forward.reads)]
    found = []
    for which in range(len(parts)):
        rest = functools.reduce(operator.mul, parts[:which] + parts[which + 1:])
        by_site = math.prod(rest.shape[3:]) > 1 or math.prod(step.forward.out.shape) == 1
        found.append(Slope(_per_channel(rest), _per_channel(rest * rest), by_site))
    return tuple(found)


def _per_channel(x: Array) -> Array:
    """Mean over draws, images and sites."""
    return np.asarray(x.mean(axis=(0, *range(2, x.ndim)), dtype=float))


def _mean(parts: list[tuple[int, Observed]]) -> Observed:
    """Over batches of so many inputs."""
    count = sum(n for n, _ in parts)
    first = parts[0][1]
    if isinstance(first, np.ndarray):
        return np.asarray(sum(n * array for n, array in parts) / count)
    return tuple(Slope(sum(n * slopes[which].mean for n, slopes in parts) / count,
                       sum(n * slopes[which].square for n, slopes in parts) / count, slope.by_site)
                 for which, slope in enumerate(first))
