"""What the backward sweep carries: gradients as they are (`factor`), or their covariance.

A gradient is itself linear in the few random numbers of one source as long as only deterministic layers have been
passed.  `Covariance` is M(x, tau) = E[g(x) g(x + tau)], summed over the channels of a group, for the lags tau that are
needed below.  Random layers keep every lag and mix sites; fixed layers mix lags (docs/theory.md, equations 18 to 26).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...lattice.field import add_on_hull
from ..memory import lazy, replace
from .groups import collected, picked
from .lowering import SAMPLE, Linear
from .mirror import half_fixed, half_routed, halved, keeps_half, mirrored, nearby
from .pairs import (blank, cut_pairs, fixed_pairs, of_both, opened_more, overlapping, refit_lags, routed,
                    routed_pairs, select_lags)
from .taps import Array, Taps, adjoint

__all__ = ["ALIKE", "Covariance", "EXCHANGEABLE", "MIXED", "column"]


def column(numbers: Array, ndim: int) -> Array:
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
    Where there are `multiples`, one for each group, `bare` has one array, of which these are the groups, or with
    `multiples` of shape (groups, arrays) several, of which they are sums; at lag 0 `alone` stands for them, of shape
    (groups, *lattice).  Where `half`, lags along the first axis are those from 0 on, as in `mirror`.
    `uniform` is the part along the direction in which all channels are equal, which a `Constant`
    convolution reads.  Where channels are independent and alike it is M / channels and not stored.
    """

    bare: Array
    start: tuple[int, ...]
    uniform: Array | None = None
    mixing: int = ALIKE
    factor: float | Array = 1.0
    multiples: Array | None = None
    alone: Array | None = None
    half: bool = False

    @lazy
    def values(self) -> Array:
        """M(x, tau)."""
        return mirrored(self.held) if self.half else self.held

    @lazy
    def held(self) -> Array:
        """M(x, tau), of the lags that `bare` has."""
        if self.multiples is None:
            return self.bare if isinstance(self.factor, float) and self.factor == 1 else self.bare * self.factor
        if self.multiples.ndim > 1:
            return np.stack([self._of_group(g) for g in range(len(self.multiples))])
        held = self.bare * (column(self.multiples, self.ndim) * self.factor)
        if self.alone is not None:
            held[self.center] = self.alone * self._factor_alone
        return held

    @lazy
    def peak(self) -> float:
        """A bound for the power but for `factor`; with others or at lags covariances are below it."""
        if self.alone is not None or (self.multiples is not None and self.multiples.ndim > 1):
            return float(self._lag_zero.max(initial=0.0))
        center = self.bare[self.center] if any(self.lags) else self.bare
        peak = float(np.maximum.reduce(center, axis=None, initial=0.0))
        return peak if self.multiples is None else peak * float(self.multiples.max())

    @property
    def _lag_zero(self) -> Array:
        """What groups are at lag 0 but for `factor`, shape (groups, *lattice)."""
        if self.alone is not None:
            return self.alone
        center = self.bare[self.center]
        if self.multiples is None:
            return np.asarray(center)
        return np.tensordot(self.multiples.reshape(len(self.multiples), -1), center, 1)

    @property
    def largest(self) -> float:
        """A bound for the largest power."""
        return self.peak * (abs(self.factor) if isinstance(self.factor, float) else float(np.abs(self.factor).max()))

    @property
    def center(self) -> tuple[Any, ...]:
        """Where lag 0 is in `bare`."""
        first, *others = self.lags
        return slice(None), 0 if self.half else first, *others

    @property
    def _factor_alone(self) -> float | Array:
        """The factor at lag 0: a number, or one for each group, of shape (groups, 1, ...)."""
        if isinstance(self.factor, float):
            return self.factor
        return np.asarray(self.factor[tuple([where if n > 1 else 0 if isinstance(where, int) else where
                                             for where, n in zip(self.center, self.factor.shape)])])

    @property
    def _by_group(self) -> bool:
        """Whether `factor` differs from group to group."""
        return not isinstance(self.factor, float) and len(self.factor) > 1

    def _scaled(self, factor: float | Array) -> Covariance:
        """The same array times one more number, or one for each lag, without the uniform part.

        What is known of the array stays so.
        """
        out = object.__new__(Covariance)
        known = out.__dict__
        known.update(self.__dict__, uniform=None, factor=self.factor * factor)
        known.pop("values", None)
        known.pop("held", None)
        return out

    def holding(self, values: Array, half: bool = False, **others: Any) -> Covariance:
        """The same with other values, of all lags or half of them."""
        return replace(self, bare=values, factor=1.0, multiples=None, alone=None, half=half, **others)

    def _first(self) -> Covariance:
        """What groups are multiples of."""
        return Covariance(self.bare, self.start, None, self.mixing, self.factor, half=self.half)

    def _multiplied(self, multiples: Array, alone: Array | None = None) -> Covariance:
        """Groups that are multiples of the only array, or sums of several."""
        if multiples.size == 1 and alone is None:
            return self if multiples.item() == 1 else self._scaled(multiples.item())
        found = Covariance(self.bare, self.start, None, self.mixing, self.factor, multiples, alone, self.half)
        return found if len(multiples) > 1 else found._apart()

    def _apart(self) -> Covariance:
        """The same with an array for each group."""
        return self if self.multiples is None else self.holding(self.held, self.half)

    def _by_one(self) -> Covariance:
        """The same, each group with an array of its own unless they are multiples of one at all lags."""
        plain = self.multiples is None or (self.alone is None and self.multiples.ndim == 1 and not self._by_group)
        return self if plain else self._apart()

    def halved(self) -> Covariance:
        """The same with half of the lags, where there are any and channels are independent."""
        if self.half or self.lags[0] == 0 or self.mixing or self.uniform is not None:
            return self
        factor = self.factor if isinstance(self.factor, float) else halved(self.factor)  # of one lag, that
        return replace(self, bare=halved(self.bare), factor=factor, half=True)

    def _each_times(self, numbers: Array, lag_zero: Array) -> Covariance:
        """Groups that are multiples, each times a number, and at lag 0 times another."""
        assert self.multiples is not None
        multiples = self.multiples * numbers.reshape(-1, *(1,) * (self.multiples.ndim - 1))
        if self.alone is None and (numbers is lag_zero or not any(self.lags)):
            return self._first()._multiplied(multiples)
        return self._first()._multiplied(multiples, self._lag_zero * lag_zero.reshape(-1, *(1,) * self.ndim))

    def whole(self) -> Covariance:
        """The same with all lags."""
        return self.holding(self.values) if self.half else self

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions."""
        return len(self.start)

    @lazy
    def lags(self) -> tuple[int, ...]:
        """Half-widths of the box of lags."""
        first, *others = self.bare.shape[1:1 + len(self.start)]
        return first - 1 if self.half else first // 2, *[n // 2 for n in others]

    @property
    def power(self) -> Array:
        """E[g(x)^2] summed over channels, shape (*lattice)."""
        factor = self._factor_alone
        if self.multiples is not None and self.multiples.ndim == 1 and self.alone is None and isinstance(factor, float):
            return np.asarray(self.bare[self.center][0] * (factor * self.multiples.sum()))
        alone = self._lag_zero * factor
        return np.asarray(alone[0] if len(alone) == 1 else alone.sum(axis=0))

    def merge(self, other: Covariance, channels: int, ones: bool) -> Covariance:
        """Sum of two uncorrelated gradients; `ones` says whether the uniform part is needed."""
        mixing = max(self.mixing, other.mixing)
        if not mixing and not (self.multiples is other.multiples is None):
            return Covariance.sum_of([self, other], channels, ones)
        if self.half != other.half:
            if mixing:
                return self.whole().merge(other.whole(), channels, ones)
            return self.halved().merge(other.halved(), channels, ones)
        values, start = add_on_hull(self.held, self.start, other.held, other.start)
        uniform = None
        if mixing and ones:
            uniform, _ = add_on_hull(self.along_ones(channels), self.start,
                                     other.along_ones(channels), other.start)
        return Covariance(values, start, uniform, mixing, half=self.half)

    @staticmethod
    def sum_of(parts: Sequence[Covariance], channels: int, ones: bool) -> Covariance:
        """Sum of any number of uncorrelated gradients."""
        one, *others = parts
        if any(part.mixing for part in parts) or (len(parts) == 2 and one.multiples is others[0].multiples is None):
            return functools.reduce(lambda one, other: one.merge(other, channels, ones), others, one)
        if any(part.half for part in parts):
            parts = [part.halved() for part in parts]
        kinds: list[Array] = []  # multiples that differ
        which: list[int] = []  # -1: none
        for part in parts:
            if part.multiples is None or part.multiples.ndim > 1 or part._by_group:
                which.append(-1)
                continue
            k = next((k for k, known in enumerate(kinds) if np.array_equal(known, part.multiples)), len(kinds))
            kinds[k:] = kinds[k:] or [part.multiples]
            which.append(k)
        start, shape = _hull(parts)
        alike = -1 not in which and len(kinds) < shape[0]
        whole = blank((len(kinds), *shape[1:]) if alike else shape)
        for k, part in zip(which, parts):
            place = _place(part, start)
            if alike:
                whole[k][place] += part._first().held[0]
                continue
            if whole.size <= CACHED:
                whole[place] += part.held
                continue
            for g, group in enumerate(whole):  # one by one, as the processor keeps them at hand
                group[place] += part._of_group(g)
        total = Covariance(whole, start, half=parts[0].half)
        if not alike:
            return total
        alone = None
        if any(part.alone is not None for part in parts):
            alone = np.zeros((shape[0], *shape[-total.ndim:]))
            for part in parts:
                alone[_place(part, start)] += part._lag_zero * part._factor_alone
        return total._multiplied(kinds[0] if len(kinds) == 1 else np.stack(kinds, axis=1), alone)

    def _of_group(self, g: int) -> Array:
        """M(x, tau) of one channel group, shape (*lags, *lattice)."""
        factor = self.factor if isinstance(self.factor, float) else self.factor[g % len(self.factor)]
        if self.multiples is not None and self.multiples.ndim > 1:
            first, *others = zip(self.multiples[g].tolist(), self.bare)
            group = np.multiply(*first)
            for number, array in others:
                group += number * array
            if not isinstance(factor, float) or factor != 1:
                group *= factor
        else:
            if self.multiples is not None:
                factor = factor * self.multiples[g]
            group = self.bare[g % len(self.bare)] * factor
        if self.alone is not None:
            alone = self._factor_alone
            group[self.center[1:]] = self.alone[g] * (alone if isinstance(alone, float) else alone[g % len(alone)])
        return np.asarray(group)

    @staticmethod
    def combinations(parts: Sequence[Covariance], coefficients: Array) -> list[Covariance]:
        """Sums of uncorrelated gradients, each times a number of an array of shape (sums, parts).

        Of channels that are alike, each group with an array of its own.
        """
        if any(part.half for part in parts):
            parts = [part.halved() for part in parts]
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
        return [Covariance(whole, start, half=parts[0].half) for whole in wholes]

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
        return replace(self, uniform=self.uniform * factor**2, factor=self.factor * factor**2)

    def with_lags(self, lags: tuple[int, ...]) -> Covariance:
        """Cut, or filled with zeros, to the box of lags of half-widths `lags`."""
        if lags == self.lags:
            return self
        if self.half and not lags[0]:
            factor = self.factor if isinstance(self.factor, float) else self.factor[:, :1]
            return replace(self, bare=self.bare[:, :1], factor=factor, half=False).with_lags(lags)
        bare, factor, uniform = refit_lags(self.bare, self.lags, lags, self.half), self.factor, self.uniform
        if not isinstance(factor, float):
            each_lag = (len(factor), *self.bare.shape[1:1 + self.ndim], *(1,) * self.ndim)
            factor = refit_lags(np.broadcast_to(factor, each_lag), self.lags, lags, self.half)
        if uniform is not None:
            uniform = refit_lags(uniform, self.lags, lags)
        return replace(self, bare=bare, uniform=uniform, factor=factor)

    def into_groups(self, owner: Array, count: int) -> Covariance:
        """Channel groups summed into the `count` groups that `owner` says; -1 is left out."""
        found = picked(owner, count)
        if self.multiples is not None:
            if found is None and self._by_group:
                return self._apart().into_groups(owner, count)
            multiples = collected(self.multiples, owner, count)
            alone = None if self.alone is None else collected(self.alone, owner, count)
            first = self._first()
            if self._by_group:
                first = replace(first, factor=first.factor[found])  # type: ignore[index]
            return first._multiplied(multiples, alone)
        if found is None:
            return self.holding(collected(self.held, owner, count), self.half)
        if len(owner) == count:
            return self
        factor = self.factor
        if not isinstance(factor, float) and len(factor) > 1:
            factor = factor[found]
        return replace(self, bare=self.bare[found], factor=factor)

    def gathered(self) -> Covariance:
        """The sum over all pairs of sites, for one site that serves all of them."""
        if self.half or self.alone is not None:
            return self.holding(self.values).gathered()
        axes = tuple(range(1, self.bare.ndim))
        uniform = None if self.uniform is None else self.uniform.sum(axis=axes, keepdims=True)
        whole = self if isinstance(self.factor, float) else self.holding(self.values)
        return replace(whole, bare=whole.bare.sum(axis=axes, keepdims=True), start=(0,) * self.ndim, uniform=uniform)

    def gated(self, gate: Array) -> Covariance:
        """Below a gate, given as factors on M(x, tau) over (groups, lags, map), extents 1 for all alike."""
        if gate.size == 1:
            return self._scaled(gate.item())
        groups = len(self.bare if self.multiples is None else self.multiples)
        if gate.size == len(gate):  # one number per group
            if (gate == gate[0]).all():
                return self._scaled(gate.item(0))
            if self.multiples is not None:
                numbers = gate.reshape(-1)
                return self._each_times(numbers, numbers)
            if len(gate) == groups:
                return self._scaled(gate)
            return self.holding(self.bare * (gate * self.factor), self.half, uniform=None)
        index: list[slice] = [slice(None)]
        for axis, (have, n) in enumerate(zip(self.lags, gate.shape[1:1 + self.ndim])):
            low = 0 if self.half and axis == 0 else have
            index.append(slice(None) if n == 1 else slice(n // 2 - low, n // 2 + have + 1))
        gate = gate[tuple(index)]
        if len(gate) in (1, groups) and max(gate.shape[1 + self.ndim:]) == 1:  # alike at all sites
            return self._scaled(gate.item() if gate.size == 1 else gate)
        for axis, (first, count) in enumerate(zip(self.start, self.bare.shape[1 + self.ndim:]), 1 + self.ndim):
            if first >= 0 and first + count <= gate.shape[axis]:
                gate = gate[(slice(None),) * axis + (slice(first, first + count),)]
            elif gate.shape[axis] > 1:  # on the plane a gate is given for whole periods
                gate = gate.take(range(first, first + count), axis=axis, mode="wrap")
        if any(self.lags) and gate.size == math.prod(gate.shape[1 + self.ndim:]) * len(gate):
            # Of one site: the mean of both of a pair, so that pairs stay what they are from either side.
            sites = gate.reshape(len(gate), *gate.shape[1 + self.ndim:])
            gate = of_both(np.broadcast_to(sites, (len(gate), *self.bare.shape[1 + self.ndim:])), self.lags) / 2
            gate = halved(gate) if self.half else gate
        state = self if len(gate) == 1 else self._apart()
        values = state.bare * gate
        if state.multiples is None:
            values *= state.factor
            return state.holding(values, self.half, uniform=None)
        if state.alone is None:
            return replace(state, bare=values, uniform=None)
        here: Any = (slice(None), *(c if n > 1 else 0 for c, n in zip(self.center[1:], gate.shape[1:])))
        return replace(state, bare=values, uniform=None, alone=state.alone * gate[here])

    def conditioned(self, power: Array, pairs: Array) -> Covariance:
        """Lag 0 times `power` and all other lags times `pairs`, numbers per channel group."""
        if len(power) == 1 and (not any(self.lags) or power[0] == pairs[0]):
            return self if power[0] == 1 == pairs[0] else self._scaled(float(power[0]))
        if (power == power[0]).all() and (pairs == power[0]).all():
            return self if power[0] == 1 else self._scaled(float(power[0]))
        if self.multiples is not None and len(power) == len(self.multiples):
            return self._each_times(power if not any(self.lags) else pairs, power)
        factors = np.empty((len(power), *self.bare.shape[1:1 + self.ndim], *(1,) * self.ndim))
        factors[:] = column(pairs, self.ndim)
        factors[self.center] = power.reshape(-1, *(1,) * self.ndim)
        if len(factors) in (1, len(self.bare if self.multiples is None else self.multiples)):
            return self._scaled(factors)
        return self.holding(self.bare * (factors * self.factor), self.half, uniform=None)

    def trimmed(self) -> Covariance:
        """Without margins of a wide map where all is less than `FAINT` of the largest power, if there are any."""
        if max(self.bare.shape[1 + self.ndim:]) < WIDE or self.uniform is not None:
            return self
        if self.half or self.alone is not None:
            return self.holding(self.values).trimmed()
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
        center: Any = (slice(None), *self.lags)
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
        state = self._by_one()
        multiples = state.multiples
        values, start, factor, half = state.bare, state.start, state.factor, state.half
        if not isinstance(factor, float):
            values, factor = values * factor, 1.0
        if any(lags) or any(self.lags):
            half = half and lags[0] > 0
            values = values if half == state.half else values[:, :1]
            for axis, g in enumerate(g for taps in op.taps for g in taps.geometry):
                have = self.lags[axis] if half or axis or not state.half else 0
                values = select_lags(values, 1 + axis, g, have, lags[axis], half and axis == 0)
        factor = op.gain * factor
        spread: list[tuple[Taps, bool]] = []
        for taps in op.taps:
            trivial, flat = taps.trivial, taps.flat
            if trivial or flat:
                factor *= taps.weights.item(0)
            if not trivial:
                spread.append((taps, flat))
        now = spread and (not any(lags) or not TINY < factor < 1 / TINY or not spread[0][1]
                          or any(g.stride > 1 for taps, _ in spread for g in taps.geometry))
        first, factor = (factor, 1.0) if now else (1.0, factor)  # above a stride there are fewer sites to multiply
        for taps, flat in spread:
            values, start = adjoint(values, start, taps, sizes, flat=flat, factor=first)
            values, start = cut_pairs(values, start, sizes, taps.axes, half)
            first = 1.0
        if len(shares) == 1 or multiples is not None:  # groups below are multiples of one
            each = shares[0] if multiples is None else np.dot(multiples, shares)
            below = Covariance(values, start, None, ALIKE, factor, half=half)._multiplied(each)
        else:
            below = Covariance(np.tensordot(shares, values, (0, 0)) * factor, start, half=half)
        if op.groups > 1 and self.mixing == MIXED:
            whole = below.values
            return Covariance(whole, start, whole.sum(axis=0, keepdims=True) / channels, MIXED)
        return below

    def through_fixed(self, op: Linear, sizes: tuple[int | None, ...], lags: tuple[int, ...]) -> Covariance:
        """Below the same filter on each channel: w_a w_b over all pairs of taps."""
        if self.multiples is not None and self.uniform is None:
            state = self._by_one()
            if state.multiples is not None:
                return state._first().through_fixed(op, sizes, lags)._multiplied(state.multiples)
            return state.through_fixed(op, sizes, lags)
        if self.half and lags[0] and keeps_half(op):
            held, start = half_fixed(self.held, self.start, op, sizes, lags)
            return self.holding(held, half=True, start=start)
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
        return Covariance(power * column(np.asarray(shares), self.ndim), below.start, uniform, EXCHANGEABLE)

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
        state = self._by_one() if self.uniform is None else self.whole()._apart()
        multiples = state.multiples
        state = state if multiples is None else state._first()
        none = (0,) * self.ndim
        single = state.with_lags(none).values
        spread = [routed(part, self.start, op, sizes) for op, part in zip(ops, _each(single, len(ops)))]
        power, start, uniform = np.concatenate([wins for wins, _ in spread]), spread[0][1], None
        if any(self.lags) and not any(lags) and self.uniform is None:  # of pairs what one site wins twice
            near = overlapping([taps.geometry[0] for taps in ops[0].taps], self.lags)
            rest = nearby(state.held, near) if state.half else state.held.copy()
            rest[(slice(None), *(n // 2 for n in rest.shape[1:1 + self.ndim]))] = 0
            more = opened_more(rest, self.start, ops, sizes, 0.0)
            power = power + more.reshape(len(more), *power.shape[1:])
        if not (any(self.lags) and any(lags)) and self.uniform is None:
            below = self.holding(power, start=start)
            if multiples is not None:
                below = below._multiplied(multiples) if len(power) == 1 else below.holding(
                    power * column(multiples, self.ndim))
            return (below if bias is None else below.gated(column(bias, self.ndim))).with_lags(lags)
        geometry = [taps.geometry[0] for taps in ops[0].taps]
        near, half = overlapping(geometry, self.lags), state.half and lags[0] > 0
        if state.half and not half or near == self.lags:
            state, half = state.whole(), False
        rest, plain = state.held.copy(), ops[0]._replace(opened=None)
        rest[state.center] = 0
        if half:
            pairs, _ = half_routed(rest, self.start, plain, sizes, lags, near)
        else:
            pairs, _ = routed_pairs(rest, self.start, plain, sizes, lags)
        if self.uniform is not None:
            both, _ = fixed_pairs(self.uniform, self.start, ops[0], sizes, lags)
            one, _ = fixed_pairs(refit_lags(single, none, self.lags), self.start, ops[0], sizes, lags)
            own = (refit_lags(power, none, lags) - one).sum(axis=0, keepdims=True)
            uniform = both + own / channels
        if ops[0].opened is not None and any(self.lags):
            rest = nearby(rest, near) if half else rest
            more = opened_more(rest, self.start, ops, sizes)
            power = power + more.reshape(len(more), *power.shape[1:])
        below = self.holding(pairs, half, start=start, uniform=uniform)
        alone = pairs[below.center] + power.reshape(len(power), *power.shape[1 + self.ndim:])
        if multiples is not None and len(alone) > 1:
            below = below._multiplied(multiples, alone * multiples.reshape(-1, *(1,) * self.ndim))
        else:
            pairs[below.center] = alone
            below = below if multiples is None else below._multiplied(multiples)
        below = below.with_lags(lags)
        return below if bias is None else below.gated(column(bias, self.ndim))


def _place(part: Covariance, start: tuple[int, ...]) -> Any:
    """Where its sites are on a lattice that begins at `start`."""
    return ..., *(slice(f - s, f - s + n) for f, s, n in zip(part.start, start, part.bare.shape[-part.ndim:]))


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
