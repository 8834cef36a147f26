"""Analytic effective receptive fields of any unit of any network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.checks import choice, hinted, integer
from ..base.errors import check_bytes, quoted
from ..base.progress import Report, shown
from ..lattice.field import Field
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..networks.trf import ReceptiveField
from ..results.assumptions import Assumed, Assumption
from ..results.density import scaled
from ..results.field import EffectiveReceptiveField
from .chains.chain import chain, folded, predict_chain
from .finite_width import narrowed
from .memory import Recent
from .sweep.backward import backward, prepared
from .sweep.inputs import input_model
from .sweep.plan import RECENT, Graph, Meeting

__all__ = ["predict"]

METHODS = ("exact", "normal", "finite_width")
#: Input channels with which gradients of means over maps are listed as too small.
FEW_CHANNELS = 16


@hinted(seed="rng", size="image", input_size="image", input_shape="image", shape="image", layer="node",
        channels="width", in_channels="channels_in", position="unit", dim="ndim")
def predict(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None, source: str | None = None,
            statistic: str | None = None, method: str = "exact", width: int = 16, channels_in: int = 3,
            ndim: int = 2, input_moments: tuple[float, float] = (1.0, 0.0), input_covariance: Any = None,
            weights: Mapping[str, Any] | None = None, gates: Any = "taps", images: Any = None, draws: int = 200,
            rng: Any = None, progress: Report = None) -> EffectiveReceptiveField:
    """The effective receptive field of a unit, computed without sampling.

    Parameters
    ----------
    net : Network
        The network.
    image : int or tuple of int, optional
        Size of the input in pixels: borders then act after every layer, and the map has its shape.
        Without it the network lies on the infinite plane and the map spans the unit's window.
    unit : int or tuple of int, optional
        Unit of the node's map; the middle one n // 2 with an image, 0 on the plane.
    node : str, optional
        Node whose unit is looked at; the network's output by default.
    source : str, optional
        Node on whose map the field is, in place of the input: E[g^2] or E[g] is then summed over that node's
        channels, and pixels are its sites.
    statistic : {"power", "mean"}, optional
        E[g^2] or E[g] (equations 1 and 2); "mean" if every weight is deterministic, else "power".
    method : {"exact", "normal", "finite_width"}
        "normal" replaces the distribution of a chain on the plane by the Gaussian of its moments (the
        paper's use of the central limit theorem).  "finite_width" adds, for chains of convolutions
        and activations, what `width` channels do to the shape of the field that infinitely many do
        not, to first order (equations 55 to 60).  Under "exact", chains on the plane whose kernels
        are no products and whose map is large are held as a law with an error relative to its largest
        value; the result then says "window", and `law.error_bound` how much.
    width : int
        Channels of layers that leave theirs open.
    channels_in : int
        Channels of the input.
    ndim : int
        Dimension, where the network leaves it open.
    input_moments : pair of float
        E[x^2] of a pixel, and E[x x'] between distant pixels or independent images.
    input_covariance : array_like or NaturalImages, optional
        E[x(z) x(z + tau)] over an odd number of lags along each axis, lag 0 in the middle; then it
        also gives E[x^2].  `natural_images` gives all moments.  By default pixels are white noise.
    weights : mapping, optional
        Trained arrays by node, in the shapes of `Fixed` ("node.bias": biases; batch norms: scale,
        shift, mean and variance, shape (4, channels); other norms: as in `measure`).
    gates : {"taps", "independent", "channels", "layers", "streams"} or mapping
        How given weights act.  "taps": through their mean square per tap alone.  The others follow all
        paths through the weights as they are, under a hypothesis about gates: all "independent" of each
        other; those of one channel together, but "channels" independent; those of one layer together, but
        "layers" independent; those of layers on one residual stream together, but "streams" independent
        (docs/trained.md).  Weights that are not given are drawn, each draw is then a
        network.  A mapping gives activities by hand, as `activities` returns them, of independent gates.
    images : ndarray or NaturalImages, optional
        Inputs ``(N, channels, *space)`` from which activities and gates are taken.  By default "independent"
        takes activities from batch norms where all are told by them, else all hypotheses send noise with
        the spectrum of photographs forward.
    draws : int
        Draws of gates, or of the random signs that stand for independent ones in a network that is too
        large to be exact; the result then has standard errors.  Of "channels", "layers" and "streams" there
        are no more draws than images.
    rng : int, Generator or None
        For these draws.
    progress : bool or callable
        True for a bar on stderr, or a function of (draws done, draws) that is called where there are draws.

    Returns
    -------
    EffectiveReceptiveField
        With `gates`, a `TrainedReceptiveField`: it also tells how much of the power is coherent, and which
        gates' fluctuations make the rest.

    Raises
    ------
    ValueError
        For arguments that do not fit the network.
    NotImplementedError
        Where the theory has no rule.
    SizeError
        Where the map would not fit in memory.

    See Also
    --------
    measure : The same by Monte Carlo.
    receptive_field : Theoretical receptive field.
    compare : Test whether two results agree.

    Notes
    -----
    What no unit changes is remembered for the last four networks, by identity, so that further units of the
    same network object cost a part of the first.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.repeat(em.Conv(3), 20))
    >>> erf.std.round(3).tolist(), erf.trf.size
    ([3.651, 3.651], (41, 41))
    """
    choice(method, "method", METHODS)
    if statistic is not None:
        choice(statistic, "statistic", ("power", "mean"))
    integer(draws, "draws", 1)
    by_taps = isinstance(gates, str) and gates == "taps"
    if images is not None and by_taps:
        raise ValueError("images: are used for gates only; give gates=, as gates='layers'")
    if np.ndim(images) > 2:
        image = np.shape(images)[2:] if image is None else image
        channels_in = np.shape(images)[1]
    settings = RunSettings.of(net, image=image, unit=unit, node=node, source=source, width=width,
                              channels_in=channels_in, ndim=ndim, weights=weights, input_moments=input_moments,
                              input_covariance=input_covariance)
    if by_taps:
        if progress in (None, False):
            erf = _predict(net, settings, statistic, method)
        else:
            with shown(progress, "predict"):
                erf = _predict(net, settings, statistic, method)
        if erf.statistic == "power" and not settings.weights and settings.source is None:
            erf._hold(_run=(net, settings))
        return erf
    if method != "exact":
        raise ValueError(f"method={quoted(method)}: gates={quoted(gates)} go with method='exact'")
    return _through_gates(net, settings, gates=gates, statistic=statistic, images=images, draws=draws, rng=rng,
                          progress=progress)


def _through_gates(net: Network, settings: RunSettings, **how: Any) -> EffectiveReceptiveField:
    """What runs the weights themselves comes after the measurement, from which it takes its layers."""
    from ..trained.predicted import predict_through_gates
    return predict_through_gates(net, settings, **how)


_fields: Recent[tuple[ReceptiveField, str]] = Recent(RECENT)
_assumed: Recent[tuple[Assumed, ...]] = Recent(RECENT)


def _predict(net: Network, settings: RunSettings, statistic: str | None, method: str) -> EffectiveReceptiveField:
    fold, at_width, plane = None, method == "finite_width", settings.image is None
    inner = settings.source is not None
    if inner and method != "exact":
        raise NotImplementedError(f"method={quoted(method)}: is for fields on the input; with source= use "
                                  "method='exact'")
    if plane and not (inner or settings.weights or at_width):  # a million equal layers as two
        fold = folded(net, settings, method, statistic)
    trf, kind = (fold.trf, None) if fold else _seen(net, settings)
    net, settings = (fold.net, settings.but(node=None)) if fold else (net, settings)
    unit = settings.unit_of(net)
    if trf.infinite:
        raise ValueError(f"{trf.node}: sees the whole plane (global pooling); give image=")
    inputs = input_model(settings.input_moments, settings.input_covariance, settings.ndim)
    graph = Graph.of(net, settings, lean=fold is None)
    used = graph.used
    mean = _is_mean(graph, used, net, statistic or kind or settings.default_statistic(net))
    if at_width:
        if settings.weights:
            raise NotImplementedError("method='finite_width' is for random weights, not for weights=; use "
                                      "method='exact'")
        graph = narrowed(graph, inputs)
    about: dict[str, Any] = {"unit": unit, "trf": trf, "statistic": "mean" if mean else "power", "method": method,
                             "assumptions": _assumptions(graph, used, True, at_width) if settings.weights else
                             _assumed.get(graph, at_width, lambda: _assumptions(graph, used, False, at_width))}
    steps = None if inner or not plane else chain(graph, mean, inputs, method, trf, fold and fold.counts)
    if steps is not None:
        return predict_chain(steps, about)
    if method == "normal":
        raise ValueError(f"method={quoted(method)}: is for chains of convolutions on the infinite plane "
                         "(no image, no branches); use method='exact'")
    size = trf.image
    lo, hi = trf.window(unit) if size is None else ((0,) * settings.ndim, tuple(n - 1 for n in size))
    extent = tuple(b - a + 1 for a, b in zip(lo, hi))
    check_bytes(8 * math.prod(extent), f"the map of {extent} pixels")
    plan, gates = ready = prepared(graph, mean, inputs)
    values, start, log_scale = backward(graph, unit, mean, inputs, ready)
    whole = Field(values, start).crop(lo, hi)
    met = gates.uncorrelated | {i for i, found in plan.meetings.items() if any(_by_means(graph, m) for m in found)}
    if met:
        about["assumptions"] += (Assumed(Assumption.DEPENDENT_BRANCHES, tuple(map(graph.name, sorted(met)))),)
    if gates.patterned:
        about["assumptions"] += (Assumed(Assumption.NEARLY_CONSTANT, tuple(map(graph.name, sorted(gates.patterned)))),)
    return EffectiveReceptiveField.of(scaled(whole.values, lo, log_scale), image=size, **about)


def _seen(net: Network, settings: RunSettings) -> tuple[ReceptiveField, str]:
    """The theoretical receptive field, and the statistic that it has by default."""
    def look() -> tuple[ReceptiveField, str]:
        return settings.receptive_field(net), settings.default_statistic(net)
    if settings.weights:  # which make it random
        return look()
    about = settings.node, settings.image, settings.ndim, settings.source, settings.channels_in
    return _fields.get(net, about, look)


def _by_means(graph: Graph, met: Meeting) -> bool:
    """Whether gates or routes on the way of two branches count by their means; norms are numbers."""
    return any(not graph.rules[k].scales_all(graph.layers[k], graph.channels[k], graph.ndim)
               for marks in (met.one[1], met.other[1]) for k, _ in marks)


def _is_mean(graph: Graph, used: list[int], net: Network, statistic: str) -> bool:
    random = [i for i in used if graph.ops[i].zero_mean]
    choice(statistic, "statistic", ("power", "mean"))
    if statistic == "power":
        return False
    if random:
        raise ValueError(f"statistic='mean': {graph.names[random[0]]} has zero-mean random weights, so that the mean "
                         "gradient is zero; use statistic='power'")
    for i in used:
        if not graph.rules[i].keeps_factor(graph.ops[i], mean=True):
            raise NotImplementedError(f"statistic='mean': {graph.names[i]} ({graph.layers[i].kind}) depends on the "
                                      "data, and the theory has no rule for the mean through it; use statistic='power' "
                                      "or erfmath.measure")
    return True


def _exact(graph: Graph, used: list[int]) -> bool:
    """Whether the theory is exact at any width: a chain of random layers and rectifiers, whose gates are signs."""
    def plain(i: int) -> bool:
        op, function = graph.ops[i], graph.rules[i].function(graph.layers[i])
        if op.gate:
            return function is not None and function.below is not None
        return op.fresh or not (op.taps or op.routes)
    return all(len(graph.sources[i]) == 1 and plain(i) for i in used)


def _scaled(graph: Graph, gates: list[int]) -> list[int]:
    """Norms with random scales, where there are curved functions."""
    curved = [i for i in gates if (phi := graph.rules[i].function(graph.layers[i])) is not None and phi.below is None]
    return [i for i in gates if getattr(graph.layers[i], "scale_var", 0)] if curved else []


def _over_maps(graph: Graph, used: list[int]) -> list[int]:
    """Means over all sites of a map that activations have made."""
    pools = [i for i in used if graph.ops[i].taps and not (graph.ops[i].variances or graph.ops[i].routes)
             and set(graph.sizes[i]) == {1} != set(graph.sizes[graph.sources[i][0]])]
    gates = (i for i in used if graph.ops[i].gate and graph.rules[i].function(graph.layers[i]) is not None)
    first = next(gates, graph.top) if pools else graph.top
    return [i for i in pools if i > first]


def _assumptions(graph: Graph, used: list[int], trained: bool, at_width: bool) -> tuple[Assumed, ...]:
    gated = any(graph.ops[i].gate for i in used) and not _exact(graph, used)
    borders = graph.sizes[-1][0] is not None
    made: dict[Assumption, list[int]] = {}
    for i in used:
        for assumption in graph.rules[i].assumptions(graph.ops[i]):
            made.setdefault(assumption, []).append(i)
    random, gates = ([i for i in used if chosen(graph.ops[i])] for chosen in (lambda op: op.fresh, lambda op: op.gate))
    holds: dict[Assumption, Any] = {
        Assumption.INFINITE_WIDTH: gated and not at_width and random,
        Assumption.LEADING_WIDTH: gated and at_width and random,
        Assumption.INDEPENDENT_GATES: gated and not at_width and made.get(Assumption.INDEPENDENT_GATES),
        Assumption.FEW_INPUTS: graph.channels[-1] <= FEW_CHANNELS and _over_maps(graph, used),
        Assumption.INPUT_MOMENTS: gated and [i for i in used if -1 in graph.sources[i]],
        Assumption.DISTANT_SITES: gated and borders and gates,
        Assumption.BATCH_STATISTICS: gated and made.get(Assumption.BATCH_STATISTICS),
        Assumption.NORM_STATISTICS: gated and made.get(Assumption.NORM_STATISTICS),
        Assumption.RANDOM_SCALES: _scaled(graph, gates),
        Assumption.MAX_POOL_ROUTING: made.get(Assumption.MAX_POOL_ROUTING),
        Assumption.EQUICORRELATED_POOLS: gated and made.get(Assumption.EQUICORRELATED_POOLS),
        Assumption.NEIGHBOURS: gated and borders and made.get(Assumption.NEIGHBOURS),
        Assumption.INDEPENDENT_FACTORS: made.get(Assumption.INDEPENDENT_FACTORS),
        Assumption.CHANNEL_NORMS: made.get(Assumption.CHANNEL_NORMS),
        Assumption.SMALL_LOGITS: made.get(Assumption.SMALL_LOGITS),
        Assumption.TAP_MOMENTS: trained and random,
    }
    kind = {Assumption.INFINITE_WIDTH: _kind(graph, gates)}
    return tuple(Assumed(assumption, tuple(graph.names[i] for i in nodes), kind.get(assumption, ""))
                 for assumption, nodes in holds.items()
                 if nodes or (nodes is not False and nodes is not None and assumption is Assumption.TAP_MOMENTS))


def _kind(graph: Graph, gates: list[int]) -> str:
    """Of networks, by what a finite number of channels changes: norms, else curved functions, "" of rectifiers."""
    if any(graph.rules[i].normalises for i in gates):
        return "norms"
    functions = (graph.rules[i].function(graph.layers[i]) for i in gates)
    return "curved" if any(phi is not None and phi.below is None for phi in functions) else ""
