"""Which layers widen the ERF: the contribution of each to variance and TRF, and its cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..base.progress import Report, check_progress, shown
from ..base.tables import Printed, percent, text_table
from ..layers import Layer
from ..layers.geometry import AxisGeometry
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..networks.trf import ReceptiveField, receptive_fields
from ..networks.windows import sweep
from ..results.field import EffectiveReceptiveField
from ..theory.chains.variance import variance_terms
from ..theory.predict import predict
from ..theory.rules.single import alone
from ..theory.rules.traits import like, rising, spreads
from ..theory.sweep.backward import backward
from ..theory.sweep.inputs import InputModel
from ..theory.sweep.lowering import Linear
from ..theory.sweep.plan import Graph
from ..theory.sweep.rows import Rows
from ..theory.sweep.taps import Array, Taps
from .costs import Costs, costs_of
from .graph_edit import upto

__all__ = ["LayerShare", "LayerShares", "chain_variances", "layer_shares"]

#: What rounding leaves of weights that add up to zero, as a part of the largest.
NOTHING = 1e-12


@dataclass(frozen=True)
class LayerShare:
    """One layer that spreads gradients.

    Attributes
    ----------
    node : str
    layer : str
        Its kind, kernel, stride and dilation in short.
    variance : float
        Square pixels per axis that the field's variance loses if the layer's taps are gathered in
        the middle one; averaged over the axes.
    share : float
        `variance` over that of the ERF.
    trf : int or None
        Pixels that the theoretical receptive field loses then, along its longest axis.
    multiply_adds, parameters : int
    """

    node: str
    layer: str
    variance: float
    share: float
    trf: int | None
    multiply_adds: int
    parameters: int


@dataclass(frozen=True)
class LayerShares(Printed):
    """The table of `layer_shares`; printed with str().

    Attributes
    ----------
    layers : tuple of LayerShare
        In the order of the network.
    variance : float
        Of the field, mean over the axes, in square pixels.
    exact : bool
        Whether the shares add up by theory: a chain on the plane.
    erf : EffectiveReceptiveField
    """

    layers: tuple[LayerShare, ...]
    variance: float
    exact: bool
    erf: EffectiveReceptiveField

    @property
    def trf(self) -> ReceptiveField:
        """Of the unit's node."""
        return self.erf.trf

    def __str__(self) -> str:
        rows = [("node", "layer", "variance", "share", "TRF", "multiply-adds", "parameters")]
        rows += [(row.node, row.layer, f"{row.variance:.2f}", percent(row.share),
                  "-" if row.trf is None else str(row.trf), f"{row.multiply_adds:,}", f"{row.parameters:,}")
                 for row in self.layers]
        total = sum(row.share for row in self.layers)
        rest = "" if abs(total - 1) < 5e-4 else "; the remainder comes from borders, fixed filters and interactions"
        return (f"{text_table(rows, 'llr')}\nvariance {self.variance:.2f} (std {math.sqrt(self.variance):.2f} px), "
                f"shares sum to {total:.1%}{rest}")


def layer_shares(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None, width: int = 16,
                 channels_in: int = 3, ndim: int = 2, progress: Report = None) -> LayerShares:
    r"""How much each layer adds to the variance of a field and to the theoretical receptive field.

    For a chain on the plane the variance is a sum over layers (equation 10), J^2 d^2 sigma^2, and the
    shares are its terms.  Anywhere else a layer's share is what goes when its taps are gathered in the
    middle one (a transposed layer's in its middle stride), other layers unchanged.  Where every path
    of a network has its power to itself (random weights, symmetric kernels, no borders) these too add
    up to the variance; filters and borders leave a rest.

    Parameters
    ----------
    net : Network
        The network.
    image, unit, node, width, channels_in, ndim : optional
        As in `predict`.  Multiply-adds are those for `image`, or where none is given for one as wide
        as the theoretical receptive field (0 where no image fits, as branches that meet only on the plane).
    progress : bool or callable, optional
        True for a bar on stderr, or a function that is called with the number of layers done and to do.

    Returns
    -------
    LayerShares
        A row per layer.

    Raises
    ------
    ValueError, NotImplementedError, SizeError
        As `predict`.

    See Also
    --------
    remedies : What would widen the ERF.
    costs : Multiply-adds and parameters.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(3), em.Conv(3, stride=2), em.Conv(3, dilation=2))
    >>> shares = em.layer_shares(net)
    >>> [(row.node, round(row.share, 3), row.trf) for row in shares.layers]
    [('conv1', 0.056, 2), ('conv2', 0.056, 2), ('conv3', 0.889, 8)]
    """
    check_progress(progress)
    settings = RunSettings.of(net, image=image, unit=unit, node=node, width=width, channels_in=channels_in, ndim=ndim)
    net, settings = upto(net, node), settings.but(node=None)
    erf = predict(net, **settings.keywords)
    total = float(np.mean(erf.std**2))
    known = chain_variances(net, settings, erf.statistic)
    trf = settings.receptive_field(net)
    fitting = settings.image or _fitting(net, trf)
    price = Costs({}, {}) if fitting is None else costs_of(net, settings.but(image=fitting))
    if known is not None:
        variances = known
    else:
        with shown(progress, "layer shares") as show:
            variances = _left_out(net, settings, erf, total, show)
    rows = []
    for name, variance in variances.items():
        rows.append(LayerShare(name, _short(net[name].layer), variance, variance / total if total else 0.0,
                               _trf_without(net, net.index(name), trf), price.multiply_adds.get(name, 0),
                               price.parameters.get(name, 0)))
    return LayerShares(tuple(rows), total, known is not None, erf)


def _fitting(net: Network, trf: ReceptiveField) -> tuple[int, ...] | None:
    """The TRF rounded up to a whole number of the largest strides, or the next size that fits; None where none does."""
    largest = math.lcm(*(int(s) for field in receptive_fields(net, ndim=trf.ndim).values() for s in field.stride
                         if s == int(s) and s))
    whole = [-(-int(r) // largest) * largest for r in trf.size]
    for more in range(2 * largest):  # branches may have one size on others only
        image = tuple(n + more for n in whole)
        try:
            net.shapes(image)
        except ValueError:
            continue
        return image
    return None


def _short(layer: Layer) -> str:
    """Kind, kernel, stride and dilation, those that say something."""
    words = [layer.op]
    for letter, name in (("", "kernel_size"), ("s", "stride"), ("d", "dilation")):
        values = getattr(layer, name, 1)
        values = values if isinstance(values, tuple) else (values,)
        if set(values) != {1}:
            words.append(letter + "x".join(map(str, values)))
    return " ".join(words)


# ---------------------------------------------------------------------------------------------
# chains
# ---------------------------------------------------------------------------------------------

def chain_variances(net: Network, settings: RunSettings, statistic: str = "power") -> dict[str, float] | None:
    """J^2 d^2 sigma^2 per spreading layer of a chain on the plane (equation 10), None for other networks.

    Averaged over the axes.  Under the power, filters that spread gradients correlate them, and the
    variance is no longer a sum over layers.
    """
    ndim = settings.ndim
    if settings.image is not None or net.index(None) != len(net) - 1 or any(
            g.padding == "whole" for axes in net.geometry(ndim) for g in axes):
        return None
    graph = Graph.of(net, settings, apart=frozenset(
        name for name, layer in zip(net.names, net.layers) if spreads(layer, ndim)))
    if any(len(graph.sources[i]) > 1 for i in graph.used):
        return None
    path = graph.used  # a pool right after another stands for both
    distinct = {id(graph.ops[i]): (graph.ops[i], graph.layers[i]) for i in path}  # repeated layers share theirs
    if not all(_lawful(op, layer.routes, statistic) for op, layer in distinct.values()):
        return None
    terms = variance_terms([graph.ops[i] for i in path], ndim)
    return {graph.names[i]: float(term.mean()) for i, term in zip(path, terms) if term.any()}


def _lawful(op: Linear, routes: bool, statistic: str) -> bool:
    """Whether a layer moves gradients by a random tap, independently of all others."""
    if any(g.transposed or (taps.weights < 0).any() for taps in op.taps for g in taps.geometry):
        return False
    spreads = any(np.count_nonzero(taps.weights) > 1 for taps in op.taps)
    return op.matrix is None and not (spreads and statistic == "power" and not (op.variances or routes))


# ---------------------------------------------------------------------------------------------
# any network: leave one out
# ---------------------------------------------------------------------------------------------

def _left_out(net: Network, settings: RunSettings, erf: EffectiveReceptiveField, total: float,
              show: Callable[[int, int], Any]) -> dict[str, float]:
    """By how much the variance falls when the taps of one layer are gathered in the middle one."""
    def variance_of(graph: Graph) -> float:
        return _variance(backward(graph, erf.unit, erf.statistic == "mean", InputModel())[0])
    graph, lost = Graph.of(net, settings), {}
    known = _by_name(graph)
    names = [name for name in net.names if spreads(net[name].layer, settings.ndim)]
    gone = [name for name in names if name not in known]
    channels = {**settings.channels(net), "input": settings.channels_in}
    simple = {name: alone(net[name].layer, (None,) * settings.ndim, channels[net[name].inputs[0]] or 1, settings.ndim)
              for name in names if gone}
    for done, name in enumerate(names):
        show(done, len(names))
        here, before, places = graph, total, known.get(name, ())
        joined = any(like(simple[other], simple[name]) and _alike(net, settings, name, other)
                     for other in gone)  # with what does the same
        if joined or not places or not all(like(graph.layers[i], net[name].layer) for i in places):
            apart = Graph.of(net, settings, apart=frozenset((name,)))  # others are part of it, or it is part of others
            some = _by_name(apart).get(name, ())
            if joined or len(some) != len(places) or not all(
                    _same(graph.ops[i], apart.ops[k]) for i, k in zip(places, some)):
                try:
                    here, before, places = apart, variance_of(apart), some
                except NotImplementedError:  # only what they are together has a rule
                    pass
        ops = {i: here.ops[i]._replace(taps=tuple(map(_gathered, here.ops[i].taps))) for i in places}
        if not all(_same_taps(op.taps, here.ops[i].taps) for i, op in ops.items()):
            changed = tuple(ops.get(i, op) for i, op in enumerate(here.ops))
            try:
                rest = variance_of(replace(here, ops=changed))
            except ValueError:  # a norm further up: its middle tap meets zeros alone, and no field is left
                rest = 0.0
            lost[name] = before - rest
    return lost


def _alike(net: Network, settings: RunSettings, name: str, other: str) -> bool:
    """Whether two nodes of like layers read one value; or pools read functions of it, which say nothing of who wins."""
    graph = Graph.of(net, settings, apart=frozenset((name, other)))
    places, below = _by_name(graph), []
    for i in (*places.get(name, ())[:1], *places.get(other, ())[:1]):
        j = graph.sources[i][0]
        while j >= 0 and len(graph.sources[j]) == 1 and graph.layers[i].routes and rising(graph.layers[j]):
            j = graph.sources[j][0]
        below.append(j)
    return len(below) == 2 and below[0] == below[1]


def _by_name(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The nodes of each name: a pool of a concatenation may have become one of each of its parts."""
    found: dict[str, tuple[int, ...]] = {}
    for i in graph.used:
        found[graph.names[i]] = (*found.get(graph.names[i], ()), i)
    return found


def _same(one: Linear, other: Linear) -> bool:
    """Whether two layers do the same."""
    rest, others = (op._replace(taps=(), fold=(), matrix=None) for op in (one, other))
    return (rest == others and _same_taps(one.taps, other.taps) and _same_taps(one.fold, other.fold)
            and one.matrix is other.matrix)


def _same_taps(some: Sequence[Taps], others: Sequence[Taps]) -> bool:
    return len(some) == len(others) and all(
        a.geometry == b.geometry and np.array_equal(a.weights, b.weights) if a.rows is None and b.rows is None else
        a.rows is not None and b.rows is not None and np.array_equal(a.rows.matrix, b.rows.matrix)
        for a, b in zip(some, others))


def _variance(values: Array) -> float:
    """Mean over the axes of the variance of a map, 0 for one without power; cross terms may make parts negative."""
    total, found = float(values.sum()), 0.0
    for axis, n in enumerate(values.shape):
        line = values.sum(axis=tuple(a for a in range(values.ndim) if a != axis)) / (total or 1.0)
        x = np.arange(n)
        found += float(line @ x**2 - (line @ x)**2) / values.ndim
    return found


def _gathered(taps: Taps) -> Taps:
    """All weight in the middle tap along each axis; of a transposed layer in its middle stride.

    Weights that add up to zero leave the root of the sum of their squares there, or nothing would pass the layer.
    """
    weights = taps.weights
    if taps.rows is not None:  # the site nearest to the centroid of each row
        matrix = taps.rows.matrix
        total = matrix.sum(axis=1)
        centre = np.divide(matrix @ np.arange(matrix.shape[1]), total, out=np.zeros(len(matrix)), where=total != 0)
        alone = np.zeros(matrix.shape)
        alone[np.arange(len(matrix)), np.clip(np.rint(centre).astype(int), 0, matrix.shape[1] - 1)] = total
        return taps._replace(rows=Rows(alone, taps.rows.fold))
    for place, g in enumerate(taps.geometry):
        lines = np.moveaxis(weights, place, 0)
        middle = np.zeros(lines.shape)
        if not g.transposed:
            middle[(g.kernel - 1) // 2] = lines.sum(axis=0)
        elif g.kernel > g.stride:
            first = (g.kernel - g.stride) // 2
            for tap in range(g.kernel):  # every output site reads one tap of each residue
                middle[first + (tap - first) % g.stride] += lines[tap]
        else:
            middle = lines
        weights = np.moveaxis(middle, 0, place)
    if not any(g.transposed for g in taps.geometry) and np.abs(weights).max() <= NOTHING * np.abs(taps.weights).max():
        weights[tuple((g.kernel - 1) // 2 for g in taps.geometry)] = np.sqrt((taps.weights**2).sum())
    return taps._replace(weights=weights)


def _trf_without(net: Network, i: int, whole: ReceptiveField) -> int | None:
    """By how many pixels the TRF shrinks when node i reads one site only: the middle tap, or the middle stride."""
    geometry = net.geometry(whole.ndim)
    if whole.infinite or any(g.padding == "whole" or g.resize is not None for axes in geometry for g in axes):
        return None
    geometry[i] = tuple(map(_single, geometry[i]))
    bare = [sweep([axes[axis] for axes in geometry], net.sources, None)[-1].windows.size for axis in range(whole.ndim)]
    return max(int(a) - int(b) for a, b in zip(whole.size, bare))


def _single(g: AxisGeometry) -> AxisGeometry:
    before = g.pads(None)[0]
    if g.transposed:
        return AxisGeometry(g.stride, g.stride, padding=(before - (g.kernel - g.stride) // 2,) * 2, transposed=True)
    return AxisGeometry(1, g.stride, padding=(before - g.dilation * ((g.kernel - 1) // 2),) * 2)
