"""What a rule is: how the theory takes one kind of layer, in every sweep.

A rule has no state; one instance serves all layers of its kinds.  What it inherits is right for a
layer that is the same filter on each channel, and for a gate that acts on each site by a number:
such a kind overrides `lower`, or `forward`, and no more.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...base.errors import quoted
from ...layers import Layer
from ...layers.registry import Registry
from ...results.assumptions import Assumption
from ..memory import remembered, replace
from ..sweep import groups, patterns
from ..sweep.covariance import Covariance
from ..sweep.factor import Factor
from ..sweep.groups import Labels
from ..sweep.lowering import SAMPLE, Linear, Norm, reach
from ..sweep.patterns import Known
from ..sweep.linear_layers import far_factor, filtered_values, linear, random_map, read_sites, shared_after
from ..sweep.moments import Common, Moments, at as lag_zero, in_parts, ratio
from ..sweep.sources import Sum, average
from ..sweep.taps import Array, Taps, border_gain, forward
from ..sweep.values import Value
from .alignment import PIXELS, Along, Even, mean, through_sites
from .context import Above, Before, Below
from .functions import Function
from .images import Images, through_filter
from .neighbours import Passage

if TYPE_CHECKING:
    from ..sweep.plan import Graph

__all__ = ["RULES", "Rule", "filtered", "filtered_level", "gathered", "rule_for", "rule_of", "through_taps"]

Sizes = tuple[Any, ...]
#: The rule of each kind of layer.
RULES: Registry[Rule] = Registry("the theory has no rule for this kind of layer; erfmath.measure may have one")
rule_for, rule_of = RULES.enter, RULES.of
#: Layers that act on each site: those that are no gates, and those that are.
_OF_SITES = Linear(), Linear(gate=True)


def filtered(op: Linear, value: Value, q: float, cov_site: float) -> Value:
    """What a fixed filter makes of a site's value: q and E[v v'] after it are known already."""
    weights = np.array([op.gain])
    for taps in op.taps:
        weights = np.multiply.outer(weights, _of_one_phase(taps)).ravel()
    return average(value, weights.tolist(), q, cov_site)


def through_taps(op: Linear, m: Moments, sizes_in: Sizes, sizes: Sizes, extent: tuple[int, ...],
                 lags: tuple[int, ...], met: bool = True) -> Moments:
    """Moments after a layer of taps, without taps of values times its gain; `met`: with what the value of a site is."""
    if not op.taps:
        return m.times(op.gain)
    if op.gain == 1 and not (op.variances or op.fold) and all(t.trivial and t.weights.item() == 1 for t in op.taps):
        return m.with_lags(lags)  # nothing happens
    cov_far = m.cov_far * far_factor(op, m, sizes_in, sizes) if m.coupled else m.cov_far
    values = filtered_values(op, m, sizes_in, extent, lags)
    corr_site = _shared_after(op, m, values, sizes_in, extent)
    if m.periods:  # at one place no less than at distant ones, which share by their phases
        corr_site = np.maximum(corr_site, ratio(cov_far, m.mean(values[lag_zero(lags)])))
    common: Callable[[], Array] | None = None
    if op.variances and m.common is not None:
        common = functools.partial(_common_after, op, m.common, len(cov_far), sizes_in, extent)
    elif not (op.variances or op.fold) and m.coupled:
        before = m if m.common is None else m.alone().with_common(m.common)
        common = functools.partial(_common_filtered, op, before, sizes_in, extent)
    after = Moments(values, cov_far, corr_site, (None,) * len(cov_far), m.wraps,
                    common=None if m.wraps else Common.of(common))
    if op.variances or not met or all(site is None for site in m.sites):
        return after
    q, cov_site = after.average, after.cov_site
    return replace(after, sites=tuple(
        None if site is None else filtered(op, m.value(g), float(q[g]), float(cov_site[g]))
        for g, site in enumerate(m.sites)))


def _shared_after(op: Linear, m: Moments, after: Array, sizes_in: Sizes, extent: tuple[int, ...]) -> Array:
    """`corr_site` after a layer: what two sites share is a product, of which a filter gathers each like values."""
    if m.wraps or any(m.lags) or op.variances or op.fold or op.routes or op.ties_channels or not any(
            m.corr_site.tolist()):
        return shared_after(op, m, after, sizes_in)
    unit = op.gain * math.prod([taps.weights.item(0) for taps in op.taps if taps.flat])  # of levels
    level = filtered_level(op, m.deviation, sizes_in, extent) * unit
    middle = tuple([n // 2 for n in after.shape[1:1 + m.ndim]])
    return np.minimum(ratio(m.corr_site * m.mean(level * level), m.mean(after[lag_zero(middle)])), 1.0)


def _common_after(op: Linear, common: Callable[[], Array], groups: int, sizes_in: Sizes, extent: tuple[int, ...]
                  ) -> Array:
    """`Moments.common` after random weights: both sites of a pair read through the same tap."""
    zero = (0,) * len(extent)
    if not op.fold:
        return in_parts(random_map(op, common(), sizes_in, extent))
    nothing = np.zeros(groups)
    alone = Moments(common()[(slice(None), *(None,) * len(extent))], nothing, nothing, (None,) * groups, False)
    return in_parts(linear(op, alone, sizes_in, extent, zero)[lag_zero(zero)])


def _common_filtered(op: Linear, m: Moments, sizes_in: Sizes, extent: tuple[int, ...]) -> Array:
    """The same after a filter."""
    return in_parts(filtered_level(op, m.common_map, sizes_in, extent))


def filtered_level(op: Linear, level: Array, sizes_in: Sizes, extent: tuple[int, ...]) -> Array:
    """A map, per group, after the weights of a filter as they are."""
    ndim, sizes = len(extent), list(level.shape[1:])
    for taps in op.taps:
        if taps.rows is not None:
            axis = 1 + taps.axes[0]
            level = np.moveaxis(np.tensordot(taps.rows.matrix, level, (1, axis)), 0, axis)
        else:
            for axis in taps.axes:
                sizes[axis] = extent[axis]
            level = forward(level, taps, sizes_in, tuple(sizes))
            if op.inside_only:
                axis, = taps.axes
                gain = border_gain(taps, 0, extent[axis], sizes_in[axis])
                level = level if gain is None else level * gain.reshape(-1, *(1,) * (ndim - 1 - axis))
        sizes = list(level.shape[1:])
    return level


def axis_weights(op: Linear, sizes_in: Sizes, sizes: Sizes) -> list[Array] | None:
    """Weights of a filter per axis, shape (sites out, sites in) each; None where axes are not apart."""
    phases = op.by_rows or any(taps.geometry[0].transposed for taps in op.taps)
    if op.ties_channels or op.fold or not op.by_axes or (phases and max(n or 0 for n in sizes) > patterns.APART):
        return None  # where sites differ by phase none stands for others
    found = [np.eye(n) for n in sizes_in if n is not None]
    for taps in op.taps:
        axis, = taps.axes
        one = op._replace(taps=(taps._replace(axes=(0,)),))
        unit = float(taps.weights[0]) if taps.flat else 1.0  # sums are in units of equal weights
        found[axis] = unit * filtered_level(one, np.eye(len(found[axis])), (sizes_in[axis],), (sizes[axis],)).T
    return found if len(found) == len(sizes) else None


def _of_one_phase(taps: Taps) -> Array:
    """Weights that one output site reads through; of transposed taps those of the most typical phase."""
    if not taps.geometry[0].transposed:
        return taps.weights.ravel()
    places = [g.dilation * np.arange(g.kernel) % g.stride for g in taps.geometry]
    phases = [taps.weights[np.ix_(*(place == phase for place, phase in zip(places, phases)))].ravel()
              for phases in np.ndindex(*(g.stride for g in taps.geometry))]
    power = [float((phase**2).sum()) for phase in phases]
    return phases[int(np.argmin(np.abs(np.array(power) - np.mean(power))))]


@remembered(256)
def _others(kind: type[Any], known: frozenset[str]) -> tuple[str, ...]:
    """Fields of a kind of layer that are not among the known ones."""
    return tuple(field.name for field in dataclasses.fields(kind) if field.name not in (*known, "name"))


def gathered(op: Linear, sizes_in: Sizes, sizes: Sizes) -> float:
    """What a filter makes of the power of a gradient that is the same at all sites over that of independent ones."""
    total = 1.0
    for taps in op.taps:
        if taps.rows is not None:
            weights = taps.rows.matrix
            total *= float((weights.sum(axis=0)**2).mean() / (weights**2).sum(axis=0).mean())
        elif len(taps.axes) == 1 and sizes_in[taps.axes[0]] is not None:
            (axis,), (g,) = taps.axes, taps.geometry
            z, there = read_sites(g, sizes_in[axis], sizes[axis])
            one, square = (np.bincount(z[there], np.broadcast_to(w, z.shape)[there], sizes_in[axis])
                           for w in (taps.weights, taps.weights**2))
            total *= float((one**2).mean() / square.mean()) if square.any() else 1.0
    return total


class Rule:
    """How one kind of layer is passed; the defaults are those of fixed taps, and of a gate."""

    #: Fields of the spec that the rule takes into account; others must be at their defaults.
    fields: ClassVar[frozenset[str]] = frozenset()
    #: Whether parts of the channels are compared, so that what gradients of different parts have in common matters.
    compares: ClassVar[bool] = False
    #: Whether channels of the output are others than those of the input.
    moves: ClassVar[bool] = False

    #: Whether what comes out has a size of its own, whatever the size of what comes in.
    normalises: ClassVar[bool] = False
    #: Whether a norm takes away what all sites of a channel share.
    centres_far: ClassVar[bool] = False

    # -- what the layer is --------------------------------------------------------------------

    def refuse_unknown(self, layer: Layer) -> None:
        """Refuse fields of a spec that the rule does not know of.

        Raises
        ------
        NotImplementedError
            Naming the field and its value.
        """
        for field in _others(type(layer), self.fields):
            value = getattr(layer, field)
            if value != layer.default(field):
                raise NotImplementedError(f"{field}={quoted(value)}: {SAMPLE}")

    def lower(self, layer: Layer, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Linear:
        """The layer as taps, on an input of `sizes` sites (None: the plane); without taps it acts on each site."""
        return _OF_SITES[layer.is_gate]

    def given(self, layer: Layer, weights: Any, ndim: int, c_in: int, c_out: int) -> tuple[Linear, Norm | None]:
        """The layer with trained `weights`; a ValueError says what is wrong with them."""
        raise ValueError(f"weights: {layer.op} takes none; convolutions, norms and PReLU do")

    def stacked(self, layer: Layer, op: Linear, before: Layer, lower: Linear, sizes: tuple[int | None, ...],
                between: tuple[int | None, ...]) -> Linear | None:
        """This layer and the one `before` as one that reads its input of `sizes`, where there is such a layer."""
        return None

    def scales_all(self, layer: Layer, channels: int, ndim: int) -> bool:
        """Whether it is a norm: values times a number that they all have in common."""
        return False

    def commutes(self, layer: Layer, ndim: int, phi: Function) -> bool:
        """Whether a function of each value may as well be taken before the layer as after it."""
        return False

    def function(self, layer: Layer) -> Function | None:
        """The function of each value, for layers that are one."""
        return None

    def labels(self, layer: Layer, op: Linear, incoming: Sequence[Labels], channels: int, ndim: int) -> Labels:
        """Which channels of the output are alike: layers that mix channels leave one group."""
        if not self.moves and not any([below.strides[0] for below in incoming]):  # one number for all of each
            return groups.whole(channels)
        if op.ties_channels:
            return groups.whole(channels)
        if op.fresh:
            return groups.of_parts(incoming[0], op.groups, channels)
        if len(incoming) == 1 and not self.moves and len(incoming[0]) == channels:
            return incoming[0]
        counts = [len(below) for below in incoming]
        columns = [below[row] for slot, below in enumerate(incoming)
                   for row in self.reads(layer, slot, counts, channels, ndim)]
        return groups.whole(channels) if not any(map(np.any, columns)) else groups.distinct(np.stack(columns))

    def reads(self, layer: Layer, slot: int, incoming: Sequence[int], channels: int, ndim: int) -> Labels:
        """Channels of input number `slot` that each channel is made of, shape (any, channels); -1 is none.

        `incoming` are the channels of all inputs.  Not asked of layers of random or given weights.
        """
        one = incoming[slot] == 1  # serves all channels
        return np.zeros((1, channels), np.intp) if one else np.arange(channels)[None]

    def keeps_factor(self, op: Linear, mean: bool) -> bool:
        """Whether a gradient that is linear in the numbers of the unit stays so below; or, with `mean`, its mean."""
        return not (op.fresh or op.gate)

    def lags_below(self, op: Linear, lags: tuple[int, ...]) -> tuple[int, ...]:
        """Lags at the input that come from the box of half-widths `lags` at the output."""
        return reach(op, lags, back=True)

    def walk_gain(self, op: Linear, mean: bool) -> float | None:
        """What a layer multiplies power (or the mean) by as a step of a walk, None where it is no step of one.

        A filter that spreads gradients correlates them: for the power its squared taps are not enough.
        """
        total = op.gain * math.prod(float(taps.weights.sum()) for taps in op.taps)
        if mean:
            return None if op.zero_mean or op.gate or op.matrix is not None else total
        if op.variances:
            return total
        return None if op.ties_channels or any(not taps.trivial for taps in op.taps) else total**2

    def assumptions(self, op: Linear) -> tuple[Assumption, ...]:
        """The assumptions where a network has gates."""
        return (Assumption.NEIGHBOURS,) if op.taps and not (op.variances or op.ties_channels) else ()

    # -- forward ------------------------------------------------------------------------------

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        """Moments at the output; a gate also leaves ``at.gates.power[at.i]``."""
        graph, i, m = at.graph, at.i, inputs[0]
        after = through_taps(at.op, m, graph.sizes[at.source], graph.sizes[i], at.extents[i], at.want, at.met)
        if i not in graph.biases:
            return after
        bias = graph.biases[i]
        sites = tuple(None if site is None else Sum.of((after.value(g),), bias, bias).value()
                      for g, site in enumerate(after.sites))
        at.gates.parts.update({(i, g): {0: 0} for g, site in enumerate(sites) if site is not None})
        biased = replace(after, values=after.values + bias, cov_far=after.cov_far + bias, sites=sites, common=None,
                         corr_site=ratio(after.cov_site + bias, after.average + bias))
        if after.common is None:
            return biased
        return biased.with_common(lambda: biased.falling(after.common_map * after.per_site(after.cov_far) + bias))

    def spreads(self, layer: Layer) -> bool:
        """Whether the gradient of one site reaches all of the map."""
        return False

    def spared(self, graph: Graph, i: int, taken: float) -> float:
        """A factor on the power that passes node `i`, where the part `taken` of what it takes has been taken before."""
        return 1.0

    def evenly(self, at: Before, left: float) -> float:
        """Of a gradient that is the same at all sites, its power further down over that of independent sites.

        `left` is the same for its inputs.
        """
        sizes = at.graph.sizes[at.source]
        if not at.op.taps or at.op.variances:
            return left
        # Of filters in a row extents add by their variances; copies of sites multiply.
        copies, power = max(at.sites_per_input, 1.0), 2 / len(sizes)
        wide = max(gathered(at.op, sizes, at.graph.sizes[at.i]) / copies, 1.0)
        together = (max(left, 1.0)**power + wide**power - 1)**(1 / power)
        return copies * min(left, 1.0) * min(together, math.prod(n or 1 for n in sizes))

    def even(self, at: Before, inputs: Sequence[Moments]) -> list[Even]:
        """What norms further down leave of a gradient that is the same at all sites, per channel group."""
        if at.op.fresh:
            known = at.gates.even.get(at.source, [Even()] * len(inputs[0].sites))
            lefts = np.dot(at.graph.mixture(at.i), [one.left for one in known]).tolist()
        else:
            below = at.below(at.gates.even, Even())
            if not (at.op.taps or at.op.gate) and all(len(each) == 1 for each in below):
                return [one for one, in below]  # a number times values is still a function of the same norm
            lefts = [sum(one.left for one in each) / len(each) for each in below]
        found = {left: self.evenly(at, left) for left in set(lefts)}
        return [Even(found[left]) for left in lefts]

    def along(self, at: Before, inputs: Sequence[Moments]) -> list[Along]:
        """What becomes of a gradient in proportion to the values, from the same of the inputs, per channel group."""
        kept = min(at.sites_per_input, 1.0)
        return [through_sites(mean(each, [1 / len(each)] * len(each)), kept)
                for each in at.below(at.gates.along, PIXELS)]

    def shared(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Known:
        """What two inputs have in common at any two sites of a small map (`sweep.patterns`), per channel group."""
        known, op = at.shared(), at.op
        nothing: Known = (None,) * len(known)
        if op.gate or op.fresh or op.routes or self.moves and op.taps or all([one is None for one in known]):
            return nothing
        if op.taps:
            lines = axis_weights(op, at.extents[at.source], at.extents[at.i])
            if lines is None:
                return nothing
            before, known = known, tuple([None if one is None else patterns.through_filter(lines, one)
                                          for one in known])
            if any(inputs[0].lags):  # sites of other phases, which none stands for, share less
                known = tuple([None if one is None or patterns.beyond(after, one, g) else one
                               for g, one in enumerate(known)])
            if op.gain == 1 and not any(after.lags) and any(np.count_nonzero(line, axis=1).max() > 1 for line in lines):
                patterns.refill(inputs[0], after, before, known)
        return known if op.gain == 1 else tuple([None if one is None else one * op.gain**2 for one in known])

    def images(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Images | None:
        """What two samples of correlated pixels have in common (`rules.images`), None if not known."""
        known = at.gates.images.get(at.source)
        if known is None or at.op.gate or self.moves or at.op.fresh:
            return None
        return through_filter(at.op, known) if at.op.taps else known.times(at.op.gain**2)

    def passage(self, layer: Layer, op: Linear, ndim: int) -> Passage | None:
        """How what neighbours share near borders passes, None where it is not followed (equation 62)."""
        return None if op.taps or op.gate else Passage(lambda axis, line, m, level, n_out: line)

    # -- backward -----------------------------------------------------------------------------

    def backward(self, at: Below, state: Covariance) -> Covariance:
        """The covariance of the gradient at the input."""
        if not at.op.gate:
            return state.through_fixed(at.op, at.sizes, at.lags)
        if state.mixing and at.j in at.plan.ones:
            raise NotImplementedError(f"a gate between deterministic layers that mix channels: {SAMPLE}")
        return state.gated(at.gates.power[at.i])

    def number(self, at: Below) -> float | None:
        """What the power of all gradients is multiplied by, where channels are independent; None for more than that."""
        if type(self).backward is not Rule.backward or not at.op.gate or at.gates.power[at.i].size > 1:
            return None
        return at.gates.power[at.i].item()

    def factor(self, at: Below, factor: Factor) -> Factor:
        """The same for a gradient as it is, where `keeps_factor`."""
        return factor.through(at.op, at.sizes)

    def mean_factor(self, at: Below, factor: Factor) -> Factor:
        """The mean of the gradient at the input, for a gate that does not depend on the gradient."""
        return factor.gated(np.sqrt(at.gates.power[at.i]))

    def mean_gain(self, at: Below) -> float:
        """The mean of what multiplies a gradient at an input, for products and what moves channels; 0 if not known."""
        return float(self.moves)

    # -- transposed ---------------------------------------------------------------------------

    def transpose(self, at: Above) -> Array:
        """Values at the output, shape (fields, groups, *lags, *map): `backward` read the other way."""
        if not at.op.gate:
            return at.linear(at.op, at.input, at.lags)
        values, gate = at.with_lags(at.input), at.gates.power[at.i]
        ndim = at.graph.ndim
        index = [slice(None)] + [slice(None) if n == 1 else slice(n // 2 - h, n // 2 + h + 1)
                                 for h, n in zip(at.lags, gate.shape[1:])]
        gate = gate[tuple(index)]
        for axis, n in enumerate(values.shape[2 + ndim:], 1 + ndim):  # one of the plane is given for whole periods
            if gate.shape[axis] not in (1, n):
                gate = gate.take(range(n), axis=axis, mode="wrap")
        return np.asarray(values * gate)
