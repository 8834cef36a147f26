"""What the hypotheses ask of a kind of layer: one entry each, entered by a decorator, found by the kind's name."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..base.errors import quoted
from ..empirics.arrays import Array, place
from ..empirics.convolution import taps
from ..empirics.rules import Step
from ..empirics.rules.activation import activate
from ..empirics.rules.pooling import max_pool, max_pool_winner
from ..layers import (GRN, Activation, AdaptiveAvgPool, AdaptiveMaxPool, Add, AvgPool, BatchNorm, BlurPool, Concat,
                      Conv, ConvTranspose, Dropout, GlobalAvgPool, GroupNorm, Identity, InstanceNorm, LayerNorm,
                      MaxPool, Multiply, Pad, PixelShuffle, PixelUnshuffle, RMSNorm, Scale, Shuffle, Slice, Softmax,
                      Upsample)
from ..layers.registry import Registry
from .slopes import Slope

__all__ = ["KINDS", "Kind", "Observed", "Origin", "State", "kind", "kind_of", "per_channel"]

#: What is known of a gate: one `Slope` for each input, or the shares of a pool's taps.
Observed = Any
#: Mean and variance of the values of each channel, taken to be Gaussian.
State = tuple[Array, Array]
#: Standard normal values and their weights, for the mean of functions that may have kinks.
POINTS = np.linspace(-8.5, 8.5, 1001)
WEIGHTS = np.exp(-POINTS**2 / 2) / np.exp(-POINTS**2 / 2).sum()
#: Functions of one slope between two ends, and none outside.
CLIPPED = {"relu6": (0.0, 6.0, 1.0), "hardtanh": (-1.0, 1.0, 1.0), "hardsigmoid": (-3.0, 3.0, 1 / 6)}
#: Of functions of slope 1 above zero, their slope below.
TWO_SLOPES: dict[str, Callable[[Any], float]] = {"relu": lambda layer: 0.0, "leaky_relu": lambda layer: layer.slope}


class Origin(NamedTuple):
    """Of which value, and which of its channels, another is made without a kernel in between."""

    root: int
    start: int
    stop: int


class Kind:
    """The defaults, which are those of kernels and of averages over sites.

    Attributes
    ----------
    pointwise : bool
        Whether it is a function of its input, site by site and channel by channel.
    hands_on : bool
        Whether it hands gradients on site by site, whatever went forward.
    channelwise : bool
        Whether its gates keep the channels apart.
    """

    pointwise = False
    hands_on = False
    channelwise = False

    def origin(self, layer: Any, above: Origin, channels: int) -> Origin | None:
        """Which of the `channels` of the root its values are made of, if of a value at the same site."""
        return None

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        """The state of its `count` channels from those of its inputs, where that is known."""
        return None

    def told(self, step: Step, state: State | None, count: int) -> Observed | None:
        """What the state of its input tells of its gates."""
        return None

    def seen(self, step: Step, inputs: Sequence[Array]) -> Observed | None:
        """What its inputs over one batch tell of its gates; None where its pull does."""
        return None

    def rivals(self, step: Step) -> int:
        """How many sites compete for the gradient of one."""
        return 1

    def part_open(self, layer: Any) -> tuple[float, float] | None:
        """Slopes of a closed and an open gate, where a part of open gates says all."""
        return None

    def by_hand(self, step: Step, counts: Mapping[int, int], given: Any, key: str) -> Observed:
        """What a user says of its gates, in the shapes that `shown` returns.

        Raises
        ------
        ValueError
            If it has another shape, or says what cannot be.
        """
        channels, two = counts[step.index], self.part_open(step.layer)
        words = f"the mean and the mean square of the slope, (2, {channels})"
        shapes: list[tuple[int, ...]] = [(2, channels)]
        if two is not None:
            shapes = [(), (channels,), *shapes]
            words = f"the part of open gates, a number or ({channels},), or {words}"
        array = _checked(given, shapes, words, key)
        if array.ndim > 1:
            return (_mean_and_square(array, key),)
        if (array < 0).any() or (array > 1).any():
            raise ValueError(f"gates[{quoted(key)}]: parts of open gates must lie between 0 and 1")
        assert two is not None
        low, high = two
        part = np.broadcast_to(array, (channels,))
        return (Slope(low + (high - low) * part, low**2 + (high**2 - low**2) * part),)

    def shown(self, step: Step, what: Observed, channels: int) -> Array:
        """What is known, as `activities` returns it."""
        return np.stack(what[0][:2])


KINDS: Registry[Kind] = Registry("trained networks know nothing of this kind of layer; use erfmath.measure")
kind, kind_of = KINDS.enter, KINDS.of


def _checked(given: Any, shapes: Sequence[tuple[int, ...]], words: str, key: str) -> Array:
    array = np.asarray(given, dtype=float)
    if array.shape not in shapes or not np.isfinite(array).all():
        raise ValueError(f"gates[{quoted(key)}]: shape {array.shape}; must be {words}")
    return array


def _mean_and_square(rows: Array, key: str) -> Slope:
    if (rows[1] < rows[0]**2 * (1 - 1e-9)).any():
        raise ValueError(f"gates[{quoted(key)}]: a mean square must not be less than the square of the mean")
    return Slope(rows[0], rows[1])


def per_channel(x: Array, weight: Array | None = None) -> Array:
    """Mean over draws, images and sites, weighed where any of a channel's weights is not 0."""
    axes = (0, *range(2, x.ndim))
    plain = np.asarray(x.mean(axis=axes, dtype=float))
    if weight is None:
        return plain
    total = weight.sum(axis=axes, dtype=float)
    return np.where(total > 0, (x * weight).sum(axis=axes, dtype=float) / np.where(total > 0, total, 1), plain)


kind(Conv, ConvTranspose, AvgPool, BlurPool, GlobalAvgPool, AdaptiveAvgPool, Upsample, PixelShuffle,
     PixelUnshuffle)(Kind)


class _Same(Kind):
    """Keeps values at their sites."""

    def origin(self, layer: Any, above: Origin, channels: int) -> Origin | None:
        return above


@kind(Identity)
class _Identity(_Same):
    pointwise = hands_on = True

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        return above[0]


@kind(Pad)
class _Pad(_Same):

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        return above[0]


@kind(Scale)
class _Scale(_Same):
    pointwise = hands_on = True

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        factor = getattr(step.layer, "factor")
        return above[0] and (above[0][0] * factor, above[0][1] * factor**2)


@kind(BatchNorm)
class _BatchNorm(_Same):
    """Of given statistics, whose scale and shift are its state."""

    pointwise = hands_on = True


@kind(Dropout)
class _Dropout(_Same):
    hands_on = channelwise = True

    def told(self, step: Step, state: State | None, count: int) -> Observed | None:
        return (Slope(np.ones(count), np.full(count, 1 / (1 - getattr(step.layer, "p")))),)

    def seen(self, step: Step, inputs: Sequence[Array]) -> Observed | None:
        return self.told(step, None, inputs[0].shape[1])


@kind(LayerNorm, GroupNorm, InstanceNorm, RMSNorm, GRN, Softmax)
class _Norm(Kind):
    """Known by the diagonal of their derivative."""

    def origin(self, layer: Any, above: Origin, channels: int) -> Origin | None:
        return Origin(above.root, 0, channels) if layer.mixes_channels else above


@kind(Shuffle)
class _Shuffle(Kind):

    def origin(self, layer: Any, above: Origin, channels: int) -> Origin | None:
        return Origin(above.root, 0, channels)

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        if above[0] is None:
            return None
        mean, variance = (part.reshape(getattr(step.layer, "groups"), -1).T.ravel() for part in above[0])
        return mean, variance


@kind(Slice)
class _Slice(Kind):

    def origin(self, layer: Any, above: Origin, channels: int) -> Origin | None:
        return Origin(above.root, above.start + layer.start, above.start + layer.stop)

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        layer: Any = step.layer
        if above[0] is None:
            return None
        mean, variance = (part[layer.start:layer.stop] for part in above[0])
        return mean, variance


@kind(Add)
class _Add(Kind):

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        if None in above:
            return None
        mean, variance = (sum(np.broadcast_to(state[k], (count,)) for state in above) for k in range(2))
        return np.asarray(mean), np.asarray(variance)


@kind(Concat)
class _Concat(Kind):

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        if None in above:
            return None
        means, variances = zip(*above)
        return np.concatenate(means), np.concatenate(variances)


@kind(Multiply)
class _Multiply(Kind):
    """A factor multiplies the gradient of the others; fused (`fused`), it is one function of its input."""

    channelwise = True

    def seen(self, step: Step, inputs: Sequence[Array]) -> Observed | None:
        parts = [place(x, held, reads) for x, held, reads in zip(inputs, step.forward.held, step.forward.reads)]
        found = []
        for which, by_site in enumerate(self._by_site(step)):
            rest = functools.reduce(operator.mul, parts[:which] + parts[which + 1:])
            found.append(Slope(per_channel(rest), per_channel(rest * rest), by_site))
        return tuple(found)

    def _by_site(self, step: Step) -> list[bool]:
        """Of each input, whether what multiplies its gradient is a number of its own at every site."""
        window = step.forward
        return [math.prod(window.out.shape) == 1 or any(math.prod(other.shape) > 1 for k, other in enumerate(
            window.reads) if k != which) for which in range(len(window.reads))]

    def by_hand(self, step: Step, counts: Mapping[int, int], given: Any, key: str) -> Observed:
        count, channels = len(step.inputs), counts[step.index]
        if count == 1:
            return super().by_hand(step, counts, given, key)
        shape = count, 2, channels
        array = _checked(given, [shape], f"mean and mean square of what multiplies the gradient of each input, {shape}",
                         key)
        # What has a single channel is one number for all of them.
        wide = [max(counts[j] for k, j in enumerate(step.inputs) if k != which) for which in range(count)]
        return tuple(_mean_and_square(rows[:, :n], key)._replace(by_site=by_site)
                     for rows, n, by_site in zip(array, wide, self._by_site(step)))

    def shown(self, step: Step, what: Observed, channels: int) -> Array:
        if len(what) == 1:
            return super().shown(step, what, channels)
        return np.array([np.broadcast_arrays(*slope[:2], np.empty(channels))[:2] for slope in what])


@kind(Activation)
class _Activation(_Same):
    pointwise = channelwise = True

    def _values(self, state: State) -> Array:
        mean, variance = state
        return mean[:, None] + np.sqrt(variance)[:, None] * POINTS

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        layer: Any = step.layer
        if above[0] is None:
            return None
        value = activate(self._values(above[0]), layer.function, layer.slope)[0]
        mean = value @ WEIGHTS
        return mean, np.maximum(value**2 @ WEIGHTS - mean**2, 0)

    def part_open(self, layer: Any) -> tuple[float, float] | None:
        if layer.function in TWO_SLOPES:
            return float(TWO_SLOPES[layer.function](layer)), 1.0
        return (0.0, CLIPPED[layer.function][2]) if layer.function in CLIPPED else None

    def told(self, step: Step, state: State | None, count: int) -> Observed | None:
        from scipy.special import ndtr
        if state is None:
            return None
        layer: Any = step.layer
        mean, variance = state
        deviation, two = np.sqrt(np.maximum(variance, 1e-300)), self.part_open(layer)
        if two is None:
            slope = np.asarray(activate(self._values(state), layer.function, layer.slope)[1], float)
            return (Slope(slope @ WEIGHTS, slope**2 @ WEIGHTS),)
        low, high = two
        first, last, _ = CLIPPED.get(layer.function, (0.0, math.inf, 1.0))
        part = ndtr((last - mean) / deviation) - ndtr((first - mean) / deviation)
        return (Slope(low + (high - low) * part, low**2 + (high**2 - low**2) * part),)

    def shown(self, step: Step, what: Observed, channels: int) -> Array:
        layer: Any = step.layer
        two = self.part_open(layer)
        if two is None or layer.function in CLIPPED or two[0] == two[1]:
            return super().shown(step, what, channels)
        low, high = two
        return np.clip((what[0].mean - low) / (high - low), 0, 1)


@kind(MaxPool)
class _MaxPool(_Same):
    channelwise = True

    def rivals(self, step: Step) -> int:
        return math.prod(step.kernel)

    def state(self, step: Step, above: Sequence[Any], count: int) -> State | None:
        """Of the largest of so many independent Gaussian values."""
        from scipy.special import ndtr
        if above[0] is None:
            return None
        mean, variance = above[0]
        weights = np.gradient(ndtr(POINTS)**self.rivals(step))
        first, second = (float(weights @ POINTS**k / weights.sum()) for k in (1, 2))
        return mean + np.sqrt(variance) * first, variance * (second - first**2)

    def told(self, step: Step, state: State | None, count: int) -> Observed | None:
        return np.full((1, self.rivals(step)), 1 / self.rivals(step))

    def seen(self, step: Step, inputs: Sequence[Array]) -> Observed | None:
        """How often each tap of a window that lies inside the map has its largest value, (channels, taps)."""
        read = step.forward.read(inputs[0], fill=-np.inf)
        geometry = (step.kernel, step.stride, step.dilation)
        y = max_pool(read, *geometry)
        winner = max_pool_winner(read, y, *geometry)
        views = [view[:1, 0, 0] > -np.inf for view in taps(read[:1, :1, :1], *geometry, y.shape[3:])]
        inside = np.broadcast_to(functools.reduce(operator.and_, views)[:, None, None], winner.shape[:1] + (1,) * 2
                                 + winner.shape[3:])
        counts = np.stack([per_channel((winner == a) * inside) for a in range(len(views))], axis=1)
        total = counts.sum(axis=1, keepdims=True)
        return np.where(total > 0, counts / np.where(total > 0, total, 1), 1 / len(views))

    def by_hand(self, step: Step, counts: Mapping[int, int], given: Any, key: str) -> Observed:
        channels, n = counts[step.index], self.rivals(step)
        shares = _checked(given, [(n,), (channels, n)], f"the share of each tap, ({n},) or ({channels}, {n})",
                          key).reshape(-1, n)
        if (shares < 0).any() or not np.allclose(shares.sum(axis=1), 1):
            raise ValueError(f"gates[{quoted(key)}]: shares must not be negative, and sum to 1")
        return shares

    def shown(self, step: Step, what: Observed, channels: int) -> Array:
        return np.asarray(what)


@kind(AdaptiveMaxPool)
class _AdaptiveMaxPool(Kind):
    """Nothing has to be known: every site of a bin is as likely to hold its largest value."""

    channelwise = True

    def told(self, step: Step, state: State | None, count: int) -> Observed | None:
        return ()

    def seen(self, step: Step, inputs: Sequence[Array]) -> Observed | None:
        return ()
