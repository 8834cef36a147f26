"""What multiplies gradients where a layer depends on the data: its mean, and its mean square.

A gate multiplies the gradient of site x of channel c by a number of mean p and mean square s: an open or closed one
with s = p, a smooth one with E phi' and E phi'^2.  Under the hypothesis that these numbers are independent of each
other, nothing else of them matters for E[g^2] (docs/trained.md).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..empirics.arrays import Array, on_space, summed_to
from ..empirics.convolution import taps_by_rest
from ..empirics.rules import Step

__all__ = ["Bins", "Gate", "Routes", "Slope", "Slopes", "signs", "signs_of_draws", "window_sites"]

#: Of each byte its bits, (256, 8).
BITS_OF_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)).reshape(256, 8)
#: Gradients that a pool hands on together.
BLOCK = 2**16


class Slope(NamedTuple):
    """Mean and mean square of what multiplies gradients, (channels,) or (1,) each.

    `by_site` is whether every site has a number of its own; else one serves the whole map.
    """

    mean: Array
    square: Array
    by_site: bool = True

    @property
    def spread(self) -> Array:
        """Standard deviation."""
        return np.sqrt(np.maximum(self.square - self.mean**2, 0))


class Gate:
    """A layer that depends on the data, known by what it does on average.

    Random numbers of mean 0 and variance 1 say how a draw differs from the average.
    """

    step: Step

    @property
    def independent(self) -> bool:
        """Whether every site and channel has a number of its own."""
        return True

    def numbers(self, dy: Array) -> list[tuple[int, ...]]:
        """Shapes of the random numbers for one gradient."""
        raise NotImplementedError

    def passed(self, dy: Array) -> list[Array]:
        """Gradients of the inputs if everything has its mean."""
        raise NotImplementedError

    def varied(self, dy: Array, numbers: Sequence[Array]) -> list[Array]:
        """What random `numbers`, (draws, *shape), add to that."""
        raise NotImplementedError

    def drawn(self, dy: Array, numbers: Sequence[Array]) -> list[Array]:
        """Both together."""
        return [mean + part for mean, part in zip(self.passed(dy), self.varied(dy, numbers))]

    def sample(self, dy: Array, rng: np.random.Generator) -> list[Array]:
        """The same with random signs, which each draw has of its own."""
        return self.drawn(dy, [signs_of_draws(rng, len(dy), shape, dy) for shape in self.numbers(dy)])


@dataclass(frozen=True)
class Slopes(Gate):
    """Of activations, products, norms: one `Slope` for each input, which has so many `channels`."""

    step: Step
    slopes: tuple[Slope, ...]
    channels: tuple[int, ...]

    @property
    def independent(self) -> bool:
        return all(slope.by_site and len(slope.mean) == channels for slope, channels in zip(self.slopes, self.channels))

    def numbers(self, dy: Array) -> list[tuple[int, ...]]:
        return [(dy.shape[1] if len(slope.mean) > 1 else 1, dy.shape[2],
                 *(n if slope.by_site else 1 for n in dy.shape[3:])) for slope in self.slopes]

    def passed(self, dy: Array) -> list[Array]:
        return [self._given(which, dy * _wide(slope.mean, dy)) for which, slope in enumerate(self.slopes)]

    def varied(self, dy: Array, numbers: Sequence[Array]) -> list[Array]:
        return [self._given(which, dy * (_wide(slope.spread, dy) * xi))
                for which, (slope, xi) in enumerate(zip(self.slopes, numbers))]

    def sample(self, dy: Array, rng: np.random.Generator) -> list[Array]:
        """Channel by channel, so that what is drawn stays in the cache."""
        shapes = self.numbers(dy)
        if any(shape != dy.shape[1:] for shape in shapes):
            return super().sample(dy, rng)
        parts = []
        for which, slope in enumerate(self.slopes):
            ends = np.stack([slope.mean - slope.spread, slope.mean + slope.spread], axis=1).astype(dy.dtype)
            dx = np.empty_like(dy)
            for c in range(dy.shape[1]):
                of_byte = ends[c % len(ends)].take(BITS_OF_BYTES)
                drawn = of_byte.take(_bits(rng, math.ceil(dy[:, c].size / 8), np.uint8), axis=0, mode="clip")
                np.multiply(dy[:, c], drawn.ravel()[:dy[:, c].size].reshape(dy[:, c].shape), out=dx[:, c])
            parts.append(self._given(which, dx))
        return parts

    def _given(self, which: int, dx: Array) -> Array:
        window = self.step.backward
        shape = (len(dx), self.channels[which], dx.shape[2], *window.reads[which].shape)
        return window.give_back(summed_to(dx, shape), which)


@dataclass(frozen=True)
class Routes(Gate):
    """Of a max pool: how often each tap of a window holds its largest value, (channels or 1, taps).

    `sites` is the number of sites of its input per axis; taps outside never win.
    """

    step: Step
    shares: Array
    sites: tuple[int, ...] | None
    kept: dict[Any, list[Array]] = field(default_factory=dict, compare=False)

    def numbers(self, dy: Array) -> list[tuple[int, ...]]:
        return [(self.shares.shape[1], *dy.shape[1:])]

    def passed(self, dy: Array) -> list[Array]:
        shares = self._by_tap(dy.dtype)
        return [self._routed(dy, lambda a, part: np.multiply(dy, shares[a], out=part))]

    def varied(self, dy: Array, numbers: Sequence[Array]) -> list[Array]:
        # The covariance of the indicators of the winner is diag(w) - w w^T.
        shares = self._by_tap(dy.dtype)
        common = sum(np.sqrt(share) * numbers[0][:, a] for a, share in enumerate(shares))

        def of_tap(a: int, part: Array) -> Array:
            np.multiply(np.sqrt(shares[a]), numbers[0][:, a], out=part)
            part -= shares[a] * common
            part *= dy
            return part
        return [self._routed(common * dy, of_tap)]

    def sample(self, dy: Array, rng: np.random.Generator) -> list[Array]:
        """A winner for each window, some channels after others, so that what is drawn stays in the cache."""
        dx, ends = self._empty(dy), self._ends()
        each = max(1, BLOCK * dy.shape[1] // max(dy.size, 1))
        for first in range(0, dy.shape[1], each):
            some = slice(first, first + each)
            part = dy[:, some]
            drawn = _bits(rng, part.size, np.uint16).reshape(np.moveaxis(part, 0, 2).shape)
            winner, won = (np.empty(drawn.shape, dtype) for dtype in (np.uint8, bool))
            winner[...] = 0
            for end in ends:
                winner += np.greater_equal(drawn, end[some if len(end) > 1 else slice(1)], out=won).view(np.uint8)
            at, chosen = np.moveaxis(winner, 2, 0), np.moveaxis(won, 2, 0)

            def of_tap(a: int, product: Array, part: Array = part, at: Array = at, chosen: Array = chosen) -> Array:
                return np.multiply(part, np.equal(at, a, out=chosen), out=product)
            self._route(dx[:, some], part, of_tap)
        return [self.step.backward.give_back(dx)]

    def _ends(self) -> list[Array]:
        """Of numbers 0 to 65535, from which on a tap further on wins, (channels or 1, 1, 1, *out)."""
        if np.uint16 not in self.kept:
            parts = np.cumsum(self._by_tap(np.float64)[:-1], axis=0)
            self.kept[np.uint16] = list(np.minimum(parts * 2**16, 2**16 - 1).astype(np.uint16)[:, :, :, None])
        return self.kept[np.uint16]

    def _by_tap(self, dtype: Any) -> list[Array]:
        """Shares of each tap, for every window of the backward pass, (channels or 1, 1, *out)."""
        if dtype not in self.kept:
            self.kept[dtype] = self._every_window(dtype)
        return self.kept[dtype]

    def _every_window(self, dtype: Any) -> list[Array]:
        step = self.step
        there = window_sites(step, self.sites)
        whole = self.shares[:, :, None].reshape(*self.shares.shape, *(1,) * len(step.geometry)) * there
        total = whole.sum(axis=1, keepdims=True)
        whole = np.divide(whole, total, out=np.zeros(whole.shape), where=total > 0).astype(dtype)
        return [whole[:, a, None] for a in range(whole.shape[1])]

    def _empty(self, like: Array) -> Array:
        """What `_route` fills: sites that no tap meets hold zeros."""
        step = self.step
        every = len(taps_by_rest(step.kernel, step.stride, step.dilation)) == math.prod(step.stride)
        make = np.empty_like if every else np.zeros_like
        return make(like, shape=(*like.shape[:3], *step.backward.reads[0].shape))

    def _routed(self, like: Array, of_tap: Callable[[int, Array], Array]) -> Array:
        """The gradient of the input."""
        dx = self._empty(like)
        self._route(dx, like, of_tap)
        return self.step.backward.give_back(dx)

    def _route(self, dx: Array, like: Array, of_tap: Callable[[int, Array], Array]) -> None:
        """Into `dx`; `of_tap` puts what a tap gets into an array of the shape of `like`."""
        step, part = self.step, np.empty_like(like)
        for rest, meeting in taps_by_rest(step.kernel, step.stride, step.dilation).items():
            view = dx[on_space(slice(r, None, s) for r, s in zip(rest, step.stride))]
            sums = np.zeros_like(view)
            for a, offset in meeting:
                sums[on_space(slice(q, q + n) for q, n in zip(offset, step.backward.out.shape))] += of_tap(a, part)
            view[...] = sums


def window_sites(step: Step, sites: tuple[int, ...] | None) -> Array:
    """Whether each tap of each window of the backward pass lies on the map, (taps, *out)."""
    window = step.backward
    lines = []
    for g, lo, hi, first, n in zip(step.geometry, window.out.lo, window.out.hi, window.reads[0].lo,
                                   sites or (None,) * len(step.geometry)):
        at = first + g.stride * np.arange(hi - lo + 1) + g.dilation * np.arange(g.kernel)[:, None]
        lines.append(np.ones(at.shape, bool) if n is None else (at >= 0) & (at < n))
    n = len(lines)
    whole = functools.reduce(np.logical_and.outer, lines).transpose(*range(0, 2 * n, 2), *range(1, 2 * n, 2))
    return whole.reshape(-1, *whole.shape[n:])


@dataclass(frozen=True)
class Bins(Gate):
    """Of a max pool into a given number of bins: every site of a bin is as likely to hold its largest value."""

    step: Step

    def numbers(self, dy: Array) -> list[tuple[int, ...]]:
        return [(*dy.shape[1:3], *(matrix.shape[1] for matrix in self.step.backward.matrices), dy[0, 0, 0].size)]

    def passed(self, dy: Array) -> list[Array]:
        window = self.step.backward
        dx = np.zeros_like(dy, shape=(*dy.shape[:3], *window.held[0].shape))
        for value, sites, part in self._bins(dy):
            dx[sites] += value * dx.dtype.type(part)
        return [dx]

    def varied(self, dy: Array, numbers: Sequence[Array]) -> list[Array]:
        window = self.step.backward
        dx = np.zeros_like(dy, shape=(len(numbers[0]), *dy.shape[1:3], *window.held[0].shape))
        space = tuple(range(3, dx.ndim))
        for i, (value, sites, part) in enumerate(self._bins(dy)):
            xi = numbers[0][..., i][sites]
            dx[sites] += value * (xi - xi.mean(axis=space, keepdims=True)) * dx.dtype.type(math.sqrt(part))
        return [dx]

    def _bins(self, dy: Array) -> Any:
        """The gradient, an index of the sites, and the share of each of them, bin by bin."""
        matrices = [matrix.astype(bool) for matrix in self.step.backward.matrices]
        for bins in itertools.product(*(range(len(matrix)) for matrix in matrices)):
            lines = [np.flatnonzero(matrix[b]) for matrix, b in zip(matrices, bins)]
            sites = (slice(None),) * 3 + tuple(slice(line[0], line[-1] + 1) for line in lines)
            value = dy[(slice(None),) * 3 + tuple(slice(b, b + 1) for b in bins)]
            yield value, sites, 1 / math.prod(len(line) for line in lines)


def _bits(rng: np.random.Generator, count: int, dtype: Any) -> Array:
    """Independent unsigned integers."""
    size = np.dtype(dtype).itemsize
    return rng.bit_generator.random_raw(math.ceil(count * size / 8)).view(dtype)[:count]


def signs(rng: np.random.Generator, shape: Sequence[int], dtype: Any) -> Array:
    """Independent -1 and 1."""
    count = math.prod(shape)
    of_byte = (BITS_OF_BYTES * 2.0 - 1).astype(dtype)
    drawn = of_byte.take(_bits(rng, math.ceil(count / 8), np.uint8), axis=0, mode="clip")
    return drawn.ravel()[:count].reshape(shape)


def signs_of_draws(rng: np.random.Generator, draws: int, shape: Sequence[int], dy: Array) -> Array:
    """Signs (draws, *shape), draws side by side before the axes of space of `dy`, where linear layers leave them."""
    at = len(shape) - (dy.ndim - 3)
    return np.moveaxis(signs(rng, (*shape[:at], draws, *shape[at:]), dy.dtype), at, 0)


def _wide(numbers: Array, like: Array) -> Array:
    return numbers.astype(like.dtype).reshape(-1, *(1,) * (like.ndim - 2))
