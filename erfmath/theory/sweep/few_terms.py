"""Sums of few sites with random weights, as depthwise convolutions make: not Gaussian at any width.

See docs/theory.md, section 13.

All sites of a channel share the weights.  Given these the distribution of a channel's values is that of few independent
terms, and over channels their variance varies as that of few squared weights does.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..memory import interned, lazy, remembered
from ..rules.functions import chi_square
from .site_distribution import SiteDistribution
from .sources import from_rows
from .taps import Array
from .values import Affine, Nodes, Source, Value

__all__ = ["FewTerms", "few", "variances_of"]

#: More terms than this make Gaussians.
MOST = 36
#: Points of the distribution of a channel, and how far they reach in its standard deviations.
COLUMNS, REACH = 160, 8.0
#: Tables that vary by less say nothing of a term.
FLAT = 1e-12
#: Of up to eight terms and of more, whose channels differ less: directions of the weights times terms, where a channel
#: of opposite weights goes with each, and values of the sum of squared weights.
ROWS, LENGTHS = {False: 324, True: 200}, {False: 4, True: 2}


@dataclass(frozen=True, eq=False)
class FewTerms(Source):
    """sum_a w_a v_a over sites of one value, with normal weights of these `variances`, whose sum is 1.

    `normed`: less the mean of each channel, over its deviation.
    """

    of_value: Value
    variances: tuple[float, ...]
    normed: bool = False

    @functools.cached_property
    def parts(self) -> tuple[Value, ...]:  # type: ignore[override]
        """The value, or, if normed, the sum before."""
        return (self._plain.value(),) if self.normed else (self.of_value,)

    @staticmethod
    def of(value: Value, variances: tuple[float, ...], normed: bool = False) -> FewTerms:
        """The interned one, of the value up to its scale."""
        while value.steps and isinstance(value.steps[-1], Affine) and not value.steps[-1].b:
            value = Value.of(value.source, value.steps[:-1])
        return _few_terms(value, variances, normed)

    def standardised(self) -> FewTerms:
        """Less the mean of each channel, over its deviation."""
        return FewTerms.of(self.of_value, self.variances, True)

    @functools.cached_property
    def _plain(self) -> FewTerms:
        """The sum, before a norm."""
        return FewTerms.of(self.of_value, self.variances) if self.normed else self

    @functools.cached_property
    def _terms(self) -> _Terms:
        """Directions of the weights, and the terms of each."""
        if self.normed:
            return self._plain._terms
        weights = _directions(len(self.variances)) * np.sqrt(np.array(self.variances) * len(self.variances))
        sites = self.of_value.distribution
        row = np.searchsorted(np.cumsum(sites.share), _mixed(len(weights)) * (1 - 1e-12))
        x, p = np.broadcast_to(sites.x, sites.p.shape)[row], sites.p[row]
        mean = np.einsum("rc,rc->r", x, p)
        spread = np.sqrt(np.einsum("rc,rc->r", p, (x - mean[:, None])**2))
        length = np.sqrt((weights**2).sum(axis=1))
        unit = (x - mean[:, None]) / np.where(spread > 0, spread, 1.0)[:, None]
        parts = weights / length[:, None]
        # No point of the sum is at 0, where rectifiers bend.
        places = [part[:, None] * unit * (COLUMNS / (2 * REACH)) - (0.5 if n == 0 else 0.0)
                  for n, part in enumerate(parts.T)]
        return _Terms(weights, parts, row, mean, spread, places,
                      [np.fft.rfft(_split(place, p, COLUMNS), axis=1) for place in places])

    @functools.cached_property
    def _rests(self) -> list[Array]:
        """Of each term, the conjugate spectrum of the sum of all others."""
        spectra = [np.conj(one) for one in self._terms.spectra]
        one = np.ones_like(spectra[0])
        before = list(itertools.accumulate(spectra[:-1], np.multiply, initial=one))
        after = list(itertools.accumulate(spectra[:0:-1], np.multiply, initial=one))
        return [first * last for first, last in zip(before, after[::-1])]

    @functools.cached_property
    def _units(self) -> tuple[Array, Array]:
        """Values of mean 0 and variance 1, and their probabilities, of channels and of those of opposite weights."""
        grid, own = _summed(self._terms.spectra)
        return np.concatenate([grid, -grid]), np.concatenate([own, own])

    @functools.cached_property
    def _scales(self) -> tuple[Array, Array, Array]:
        """Per direction the length of the weights, and deviation and mean of a channel of it."""
        weights, _, _, mean, spread, _, _ = self._terms
        length = np.sqrt((weights**2).sum(axis=1))
        return length, length * spread, weights.sum(axis=1) * mean

    @property
    def _lengths(self) -> tuple[Array, Array]:
        """By what channels are larger than that, and how often."""
        squares, shares = chi_square(len(self.variances), LENGTHS[len(self.variances) > 8])
        return np.sqrt(squares / len(self.variances)), shares

    @lazy
    def second(self) -> float:
        """E[u^2], as the nodes have it, of which nobody else may ask."""
        if self.normed:
            return 1.0
        (_, level, shift), (lengths, shares) = self._scales, self._lengths
        return float(shares @ lengths**2 * np.mean(level**2 + shift**2))

    @functools.cached_property
    def _channels(self) -> tuple[Array, Array, Array, Array]:
        """Values x and probabilities p (channels, columns), the power of the weights, and shares, (channels,)."""
        both = self._plain._units
        if self.normed:
            count = len(both[0])
            return *both, np.ones(count), np.full(count, 1 / count)
        length, level, shift = self._scales
        power = length**2 / np.mean(length**2)
        lengths, shares = self._lengths
        level = np.tile(level, 2)[:, None]
        x = both[0] * level + np.concatenate([shift, -shift])[:, None]
        return (np.concatenate([x * one for one in lengths]), np.tile(both[1], (len(lengths), 1)),
                np.concatenate([np.tile(power, 2) * one**2 for one in lengths]),
                np.repeat(shares, len(x)) / len(x))

    def _make(self, knots: tuple[float, ...]) -> Nodes:
        x, p, _, share = self._channels
        return Nodes(x.ravel(), (share[:, None] * p).ravel())

    def passing(self, nodes: Nodes) -> Array:
        x, p, power, share = self._channels
        return np.asarray(((share * power)[:, None] * p).ravel())

    def distribution(self, knots: tuple[float, ...]) -> SiteDistribution:
        x, p, _, share = self._channels
        return SiteDistribution(x, p, np.ones(x.shape), share)

    def pull(self, part: int, nodes: Nodes, table: Array) -> tuple[Nodes, Array]:
        """Over the terms, each by its squared weight; of a normed one times what the norm does to its channel."""
        x, _, power, share = self._channels
        rows = table.reshape(len(table), len(x), COLUMNS)
        if self.normed:
            below = self._plain
            gain = 1 / below._channels[2]
            gains = np.stack([gain, np.sqrt(gain)])[np.arange(len(table)) % 2]
            every = np.tile(rows, (1, len(gain) // len(x), 1)) * gains[:, :, None]
            return below.nodes(()), every.reshape(len(table), -1)
        weights, parts, _, _, _, places, _ = self._terms
        # Lengths of weights, and weights of either sign, have the same sites at each point of the sum.
        often = (share * power).reshape(-1, len(weights))
        each = often.sum(axis=0)
        met = np.einsum("trdc,rd->tdc", rows.reshape(len(table), *often.shape, COLUMNS), often) / each[:, None]
        if np.ptp(met, axis=2).max() < FLAT:  # as of rectifiers
            return self._by_rows(np.broadcast_to(met[:, :, :1], (*met.shape[:2], places[0].shape[1])), each)
        above = np.fft.rfft(np.roll(met, -(COLUMNS // 2), axis=2), axis=2)
        total: Array = np.zeros(())
        for term, (place, rest) in enumerate(zip(places, self._rests)):
            given = np.fft.irfft(above * rest, COLUMNS, axis=2)
            low = np.floor(place).astype(int)
            between = (np.take_along_axis(given, (low + step)[None] % COLUMNS, axis=2) for step in (0, 1))
            here, there = between
            total = total + (here + (place - low) * (there - here)) * parts[:, term, None]**2
        return self._by_rows(total, each)

    def _by_rows(self, table: Array, each: Array) -> tuple[Nodes, Array]:
        """A table over directions and points of the value, for channels that count as `each`, at the value's nodes."""
        # Rows of the value that no channel has been given are as those beside them.
        count, row = len(self.of_value.distribution.share), self._terms.row
        owned = each[:, None] * (row[:, None] == np.arange(count))
        whole = np.einsum("tdc,dr->trc", table, owned)
        given_to = np.bincount(row, each, count)
        found = np.flatnonzero(given_to)
        near = found[np.abs(np.arange(count)[:, None] - found).argmin(axis=1)]
        return from_rows(self.of_value, whole[:, near] / given_to[near][:, None], self.of_value.knots)


class _Terms(NamedTuple):
    """Directions of weights (channels, terms) and their parts of a unit vector; per channel the row of the value that
    it has, its mean and spread; per term the places of the row's points on the lattice, and the spectrum."""

    weights: Array
    parts: Array
    row: Array
    mean: Array
    spread: Array
    places: list[Array]
    spectra: list[Array]


@interned(256)
def _few_terms(value: Value, variances: tuple[float, ...], normed: bool) -> FewTerms:
    return FewTerms(value, variances, normed)


def _summed(spectra: Sequence[Array]) -> tuple[Array, Array]:
    """Points and probabilities of sums of independent terms, of mean 0 and variance 1, shape (channels, columns)."""
    step, spectrum = 2 * REACH / COLUMNS, math.prod(spectra, start=np.ones(1))
    found = np.maximum(np.fft.irfft(spectrum, COLUMNS, axis=1), 0.0)
    found /= found.sum(axis=1, keepdims=True)
    grid = (np.arange(COLUMNS) - COLUMNS // 2 + 0.5) * step
    found = np.roll(found, COLUMNS // 2, axis=1)
    mean = found @ grid
    points = grid - mean[:, None]
    return points / np.sqrt(np.einsum("rc,rc->r", found, points**2))[:, None], found


@remembered(64)
def _directions(terms: int) -> Array:
    """Unit vectors, evenly spread: orthonormal bases, shape (channels, terms)."""
    rng, found = np.random.default_rng(terms), []
    for _ in range(max(round(ROWS[terms > 8] / terms**2), 1) if terms > 1 else 1):
        basis, _ = np.linalg.qr(rng.normal(size=(terms, terms)))
        found.append(basis)
    return np.concatenate(found)


def _mixed(count: int) -> Array:
    """Evenly spread numbers from 0 to 1 in an order that is none."""
    return np.random.default_rng(0).permutation((np.arange(count) + 0.5) / count)


def _split(place: Array, p: Array, size: int) -> Array:
    """Probabilities per row on a ring of so many points; what is between two goes to both, so that means are kept."""
    low = np.floor(place).astype(int)
    part, rows = place - low, np.arange(len(place))[:, None] * size
    total = np.bincount((rows + low % size).ravel(), (p * (1 - part)).ravel(), len(place) * size)
    total += np.bincount((rows + (low + 1) % size).ravel(), (p * part).ravel(), len(place) * size)
    return total.reshape(len(place), size)


def variances_of(weights: Sequence[Array], inputs: int) -> tuple[float, ...]:
    """Variances of the terms of one channel that reads so many others through these taps, over their sum."""
    flat = np.asarray(functools.reduce(np.multiply.outer, weights)).ravel()
    return tuple((np.tile(flat, inputs) / (inputs * flat.sum())).tolist())


def few(taps: int, inputs: int) -> bool:
    """Whether sums of so many taps of so many channels count as sums of few terms, whatever the width."""
    return inputs <= 4 and taps * inputs <= MOST
