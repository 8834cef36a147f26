"""Chains on the infinite plane: a walk in place of a sweep, at any depth.

A network is a chain of *blocks* where every path passes the same nodes one after the other: single
layers, or residual blocks with all that lies between where they part and meet.  If each block maps
power to power by a kernel, whatever lies above, the field is the distribution of a sum of independent steps
(`erfmath.walks`): (a + b w)^n for n residual blocks.

Equal blocks in a row need to be looked at only once or, since the first may have other channels
below it, twice: a million layers are *folded* into two before anything is resolved.
"""

from __future__ import annotations

import dataclasses
import math
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ...base.errors import check_bytes
from ...lattice.kernels import LatticeDistribution, from_weights, uniform
from ...layers import Conv, Layer, Pad
from ...layers.geometry import AxisGeometry
from ...networks.network import Network
from ...networks.settings import RunSettings
from ...networks.trf import ReceptiveField, receptive_field
from ...results.density import Separable
from ...results.field import EffectiveReceptiveField
from ...walks import walk
from ..sweep.backward import backward, prepared
from ..sweep.conditioning import conditioned_gain
from ..sweep.inputs import InputModel
from ..sweep.lowering import Linear
from ..sweep.plan import Graph
from ..sweep.taps import Array
from .density import WalkDensity

__all__ = ["Chain", "Folded", "chain", "folded", "predict_chain"]

#: Sites of the window times taps of all layers below which a sweep is quicker than a walk that is
#: no product of lines, by dimension.
_FEW = {2: 2e8, 3: 1e10}


class _Step(NamedTuple):
    """One block of a chain, S -> S + jump dilation X - jump pads, and its gain on sum(map).

    `kernels` is the distribution of X, one kernel per axis or a single one for all of them.
    """

    kernels: tuple[LatticeDistribution, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    strides: tuple[int, ...]
    gain: float

    def along(self, axis: int) -> LatticeDistribution:
        """The distribution of one coordinate of X."""
        return self.kernels[axis] if len(self.kernels) == len(self.strides) else self.kernels[0].marginal(axis)


class Chain(NamedTuple):
    """Blocks from the input up, each as often as it is repeated, and the logarithm of all gates."""

    steps: list[tuple[_Step, int]]
    log_gates: float

    @property
    def separable(self) -> bool:
        """Whether every kernel is a product of kernels along the axes."""
        return all(len(step.kernels) == len(step.strides) for step, _ in self.steps)


class Folded(NamedTuple):
    """A chain in short: `net` holds runs of equal blocks once or twice, block i standing for `counts[i]`."""

    net: Network
    counts: list[int]
    trf: ReceptiveField


# ---------------------------------------------------------------------------------------------
# folding
# ---------------------------------------------------------------------------------------------

def _starts(sources: Any) -> Array:
    """First nodes of the blocks: nodes such that they and all later ones read no node before their predecessor."""
    first = np.fromiter(map(min, sources), np.int64, len(sources))
    earliest = np.minimum.accumulate(first[::-1])[::-1]
    return np.flatnonzero(earliest >= np.arange(len(first)) - 1)


def folded(net: Network, settings: RunSettings, method: str, statistic: str | None) -> Folded | None:
    """The network up to the node of a run in short, if that is a chain without gates that repeats itself."""
    top, ndim = net.index(settings.node), settings.ndim
    layers, sources = net._layers[:top + 1], net.sources[:top + 1]
    starts = _starts(sources)
    runs = _runs(layers, sources, starts)
    kept = [block for block, count in runs for block in range(block, block + min(count, 2))]
    if 2 * len(kept) > len(starts) or len(starts) == 1:
        return None
    ends = np.append(starts[1:], top + 1)
    counts = [part for _, count in runs for part in ([1, count - 1] if count > 1 else [1])]
    parts: list[Any] = []
    inputs: list[tuple[int, ...]] = []
    fields = []
    try:
        for block in kept:
            a, b = int(starts[block]), int(ends[block])
            own = [tuple(j - a for j in js) for js in sources[a:b]]
            fields.append(receptive_field(Network(layers[a:b], own, b - a - 1), ndim=ndim).on_plane())
            inputs += [tuple(j + len(parts) for j in js) for js in own]
            parts += layers[a:b]
        short = Network(parts, inputs, len(parts) - 1)
        trf = receptive_field(short, ndim=ndim).on_plane()
        graph = Graph.of(short, settings.but(node=None), lean=False)
    except ValueError:  # which the network as it stands has the names to explain
        return None
    steady = all(s >= 1 and s == int(s) for f in fields for s in f.stride)
    if trf.padding is None or not trf.shift_invariant or not steady or any(op.gate for op in graph.ops):
        return None
    long = dataclasses.replace(_field(fields, counts), node=settings.node or net.output)
    mean = statistic == "mean" or (statistic is None and not any(op.zero_mean for op in graph.ops))
    found = chain(graph, mean, InputModel(), method, long, counts)
    return None if found is None else Folded(short, counts, long)


def _runs(layers: Any, sources: Any, starts: Array) -> list[tuple[int, int]]:
    """(number of the first block, blocks) of each run of equal ones."""
    objects = list(map(id, layers))
    codes: dict[Any, int] = {}
    code = {key: codes.setdefault(_unnamed(layer), len(codes)) for key, layer in dict(zip(objects, layers)).items()}
    columns = np.zeros((2, len(layers)), np.int64)  # what a node is, and what it reads
    columns[0] = np.fromiter(map(code.__getitem__, objects), np.int64, len(layers))
    lengths = np.diff(np.append(starts, len(layers)))
    wired: dict[Any, int] = {}
    for i in np.flatnonzero(np.repeat(lengths > 1, lengths)).tolist():
        columns[1, i] = wired.setdefault(tuple(i - j for j in sources[i]), len(wired))
    equal = np.zeros(len(starts), bool)  # to the block before
    for length in np.unique(lengths):
        here = np.flatnonzero((lengths[1:] == length) & (lengths[:-1] == length)) + 1
        nodes = starts[here] + np.arange(length)[:, None]
        equal[here] = (columns[:, nodes] == columns[:, nodes - length]).all(axis=(0, 1))
    first = np.flatnonzero(~equal)
    return list(zip(first.tolist(), np.diff(np.append(first, len(starts))).tolist()))


def _unnamed(layer: Layer) -> tuple[Any, ...]:
    """What a layer is, whatever it is called."""
    return layer.op, *(getattr(layer, f.name) for f in dataclasses.fields(layer) if f.name != "name")


def _field(fields: list[ReceptiveField], counts: list[int]) -> ReceptiveField:
    """Receptive field of blocks of these fields in a row, `counts` times each."""
    layers: list[Any] = []
    for field, count in zip(fields, counts):
        lo, hi = field.window(0)
        times = count if all(s == 1 for s in field.stride) else 1  # a steady window grows by as much each time
        far = tuple(times * (b - a) for a, b in zip(lo, hi))  # two taps reach as far as all those between
        layers += [Pad(tuple((-times * a, 0) for a in lo)),
                   Conv(tuple(2 if n else 1 for n in far), dilation=tuple(n or 1 for n in far),
                        stride=tuple(int(s) for s in field.stride), padding="valid")] * (count // times)
    steps = Network(layers, [(i - 1,) for i in range(len(layers))], len(layers) - 1)
    return receptive_field(steps, ndim=fields[0].ndim)


# ---------------------------------------------------------------------------------------------
# blocks
# ---------------------------------------------------------------------------------------------

def chain(graph: Graph, mean: bool, inputs: InputModel, method: str, trf: ReceptiveField,
          counts: list[int] | None = None) -> Chain | None:
    """The blocks of a chain from the input up, or None where a walk does not describe the network, or costs more."""
    starts = _starts(graph.sources).tolist()
    ends = [*starts[1:], graph.top + 1]
    if len(starts) == 1 < ends[0]:
        return None
    gated = any(op.gate for op in graph.ops)
    if gated and method != "normal" and inputs.covariance is not None and prepared(graph, mean, inputs)[1].tilts:
        return None  # taps of the first layer differ in what a batch norm leaves of them
    known: dict[int, tuple[Linear, _Step | None]] = {}  # repeated layers share their operation
    steps = []
    for a, b, count in zip(starts, ends, counts or [1] * len(starts)):
        if b - a > 1:
            step = _block(graph, a, b, mean)
        else:
            if len(graph.sources[a]) > 1:
                return None
            op = graph.ops[a]
            if op.routes and not mean:
                route = prepared(graph, mean, inputs)[1].routes.get(a)
                op = op if route is None else route.ops[0]
            if id(op) not in known:
                known[id(op)] = op, _layer(op, graph.rules[a].walk_gain(op, mean), graph.ndim)
            step = known[id(op)][1]
        if step is None:
            return None
        steps.append((step, count))
    grouped = [(step, sum(count for _, count in run)) for step, run in groupby(steps, key=lambda pair: pair[0])]
    if len(starts) < len(graph.ops) and gated:
        return None  # a site's gates along identity branches are not independent
    found = Chain(grouped, 0.0)
    taps = sum(count * math.prod(k.weights.size for k in step.kernels) for step, count in grouped)
    if method != "normal" and not found.separable and taps * math.prod(map(float, trf.size)) < _FEW[trf.ndim]:
        return None
    log_gates = _gate_gain(graph, mean, inputs)
    return None if log_gates == -math.inf else found._replace(log_gates=log_gates)  # nothing passes: no walk


def _layer(op: Linear, gain: float | None, ndim: int) -> _Step | None:
    """A single layer as a step of a walk that multiplies by `gain`, None where it is none."""
    if gain is None or gain <= 0 or any(t.geometry[0].transposed or t.weights.min() < 0 for t in op.taps):
        return None
    geometry = [g for taps in op.taps for g in taps.geometry] or [AxisGeometry()] * ndim
    kernels = [uniform(len(taps.weights)) if taps.flat else from_weights(taps.weights) for taps in op.taps]
    return _Step(tuple(kernels or [uniform(1)] * ndim), tuple(g.dilation for g in geometry),
                 tuple(g.pads(None)[0] for g in geometry), tuple(g.stride for g in geometry), gain)


def _block(graph: Graph, a: int, b: int, mean: bool) -> _Step | None:
    """Nodes a..b-1, branches that part and meet, as a step: the kernel is the block's own map."""
    for op, layer, rule in zip(graph.ops[a:b], graph.layers[a:b], graph.rules[a:b]):
        if op.routes or op.gate or rule.walk_gain(op, mean) is None or any(
                taps.geometry[0].transposed for taps in op.taps):
            return None
    below = (a - 1) % len(graph.sizes)
    block = dataclasses.replace(
        graph, names=graph.names[a:b], layers=graph.layers[a:b], ops=graph.ops[a:b], rules=graph.rules[a:b],
        norms={}, biases={},
        sources=tuple(tuple(j - a for j in js) for js in graph.sources[a:b]),
        sizes=(*graph.sizes[a:b], graph.sizes[below]), channels=(*graph.channels[a:b], graph.channels[below]),
        labels=(*graph.labels[a:b], graph.labels[below]), groups=(*graph.groups[a:b], graph.groups[below]),
        owners=graph.owners[a:b], one_site=frozenset(), merged=graph.merged.between(a, b))
    values, start, log_scale = backward(block, (0,) * graph.ndim, mean)
    if log_scale or not values.size or values.min() < 0 or not values.max() > 0:
        return None
    strides, i = [1] * graph.ndim, b - 1
    while i >= a:
        for taps in graph.ops[i].taps:
            for axis, g in zip(taps.axes, taps.geometry):
                strides[axis] *= g.stride
        i = graph.sources[i][0]
    return _Step((from_weights(values),), (1,) * graph.ndim, tuple(-s for s in start), tuple(strides),
                 float(values.sum()))


def _gate_gain(graph: Graph, mean: bool, inputs: InputModel) -> float:
    """Logarithm of the product of all gates of a chain, where they are the same at all sites."""
    gates = prepared(graph, mean, inputs)[1]
    factors = [gate[(0, *(n // 2 for n in gate.shape[1:]))] for gate in gates.power.values()]
    if not all(factors):
        return -math.inf
    return float(np.log(factors).sum()) + conditioned_gain(graph, gates)


# ---------------------------------------------------------------------------------------------
# walks
# ---------------------------------------------------------------------------------------------

def predict_chain(chain: Chain, about: dict[str, Any]) -> EffectiveReceptiveField:
    """The field of a chain: a line an axis, or the distribution of a walk where kernels are no products."""
    trf, unit = about["trf"], about["unit"]
    method = "normal" if about["method"] == "normal" else "exact"
    lo, hi = trf.window(unit)
    groups: list[tuple[_Step, tuple[int, ...], int]] = []
    shift, jump = np.zeros(trf.ndim, object), np.ones(trf.ndim, object)
    for step, count in chain.steps:
        steady = all(s == 1 for s in step.strides)
        for _ in range(1 if steady else count):
            times = count if steady else 1
            groups.append((step, tuple(jump * step.dilations), times))
            shift = shift - times * jump * step.pads
            jump = jump * step.strides
    # S counts taps from 0: pixel x of unit u is S = x - u J + the paddings.
    shift = shift + jump * unit
    log_total = chain.log_gates + sum(count * math.log(step.gain) for step, count in chain.steps)
    lines = [[(step.along(axis), jump[axis], count) for step, jump, count in groups] for axis in range(trf.ndim)]
    if chain.separable:
        lengths = [int(b) - int(a) + 1 for a, b in zip(lo, hi)]
        check_bytes(8 * sum(lengths), f"lines of {max(lengths)} pixels", "take smaller kernels, dilations or strides")
        known: dict[Any, Array] = {}
        keys = [(tuple(line), first, last) for line, first, last in zip(lines, lo - shift, hi - shift)]
        for key in dict.fromkeys(keys):
            line, first, last = key
            values = walk(line, method=method).pmf(np.arange(first, last + 1))
            known[key] = values / values.sum() if method == "exact" else values
        return EffectiveReceptiveField.of(Separable([known[key] for key in keys], lo, log_total), **about)
    about["method"] = method = "window" if method == "exact" else method
    thin = [part for step, jump, count in groups for part in _thin(step, jump, count, trf.ndim)]
    return EffectiveReceptiveField.of(
        WalkDensity(walk(thin, method=method), [walk(line, method=method) for line in lines], tuple(shift), lo, hi,
                    log_total), **about)


def _thin(step: _Step, jump: tuple[int, ...], count: int, ndim: int) -> list[tuple[LatticeDistribution, Any, int]]:
    """The step in space; a product of kernels is one step along each axis, with fewer taps."""
    if len(step.kernels) < ndim:
        return [(step.kernels[0], jump, count)]
    return [(LatticeDistribution(k.weights.reshape([-1 if a == axis else 1 for a in range(ndim)])), jump, count)
            for axis, k in enumerate(step.kernels)]
