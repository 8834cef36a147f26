"""What the backward sweep carries: gradients as they are, or their covariance.

`Factor` is the gradient itself, linear in the few random numbers of one source; it lasts as long as
only deterministic layers have been passed.  `Covariance` is M(x, tau) = E[g(x) g(x + tau)], summed
over the channels of a group, for the lags tau that are needed below.  Random layers keep every lag
and mix sites; fixed layers mix lags; see docs/theory.md, equations 18 to 26.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...base.errors import check_bytes
from ...lattice.field import add_on_hull
from ...layers.geometry import AxisGeometry
from .groups import collected
from .lowering import SAMPLE, Linear
from .taps import REMEDY, Array, Taps, adjoint, border_gain

__all__ = ["ALIKE", "Covariance", "EXCHANGEABLE", "Factor", "MIXED", "border_pairs", "correlate",
           "cut_pairs", "fixed_pairs", "routed_pairs", "select_lags"]


def _cut(values: Array, start: tuple[int, ...], sizes: tuple[int | None, ...],
         axes: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Drop what lies outside the map along `axes`: a path that leaves any layer's map is gone."""
    ndim, begin = len(start), list(start)
    index: list[Any] = [slice(None)] * values.ndim
    for axis in axes:
        s, n, count = start[axis], sizes[axis], values.shape[axis - ndim]
        if n is not None:
            begin[axis] = max(s, 0)
            index[axis - ndim] = slice(begin[axis] - s, max(min(s + count, n), begin[axis]) - s)
    return values[tuple(index)], tuple(begin)


@dataclass(frozen=True)
class Factor:
    """Gradients per independent random number of the source: values (numbers, channels, *lattice).

    One channel stands for all where the layers passed treat all channels alike.
    """

    values: Array
    start: tuple[int, ...]

    def __add__(self, other: Factor) -> Factor:
        return Factor(*add_on_hull(self.values, self.start, other.values, other.start))

    def times(self, factor: float) -> Factor:
        """The gradient multiplied by a number."""
        return self if factor == 1 else replace(self, values=self.values * factor)

    def through(self, op: Linear, sizes: tuple[int | None, ...]) -> Factor:
        """Below a layer that acts on each channel by itself."""
        values, start = self.values * op.gain if op.gain != 1 else self.values, self.start
        for taps in op.taps:
            w = taps.weights
            if taps.rows is not None:
                axis, = taps.axes
                values, first = taps.rows.adjoint(values, axis - len(start), start[axis])
                start = (*start[:axis], first, *start[axis + 1:])
                continue
            if op.inside_only:
                values = _border(values, start, taps, sizes)
            values, start = adjoint(values, start, taps, sizes, lambda tap, part: w[tap] * part, taps.flat)
            values, start = _cut(values, start, sizes, taps.axes)
        return Factor(values, start)

    def gathered(self) -> Factor:
        """The sum over all sites, for one that serves all of them."""
        whole = self.values.sum(axis=tuple(range(2, self.values.ndim)), keepdims=True)
        return Factor(whole, (0,) * len(self.start))

    def gated(self, gate: Array) -> Factor:
        """Times a factor per site, given as of `Covariance.gated` for a single channel group."""
        middle = tuple(n // 2 for n in gate.shape[1:1 + len(self.start)])
        factors = gate[(slice(None), *middle)].mean(axis=0, keepdims=True)
        for axis, (first, count) in enumerate(zip(self.start, self.values.shape[2:]), 1):
            if factors.shape[axis] > 1:
                factors = factors.take(range(first, first + count), axis=axis, mode="wrap")
        return replace(self, values=self.values * factors)

    def through_constant(self, op: Linear, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Factor:
        """Below a convolution whose weights are all equal, with explicit channels."""
        shape = self.values.shape
        summed = self.values.reshape(shape[0], op.groups, c_out // op.groups, *shape[2:]).sum(axis=2)
        below = Factor(summed, self.start).through(op, sizes)
        return replace(below, values=np.repeat(below.values, c_in // op.groups, axis=1)).times(op.groups / c_in)

    def through_full(self, op: Linear, sizes: tuple[int | None, ...]) -> Factor:
        """Below a convolution with given weights that mix channels, with explicit channels."""
        assert op.matrix is not None
        taps, = op.taps
        matrix = op.matrix.reshape(op.groups, -1, *op.matrix.shape[1:])

        def weigh(tap: tuple[int, ...], part: Array) -> Array:
            grouped = part.reshape(part.shape[0], *matrix.shape[:2], *part.shape[2:])
            mixed = np.einsum("goi,bgo...->bgi...", matrix[(slice(None),) * 3 + tap], grouped)
            return mixed.reshape(part.shape[0], op.groups * matrix.shape[2], *part.shape[2:])

        return Factor(*_cut(*adjoint(self.values, self.start, taps, sizes, weigh), sizes, taps.axes))

    def covariance(self, lags: tuple[int, ...], groups: Sequence[int], channels: str) -> Covariance:
        """Sum over numbers and channels of g(x) g(x + tau), per channel group.

        `channels` says how the values carry their channels, as in `Plan`.
        """
        count = sum(groups)
        if channels == "explicit":
            values = np.concatenate([correlate(part, part, lags) for part in
                                     np.split(self.values, np.cumsum(groups)[:-1], axis=1)])
            ones = self.values.sum(axis=1, keepdims=True)
            return Covariance(values, self.start, correlate(ones, ones, lags) / count, MIXED)
        power = correlate(self.values, self.values, lags) * _column(np.asarray(groups) / count, self.values.ndim - 2)
        if channels == "one":
            return Covariance(power, self.start)
        return Covariance(power, self.start, correlate(self.values[:1], self.values[:1], lags), EXCHANGEABLE)


def correlate(f: Array, g: Array, lags: tuple[int, ...]) -> Array:
    """sum over the two leading axes of f(x) g(x + tau), shape (1, *lags, *lattice)."""
    lattice = f.shape[2:]
    padded = np.pad(g, [(0, 0), (0, 0), *((h, h) for h in lags)]) if any(lags) else g
    shape = (1, *(2 * h + 1 for h in lags), *lattice)
    check_bytes(8 * math.prod(shape), f"a covariance of shape {shape}", REMEDY)
    total = np.empty(shape)
    for tau in np.ndindex(*shape[1:len(lattice) + 1]):
        window: tuple[Any, ...] = tuple(slice(t, t + n) for t, n in zip(tau, lattice))
        total[(0, *tau)] = np.einsum("bc...,bc...->...", f, padded[(..., *window)])
    return total


def _column(numbers: Array, ndim: int) -> Array:
    """`numbers` along the group axis of a covariance over `ndim` dimensions."""
    return numbers.reshape(-1, *(1,) * (2 * ndim))


#: How the channels of a covariance relate: independent and alike, exchangeable, or neither.
ALIKE, EXCHANGEABLE, MIXED = 0, 1, 2


@dataclass(frozen=True)
class Covariance:
    """M(x, tau) per channel group: values (groups, *lags, *lattice), lags from -h to h per axis.

    `values` is `bare` times `factor`: a number that multiplies everything waits for an array that is made anyway.
    `uniform` is the part along the direction in which all channels are equal, which a `Constant`
    convolution reads.  Where channels are independent and alike it is M / channels and not stored.
    `multiples`, where known, are what the groups are of the first: pairs through filters are then found once for all.
    """

    bare: Array
    start: tuple[int, ...]
    uniform: Array | None = None
    mixing: int = ALIKE
    factor: float = 1.0
    multiples: Array | None = None

    @functools.cached_property
    def values(self) -> Array:
        """M(x, tau)."""
        return self.bare if self.factor == 1 else self.bare * self.factor

    @functools.cached_property
    def peak(self) -> float:
        """The largest of `bare` at lag 0; with others or at lags covariances are below it."""
        return float((self.bare[(slice(None), *self.lags)] if any(self.lags) else self.bare).max(initial=0))

    def _scaled(self, factor: float) -> Covariance:
        """The same array times one more number, without the uniform part; what is known of the array stays so."""
        out = object.__new__(Covariance)
        vars(out).update(vars(self), uniform=None, factor=self.factor * factor)
        vars(out).pop("values", None)
        return out

    def holding(self, values: Array, **others: Any) -> Covariance:
        """The same with other values."""
        return replace(self, bare=values, factor=1.0, multiples=None, **others)

    def _first(self) -> Covariance:
        return Covariance(self.bare[:1], self.start, None, self.mixing, self.factor)

    def _multiplied(self, multiples: Array) -> Covariance:
        return replace(self, bare=self.bare * _column(multiples, self.ndim), multiples=multiples)

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions."""
        return len(self.start)

    @functools.cached_property
    def lags(self) -> tuple[int, ...]:
        """Half-widths of the box of lags."""
        return tuple(n // 2 for n in self.bare.shape[1:1 + self.ndim])

    @property
    def power(self) -> Array:
        """E[g(x)^2] summed over channels, shape (*lattice)."""
        center: tuple[Any, ...] = (slice(None), *self.lags)
        alone = self.values[center]
        return np.asarray(alone[0] if len(alone) == 1 else alone.sum(axis=0))

    def merge(self, other: Covariance, channels: int, ones: bool) -> Covariance:
        """Sum of two uncorrelated gradients; `ones` says whether the uniform part is needed."""
        values, start = add_on_hull(self.values, self.start, other.values, other.start)
        mixing, uniform = max(self.mixing, other.mixing), None
        if mixing and ones:
            uniform, _ = add_on_hull(self.along_ones(channels), self.start,
                                     other.along_ones(channels), other.start)
        alike = (self.multiples is not None and other.multiples is not None
                 and np.array_equal(self.multiples, other.multiples))
        return Covariance(values, start, uniform, mixing, multiples=self.multiples if alike else None)

    @staticmethod
    def sum_of(parts: Sequence[Covariance], channels: int, ones: bool, factors: Sequence[float] | None = None
               ) -> Covariance:
        """Sum of any number of uncorrelated gradients, perhaps each times a number."""
        if factors is not None:
            parts = [part._scaled(factor) for part, factor in zip(parts, factors)]
        total, *rest = parts
        if len(rest) < 2 or any(part.mixing or part.multiples is not None for part in parts):
            return functools.reduce(lambda one, other: one.merge(other, channels, ones), rest, total)
        ndim = total.ndim
        start = tuple(map(min, zip(*(part.start for part in parts))))
        stop = [max(part.start[axis] + part.bare.shape[axis - ndim] for part in parts) for axis in range(ndim)]
        whole = np.zeros((*total.bare.shape[:-ndim], *(b - a for a, b in zip(start, stop))))
        for part in parts:
            into: Any = (..., *(slice(f - s, f - s + n) for f, s, n in
                                zip(part.start, start, part.bare.shape[-ndim:])))
            whole[into] += part.bare if part.factor == 1 else part.bare * part.factor
        return Covariance(whole, start)

    def along_ones(self, channels: int) -> Array:
        """The uniform part, whether it is carried or follows from independence."""
        if self.mixing == ALIKE:
            return self.values.sum(axis=0, keepdims=True) / channels
        assert self.uniform is not None
        return self.uniform

    def times(self, factor: float) -> Covariance:
        """The gradient multiplied by a number (its covariance by the square)."""
        if factor == 1:
            return self
        if self.uniform is None:
            return self._scaled(factor**2)
        uniform = self.uniform * factor**2
        return Covariance(self.bare, self.start, uniform, self.mixing, self.factor * factor**2, self.multiples)

    def with_lags(self, lags: tuple[int, ...]) -> Covariance:
        """Cut, or filled with zeros, to the box of lags of half-widths `lags`."""
        if lags == self.lags:
            return self
        uniform = None if self.uniform is None else _refit(self.uniform, self.lags, lags)
        return replace(self, bare=_refit(self.bare, self.lags, lags), uniform=uniform)

    def into_groups(self, owner: Array, count: int) -> Covariance:
        """Channel groups summed into the `count` groups that `owner` says; -1 is left out."""
        bare = collected(self.bare, owner, count)
        if bare is self.bare:
            return self
        multiples = None if self.multiples is None else collected(self.multiples, owner, count)
        if multiples is not None:
            multiples = multiples / multiples[0] if multiples.all() else None
        return replace(self, bare=bare, multiples=multiples)

    def gathered(self) -> Covariance:
        """The sum over all pairs of sites, for one site that serves all of them."""
        axes = tuple(range(1, self.bare.ndim))
        uniform = None if self.uniform is None else self.uniform.sum(axis=axes, keepdims=True)
        return replace(self, bare=self.bare.sum(axis=axes, keepdims=True), start=(0,) * self.ndim, uniform=uniform)

    def gated(self, gate: Array) -> Covariance:
        """Below a gate, given as factors on M(x, tau) over (groups, lags, map), extents 1 for all alike."""
        if gate.size == 1:
            return self._scaled(gate.item())
        if gate.size == len(gate):  # one number per group
            after = self.holding(self.bare * (gate * self.factor), uniform=None)
            if self.multiples is None or not gate.all():
                return after
            return replace(after, multiples=self.multiples * gate.reshape(-1) / gate.item(0))
        index: list[slice] = [slice(None)]
        for have, n in zip(self.lags, gate.shape[1:1 + self.ndim]):
            index.append(slice(None) if n == 1 else slice(n // 2 - have, n // 2 + have + 1))
        gate = gate[tuple(index)]
        for axis, (first, count) in enumerate(zip(self.start, self.bare.shape[1 + self.ndim:]), 1 + self.ndim):
            if gate.shape[axis] > 1:  # on the plane a gate is given for whole periods
                gate = gate.take(range(first, first + count), axis=axis, mode="wrap")
        return self.holding(self.bare * (gate * self.factor), uniform=None)

    def conditioned(self, power: Array, pairs: Array) -> Covariance:
        """Lag 0 times `power` and all other lags times `pairs`, numbers per channel group."""
        if len(power) == 1 and (not any(self.lags) or power[0] == pairs[0]):
            return self if power[0] == 1 == pairs[0] else self._scaled(float(power[0]))
        if (power == 1).all() and (pairs == 1).all():
            return self
        shape = *self.bare.shape[:1 + self.ndim], *(1,) * self.ndim
        factors = np.broadcast_to(_column(pairs, self.ndim), shape).copy()
        center: tuple[Any, ...] = (slice(None), *self.lags)
        factors[center] = power.reshape(-1, *(1,) * self.ndim)
        return self.holding(self.bare * (factors * self.factor), uniform=None)

    def masked(self, drop: float, channels: int) -> Covariance:
        """Below inverted dropout: noise that is independent at each site and channel, at lag 0."""
        center: tuple[Any, ...] = (slice(None), *self.lags)
        noise = drop / (1 - drop) * self.values[center]
        values = self.values.copy()
        values[center] += noise
        uniform = None
        if self.uniform is not None:
            uniform = self.uniform.copy()
            uniform[center] += noise.sum(axis=0) / channels
        return self.holding(values, uniform=uniform)

    # -- layers -------------------------------------------------------------------------------

    def through_random(self, op: Linear, sizes: tuple[int | None, ...], lags: tuple[int, ...],
                       shares: Array, channels: int) -> Covariance:
        """Below zero-mean random weights: each lag by itself, sites mixed by the taps' variances.

        The channels below are independent; of groups above that differ they remember the power.  `shares[g, h]` is
        what part of what group g reads is of group h.
        """
        values, start = self.bare, self.start
        if any(lags) or any(self.lags):
            for axis, g in enumerate(g for taps in op.taps for g in taps.geometry):
                values = select_lags(values, 1 + axis, g, self.lags[axis], lags[axis])
        spread = [taps for taps in op.taps if not taps.trivial]
        factor = self.factor * op.gain * math.prod(t.weights.item(0) for t in op.taps if t.flat or t.trivial)
        if spread:  # above a layer that strides there are fewer sites to multiply
            values, factor = values * factor, 1.0
        for taps in spread:
            w, flat = taps.weights, taps.flat
            values, start = adjoint(values, start, taps, sizes, lambda tap, part: part if flat else w[tap] * part, flat)
            values, start = cut_pairs(values, start, sizes, taps.axes)
        if shares.size > 1:
            below = np.tensordot(shares, values, (0, 0)) if len(shares) > 1 else values * _column(shares[0], self.ndim)
            values, factor = below * factor, 1.0
        alike = shares[0] / shares[0, 0] if len(shares) == 1 < shares.size and shares.all() else None
        if op.groups > 1 and self.mixing == MIXED:
            return Covariance(values, start, values.sum(axis=0, keepdims=True) * (factor / channels), MIXED, factor)
        return Covariance(values, start, None, ALIKE, factor, alike)

    def through_fixed(self, op: Linear, sizes: tuple[int | None, ...], lags: tuple[int, ...]) -> Covariance:
        """Below the same filter on each channel: w_a w_b over all pairs of taps."""
        if self.multiples is not None and self.uniform is None:
            return self._first().through_fixed(op, sizes, lags)._multiplied(self.multiples)
        values, start = fixed_pairs(self.values, self.start, op, sizes, lags)
        uniform = self.uniform
        if uniform is not None:
            uniform, _ = fixed_pairs(uniform, self.start, op, sizes, lags)
        return self.holding(values, start=start, uniform=uniform)

    def through_constant(self, op: Linear, sizes: tuple[int | None, ...], lags: tuple[int, ...],
                         c_in: int, c_out: int, shares: Sequence[float]) -> Covariance:
        """Below equal weights: the sum over the output channels goes to all input channels alike."""
        if op.groups > 1 and self.mixing:
            raise NotImplementedError("grouped constant weights after other deterministic layers that mix "
                                      f"channels: {SAMPLE}")
        below = Covariance(self.along_ones(c_out), self.start).through_fixed(op, sizes, lags)
        uniform = below.values * (c_out / c_in)  # the part along the ones of all channels
        power = uniform * op.groups              # and along those of each group
        return Covariance(power * _column(np.asarray(shares), self.ndim), below.start, uniform, EXCHANGEABLE)

    def through_full(self, op: Linear, sizes: tuple[int | None, ...], lags: tuple[int, ...]) -> Covariance:
        """Below given weights that mix channels; the channels above must be independent and alike."""
        assert op.matrix is not None
        if self.mixing:
            raise NotImplementedError("two layers of given weights that mix channels, with no random layer of "
                                      f"one group between (merge them into one kernel): {SAMPLE}")
        c_out, per_group = op.matrix.shape[:2]
        flat = op.matrix.reshape(c_out, per_group, -1)
        summed = flat.sum(axis=1)
        above = self.values.sum(axis=0, keepdims=True)
        values, start = fixed_pairs(above, self.start, op, sizes, lags, np.einsum("oia,oib->ab", flat, flat) / c_out)
        uniform, _ = fixed_pairs(above, self.start, op, sizes, lags,
                                 summed.T @ summed / (c_out * per_group * op.groups))
        return Covariance(values, start, uniform, MIXED)

    def through_route(self, op: Linear, sizes: tuple[int | None, ...], lags: tuple[int, ...],
                      channels: int, bias: Array | None = None) -> Covariance:
        """Below max pooling: each window hands its gradient to one of its sites.

        The gradient of one window and channel ends in one place: lag 0 goes to lag 0, by the probability to
        win.  Windows that overlap have winners in common; channels are routed independently.  `bias`, per
        group, is how much wider than others the gate below stands open for winners.
        """
        if bias is not None and bias.ndim > 1:
            gate = bias[(slice(None), *(None,) * self.ndim)]
            return self.gated(gate).through_route(op, sizes, lags, channels)
        if self.multiples is not None and self.uniform is None:
            below = self._first().through_route(op, sizes, lags, channels)._multiplied(self.multiples)
            return below if bias is None else below.gated(_column(bias, self.ndim))
        alone = self.with_lags((0,) * self.ndim)
        spread = _routed(alone.values, alone.start, op, sizes)
        below = self.holding(spread[0], start=spread[1], uniform=None).with_lags(lags)
        if any(self.lags) or self.uniform is not None:
            center: tuple[Any, ...] = (slice(None), *self.lags)
            rest = self.values.copy()
            rest[center] = 0
            pairs, _ = routed_pairs(rest, self.start, op, sizes, lags)
            below = below.holding(below.values + pairs)
            if self.uniform is not None:
                both, _ = fixed_pairs(self.uniform, self.start, op, sizes, lags)
                one, _ = fixed_pairs(_refit(alone.values, alone.lags, self.lags), self.start, op, sizes, lags)
                below = replace(below, uniform=both + (_refit(spread[0], alone.lags, lags) - one
                                                       ).sum(axis=0, keepdims=True) / channels)
        return below if bias is None else below.gated(_column(bias, self.ndim))


# ---------------------------------------------------------------------------------------------
# lags
# ---------------------------------------------------------------------------------------------

def _refit(values: Array, have: tuple[int, ...], want: tuple[int, ...]) -> Array:
    shape = (len(values), *(2 * w + 1 for w in want), *values.shape[1 + len(want):])
    check_bytes(8 * math.prod(shape), f"a covariance of shape {shape}", REMEDY)
    index = [slice(None)] + [slice(max(h - w, 0), h + min(h, w) + 1) for h, w in zip(have, want)]
    width = [(0, 0)] + [(max(w - h, 0),) * 2 for h, w in zip(have, want)]
    width += [(0, 0)] * (values.ndim - len(width))
    return np.pad(values[tuple(index)], width)


def select_lags(values: Array, axis: int, g: AxisGeometry, have: int, want: int) -> Array:
    """Lags below a random layer: lag tau' comes from lag tau with tau' = s tau (transposed: tau = s tau')."""
    if g.stride == 1 and have == want:
        return values
    lead = (slice(None),) * axis
    shape = list(values.shape)
    shape[axis] = 2 * want + 1
    chosen = np.zeros(shape)
    if g.transposed:
        reach = min(want, have // g.stride)
        chosen[lead + (slice(want - reach, want + reach + 1),)] = values[
            lead + (slice(have - reach * g.stride, have + reach * g.stride + 1, g.stride),)]
    else:
        reach = min(have, want // g.stride)
        chosen[lead + (slice(want - reach * g.stride, want + reach * g.stride + 1, g.stride),)] = values[
            lead + (slice(have - reach, have + reach + 1),)]
    return chosen


def cut_pairs(values: Array, start: tuple[int, ...], sizes: tuple[int | None, ...],
              axes: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Drop sites outside the map, and, in place, pairs whose partner is outside."""
    ndim = len(start)
    values, start = _cut(values, start, sizes, axes)
    for axis in axes:
        n, reach, count = sizes[axis], values.shape[1 + axis] // 2, values.shape[1 + ndim + axis]
        if n is None or reach == 0:
            continue
        index: list[Any] = [slice(None)] * values.ndim
        for tau in range(-reach, reach + 1):
            index[1 + axis] = tau + reach
            low, high = -start[axis] - tau, n - start[axis] - tau  # sites with a partner
            for none in (slice(0, min(max(low, 0), count)), slice(min(max(high, 0), count), count)):
                if none.start < none.stop:
                    index[1 + ndim + axis] = none
                    values[tuple(index)] = 0.0
    return values, start


def _border(values: Array, start: tuple[int, ...], taps: Taps, sizes: tuple[int | None, ...]) -> Array:
    """What lies at windows that overlap the border, multiplied as `border_gain` says."""
    axis, = taps.axes
    count = values.shape[axis - len(start)]
    gain = border_gain(taps, start[axis], count, sizes[axis])
    return values if gain is None else _along(values, gain, axis - len(start))


def border_pairs(values: Array, start: tuple[int, ...], taps: Taps, sizes: tuple[int | None, ...]) -> Array:
    """The same for both sites of each pair."""
    axis, = taps.axes
    reach, count = values.shape[1 + axis] // 2, values.shape[axis - len(start)]
    gain = border_gain(taps, start[axis] - reach, count + 2 * reach, sizes[axis])
    if gain is None:
        return values
    pair = np.stack([gain[reach:reach + count] * gain[lag:lag + count] for lag in range(2 * reach + 1)])
    return _along(values, pair, 1 + axis, axis - len(start))


def _along(values: Array, factors: Array, *axes: int) -> Array:
    """`values` times `factors`, whose axes are those named."""
    if (factors == 1).all():
        return values
    shape = [1] * values.ndim
    for axis, n in zip(axes, factors.shape):
        shape[axis] = n
    return values * factors.reshape(shape)


def fixed_pairs(values: Array, start: tuple[int, ...], op: Linear, sizes: tuple[int | None, ...],
                lags: tuple[int, ...], weights: Array | None = None) -> tuple[Array, tuple[int, ...]]:
    """A fixed layer on both sites of each pair.

    `weights[a, b]` multiplies what taps a and b hand on; by default it is w_a w_b.
    """
    values = values * op.gain**2 if op.gain != 1 else values
    for taps in op.taps:
        if taps.rows is not None:
            axis, = taps.axes
            values, first = taps.rows.pairs(values, 1 + axis, axis - len(start), start[axis], lags[axis])
            start = (*start[:axis], first, *start[axis + 1:])
            continue
        if op.inside_only:
            values = border_pairs(values, start, taps, sizes)
        flat = taps.weights.reshape(-1)
        check_bytes(8 * flat.size**2, f"the pairs of {flat.size} taps of a filter", "take a smaller filter")
        product = np.outer(flat, flat) if weights is None else weights
        have = tuple(values.shape[1 + axis] // 2 for axis in taps.axes)
        want = tuple(lags[axis] for axis in taps.axes)
        if weights is None and any(have + want) and len(taps.axes) == 1 and not taps.geometry[0].transposed:
            values, start = _one_end_then_other(values, start, taps, sizes, want[0])
            values, start = cut_pairs(values, start, sizes, taps.axes)
            continue
        mix = _LagMix(taps, have, want, product)
        alike = taps.flat and weights is None and not any(have + want)
        values, start = adjoint(values, start, taps, sizes, mix, alike)
        values, start = cut_pairs(values, start, sizes, taps.axes)
    return values, start


def _one_end_then_other(values: Array, start: tuple[int, ...], taps: Taps, sizes: tuple[int | None, ...], want: int
                        ) -> tuple[Array, tuple[int, ...]]:
    """A filter along one axis on the second site of each pair, which moves lags, then on the first, as sums of taps."""
    (axis,), (g,), ndim = taps.axes, taps.geometry, len(start)
    lag, site = 1 + axis, 1 + ndim + axis
    have, count = values.shape[lag] // 2, values.shape[site]
    ends = g.extent - 1
    least = max(-want, -g.stride * have)  # lags between the two steps, of which the second needs so many
    most = min(want + ends, g.stride * have + ends)
    shape = list(values.shape)
    shape[lag] = max(most - least + 1, 0)
    middle = np.zeros(shape)
    for tap, w in enumerate(taps.weights):
        first = -(-(least - g.dilation * tap + g.stride * have) // g.stride)
        first, stop = max(first, 0), min((most - g.dilation * tap + g.stride * have) // g.stride + 1, 2 * have + 1)
        if first < stop:
            to = g.stride * (first - have) + g.dilation * tap - least
            into = slice(to, to + g.stride * (stop - first - 1) + 1, g.stride)
            middle[(slice(None),) * lag + (into,)] += w * values[(slice(None),) * lag + (slice(first, stop),)]
    shape[lag], shape[site] = 2 * want + 1, g.stride * (count - 1) + g.extent
    out = np.zeros(shape)
    for tap, w in enumerate(taps.weights):
        low, high = max(-want, least - g.dilation * tap), min(want, most - g.dilation * tap)
        if low <= high:
            index = [slice(None)] * out.ndim
            index[lag] = slice(low + want, high + want + 1)
            index[site] = slice(g.dilation * tap, g.dilation * tap + g.stride * (count - 1) + 1, g.stride)
            read = slice(low + g.dilation * tap - least, high + g.dilation * tap - least + 1)
            out[tuple(index)] += w * middle[(slice(None),) * lag + (read,)]
    begin = list(start)
    begin[axis] = g.stride * start[axis] - g.pads(sizes[axis])[0]
    return out, tuple(begin)


def _routed(values: Array, start: tuple[int, ...], op: Linear, sizes: tuple[int | None, ...]
            ) -> tuple[Array, tuple[int, ...]]:
    """Power spread evenly over the sites of each window that lie inside."""
    for taps in op.taps:
        w = taps.weights
        values = _border(values, start, taps, sizes)
        values, start = adjoint(values, start, taps, sizes, lambda tap, part: w[tap] * part, taps.flat)
        values, start = _cut(values, start, sizes, taps.axes)
    return values, start


def routed_pairs(values: Array, start: tuple[int, ...], op: Linear, sizes: tuple[int | None, ...],
                 lags: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """A max pool on the gradients of pairs of windows: where they overlap they have winners in common.

    With U sites in the union of two windows of |A| and |B| sites, the winners are z and w with probability
    [z = w in both]/U + [z in A only, w in B]/(U |B|) + [w in B only, z in A]/(U |A|).  Works in both directions.
    """
    geometry, ndim = tuple(taps.geometry[0] for taps in op.taps), len(start)
    upward = geometry[0].transposed
    have = tuple(n // 2 for n in values.shape[1:1 + ndim])
    # Windows further apart than this have no site in common: both winners are anywhere.
    near = tuple(min(h, (g.extent - 1) // g.stride) for h, g in zip(have, geometry))
    if not upward and near != have:
        inner = (slice(None), *(slice(h - m, h + m + 1) for h, m in zip(have, near)))
        rest = values.copy()
        rest[inner] = 0.0
        even = op._replace(taps=tuple(taps._replace(weights=np.full(taps.weights.shape, 1 / taps.weights.size))
                                      for taps in op.taps), routes=False, inside_only=True, gain=1.0)
        apart, first = fixed_pairs(rest, start, even, sizes, lags)
        return add_on_hull(apart, first, *routed_pairs(values[inner], start, op, sizes, lags))
    above = lags if upward else tuple(n // 2 for n in values.shape[1:1 + ndim])
    below = [None if end is None else n for end, n in zip(sizes, values.shape[1 + ndim:])] if upward else sizes
    joint = op._replace(taps=(Taps(tuple(range(ndim)), geometry, np.ones([g.kernel for g in geometry])),),
                        inside_only=False, gain=1.0)
    total: Any = 0.0
    close = lags if upward else tuple(min(lag, g.stride * h + g.extent - 1) for lag, g, h in zip(lags, geometry, above))
    for which, weights in enumerate(_winners(geometry, above)):
        def odds(array: Array, first: tuple[int, ...]) -> Array:
            one, other, both = (np.asarray(math.prod(counts)) for counts in zip(*(
                _window_counts(g, first[axis], array.shape[1 + ndim + axis], below[axis], above[axis], axis, ndim)
                for axis, g in enumerate(geometry))))
            rest = (1.0, other, one)[which] * (one + other - both)
            return np.asarray(array * np.divide(1.0, rest, out=np.zeros(rest.shape), where=rest > 0))
        if upward:
            part, first = fixed_pairs(values, start, joint, sizes, lags, weights)
            part = odds(part, first)
        else:
            box = close if which else (0,) * ndim  # the same site
            part, first = fixed_pairs(odds(values, start), start, joint, sizes, box, weights)
            part = part if box == close else _refit(part, box, close)
        total = total + part
    return total if close == lags else _refit(total, close, lags), first


def _window_counts(g: AxisGeometry, first: int, count: int, n: int | None, reach: int, axis: int, ndim: int
                   ) -> tuple[Array, Array, Array]:
    """Sites inside the map of windows, of their partners and of both, along one axis of (groups, lags, lattice)."""
    begin = g.stride * (first + np.arange(count)) - g.pads(n)[0]
    apart = g.stride * np.arange(-reach, reach + 1)[:, None]
    inside = np.zeros((3, len(apart), count))
    for tap in range(g.kernel):
        site = begin + g.dilation * tap
        here = np.ones(count, bool) if n is None else (site >= 0) & (site < n)
        other = site + apart
        there = np.ones(other.shape, bool) if n is None else (other >= 0) & (other < n)
        shift = g.dilation * tap - apart
        common = (shift >= 0) & (shift < g.dilation * g.kernel) & (shift % g.dilation == 0)
        inside += np.stack([np.broadcast_to(here, there.shape), there, here & common])
    shape = [1] * (1 + 2 * ndim)
    shape[1 + axis], shape[1 + ndim + axis] = len(apart), count
    return inside[0].reshape(shape), inside[1].reshape(shape), inside[2].reshape(shape)


def _winners(geometry: tuple[AxisGeometry, ...], lags: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Whether taps a and b of two windows are the same site, a is of the first only, b of the second only.

    Each of shape (lags, taps, taps).
    """
    stride, dilation = (np.array([getattr(g, name) for g in geometry]) for name in ("stride", "dilation"))
    taps = np.array(list(itertools.product(*(range(g.kernel) for g in geometry)))) * dilation
    lag = np.array(list(itertools.product(*(range(-h, h + 1) for h in lags))))
    distance = taps[None, None] + (stride * lag)[:, None, None] - taps[None, :, None]
    same = (distance == 0).all(axis=-1)
    only_a = np.broadcast_to(~same.any(axis=2, keepdims=True), same.shape)
    only_b = np.broadcast_to(~same.any(axis=1, keepdims=True), same.shape)
    return same * 1.0, only_a * 1.0, only_b * 1.0


class _LagMix:
    """What tap a hands on of the pairs at lag tau: to lag tau', through the tap b that fits."""

    def __init__(self, taps: Taps, have: tuple[int, ...], want: tuple[int, ...], weights: Array) -> None:
        self.axes = taps.axes
        self.kernel = tuple(g.kernel for g in taps.geometry)
        self.weights = weights
        self.above = 1 if taps.geometry[0].transposed else 2  # which axis of the matrices counts lags above
        self.shape = tuple(2 * h + 1 for h in want)
        before = np.array(list(itertools.product(*(range(-h, h + 1) for h in have))))
        after = np.array(list(itertools.product(*(range(-h, h + 1) for h in want))))
        stride = np.array([g.stride for g in taps.geometry])
        dilation = np.array([g.dilation for g in taps.geometry])
        if taps.geometry[0].transposed:
            step = before[None, :, :] - stride * after[:, None, :]
        else:
            step = after[:, None, :] - stride * before[None, :, :]
        self.fits = (step % dilation == 0).all(axis=-1)
        self.step = step // dilation

    def __call__(self, tap: tuple[int, ...], part: Array) -> Array:
        other = np.array(tap) + self.step
        valid = self.fits & ((other >= 0) & (other < self.kernel)).all(axis=-1)
        place = np.ravel_multi_index(tap, self.kernel)
        index = np.ravel_multi_index(np.moveaxis(other * valid[..., None], -1, 0), self.kernel)
        if self.weights.ndim == 2:
            matrix = np.where(valid, self.weights[place][index], 0.0)
        else:
            lag = np.arange(valid.shape[self.above - 1])
            matrix = np.where(valid, self.weights[lag[:, None] if self.above == 1 else lag, place, index], 0.0)
        if matrix.size == 1:
            return part * matrix.item()
        lag_axes = [1 + axis for axis in self.axes]
        front = np.moveaxis(part, lag_axes, range(len(lag_axes)))
        rest = front.shape[len(lag_axes):]
        mixed = (matrix @ front.reshape(matrix.shape[1], -1)).reshape(*self.shape, *rest)
        return np.moveaxis(mixed, range(len(lag_axes)), lag_axes)
