"""Equal functions have equal fields: rewrites that leave a function as it is, at random places.

A rewrite is a pair of parts of the same function (or of the same distribution, where weights are
random).  Both are put on the same edge of a random network; prediction, theoretical receptive field,
support, map of sizes, shares of the layers and costs must then be the same.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from generators import (BORDERS, CHANNELS, SEEN, Draw, Part, Place, Sample, activation, branch, draw_network,
                        draw_unit, seen, weights)
from helpers import REWRITE

import erfmath as em
from erfmath.base.errors import SizeError

R = em.Activation("relu")
Pair = tuple[Part, Part]  #: None is nothing at all.


# ---------------------------------------------------------------------------------------------
# parts of one function
# ---------------------------------------------------------------------------------------------

class Rewrite(NamedTuple):
    """How a pair is drawn for a place, and what it leaves.

    Attributes
    ----------
    make : callable
    free : bool
        Whether the costs are the same.
    refusable : {"never", "mean", "ever"}
        Whether the second part may be refused where the first is not: for the mean only, or always.
    unlike : tuple of str
        Looks under which the parts differ, by the meaning of words.
    """

    make: Callable[[Draw, Place], Pair]
    free: bool = False
    refusable: str = "never"
    unlike: tuple[str, ...] = ()


REWRITES: dict[str, Rewrite] = {}


def rewrite(name: str, **leaves: Any) -> Callable[[Any], Any]:
    """Enter a rewrite under `name`."""
    def enter(make: Callable[[Draw, Place], Pair]) -> Callable[[Draw, Place], Pair]:
        assert name not in REWRITES
        REWRITES[name] = Rewrite(make, **leaves)
        return make
    return enter


def ones(place: Place) -> em.Fixed:
    return em.Fixed(np.ones((1,) * place.ndim))


#: What does nothing, by name.
NOTHING: dict[str, Callable[[Draw, Place], Part]] = {
    "identity": lambda draw, place: em.Identity("here"),
    "pad 0": lambda draw, place: em.Pad(0),
    "dropout 0": lambda draw, place: em.Dropout(0.),
    "avg pool 1": lambda draw, place: em.AvgPool(1),
    "max pool 1": lambda draw, place: em.MaxPool(1),
    "blur pool 1": lambda draw, place: em.BlurPool(1, 1),
    "nearest 1": lambda draw, place: em.Upsample(1),
    "bilinear 1": lambda draw, place: em.Upsample(1, "bilinear"),
    "activation identity": lambda draw, place: em.Activation("identity"),
    "leaky relu of slope 1": lambda draw, place: em.Activation("leaky_relu", slope=1.),
    "concat of one": lambda draw, place: em.concat(em.Identity()),
    "add of one": lambda draw, place: em.add(em.Identity()),
    "pad and crop": lambda draw, place: em.serial(em.Pad((1, 2)), em.Pad((-1, -2))),
    "nested serial": lambda draw, place: em.serial(em.serial(em.Identity()), em.serial()),
    "nearest then average": lambda draw, place: em.serial(em.Upsample(2), em.AvgPool(2)),
    "nearest then max": lambda draw, place: em.serial(em.Upsample(2), em.MaxPool(2)),
    "nearest then every second": lambda draw, place: em.serial(em.Upsample(2), em.MaxPool(1, 2)),
}
PAID: dict[str, Callable[[Draw, Place], Part]] = {
    "scale 1": lambda draw, place: em.Scale(1.),
    "frozen batch norm": lambda draw, place: em.BatchNorm("identity"),
    "1x1 filter of ones": lambda draw, place: em.Conv(1, weights=ones(place)),
    "1x1 transposed filter of ones": lambda draw, place: em.ConvTranspose(1, weights=ones(place)),
    "1x1 identity matrix": lambda draw, place: em.Conv(1, weights=em.Fixed(
        np.eye(place.channels).reshape(place.channels, place.channels, *(1,) * place.ndim))),
    "scale a then 1/a": lambda draw, place: em.serial(em.Scale(a := draw.pick((-4., .25, 2.))), em.Scale(1 / a)),
    "half and half": lambda draw, place: em.add(em.Scale(.5), em.Scale(.5)),
    "more than half less than half": lambda draw, place: em.add(em.Identity(), em.Scale(1.5), em.Scale(-1.5)),
}
for _name, _make in [*NOTHING.items(), *PAID.items()]:
    _refusable = {"nearest then max": "mean", "1x1 identity matrix": "ever"}.get(_name, "never")
    rewrite(f"nothing: {_name}", free=_name in NOTHING, refusable=_refusable)(
        lambda draw, place, make=_make: (None, make(draw, place)))


@rewrite("nothing: 3x3 filter with one tap", unlike=("TRF", "support", "shares", "size map"))
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is None:
        raise ValueError("another window on the plane")
    return None, em.Conv(3, weights=em.Fixed(np.pad(np.ones((1,) * place.ndim), 1)))


def unpaid(draw: Draw, place: Place) -> em.Activation:
    """An activation without parameters, of which several cost as much as one."""
    gate = activation(draw, place)
    return em.Activation("leaky_relu", slope=.25) if gate.function == "prelu" else gate


def slope(draw: Draw) -> float:
    return draw.number(.1, .9)


def leaky(a: float) -> em.Activation:
    return em.Activation("leaky_relu", slope=a)


def monotone(draw: Draw) -> em.Activation:
    return draw.pick((R, R, leaky(slope(draw)), em.Activation("tanh"), em.Activation("sigmoid")))


def some_conv(draw: Draw, place: Place, **fields: Any) -> em.Conv:
    """A convolution of random weights, given ones now and then."""
    size = draw.pick((1, 3))
    if draw.chance(.2):
        return em.Conv(size, weights=em.Fixed(draw.array((size,) * place.ndim)), **fields)
    return em.Conv(size, draw.pick(CHANNELS), weights=weights(draw, (size,) * place.ndim), **fields)


def some_pool(draw: Draw, *kinds: Any) -> Part:
    kind = draw.pick(kinds or (em.MaxPool, em.AvgPool))
    return kind(*draw.pick(((2, 2), (3, 2, 1), (3, 1, 1), (2, 1, 0))))


def louder(layer: em.Conv, factor: float) -> em.Conv:
    """A layer of random weights, `factor` times as large."""
    return replace(layer, weights=replace(layer.weights, gain=layer.weights.gain * factor**2))


# -- gates ------------------------------------------------------------------------------------

@rewrite("relu of relu", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return R, em.serial(R, R)


@rewrite("relu of what a relu let pass", free=True)
def _(draw: Draw, place: Place) -> Pair:
    middle = draw.pick((em.MaxPool(3, 1, 1), em.Dropout(.3), em.AvgPool(3, 1, 1), em.Upsample(2), em.Scale(.7)))
    return em.serial(R, middle), em.serial(R, middle, R)


@rewrite("leaky of leaky: slopes multiply", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a, b = slope(draw), slope(draw)
    return leaky(a * b), em.serial(leaky(a), leaky(b))


@rewrite("leaky after relu", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return R, em.serial(R, leaky(slope(draw)))


@rewrite("relu after leaky", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return R, em.serial(leaky(slope(draw)), R)


@rewrite("leaky relu of slope 0", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return R, leaky(0.)


@rewrite("leaky relu as a sum", refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    a = slope(draw)
    return leaky(a), em.add(em.Scale(a), em.serial(R, em.Scale(1 - a)))


@rewrite("relu of a sum of relus", free=True)
def _(draw: Draw, place: Place) -> Pair:
    c = place.channels
    total = em.add(em.serial(em.Conv(3, c), R), em.serial(em.Conv(1, c), em.BatchNorm(), R))
    return total, em.serial(total, R)


@rewrite("max pool and monotone activation exchanged", free=True)
def _(draw: Draw, place: Place) -> Pair:
    pool, gate = some_pool(draw, em.MaxPool), monotone(draw)
    return em.serial(pool, gate), em.serial(gate, pool)


@rewrite("nearest upsampling and activation exchanged", free=True)
def _(draw: Draw, place: Place) -> Pair:
    up, gate = em.Upsample(draw.pick((2, 3))), activation(draw, place)
    return em.serial(up, gate), em.serial(gate, up)


@rewrite("activation of zero at zero and padding exchanged", free=True)
def _(draw: Draw, place: Place) -> Pair:
    gate = em.Activation(draw.pick(("relu", "tanh", "gelu", "silu")))
    return em.serial(em.Pad(1), gate), em.serial(gate, em.Pad(1))


# -- scales -----------------------------------------------------------------------------------

@rewrite("scale a then b is scale ab")
def _(draw: Draw, place: Place) -> Pair:
    a, b = draw.number(), -draw.number()
    return em.Scale(a * b), em.serial(em.Scale(a), em.Scale(b))


@rewrite("scale through relu", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a, gate = em.Scale(draw.number()), draw.pick((R, leaky(slope(draw))))
    return em.serial(a, gate), em.serial(gate, a)


@rewrite("scale through a pool, an upsampling, a pad or a dropout", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a = em.Scale(draw.number())
    layer = draw.pick((some_pool(draw), em.BlurPool(3, 2), em.Upsample(2), em.Upsample(2, "bilinear"), em.Pad(1),
                       em.Dropout(.3)))
    return em.serial(a, layer), em.serial(layer, a)


@rewrite("scale through a convolution", free=True)
def _(draw: Draw, place: Place) -> Pair:
    layer = some_conv(draw, place, stride=draw.pick((1, 2)))
    a = draw.pick((-1, 1)) * draw.number()
    channels = place.after(layer).channels
    if channels != place.channels:  # a scale costs as many parameters as there are channels
        layer = replace(layer, channels=place.channels)
    return em.serial(em.Scale(a), layer), em.serial(layer, em.Scale(a))


@rewrite("scale and gain of a convolution")
def _(draw: Draw, place: Place) -> Pair:
    a, layer = draw.number(), em.Conv(3, draw.pick(CHANNELS), weights=weights(draw, (3,) * place.ndim))
    return louder(layer, a), em.serial(em.Scale(a), layer)


@rewrite("sign before a random convolution")
def _(draw: Draw, place: Place) -> Pair:
    layer = em.Conv(3, draw.pick(CHANNELS))
    return layer, em.serial(em.Scale(-1.), layer)


@rewrite("scale of a sum")
def _(draw: Draw, place: Place) -> Pair:
    a, f = em.Scale(draw.number()), keeping(draw, place)
    return em.serial(em.residual(f), a), em.residual(em.serial(f, a), a)


# -- norms ------------------------------------------------------------------------------------

@rewrite("batch norm after batch norm")
def _(draw: Draw, place: Place) -> Pair:
    return em.BatchNorm(), em.serial(em.BatchNorm(), em.BatchNorm())


@rewrite("layer norm after layer norm")
def _(draw: Draw, place: Place) -> Pair:
    return em.LayerNorm(), em.serial(em.LayerNorm(), em.LayerNorm())


@rewrite("norms of a map twice")
def _(draw: Draw, place: Place) -> Pair:
    groups = draw.pick([g for g in range(1, place.channels + 1) if place.channels % g == 0])
    norm = draw.pick((em.RMSNorm(), em.InstanceNorm(), em.GroupNorm(groups)))
    return norm, em.serial(norm, norm)


@rewrite("scale before a norm")
def _(draw: Draw, place: Place) -> Pair:
    norm = draw.pick((em.BatchNorm(), em.LayerNorm(), em.RMSNorm(), em.InstanceNorm(), em.GroupNorm(place.channels)))
    return norm, em.serial(em.Scale(draw.number()), norm)


@rewrite("gain of a convolution before batch norm", free=True)
def _(draw: Draw, place: Place) -> Pair:
    layer, rest = em.Conv(3, draw.pick(CHANNELS)), draw.pick(((em.BatchNorm(),), (em.BatchNorm(), R)))
    return em.serial(layer, *rest), em.serial(louder(layer, draw.number(.1, 10)), *rest)


@rewrite("frozen norm and gate", free=True)
def _(draw: Draw, place: Place) -> Pair:
    norm, gate = em.BatchNorm("identity"), activation(draw, place)
    return em.serial(norm, gate), em.serial(gate, norm)


# -- dropout ----------------------------------------------------------------------------------

@rewrite("dropout after dropout", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return em.Dropout(1 - .8 * .7), em.serial(em.Dropout(.2), em.Dropout(.3))


@rewrite("dropout through relu", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return em.serial(em.Dropout(.3), R), em.serial(R, em.Dropout(.3))


# -- pools and resampling ---------------------------------------------------------------------

@rewrite("pools of pools", free=True)
def _(draw: Draw, place: Place) -> Pair:
    kind = draw.pick((em.MaxPool, em.AvgPool))
    return kind(4), em.serial(kind(2), kind(2))


@rewrite("max 3 twice is max 5", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return em.MaxPool(5, 1, 2), em.serial(em.MaxPool(3, 1, 1), em.MaxPool(3, 1, 1))


@rewrite("nearest then a pool twice as large", free=True)
def _(draw: Draw, place: Place) -> Pair:
    kind = draw.pick((em.MaxPool, em.MaxPool, em.AvgPool))
    return kind(2), em.serial(em.Upsample(2), kind(4))


@rewrite("nearest after nearest", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return em.Upsample(4), em.serial(em.Upsample(2), em.Upsample(2))


@rewrite("average pool as a filter")
def _(draw: Draw, place: Place) -> Pair:
    k, stride, pad = draw.pick(((2, 2, 0), (3, 1, 1), (3, 2, 1), (2, 1, 0)))
    array = em.Fixed(np.full((k,) * place.ndim, float(k)**-place.ndim))
    return em.AvgPool(k, stride, pad), em.Conv(k, groups=draw.pick((1, "depthwise")), weights=array, stride=stride,
                                               padding=pad)


@rewrite("blur pool as a filter")
def _(draw: Draw, place: Place) -> Pair:
    array = np.array([.25, .5, .25])
    for _ in range(place.ndim - 1):
        array = np.multiply.outer(array, [.25, .5, .25])
    stride = draw.pick((1, 2))
    return em.BlurPool(3, stride), em.Conv(3, weights=em.Fixed(array), stride=stride)


@rewrite("average pool as equal weights")
def _(draw: Draw, place: Place) -> Pair:
    return em.AvgPool(3, 1, 1), em.Conv(3, groups="depthwise", weights=em.Constant())


@rewrite("global pool as an average pool", free=True, unlike=("TRF", "size map", "shares"))
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is None:
        raise ValueError("the plane has no average")
    return em.GlobalAvgPool(), em.AvgPool(place.shape)


@rewrite("nearest as a transposed filter")
def _(draw: Draw, place: Place) -> Pair:
    s = draw.pick((2, 3))
    return em.Upsample(s), em.ConvTranspose(s, stride=s, weights=em.Fixed(np.ones((s,) * place.ndim)))


@rewrite("bilinear as a transposed filter")
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is not None:
        raise ValueError("clamped at edges")
    line = np.array([.25, .75, .75, .25])
    array = line
    for _ in range(place.ndim - 1):
        array = np.multiply.outer(array, line)
    return em.Upsample(2, "bilinear"), em.ConvTranspose(4, stride=2, padding=1, weights=em.Fixed(array))


@rewrite("every second site", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return em.AvgPool(1, 2), em.MaxPool(1, 2)


@rewrite("stride after a convolution")
def _(draw: Draw, place: Place) -> Pair:
    layer = em.Conv(3, draw.pick(CHANNELS))
    return replace(layer, stride=2), em.serial(layer, em.MaxPool(1, 2))


@rewrite("pad before a window", free=True)
def _(draw: Draw, place: Place) -> Pair:
    kind = draw.pick((lambda padding: em.AvgPool(3, 2, padding), lambda padding: em.BlurPool(3, 2, padding),
                      lambda padding: em.Conv(3, 4, stride=2, padding=padding)))
    return kind(1), em.serial(em.Pad(1), kind(0))


# -- convolutions -----------------------------------------------------------------------------

@rewrite("1x1 grouped as a block-diagonal matrix", refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    c, site = place.channels, (1,) * place.ndim
    if c % 2:
        raise ValueError("groups")
    blocks, full = draw.array((c, c // 2)), np.zeros((c, c))
    for g in (slice(0, c // 2), slice(c // 2, c)):
        full[g, g] = blocks[g]
    return (em.Conv(1, groups=2, weights=em.Fixed(blocks.reshape(*blocks.shape, *site))),
            em.Conv(1, weights=em.Fixed(full.reshape(c, c, *site))))


@rewrite("one filter for all channels, written out", free=True)
def _(draw: Draw, place: Place) -> Pair:
    array = draw.array((3,) * place.ndim)
    full = np.broadcast_to(array, (place.channels, 1, *array.shape))
    return (em.Conv(3, groups="depthwise", weights=em.Fixed(array)),
            em.Conv(3, groups="depthwise", weights=em.Fixed(full)))


@rewrite("depthwise is one group a channel", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return em.Conv(3, groups="depthwise"), em.Conv(3, place.channels, groups=place.channels)


@rewrite("separable filter as two", unlike=("shares",))  # gathered in one tap it may have no rule, a line of it has one
def _(draw: Draw, place: Place) -> Pair:
    if place.ndim != 2:
        raise ValueError("two axes")
    a, b = draw.array((3,)), draw.array((3,))
    return (em.Conv(3, weights=em.Fixed(np.outer(a, b))),
            em.serial(em.Conv((3, 1), weights=em.Fixed(a[:, None])), em.Conv((1, 3), weights=em.Fixed(b[None]))))


@rewrite("filter after filter")
def _(draw: Draw, place: Place) -> Pair:
    if place.ndim != 1:
        raise ValueError("one axis")
    a, b = draw.array((3,)), draw.array((2,))
    both = np.convolve(a, b)
    if not both.all():
        raise ValueError("a tap that cancels")
    return (em.Conv(4, weights=em.Fixed(both), padding=0),
            em.serial(em.Conv(3, weights=em.Fixed(a), padding=0), em.Conv(2, weights=em.Fixed(b), padding=0)))


@rewrite("fan out as fan in", free=True)
def _(draw: Draw, place: Place) -> Pair:
    c = draw.pick(CHANNELS)
    return (em.Conv(3, c, weights=em.Random(gain=2., fan="out")),
            em.Conv(3, c, weights=em.Random(gain=2. * place.channels / c)))


@rewrite("uniform weights and a flat profile", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return em.Conv(3, 4), em.Conv(3, 4, weights=em.Random(law="uniform", profile=np.ones((3,) * place.ndim)))


@rewrite("separable profile written out", free=True)
def _(draw: Draw, place: Place) -> Pair:
    line = np.array([.3, 1., .5])
    full = line
    for _ in range(place.ndim - 1):
        full = np.multiply.outer(full, line)
    return (em.Conv(3, 4, weights=em.Random(profile=line)), em.Conv(3, 4, weights=em.Random(profile=full)))


@rewrite("transposed at stride 1 as a convolution", free=True)
def _(draw: Draw, place: Place) -> Pair:
    line = np.array([.3, 1., .5])
    return (em.Conv(3, place.channels, weights=em.Random(profile=line)),
            em.ConvTranspose(3, place.channels, padding=1, weights=em.Random(profile=line[::-1])))


@rewrite("sum of two convolutions as one")
def _(draw: Draw, place: Place) -> Pair:
    c = draw.pick(CHANNELS)
    return (em.Conv(3, c, weights=em.Random(gain=1.75)),
            em.add(*(em.Conv(3, c, weights=em.Random(gain=g)) for g in (.5, 1.25))))


@rewrite("3x3 plus 1x1 as one convolution")
def _(draw: Draw, place: Place) -> Pair:
    c, taps = draw.pick(CHANNELS), 3**place.ndim
    profile = np.full((3,) * place.ndim, 1 / taps)
    profile[(1,) * place.ndim] += .5
    return (em.Conv(3, c, weights=em.Random(gain=1.5, profile=profile)),
            em.add(em.Conv(3, c, weights=em.Random(gain=1.)), em.Conv(1, c, weights=em.Random(gain=.5))))


@rewrite("convolutions side by side as one")
def _(draw: Draw, place: Place) -> Pair:
    w = weights(draw, (3,) * place.ndim)
    w = replace(w, fan="in")
    return em.Conv(3, 6, weights=w), em.concat(em.Conv(3, 2, weights=w), em.Conv(3, 4, weights=w))


# -- sums and concatenations ------------------------------------------------------------------

def keeping(draw: Draw, place: Place) -> Part:
    """A branch that keeps map and channels."""
    return branch(draw, place._replace(keep=True, depth=0), (1, 2), place.channels)


def beside(draw: Draw, place: Place) -> Part:
    """A branch that keeps the map."""
    if draw.chance(.3):
        return em.Identity()
    return branch(draw, place._replace(keep=True, depth=0), (1, 2))


@rewrite("add commuted", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a, b = keeping(draw, place), keeping(draw, place)
    end = draw.pick(((), (R,)))
    return em.serial(em.add(a, b, em.Identity()), *end), em.serial(em.add(em.Identity(), b, a), *end)


@rewrite("add re-associated", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a, b = keeping(draw, place), keeping(draw, place)
    end = draw.pick(((), (R,)))
    return em.serial(em.add(a, b, em.Identity()), *end), em.serial(em.add(a, em.residual(b)), *end)


@rewrite("concat re-associated", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a, b, c = (beside(draw, place) for _ in range(3))
    end = draw.pick(((), (R,), (em.BatchNorm(),), (em.Conv(1, 4),)))
    return (em.serial(em.concat(a, b, c), *end),
            em.serial(draw.pick((em.concat(a, em.concat(b, c)), em.concat(em.concat(a, b), c))), *end))


@rewrite("concat commuted before a convolution", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a, b = beside(draw, place), beside(draw, place)
    return em.serial(em.concat(a, b), em.Conv(1, 4)), em.serial(em.concat(b, a), em.Conv(1, 4))


@rewrite("identity branches", free=True)
def _(draw: Draw, place: Place) -> Pair:
    f, end = keeping(draw, place), draw.pick(((), (R,)))
    nothing = draw.pick((em.Identity("skip"), em.Pad(0), em.AvgPool(1), em.Activation("identity"), em.Dropout(0.)))
    return em.serial(em.residual(f), *end), em.serial(em.residual(f, nothing), *end)


@rewrite("twice the input")
def _(draw: Draw, place: Place) -> Pair:
    return em.Scale(2.), em.add(em.Identity(), em.Identity())


@rewrite("a branch that cancels", refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    return keeping(Draw(np.random.default_rng(0)), place), em.serial(
        em.add(em.Identity(), em.Scale(-1.), em.Identity()), keeping(Draw(np.random.default_rng(0)), place))


@rewrite("layer after a concat on each branch", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a, b = beside(draw, place), beside(draw, place)
    layer = draw.pick((R, unpaid(draw, place), em.BatchNorm(), em.MaxPool(2), em.AvgPool(2), em.Upsample(2),
                       em.Dropout(.2), em.Scale(.7), em.Conv(3, groups="depthwise")))
    return em.serial(em.concat(a, b), layer), em.concat(em.serial(a, layer), em.serial(b, layer))


@rewrite("layer before a concat on each branch", unlike=("shares",))
def _(draw: Draw, place: Place) -> Pair:
    a, b = beside(draw, place), beside(draw, place)
    layer = draw.pick((R, unpaid(draw, place), em.BatchNorm(), em.MaxPool(2), em.AvgPool(2), em.Upsample(2),
                       em.MaxPool(3, 1, 1), em.AvgPool(3, 1, 1), em.Scale(.7), em.Pad(1)))
    return em.serial(layer, em.concat(a, b)), em.concat(em.serial(layer, a), em.serial(layer, b))


@rewrite("linear layer after a sum on each branch")
def _(draw: Draw, place: Place) -> Pair:
    f = keeping(draw, place)
    layer = draw.pick((em.AvgPool(2), em.BlurPool(3, 2), em.Upsample(2), em.Upsample(2, "bilinear"), em.Pad(1),
                       em.Conv(3, weights=em.Fixed(draw.array((3,) * place.ndim)))))
    return em.serial(em.residual(f), layer), em.residual(em.serial(f, layer), layer)


# -- channels and products --------------------------------------------------------------------

def one(place: Place) -> em.Network:
    """1 whatever comes in, on every channel."""
    return em.serial(em.Scale(0.), em.Activation("sigmoid"), em.Scale(2.))


@rewrite("nothing: shuffle there and back", free=True, refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    groups = draw.pick([g for g in range(1, place.channels + 1) if place.channels % g == 0])
    return None, em.serial(em.Shuffle(groups), em.Shuffle(place.channels // groups))


@rewrite("nothing: split then concat", free=True, refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    if place.channels < 2:
        raise ValueError("one channel")
    first = draw.pick(range(1, place.channels))
    return None, em.split([first, place.channels - first], em.Identity(), em.Identity())


@rewrite("nothing: unshuffle then shuffle", free=True, unlike=("TRF", "support", "shares", "size map"),
         refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is None or any(n % 2 for n in place.shape):
        raise ValueError("sites that are dropped")
    return None, em.serial(em.PixelUnshuffle(2), em.PixelShuffle(2))


@rewrite("nothing: multiply by a constant one", refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    return None, em.multiply(*draw.pick(((em.Identity(), one(place)), (one(place), em.Identity()))))


@rewrite("nothing: response norm of zeros")
def _(draw: Draw, place: Place) -> Pair:
    return None, em.GRN()


@rewrite("activation on each part of the channels", free=True, refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    if place.channels < 2:
        raise ValueError("one channel")
    gate = unpaid(draw, place)
    return gate, em.split([1, place.channels - 1], gate, gate)


@rewrite("shuffle before a convolution", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return em.Conv(3, 4), em.serial(em.Shuffle(place.channels), em.Shuffle(1), em.Conv(3, 4))


@rewrite("product commuted", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a, b = em.Conv(3, 4), em.serial(em.Conv(1, 4), activation(draw, place))
    end = draw.pick(((), (em.Conv(1, 4),), (R, em.Conv(1, 4))))
    return em.serial(em.multiply(a, b), *end), em.serial(em.multiply(b, a), *end)


@rewrite("halves of a convolution as two", free=True)
def _(draw: Draw, place: Place) -> Pair:
    gate = activation(draw, place)
    halves = em.multiply(em.Slice(0, 4), em.serial(em.Slice(4, 8), gate))
    return em.multiply(em.Conv(3, 4), em.serial(em.Conv(3, 4), gate)), em.serial(em.Conv(3, 8), halves)


@rewrite("pixel shuffle after a convolution as a transposed one", unlike=("TRF", "shares"))
def _(draw: Draw, place: Place) -> Pair:
    k, end = draw.pick((1, 3)), draw.pick(((), (R, em.Conv(3, 4))))
    return (em.serial(em.ConvTranspose(2 * k, 4, stride=2, padding=k - 1), *end),
            em.serial(em.Conv(k, 4 * 2**place.ndim), em.PixelShuffle(2), *end))


@rewrite("unshuffle before a convolution as a stride", unlike=("shares",))
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is not None and any(n % 2 for n in place.shape):
        raise ValueError("sites that are dropped")
    return em.Conv(6, 4, stride=2, padding=2), em.serial(em.PixelUnshuffle(2), em.Conv(3, 4))


@rewrite("slice of a concat", unlike=("costs", "shares"))
def _(draw: Draw, place: Place) -> Pair:
    a, b = keeping(draw, place), beside(draw, place)
    return a, em.serial(em.concat(a, b), em.Slice(0, place.channels))


def bins_of_two(place: Place) -> tuple[int, ...]:
    """How many bins of two sites there are along each axis."""
    if place.shape is None or any(n % 2 for n in place.shape):
        raise ValueError("bins of one size")
    return tuple(n // 2 for n in place.shape)


@rewrite("adaptive pool of equal bins", free=True, unlike=("TRF", "size map", "shares"))
def _(draw: Draw, place: Place) -> Pair:
    return em.AvgPool(2), em.AdaptiveAvgPool(bins_of_two(place))


@rewrite("dilation of a single tap, and biases of no variance", free=True)
def _(draw: Draw, place: Place) -> Pair:
    c = draw.pick(CHANNELS)
    return em.Conv(1, c), em.Conv(1, c, dilation=draw.pick((2, 3)), padding=0, bias=0.0)


@rewrite("scaled sums re-associated")
def _(draw: Draw, place: Place) -> Pair:
    a, b = keeping(draw, place), keeping(draw, place)
    s, t = draw.number(), draw.number()
    end = draw.pick(((), (R,)))
    return (em.serial(em.add(em.serial(a, em.Scale(s * t)), em.serial(b, em.Scale(t)), em.Identity()), *end),
            em.serial(em.add(em.serial(em.add(em.serial(a, em.Scale(s)), b), em.Scale(t)), em.Identity()), *end))


@rewrite("nothing: shuffled and shuffled again", free=True)
def _(draw: Draw, place: Place) -> Pair:
    groups = draw.pick([g for g in range(1, place.channels + 1) if place.channels % g == 0])
    there, back = em.Shuffle(groups), em.Shuffle(place.channels // groups)
    return None, em.serial(there, back, back, there)


@rewrite("halves of the channels pooled", free=True, refusable="ever", unlike=("shares",))  # pools in a row are one
def _(draw: Draw, place: Place) -> Pair:
    if place.channels < 2:
        raise ValueError("one channel")
    pool = some_pool(draw)
    return pool, em.split([1, place.channels - 1], pool, pool)


@rewrite("group norm of one channel a group")
def _(draw: Draw, place: Place) -> Pair:
    return em.InstanceNorm(), em.GroupNorm(place.channels)


@rewrite("prelu of a quarter", unlike=("costs",))
def _(draw: Draw, place: Place) -> Pair:
    return leaky(.25), em.Activation("prelu")


# -- factors, clips, signs ----------------------------------------------------------------------

@rewrite("clip of clip", free=True)
def _(draw: Draw, place: Place) -> Pair:
    clip = em.Activation(draw.pick(("relu6", "hardtanh")))
    return clip, em.serial(clip, clip)


@rewrite("relu6 after relu", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return em.Activation("relu6"), em.serial(R, em.Activation("relu6"))


@rewrite("activation and shuffle exchanged", free=True)
def _(draw: Draw, place: Place) -> Pair:
    gate = activation(draw, place)
    groups = draw.pick([g for g in range(1, place.channels + 1) if place.channels % g == 0])
    return em.serial(em.Shuffle(groups), gate), em.serial(gate, em.Shuffle(groups))


@rewrite("zeros between sites before a convolution", unlike=("TRF", "support", "shares", "costs", "size map"))
def _(draw: Draw, place: Place) -> Pair:
    zeros = em.ConvTranspose(1, stride=2, weights=em.Fixed(np.ones((1,) * place.ndim)))
    return (em.ConvTranspose(3, 4, stride=2, padding=1, weights=em.Random(gain=1.)),
            em.serial(zeros, em.Conv(3, 4, weights=em.Random(gain=2.**place.ndim))))


@rewrite("batch norm and nearest exchanged")
def _(draw: Draw, place: Place) -> Pair:
    up = em.Upsample(draw.pick((2, 3)))
    return em.serial(em.BatchNorm(), up), em.serial(up, em.BatchNorm())


@rewrite("other norms and nearest exchanged", refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    norm = draw.pick((em.LayerNorm(), em.RMSNorm(), em.InstanceNorm(), em.GroupNorm(1)))
    return em.serial(em.Upsample(2), norm), em.serial(norm, em.Upsample(2))


@rewrite("border before a convolution", unlike=("shares",))
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is None or min(place.shape) < 3:
        raise ValueError("the plane has no border")
    border = draw.pick(BORDERS)
    return (em.Conv(3, 4, padding=1, padding_mode=border), em.serial(em.Pad(1, border), em.Conv(3, 4, padding=0)))


@rewrite("nearest to twice the size", free=True, unlike=("TRF", "size map", "shares"))
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is None:
        raise ValueError("the plane has no size")
    return em.Upsample(2), em.Upsample(size=tuple(2 * n for n in place.shape))


@rewrite("adaptive max pool of equal bins", free=True, unlike=("TRF", "size map", "shares"))
def _(draw: Draw, place: Place) -> Pair:
    return em.MaxPool(2), em.AdaptiveMaxPool(bins_of_two(place))


@rewrite("output padding of a transposed convolution", free=True)
def _(draw: Draw, place: Place) -> Pair:
    return (em.ConvTranspose(3, 4, stride=2, padding=(1, 0)),
            em.ConvTranspose(3, 4, stride=2, padding=1, output_padding=1))


@rewrite("nothing: shuffle to sites and back", unlike=("TRF", "support", "shares", "size map"), refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    if place.channels % 2**place.ndim:
        raise ValueError("channels that do not make sites")
    return None, em.serial(em.PixelShuffle(2), em.PixelUnshuffle(2))


@rewrite("slice of a slice", free=True, refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    if place.channels < 4:
        raise ValueError("few channels")
    return em.Slice(1, 3), em.serial(em.Slice(1, place.channels), em.Slice(0, 2))


@rewrite("product re-associated", free=True)
def _(draw: Draw, place: Place) -> Pair:
    gate = activation(draw, place)
    a, b, c = em.Conv(3, 4), em.serial(em.Conv(1, 4), gate), em.serial(em.Conv(3, 4), em.Activation("sigmoid"))
    end = draw.pick(((), (em.Conv(1, 4),)))
    return (em.serial(em.multiply(a, b, c), *end), em.serial(em.multiply(a, em.multiply(b, c)), *end))


@rewrite("scale of a product", free=True)
def _(draw: Draw, place: Place) -> Pair:
    a, b, factor = em.Conv(3, 4), em.serial(em.Conv(1, 4), activation(draw, place)), em.Scale(draw.number())
    end = draw.pick(((), (R, em.Conv(1, 4))))
    return (em.serial(em.multiply(em.serial(a, factor), b), *end), em.serial(em.multiply(a, b), factor, *end))


@rewrite("map and what its mean tells commuted", free=True)
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is None:
        raise ValueError("the plane has no average")
    squeeze = em.serial(em.GlobalAvgPool(), em.Conv(1, place.channels), em.Activation("sigmoid"))
    end = draw.pick(((), (em.Conv(1, 4),)))
    return (em.serial(em.multiply(em.Identity(), squeeze), *end), em.serial(em.multiply(squeeze, em.Identity()), *end))


@rewrite("layer of each channel of a map times what its mean tells", unlike=("TRF",))
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is None or max(place.shape) == 1:
        raise ValueError("the plane has no average, one site is one")
    gate = em.Activation(draw.pick(("sigmoid", "hardsigmoid", "softplus")))
    squeeze = em.serial(em.GlobalAvgPool(), em.Conv(1, 4), gate)
    layer = draw.pick((some_pool(draw), some_pool(draw), em.BlurPool(3, 2), em.Upsample(2, "bilinear"), R, em.serial(
        some_pool(draw, em.MaxPool), R)))
    begin = em.serial(em.Conv(3, 4), *draw.pick(((), (R,), (em.BatchNorm(), R))))
    return (em.serial(begin, em.multiply(em.Identity(), squeeze), layer, em.Conv(1, 4)),
            em.serial(begin, em.multiply(layer, squeeze), em.Conv(1, 4)))


@rewrite("global pool of an average", free=True, unlike=("TRF", "shares", "size map"))
def _(draw: Draw, place: Place) -> Pair:
    if place.shape is None or any(n % 2 for n in place.shape):
        raise ValueError("sites that are dropped")
    return em.GlobalAvgPool(), em.serial(em.AvgPool(2), em.GlobalAvgPool())


@rewrite("every second site by a filter", unlike=("shares",))
def _(draw: Draw, place: Place) -> Pair:
    return em.AvgPool(1, 2), em.Conv(1, stride=2, padding=0, weights=em.Fixed(np.ones((1,) * place.ndim)))


@rewrite("sign through an odd function", free=True)
def _(draw: Draw, place: Place) -> Pair:
    odd, sign = em.Activation(draw.pick(("tanh", "softsign"))), em.Scale(-1.)
    return em.serial(odd, sign), em.serial(sign, odd)


@rewrite("multiple of an identity matrix", refusable="ever")
def _(draw: Draw, place: Place) -> Pair:
    a, c = draw.number(), place.channels
    return em.Scale(a), em.Conv(1, weights=em.Fixed(a * np.eye(c).reshape(c, c, *(1,) * place.ndim)))


# ---------------------------------------------------------------------------------------------
# networks with a part put on an edge
# ---------------------------------------------------------------------------------------------

class Edge(NamedTuple):
    """Input `slot` of a node; of the output's reader, outside the network, where `reader` is None."""

    reader: int | None
    slot: int = 0


Nodes = list[dict[str, Any]]


def nodes_of(net: em.Network, prefix: str = "") -> Nodes:
    """The JSON nodes of a network, names prefixed."""
    nodes = net.to_dict()["nodes"]
    return [{**node, "name": prefix + node["name"],
             "inputs": [name if name == "input" else prefix + name for name in node["inputs"]]} for node in nodes]


def with_part(net: em.Network, edge: Edge, part: Part) -> em.Network:
    """`net` with `part` (or nothing) on `edge`."""
    if part is None:
        return net
    nodes, output = nodes_of(net), net.output
    source = output if edge.reader is None else nodes[edge.reader]["inputs"][edge.slot]
    inserted = part if isinstance(part, em.Network) else em.serial(part)
    new = nodes_of(inserted, "new:")
    for node in new:
        node["inputs"] = [source if name == "input" else name for name in node["inputs"]]
    end = "new:" + inserted.output
    if edge.reader is None:
        return em.Network.from_dict(_document([*nodes, *new], end))
    reader = dict(nodes[edge.reader])
    reader["inputs"] = [end if slot == edge.slot else name for slot, name in enumerate(reader["inputs"])]
    nodes[edge.reader] = reader
    return em.Network.from_dict(_document([*nodes[:edge.reader], *new, *nodes[edge.reader:]], output))


def _document(nodes: Nodes, output: str) -> dict[str, Any]:
    return {"format": "erfmath-network", "version": 1, "nodes": nodes, "output": output}


@dataclass(frozen=True)
class Case:
    """A rewrite at a place: two networks of one function."""

    name: str
    host: Sample
    edge: Edge
    pair: Pair
    unit: tuple[int, ...]
    node: str | None = None

    @cached_property
    def nets(self) -> tuple[em.Network, em.Network]:
        left, right = (with_part(self.host.net, self.edge, part) for part in self.pair)
        return left, right

    @property
    def options(self) -> dict[str, Any]:
        return {**self.host.options, "unit": self.unit}


@lru_cache(maxsize=512)
def host(seed: int) -> Sample:
    """The random network of a seed, before anything is put into it."""
    return draw_network(np.random.default_rng([1, seed]), layers=(1, 4), most=14)


def place_of(sample: Sample, edge: Edge) -> Place:
    """What comes in on an edge."""
    net = sample.net
    source = net.output if edge.reader is None else net.nodes[edge.reader].inputs[edge.slot]
    channels = {**net.channels(channels_in=sample.channels_in, ndim=sample.ndim), "input": sample.channels_in}
    shapes = None if sample.image is None else {**net.shapes(sample.image), "input": sample.image}
    return Place(channels[source], None if shapes is None else shapes[source], sample.ndim)


def fits(sample: Sample, net: em.Network) -> tuple[int, ...] | None:
    """Shape of the map after `net`; ValueError where it does not fit its image or channels."""
    if net.ndim not in (None, sample.ndim) or seen(net, sample.image, sample.ndim) > SEEN[sample.ndim]:
        raise ValueError("another dimension, or too large")
    net.channels(channels_in=sample.channels_in, ndim=sample.ndim)
    return None if sample.image is None else net.shapes(sample.image)[net.output]


def draw_case(name: str, rng: np.random.Generator, hosts: int) -> Case:
    """`name` at a random place of one of `hosts` random networks."""
    draw = Draw(rng)
    while True:
        sample = host(int(rng.integers(hosts)))
        edges = [Edge(i, slot) for i, node in enumerate(sample.net) for slot in range(len(node.inputs))]
        edge = draw.pick([*edges, Edge(None)])
        try:
            case = Case(name, sample, edge, REWRITES[name].make(draw, place_of(sample, edge)), sample.unit)
            shape, other = (fits(sample, net) for net in case.nets)
        except ValueError:  # channels, a map too small, branches of unequal size: another place
            continue
        assert shape == other, f"{name}: maps of {shape} and {other}"
        unit = sample.unit
        if shape is not None and any(u >= n for u, n in zip(unit, shape)):
            unit = draw_unit(draw, shape, sample.ndim)
        return case if unit == sample.unit else replace(case, unit=unit)


# ---------------------------------------------------------------------------------------------
# what must be the same
# ---------------------------------------------------------------------------------------------

class Refused(NamedTuple):
    """What is computed where the theory has no rule, or where there is nothing that a norm could divide by."""


Look = Callable[[em.Network, dict[str, Any], em.Network], Any]


def spread(centroid: Any, std: Any) -> Any:
    """Means and variances where a unit sees something."""
    return np.nan_to_num(np.asarray(centroid, float)), np.nan_to_num(np.asarray(std, float))**2


def field(net: em.Network, options: dict[str, Any], host: em.Network) -> Any:
    erf = em.predict(net, **options)
    spreads = erf.total != 0 and erf.statistic == "power"
    centroid, variance = spread(erf.centroid, erf.std) if spreads else (0, 0)
    return {"total": erf.total, "variance": variance, "centroid": centroid, "map": erf.map, "origin": erf.origin,
            "statistic": erf.statistic}


def theoretical(net: em.Network, options: dict[str, Any], host: em.Network) -> Any:
    rf = em.receptive_field(net, image=options["image"], ndim=options["ndim"],
                            channels_in=options["channels_in"]).on_plane()
    if rf.infinite:
        return rf.size
    return {"size": rf.size, "stride": [float(step) for step in rf.stride], "centre": rf.center(options["unit"]),
            "window": rf.window(options["unit"])}


def pixels(net: em.Network, options: dict[str, Any], host: em.Network) -> Any:
    mask, origin = em.support(net, image=options["image"], unit=options["unit"], ndim=options["ndim"],
                              channels_in=options["channels_in"])
    return {"origin": origin if mask.size else (), "mask": mask}


def size_map(net: em.Network, options: dict[str, Any], host: em.Network) -> Any:
    if options["image"] is None:
        return None
    sizes = em.erf_size_map(net, options["image"], channels_in=options["channels_in"])
    centroid, variance = spread(sizes.centroid, sizes.std)
    return {"total": sizes.total, "variance": variance, "centroid": centroid, "center": sizes.center}


def shares(net: em.Network, options: dict[str, Any], host: em.Network) -> Any:
    if em.predict(net, **options).total == 0:
        return None
    found = em.layer_shares(net, **options)
    rows = [row for row in found.layers if row.node in host.names]
    # Shares are differences of variances, and compared on the scale of the whole.
    whole = max(found.variance, 1.0)
    return {"nodes": " ".join(row.node for row in rows),
            "variance": [found.variance / whole, *(row.variance / whole for row in rows)], "whole": found.variance,
            "trf": [-1 if row.trf is None else row.trf for row in rows]}


def costs(net: em.Network, options: dict[str, Any], host: em.Network) -> Any:
    if options["image"] is None:
        return None
    of = em.costs(net, options["image"], channels_in=options["channels_in"], ndim=options["ndim"])
    return {name: [of.multiply_adds.get(name, 0), of.parameters.get(name, 0)] for name in host.names}


def all_costs(net: em.Network, options: dict[str, Any], host: em.Network) -> Any:
    if options["image"] is None:
        return None
    of = em.costs(net, options["image"], channels_in=options["channels_in"], ndim=options["ndim"])
    return [of.total_multiply_adds, of.total_parameters]


LOOKS: dict[str, Look] = {"field": field, "TRF": theoretical, "support": pixels, "size map": size_map,
                          "shares": shares, "costs": costs, "all costs": all_costs}
#: What each case is looked at for; the others are dearer, and looked at for some.
ALWAYS, SELDOM = ("field", "TRF", "support", "costs"), ("size map", "shares")


@lru_cache(maxsize=2048)
def _known(look: str, net: em.Network, options: tuple[Any, ...], host: em.Network) -> Any:
    try:
        return LOOKS[look](net, dict(options), host)
    except (NotImplementedError, SizeError):
        return Refused()
    except ValueError as error:
        if "that do not vary" in str(error):  # windows that lie outside the map alone
            return Refused()
        raise


def see(look: str, net: em.Network, options: dict[str, Any], host: em.Network) -> Any:
    """What a network looks like, or `Refused`."""
    return _known(look, net, tuple(options.items()), host)


#: Results in pixels: they are compared on the scale of one, and what may be small is not compared with itself.
PIXELS = ("centroid", "variance", "centre", "center")


def unequal(left: Any, right: Any, least: float = 0.) -> str:
    """What differs between two results, by more than a part of `least` at least; empty if nothing does."""
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return f"{sorted(left.keys() ^ right.keys())} on one side only"
        return next((f"{key}: {text}" for key in left
                     if (text := unequal(left[key], right[key], float(key in PIXELS)))), "")
    if isinstance(left, (str, type(None), Refused)) or isinstance(right, (str, type(None), Refused)):
        return "" if left == right else f"{_short(left)} against {_short(right)}"
    a, b = np.asarray(left, float), np.asarray(right, float)
    if a.shape != b.shape:
        return f"shape {a.shape} against {b.shape}"
    if not a.size:
        return ""
    if np.array_equal(a, b, equal_nan=True):  # a mean of no weight has no variance
        return ""
    scale = np.maximum(np.maximum(abs(a), abs(b)), least)
    room = REWRITE.rtol * scale + REWRITE.atol * scale.max()
    worst = np.unravel_index(np.argmax(abs(a - b) - room), a.shape)
    if abs(a - b)[worst] <= room[worst]:
        return ""
    return f"{a[worst]:.6g} against {b[worst]:.6g}" + (f" at {tuple(map(int, worst))}" if a.ndim else "")


def _short(value: Any) -> str:
    return "refused" if isinstance(value, Refused) else value if isinstance(value, str) else "a result"


def refusable(rule: Rewrite, net: em.Network) -> bool:
    """Whether the second network may be refused."""
    random = any(isinstance(getattr(node.layer, "weights", None), em.Random) for node in net)
    return rule.refusable == "ever" or rule.refusable == "mean" and not random


def fault(case: Case, looks: tuple[str, ...]) -> str:
    """What is wrong with a case, by the first look that sees it; empty if nothing is."""
    left, right = case.nets
    rule = REWRITES[case.name]
    for look in looks + ("all costs",) * rule.free:
        if look in rule.unlike:
            continue
        try:
            results = [see(look, net, case.options, case.host.net) for net in (left, right)]
        except Exception as error:  # whatever it is: no network may crash a prediction
            return f"{look}: {type(error).__name__}: {error}"
        if refusable(rule, right) and isinstance(results[1], Refused):
            continue
        text = unequal(*results)
        if text:
            return f"{look}: {text}"
    return ""


# ---------------------------------------------------------------------------------------------
# the smallest network that fails
# ---------------------------------------------------------------------------------------------

def without(net: em.Network, i: int, keep: str) -> em.Network | None:
    """`net` with node `i` replaced by its input called `keep`, and what nobody reads left out."""
    nodes, gone = nodes_of(net), net.names[i]
    swap = {gone: keep}
    output = swap.get(net.output, net.output)
    nodes = [{**node, "inputs": [swap.get(name, name) for name in node["inputs"]]} for node in nodes
             if node["name"] != gone]
    by_name = {node["name"]: node for node in nodes}
    used, waiting = set(), [output]
    while waiting:
        name = waiting.pop()
        if name != "input" and name not in used:
            used.add(name)
            waiting += by_name[name]["inputs"]
    kept = [node for node in nodes if node["name"] in used]
    if output == "input" or not kept:
        return None
    return em.Network.from_dict(_document(kept, output))


def smaller(case: Case) -> Iterator[Case]:
    """Cases with one node less, or on a smaller image, or at the first unit."""
    net, edge = case.host.net, case.edge
    for i, node in enumerate(net):
        for keep in dict.fromkeys(node.inputs):
            try:
                less = without(net, i, keep)
            except ValueError:
                continue
            if less is None:
                continue
            if edge.reader is None or i == edge.reader:
                places = [Edge(None)] if edge.reader is None else [
                    Edge(j, slot) for j, reader in enumerate(less) for slot in range(len(reader.inputs))] + [Edge(None)]
            else:
                name = net.names[edge.reader]
                if name not in less.names:
                    continue
                reader = less.index(name)
                places = [Edge(reader, slot) for slot in range(len(less.nodes[reader].inputs))]
            for place in places:
                yield replace(case, host=replace(case.host, net=less), edge=place)
    image = case.host.image
    if image is not None and max(image) > 4:
        small = tuple(min(n, max(4, n - 2)) for n in image)
        unit = tuple(min(u, n // 2) for u, n in zip(case.unit, small))
        yield replace(case, host=replace(case.host, image=small, unit=unit), unit=unit)
    if any(case.unit):
        yield replace(case, unit=(0,) * len(case.unit))
    if image is not None:
        yield replace(case, host=replace(case.host, image=None))


def kind_of(text: str) -> tuple[str, str]:
    """Look and kind of a fault: what stays the same when a network gets smaller."""
    look, _, rest = text.partition(": ")
    error = rest.partition(":")[0]
    return look, error if error.endswith(("Error", "Warning")) else "refused" if "refused" in rest else "differs"


def shrunk(case: Case, looks: tuple[str, ...], tries: int = 400, seconds: float = 60) -> Case:
    """The smallest case found that fails in the same way, with so many `tries` and `seconds` of the processor."""
    kind, end = kind_of(fault(case, looks)), time.process_time() + seconds
    found = True
    while found and tries > 0:
        found = False
        for less in smaller(case):
            tries = tries - 1 if time.process_time() < end else 0
            try:
                shape, other = (fits(less.host, net) for net in less.nets)
                inside = shape is None or all(u < n for u, n in zip(less.unit, shape))
                bad = shape == other and inside and kind_of(fault(less, looks)) == kind
            except Exception:  # the part does not fit there
                continue
            if bad:
                case, found = less, True
                break
            if tries <= 0:
                break
    return case


def told(case: Case, looks: tuple[str, ...]) -> str:
    """A failing case as a person wants it."""
    left, right = (json.dumps(net.to_dict()["nodes"]) for net in case.nets)
    options = {key: value for key, value in case.options.items() if value is not None}
    return f"{case.name}: {fault(case, looks)}\n{options}\n{left}\n{right}"


# ---------------------------------------------------------------------------------------------
# the tests
# ---------------------------------------------------------------------------------------------

#: Cases of each rewrite in the default run, in the slow one, and how many random networks they share.
CASES, MANY, HOSTS = 4, 600, 60
#: Bytes that a test may take.
MEMORY = 2 << 30


def run(name: str, cases: int, hosts: int, seed: int = 0, seldom: int = 16) -> tuple[Case, tuple[str, ...]] | None:
    """The first case of a rewrite that fails, if one does; one case in `seldom` is looked at for everything."""
    number = zlib.crc32(name.encode())
    for i in range(cases):
        rng = np.random.default_rng([seed, number, i])
        case, looks = draw_case(name, rng, hosts), ALWAYS + SELDOM * ((number + i) % seldom == 0)
        if fault(case, looks):
            return case, looks
    return None


@pytest.fixture(autouse=True)
def small_memory() -> Iterator[None]:
    """A prediction of a small network that asks for gigabytes fails, and takes nothing else with it."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    most = pages * resource.getpagesize() + MEMORY
    if pages and before[0] in (resource.RLIM_INFINITY, -1):
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", REWRITES)
def test_rewrites(name: str) -> None:
    found = run(name, CASES, HOSTS)
    assert found is None, told(shrunk(*found), found[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", REWRITES)
def test_rewrites_at_many_places(name: str) -> None:
    found = run(name, MANY, 10 * MANY, seed=1)
    assert found is None, told(shrunk(*found), found[1])
