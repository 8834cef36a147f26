"""Norms of maps whose channels are of several kinds, however these are put together: they are one function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from generators import Draw
from helpers import REWRITE, assert_close

import erfmath as em

#: Functions with large and small means, curved and not.
FUNCTIONS = ("relu", "leaky_relu", "sigmoid", "hardsigmoid", "softplus", "tanh", "gelu", "identity")
#: Norms through whose statistics gradients pass.
NORMS: tuple[Callable[[], em.Layer], ...] = (em.InstanceNorm, functools.partial(em.BatchNorm, "batch"),
                                             functools.partial(em.GroupNorm, 1))


def kind(draw: Draw, ndim: int, channels: int) -> em.Network:
    """Channels of one kind, from any map."""
    conv, act = em.Conv((3,) * ndim, channels, padding=1), em.Activation(draw.pick(FUNCTIONS))
    more = draw.pick([(), (em.AvgPool(3, 1, 1),), (em.BlurPool(3, 1),), (em.residual(em.serial(conv, act)),),
                      (em.MaxPool(3, 1, 1),), (em.residual(em.Conv((1,) * ndim, channels)), act)])
    return em.serial(conv, *draw.pick([(), (em.BatchNorm(),)]), act, *more)


def ways(draw: Draw, norm: Callable[[], em.Layer], parts: list[em.Network], widths: list[int], beside: em.Part
         ) -> dict[str, em.Network]:
    """The norm of some kinds of channels, beside others, written in several ways."""
    order, at = draw.rng.permutation(len(parts)), [int(draw.rng.integers(1, width)) for width in widths]
    split = [em.concat(em.serial(em.Slice(0, k), norm()), em.serial(em.Slice(k, width), norm()))
             for k, width in zip(at, widths)]
    return {
        "in each": em.concat(*[em.serial(part, norm()) for part in parts], beside),
        "after all": em.concat(em.serial(em.concat(*parts), norm()), beside),
        "in another order": em.concat(beside, em.serial(em.concat(*[parts[k] for k in order]), norm())),
        "in pieces": em.concat(*[em.serial(part, pieces) for part, pieces in zip(parts, split)], beside),
    }


def cases(draw: Draw, norm: Callable[[], em.Layer], among: tuple[int, ...]) -> tuple[dict[str, em.Network], Any]:
    """Networks that are one function, and where to look at them."""
    ndim = draw.pick([1, 1, 2])
    widths = [draw.pick(among) for _ in range(draw.pick([2, 3]))]
    parts = [kind(draw, ndim, width) for width in widths]
    stem, conv = em.Conv((3,) * ndim, draw.pick([2, 6]), padding=1), em.Conv((3,) * ndim, 6, padding=1)
    act = em.Activation(draw.pick(FUNCTIONS))
    found = {name: em.serial(stem, whole, act, conv, norm(), conv)
             for name, whole in ways(draw, norm, parts, widths, kind(draw, ndim, 4)).items()}
    return found, {"image": (draw.pick([4, 7, 9] if ndim == 1 else [4, 5]),) * ndim, "channels_in": 2}


@pytest.mark.parametrize("number", range(40))
def test_batch_norms_of_several_kinds_of_channels(number: int) -> None:
    nets, about = cases(Draw(np.random.default_rng([14, number])), em.BatchNorm, (2, 4, 5))
    expected, *others = [em.predict(net, **about) for net in nets.values()]
    for name, other in zip(list(nets)[1:], others):
        assert_close(other.map, expected.map, REWRITE)


def test_patterns_of_several_kinds_of_channels() -> None:
    """Sampled: 1.855 +- 0.007; 1.777 where patterns are not followed through the concatenation."""
    part, conv = functools.partial(em.Conv, (3,), 48, padding=1), em.Conv((3,), 48, padding=1)
    kinds = em.concat(*[em.serial(part(), em.Activation(name)) for name in ("sigmoid", "softplus")])
    net = em.serial(conv, kinds, conv, em.Activation("sigmoid"), conv, em.BatchNorm(), conv)
    assert em.predict(net, image=6, channels_in=48).total == pytest.approx(1.855, rel=0.025)


@pytest.mark.parametrize("number", range(40))
def test_norms_whose_statistics_gradients_pass(number: int) -> None:
    draw = Draw(np.random.default_rng([15, number]))
    nets, about = cases(draw, draw.pick([em.InstanceNorm, functools.partial(em.BatchNorm, "batch")]), (2, 4, 5))
    expected, *others = [em.predict(net, **about) for net in nets.values()]
    for name, other in zip(list(nets)[1:], others):
        assert_close(other.map, expected.map, REWRITE)


def pieces(draw: Draw) -> tuple[dict[str, em.Network], Any]:
    """A function of several kinds of channels before a norm, of all channels or of parts of them."""
    norm, act, ndim = draw.pick(NORMS)(), em.Activation(draw.pick(["relu", "tanh", "gelu"])), draw.pick([1, 1, 2])
    parts = [kind(draw, ndim, width) for width in (draw.pick([4, 5, 8]), 6)]
    whole, every = em.concat(*parts), int(parts[0].layers[0].channels) + 6
    first, last = sorted(draw.rng.choice(np.arange(1, every), 2, replace=False).tolist())
    slices = [em.Slice(0, first), em.Slice(first, last), em.Slice(last, every)]
    stem, conv = em.Conv((3,) * ndim, 4, padding=1), em.Conv((3,) * ndim, 6, padding=1)
    beside = kind(draw, ndim, 4)  # has no such function: else the ways are found to be one
    ways = {
        "of all": em.concat(em.serial(whole, act), beside),
        "of each": em.concat(*[em.serial(part, act) for part in parts], beside),
        "of pieces": em.concat(em.serial(whole, em.concat(*[em.serial(piece, act) for piece in slices])), beside),
        "nested": em.concat(em.serial(parts[0], act), em.concat(beside, em.serial(parts[1], act))),
    }
    found = {name: em.serial(stem, way, norm, conv, act, norm, conv) for name, way in ways.items()}
    return found, {"image": (draw.pick([6, 9] if ndim == 1 else [4, 5]),) * ndim, "channels_in": 2}


@pytest.mark.parametrize("number", range(30))
def test_functions_of_parts_of_the_channels_before_a_norm(number: int) -> None:
    nets, about = pieces(Draw(np.random.default_rng([16, number])))
    expected, *others = [em.predict(net, **about) for net in nets.values()]
    for other in others:
        assert_close(other.map, expected.map, REWRITE)


@pytest.mark.parametrize("first", [None, 1, 5])
def test_norms_of_kinds_of_channels_that_are_cut(first: int | None) -> None:
    """One function in three ways: 2.44114, 2.41520 and 2.43353 where a node has one number for all of its channels."""
    act, instance = em.Activation("relu"), em.InstanceNorm()
    kinds = em.concat(em.Slice(0, 5), em.serial(em.Slice(5, 6), em.Conv(1, 4)))
    cut = act if first is None else em.concat(
        em.serial(em.Slice(0, first), act), em.serial(em.Slice(first, 9), act))
    net = em.serial(em.Conv(3, 6, padding=1), act, kinds, cut, instance)
    whole = em.serial(em.Conv(3, 6, padding=1), act, kinds, act, instance)
    assert_close(em.predict(net, image=6).map, em.predict(whole, image=6).map, REWRITE)


@pytest.mark.parametrize("widths, after, sampled", [
    ((32, 32), (em.Conv((1,), 32), em.GroupNorm(1), em.Conv((1,), 32)), 1.241),
    ((40, 8), (em.InstanceNorm(), em.Conv((1,), 32)), 1.699)])
def test_norms_of_kinds_of_channels(widths: tuple[int, int], after: tuple[em.Layer, ...], sampled: float) -> None:
    """The width of the map, sampled to 0.3 %; 1.2135 and 1.642 where nodes have one number for all their channels."""
    relu, (one, other, stem) = em.Activation("relu"), (em.Conv((3,), width, padding=1) for width in (*widths, 32))
    net = em.serial(stem, relu, em.concat(one, em.serial(relu, other, em.Activation("tanh"))), *after)
    assert float(em.predict(net, image=12, channels_in=4).std[0]) == pytest.approx(sampled, rel=0.015)
