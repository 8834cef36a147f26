"""Power maps against explicit covariances: every layer a dense matrix, every gradient a vector.

The oracle below knows nothing of lags, cones, separability or merging branches.  It carries one
covariance matrix over all entries (node, channel, site) of all gradients that are alive, and takes
it through one layer at a time.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import ROUNDING, assert_close
from site_pairs import NEAREST, RANDOM1, avg, lines

import erfmath as em
from erfmath.theory.memory import forget
from erfmath.theory.rules.base import Rule
from erfmath.theory.rules.convolution import ConvolutionRule
from erfmath.theory.sweep import covariance, pairs, taps

BILINEAR = em.Upsample(2, mode="bilinear")
Array = Any


# ---------------------------------------------------------------------------------------------
# the oracle
# ---------------------------------------------------------------------------------------------

def per(value: Any, axis: int) -> Any:
    return value[axis] if isinstance(value, tuple) else value


def first_padding(layer: Any, axis: int, n: int) -> int:
    """Padding before the first of `n` sites along `axis`."""
    rule = layer.padding
    if isinstance(rule, int):
        return rule
    if isinstance(rule, tuple):
        return rule[axis][0] if isinstance(rule[0], tuple) else rule[0]
    k, s, d = (per(getattr(layer, name, 1), axis) for name in ("kernel_size", "stride", "dilation"))
    if rule == "valid":
        return 0
    if rule == "half":
        return d * (k - 1) // 2
    if layer.transposed:
        return max(k - s, 0) // 2
    windows = len(range(0, n, s))
    return max(s * (windows - 1) + d * (k - 1) + 1 - n, 0) // 2


def axis_reads(layer: Any, axis: int, n: int, out: int) -> Array:
    """reads[a, x, z] = 1 where output site x reads input site z through tap a."""
    k, s, d = (per(getattr(layer, name, 1), axis) for name in ("kernel_size", "stride", "dilation"))
    p = first_padding(layer, axis, n)
    reads = np.zeros((k, out, n))
    for a, x, z in itertools.product(range(k), range(out), range(n)):
        through = x == s * z + a - p if getattr(layer, "transposed", False) else z == s * x + d * a - p
        reads[a, x, z] = through
    return reads


def axis_upsampling(layer: em.Upsample, axis: int, n: int) -> Array:
    """Value at output site x as a combination of input sites."""
    s = per(layer.scale, axis)
    matrix = np.zeros((n * s, n))
    for x in range(n * s):
        if layer.mode == "nearest":
            matrix[x, x // s] = 1
            continue
        source = min(max((x + 0.5) / s - 0.5, 0), n - 1)  # half-pixel centres, clamped
        left = math.floor(source)
        matrix[x, left] += 1 - (source - left)
        matrix[x, min(left + 1, n - 1)] += source - left
    return matrix


def site_reads(layer: Any, shape: tuple[int, ...], out: tuple[int, ...]) -> Array:
    """The same over all axes: reads[tap, output site, input site], taps and sites in C order."""
    lines = [axis_reads(layer, axis, n, m) for axis, (n, m) in enumerate(zip(shape, out))]
    return np.stack([functools.reduce(np.kron, combination)
                     for combination in itertools.product(*lines)])


def same_group(groups: int, c_out: int, c_in: int) -> Array:
    """1 where output channel o and input channel i belong to one group."""
    return np.array([[float(o * groups // c_out == i * groups // c_in) for i in range(c_in)]
                     for o in range(c_out)])


class Passage(NamedTuple):
    """A layer as g_in = J g_out: E[J], and E[J C J^T] - E[J] C E[J]^T as a function of C."""

    mean: Array
    noise: Callable[[Array], Array] | None = None


def convolution(layer: Any, shape: tuple[int, ...], out: tuple[int, ...], c_in: int, c_out: int
                ) -> Passage:
    reads, ndim, weights = site_reads(layer, shape, out), len(shape), layer.weights
    kernel = tuple(per(layer.kernel_size, axis) for axis in range(ndim))
    groups = c_in if layer.groups == "depthwise" else layer.groups
    if isinstance(weights, em.Random):
        profile = np.ones(kernel) if weights.profile is None else weights.profile
        if profile.ndim == 1 and ndim > 1:
            profile = functools.reduce(np.multiply.outer, [profile] * ndim)
        fan = math.prod(kernel) * (c_in if weights.fan == "in" else c_out) / groups
        if layer.transposed:
            fan /= math.prod(per(layer.stride, axis) for axis in range(ndim))
        variance = weights.gain / fan * profile.ravel() / profile.mean()
        group = same_group(groups, c_out, c_in)

        def noise(c: Array) -> Array:
            sites = len(reads[0])
            blocks = np.stack([c[o * sites:(o + 1) * sites, o * sites:(o + 1) * sites]
                               for o in range(c_out)])
            below = np.zeros((c_in, reads.shape[2], c_in, reads.shape[2]))
            for i in range(c_in):
                mixed = np.tensordot(group[:, i], blocks, 1)
                for v, read in zip(variance, reads):
                    below[i, :, i, :] += v * read.T @ mixed @ read
            return below.reshape(c_in * reads.shape[2], -1)

        return Passage(np.zeros((c_in * reads.shape[2], c_out * reads.shape[1])), noise)
    full = np.zeros((c_out, c_in, *kernel))
    if isinstance(weights, em.Constant):
        full[:] = 1 / (math.prod(kernel) * c_in / groups)
        full *= same_group(groups, c_out, c_in).reshape(c_out, c_in, *(1,) * ndim)
    elif weights.array.ndim == ndim:
        for channel in range(c_in):
            full[channel, channel] = weights.array
    else:
        for o, i in np.argwhere(same_group(groups, c_out, c_in)):
            full[o, i] = (weights.array[i, o % (c_out // groups)] if layer.transposed
                          else weights.array[o, i % (c_in // groups)])
    joined = np.einsum("oia,axz->izox", full.reshape(c_out, c_in, -1), reads)
    return Passage(joined.reshape(c_in * reads.shape[2], -1))


def passage(layer: Any, shape: tuple[int, ...], out: tuple[int, ...], c_in: int, c_out: int
            ) -> Passage:
    """What lies at the output of `layer`, handed back to its (single) input."""
    if isinstance(layer, (em.Conv, em.ConvTranspose)):
        return convolution(layer, shape, out, c_in, c_out)
    every = np.eye(c_in)
    if isinstance(layer, em.Upsample):
        lines = [axis_upsampling(layer, axis, n) for axis, n in enumerate(shape)]
        return Passage(np.kron(every, functools.reduce(np.kron, lines)).T)
    if isinstance(layer, em.GlobalAvgPool):
        count = math.prod(shape)
        return Passage(np.kron(every, np.full((1, count), 1 / count)).T)
    if isinstance(layer, em.AvgPool):
        inside = site_reads(layer, shape, out).sum(axis=0)
        count = inside.sum(axis=1, keepdims=True)
        if layer.count_include_pad and layer.padding != "same":
            count = np.full_like(count, math.prod(per(layer.kernel_size, a) for a in range(len(shape))))
        return Passage(np.kron(every, inside / count).T)
    if isinstance(layer, em.BlurPool):
        kernel = [per(layer.kernel_size, axis) for axis in range(len(shape))]
        weights = [math.prod(math.comb(k - 1, a) / 2**(k - 1) for k, a in zip(kernel, tap))
                   for tap in np.ndindex(*kernel)]
        return Passage(np.kron(every, np.tensordot(weights, site_reads(layer, shape, out), 1)).T)
    if isinstance(layer, em.Pad):
        return Passage(np.kron(every, site_reads(layer, shape, out)[0]).T)
    unchanged = np.eye(c_in * math.prod(shape))
    if isinstance(layer, em.Scale):
        return Passage(layer.factor * unchanged)
    if isinstance(layer, em.Dropout):
        return Passage(unchanged, lambda c: layer.p / (1 - layer.p) * np.diag(np.diag(c)))
    assert isinstance(layer, (em.Identity, em.Add))
    return Passage(unchanged)


def largest(inside: Array, channels: int) -> Passage:
    """One of the sites of a window, inside[window, site], gets its gradient: all equally often.

    Of two windows, every order of their sites is equally likely: the largest of both is the winner of each window
    that has it, and the other window's winner is any of its own sites.
    """
    spread = np.kron(np.eye(channels), inside / inside.sum(axis=1, keepdims=True))

    def routed(c: Array) -> Array:
        total = np.zeros((spread.shape[1],) * 2)
        count = len(inside)
        for channel in range(channels):
            for x, y in itertools.product(range(count), repeat=2):
                power = c[channel * count + x, channel * count + y]
                if power:
                    sites = slice(channel * inside.shape[1], (channel + 1) * inside.shape[1])
                    one, other = (spread[channel * count + n, sites] for n in (x, y))
                    total[sites, sites] += power * (winners(inside[x], inside[y]) - np.outer(one, other))
        return total

    return Passage(spread.T, routed)


def winners(a: Array, b: Array) -> Array:
    """P(z wins in window a, w in window b), from where the largest of the union is."""
    joint = np.zeros((len(a), len(a)))
    union = np.flatnonzero((a > 0) | (b > 0))
    for top in union:
        first = np.eye(len(a))[top] if a[top] else a / a.sum()
        second = np.eye(len(a))[top] if b[top] else b / b.sum()
        joint += np.outer(first, second) / len(union)
    return joint


class Oracle:
    """A network on an image, ready to be asked for E[g^2] and E[g]."""

    def __init__(self, net: em.Network, image: tuple[int, ...], node: str | None = None,
                 width: int = 16, channels_in: int = 3) -> None:
        self.net, self.image, self.top = net, image, net.index(node)
        shapes = [image, *net.shapes(image).values()]
        channels = [channels_in, *net.channels(width, channels_in, len(image)).values()]
        self.shapes, self.channels = shapes[1:] + shapes[:1], channels[1:] + channels[:1]
        sizes = [c * math.prod(s) for c, s in zip(self.channels, self.shapes)]
        ends = np.cumsum(sizes)
        self.parts = [slice(end - size, end) for end, size in zip(ends, sizes)]
        self.total = int(ends[-1])

    def edges(self, i: int) -> list[tuple[int, Passage]]:
        """The inputs of node i, each with how it is reached."""
        layer, inputs = self.net.nodes[i].layer, self.net.sources[i]
        if isinstance(layer, em.MaxPool):
            below, inside = self.windows(i)
            return [(below, largest(inside, self.channels[i]))]
        if not isinstance(layer, em.Concat):
            return [(j, passage(layer, self.shapes[j], self.shapes[i], self.channels[j],
                                self.channels[i])) for j in inputs]
        every = np.eye(self.channels[i] * math.prod(self.shapes[i]))
        counts = [self.channels[j] * math.prod(self.shapes[j]) for j in inputs]
        return [(j, Passage(rows)) for j, rows in
                zip(inputs, np.split(every, np.cumsum(counts)[:-1]))]

    def windows(self, i: int) -> tuple[int, Array]:
        """What a max pool reads, through pools right below it, and which of the sites there each window has."""
        j, = self.net.sources[i]
        inside = site_reads(self.net.nodes[i].layer, self.shapes[j], self.shapes[i]).sum(axis=0)
        layer = self.net.nodes[j].layer if j >= 0 else None
        if not isinstance(layer, em.MaxPool) or any(per(layer.stride, a) > per(layer.kernel_size, a)
                                                    for a in range(len(self.image))):
            return j, inside
        below, sites = self.windows(j)
        return below, (inside @ sites > 0).astype(float)

    def unit(self, unit: tuple[int, ...]) -> Array:
        """Entries of all channels of a unit."""
        sites = math.prod(self.shapes[self.top])
        at = np.ravel_multi_index(unit, self.shapes[self.top])
        return self.parts[self.top].start + at + sites * np.arange(self.channels[self.top])

    def power(self, unit: tuple[int, ...]) -> Array:
        covariance, at = np.zeros((self.total, self.total)), self.unit(unit)
        covariance[at, at] = 1 / len(at)
        for i in range(self.top, -1, -1):
            here = self.parts[i]
            if not covariance[here].any():
                continue
            for j, way in self.edges(i):
                below = self.parts[j]
                covariance[below] += way.mean @ covariance[here]
                covariance[:, below] += covariance[:, here] @ way.mean.T
                if way.noise is not None:
                    covariance[below, below] += way.noise(covariance[here, here])
        return self._image(np.diag(covariance))

    def mean(self, unit: tuple[int, ...]) -> Array:
        gradient, at = np.zeros(self.total), self.unit(unit)
        gradient[at] = 1 / len(at)
        for i in range(self.top, -1, -1):
            for j, way in self.edges(i):
                gradient[self.parts[j]] += way.mean @ gradient[self.parts[i]]
        return self._image(gradient)

    def _image(self, values: Array) -> Array:
        return values[self.parts[-1]].reshape(-1, *self.image).sum(axis=0)


def conv(k: Any, **options: Any) -> em.Conv:
    options.setdefault("padding", "same")
    return em.Conv(k, weights=options.pop("weights", RANDOM1), **options)


def test_oracle_by_hand() -> None:
    two = lines(conv(3), avg(2), conv(3), avg(2))
    assert_close(Oracle(two, (11,)).power((4,)).sum(), 0.375, ROUNDING)
    net = em.add(em.Identity(), conv(3, channels=3))
    assert_close(Oracle(net, (5,)).power((2,)), [0, 1 / 3, 4 / 3, 1 / 3, 0], ROUNDING)
    twice = em.add(em.Identity(), em.Identity())
    assert_close(Oracle(twice, (3,)).power((0,)), [4, 0, 0], ROUNDING)
    assert_close(Oracle(lines(em.MaxPool(3, 1, padding=1)), (3,)).power((0,)), [.5, .5, 0], ROUNDING)
    pool = lines(em.MaxPool(2), em.Upsample(2))
    assert_close(Oracle(pool, (4,)).power((3,)), [0, 0, .5, .5], ROUNDING)


# ---------------------------------------------------------------------------------------------
# predict against the oracle
# ---------------------------------------------------------------------------------------------

def assert_same_map(actual: Array, expected: Array) -> None:
    """Equal to rounding of the largest value: covariances of signed filters cancel."""
    assert_close(actual, expected, ROUNDING, scale=float(np.abs(expected).max(initial=0)))


def check(net: em.Network, image: tuple[int, ...], unit: tuple[int, ...], **options: Any) -> None:
    """Power, and the mean where it has a theory, of one unit."""
    oracle = Oracle(net, image, options.get("node"), options.get("width", 16),
                    options.get("channels_in", 3))
    erf = em.predict(net, image=image, unit=unit, statistic="power", **options)
    assert_same_map(erf.map, oracle.power(unit))
    if all(not isinstance(n.layer, (em.MaxPool, em.Dropout))
           and not isinstance(getattr(n.layer, "weights", None), em.Random) for n in net.nodes):
        erf = em.predict(net, image=image, unit=unit, statistic="mean", **options)
        assert_same_map(erf.map, oracle.mean(unit))


def full(rng: np.random.Generator, *shape: int) -> em.Fixed:
    return em.Fixed(rng.normal(size=shape))


RNG = np.random.default_rng(5)
SIGNED3, SIGNED22 = em.Fixed(RNG.normal(size=3)), em.Fixed(RNG.normal(size=(2, 3)))
CASES_1D: dict[str, em.Network] = {
    "dropout between branches": lines(
        em.Dropout(.5), em.add(em.Identity(), em.Scale(2.), conv(3, channels=3)), em.Dropout(.5),
        em.add(em.Identity(), em.Dropout(.1))),
    "identity beside a pool": lines(
        conv(3), em.add(em.Identity(), em.MaxPool(3, 1, 1)), avg(2)),
    "pools at two scales": lines(
        conv(3), avg(2), em.Pad((0, 1)),
        em.add(em.MaxPool(3, 1, 1), em.Scale(-.5), em.serial(em.MaxPool(2), em.Upsample(2)))),
    "nested skips and a concatenation": em.serial(conv(3, channels=4), em.residual(em.residual(
        em.serial(em.concat(em.Identity(), conv(3, channels=2)), conv(3, channels=4))))),
    "lags": lines(conv(3), avg(2), conv(3), avg(2)),
    "lags through stride": lines(avg(3), conv(3, stride=2), avg(3)),
    "lags through dilation": lines(avg(3), conv(3, dilation=2), avg(3), conv(2), avg(2)),
    "nearest and pool": lines(em.AvgPool(2), conv(3), NEAREST),
    "pool and nearest": lines(NEAREST, conv(3), em.AvgPool(2)),
    "bilinear": lines(conv(3), BILINEAR, conv(3), avg(3)),
    "bilinear twice": lines(em.AvgPool(2), conv(3), BILINEAR, conv(3), BILINEAR, conv(3)),
    "bilinear by three": lines(em.AvgPool(3), em.Upsample(3, mode="bilinear"), conv(3)),
    "borders of averages": lines(conv(3), avg(3, padding=1), conv(3),
                                 avg(3, padding=1, count_include_pad=False)),
    "averages same": lines(em.AvgPool(3, 2, padding="same"), conv(3), em.AvgPool(2, 2, padding="same")),
    "blurs": lines(em.BlurPool(), conv(3), em.BlurPool(4, 1, (1, 2)), conv(3), em.BlurPool(2, 2, "same")),
    "transposed": lines(conv(3, stride=2),
                        em.ConvTranspose(4, stride=2, padding=1, weights=RANDOM1), avg(3)),
    "transposed between fixed": lines(
        em.ConvTranspose((3,), stride=2, padding="same", weights=SIGNED3),
        em.ConvTranspose(3, stride=2, padding=(1, 0), weights=RANDOM1),
        em.ConvTranspose((3,), stride=2, padding=1, weights=SIGNED3), em.AvgPool(2)),
    "fixed chain": lines(*[conv((3,), weights=SIGNED3)] * 3),
    "fixed and random": lines(conv((3,), weights=SIGNED3), conv(3), conv((3,), weights=SIGNED3)),
    "constant": lines(conv(3, channels=2, weights=em.Constant()),
                      conv(3, channels=4, weights=em.Constant())),
    "constant, grouped": lines(conv(3, channels=4, weights=em.Constant()),
                               conv(3, channels=4, groups=2, weights=em.Constant())),
    "constant between random": lines(conv(3, channels=3), conv(3, channels=4, weights=em.Constant()),
                                     conv(2, channels=2), conv(3, weights=em.Constant(), channels=3)),
    "constant below dropout": lines(conv(3, channels=2, weights=em.Constant()), em.Dropout(.3),
                                    conv(3, channels=4, weights=em.Constant())),
    "constant below max pool": lines(conv(3, channels=2, weights=em.Constant()), em.MaxPool(2),
                                     conv(3, channels=4, weights=em.Constant())),
    "full": lines(conv((3,), weights=full(RNG, 4, 3, 3)), conv((2,), weights=full(RNG, 2, 4, 2))),
    "full, grouped": lines(conv((3,), weights=full(RNG, 4, 3, 3)),
                           conv((2,), groups=2, weights=full(RNG, 6, 2, 2))),
    "full below random": lines(conv((3,), weights=full(RNG, 4, 3, 3)), avg(2), conv(3, channels=2)),
    "full above random": lines(conv(3, channels=4), avg(2), conv((3,), weights=full(RNG, 2, 4, 3)), avg(3)),
    "full right below random": lines(conv((3,), weights=full(RNG, 4, 3, 3)), conv(3, channels=2)),
    "full above grouped": lines(conv(3), conv(3, channels=2, groups=2), conv((3,), weights=full(RNG, 4, 2, 3))),
    "full on sites outside": lines(
        em.ConvTranspose((3,), stride=2, padding=-2, weights=full(RNG, 3, 2, 3)),
        em.ConvTranspose((1,), padding=-2, weights=full(RNG, 2, 4, 1))),
    "full transposed": lines(
        conv(3, channels=4), em.ConvTranspose((3,), stride=2, padding=1, groups=2,
                                              weights=full(RNG, 4, 3, 3)), avg(2)),
    "depthwise": lines(conv(3, groups="depthwise"), conv(1, channels=4),
                       conv(3, groups="depthwise", weights=em.Constant()), conv(3, groups="depthwise")),
    "fan out": lines(conv(3, channels=4, weights=em.Random(gain=1.5, fan="out")),
                     conv(3, channels=2, groups=2, weights=em.Random(fan="out"))),
    "profile": lines(conv(3, weights=em.Random(profile=[1, 2, 3])), conv(3)),
    "scale and pads": lines(em.Pad((2, -1)), conv(3), em.Scale(-0.5), em.Pad((-2, 1)), avg(2)),
    "dropout": lines(em.Dropout(.25), avg(2), em.Dropout(.5), avg(2)),
    "max pools": lines(em.MaxPool(3, 2, padding=1), conv(3), em.MaxPool(2), conv(2)),
    "max pool between averages": lines(avg(2), em.MaxPool(3, 1, padding=1), avg(3)),
    "max pools overlapping": lines(avg(2), em.MaxPool(3, 2, padding="same"), em.MaxPool(2, 1), avg(2)),
    "global average": lines(conv(3), conv(3), em.GlobalAvgPool()),
    "global average of averages": lines(avg(3), conv(3), avg(2), em.GlobalAvgPool(), conv(1)),
    "residual": em.repeat(em.residual(conv(3, channels=3)), 3),
    "residual of averages": em.repeat(em.residual(lines(conv(3, channels=3), avg(3, padding=1))), 2),
    "identity twice": lines(conv(3, channels=2), em.add(em.Identity(), em.Identity()), conv(3)),
    "add meets without weights": lines(conv(3, channels=2), em.add(em.Identity(), em.Scale(.5)), avg(2)),
    "fixed branches meet": lines(
        conv(3, channels=2), em.add(em.Identity(), conv((3,), weights=SIGNED3)), conv(3),
        em.add(em.Scale(2.), conv((3,), weights=SIGNED3, padding=1)), avg(2)),
    "random and fixed branches": lines(avg(2), em.add(
        em.Identity(), conv((3,), weights=SIGNED3), conv(3, channels=3)), avg(2)),
    "concat": lines(em.concat(conv(3, channels=1), em.Identity(), conv(2, channels=2)), conv(3)),
    "concat of fixed": lines(conv(3, channels=2), em.concat(
        em.Identity(), conv((3,), weights=SIGNED3)), avg(2), conv(3)),
    "concat, depthwise": lines(em.concat(conv(3, channels=1), conv(1, channels=3)),
                               conv(3, groups="depthwise"), conv(3, channels=2)),
    "dense block": lines(conv(3, channels=2), *[em.concat(em.Identity(), conv(3, channels=2))] * 2, avg(2)),
    "bilinear skip": lines(conv(3, channels=2), em.concat(
        em.Identity(), lines(em.AvgPool(2), conv(3, channels=2), BILINEAR)), conv(3), avg(2)),
}
CASES_2D: dict[str, em.Network] = {
    "kernels per axis": lines(conv((2, 3), stride=(1, 2)), avg(2), conv((3, 1), dilation=(2, 1))),
    "signed filter": lines(conv((2, 3), weights=SIGNED22), conv(3), conv((2, 3), weights=SIGNED22)),
    "profile": lines(conv((2, 3), weights=em.Random(profile=[[1, 2, 3], [0, 5, 1]])), avg(2), conv(2)),
    "bilinear": lines(em.AvgPool(2), conv(3), BILINEAR, conv((2, 2))),
    "constant": lines(conv(3, channels=2, weights=em.Constant()), conv(3),
                      conv(2, channels=2, weights=em.Constant())),
    "max pool": lines(avg(2), em.MaxPool(2), conv(2), avg(2, padding=1, count_include_pad=False)),
    "full": lines(conv((2, 2), weights=full(RNG, 2, 3, 2, 2)), conv(2), conv((2, 2), weights=full(RNG, 3, 2, 2, 2)),
                  avg(2)),
    "branches": lines(conv(2, channels=2), em.add(em.Identity(), conv((2, 3), weights=SIGNED22)), avg(2)),
    "upsampling on top": lines(conv(2, channels=2), em.Upsample(3, mode="bilinear")),
    "more sites above than below": lines(conv(2), em.Pad(((2, 1), (1, 3))), conv((2, 1), weights=em.Fixed([[1], [2]]))),
    "borders on one axis": lines(avg(2), em.Pad(((1, -1), (0, 2))), conv(2), avg(2)),
    "transposed": lines(conv(2, stride=2), em.ConvTranspose((3, 2), stride=2, padding="same", weights=RANDOM1), avg(2)),
}


@pytest.mark.parametrize("name", CASES_1D)
def test_cases_1d(name: str) -> None:
    net = CASES_1D[name]
    shape = net.shapes((12,))[net.output]
    for unit in {0, shape[0] // 2, shape[0] - 1}:
        check(net, (12,), (unit,), width=4)


@pytest.mark.parametrize("name", CASES_2D)
def test_cases_2d(name: str) -> None:
    net, image = CASES_2D[name], (6, 4)
    shape = net.shapes(image)[net.output]
    for unit in {(0, 0), tuple(n // 2 for n in shape), (shape[0] - 1, 0)}:
        check(net, image, unit, width=2)


UNRULED: dict[str, em.Network] = {
    "parts of one concatenation after equal weights": lines(
        em.concat(em.Identity(), em.Identity()), conv(3, channels=2, weights=em.Constant()), conv(3)),
    "two layers of given weights below random": lines(
        conv((3,), weights=full(RNG, 4, 3, 3)), conv((3,), weights=full(RNG, 3, 4, 3)), conv(3)),
    "two layers of given weights about a grouped one": lines(
        conv((3,), weights=full(RNG, 4, 3, 3)), conv(3, channels=2, groups=2),
        conv((3,), weights=full(RNG, 4, 2, 3))),
}


@pytest.mark.parametrize("name", UNRULED)
def test_what_has_no_rule_is_refused(name: str) -> None:
    """Each was, or would be, a silently wrong number."""
    with pytest.raises(NotImplementedError, match="erfmath.measure"):
        em.predict(UNRULED[name], image=(12,), width=3)


# ---------------------------------------------------------------------------------------------
# random graphs
# ---------------------------------------------------------------------------------------------

ENTRIES = 100  # of one node's gradient, to keep the oracle quick


def random_weights(rng: random.Random, kernel: tuple[int, ...], c_in: int, transposed: bool,
                   flavour: str) -> dict[str, Any]:
    """Channels, groups and weights of a convolution on `c_in` channels."""
    draw = np.random.default_rng(rng.randrange(2**32))
    groups = rng.choice([g for g in (1, 1, 2, 3) if c_in % g == 0])
    channels = groups * rng.randint(1, 4 // groups)
    kind = rng.choice(["filter", "full", "constant"]
                      + 5 * ["random"] * (flavour != "deterministic") + ["constant"] * (flavour == "constant"))
    if kind == "filter":
        return {"weights": em.Fixed(draw.normal(size=kernel))}
    if kind == "full":
        shape = (c_in, channels // groups) if transposed else (channels, c_in // groups)
        return {"weights": em.Fixed(draw.normal(size=(*shape, *kernel))), "groups": groups}
    if kind == "constant":
        return {"weights": em.Constant(), "channels": channels, "groups": groups}
    profile = draw.random(kernel) if rng.random() < .3 else None
    weights = em.Random(rng.uniform(.5, 2), rng.choice(["in", "out"]), profile)
    if rng.random() < .15:
        return {"weights": weights, "groups": "depthwise"}
    return {"weights": weights, "channels": channels, "groups": groups}


def random_layer(rng: random.Random, ndim: int, c_in: int, flavour: str) -> Any:
    def numbers(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.randint(low, high) for _ in range(ndim))

    def pads(low: int, high: int) -> tuple[tuple[int, int], ...]:
        return tuple(zip(numbers(low, high), numbers(low, high)))

    kind = rng.choice(["conv"] * 5 + ["transposed", "avg", "avg", "max", "upsample", "upsample", "pad",
                                      "scale", "dropout", "global"])
    kernel = numbers(1, 3)
    if kind == "conv":
        return em.Conv(kernel, stride=rng.choice([numbers(1, 1), numbers(1, 2)]), dilation=numbers(1, 2),
                       padding=rng.choice(["same", "valid", pads(0, 2)]),
                       **random_weights(rng, kernel, c_in, False, flavour))
    if kind == "transposed":
        return em.ConvTranspose(kernel, stride=numbers(1, 2), padding=rng.choice(["same", "valid", pads(-1, 1)]),
                                **random_weights(rng, kernel, c_in, True, flavour))
    if kind in ("avg", "max"):
        padding = rng.choice(["same", 0, tuple((rng.randrange(k), rng.randrange(k)) for k in kernel)])
        if kind == "max" and flavour == "mixed":
            return em.MaxPool(kernel, numbers(1, 2), padding=padding)
        return em.AvgPool(kernel, numbers(1, 2), padding=padding, count_include_pad=rng.random() < .5)
    if kind == "upsample":
        return em.Upsample(numbers(1, 3), mode=rng.choice(["nearest", "bilinear"]))
    if kind == "pad":
        return em.Pad(pads(-1, 2))
    if kind == "dropout" and flavour == "mixed":
        return em.Dropout(rng.uniform(.1, .5))
    return em.GlobalAvgPool() if kind == "global" and rng.random() < .2 else em.Scale(rng.uniform(-2, 2))


def random_network(rng: random.Random, image: tuple[int, ...], channels_in: int, flavour: str
                   ) -> em.Network:
    """A graph grown node by node; every fourth node merges others that fit."""
    layers: list[Any] = []
    inputs: list[tuple[int, ...]] = []
    shapes, channels = {-1: image}, {-1: channels_in}
    wanted = rng.randint(2, 7)
    while len(layers) < wanted:
        first = rng.choice([len(layers) - 1] * 2 + list(range(-1, len(layers))))
        layer: Any
        if rng.random() < .25:
            layer = rng.choice([em.Add(), em.Concat()])
            fitting = [j for j in shapes if shapes[j] == shapes[first]
                       and (channels[j] == channels[first] or isinstance(layer, em.Concat))]
            sources = (first, *rng.choices(fitting, k=rng.randint(1, 2)))
        else:
            layer = random_layer(rng, len(image), channels[first], flavour)
            sources = (first,)
        at = len(layers)
        try:
            grown = em.Network([*layers, layer], [*inputs, sources], at)
            shape = [*grown.shapes(image).values()][at]
            count = [*grown.channels(4, channels_in, len(image)).values()][at]
        except ValueError:  # strides that cannot meet, an image that is too small
            continue
        if count <= 4 and count * math.prod(shape) <= ENTRIES:
            layers, inputs = [*layers, layer], [*inputs, sources]
            shapes[at], channels[at] = shape, count
    return em.Network(layers, inputs, len(layers) - 1)


def random_case(seed: int) -> tuple[em.Network, dict[str, Any]]:
    rng = random.Random(seed)
    ndim = rng.choice([1, 1, 2])
    image = tuple(rng.randint(4, 12 // ndim) for _ in range(ndim))
    channels_in = rng.randint(1, 3)
    flavour = rng.choice(["mixed", "mixed", "deterministic", "constant"])
    net = random_network(rng, image, channels_in, flavour)
    unit = tuple(rng.choice([0, n - 1, rng.randrange(n)]) for n in net.shapes(image)[net.output])
    return net, {"image": image, "unit": unit, "channels_in": channels_in, "width": 4}


SEEDS = range(250)


def test_random_graphs() -> None:
    refused = []
    for seed in SEEDS:
        net, options = random_case(seed)
        try:
            check(net, **options)
        except NotImplementedError:
            refused.append(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert len(refused) <= len(SEEDS) // 10, f"no rule for seeds {refused}"


# ---------------------------------------------------------------------------------------------
# the plane, planted errors, sampling
# ---------------------------------------------------------------------------------------------

INTERIOR: dict[str, tuple[int, em.Network]] = {  # dimension, network
    "walk": (1, lines(em.Conv(3, weights=RANDOM1), em.Conv(4, padding=(1, 2), weights=RANDOM1),
                      em.Conv(3, stride=2, weights=RANDOM1), em.Conv(3, dilation=2, weights=RANDOM1))),
    "pools": (1, lines(em.MaxPool(2), avg(3, padding=1), em.Conv(3, weights=RANDOM1), avg(2))),
    "decoder": (1, lines(em.AvgPool(3), BILINEAR, em.Conv(3, weights=RANDOM1),
                         em.ConvTranspose(4, stride=2, padding=1, weights=RANDOM1))),
    "branches": (1, lines(em.concat(em.Conv(3, weights=RANDOM1), em.Identity()),
                          em.Conv(5, weights=RANDOM1), em.add(em.Identity(), em.Conv((3,), weights=SIGNED3)))),
    "2-D": (2, lines(em.Conv((2, 3), padding=(1, 0), weights=RANDOM1), avg(2),
                     em.Conv(3, stride=2, weights=RANDOM1), avg(2))),
    "3-D": (3, lines(em.Conv(3, padding=0, weights=RANDOM1), avg(2), em.Conv(2, padding=0, weights=RANDOM1))),
}


@pytest.mark.parametrize("name", INTERIOR)
def test_plane_is_an_image_without_borders(name: str) -> None:
    ndim, net = INTERIOR[name]
    image = {1: (40,), 2: (24, 26), 3: (9, 10, 11)}[ndim]
    for step in range(2):
        unit = tuple(n // 2 - step for n in net.shapes(image)[net.output])
        plane = em.predict(net, unit=unit, ndim=ndim)
        lo, hi = plane.trf.window(unit)
        assert plane.origin == lo and min(lo) > 0 and all(h < n - 1 for h, n in zip(hi, image))
        inside = em.predict(net, image=image, unit=unit)
        assert_same_map(inside.crop(lo, hi), plane.map)
        assert_close(inside.map.sum(), plane.map.sum(), ROUNDING)


def plant_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(values: Array, start: Any, layer: Any, sizes: Any, weigh: Any = None, flat: bool = False,
              factor: float = 1.0) -> Any:
        def weigh_wrongly(tap: tuple[int, ...], part: Array) -> Array:
            whole = part * factor * (1.0 if flat else layer.weights[tap]) if weigh is None else weigh(tap, part)
            return whole * (1.01 if tap[-1] == 1 else 1.0)
        return taps.adjoint(values, start, layer, sizes, weigh_wrongly)
    for module in (covariance, pairs):
        monkeypatch.setattr(module, "adjoint", wrong)


def plant_border(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: Any) -> Array | None:
        gain = taps.border_gain(*args)
        return None if gain is None else np.where(gain != 1, 1.01, 1.0) * gain
    monkeypatch.setattr(pairs, "border_gain", wrong)


def plant_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ConvolutionRule.lower
    monkeypatch.setattr(ConvolutionRule, "lower", lambda *args: (op := right(*args))._replace(gain=1.01 * op.gain))


def plant_squared_taps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rule, "lags_below", lambda self, op, lags: (0,) * len(lags))


@pytest.mark.parametrize("plant", [plant_tap, plant_border, plant_gain, plant_squared_taps])
def test_planted_errors_are_caught(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net = CASES_1D["borders of averages"]
    check(net, (12,), (0,))
    plant(monkeypatch)
    forget()
    with pytest.raises(AssertionError):
        check(net, (12,), (0,))
    forget()


def test_constant_beside_an_identity_by_hand() -> None:
    # Independent numbers v of variance 1/2 at the unit's two channels, with mean m: what comes back is v + m/3 at
    # the unit's site, and m/3 beside it; E[v m] = E[m^2] = 1/4.
    net = em.serial(em.Conv(1, weights=em.Random(gain=1)), em.residual(em.Conv(3, weights=em.Constant())))
    erf = em.predict(net, width=2, channels_in=1, ndim=1)
    assert_close(erf.map, np.array([1, 25, 1]) / 18, ROUNDING)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("gain", [1e-4, 3.0])
def test_what_hundreds_of_layers_leave_is_beyond_floats(kernel: int, gain: float) -> None:
    """The shape of the field is that of layers that keep the power, however few are looked at on the way."""
    def field(gain: float) -> em.EffectiveReceptiveField:
        layers = em.Conv(kernel, weights=em.Random(gain=gain)), em.Activation("relu")
        return em.predict(em.serial(em.repeat(em.serial(*layers), 250), em.Conv(3)), ndim=1, image=9)
    found, plain = field(gain), field(2.0)
    assert_close(found.share, plain.share, ROUNDING)
    with pytest.raises(OverflowError, match="beyond the range of floats"):
        field(gain**4).total
