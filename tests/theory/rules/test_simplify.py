"""Layers that do nothing are left out, and layers in a row that are one are one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, assert_close

import erfmath as em
from erfmath.layers.base import Layer
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep.plan import Graph

R = em.Activation("relu")


def kinds(net: em.Network, **options: object) -> list[str]:
    graph = Graph.of(net, RunSettings.of(net, **{"channels_in": 4, **options}))
    return [layer.op for layer in graph.layers]


def net_of(*parts: em.Layer | em.Network) -> em.Network:
    """Between random layers and gates, which see what changes."""
    return em.serial(em.Conv(3, 4), R, *parts, em.Conv(3, 4), R, em.Conv(1, 4))


ONE = em.serial(em.Scale(0.), em.Activation("sigmoid"), em.Scale(2.))
NOTHING = {
    "identity": em.Identity(), "pool of one": em.AvgPool(1), "pad of none": em.Pad(0),
    "sum of one": em.add(em.Identity()),
    "pad and crop": em.serial(em.Pad((1, 2)), em.Pad((-1, -2))),
    "copies and picks": em.serial(em.Upsample(2), em.MaxPool(2)),
    "filter of one": em.Conv(1, weights=em.Fixed(np.ones((1, 1)))), "rim of zeros": em.Conv(
        3, weights=em.Fixed(np.pad(np.ones((1, 1)), 1))),
    "parts": em.split([1, 3], em.Identity(), em.Identity()), "shuffles": em.serial(em.Shuffle(2), em.Shuffle(2)),
    "to channels and back": em.serial(em.PixelUnshuffle(2), em.PixelShuffle(2)), "rectified again": R,
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_does_nothing_is_left_out(name: str) -> None:
    assert kinds(net_of(NOTHING[name]), image=8) == kinds(net_of(), image=8)


def test_parts_through_one_layer_are_the_whole_through_it() -> None:
    gate = em.Activation("gelu")
    for layer in (gate, em.MaxPool(3, 1, 1), em.AvgPool(2)):
        assert kinds(net_of(em.split([1, 3], layer, layer)), image=8) == kinds(net_of(layer), image=8)
    assert kinds(net_of(em.split([1, 3], gate, R)), image=8) != kinds(net_of(gate), image=8)


def test_dropout_twice_is_dropout() -> None:
    nets = net_of(em.Dropout(.2), em.Dropout(.3)), net_of(em.Dropout(.44))
    assert kinds(nets[0]) == kinds(nets[1])
    assert_close(*[em.predict(net).total for net in nets], REWRITE)


def test_a_norm_of_what_is_normalised_is_left_out() -> None:
    for norm in (em.BatchNorm(), em.LayerNorm(), em.GroupNorm(2)):
        assert kinds(net_of(norm, norm), image=8) == kinds(net_of(norm), image=8)
    shifted = em.BatchNorm(shift_var=.5)
    assert kinds(net_of(shifted, shifted), image=8).count("batch_norm") == 2


def test_constant_factors_are_numbers() -> None:
    for product in (em.multiply(em.Identity(), ONE), em.multiply(ONE, em.Identity())):
        assert_close(em.predict(net_of(product), image=8).map, em.predict(net_of(), image=8).map, REWRITE)
    half = em.multiply(em.Identity(), em.serial(em.Scale(0.), em.Activation("sigmoid")))
    assert_close(em.predict(net_of(half), image=8).map, em.predict(net_of(em.Scale(.5)), image=8).map, REWRITE)


def test_what_is_cropped_first_is_padded_with_zeros() -> None:
    """Which is something else than nothing: three kinds of layers stay, and pixels at the rim are not seen."""
    net = net_of(em.Pad(-1), em.Pad(1))
    assert "pad" in kinds(net, image=8)
    assert em.predict(net, image=8, unit=0).total < em.predict(net_of(), image=8, unit=0).total


def test_filters_in_a_row_are_one_unless_borders_come_between() -> None:
    """[1, 2] after [1, 1] is [1, 3, 2]; after each of them zeros are padded, and then they are two."""
    one, other = (em.Conv(2, weights=em.Fixed(taps), padding=0) for taps in ([1., 1.], [1., 2.]))
    both = em.Conv(3, weights=em.Fixed([1., 3., 2.]), padding=0)
    for image in (None, 9):
        assert kinds(net_of(one, other), image=image, ndim=1) == kinds(net_of(both), image=image, ndim=1)
        fields = [em.predict(net_of(*parts), image=image, channels_in=4, ndim=1) for parts in ((one, other), (both,))]
        assert_close(fields[0].map, fields[1].map, REWRITE)
    padded = em.AvgPool(3, 1, 1)
    assert kinds(net_of(padded, padded), image=9, ndim=1).count("avg_pool") == 2


def test_a_transposed_layer_of_stride_one_is_a_convolution() -> None:
    """Its taps are in the other order: profile and given filter are turned round."""
    line = np.array([.2, 1., .6])
    for weights, turned in ((em.Random(profile=line), em.Random(profile=line[::-1])),
                            (em.Fixed(line), em.Fixed(line[::-1]))):
        fields = [em.predict(net_of(layer), image=9, ndim=1) for layer in (
            em.Conv(3, 4 if weights.random else None, weights=weights),
            em.ConvTranspose(3, 4 if weights.random else None, padding=1, weights=turned))]
        assert_close(fields[0].map, fields[1].map, REWRITE)


def test_names_that_have_weights_stay() -> None:
    net = em.serial(em.Conv(3, 4), R, em.Conv(1, 4, name="here"), R)
    weights = {"here": np.eye(4).reshape(4, 4, 1, 1)}
    graph = Graph.of(net, RunSettings.of(net, weights=weights))
    assert "here" in graph.names


def test_what_several_nodes_read_is_not_joined_with_one_of_them() -> None:
    """Where the layer between does nothing, its readers are those of the batch norm below."""
    def net(*between: em.Layer) -> em.Network:
        return em.serial(em.Conv(3, 4), em.BatchNorm(), *between, em.add(em.Conv(3, 4), em.BatchNorm()), R)

    plain = em.predict(net(), image=9)
    for nothing in (em.Identity(), em.Dropout(0), em.Scale(1.0), em.MaxPool(1), em.BatchNorm(mode="identity")):
        assert_close(em.predict(net(nothing), image=9).map, plain.map, REWRITE)


def test_a_filter_that_mixes_channels_is_none_of_each_channel() -> None:
    """ReLU halves the power whatever pool follows the mean over channels."""
    mean = em.Conv(3, 6, weights=em.Constant())
    for pool in (em.AvgPool(1), em.AvgPool(2), em.BlurPool(3, 2)):
        for image in (None, 12):
            linear, gated = (em.predict(em.serial(em.Conv(3, 4), *gate, mean, pool), image=image).total
                             for gate in ((), (R,)))
            assert_close(gated, linear / 2, REWRITE)


def test_padding_before_a_window_is_that_of_the_window() -> None:
    for padded, window in ((em.BlurPool(3, 1, padding=1), em.BlurPool(3, 1, padding=0)),
                           (em.AvgPool(3, 2, 1), em.AvgPool(3, 2, 0))):
        assert kinds(net_of(em.Pad(1), window), image=8) == kinds(net_of(padded), image=8)
    inside = em.AvgPool(3, 2, 1, count_include_pad=False)
    assert "pad" in kinds(net_of(em.Pad(1), inside), image=8)


def test_bins_of_one_size_are_a_pool_like_any_other() -> None:
    for size, kernel in ((4, 2), ((4, 1), (2, 8))):
        bins, pool = net_of(em.BlurPool(3, 1), em.AdaptiveAvgPool(size)), net_of(em.BlurPool(3, 1), em.AvgPool(kernel))
        assert kinds(bins, image=8) == kinds(pool, image=8)


def test_rectifiers_in_a_row_are_one_in_a_stream() -> None:
    """As where relu(x + relu(f(x))) is open for all x that a ReLU has let pass."""
    def net(*gates: em.Layer) -> em.Network:
        return em.serial(R, em.residual(em.serial(em.BatchNorm(), *gates)), R, em.Conv(1, 4))
    one = em.predict(net(R)).total
    for gates in ((leaky(.4), R), (leaky(0.),), (R, leaky(.4)), (leaky(.4), leaky(0.))):
        assert_close(em.predict(net(*gates)).total, one, REWRITE)


@pytest.mark.parametrize("image", [None, 4, 7])
def test_convolutions_that_a_norm_reads_the_sum_of_are_one(image: int | None) -> None:
    """Taps have the variances of all, wherever they lie; a norm divides by the deviation of the sum."""
    wide, narrow = em.Conv(3, 4, weights=em.Random(gain=1)), em.Conv(1, 4, weights=em.Random(gain=.5))
    profile = np.full((3, 3), 1 / 9)
    profile[1, 1] += .5
    one = em.Conv(3, 4, weights=em.Random(gain=1.5, profile=profile))
    nets = [em.serial(net_of(part, em.BatchNorm()), R) for part in (em.add(wide, narrow), one)]
    fields = [em.predict(net, image=image, unit=0, channels_in=4) for net in nets]
    assert_close(fields[0].map, fields[1].map, REWRITE)
    shifted = em.add(em.Conv(2, 4, padding=(0, 1)), em.Conv(3, 4, weights=em.Random(gain=1)))
    profile = np.zeros((3, 3))
    profile[1:, 1:] = 2 / 4
    nets = [net_of(part, em.BatchNorm()) for part in (shifted, em.Conv(3, 4, weights=em.Random(
        gain=3., profile=profile + 1 / 9)))]
    fields = [em.predict(net, image=image, unit=0, channels_in=4) for net in nets]
    assert_close(fields[0].map, fields[1].map, REWRITE)


def leaky(slope: float) -> em.Layer:
    return em.Activation("leaky_relu", slope=slope)


def test_a_transposed_filter_of_ones_is_nearest_upsampling() -> None:
    ones = em.ConvTranspose(2, stride=2, weights=em.Fixed(np.ones((2, 2))))
    assert kinds(net_of(ones), image=8) == kinds(net_of(em.Upsample(2)), image=8)


@pytest.mark.parametrize("nothing", [em.Identity(), em.Pad(0), em.AvgPool(1), em.Dropout(0.0)])
def test_two_in_a_row_are_one_with_nothing_between(nothing: Layer) -> None:
    """A node that does nothing is no second reader of what it reads."""
    norm, rest = em.GroupNorm(2), em.serial(em.Activation("relu"), em.Conv(3, 8))
    nets = [em.serial(em.Conv(3, 8), em.Activation("relu"), em.Conv(3, 8), norm, *between, rest)
            for between in ((), (norm,), (nothing, norm), (norm, nothing, nothing, norm, nothing))]
    one, *others = (em.predict(net, image=12, ndim=1) for net in nets)
    for other in others:
        assert_close(other.map, one.map, ROUNDING)


@pytest.mark.parametrize("block, times", [
    ([em.Conv(3, 4), em.Activation("relu"), em.Activation("relu")], 500),
    ([em.Pad(1), em.Conv(3, 4, padding=0), em.Activation("relu")], 500),
    ([em.Pad(1), em.Shuffle(2)], 200)], ids=["gates", "pads", "pads of pads"])
def test_deep_networks_are_simplified_without_calls_within_calls(block: list[Layer], times: int) -> None:
    """A few hundred layers, each of which is one with another, were beyond Python's recursion limit."""
    net = em.serial(em.Conv(3, 4), *block * times, em.Activation("relu"), em.Conv(3, 4))
    plain = em.serial(em.Conv(3, 4), *([em.Conv(3, 4), em.Activation("relu")] * times if len(block) == 3 else []),
                      em.Activation("relu"), em.Conv(3, 4))
    image = 8 if len(block) == 3 else 8 + 2 * times
    assert_close(em.predict(net, image=8, ndim=1, unit=image // 2).std, em.predict(plain, image=8, ndim=1, unit=4).std,
                 REWRITE)


@pytest.mark.parametrize("gate", ["tanh", "sigmoid"])
def test_pools_that_are_read_with_and_without_a_function(gate: str) -> None:
    """tanh of a pool is that pool of tanh: the same sites win in both branches, which share what they hand down."""
    pool, phi = em.MaxPool(3, 1, 1), em.Activation(gate)
    ways = [[pool, em.Identity(), em.serial(*way, em.Conv(3, 4))] for way in ((pool, phi), (phi, pool))]
    ends = [em.serial(em.Conv(3, 4), joint(*parts), em.Conv(1, 4)) for joint in (em.concat, em.add)
            for way in ways for parts in (way, way[::-1])]
    maps = [em.predict(net, ndim=1).map for net in ends]
    for k, found in enumerate(maps):
        assert_close(found, maps[k - k % 4], REWRITE)


@pytest.mark.parametrize("between", [(em.Pad(1), em.Activation("softsign")), (em.BatchNorm(), em.AvgPool(2, 2)),
                                     (em.Activation("tanh"), em.Dropout(0.2), em.Scale(3.0))])
def test_signs_of_what_random_weights_make(between: tuple[Layer, ...]) -> None:
    """The largest of minus values that are as likely as these is as the largest of these; not after a rectifier."""
    ends = [em.serial(em.Conv(3, 4), *between, *sign, em.MaxPool(2, 2)) for sign in ((), (em.Scale(-1.0),))]
    assert_close(*(em.predict(net, image=12, unit=1, channels_in=2).map for net in ends), REWRITE)
    relu = [em.serial(em.Conv(3, 4), em.Activation("relu"), *sign, em.MaxPool(2, 2))
            for sign in ((), (em.Scale(-1.0),))]
    one, other = (em.predict(net, image=12, unit=1, channels_in=2).total for net in relu)
    assert one > 1.5 * other


def test_pools_of_parts_that_are_functions_of_one_value() -> None:
    """A pool of selu(x) beside x is one pool, whether it is written after the concatenation or in each part."""
    selu, pool = em.Activation("selu"), em.MaxPool(2, 2)
    after = em.serial(em.Conv(5, 2, stride=2), em.concat(selu, em.Identity()), pool)
    parts = em.serial(em.Conv(5, 2, stride=2), em.concat(em.serial(selu, pool), pool))
    assert_close(*(em.predict(net, image=4, unit=0, channels_in=4, ndim=2).map for net in (after, parts)), REWRITE)


@pytest.mark.parametrize("twice", [False, True])
def test_factors_and_dropout_between_random_weights_and_a_sum(twice: bool) -> None:
    """A factor goes into the weights below a dropout; where both terms have it, it stays, and the search ends."""
    def net(*ends: em.Layer) -> em.Network:
        branch = em.serial(em.Conv(3, 4), *ends)
        return em.serial(em.Conv(3, 4), R, em.add(branch, branch if twice else em.Conv(1, 4)), R)
    one, other = (em.predict(net(*ends), image=6, channels_in=2, ndim=2).map
                  for ends in ((em.Scale(2.0), em.Dropout(.3)), (em.Dropout(.3), em.Scale(2.0))))
    assert_close(one, other, REWRITE)


@pytest.mark.parametrize("below, above, image", [
    (em.AvgPool(2), em.GlobalAvgPool(), 12), (em.Upsample(2), em.GlobalAvgPool(), 6),
    (em.MaxPool(2), em.AdaptiveMaxPool(1), 12), (R, R, 6)])
def test_layers_that_take_in_one_that_others_read(below: em.Layer, above: em.Layer, image: int) -> None:
    """The mean of all sites is not the mean of means for that something else reads these."""
    other = em.serial(below, em.BatchNorm(), em.Activation("gelu"), em.Conv(1, 4), em.GlobalAvgPool())
    nets = [em.serial(em.Conv(3, 4), em.AvgPool(2, 1), em.Conv(1, 4), em.add(
        other, em.serial(*part, em.Conv(1, 4), em.GlobalAvgPool()))) for part in ((above,), (below, above))]
    one, two = (em.predict(net, image=image + 3, unit=0, channels_in=2, ndim=2).map for net in nets)
    assert_close(one, two, REWRITE)


@pytest.mark.parametrize("between", [(em.MaxPool(3, 2, padding="same"), em.Scale(.7)), (em.Scale(.7), em.MaxPool(2)),
                                     (em.Upsample(2), em.Scale(3.), em.Dropout(.2))])
def test_rectifiers_that_a_function_further_up_takes_in(between: tuple[em.Layer, ...]) -> None:
    """ReLU6 leaves nothing of what a ReLU below takes away, pools and factors between or not."""
    six = em.Activation("relu6")
    nets = [em.serial(em.Conv(3, 6, padding="valid"), *gate)
            for gate in ((*between, six), (*between, R, six), (R, *between, six))]
    one, *others = (em.predict(net, image=14, unit=(5, 0), channels_in=2, ndim=2).map for net in nets)
    for other in others:
        assert_close(one, other, REWRITE)


def test_factors_go_into_random_weights_below_rectifiers_and_pools() -> None:
    """Before curved functions that a max pool reads, too: 2 % of the total lay between the two ways of writing it."""
    softsign, leaky = em.Activation("softsign"), em.Activation("leaky_relu", slope=.2)
    ends = (softsign, em.residual(em.MaxPool(3, 1, 1)))
    one, other = (em.predict(em.serial(em.Conv(1, 2, stride=2), *way, *ends), channels_in=3, ndim=2).map
                  for way in ((em.Scale(.45), leaky), (leaky, em.Scale(.45))))
    assert_close(one, other, REWRITE)


def test_borders_of_all_terms_come_after_the_sum() -> None:
    """Of terms that read the same map twice, too."""
    selu, pad = em.Activation("selu"), em.Pad((-1, 1))
    before = em.serial(pad, em.add(em.Identity(), selu, em.Identity()))
    after = em.serial(em.add(em.Identity(), selu, em.Identity()), pad)
    each = em.add(pad, em.serial(selu, pad), pad)
    one, *others = (em.predict(em.serial(em.Conv(3, 4), way, R), image=6, unit=1, channels_in=2, ndim=2).map
                    for way in (before, after, each))
    for other in others:
        assert_close(one, other, REWRITE)


def test_shuffles_of_all_terms_come_after_the_sum() -> None:
    shuffle, celu = em.Shuffle(2), em.Activation("celu")
    one, other = (em.predict(em.serial(em.Conv(1, 4), *way), channels_in=2, ndim=2).map for way in (
        (em.add(em.serial(celu, shuffle), shuffle),), (em.residual(celu), shuffle)))
    assert_close(one, other, REWRITE)


def test_a_function_that_has_lost_a_reader_is_looked_at_again() -> None:
    """relu(celu(x)) is relu(x), too, where another reader of celu(x) has gone, behind a layer that does nothing."""
    celu = em.Activation("celu")
    stem, end = (em.Conv(3, 6), em.Conv(3, 6)), (em.Conv(3, 4), R)
    plain = em.serial(*stem, R, *end)
    cut = em.serial(*stem, celu, em.GRN(gamma=0.0), em.concat(R, em.Identity()), em.Slice(0, 6), *end)
    one, other = (em.predict(net, image=8, unit=1, channels_in=2, ndim=2).map for net in (plain, cut))
    assert_close(one, other, REWRITE)


def fields(*nets: em.Network, **options: Any) -> list[Any]:
    return [em.predict(net, **{"image": 8, "unit": 1, "channels_in": 2, "ndim": 2, **options}).map for net in nets]


def test_a_rectifier_next_to_functions_that_take_it_in() -> None:
    """relu_squared(relu(x)) and relu6(relu(x)) need no rectifier: it does not go below the pool before both."""
    pool, square, six = em.MaxPool(3, 1, 1), em.Activation("relu_squared"), em.Activation("relu6")
    ends = em.serial(six, em.Conv(3, groups="depthwise"))
    shared = em.serial(pool, R, em.concat(square, ends))
    apart = em.serial(pool, em.concat(em.serial(R, square), em.serial(R, ends)))
    assert_close(*fields(shared, apart), REWRITE)
    leaky, less = (em.Activation("leaky_relu", slope=slope) for slope in (.15, .1))
    same = em.concat(em.Identity(), em.Identity())
    at_once, between = (em.serial(pool, leaky, em.concat(way, same), em.Conv(3, 4))
                        for way in (R, em.serial(less, R)))
    assert_close(*fields(at_once, between), REWRITE)


def test_one_node_twice_in_a_concatenation() -> None:
    """Pools of x side by side twice are the pool of x, twice, whatever lies between."""
    conv, pool, elu = em.Conv(1, 4), em.MaxPool(2), em.Activation("elu")
    way = R, em.AvgPool(2), em.MaxPool(2, 1)
    after = em.serial(conv, em.concat(elu, em.Identity()), pool, *way)
    each = em.serial(conv, em.concat(em.serial(elu, pool), pool), *way)
    assert_close(*fields(after, each, image=None, unit=None), REWRITE)
    square, prelu = em.Activation("relu_squared"), em.Activation("prelu")
    one = em.serial(conv, square, pool, em.concat(em.Identity(), prelu), em.Conv(1, 6, weights=em.Constant()))
    two = em.serial(conv, square, em.concat(pool, em.serial(pool, prelu)), em.Conv(1, 6, weights=em.Constant()))
    assert_close(*fields(one, two), REWRITE)


def test_noise_twice_in_a_concatenation_is_one_noise() -> None:
    """Which does not go after it: channels that are dropped together stay so, those of two dropouts do not."""
    drop = em.Dropout(.5)
    together, single = em.serial(drop, em.concat(em.Identity(), em.Identity())), em.concat(drop, drop)
    assert kinds(net_of(together)).count("dropout") == kinds(net_of(single)).count("dropout") == 1
    order = [[kind for kind in kinds(net_of(way)) if kind in ("dropout", "concat")] for way in (together, single)]
    assert order == [["dropout", "concat"], ["concat", "dropout"]]


def test_norms_with_scales_of_their_own_are_two() -> None:
    """Of a sum of two such norms the scales are independent: 2 (1 + v) and what both have in common, 2, over 4 (1 + v).
    """
    def total(*ways: em.Layer | em.Network) -> float:
        return em.predict(em.serial(em.Conv(1, 64, weights=em.Random(gain=1.)), *ways), ndim=2, channels_in=64).total
    norm = em.BatchNorm(scale_var=.5)
    assert_close(total(em.add(norm, norm)) / total(norm), (2 * 1.5 + 2) / 1.5, REWRITE)


def test_factors_below_what_has_a_bias() -> None:
    """Where no layer above takes them up the weights below do, through copies, too."""
    conv, up, scale = em.Conv(1, 8, stride=2), em.Upsample(2), em.Scale(1.5)
    end = em.Conv(1, 2, bias=.1), em.BatchNorm()
    assert_close(*fields(em.serial(conv, scale, up, *end), em.serial(conv, up, scale, *end)), REWRITE)


def test_signs_above_and_below_copies() -> None:
    """a up(x) - b up(x), one of which other layers read, is (a - b) up(x), in whatever order it is written."""
    prelu, up, sigmoid = em.Activation("prelu"), em.Upsample(3), em.Activation("sigmoid")
    branch = em.serial(sigmoid, em.Conv(3, 6), em.Conv(3, 2))
    minus = em.Scale(-.62)
    stem = em.Conv(1, 2), em.Scale(1.41), up, prelu
    sums = em.add(minus, branch, em.Identity()), em.add(em.Identity(), branch, minus)
    assert_close(*fields(*[em.serial(*stem, each, R) for each in sums], ndim=1), REWRITE)
    for below in (em.MaxPool(2), em.serial(em.MaxPool(2), em.Activation("tanh"))):
        for factor in (-1., -.5):
            nets = [em.serial(em.Conv(3, 4), below, *way, em.MaxPool(3, 1, 1), em.Conv(3, 4))
                    for way in ((em.Scale(factor), up), (up, em.Scale(factor)))]
            assert_close(*fields(*nets), REWRITE)
    relu, norm, minus = em.Activation("relu"), em.GroupNorm(1), em.Scale(-.45)
    nets = [em.serial(em.Conv(1, 8), relu, minus, *way) for way in ((up, norm), (norm, up))]
    assert_close(*fields(*nets, image=5), REWRITE)


def test_a_rectifier_of_a_rectifier_that_others_read() -> None:
    """leaky(prelu(x)) is a rectifier of x, as .23 prelu(x) + .77 relu(prelu(x)) is."""
    prelu, leaky = em.Activation("prelu"), em.Activation("leaky_relu", slope=.23)
    both = em.add(em.Scale(.23), em.serial(R, em.Scale(.77)))
    gate = em.serial(em.GlobalAvgPool(), em.Conv(1, 4))
    nets = [em.serial(em.MaxPool(2, 1, 0, 2), prelu, em.multiply(way, gate)) for way in (leaky, both)]
    assert_close(*fields(*nets, image=5, unit=0, ndim=1, channels_in=4), REWRITE)


def test_every_second_site_of_a_pool() -> None:
    stem = em.Conv(3, 4, stride=2), em.MaxPool(2, 1, 0)
    nets = [em.serial(*stem, pick, em.InstanceNorm()) for pick in (em.AvgPool(1, 2), em.MaxPool(1, 2))]
    assert_close(*fields(*nets, image=15), REWRITE)
