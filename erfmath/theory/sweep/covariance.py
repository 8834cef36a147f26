"""What the backward sweep carries: gradients as they are, or their covariance.

`Factor` is the gradient itself, linear in the few random numbers of one source; it lasts as long as
only deterministic layers have been passed.  `Covariance` is M(x, tau) = E[g(x) g(x + tau)], summed
over the channels of a group, for the lags tau that are needed below.  Random layers keep every lag
and mix sites; fixed layers mix lags; see docs/theory.md, equations 18 to 26.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...base.errors import check_bytes
from ...lattice.field import add_on_hull
from ..memory import lazy, replace
from .groups import collected, picked
from .lowering import SAMPLE, Linear
from .pairs import (blank, border, cut, cut_pairs, fixed_pairs, opened_more, refit_lags, routed, routed_pairs,
                    select_lags)
from .taps import REMEDY, Array, Taps, adjoint

__all__ = ["ALIKE", "Covariance", "EXCHANGEABLE", "Factor", "MIXED", "correlate"]


@dataclass(eq=False)
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
                values = border(values, start, taps, sizes)
            values, start = adjoint(values, start, taps, sizes, lambda tap, part: w[tap] * part, taps.flat)
            values, start = cut(values, start, sizes, taps.axes)
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

        return Factor(*cut(*adjoint(self.values, self.start, taps, sizes, weigh), sizes, taps.axes))

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


#: Parts of the largest power that count as nothing, and sites of a map along an axis from which on they are looked for.
FAINT, WIDE = 1e-60, 128
#: Factors between which, and its inverse, may wait for an array that is made anyway.
TINY = 1e-60
#: Numbers that the processor keeps at hand.
CACHED = 2**16
#: How the channels of a covariance relate: independent and alike, exchangeable, or neither.
ALIKE, EXCHANGEABLE, MIXED = 0, 1, 2


@dataclass(eq=False)
class Covariance:
    """M(x, tau) per channel group: values (groups, *lags, *lattice), lags from -h to h per axis.

    `values` is `bare` times `factor`: a number that multiplies everything, or one for each lag and perhaps group, of
    shape (groups or 1, *lags, 1, ...), waits for an array that is made anyway.
    Where there are `multiples`, one for each group, `bare` has one group, of which these are the groups.
    `uniform` is the part along the direction in which all channels are equal, which a `Constant`
    convolution reads.  Where channels are independent and alike it is M / channels and not stored.
    """

    bare: Array
    start: tuple[int, ...]
    uniform: Array | None = None
    mixing: int = ALIKE
    factor: float | Array = 1.0
    multiples: Array | None = None

    @lazy
    def values(self) -> Array:
        """M(x, tau)."""
        if self.multiples is not None:
            return self.bare * (_column(self.multiples, self.ndim) * self.factor)
        return self._times_factor

    @lazy
    def peak(self) -> float:
        """The largest of `bare` at lag 0; with others or at lags covariances are below it."""
        center: tuple[Any, ...] = (slice(None), *self.lags)
        alone = self.bare[center] if any(self.lags) else self.bare
        peak = float(np.maximum.reduce(alone, axis=None, initial=0.0))
        return peak if self.multiples is None else peak * float(self.multiples.max())

    @property
    def largest(self) -> float:
        """A bound for the largest power."""
        return self.peak * (abs(self.factor) if isinstance(self.factor, float) else float(np.abs(self.factor).max()))

    @property
    def _times_factor(self) -> Array:
        return self.bare if isinstance(self.factor, float) and self.factor == 1 else self.bare * self.factor

    def _scaled(self, factor: float | Array) -> Covariance:
        """The same array times one more number, or one for each lag, without the uniform part.

        What is known of the array stays so.
        """
        out = object.__new__(Covariance)
        known = out.__dict__
        known.update(self.__dict__, uniform=None, factor=self.factor * factor)
        known.pop("values", None)
        return out

    def holding(self, values: Array, **others: Any) -> Covariance:
        """The same with other values."""
        return replace(self, bare=values, factor=1.0, multiples=None, **others)

    def _first(self) -> Covariance:
        return Covariance(self.bare, self.start, None, self.mixing, self.factor)

    def _multiplied(self, multiples: Array) -> Covariance:
        if len(multiples) == 1:
            return self if multiples[0] == 1 else self._scaled(float(multiples[0]))
        return Covariance(self.bare, self.start, None, self.mixing, self.factor, multiples)

    def _apart(self) -> Covariance:
        """The same with an array for each group."""
        return self if self.multiples is None else self.holding(self.values)

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions."""
        return len(self.start)

    @lazy
    def lags(self) -> tuple[int, ...]:
        """Half-widths of the box of lags."""
        return tuple([n // 2 for n in self.bare.shape[1:1 + len(self.start)]])

    @property
    def power(self) -> Array:
        """E[g(x)^2] summed over channels, shape (*lattice)."""
        center: tuple[Any, ...] = (slice(None), *self.lags)
        if self.multiples is not None and isinstance(self.factor, float):
            return np.asarray(self.bare[center][0] * (self.factor * self.multiples.sum()))
        alone = self.values[center]
        return np.asarray(alone[0] if len(alone) == 1 else alone.sum(axis=0))

    def merge(self, other: Covariance, channels: int, ones: bool) -> Covariance:
        """Sum of two uncorrelated gradients; `ones` says whether the uniform part is needed."""
        if self.multiples is not None and other.multiples is not None and np.array_equal(
                self.multiples, other.multiples):
            return self._first().merge(other._first(), channels, False)._multiplied(self.multiples)
        values, start = add_on_hull(self.values, self.start, other.values, other.start)
        mixing, uniform = max(self.mixing, other.mixing), None
        if mixing and ones:
            uniform, _ = add_on_hull(self.along_ones(channels), self.start,
                                     other.along_ones(channels), other.start)
        return Covariance(values, start, uniform, mixing)

    @staticmethod
    def sum_of(parts: Sequence[Covariance], channels: int, ones: bool) -> Covariance:
        """Sum of any number of uncorrelated gradients."""
        one, *others = parts
        if any(part.mixing for part in parts) or (len(parts) == 2 and one.multiples is others[0].multiples is None):
            return functools.reduce(lambda one, other: one.merge(other, channels, ones), others, one)
        held = [(part, part.multiples) for part in parts if part.multiples is not None]
        if len(held) > 1 and all(np.array_equal(multiples, held[0][1]) for _, multiples in held):
            alike = Covariance.sum_of([part._first() for part, _ in held], channels, ones)._multiplied(held[0][1])
            parts = [alike, *(part for part in parts if part.multiples is None)]
            if len(parts) == 1:
                return alike
        start, shape = _hull(parts)
        whole = blank(shape)
        for part in parts:
            counts = part.bare.shape[-part.ndim:]
            place = (..., *(slice(f - s, f - s + n) for f, s, n in zip(part.start, start, counts)))
            for g, group in enumerate(whole):  # one by one, as the processor keeps them at hand
                group[place] += part._of_group(g)
        return Covariance(whole, start)

    def _of_group(self, g: int) -> Array:
        """M(x, tau) of one channel group, shape (*lags, *lattice)."""
        factor = self.factor if isinstance(self.factor, float) else self.factor[g % len(self.factor)]
        if self.multiples is not None:
            factor = factor * self.multiples[g]
        return self.bare[g % len(self.bare)] * factor

    @staticmethod
    def combinations(parts: Sequence[Covariance], coefficients: Array) -> list[Covariance]:
        """Sums of uncorrelated gradients, each times a number of an array of shape (sums, parts).

        Of channels that are alike, each group with an array of its own.
        """
        (start, shape), ndim = _hull(parts), parts[0].ndim
        wholes = [blank(shape) for _ in coefficients]
        rows = max(CACHED * shape[1 + ndim] // (len(parts) * math.prod(shape) or 1), 1)
        lines = (slice(None),) * (1 + ndim)
        order = (0, 1, *range(2 + ndim, 2 + 2 * ndim), *range(2, 2 + ndim))  # from sites, lags to lags, sites
        for first in range(0, shape[1 + ndim], rows):  # a few lines at a time, as the processor keeps them at hand
            here = min(rows, shape[1 + ndim] - first)
            held = np.zeros((len(parts), shape[0], here, *shape[2 + ndim:], *shape[1:1 + ndim]))
            for part, into in zip(parts, held.transpose(order)):
                begin, *others = (f - s for f, s in zip(part.start, start))
                low, high = max(begin, first), min(begin + part.bare.shape[-ndim], first + rows)
                if low < high:
                    place = (slice(low - first, high - first), *(
                        slice(f, f + n) for f, n in zip(others, part.bare.shape[2 + ndim:])))
                    read = part.bare[(*lines, slice(low - begin, high - begin))]
                    np.multiply(read, part.factor, out=into[(*lines, *place)])
            made = coefficients @ held.reshape(len(parts), -1)
            for whole, line in zip(wholes, made.reshape(-1, *held.shape[1:]).transpose(order)):
                whole[(*lines, slice(first, first + rows))] = line
        return [Covariance(whole, start) for whole in wholes]

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
        bare, factor, uniform = refit_lags(self.bare, self.lags, lags), self.factor, self.uniform
        if not isinstance(factor, float):
            each_lag = (len(factor), *self.bare.shape[1:1 + self.ndim], *(1,) * self.ndim)
            factor = refit_lags(np.broadcast_to(factor, each_lag), self.lags, lags)
        if uniform is not None:
            uniform = refit_lags(uniform, self.lags, lags)
        return replace(self, bare=bare, uniform=uniform, factor=factor)

    def into_groups(self, owner: Array, count: int) -> Covariance:
        """Channel groups summed into the `count` groups that `owner` says; -1 is left out."""
        if self.multiples is not None:
            return self._first()._multiplied(collected(self.multiples, owner, count))
        found = picked(owner, count)
        if found is None:
            return self.holding(collected(self.values, owner, count))
        if len(owner) == count:
            return self
        factor = self.factor
        if not isinstance(factor, float) and len(factor) > 1:
            factor = factor[found]
        return replace(self, bare=self.bare[found], factor=factor)

    def gathered(self) -> Covariance:
        """The sum over all pairs of sites, for one site that serves all of them."""
        axes = tuple(range(1, self.bare.ndim))
        uniform = None if self.uniform is None else self.uniform.sum(axis=axes, keepdims=True)
        whole = self if isinstance(self.factor, float) else self.holding(self.values)
        return replace(whole, bare=whole.bare.sum(axis=axes, keepdims=True), start=(0,) * self.ndim, uniform=uniform)

    def gated(self, gate: Array) -> Covariance:
        """Below a gate, given as factors on M(x, tau) over (groups, lags, map), extents 1 for all alike."""
        if gate.size == 1:
            return self._scaled(gate.item())
        if self.multiples is not None:
            if gate.size == len(gate):  # one number per group
                return self._first()._multiplied(self.multiples * gate.reshape(-1))
            if len(gate) > 1:
                return self._apart().gated(gate)
            return self._first().gated(gate)._multiplied(self.multiples)
        if gate.size == len(gate):
            if (gate == gate[0]).all():
                return self._scaled(gate.item(0))
            if len(gate) == len(self.bare):
                return self._scaled(gate)
            return self.holding(self.bare * (gate * self.factor), uniform=None)
        index: list[slice] = [slice(None)]
        for have, n in zip(self.lags, gate.shape[1:1 + self.ndim]):
            index.append(slice(None) if n == 1 else slice(n // 2 - have, n // 2 + have + 1))
        gate = gate[tuple(index)]
        if len(gate) in (1, len(self.bare)) and max(gate.shape[1 + self.ndim:]) == 1:  # alike at all sites
            return self._scaled(gate.item() if gate.size == 1 else gate)
        for axis, (first, count) in enumerate(zip(self.start, self.bare.shape[1 + self.ndim:]), 1 + self.ndim):
            if first >= 0 and first + count <= gate.shape[axis]:
                gate = gate[(slice(None),) * axis + (slice(first, first + count),)]
            elif gate.shape[axis] > 1:  # on the plane a gate is given for whole periods
                gate = gate.take(range(first, first + count), axis=axis, mode="wrap")
        values = self.bare * gate
        values *= self.factor
        return self.holding(values, uniform=None)

    def conditioned(self, power: Array, pairs: Array) -> Covariance:
        """Lag 0 times `power` and all other lags times `pairs`, numbers per channel group."""
        if len(power) == 1 and (not any(self.lags) or power[0] == pairs[0]):
            return self if power[0] == 1 == pairs[0] else self._scaled(float(power[0]))
        if (power == power[0]).all() and (pairs == power[0]).all():
            return self if power[0] == 1 else self._scaled(float(power[0]))
        if self.multiples is not None:
            if not any(self.lags) or np.array_equal(power, pairs):
                return self._first()._multiplied(self.multiples * power)
            if (power == power[0]).all() and (pairs == pairs[0]).all():
                return self._first().conditioned(power[:1], pairs[:1])._multiplied(self.multiples)
            return self._apart().conditioned(power, pairs)
        factors = np.empty((len(power), *self.bare.shape[1:1 + self.ndim], *(1,) * self.ndim))
        center: tuple[Any, ...] = (slice(None), *self.lags)
        factors[:] = _column(pairs, self.ndim)
        factors[center] = power.reshape(-1, *(1,) * self.ndim)
        if len(factors) in (1, len(self.bare)):
            return self._scaled(factors)
        return self.holding(self.bare * (factors * self.factor), uniform=None)

    def trimmed(self) -> Covariance:
        """Without margins of a wide map where all is less than `FAINT` of the largest power, if there are any."""
        if max(self.bare.shape[1 + self.ndim:]) < WIDE or self.uniform is not None:
            return self
        start, least, index = list(self.start), FAINT * self.peak, [slice(None)] * self.bare.ndim
        for axis in range(1 + self.ndim, self.bare.ndim):
            line = self.bare.max(axis=tuple(a for a in range(self.bare.ndim) if a != axis))
            inside = np.flatnonzero(line > least)
            if not len(inside):
                return self
            index[axis] = slice(int(inside[0]), int(inside[-1]) + 1)
            start[axis - 1 - self.ndim] += int(inside[0])
        bare = self.bare[tuple(index)]
        return self if bare.size > 0.9 * self.bare.size else replace(self, bare=bare.copy(), start=tuple(start))

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
        values, start = (self.bare, self.start) if isinstance(self.factor, float) else (self._times_factor, self.start)
        if any(lags) or any(self.lags):
            for axis, g in enumerate(g for taps in op.taps for g in taps.geometry):
                values = select_lags(values, 1 + axis, g, self.lags[axis], lags[axis])
        factor = op.gain * (self.factor if isinstance(self.factor, float) else 1.0)
        spread: list[tuple[Taps, bool]] = []
        for taps in op.taps:
            trivial, flat = taps.trivial, taps.flat
            if trivial or flat:
                factor *= taps.weights.item(0)
            if not trivial:
                spread.append((taps, flat))
        if spread and (not any(lags) or not TINY < factor < 1 / TINY
                       or any(g.stride > 1 for taps, _ in spread for g in taps.geometry)):
            values, factor = values * factor, 1.0  # above a layer that strides there are fewer sites to multiply
        for taps, flat in spread:
            w = taps.weights
            values, start = adjoint(values, start, taps, sizes, lambda tap, part: part if flat else w[tap] * part, flat)
            values, start = cut_pairs(values, start, sizes, taps.axes)
        if len(shares) == 1 or self.multiples is not None:  # groups below are multiples of one
            each = shares[0] if self.multiples is None else np.dot(self.multiples, shares)
            below = Covariance(values, start, None, ALIKE, factor)._multiplied(each)
        else:
            below = Covariance(np.tensordot(shares, values, (0, 0)) * factor, start)
        if op.groups > 1 and self.mixing == MIXED:
            whole = below.values
            return Covariance(whole, start, whole.sum(axis=0, keepdims=True) / channels, MIXED)
        return below

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

    def through_route(self, ops: Sequence[Linear], sizes: tuple[int | None, ...], lags: tuple[int, ...],
                      channels: int, bias: Array | None = None) -> Covariance:
        """Below max pooling: each window hands its gradient to one of its sites.

        The gradient of one window and channel ends in one place: lag 0 goes to lag 0, by the probability to
        win.  Windows that overlap have winners in common; channels are routed independently.  `ops` is one for all
        channel groups or one for each: they differ in who wins and how often its gate is open, so at lag 0 only.
        `bias`, per group, is how much more often than others the gate below is open for winners.
        """
        if bias is not None and bias.ndim > 1:
            gate = bias[(slice(None), *(None,) * self.ndim)]
            return self.gated(gate).through_route(ops, sizes, lags, channels)
        multiples = self.multiples if self.uniform is None else None
        state = self._apart() if multiples is None else self._first()
        alone = state.with_lags((0,) * self.ndim).values
        spread = [routed(part, self.start, op, sizes) for op, part in zip(ops, _each(alone, len(ops)))]
        power, start, uniform = np.concatenate([wins for wins, _ in spread]), spread[0][1], None
        if any(self.lags) or self.uniform is not None:
            here: Any = (slice(None), *self.lags)
            there: Any = (slice(None), *lags)
            rest = state.values.copy()
            rest[here] = 0
            pairs, _ = routed_pairs(rest, self.start, ops[0]._replace(opened=None), sizes, lags)
            if self.uniform is not None:
                both, _ = fixed_pairs(self.uniform, self.start, ops[0], sizes, lags)
                one, _ = fixed_pairs(refit_lags(alone, (0,) * self.ndim, self.lags), self.start, ops[0], sizes, lags)
                own = (refit_lags(power, (0,) * self.ndim, lags) - one).sum(axis=0, keepdims=True)
                uniform = both + own / channels
            if ops[0].opened is not None and any(self.lags):
                more = np.concatenate([opened_more(part, self.start, op, sizes)
                                       for op, part in zip(ops, _each(rest, len(ops)))])
                power = power + more.reshape(len(more), *power.shape[1:])
            if multiples is not None and len(power) > 1:
                pairs, power, multiples = (*(each * _column(multiples, self.ndim) for each in (pairs, power)), None)
            pairs[there] += power.reshape(pairs[there].shape)
            power = pairs
        below = self.holding(power, start=start, uniform=uniform).with_lags(lags)
        if multiples is not None:
            below = below._multiplied(multiples) if len(power) == 1 else below.holding(
                below.bare * _column(multiples, self.ndim))
        return below if bias is None else below.gated(_column(bias, self.ndim))


def _hull(parts: Sequence[Covariance]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Start and shape, (groups, *lags, *lattice), of the smallest array that holds all of them."""
    ndim = parts[0].ndim
    start = tuple(map(min, zip(*(part.start for part in parts))))
    stop = [max(part.start[axis] + part.bare.shape[axis - ndim] for part in parts) for axis in range(ndim)]
    count = max(len(part.bare if part.multiples is None else part.multiples) for part in parts)
    return start, (count, *parts[0].bare.shape[1:-ndim], *(b - a for a, b in zip(start, stop)))


def _each(values: Array, count: int) -> list[Array]:
    """The channel groups of `values` one by one, where there are several, or all as often as is asked for."""
    return [values] * count if 1 in (count, len(values)) else [values[g:g + 1] for g in range(count)]
