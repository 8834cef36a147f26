"""Shares of layers against sums by hand, and against networks whose layer really reads one site."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, FFT, REWRITE, ROUNDING, assert_close

import erfmath as em
from erfmath.analysis.layer_shares import chain_variances
from erfmath.networks.settings import RunSettings

Conv, Relu = em.Conv, em.Activation("relu")
RIM = em.Random(profile=[2, 1, 2])
CHAIN = em.serial(Conv(3), Relu, Conv(5, stride=2), em.MaxPool(2), Conv(3, dilation=3, weights=RIM), Conv((1, 3)))


def alone(net: em.Network, name: str, **layer: Any) -> em.Network:
    """The network with one layer's fields changed, by way of its JSON."""
    d = net.to_dict()
    node = next(node for node in d["nodes"] if node["name"] == name)
    node.update(layer)
    return em.Network.from_dict(d)


def test_terms_of_a_chain_by_hand() -> None:
    """J^2 d^2 sigma^2 per axis: jumps 1, 1, 2, 4, 4."""
    per_axis = {"conv1": (2 / 3,) * 2, "conv2": (2.0,) * 2, "max_pool1": (4 / 4,) * 2, "conv3": (16 * 9 * 4 / 5,) * 2,
                "conv4": (0.0, 16 * 2 / 3)}
    shares = em.layer_shares(CHAIN)
    assert shares.exact and [row.node for row in shares.layers] == list(per_axis)
    assert_close([row.variance for row in shares.layers], [sum(v) / 2 for v in per_axis.values()], ROUNDING)
    assert_close(sum(row.share for row in shares.layers), 1.0, ROUNDING)
    assert_close(em.predict(CHAIN).std**2, np.sum([*per_axis.values()], axis=0), ROUNDING)
    assert_close([row.trf for row in shares.layers], [2, 4, 2, 24, 8], EXACT)
    assert em.receptive_field(CHAIN).size == (33, 41)


def test_pools_in_a_row_share_one_term() -> None:
    """Two pools of 2 are one of 4, with a factor between, too: (4^2 - 1) / 12, and jumps 1, 1, 4."""
    for between in (em.Identity(), em.Scale(2.)):
        shares = em.layer_shares(em.serial(Conv(3), em.MaxPool(2), between, em.MaxPool(2), Conv(3)))
        assert shares.exact
        assert_close([row.variance for row in shares.layers], [2 / 3, 15 / 12, 16 * 2 / 3], ROUNDING)
        assert_close(sum(row.share for row in shares.layers), 1.0, ROUNDING)


def test_a_layer_whose_middle_tap_meets_zeros_alone() -> None:
    """Between its sites a transposed convolution leaves zeros: what the pool gathers there is all."""
    net = em.serial(em.ConvTranspose(1, 8, stride=2), em.AvgPool(3, 2, 0), em.GroupNorm(4), Conv(3, 8))
    shares = em.layer_shares(net, channels_in=4)
    pool, = [row for row in shares.layers if row.node == "avg_pool1"]
    assert_close(pool.variance, shares.variance, ROUNDING)


@pytest.mark.parametrize("options", [{}, {"image": 16}, {"image": 16, "unit": (0, 3)}])
def test_left_out_is_a_layer_that_reads_one_site(options: dict[str, Any]) -> None:
    """The same as a kernel whose other taps have no variance."""
    block = em.serial(Conv(3, 16), em.BatchNorm(), Relu, Conv(3, 16), em.BatchNorm())
    net = em.serial(Conv(3, 16), Relu, em.residual(block), Relu, em.residual(block), Relu, Conv(5, 16, stride=2))
    shares = em.layer_shares(net, **options)
    assert not shares.exact or not options
    whole = float(np.mean(em.predict(net, **options).std**2))
    assert_close(shares.variance, whole, ROUNDING)
    for row in shares.layers:
        k = net[row.node].layer.kernel_size  # type: ignore[attr-defined]
        point = [0.0] * k
        point[k // 2] = 1.0
        bare = alone(net, row.node, weights={"kind": "random", "profile": point})
        assert_close(row.variance, whole - np.mean(em.predict(bare, **options).std**2), FFT, scale=whole)
    total = sum(row.share for row in shares.layers)
    if not options:  # on the plane every path has its power to itself
        assert_close(total, 1.0, FFT)


def test_the_box_without_a_layer() -> None:
    """Padding or not, strided or not: as in the network whose layer has a kernel of one."""
    net = em.serial(Conv(7, stride=2, padding=(3, 2)), em.MaxPool(3, 2, 1), em.residual(em.serial(Conv(3), Conv(5))),
                    em.concat(Conv(3), Conv(1)), em.Upsample(2, "bilinear"), em.ConvTranspose(4, stride=2, padding=1))
    trf = {row.node: row.trf for row in em.layer_shares(net, width=3).layers}
    whole = em.receptive_field(net).size[0]
    for name in ("conv2", "conv3", "conv4"):
        bare = em.receptive_field(alone(net, name, kernel_size=1)).size[0]
        assert trf[name] == whole - bare
    assert trf["conv1"] == 6 and trf["max_pool1"] == 4
    assert set(trf) == {"conv1", "max_pool1", "conv2", "conv3", "conv4", "upsample1", "conv_transpose1"}


def test_parts_that_are_no_chain() -> None:
    for net in (em.residual(Conv(3, 3)), em.serial(Conv(3), em.GlobalAvgPool()), em.serial(Conv(3), em.Upsample(2)),
                em.serial(Conv(3), em.AvgPool(2)), em.serial(Conv(3, weights=em.Fixed([1.0, -1.0, 1.0])))):
        assert chain_variances(net, RunSettings.of(net)) is None
    ones = em.serial(Conv(3, weights=em.Constant()), em.AvgPool(2))
    terms = chain_variances(ones, RunSettings.of(ones), "mean")
    assert terms is not None
    assert_close(sum(terms.values()), em.predict(ones).std[0]**2, ROUNDING)


def test_costs_and_table() -> None:
    shares = em.layer_shares(em.zoo.vgg16(), image=96)
    price = em.costs(em.zoo.vgg16(), 96)
    assert {row.node: row.multiply_adds for row in shares.layers if row.multiply_adds} == price.multiply_adds
    text = str(shares)
    assert "conv5_3" in text and "max_pool 2 s2" in text and f"{price.multiply_adds['conv1_2']:,}" in text
    assert em.layer_shares(em.zoo.vgg16(), node="conv2_1").layers[-1].node == "conv2_1"


def test_pooling_the_whole_image() -> None:
    net = em.serial(Conv(3), Relu, em.GlobalAvgPool())
    rows = em.layer_shares(net, image=8).layers
    assert [(row.node, row.trf) for row in rows] == [("conv1", None), ("global_avg_pool1", None)]
    assert rows[1].share > 0.8


@pytest.mark.parametrize("one, other", [
    (em.Conv(3, 4, weights=em.Random(gain=1.5)), em.add(*(em.Conv(3, 4, weights=em.Random(gain=.75)) for _ in "ab"))),
    (em.Conv(1, 4, weights=em.Fixed(1.28 * np.eye(4).reshape(4, 4, 1))), em.Scale(1.28)),
    (em.Identity(), em.serial(em.Upsample(2), em.MaxPool(1, 2)))])
def test_shares_do_not_depend_on_how_other_layers_are_written(one: em.Layer, other: em.Layer) -> None:
    def rows(part: em.Layer) -> dict[str, float]:
        block = em.serial(em.residual(em.add(em.Conv(3, 4, name="inner"), em.Conv(1, 4))), em.Activation("relu"))
        net = em.serial(em.Conv(3, 4, name="first"), em.Activation("relu"), block, part, em.BlurPool(3, 1, name="blur"),
                        em.Activation("tanh"), em.Conv(3, 4, name="last"))
        found = em.layer_shares(net, image=9, unit=0, ndim=1, channels_in=4)
        return {row.node: row.variance for row in found.layers if row.node in ("first", "inner", "blur", "last")}
    left, right = rows(one), rows(other)
    assert left.keys() == right.keys() and len(left) == 4
    assert_close(list(left.values()), list(right.values()), REWRITE, scale=1.0)


def test_a_pool_of_copies_has_a_row_however_these_are_made() -> None:
    rows = [[row.node for row in em.layer_shares(em.serial(
        em.Conv(3, 4), *up, em.AvgPool(2, 2, "same", count_include_pad=False, name="pool"), em.Activation("gelu"),
        em.GlobalAvgPool()), image=6, ndim=1).layers] for up in ([em.Upsample(4)], [em.Upsample(2)] * 2)]
    assert rows[0] == rows[1]


def test_shares_of_a_pixel_shuffle_after_a_gate() -> None:
    """Layers that stay apart do not change places again and again."""
    net = em.serial(em.Conv(3, 4), em.Activation("relu"), em.PixelShuffle(2), em.Conv(3, 2, stride=2))
    assert [row.node for row in em.layer_shares(net, image=6, ndim=1).layers][:1] == ["conv1"]


def test_filters_whose_weights_add_up_to_zero_have_shares() -> None:
    """Without its other taps a Laplacian would let nothing pass, and a batch norm would have nothing to divide by."""
    lines = [em.Fixed([[1.0], [-2.0], [1.0]]), em.Fixed([[0.5, 0.29, -0.79]])]
    whole = em.serial(Conv(5, 4), Conv(3, weights=em.Fixed(lines[0].array * lines[1].array)), em.BatchNorm(), Relu)
    parts = em.serial(Conv(5, 4), Conv((3, 1), weights=lines[0]), Conv((1, 3), weights=lines[1]), em.BatchNorm(), Relu)
    one, other = (em.layer_shares(net) for net in (whole, parts))
    first = [row.variance for row in one.layers if row.node == "conv1"]
    assert_close([row.variance for row in other.layers if row.node == "conv1"], first, FFT)
    assert len(one.layers) == 2 and len(other.layers) == 3 and all(np.isfinite(row.variance) for row in other.layers)


def test_branches_that_are_alike_are_left_out_one_by_one() -> None:
    """(b + b) / 2 has the variance 1 / 2 of b, of which (1 + b) / 2 has half: as a pool and as a filter."""
    blur = em.BlurPool(3, 1)
    for other in (blur, Conv(3, weights=em.Fixed(np.outer([1, 2, 1], [1, 2, 1]) / 16))):
        shares = em.layer_shares(em.serial(em.add(blur, other)), ndim=2, channels_in=2)
        assert_close(shares.variance, 0.5, ROUNDING)
        assert_close([row.variance for row in shares.layers], [0.25, 0.25], ROUNDING)
    mean, ones = em.AvgPool(3, 1, 1), Conv(3, groups="depthwise", weights=em.Constant())
    for other in (mean, ones):
        shares = em.layer_shares(em.serial(em.add(mean, other)), ndim=2, channels_in=2)
        assert_close([row.variance for row in shares.layers], [1 / 3, 1 / 3], ROUNDING)


def test_a_pool_like_another_one_of_the_same_values() -> None:
    """The share of one of two pools is what goes without it alone, whatever lies before it that does nothing."""
    other, pool = em.serial(em.MaxPool(3, 1, 1), Conv(3, 2)), em.MaxPool(3, 1, 1, name="a")
    nets = [em.serial(em.concat(em.serial(*way, pool), other)) for way in ((), (em.Upsample(2), em.MaxPool(1, 2)))]
    shares = [[row.variance for row in em.layer_shares(net, channels_in=4, ndim=2).layers if row.node == "a"]
              for net in nets]
    assert_close(shares[1], shares[0], ROUNDING)
    assert shares[0][0] > 0


def test_pools_in_a_row_in_a_part_of_a_concatenation_whatever_reads_it() -> None:
    """Windows of 5 in 2 of 10 channels, of power 1, of 3 in 8, of power 2: all variance goes with the last pool."""
    pools = (em.concat(em.MaxPool(3, 1, 1), Conv(1, 8)), em.MaxPool(3, 1, 1))
    for top in ((), (em.concat(em.Slice(0, 2), em.Slice(2, 10)),)):
        found = em.layer_shares(em.serial(*pools, *top), channels_in=2)
        assert_close([found.layers[-1].variance, found.layers[-1].share], [(0.2 * 2 + 1.6 * 2 / 3) / 1.8, 1.0], REWRITE)
