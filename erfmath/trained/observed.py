"""Activities of gates: how often each is open, from inputs sent forward."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..empirics.arrays import Array, place
from ..empirics.boxes import Program, compile_network
from ..empirics.convolution import taps
from ..empirics.measure import check_images
from ..empirics.plan import Plan, make_plan
from ..empirics.rules import Pull, Step
from ..empirics.rules.pooling import max_pool, max_pool_winner
from ..empirics.run import forward
from ..networks.network import Network
from ..networks.settings import RunSettings
from .circuit import channels_of, gates_of, given_names
from .fused import fused_pull
from .slopes import Slope, signs

__all__ = ["Observed", "activities", "all_units", "batch_of", "factors_by_site", "observed", "two_slopes"]

#: What is known of a gate: one `Slope` for each input, or the shares of a pool's taps.
Observed = Any
#: Layers that hand gradients on site by site, whatever went forward.
SITEWISE = {"identity", "scale", "dropout", "batch_norm"}
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
    plan = all_units(net, settings, plan)
    channels = channels_of(net, settings)
    found = observed(plan, np.moveaxis(images, 1, 0), channels, weighed=False)
    return {plan.program.steps[i].name: _told(plan.program.steps[i], what, channels[i]) for i, what in found.items()
            if isinstance(what, np.ndarray) or what}


def _told(step: Step, what: Observed, channels: int) -> Array:
    if isinstance(what, np.ndarray):
        return what
    if len(what) > 1:
        return np.array([np.broadcast_arrays(*slope[:2], np.empty(channels))[:2] for slope in what])
    slope = what[0]
    low = two_slopes(step)
    if low is not None and low != 1:
        return np.clip((slope.mean - low) / (1 - low), 0, 1)
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
        images = 1 if batch > 1 else draws

        def seen(step: Step, values: Sequence[Array], here: dict[int, Observed] = here) -> None:
            if step.index in gates:
                here[step.index] = _seen(step, values) if step.index not in fused else None
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


def _seen(step: Step, inputs: Sequence[Array]) -> Observed | None:
    """What values tell of one gate over one batch; None where its pull does."""
    layer: Any = step.layer
    if layer.op == "max_pool":
        return _winners(step, inputs[0])
    if layer.op == "adaptive_max_pool":
        return ()
    if layer.op == "multiply":
        return _factors(step, inputs)
    if layer.op == "dropout":
        count = inputs[0].shape[1]
        return (Slope(np.ones(count), np.full(count, 1 / (1 - layer.p))),)
    return None


def _slope(step: Step, pulled: _Pulled, weight: Array | None) -> tuple[tuple[Slope], Array]:
    """The mean diagonal of a derivative and the mean of its square, over sites that count by `weight`; and the slopes.

    Exact where each site has a derivative of its own, as activations have.
    """
    window = step.backward
    slope = place(pulled.pull(pulled.signs)[0], window.held[0], window.out)
    return (Slope(_per_channel(pulled.signs * slope, weight), _per_channel(slope * slope, weight)),), slope


def _reached(step: Step, slope: Array | None, pulled: _Pulled | None, weight: Array | None) -> Array | None:
    """How much of the power meets each site of a layer's input; None where that is the same everywhere."""
    window, op = step.backward, step.layer.op
    if op in ("max_pool", "adaptive_max_pool") and pulled is not None:
        return np.asarray(pulled.pull(np.ones_like(pulled.signs) if weight is None else weight)[0])
    if op == "activation" and slope is not None:
        weight = slope**2 if weight is None else weight * slope**2
    elif op not in SITEWISE or weight is None:
        return None
    return place(weight, window.out, window.held[0])


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


def _factors(step: Step, inputs: Sequence[Array]) -> tuple[Slope, ...]:
    """Of a product: what the other inputs multiply the gradient of each one by."""
    parts = [place(x, held, reads) for x, held, reads in zip(inputs, step.forward.held, step.forward.reads)]
    found = []
    for which, by_site in enumerate(factors_by_site(step)):
        rest = functools.reduce(operator.mul, parts[:which] + parts[which + 1:])
        found.append(Slope(_per_channel(rest), _per_channel(rest * rest), by_site))
    return tuple(found)


def factors_by_site(step: Step) -> list[bool]:
    """Of each input of a product, whether what multiplies its gradient is a number of its own at every site."""
    window = step.forward
    return [math.prod(window.out.shape) == 1 or any(math.prod(other.shape) > 1 for k, other in enumerate(window.reads)
                                                    if k != which) for which in range(len(window.reads))]


def _per_channel(x: Array, weight: Array | None = None) -> Array:
    """Mean over draws, images and sites, weighed where any of a channel's weights is not 0."""
    axes = (0, *range(2, x.ndim))
    plain = np.asarray(x.mean(axis=axes, dtype=float))
    if weight is None:
        return plain
    total = weight.sum(axis=axes, dtype=float)
    return np.where(total > 0, (x * weight).sum(axis=axes, dtype=float) / np.where(total > 0, total, 1), plain)


def _mean(parts: list[tuple[int, Observed]]) -> Observed:
    """Over batches of so many inputs."""
    count = sum(n for n, _ in parts)
    first = parts[0][1]
    if isinstance(first, np.ndarray):
        return np.asarray(sum(n * array for n, array in parts) / count)
    return tuple(Slope(sum(n * slopes[which].mean for n, slopes in parts) / count,
                       sum(n * slopes[which].square for n, slopes in parts) / count, slope.by_site)
                 for which, slope in enumerate(first))
