"""Layers in a row, and layers side by side, that are one function have one field."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, assert_close
from single_layers import close, drawn, run_of
from vocabulary import LAYERS

import erfmath as em
from erfmath.layers.base import KINDS
from erfmath.layers.weights import Random
from erfmath.theory.rules.fusion import Row, as_one, related
from erfmath.theory.rules.traits import homogeneous

R, SIGMOID = em.Activation("relu"), em.Activation("sigmoid")
UP, TANH, GELU = em.Upsample(2), em.Activation("tanh"), em.Activation("gelu_tanh")
LINE = np.array([.3, 1., .5])
SUMS = em.add(em.Conv(3, 2, weights=Random(gain=1.)), em.Conv(1, 2, weights=Random(gain=.5)))
WIDE = Random(gain=1.5, profile=np.pad([.5], 1) + 1 / 3)
BLUR = em.Conv(3, groups="depthwise", weights=em.Fixed(np.array([-.7, -.1, 1.3])))

TWICE, LAST = em.concat(em.Identity(), em.Identity()), em.Conv(3, weights=em.Fixed(np.array([-.6, -.5, .2])))
GROUPED = em.serial(em.Conv(3, 4, groups=2, dilation=2), em.Conv(5, 2), em.Conv(1, 8))

#: Two ways to write one function, and what they are put into; each was told apart once.
PAIRS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "an average as a filter, before a norm": (
        em.serial(em.Conv(2, 4, stride=2, padding=((0, 1),)), em.AvgPool(3, 1, 1), em.BatchNorm()),
        em.serial(em.Conv(2, 4, stride=2, padding=((0, 1),)), em.Conv(3, groups="depthwise", weights=em.Fixed(
            np.full(3, 1 / 3))), em.BatchNorm()), {"image": 5, "unit": 0}),
    "a pool of copies after a pool": (em.serial(em.Conv(3, 4), em.MaxPool(3, 2, 1), em.MaxPool(2)), em.serial(
        em.Conv(3, 4), em.MaxPool(3, 2, 1), UP, em.MaxPool(4)), {}),
    "copies of copies": (em.serial(SIGMOID, em.Upsample(4), em.MaxPool(2, 2, "same"), em.Conv(3, 2), SIGMOID),
                         em.serial(SIGMOID, UP, UP, em.MaxPool(2, 2, "same"), em.Conv(3, 2), SIGMOID), {"image": 4}),
    "copies of copies, pooled": (em.serial(em.Conv(3, 4), UP, SIGMOID), em.serial(
        em.Conv(3, 4), UP, UP, em.MaxPool(2), SIGMOID), {}),
    "a sum before a norm": (em.serial(R, em.Conv(3, 2, weights=WIDE), em.Conv(3, 2), em.BatchNorm()), em.serial(
        R, SUMS, em.Conv(3, 2), em.BatchNorm()), {"image": 4, "unit": 0}),
    "the whole map": (em.serial(em.Conv(5, 6, padding=1), em.Activation("silu"), em.GlobalAvgPool(), SIGMOID),
                      em.serial(em.Conv(5, 6, padding=1), em.Activation("silu"), em.AvgPool(9), SIGMOID),
                      {"image": 11}),
    "copies, then the whole map": (em.serial(em.Conv(3, 6), em.BlurPool(), UP, em.GlobalAvgPool(), em.BatchNorm()),
                                   em.serial(em.Conv(3, 6), em.BlurPool(), em.AvgPool(11), em.BatchNorm()),
                                   {"image": 22}),
    "a pad between filters": (em.serial(R, BLUR, em.BlurPool(3, 2, 1), SIGMOID, em.Conv(1, 2)), em.serial(
        R, BLUR, em.Pad(1), em.BlurPool(3, 2, 0), SIGMOID, em.Conv(1, 2)), {}),
    "sites to channels": (em.serial(em.concat(em.Identity(), em.serial(em.MaxPool(2), UP)), em.Conv(
        6, 4, stride=2, padding=2)), em.serial(em.concat(em.Identity(), em.serial(em.MaxPool(2), UP)),
                                               em.PixelUnshuffle(2), em.Conv(3, 4)), {}),
    "a scale of both terms": (em.serial(em.Conv(3, 6), em.residual(em.MaxPool(3, 1, 1)), em.Scale(1.3), R), em.serial(
        em.Conv(3, 6), em.residual(em.serial(em.MaxPool(3, 1, 1), em.Scale(1.3)), em.Scale(1.3)), R), {}),
    "a scale before a gate": (em.serial(em.Conv(3, 6), em.Activation("elu"), em.residual(em.serial(
        em.Scale(.9), R, em.AvgPool(3, 1, 1)))), em.serial(em.Conv(3, 6), em.Activation("elu"), em.residual(em.serial(
            R, em.Scale(.9), em.AvgPool(3, 1, 1)))), {"image": 6, "unit": 0}),
    "a filter after a sum of filters": (em.serial(em.residual(BLUR), em.BlurPool(), SIGMOID, em.Conv(3, 2)), em.serial(
        em.add(em.serial(BLUR, em.BlurPool()), em.BlurPool()), SIGMOID, em.Conv(3, 2)), {}),
    "a factor of one of two filtered terms": (
        em.serial(em.Conv(3, groups="depthwise"), em.residual(em.Scale(-.66)), em.BlurPool(), em.Activation("relu6")),
        em.serial(em.Conv(3, groups="depthwise"), em.add(em.BlurPool(), em.serial(em.Scale(-.66), em.BlurPool())),
                  em.Activation("relu6")), {}),
    "norms of single channels": (
        em.serial(em.Conv(3, 6, weights=Random(profile=LINE)), em.InstanceNorm(), em.InstanceNorm()),
        em.serial(em.Conv(3, 6, weights=Random(profile=LINE)), em.InstanceNorm(), em.GroupNorm(6)),
        {"image": 6, "unit": 0}),
    "sites that are left out": (
        em.serial(em.PixelUnshuffle(2), em.Conv(3, 4), em.GlobalAvgPool()),
        em.serial(em.Pad((0, -1)), em.PixelUnshuffle(2), em.Conv(3, 4), em.GlobalAvgPool()), {"image": 5}),
    "a sign and an odd function": (
        em.serial(em.Conv(3, 4), em.Scale(1.1), em.Activation("softsign"), em.Scale(-1.), em.MaxPool(3, 1, 1), SIGMOID),
        em.serial(em.Conv(3, 4), em.Scale(-1.1), em.Activation("softsign"), em.MaxPool(3, 1, 1), SIGMOID), {}),
    "a sign after a pool": (
        em.serial(em.Conv(3, 4, padding=2), em.Activation("softsign"), em.MaxPool(3, 1, 1), em.Scale(-1.)),
        em.serial(em.Conv(3, 4, padding=2), em.MaxPool(3, 1, 1), em.Scale(-1.), em.Activation("softsign")),
        {"image": 4, "unit": 0}),
    "a gate between sites and channels": (
        em.serial(em.Conv(3, 4), em.residual(em.serial(SIGMOID, em.Conv(3, 4))), em.BlurPool(), SIGMOID),
        em.serial(em.Conv(3, 4), em.residual(em.serial(em.PixelShuffle(2), SIGMOID, em.PixelUnshuffle(2), em.Conv(
            3, 4))), em.BlurPool(), SIGMOID), {"image": 8, "unit": 0}),
    "a filter of both terms": (
        em.serial(em.Conv(1, 4), TWICE, em.residual(GROUPED), LAST, em.Conv(1, 4)),
        em.serial(em.Conv(1, 4), TWICE, em.add(em.serial(GROUPED, LAST), LAST), em.Conv(1, 4)), {}),
    "bins of bins": (em.serial(em.Conv(3, 4), R, em.AvgPool(24), SIGMOID), em.serial(
        em.Conv(3, 4), R, em.AvgPool(6), em.AvgPool(4), SIGMOID), {"image": 48}),
    "one bin": (em.serial(em.Conv(3, 4, stride=2), em.MaxPool(3, 1, 1), em.AvgPool(5), SIGMOID), em.serial(
        em.Conv(3, 4, stride=2), em.MaxPool(3, 1, 1), em.AdaptiveAvgPool(1), SIGMOID), {"image": 9, "unit": 0}),
    "a factor between a pool and a gate": (
        em.serial(em.Conv(3, 4), em.Scale(.65), em.MaxPool(3, 2, 1), TANH),
        em.serial(em.Conv(3, 4), em.Scale(.65), TANH, em.MaxPool(3, 2, 1)), {"image": 9, "unit": 0}),
    "a gate between copies and a norm": (
        em.serial(em.Conv(3, 4), em.Upsample(3), TANH, em.BatchNorm(), em.Conv(3, 4), SIGMOID),
        em.serial(em.Conv(3, 4), TANH, em.Upsample(3), em.BatchNorm(), em.Conv(3, 4), SIGMOID),
        {"image": 4, "unit": 0}),
    "a norm of copies": (em.serial(em.Conv(3, 8), UP, em.GroupNorm(2), R, em.Conv(3, 4)), em.serial(
        em.Conv(3, 8), em.GroupNorm(2), UP, R, em.Conv(3, 4)), {"image": 4, "unit": 0}),
    "channels to sites": (em.serial(em.ConvTranspose(6, 4, stride=2, padding=2), R, em.Conv(3, 4), em.GroupNorm(1)),
                          em.serial(em.Conv(3, 8), R, em.PixelShuffle(2), em.Conv(3, 4), em.GroupNorm(1)),
                          {"image": 4, "unit": 0}),
    "a border": (em.serial(em.Conv(3, 4), R, em.Conv(3, 4, padding=1, padding_mode="reflect"), SIGMOID), em.serial(
        em.Conv(3, 4), R, em.Pad(1, "reflect"), em.Conv(3, 4, padding=0), SIGMOID), {"image": 7, "unit": 0}),
    "twice the size": (em.serial(em.Conv(3, 4), UP, em.BatchNorm(), SIGMOID), em.serial(
        em.Conv(3, 4), em.Upsample(size=8), em.BatchNorm(), SIGMOID), {"image": 4, "unit": 0}),
    "the largest of bins": (em.serial(em.Conv(3, 4), em.BlurPool(3, 1), em.MaxPool(2), SIGMOID), em.serial(
        em.Conv(3, 4), em.BlurPool(3, 1), em.AdaptiveMaxPool(4), SIGMOID), {"image": 8, "unit": 0}),
    "to sites and back": (em.serial(em.Conv(3, 8), em.BlurPool(3, 1), SIGMOID), em.serial(
        em.Conv(3, 8), em.PixelShuffle(2), em.PixelUnshuffle(2), em.BlurPool(3, 1), SIGMOID), {"image": 8, "unit": 0}),
    "to sites and back, by taps": (
        em.serial(em.Conv(3, 8, weights=Random(profile=LINE)), em.BatchNorm("batch")),
        em.serial(em.Conv(3, 8, weights=Random(profile=LINE)), em.PixelShuffle(2), em.PixelUnshuffle(2),
                  em.BatchNorm("batch")), {"image": 4, "unit": 0}),
    "a product of three": (
        em.serial(R, em.multiply(em.Conv(3, 4), em.serial(em.Conv(1, 4), TANH), em.serial(em.Conv(3, 4), SIGMOID)), R),
        em.serial(R, em.multiply(em.Conv(3, 4), em.multiply(em.serial(em.Conv(1, 4), TANH), em.serial(
            em.Conv(3, 4), SIGMOID))), R), {"image": 4, "unit": 0}),
    "unshuffled again": (
        em.serial(em.Conv(3, 6), em.PixelUnshuffle(2), GELU, em.residual(em.serial(em.Conv(3, 12), em.BatchNorm()))),
        em.serial(em.Conv(3, 6), em.PixelUnshuffle(2), GELU, em.residual(em.serial(
            em.PixelShuffle(2), em.PixelUnshuffle(2), em.Conv(3, 12), em.BatchNorm()))), {"image": 4, "unit": 0}),
    "a factor before a norm of a product": (
        em.serial(GELU, em.multiply(em.serial(em.Conv(3, 4), em.Scale(.43)), em.serial(em.Conv(1, 4), em.Activation(
            "elu"))), em.BatchNorm()),
        em.serial(GELU, em.multiply(em.Conv(3, 4), em.serial(em.Conv(1, 4), em.Activation("elu"))), em.BatchNorm()),
        {}),
    "a part of what lies side by side": (
        em.serial(em.Conv(3, 2), em.MaxPool(3, 1, 1), em.MaxPool(3, 1, 1), em.Conv(1, 4), SIGMOID),
        em.serial(em.Conv(3, 2), em.concat(em.serial(em.MaxPool(3, 1, 1), em.MaxPool(3, 1, 1)), em.serial(
            R, em.MaxPool(3, 1, 1))), em.Slice(0, 2), em.Conv(1, 4), SIGMOID), {}),
    "a factor of a pooled product": (
        em.serial(em.multiply(em.serial(em.Conv(3, 4), em.Scale(.44)), em.serial(em.Conv(1, 4), em.Activation(
            "leaky_relu", slope=.19))), em.MaxPool(2)),
        em.serial(em.multiply(em.Conv(3, 4), em.serial(em.Conv(1, 4), em.Activation("leaky_relu", slope=.19))),
                  em.MaxPool(2), em.Scale(.44)), {"ndim": 2, "channels_in": 4}),
    "a factor of a product": (
        em.serial(em.Conv(3, 4), R, em.multiply(em.serial(em.Conv(3, 4), em.Scale(.9)), em.serial(em.Conv(1, 4), GELU)),
                  em.AvgPool(2), R),
        em.serial(em.Conv(3, 4), R, em.multiply(em.Conv(3, 4), em.serial(em.Conv(1, 4), GELU)), em.AvgPool(2), R,
                  em.Scale(.9)), {}),
    "shuffled and shuffled again": (em.serial(em.Conv(5, 8), em.PixelShuffle(2), em.Conv(3, 4), SIGMOID), em.serial(
        em.Conv(5, 8), em.Shuffle(2), em.Shuffle(4), em.Shuffle(4), em.Shuffle(2), em.PixelShuffle(2), em.Conv(3, 4),
        SIGMOID), {"image": 6, "unit": 0}),
    "a rectifier of one slope": (em.serial(em.Conv(3, 4), em.Activation("prelu"), em.MaxPool(3, 1, 1), R), em.serial(
        em.Conv(3, 4), em.Activation("leaky_relu", slope=.25), em.MaxPool(3, 1, 1), R), {"image": 6, "unit": 0}),
    "an identity matrix": (em.serial(em.Conv(3, 4), R, em.Conv(3, 4)), em.serial(em.Conv(3, 4), R, em.Conv(
        1, weights=em.Fixed(np.eye(4)[..., None])), em.Conv(3, 4)), {}),
}


def same(left: em.Network, right: em.Network, **options: Any) -> None:
    one, other = (em.predict(net, **{"ndim": 1, "channels_in": 2, **options}) for net in (left, right))
    assert_close(one.total, other.total, REWRITE)
    assert_close(one.std, other.std, REWRITE)


@pytest.mark.parametrize("name", PAIRS)
def test_one_function_has_one_field(name: str) -> None:
    left, right, options = PAIRS[name]
    same(left, right, **options)


#: What is taken out of the branches of a concatenation.
BESIDE: dict[str, Any] = {
    "nearest": em.serial(UP, SIGMOID, em.MaxPool(2)), "relu": R, "pool": em.serial(em.MaxPool(2), R),
    "scaled pool": em.serial(em.Scale(.7), em.MaxPool(2), em.Activation("tanh")), "padded": em.serial(em.Pad(1), R),
    "norm and gate": em.serial(em.BatchNorm(), SIGMOID), "scale": em.serial(em.Scale(.7), R),
    "depthwise": em.serial(em.Conv(3, groups="depthwise"), em.BatchNorm(), R)}


@pytest.mark.parametrize("name", BESIDE)
def test_layers_of_all_branches_come_after_the_concatenation(name: str) -> None:
    part, branches = BESIDE[name], (em.Conv(3, 2), em.serial(em.Conv(1, 4), em.MaxPool(3, 1, 1)), em.Identity())
    end = em.Conv(3, 4), em.BatchNorm()
    same(em.serial(em.concat(*branches), part, *end),
         em.serial(em.concat(*(em.serial(branch, part) for branch in branches)), *end), image=8, unit=0)


def test_what_some_branches_have_before_a_factor_or_a_pad() -> None:
    one, other, end = em.serial(em.Conv(3, 2), em.Scale(.6)), em.Conv(1, 4), (TANH, em.Conv(3, 2), SIGMOID)
    pool, pad = em.MaxPool(2), em.Pad(1)
    same(em.serial(em.concat(one, other), pool, *end),
         em.serial(em.concat(em.serial(one, pool), em.serial(other, pool)), *end), image=8, unit=0)
    same(em.serial(em.concat(em.serial(one, pad), em.Conv(3, 4, padding=2)), *end),
         em.serial(em.concat(em.serial(one, TANH, pad), em.serial(em.Conv(3, 4, padding=2), TANH)), *end[1:]), image=8,
         unit=0)


def test_a_product_of_profiles_is_followed_along_each_axis() -> None:
    end = em.Activation("leaky_relu", slope=.1), em.MaxPool(3, 1, 1)
    one, other = (em.serial(R, em.Conv(3, 4, weights=Random(profile=profile)), *end)
                  for profile in (LINE, np.outer(LINE, LINE)))
    same(one, other, ndim=2, image=5, unit=0)
    same(em.serial(R, em.Conv(3, 4), *end), em.serial(R, em.Conv(3, 4, weights=Random(profile=np.ones((3, 3)))), *end),
         ndim=2, image=5, unit=0)


def test_a_filter_before_what_all_branches_end_with() -> None:
    """Before a concatenation as after it: it is no part of that then."""
    one, pool, end = BLUR, em.AvgPool(2), (em.Conv(1, 4), em.BatchNorm(), SIGMOID)
    other = em.serial(em.BatchNorm(), em.MaxPool(3, 1, 1))
    same(em.serial(em.Conv(3, 2), R, em.concat(one, other), pool, *end),
         em.serial(em.Conv(3, 2), R, em.concat(em.serial(one, pool), em.serial(other, pool)), *end), image=8, unit=0)


def test_a_norm_of_channels_of_which_some_are_normalised() -> None:
    norm, end = em.BatchNorm(), em.Conv(3, 6)
    same(em.serial(em.concat(norm, em.Identity()), norm, end), em.serial(em.concat(norm, norm), end), image=4)
    twice = em.concat(em.Identity(), em.Identity())
    same(em.serial(em.Conv(1, 2), norm, twice, norm), em.serial(em.Conv(1, 2), norm, twice), image=4)


def test_sums_do_not_depend_on_the_order_of_their_terms() -> None:
    soft = em.serial(em.Conv(3, groups="depthwise", weights=em.Constant()), em.Activation("softplus"))
    terms, end = (soft, SIGMOID, em.Identity()), (R, em.Conv(1, groups="depthwise"))
    same(em.serial(R, em.add(*terms), *end), em.serial(R, em.add(*terms[::-1]), *end))


def test_filters_that_turn_the_sign_of_the_mean_have_no_pattern_at_borders() -> None:
    array = np.array([[-.74, -1.86, -.33], [-.11, -.6, .34], [.65, 1.18, 2.2]])  # was a crash
    net = em.serial(em.Conv(3, 4, stride=2), R, em.Conv(3, groups="depthwise", weights=em.Fixed(array)), em.Conv(3, 4),
                    em.BatchNorm())
    assert em.predict(net, image=4, unit=0).total > 0


@pytest.mark.parametrize("first, second", [pair for pair in itertools.product(LAYERS, LAYERS) if related(
    KINDS[pair[0]], KINDS[pair[1]]) and pair[1] != "batch_norm"])
def test_one_layer_does_what_two_in_a_row_do(first: str, second: str) -> None:
    """Of layers without random weights, whatever their options are."""
    for (below, f, x), (above, _, _) in itertools.product(drawn(first), drawn(second)):
        if below.random or above.random or getattr(below, "p", 0) or getattr(above, "p", 0):
            continue
        try:
            y = f(x - 1)
            z = run_of(above, y.shape[3:], y.shape[1])(y)
        except ValueError:  # no such layer on this map
            continue
        row = Row(below, above, (x.shape[3:], y.shape[3:]), (x.shape[1], y.shape[1], z.shape[1]), True, x.ndim - 3)
        one = as_one(row)
        if one is not None and not above.statistics:
            close(run_of(one, x.shape[3:])(x - 1), z)


def test_random_and_given_weights_side_by_side_stay_two() -> None:
    given = em.Conv(1, weights=em.Fixed(np.arange(1., 13.).reshape(6, 2, 1)))  # was a crash
    assert em.predict(em.serial(em.concat(em.Conv(1, 6), given), em.Conv(3, 6)), ndim=1, channels_in=2).total > 0
    whole, parts = em.Conv(3, 6), em.concat(em.Conv(3, 2), em.Conv(3, 4))
    matrix = em.Conv(1, weights=em.Fixed(np.arange(1., 25.).reshape(4, 6, 1)))
    same(em.serial(whole, R, matrix), em.serial(parts, R, matrix))


def test_a_factor_before_one_of_several_depthwise_layers() -> None:
    branches, each = (em.Identity(), em.serial(em.Conv(1, 2, weights=em.Constant()), em.Scale(-2.))), em.Conv(
        3, groups="depthwise")
    left, right = (em.serial(part, em.AvgPool(3, 2, 1)) for part in (
        em.serial(em.concat(*branches), each), em.concat(*(em.serial(branch, each) for branch in branches))))
    for net in (left, right):  # one of them was predicted
        with pytest.raises(NotImplementedError, match="come to the same channels"):
            em.predict(net, ndim=1, channels_in=2)


def test_a_negative_factor_between_copies_and_a_pool() -> None:
    same(em.serial(em.Conv(1, 6), em.Scale(-.6), em.MaxPool(2), em.Activation("silu")),
         em.serial(em.Conv(1, 6), em.Scale(-.6), UP, em.MaxPool(4), em.Activation("silu")))


def test_multiples_of_one_value_are_a_multiple() -> None:
    pool = em.MaxPool(3, 1, 1)
    thrice = em.add(em.Identity(), em.Scale(1.5), em.Scale(-1.5))
    same(em.serial(pool, pool, em.Conv(3, 2)), em.serial(pool, thrice, pool, em.Conv(3, 2)))


def test_factors() -> None:
    sizes, channels = ((8,), (8,)), (4, 4, 4)
    half, back = em.Scale(.5), em.Scale(-2.)
    assert as_one(Row(half, back, sizes, channels, True, 1)) == em.Scale(-1.)
    louder = as_one(Row(back, em.Conv(3), sizes, channels, True, 1))
    assert louder == em.Conv(3, weights=Random(gain=4 * em.Conv(3).weights.gain))
    assert as_one(Row(half, em.BatchNorm(), sizes, channels, True, 1)) == em.BatchNorm()
    assert as_one(Row(back, em.BatchNorm(), sizes, channels, True, 1)) is None
    assert homogeneous(R, .5) and not homogeneous(R, -.5) and not homogeneous(SIGMOID, .5)
    assert homogeneous(em.AvgPool(2), -.5) and not homogeneous(em.MaxPool(2), -.5)
