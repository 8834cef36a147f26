"""Analytic effective receptive fields of any unit of any network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from ..checks import choice
from ..errors import check_bytes
from ..kernels import LatticeDistribution, from_weights, uniform
from ..lattice import Field
from ..layers import Activation, BatchNorm, Dropout, LayerNorm, MaxPool
from ..network import Network, image_shape
from ..result import EffectiveReceptiveField
from ..walks import walk
from .assumptions import Assumption
from .inputs import InputModel, input_model
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
                                      "theory has no rule for the mean through it; use erfmath.measure")
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

class _Step:
    """One layer of a chain: per axis its kernel, jump and shift, and its gain on the sum of the map."""

    def __init__(self, kernels: tuple[LatticeDistribution, ...], jumps: tuple[int, ...], shifts: tuple[int, ...],
                 strides: tuple[int, ...], gain: float) -> None:
        self.kernels, self.jumps, self.shifts, self.strides, self.gain = kernels, jumps, shifts, strides, gain


def _chain(graph: Graph, mean: bool) -> list[_Step] | None:
    """The layers of a chain from the input up, or None where a walk does not describe the network."""
    steps = []
    jumps = (1,) * graph.ndim
    for i, inputs in enumerate(graph.sources):
        op, layer = graph.ops[i], graph.layers[i]
        whole = len(op.taps) in (0, graph.ndim)
        if len(inputs) > 1 or inputs[0] != i - 1 or not whole or (isinstance(layer, Dropout) and not mean):
            return None
        spread = any(not taps.trivial for taps in op.taps)
        lawful = op.kind in ("fixed", "constant") if mean else op.random or op.kind == "route"
        if spread and not lawful or op.kind == "full" or any(t.geometry[0].transposed for t in op.taps):
            return None
        if any(t.weights.min() < 0 for t in op.taps) or op.kind == "constant" and not mean:
            return None
        power = op.gain if op.random or mean else op.gain**2
        for taps in op.taps:
            total = taps.weights.sum()
            power *= total if mean or spread or op.random else total**2
        if power <= 0:
            return None
        geometry = [taps.geometry[0] for taps in op.taps]
        steps.append(_Step(tuple(_kernel(taps.weights, taps.flat) for taps in op.taps),
                           tuple(j * g.dilation for j, g in zip(jumps, geometry)),
                           tuple(-j * g.pads(None)[0] for j, g in zip(jumps, geometry)),
                           jumps, power))
        jumps = tuple(j * g.stride for j, g in zip(jumps, geometry)) if geometry else jumps
    return steps


def _kernel(weights: Any, flat: bool) -> LatticeDistribution:
    return uniform(len(weights)) if flat else from_weights(weights)


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
    moving = [step for step in steps if step.kernels]
    laws: dict[Any, Any] = {}
    lines = []
    for axis in range(trf.ndim):
        groups = tuple(_grouped(moving, axis))
        if groups not in laws:
            law = walk(list(groups) or [(uniform(1), 1, 1)], method=about["method"])
            laws[groups] = law
        first = lo[axis] - int(trf.stride[axis] * about["unit"][axis]) - sum(s.shifts[axis] for s in moving)
        count = hi[axis] - lo[axis]
        values = laws[groups].pmf(np.arange(first, first + count + 1))
        lines.append(values / values.sum() if about["method"] == "exact" else values)
    log_total = log_gates + sum(math.log(step.gain) for step in steps)
    return EffectiveReceptiveField.separable(lines, log_total, origin=lo, **about)


def _grouped(steps: list[_Step], axis: int) -> Iterator[tuple[LatticeDistribution, int, int]]:
    """Runs of equal layers along one axis as (kernel, jump, count)."""
    for (kernel, jump), run in groupby(steps, key=lambda s: (s.kernels[axis], s.jumps[axis])):
        if kernel.shape != (1,):
            yield kernel, jump, len(list(run))
