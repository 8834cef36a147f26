"""Which layers widen the view: what each adds to the variance of a field and to its box, and its price."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..lattice.field import Field
from ..layers import Conv, ConvTranspose, Pad, Upsample, Windowed
from ..networks.building import Part, serial
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..networks.trf import ReceptiveField, receptive_field, receptive_fields
from ..results.field import EffectiveReceptiveField
from ..theory.predict import predict
from ..theory.sweep.backward import backward
from ..theory.sweep.inputs import InputModel
from ..theory.sweep.lowering import Linear
from ..theory.sweep.plan import Graph
from ..theory.sweep.taps import Array, Taps
from .costs import costs_of
from .graph_edit import replaced, swapped, upto

__all__ = ["BorderLayer", "BorderLayers", "LayerShare", "LayerShares", "border_layers", "chain_variances",
           "layer_shares"]


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
        `variance` over the variance of the field.
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
class LayerShares:
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
        width = max([len(row.node) for row in self.layers] + [4])
        kinds = max([len(row.layer) for row in self.layers] + [5])
        lines = [f"{'node':<{width}}  {'layer':<{kinds}}  variance  share    TRF  multiply-adds  parameters"]
        lines += [f"{row.node:<{width}}  {row.layer:<{kinds}}  {row.variance:8.2f}  {row.share:5.1%}  "
                  f"{'-' if row.trf is None else row.trf:>5}  {row.multiply_adds:13,}  {row.parameters:10,}"
                  for row in self.layers]
        total = sum(row.share for row in self.layers)
        rest = "" if abs(total - 1) < 5e-4 else "; borders, filters and layers together make the rest"
        lines.append(f"variance {self.variance:.2f} (std {math.sqrt(self.variance):.2f} px), shares sum to "
                     f"{total:.1%}{rest}")
        return "\n".join(lines)


def layer_shares(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None, width: int = 16,
                 channels_in: int = 3, ndim: int = 2) -> LayerShares:
    r"""How much each layer adds to the variance of a field and to the theoretical receptive field.

    For a chain on the plane the variance is a sum over layers (equation 10), J^2 d^2 sigma^2, and the
    shares are its terms.  Anywhere else a layer's share is what goes when its taps are gathered in the
    middle one (a transposed layer's in its middle stride), all else left as it is.  Where every path
    of a network has its power to itself (random weights, symmetric kernels, no borders) these too add
    up to the variance; filters and borders leave a rest.

    Parameters
    ----------
    net : Network
    image, unit, node, width, channels_in, ndim
        As in `predict`.  Multiply-adds are those for `image`, or where none is given for one as wide
        as the theoretical receptive field.

    Returns
    -------
    LayerShares

    Raises
    ------
    ValueError, NotImplementedError, SizeError
        As `predict`.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(3), em.Conv(3, stride=2), em.Conv(3, dilation=2))
    >>> shares = em.layer_shares(net)
    >>> [(row.node, round(row.share, 3), row.trf) for row in shares.layers]
    [('conv1', 0.056, 2), ('conv2', 0.056, 2), ('conv3', 0.889, 8)]
    """
    settings = RunSettings.of(net, image=image, unit=unit, node=node, width=width, channels_in=channels_in, ndim=ndim)
    net, settings = upto(net, node), settings.but(node=None)
    erf = predict(net, **settings.keywords)
    total = float(np.mean(erf.std**2))
    known = chain_variances(net, settings, erf.statistic)
    trf = settings.receptive_field(net)
    price = costs_of(net, settings if settings.image else settings.but(image=_fitting(net, trf)))
    variances = known if known is not None else _left_out(net, settings, erf, total)
    rows = []
    for name, variance in variances.items():
        rows.append(LayerShare(name, _short(net[name].layer), variance, variance / total if total else 0.0,
                               _trf_without(net, name, trf), price.multiply_adds.get(name, 0),
                               price.parameters.get(name, 0)))
    return LayerShares(tuple(rows), total, known is not None, erf)


def _fitting(net: Network, trf: ReceptiveField) -> tuple[int, ...]:
    """The TRF rounded up to a whole number of the largest strides."""
    largest = math.lcm(*(int(s) for field in receptive_fields(net, ndim=trf.ndim).values() for s in field.stride
                         if s == int(s) and s))
    return tuple(-(-int(r) // largest) * largest for r in trf.size)


def _short(layer: Any) -> str:
    """Kernel, stride and dilation, those that say something."""
    words = [layer.op]
    if isinstance(layer, Windowed):
        words.append(_times(layer.kernel_size))
        words += [f"{letter}{_times(value)}" for letter, value in
                  (("s", getattr(layer, "stride")), ("d", getattr(layer, "dilation", 1))) if value not in (1, (1, 1))]
    return " ".join(words)


def _times(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


# ---------------------------------------------------------------------------------------------
# chains
# ---------------------------------------------------------------------------------------------

def chain_variances(net: Network, settings: RunSettings, statistic: str = "power") -> dict[str, float] | None:
    """J^2 d^2 sigma^2 per spreading layer of a chain on the plane (equation 10), None for other networks.

    Averaged over the axes.  Under the power, filters that spread gradients correlate them, and the
    variance is no longer a sum over layers.
    """
    ndim = settings.ndim
    chained = all(inputs == (i - 1,) for i, inputs in enumerate(net.sources)) and net.index(None) == len(net) - 1
    if settings.image is not None or not chained:
        return None
    if any(g.padding == "whole" for axes in net.geometry(ndim) for g in axes):
        return None
    graph = Graph.of(net, len(net) - 1, None, ndim, settings.width, settings.channels_in)
    jumps = np.ones(ndim)
    terms: dict[str, float] = {}
    known: dict[int, Array | None] = {}  # repeated layers share their operation
    for node, op, axes in zip(net.nodes, graph.ops, net.geometry(ndim)):
        if id(op) not in known:
            known[id(op)] = _variances(op, ndim) if _lawful(op, statistic) else None
        variances = known[id(op)]
        if variances is None:
            return None
        if variances.any():
            terms[node.name] = float((variances * jumps**2).mean())
        jumps *= [g.stride for g in axes]
    return terms


def _lawful(op: Linear, statistic: str) -> bool:
    """Whether a layer moves gradients by a random tap, independently of all others."""
    if any(g.transposed or (taps.weights < 0).any() for taps in op.taps for g in taps.geometry):
        return False
    spreads = any(np.count_nonzero(taps.weights) > 1 for taps in op.taps)
    return op.kind != "full" and not (spreads and statistic == "power" and op.kind in ("fixed", "constant"))


def _variances(op: Linear, ndim: int) -> Array:
    """Variance of a layer's taps along each axis, dilation included."""
    out = np.zeros(ndim)
    for taps in op.taps:
        law = taps.weights / taps.weights.sum()
        for place, (axis, g) in enumerate(zip(taps.axes, taps.geometry)):
            line = law.sum(axis=tuple(a for a in range(law.ndim) if a != place))
            sites = np.arange(g.kernel) * g.dilation
            out[axis] = line @ sites**2 - (line @ sites)**2
    return out


# ---------------------------------------------------------------------------------------------
# any network: leave one out
# ---------------------------------------------------------------------------------------------

def _left_out(net: Network, settings: RunSettings, erf: EffectiveReceptiveField, total: float) -> dict[str, float]:
    """By how much the variance falls when the taps of one layer are gathered in the middle one."""
    ndim = erf.ndim
    graph = Graph.of(net, len(net) - 1, erf.image, ndim, settings.width, settings.channels_in)
    lost = {}
    for i, (node, op) in enumerate(zip(net.nodes, graph.ops)):
        gathered = tuple(_gathered(taps) for taps in op.taps)
        if all((a.weights == b.weights).all() for a, b in zip(gathered, op.taps)):
            continue
        ops = (*graph.ops[:i], op._replace(taps=gathered), *graph.ops[i + 1:])
        left = Field(*backward(replace(graph, ops=ops), erf.unit, erf.statistic == "mean", InputModel()))
        lost[node.name] = total - float(np.mean([_variance(left.values, axis) for axis in range(ndim)]))
    return lost


def _gathered(taps: Taps) -> Taps:
    """All weight in the middle tap along each axis; of a transposed layer in its middle stride."""
    weights = taps.weights
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
    return taps._replace(weights=weights)


def _variance(values: Array, axis: int) -> float:
    line = values.sum(axis=tuple(a for a in range(values.ndim) if a != axis))
    sites = np.arange(len(line)) - (len(line) - 1) / 2
    line = line / line.sum()
    return float(line @ sites**2 - (line @ sites)**2)


def _trf_without(net: Network, name: str, whole: ReceptiveField) -> int | None:
    """By how many pixels the box shrinks when a layer reads one site only."""
    layer, ndim = net[name].layer, whole.ndim
    if whole.infinite or any(g.padding == "whole" for axes in net.geometry(ndim) for g in axes):
        return None
    single: Part
    geometry = layer.geometry(ndim)
    if isinstance(layer, Upsample):
        single = Upsample(layer.scale)
    elif isinstance(layer, ConvTranspose):
        pads = tuple((g.pads(None)[0] - (g.kernel - g.stride) // 2,) * 2 for g in geometry)
        single = ConvTranspose(layer.stride, stride=layer.stride, padding=pads)
    else:
        shift = [g.dilation * ((g.kernel - 1) // 2) - g.pads(None)[0] for g in geometry]
        single = serial(Pad([(-s, s) for s in shift]),  # type: ignore[arg-type]
                        Conv(1, stride=tuple(g.stride for g in geometry), padding=0))
    open_channels = {node.name: replace(node.layer, channels=None) for node in net.nodes
                     if isinstance(node.layer, (Conv, ConvTranspose)) and node.layer.groups == 1}
    bare = replaced(swapped(net, open_channels), name, single)  # only its geometry is asked for
    return max(int(a) - int(b) for a, b in zip(receptive_field(net, ndim=ndim).size,
                                               receptive_field(bare, ndim=ndim).size))


# ---------------------------------------------------------------------------------------------
# layers that see more than there is
# ---------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class BorderLayer:
    """What the units of one node see beside the size of the image.

    Attributes
    ----------
    node : str
    trf : float
        Side of the theoretical receptive field, in pixels (the longest axis).
    erf : float
        Extent of the effective one by the kind asked for.
    beyond_trf, beyond_erf : bool
        Whether each is larger than the image along some axis.
    """

    node: str
    trf: float
    erf: float
    beyond_trf: bool
    beyond_erf: bool


class BorderLayers(tuple[BorderLayer, ...]):
    """Layers in the order of the network; printed with str()."""

    def __str__(self) -> str:
        rows = [("node", "TRF", "ERF", "")]
        rows += [(row.node, f"{row.trf:.4g}", f"{row.erf:.4g}", " and ".join(
            name for name, beyond in (("TRF", row.beyond_trf), ("ERF", row.beyond_erf)) if beyond)) for row in self]
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join(f"{node:<{widths[0]}}  {trf:>{widths[1]}}  {erf:>{widths[2]}}"
                         f"{'  beyond the image: ' if flag else ''}{flag}" for node, trf, erf, flag in rows)


def border_layers(net: Network, image: Any, *, kind: str = "mass", width: int = 16, channels_in: int = 3,
                  ndim: int = 2, **options: Any) -> BorderLayers:
    """Layers that see more than the image: theoretically, and effectively.

    Layers behind the first whose theoretical receptive field exceeds the image can add no context
    [1]_; those whose effective field exceeds it see little but borders.

    Parameters
    ----------
    net : Network
    image : int or tuple of int
        Size of the image, in pixels.
    kind : str
        Of `EffectiveReceptiveField.size`, taken far from all borders: on a canvas of up to three
        times the image.
    width, channels_in, ndim
        As in `predict`.
    **options
        Of `kind`, as ``p=0.9``.

    Returns
    -------
    BorderLayers
        One `BorderLayer` per layer that spreads gradients, in the order of the network.

    Raises
    ------
    ValueError
        For an unknown kind, an image of another dimension than the network or too small for it, and
        whatever `predict` refuses.

    References
    ----------
    .. [1] Richter, Byttner, Krumnack, Wiedenroth, Schallner, Shenk, (Input) size matters for CNN
       classifiers, 2021.

    Examples
    --------
    >>> import erfmath as em
    >>> rows = em.border_layers(em.zoo.vgg16(), 64)
    >>> next(row.node for row in rows if row.beyond_trf), [row.node for row in rows if row.beyond_erf]
    ('conv4_2', ['conv5_1', 'conv5_2', 'conv5_3', 'pool5'])
    """
    settings = RunSettings.of(net, image=image, width=width, channels_in=channels_in, ndim=ndim)
    ndim, size = settings.ndim, settings.pixels
    fields = receptive_fields(net, ndim=ndim)
    rows = []
    for node, axes in zip(net.nodes, net.geometry(ndim)):
        if all(g.extent == 1 and g.padding != "whole" for g in axes):
            continue
        trf = fields[node.name]
        if trf.infinite:
            rows.append(BorderLayer(node.name, math.inf, math.inf, True, True))
            continue
        large = any(r > 3 * n for r, n in zip(trf.size, size))
        canvas = tuple(3 * n for n in size) if large else None
        erf = predict(net, **settings.but(node=node.name, image=canvas).keywords)
        extent = erf.size(kind, **options)
        rows.append(BorderLayer(node.name, float(max(trf.size)), extent,
                                any(r > n for r, n in zip(trf.size, size)), extent > min(size)))
    return BorderLayers(rows)
