"""Analytic effective receptive fields of any unit of any network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ..checks import choice
from ..errors import check_bytes
from ..geometry import AxisGeometry
from ..kernels import LatticeDistribution, from_weights, uniform
from ..lattice import Field
from ..layers import Activation, BatchNorm, Dropout, LayerNorm, MaxPool
from ..network import Network, image_shape
from ..result import EffectiveReceptiveField
from ..walks import Walk, walk
from .assumptions import Assumption
from .inputs import InputModel, input_model
from .linear import Linear
from .moments import forward
from .plan import Graph, Plan
from .power import backward
from .support import ReceptiveField, default_unit, receptive_field

__all__ = ["predict"]

METHODS = ("exact", "normal")


def predict(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None,
            statistic: str | None = None, method: str = "exact", width: int = 16, channels_in: int = 3,
            ndim: int = 2, input_moments: tuple[float, float] = (1.0, 0.0), input_covariance: Any = None,
            weights: Mapping[str, Any] | None = None) -> EffectiveReceptiveField:
    """The effective receptive field of a unit, computed without sampling.

    Parameters
    ----------
    net : Network
    image : int or tuple of int, optional
        Size of the input in pixels: borders then act after every layer, and the map has its shape.
        Without it the network lies on the infinite plane and the map spans the unit's window.
    unit : int or tuple of int, optional
        Unit of the node's map; the middle one n // 2 with an image, 0 on the plane.
    node : str, optional
        Node whose unit is looked at; the network's output by default.
    statistic : {"power", "mean"}, optional
        E[g^2] or E[g] (equations 1 and 2); "mean" if every weight is deterministic, else "power".
    method : {"exact", "normal"}
        "normal" replaces the law of a chain on the plane by the Gaussian of its moments (the
        paper's use of the central limit theorem).
    width : int
        Channels of layers that leave theirs open.
    channels_in : int
        Channels of the input.
    ndim : int
        Dimension, where the network leaves it open.
    input_moments : pair of float
        E[x^2] of a pixel, and E[x x'] between distant pixels or independent images.
    input_covariance : array_like, optional
        E[x(z) x(z + tau)] over an odd number of lags along each axis, lag 0 in the middle; then it
        also gives E[x^2].  By default pixels are white noise.
    weights : mapping, optional
        Trained arrays by node, in the shapes of `Fixed` ("node.bias": biases; batch norms: scale,
        shift, mean and variance, shape (4, channels)).  They act through their mean square per tap.

    Returns
    -------
    EffectiveReceptiveField

    Raises
    ------
    ValueError
        For arguments that do not fit the network.
    NotImplementedError
        Where the theory has no rule.
    SizeError
        Where the map would not fit in memory.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.repeat(em.Conv(3), 20))
    >>> erf.std.round(3).tolist(), erf.trf.size
    ([3.651, 3.651], (41, 41))
    """
    choice(method, "method", METHODS)
    trf = receptive_field(net, image=image, node=node, ndim=ndim)
    ndim, top = trf.ndim, net.index(node)
    size = None if image is None else image_shape(image, ndim)
    shape = None if size is None else net.shapes(size, ndim)[net.names[top]]
    unit = default_unit(shape, ndim, unit)
    if trf.infinite:
        raise ValueError(f"{trf.node}: sees the whole plane (global pooling); give image=")
    inputs = input_model(input_moments, input_covariance, ndim)
    graph = Graph.of(net, top, size, ndim, width, channels_in, weights)
    used = _used(graph)
    mean = _is_mean(graph, used, net, statistic)
    about: dict[str, Any] = {"unit": unit, "trf": trf, "statistic": "mean" if mean else "power", "method": method,
                             "assumptions": _assumptions(graph, used, bool(weights))}
    steps = None if size is not None else _chain(graph, mean)
    if steps is not None:
        return _predict_chain(steps, _gate_gain(graph, mean, inputs), about)
    if method != "exact":
        raise ValueError(f"method={method!r}: is for chains of convolutions on the infinite plane "
                         "(no image, no branches); use method='exact'")
    lo, hi = trf.window(unit) if size is None else ((0,) * ndim, tuple(n - 1 for n in size))
    extent = tuple(b - a + 1 for a, b in zip(lo, hi))
    check_bytes(8 * math.prod(extent), f"the map of {extent} pixels")
    whole = Field(*backward(graph, unit, mean, inputs)).crop(lo, hi)
    return EffectiveReceptiveField(whole.values, origin=lo, image=size, **about)


def _used(graph: Graph) -> list[int]:
    """Nodes that lead to the top."""
    seen = {graph.top}
    for i in range(graph.top, -1, -1):
        if i in seen:
            seen.update(graph.sources[i])
    return sorted(seen - {-1})


def _is_mean(graph: Graph, used: list[int], net: Network, statistic: str | None) -> bool:
    random = [i for i in used if graph.ops[i].random]
    if statistic is None:
        statistic = "power" if random else "mean"
    choice(statistic, "statistic", ("power", "mean"))
    if statistic == "power":
        return False
    if random:
        raise ValueError(f"statistic='mean': {net.names[random[0]]} has zero-mean random weights, so that the mean "
                         "gradient is zero; use statistic='power'")
    for i in used:
        layer = graph.layers[i]
        gate = (isinstance(layer, Activation) and layer.function != "identity"
                or isinstance(layer, BatchNorm) and layer.mode == "data" or isinstance(layer, (LayerNorm, MaxPool)))
        if gate:
            raise NotImplementedError(f"statistic='mean': {net.names[i]} ({layer.kind}) depends on the data, and the "
                                      "theory has no rule for the mean through it; use statistic='power' or "
                                      "erfmath.measure")
    return True


def _assumptions(graph: Graph, used: list[int], trained: bool) -> tuple[Assumption, ...]:
    layers = [graph.layers[i] for i in used]
    gated = any(graph.ops[i].kind == "gate" for i in used)
    pools = any(graph.ops[i].kind == "route" for i in used)
    borders = graph.sizes[-1][0] is not None
    holds = {
        Assumption.INFINITE_WIDTH: gated,
        Assumption.INDEPENDENT_GATES: any(isinstance(layer, Activation) for layer in layers) and gated,
        Assumption.INPUT_MOMENTS: gated,
        Assumption.DISTANT_SITES: gated and borders,
        Assumption.BATCH_STATISTICS: gated and any(isinstance(layer, BatchNorm) for layer in layers),
        Assumption.MAX_POOL_ROUTING: pools,
        Assumption.EQUICORRELATED_POOLS: pools and gated,
        Assumption.NEIGHBOURS: gated and borders and any(graph.ops[i].kind == "fixed" and graph.ops[i].taps
                                                         for i in used),
        Assumption.TAP_MOMENTS: trained,
    }
    return tuple(assumption for assumption, here in holds.items() if here)


# ---------------------------------------------------------------------------------------------
# chains on the plane
# ---------------------------------------------------------------------------------------------

class _Step(NamedTuple):
    """One layer of a chain: per axis its kernel, dilation, padding and stride; its gain on sum(map)."""

    kernels: tuple[LatticeDistribution, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    strides: tuple[int, ...]
    gain: float


def _chain(graph: Graph, mean: bool) -> list[_Step] | None:
    """The layers of a chain from the input up, or None where a walk does not describe the network."""
    known: dict[int, _Step | None] = {}  # repeated layers share their operation
    steps = []
    for i, (op, inputs) in enumerate(zip(graph.ops, graph.sources)):
        if len(inputs) > 1 or inputs[0] != i - 1:
            return None
        if id(op) not in known:
            known[id(op)] = _step(op, isinstance(graph.layers[i], Dropout), graph.ndim, mean)
        step = known[id(op)]
        if step is None:
            return None
        steps.append(step)
    return steps


def _step(op: Linear, dropout: bool, ndim: int, mean: bool) -> _Step | None:
    """The layer as a step of a walk, None where it is none."""
    spread = any(not taps.trivial for taps in op.taps)
    if mean:
        lawful = op.kind in ("fixed", "constant")
    else:  # a filter that spreads gradients correlates them: squared taps are not enough
        lawful = op.random or op.kind in ("route", "gate") or (op.kind == "fixed" and not spread and not dropout)
    separable = len(op.taps) in (0, ndim)
    if not lawful or not separable or any(t.geometry[0].transposed or t.weights.min() < 0 for t in op.taps):
        return None
    total = math.prod(float(taps.weights.sum()) for taps in op.taps)
    gain = op.gain * total if mean or op.random or op.kind == "route" else (op.gain * total)**2
    if gain <= 0:
        return None
    geometry = [taps.geometry[0] for taps in op.taps] or [AxisGeometry()] * ndim
    kernels = [uniform(len(taps.weights)) if taps.flat else from_weights(taps.weights) for taps in op.taps]
    return _Step(tuple(kernels or [uniform(1)] * ndim), tuple(g.dilation for g in geometry),
                 tuple(g.pads(None)[0] for g in geometry), tuple(g.stride for g in geometry), gain)


def _gate_gain(graph: Graph, mean: bool, inputs: InputModel) -> float:
    """Logarithm of the product of all gates of a chain, where they are the same at all sites."""
    plan = Plan(graph, mean)
    if not plan.gated:
        return 0.0
    gates = forward(graph, plan, inputs)
    factors = [gate[(0, *(n // 2 for n in gate.shape[1:]))] for gate in gates.power.values()]
    return float(np.log(factors).sum() + sum(np.log(bias[0]) for bias in gates.routes.values()))


def _predict_chain(steps: list[_Step], log_gates: float, about: dict[str, Any]) -> EffectiveReceptiveField:
    trf: ReceptiveField = about["trf"]
    lo, hi = trf.window(about["unit"])
    laws: dict[Any, Walk] = {}
    lines = []
    for axis in range(trf.ndim):
        groups, shift, jump = [], 0, 1
        for step, run in groupby(steps):
            count = len(list(run))
            if step.strides[axis] == 1:
                groups.append((step.kernels[axis], jump * step.dilations[axis], count))
                shift += count * jump * step.pads[axis]
                continue
            for _ in range(count):
                groups.append((step.kernels[axis], jump * step.dilations[axis], 1))
                shift += jump * step.pads[axis]
                jump *= step.strides[axis]
        law = laws.setdefault(tuple(groups), walk(groups, method=about["method"]))
        # S counts taps from 0: pixel x of unit u is S = x - u J + the paddings.
        first = lo[axis] - jump * about["unit"][axis] + shift
        values = law.pmf(np.arange(first, first + hi[axis] - lo[axis] + 1))
        lines.append(values / values.sum() if about["method"] == "exact" else values)
    log_total = log_gates + sum(math.log(step.gain) for step in steps)
    return EffectiveReceptiveField.separable(lines, log_total, origin=lo, **about)
