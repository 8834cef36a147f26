"""How far the field of one network lies from the mean over networks, to first order in 1/width.

The power that arrives at a site is a sum over channels, and fluctuates about its mean by parts of order 1/channels:
where a random layer made the gradient anew, and where a gate let it through or not.  Both are nearly independent from
site to site.  With P the power at a site, G the part of a functional of the field that lies below it, c channels,

    Var = sum over nodes and sites of (R / c) (P G)^2 + sum over gates of (kappa / c) (sum over sites of P G)^2

(docs/trained.md, equations S1 to S3).  P is the backward sweep's, G its transpose's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.checks import integer
from ..base.progress import Report, shown
from ..layers import Activation, BatchNorm, Identity
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..results.assumptions import Assumed, Assumption, Stated
from ..results.field import EffectiveReceptiveField
from .predict import predict
from .rules.functions import Function, function, gate, gate_pair, normal_points
from .scatter_terms import of_neighbours, of_pixels, of_weights, of_winners, shared_winners, summed
from .sweep.backward import State, _Sweep
from .sweep.conditioning import Knowns, entry
from .sweep.covariance import Covariance
from .sweep.forward import Gates, forward
from .sweep.inputs import input_model
from .sweep.moments import Moments
from .sweep.moments import at as lag_zero
from .sweep.plan import Edge, Graph, Plan
from .sweep.taps import Array
from .sweep.transpose import Reading, _Readout, can_read

__all__ = ["Scatter", "scatter", "scatter_of"]


@dataclass(frozen=True)
class Scatter:
    """Standard deviations of what one network has, about the mean field; printed with str().

    Attributes
    ----------
    std : tuple of float
        Of its std along each axis, in pixels.
    size : float
        Of its size("std"), the root of the mean variance over the axes, in pixels.
    log_total : float
        Of the logarithm of its total power.
    erf : EffectiveReceptiveField
        The mean field.
    images : float
        Images over which the network's field is averaged.
    """

    std: tuple[float, ...]
    size: float
    log_total: float
    erf: EffectiveReceptiveField
    images: float

    def draws_needed(self, error: float) -> int:
        """How many networks have to be drawn until the standard error of `size("std")` is the part `error` of it."""
        return max(1, math.ceil((self.size / self.erf.size("std") / error)**2))

    @property
    def assumptions(self) -> tuple[Assumed | Assumption | Stated, ...]:
        """Those of the mean field, and that of the scatter about it."""
        return (*self.erf.assumptions, Assumption.SCATTER_BY_WIDTH)

    @property
    def typical_total(self) -> float:
        """Median of the totals of single networks, if they are log-normal; the mean is that of the field."""
        return self.erf.total * math.exp(-self.log_total**2 / 2)

    def __str__(self) -> str:
        return (f"size {self.erf.size('std'):.4g} px; one network of this width scatters by +- {self.size:.2g} px "
                f"({self.size / self.erf.size('std'):.1%}), its total by a factor of {math.exp(self.log_total):.3g}")


def scatter(net: Network, *, image: Any = None, images: int = 1, unit: Any = None, node: str | None = None,
            width: int = 16, channels_in: int = 3, ndim: int = 2, progress: Report = None) -> Scatter:
    """How far the field of a single random network lies from the mean field that `predict` gives.

    Parameters
    ----------
    net : Network
        The network.
    image : int or tuple of int, optional
        As in `predict`.
    images : int
        Over how many images the field of the one network is averaged.
    unit, node, width, channels_in, ndim : optional
        As in `predict`.
    progress : bool, optional
        True for a bar on stderr.

    Returns
    -------
    Scatter
        Standard deviations about the mean field.

    Raises
    ------
    ValueError
        For arguments that do not fit the network, and units whose field is zero everywhere.
    NotImplementedError
        Where the backward sweep has no transpose: given or equal weights, branches of one value that meet again
        without a random layer in between.

    See Also
    --------
    predict : Effective receptive field, from theory.
    measure : The same by Monte Carlo.

    Notes
    -----
    To first order in 1/channels.  Statistics of norms and forward values are taken to be those of wide networks, values
    in windows of pools to be independent, and the unit's gradient is random in each network, as `measure` has it.

    Examples
    --------
    >>> import erfmath as em
    >>> chain = em.repeat(em.serial(em.Conv(3), em.Activation("relu")), 10)
    >>> narrow, wide = em.scatter(chain, width=16), em.scatter(chain, width=64)
    >>> round(narrow.size, 2), round(wide.size / narrow.size, 1), narrow.draws_needed(0.01)
    (0.14, 0.7, 28)
    """
    integer(images, "images", 1)
    settings = RunSettings.of(net, image=image, unit=unit, node=node, width=width, channels_in=channels_in, ndim=ndim)
    with shown(progress, "scatter"):
        return scatter_of(predict(net, **settings.keywords), net, settings, images)


def scatter_of(erf: EffectiveReceptiveField, net: Network, settings: RunSettings, images: float = 1,
               unit_correlation: float = 1.0) -> Scatter:
    """That of a field that `predict` has given for these settings.

    `unit_correlation` is the root mean square of the correlation of the unit's gradients for two images: 1 if it is the
    same for all.

    Raises
    ------
    NotImplementedError
        As `scatter`.
    """
    if settings.weights or settings.source is not None:
        raise NotImplementedError("scatter: is for networks of random weights, and their fields on the input")
    inputs = input_model(settings.input_moments, settings.input_covariance, settings.ndim)
    plane = Graph.of(net, settings, lean=False)
    settings = _bordered(net, settings)
    graph = Graph.of(net, settings, lean=False)
    plan = Plan(graph, mean=False)
    if not any(op.zero_mean for op in graph.ops) or not can_read(plan):
        raise NotImplementedError("scatter: has no rule where weights are equal or given, or branches of one value "
                                  "meet again without a random layer in between; sample it with erfmath.measure")
    moments: dict[int, Moments] = {}
    gates = forward(plane, plan, inputs, moments)
    sweep = _Noted(graph, False, plan, gates)
    values, start, _ = sweep.run(settings.unit_of(net))
    if not values.any():
        raise ValueError(f"scatter: the field of unit {erf.unit} is zero everywhere, in every network")
    assert settings.image is not None
    variances = _variances(sweep, _functionals(values, start, settings.image), moments, images, unit_correlation)
    spread = erf.std
    size = erf.size("std")
    std = tuple(float(math.sqrt(v) / (2 * s)) if s else 0.0 for v, s in zip(variances, spread))
    return Scatter(std, float(math.sqrt(variances[-2]) / (2 * size)) if size else 0.0, math.sqrt(variances[-1]), erf,
                   images)


def _bordered(net: Network, settings: RunSettings) -> RunSettings:
    """The same on an image: of the plane one so large that no border acts on the unit."""
    if settings.image is not None:
        return settings
    trf = settings.but(unit=None).receptive_field(net)
    if trf.infinite:
        raise ValueError(f"{trf.node}: sees the whole plane (global pooling); give image=")
    if trf.padding is None or any(s != int(s) for s in trf.stride):
        wide = tuple(3 * int(n) + 2 * math.ceil(s) for n, s in zip(trf.size, trf.stride))
        return settings.but(image=wide, unit=None)
    # The first unit whose window lies wholly on the image, and what it sees and no more.
    unit = tuple(math.ceil(max(p, 0) / s) for p, s in zip(trf.padding, trf.stride))
    image = tuple(int(u * s - p + n) for u, s, p, n in zip(unit, trf.stride, trf.padding, trf.size))
    return settings.but(image=image, unit=unit)


def _functionals(power: Array, start: tuple[int, ...], image: tuple[int, ...]) -> Array:
    """Of the pixels: variance along each axis, the mean variance, and the logarithm of the total, to first order."""
    ndim, total = len(image), power.sum()
    found = []
    for axis in range(ndim):
        line = power.sum(axis=tuple(a for a in range(ndim) if a != axis)) / total
        x = start[axis] + np.arange(len(line))
        mean = line @ x
        off = (np.arange(image[axis]) - mean)**2 - line @ (x - mean)**2
        found.append(np.broadcast_to(off.reshape([-1 if a == axis else 1 for a in range(ndim)]), image))
    return np.stack([*found, np.mean(found, axis=0), np.ones(image)]) / total


class _Noted(_Sweep):
    """The backward sweep, with notes of what arrives at every node, and of how much of it random layers have made.

    Attributes
    ----------
    states : dict
        Per node the parts of the gradient there, with what is known of each.
    old : dict
        Per node what others than random layers have handed down, each for itself.
    readers : dict
        Per node its readers, and the power that each has handed down.
    scales : dict
        Per node the logarithm of what its power is multiplied by.
    gains : dict
        Per edge the part of the power that is handed down.
    """

    visits_all = True

    def __init__(self, graph: Graph, mean: bool, plan: Plan, gates: Gates) -> None:
        super().__init__(graph, mean, plan, gates)
        self.states: dict[int, list[tuple[Covariance, Knowns]]] = {}
        self.old: dict[int, list[Covariance]] = {}
        self.readers: dict[int, list[tuple[int, float]]] = {}
        self.scales: dict[int, float] = {}
        self.gains: dict[Edge, float] = {}

    def _parts(self, state: State, i: int) -> list[tuple[Covariance, Knowns]]:
        if isinstance(state, dict):
            state = self._covariance(state, i)
        return [(state, ())] if isinstance(state, Covariance) else list(state.parts)

    def _collect(self, i: int, parts: list[State]) -> State:
        state = super()._collect(i, parts)
        self.states[i], self.scales[i] = self._parts(state, i), -2 * self.log_scale
        return state

    def _rescale(self, arrived: dict[int, list[State]], handed: list[State]) -> None:
        before = self.log_scale
        super()._rescale(arrived, handed)
        if self.log_scale != before:
            factor = math.exp(before - self.log_scale)
            self.old = {j: [part.times(factor) for part in parts] for j, parts in self.old.items()}
            self.readers = {j: [(k, power * factor**2) for k, power in parts] for j, parts in self.readers.items()}

    def _pass(self, state: State, edge: Edge, j: int) -> State | None:
        part = super()._pass(state, edge, j)
        if part is not None:
            whole = self._merge(j, [one for one, _ in self._parts(part, j)])
            above = sum(float(one.power.sum()) for one, _ in self.states[edge.reader])
            self.gains[edge] = float(whole.power.sum()) / above if above > 0 else 0.0
            self.readers.setdefault(j, []).append((edge.reader, float(whole.power.sum())))
            if not self.graph.ops[edge.reader].fresh:
                self.old.setdefault(j, []).append(whole)
        return part


class _Kept(_Readout):
    """The transpose, with the values of all nodes kept."""

    def run(self, fields: Array) -> Reading:
        self.kept: dict[int, list[Array]] = {}
        self.scales: dict[int, float] = {}
        return super().run(fields)

    def _node(self, i: int, n: int) -> Array:
        found = super()._node(i, n)
        self.kept.setdefault(i, []).append(found)
        self.scales[i] = -self.log_scale
        return found


def _variances(sweep: _Noted, fields: Array, moments: dict[int, Moments], images: float,
               unit_correlation: float) -> Array:
    """Of every functional, to first order in 1/channels."""
    graph = sweep.graph
    read = _Kept(sweep.plan, sweep.gates, {})
    read.run(fields)
    first = fields.reshape(len(fields), 1, *(1,) * graph.ndim, *fields.shape[1:])
    read.kept[-1], read.scales[-1] = [first], 0.0
    total, alike = np.zeros(len(fields)), {graph.top: unit_correlation}
    one, pairs = 1 / images, 1 - 1 / images
    values, shared, peaks = _values(graph), dict[Any, _Shared](), dict[int, float]()
    for i in range(graph.top, -2, -1):
        if i not in sweep.states:
            continue
        if i != graph.top:  # correlation of the gradients of two images
            powers = sweep.readers[i]
            alike[i] = sum(power * _passed(sweep, moments, k, alike[k]) for k, power in powers) / sum(
                power for _, power in powers)
        # Functions are over the total as it was scaled at the pixels.
        scale = math.exp(sweep.scales[-1] - sweep.scales[i] - read.scales[i])
        products = scale * _products(sweep, read, i)      # (functions, groups, *map)
        r = alike[i]
        new = summed(products**2 * (1 - _old_squares(sweep, i)))
        total += 2 * (one + pairs * r**2) * new @ (1 / np.array(graph.groups[i], float))
        handed = sweep.readers.get(i, [])
        power = sum(part for _, part in handed)
        peak = 3.0 + sum((part / power)**2 * (peaks[k] - 3) for k, part in handed)   # E g^4 / (E g^2)^2 of a channel
        peaks[i] = peak if i >= 0 and not graph.ops[i].taps and not graph.ops[i].fresh else 3.0
        if i >= 0 and graph.ops[i].fresh and graph.ops[i].groups > 1:
            below = _entered(sweep, read, graph.sources[i][0])
            added, peaks[i] = of_weights(sweep.plan, i, products, _power(sweep, i, products.shape[2:]), below,
                                         one + pairs * r**2, peak)
            total += added
        if i >= 0 and graph.ops[i].routes and not graph.ops[i].by_rows:
            shares = shared_winners([taps.geometry[0] for taps in graph.ops[i].taps])
            met = of_neighbours(products, 2 * shares * (one + pairs * r**2 * shares))
            met += peak * one * of_winners(graph.ops[i], products, _entered(sweep, read, graph.sources[i][0]))
            total += met @ (1 / np.array(graph.groups[i], float))
        if i >= 0 and graph.layers[i].statistics == ("channels",):
            # The mean square of c values at a site fluctuates by 2 / c of itself, and the gradient's power against it.
            rho = _correlation(moments[graph.sources[i][0]])
            apart = 2 * (1 - rho**2) * one * summed(products.sum(axis=1, keepdims=True)**2)[:, 0]
            total += (apart + 2 * rho**2 * products.reshape(len(products), -1).sum(axis=1)**2) / graph.channels[i]
            total += one * of_pixels(graph, i, products.sum(axis=1))
        if not _is_gate(graph, i):
            continue
        fourth, kappa, _ = _gate(sweep, moments, i)
        for group, value in enumerate(values[graph.sources[i][0]]):
            known = shared.setdefault((value, getattr(graph.layers[i], "function", ""), products.shape[2:]),
                                      _Shared(graph.groups[i][group]))
            known.add(products[:, group], r, fourth, kappa, peak)
        peaks[i] *= fourth
    return np.maximum(total + sum(gate.variance(one, pairs) for gate in shared.values()), 0)


@dataclass
class _Shared:
    """Gates of one value that several nodes have, as the norms and activations of dense blocks: they are one gate."""

    channels: int
    products: Array | float = 0.0   # sum over the gates of P(x) G(x), and of r P(x) G(x)
    paired: Array | float = 0.0
    fourth: float = 0.0             # sums over the gates, by their number below
    kappa: float = 0.0
    peak: float = 0.0
    count: int = 0

    def add(self, products: Array, r: float, fourth: float, kappa: float, peak: float) -> None:
        """One more of them."""
        self.products, self.paired = self.products + products, self.paired + r * products
        self.fourth, self.kappa, self.peak = self.fourth + fourth, self.kappa + kappa, self.peak + peak
        self.count += 1

    def variance(self, one: float, pairs: float) -> Array:
        """Of every functional, by equation (S3)."""
        fourth, kappa, peak = (whole / self.count for whole in (self.fourth, self.kappa, self.peak))
        products, paired = (np.asarray(part)[:, None] for part in (self.products, self.paired))
        return np.asarray(((peak * (fourth - 1) - kappa) * one * summed(products**2) + pairs * 2 * kappa * summed(
            paired**2) + kappa * summed(products)**2)[:, 0] / self.channels)


def _is_gate(graph: Graph, i: int) -> bool:
    """Whether node `i` is an activation."""
    return i >= 0 and graph.layers[i].is_gate and graph.rules[i].function(graph.layers[i]) is not None


def _values(graph: Graph) -> dict[int, list[Any]]:
    """Per node and channel group the value that it is: its node, its group there, and whether it is normalised.

    Norms per channel, and what puts channels together, make no new value: gates after them are the same.
    """
    found: dict[int, list[Any]] = {-1: [(-1, k, False) for k in range(len(graph.groups[-1]))]}
    for i, layer in enumerate(graph.layers):
        above = [found[j] for j in graph.sources[i]]
        groups, same = len(graph.groups[i]), None
        if layer.joins_channels:
            same = [value for part in above for value in part]
        elif len(above) == 1 and isinstance(layer, (BatchNorm, Identity)):
            same = [(*value[:2], value[2] or isinstance(layer, BatchNorm)) for value in above[0]]
        found[i] = same if same is not None and len(same) == groups else [(i, k, False) for k in range(groups)]
    return found


def _entered(sweep: _Noted, read: _Kept, j: int) -> Array:
    """Values of the functionals for unit power at the sites of a node, of which nothing is known."""
    known = read.arrivals.get(j)
    place = 0 if known is None else _place(known, entry(sweep.gates.sites[j]))
    return read.kept[j][place][(slice(None), *lag_zero(sweep.plan.lags[j]))]


def _power(sweep: _Noted, i: int, shape: tuple[int, ...]) -> Array:
    """Of a node's gradient per channel group, whatever is known of it, on all sites of its map."""
    whole: Any = sum(_on_map(part.values[lag_zero(part.lags)], part.start, shape) for part, _ in sweep.states[i])
    return np.asarray(whole)


def _products(sweep: _Noted, read: _Kept, i: int) -> Array:
    """P(x) G(x) of a node's gradient per channel group, summed over what is known of it."""
    lags, known = sweep.plan.lags[i], read.arrivals.get(i)
    total: Any = 0
    for part, knowns in sweep.states[i]:
        place = 0 if known is None else _place(known, knowns or entry(sweep.gates.sites[i]))
        value = read.kept[i][place][(slice(None), *lag_zero(lags))]
        power = part.values[lag_zero(part.lags)]
        total = total + value * _on_map(power, part.start, value.shape[2:])
    return np.asarray(total)


def _place(known: list[Knowns], wanted: Knowns) -> int:
    """Which of what is `known` is what the backward sweep found, which may have come to the same by other steps."""
    if wanted in known:
        return known.index(wanted)

    def off(one: Knowns) -> float:
        return max((0.0 if a is b else math.inf if a is None or b is None or a.table.shape != b.table.shape
                    else float(np.abs(a.table - b.table).max()) for a, b in zip(one, wanted)), default=0.0)
    return min(range(len(known)), key=lambda n: off(known[n]))


def _on_map(power: Array, start: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Power of channel groups on all sites of a map."""
    whole = np.zeros((len(power), *shape))
    whole[(slice(None), *(slice(a, a + n) for a, n in zip(start, power.shape[1:])))] = power
    return whole


def _old_squares(sweep: _Noted, i: int) -> Array:
    """The sum of squares of the parts of a node's power that are not new there, per channel group and site."""
    if i not in sweep.old:
        return np.zeros(())
    size = tuple(n or 1 for n in sweep.graph.sizes[i])
    whole = _power(sweep, i, size)
    parts: Any = sum(_on_map(part.values[lag_zero(part.lags)], part.start, size)**2 for part in sweep.old[i])
    return np.minimum(np.divide(parts, whole**2, out=np.zeros(whole.shape), where=whole > 0), 1)


def _passed(sweep: _Noted, moments: dict[int, Moments], i: int, r: float) -> float:
    """The correlation of two images' gradients after node `i`."""
    return r * _gate(sweep, moments, i)[2] if _is_gate(sweep.graph, i) else r


def _gate(sweep: _Noted, moments: dict[int, Moments], i: int) -> tuple[float, float, float]:
    """Of a gate phi': m and kappa of equation (S3), and E[phi' phi''] / E phi'^2 of two images.

    Of Gaussian values; but a gate that is open more often, as that of a value which is a sum of positive ones, is known
    by how much power it hands down.
    """
    graph = sweep.graph
    phi: Any = graph.rules[i].function(graph.layers[i])
    below = moments[graph.sources[i][0]]
    q = float(below.second.mean())
    rho = _correlation(below)
    power = float(gate(phi, np.array([q]))[0])
    z, w = normal_points(512, 0.05)
    square = phi.slope(math.sqrt(q) * z)**2
    fourth = float(w @ square**2) / power**2
    pair = float(gate_pair(phi, np.array([q]), np.array([rho]))[0]) / power
    kappa = _squares(phi, q, rho) / power**2 - 1
    gains = [gain for edge, gain in sweep.gains.items() if edge.reader == i]
    if phi.below is None or not gains or abs(gains[0] / power - 1) < 1e-9:
        return fourth, kappa, pair
    low = phi.below
    part = min(max((gains[0] - low**2) / (1 - low**2), 1e-9), 1.0) if abs(low) != 1 else 1.0   # of gates that are open
    corr, spread = kappa / (fourth - 1) if fourth > 1 else 0.0, part * (1 - part)
    gained = low**2 + (1 - low**2) * part
    fourth = 1 + (1 - low**2)**2 * spread / gained**2
    mean = low + (1 - low) * part
    return fourth, corr * (fourth - 1), (mean**2 + (1 - low)**2 * corr * spread) / gained


def _correlation(values: Moments) -> float:
    """Of values at distant sites, in the mean over channels."""
    power = values.second.mean(axis=tuple(range(1, values.second.ndim)))
    return float(np.mean(np.clip(values.cov_far / np.maximum(power, 1e-300), -1, 1)))


def _squares(phi: Function, q: float, rho: float) -> float:
    """E[phi'(z)^2 phi'(z')^2] for values of variance q and correlation rho."""
    if phi.below is not None:
        # Of slopes below^2 and 1, as another piecewise linear function has them.
        bent = function(Activation("leaky_relu", slope=phi.below**2))
        return float(gate_pair(bent, np.array([q]), np.array([rho]))[0])
    z, w = normal_points(256, 0.1)
    s = math.sqrt(q)
    other = rho * z[:, None] + math.sqrt(max(1 - rho**2, 0)) * z
    return float(w @ (phi.slope(s * z)**2 * (phi.slope(s * other)**2 @ w)))
