"""Activities of gates: how often each is open, from inputs sent forward."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..base.errors import few
from ..empirics.arrays import Array, place
from ..empirics.boxes import Program, compile_network
from ..empirics.measure import check_images
from ..empirics.plan import Plan, make_plan
from ..empirics.rules import Pull, Step
from ..empirics.run import forward
from ..networks.network import Network
from ..networks.settings import RunSettings
from .circuit import channels_of, gates_of, given_names, missing_names
from .fused import fused_pull
from .kinds import Observed, kind_of, per_channel
from .slopes import Slope, signs

__all__ = ["activities", "all_units", "batch_of", "observed"]

#: Bytes of the largest activation of a batch.
BATCH_BYTES = 2**26


def activities(net: Network, weights: Mapping[str, Any], images: Any, *, node: str | None = None,
               width: int = 16) -> dict[str, Array]:
    """How often the gates of given weights are open, over images.

    What ``predict(net, weights=..., gates=...)`` takes by hand.

    Parameters
    ----------
    net : Network
        The network.
    weights : mapping
        Arrays of all nodes, as in `measure`.
    images : ndarray
        Inputs ``(N, channels, *space)``, normalised as in training.
    node : str, optional
        Up to which node (default: the output).
    width : int
        Channels of layers that leave theirs open.

    Returns
    -------
    dict of ndarray
        By node.  Of ReLU and leaky ReLU the part of the values above zero, (channels,); of other activations the mean
        of phi' and of phi'^2, (2, channels); of max pools how often each tap of a window wins, (channels, taps); of
        products the mean and the mean square of what multiplies each input's gradient, (inputs, 2, channels).

    Raises
    ------
    ValueError
        If weights or images do not fit the network.

    See Also
    --------
    predict : Effective receptive field, from theory.
    measure : The same by Monte Carlo.

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
    if missing := missing_names(net, plan):
        raise ValueError(f"weights: no array for {few(missing)}; activities are those of one network, all of whose "
                         "weights are given")
    plan = all_units(net, settings, plan)
    channels = channels_of(net, settings)
    found, steps = observed(plan, np.moveaxis(images, 1, 0), channels, weighed=False), plan.program.steps
    return {steps[i].name: kind_of(steps[i].layer).shown(steps[i], what, channels[i]) for i, what in found.items()
            if isinstance(what, np.ndarray) or what}


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


def observed(plan: Plan, inputs: Array, channels: Mapping[int, int], weighed: bool = True) -> dict[int, Observed]:
    """What all gates of a plan do on average over inputs (channels, N, *space).

    If `weighed`, over those sites that gradients reach: below a pool the winners of its windows, below another gate
    what it lets through.  That is how a gate depends on what lies above it with no kernel in between.
    """
    recipe, (program, fused, gates) = plan.recipe, gates_of(plan)
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
        here: dict[int, Observed] = {}
        # Gradients that pass through statistics of the batch are those of all its images.
        images = batch if plan.program.mixes_images else 1 if batch > 1 else draws

        def seen(step: Step, values: Sequence[Array], here: dict[int, Observed] = here) -> None:
            if step.index in gates:
                here[step.index] = None if step.index in fused else kind_of(step.layer).seen(step, values)
        run = forward(plan.program, parameters, x, images=images, seen=seen)
        pulls: dict[int, _Pulled] = {}
        for i in gates:
            pull = fused_pull(plan.program, fused[i], run.pulls) if i in fused else run.pulls[i]
            shape = (len(x), channels[i], images, *program.steps[i].backward.out.shape)
            pulls[i] = _Pulled(pull, signs(rng, shape, x.dtype))
        for i, what in _weighed(program, here, pulls, weighed).items():
            total.setdefault(i, []).append((draws, what))
    return {i: _mean(parts) for i, parts in total.items()}


class _Pulled(NamedTuple):
    """A gate's pull, and random signs in the shape of its output."""

    pull: Pull
    signs: Array


def _weighed(program: Program, here: Mapping[int, Observed], pulls: Mapping[int, _Pulled], weighed: bool,
             ) -> dict[int, Observed]:
    """What is known of gates of one batch by their values, and of the others by their pulls, from the unit down."""
    found, weights = dict(here), dict[int, Array]()
    path = [i for i in program.steps if i in program.path and i > program.source]
    readers = Counter(j for i in path for j in program.steps[i].inputs)
    for i in reversed(path):
        step, weight, slope = program.steps[i], weights.pop(i, None), None
        if i in pulls and found[i] is None:
            found[i], slope = _slope(step, pulls[i], weight)
        if weighed and len(step.inputs) == 1 and readers[step.inputs[0]] == 1:
            below = _reached(step, slope, pulls.get(i), weight)
            if below is not None:
                weights[step.inputs[0]] = below
    return found


def _slope(step: Step, pulled: _Pulled, weight: Array | None) -> tuple[tuple[Slope], Array]:
    """The mean diagonal of a derivative and the mean of its square, over sites that count by `weight`; and the slopes.

    Exact where each site has a derivative of its own, as activations have.
    """
    window = step.backward
    slope = place(pulled.pull(pulled.signs)[0], window.held[0], window.out)
    return (Slope(per_channel(pulled.signs * slope, weight), per_channel(slope * slope, weight)),), slope


def _reached(step: Step, slope: Array | None, pulled: _Pulled | None, weight: Array | None) -> Array | None:
    """How much of the power meets each site of a layer's input; None where that is the same everywhere."""
    window = step.backward
    if step.layer.routes and pulled is not None:
        return np.asarray(pulled.pull(np.ones_like(pulled.signs) if weight is None else weight)[0])
    if slope is not None and kind_of(step.layer).pointwise:
        weight = slope**2 if weight is None else weight * slope**2
    elif not kind_of(step.layer).hands_on or weight is None:
        return None
    return place(weight, window.out, window.held[0])


def _mean(parts: list[tuple[int, Observed]]) -> Observed:
    """Over batches of so many inputs."""
    count = sum(n for n, _ in parts)
    first = parts[0][1]
    if isinstance(first, np.ndarray):
        return np.asarray(sum(n * array for n, array in parts) / count)
    return tuple(Slope(sum(n * slopes[which].mean for n, slopes in parts) / count,
                       sum(n * slopes[which].square for n, slopes in parts) / count, slope.by_site)
                 for which, slope in enumerate(first))
