"""Theoretical receptive fields against per-site recursion, closed forms and published values."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from field_oracle import cases, field, unet
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.networks.trf import default_unit


def test_chains_follow_the_closed_form() -> None:
    """R = 1 + sum (k - 1) d J,  S = prod s,  P = sum p J  with J the stride so far."""
    rng = random.Random(0)
    for _ in range(50):
        jump, size, padding, layers = 1, 1, 0, []
        for _ in range(rng.randint(1, 8)):
            k, s, d, p = (rng.randint(1, 5), rng.randint(1, 3), rng.randint(1, 3),
                          (rng.randint(0, 3), rng.randint(0, 3)))
            layers.append(em.Conv(k, stride=s, dilation=d, padding=p))
            size, padding, jump = size + (k - 1) * d * jump, padding + p[0] * jump, jump * s
        rf = field(*layers)
        assert (rf.size, rf.stride, rf.padding) == ((size,) * 2, (jump,) * 2, (padding,) * 2)
        assert rf.shift_invariant and not rf.infinite and rf.ndim == 2
        lo = 3 * jump - padding, -2 * jump - padding
        assert rf.window((3, -2)) == (lo, (lo[0] + size - 1, lo[1] + size - 1))


VGG16 = [em.MaxPool(2) if letter == "p" else em.Conv(3) for letter in "ccpccpcccpcccpccc"]
ALEXNET = [em.Conv(11, stride=4, padding=2), em.MaxPool(3, 2), em.Conv(5), em.MaxPool(3, 2),
           em.Conv(3), em.Conv(3), em.Conv(3), em.MaxPool(3, 2)]


@pytest.mark.parametrize("layers, size, stride, padding", [
    ([em.Conv(3)] * 20, 41, 1, 20),
    ([em.Conv(3, dilation=d) for d in (1, 1, 2, 4, 8, 16, 1)], 67, 1, 33),  # context module
    ([em.Conv(3, dilation=2 if i in (3, 7, 11) else 1) for i in range(15)], 37, 1, 18),
    ([em.Conv(3, stride=2 if i in (3, 7, 11) else 1) for i in range(15)], 105, 8, 52),
    (VGG16, 196, 16, 90),
    (ALEXNET, 195, 32, 66),
    ([em.Conv(4, padding=(1, 2))], 4, 1, 1),
    ([em.Conv(2, padding="same")], 2, 1, 0),  # the site left over is padded after
    ([em.Conv(3, padding=(2, 0)), em.Conv(3, padding=(0, 2))], 5, 1, 2),
    ([em.Conv(1, stride=2), em.Conv(1, stride=2)], 1, 4, 0),
    ([em.Pad(3), em.Conv(5, padding=0)], 5, 1, 3),
    ([em.Pad(-3), em.Conv(5)], 5, 1, -1),
    ([em.Conv(7), em.Pad((-2, 2))], 7, 1, 1),
    ([em.Upsample(2), em.MaxPool(2)], 1, 1, 0),
    ([em.ConvTranspose(3, padding=1), em.Conv(3)], 5, 1, 2),
    ([em.Identity()], 1, 1, 0),
])
def test_textbook_values(layers: list[Any], size: int, stride: int, padding: int) -> None:
    for ndim in (1, 2, 3):
        rf = field(*layers, ndim=ndim)
        assert rf.size == (size,) * ndim and rf.stride == (stride,) * ndim
        assert rf.padding == (padding,) * ndim
        lo, hi = rf.window(0)
        assert (lo, hi) == ((-padding,) * ndim, (size - 1 - padding,) * ndim)


def test_a_unet_of_four_levels_by_phase() -> None:
    """188 or 204 pixels: by hand, a window of units [a, b] goes down and up the levels."""
    def window(a: int, b: int, levels: int) -> tuple[int, int]:
        a, b = a - 2, b + 2
        if levels:
            low, high = window(a // 2, b // 2, levels - 1)
            a, b = min(a, 2 * low), max(b, 2 * high + 1)
        return (a - 2, b + 2) if levels else (a, b)

    rf = em.receptive_field(unet(4, em.ConvTranspose(2, stride=2)))
    windows = [window(u, u, 4) for u in range(-16, 32)]
    for u, (a, b) in zip(range(-16, 32), windows):
        assert rf.window((u, 0)) == ((a, windows[16][0]), (b, windows[16][1]))
    assert {b - a + 1 for a, b in windows} == {188, 204}
    assert rf.size == (204, 204) and rf.stride == (1, 1) and not rf.shift_invariant


def test_global_pooling_sees_everything() -> None:
    net = em.serial(em.Conv(3, stride=2), em.GlobalAvgPool(), em.Conv(1, 10))
    rf = em.receptive_field(net)
    assert rf.infinite and rf.size == (math.inf, math.inf) and rf.padding is None
    assert rf.stride == (0, 0)
    for question in (rf.window, rf.center, rf.units, rf.nearest_unit):
        with pytest.raises(ValueError, match="conv2: sees the whole plane .* give image="):
            question(0)
    with pytest.raises(ValueError, match="give image="):
        em.support(net)
    known = em.receptive_field(net, image=(9, 6))
    assert known.size == (9, 6) and known.window(0) == ((0, 0), (8, 5)) and not known.infinite
    assert known.nearest_unit(3) == (0, 0) and known.center(0) == (4, 2.5)
    with pytest.raises(ValueError, match="units see the same pixels"):
        known.units(3)
    assert em.support(net, image=(9, 6)).mask.all()
    assert em.receptive_field(net, node="conv1").size == (3, 3)
    # A branch of it makes the sum see everything; sites outside the image are not counted.
    context = em.concat(em.serial(em.GlobalAvgPool(), em.Upsample(7)),
                        em.serial(em.GlobalAvgPool(), em.Upsample(7, "bilinear")))
    assert em.receptive_field(context).infinite
    assert em.receptive_field(context, image=7).window(3) == ((0, 0), (6, 6))
    cut = em.serial(em.Conv(1, stride=4), em.GlobalAvgPool())
    assert em.receptive_field(cut, image=(7, 8)).window(0) == ((0, 0), (4, 4))
    blind = em.serial(em.ConvTranspose(1, stride=2, padding=(1, -1)), em.GlobalAvgPool())
    assert em.receptive_field(blind, image=1).size == (0, 0)
    assert em.support(blind, image=1).density == 0
    outside = em.serial(em.Pad((6, -2)), em.Pad((0, -4)), em.GlobalAvgPool())
    assert em.receptive_field(outside, image=2).size == (0, 0)


def test_units_and_nearest_unit_invert_window_and_center() -> None:
    for case in cases(1, 100):
        rf = em.receptive_field(case.net, image=case.image)
        assert rf.padding is not None
        (size,), (stride,), (padding,) = rf.size, rf.stride, rf.padding
        # Units beyond see none of the pixels asked for.
        reach = math.ceil((size + abs(padding) + 10) / stride) + 10
        span = range(-reach, reach + 1)
        windows = [rf.window(u) for u in span]
        centres = [u * stride - padding + Fraction(size - 1, 2) for u in span]
        for pixel in (-5, 0, 1, 2, 9):
            seeing = [u for u, ((lo,), (hi,)) in zip(span, windows) if lo <= pixel <= hi]
            assert rf.units(pixel) == (((seeing[0],), (seeing[-1],)) if seeing else None)
            distance = [abs(centre - pixel) for centre in centres]
            assert rf.nearest_unit(pixel) == (span[distance.index(min(distance))],)


def test_units_against_the_support_of_every_unit() -> None:
    for case in cases(1, 80):
        rf = em.receptive_field(case.net, image=case.image)
        for pixel in range(case.image[0]):
            seeing = [u for u in range(case.shapes[-1][0])
                      if (pixel,) in case.sees((u,), inside=True)]
            found = rf.units(pixel)
            if seeing:
                assert found is not None
                assert found[0][0] <= seeing[0] and seeing[-1] <= found[1][0]
    net = em.serial(em.Conv(3), em.MaxPool(2), em.Conv(3))
    rf = em.receptive_field(net, image=16)
    assert rf.units((4, 9)) == ((0, 3), (3, 6))  # unit u sees 2 u - 3 ... 2 u + 4
    maps = {u: em.support(net, image=16, unit=u) for u in itertools.product(range(8), repeat=2)}
    assert {u for u, (mask, origin) in maps.items()
            if all(0 <= p - o < n for p, o, n in zip((4, 9), origin, mask.shape))
            } == set(itertools.product(range(0, 4), range(3, 7)))


def test_the_center_is_where_the_contract_puts_it() -> None:
    for case in cases(2, 60, gaps=False):
        rf = em.receptive_field(case.net, image=case.image)
        assert rf.padding is not None
        for unit in ((0, 0), (3, -2)):
            expected = [float(u * s - p + (r - 1) / Fraction(2))
                        for u, s, p, r in zip(unit, rf.stride, rf.padding, rf.size)]
            assert_close(rf.center(unit), expected, ROUNDING, scale=max(rf.size))
            if rf.shift_invariant and not rf._borders:
                lo, hi = rf.window(unit)
                assert_close(rf.center(unit), np.add(lo, hi) / 2, EXACT)
    # Not the middle of the image: unit 3 of 7 of a ResNet on 224 pixels.
    assert field(em.Conv(7, stride=2, padding=3), em.MaxPool(3, 2, 1),
                 *[em.Conv(3, stride=2, padding=1)] * 3).center(3) == (96, 96)


@pytest.mark.parametrize("stride, pad, image", [(2, 1, 4), (2, 1, 5), (3, 2, 7), (3, 1, 8)])
@pytest.mark.parametrize("last", [em.Conv(3), em.ConvTranspose(3, padding=1)])
def test_sites_that_see_only_padding_add_nothing(stride: int, pad: int, image: int, last: em.Layer) -> None:
    net = em.serial(em.Conv(1, stride=stride, padding=pad), last)
    rf = em.receptive_field(net, image=image, ndim=1)
    for unit in range(rf.shape[0] if rf.shape else 0):
        (lo,), (hi,) = rf.window(unit)
        mask, (start,) = em.support(net, image=image, unit=unit, ndim=1)
        reached = start + np.flatnonzero(mask)
        assert (max(lo, 0), min(hi, image - 1)) == (reached[0], reached[-1])


def test_ties_go_to_the_lower_unit() -> None:
    rf = field(em.MaxPool(2), ndim=1)  # centres 0.5, 2.5, ...
    assert [rf.nearest_unit(x) for x in range(-1, 5)] == [(-1,), (0,), (0,), (1,), (1,), (2,)]
    dense = field(em.Conv(1, stride=2), ndim=1)  # centres 0, 2, 4: odd pixels are ties
    assert [dense.nearest_unit(x) for x in range(-1, 4)] == [(-1,), (0,), (0,), (1,), (1,)]


@pytest.mark.parametrize("net, image", [
    (em.serial(em.Conv(3, stride=2, padding="same")), None),
    (em.serial(em.Conv((3, 5), stride=2, padding="same")), (8, 9)),
    (em.serial(em.Conv(3), em.Upsample(3), em.ConvTranspose(1, stride=2)), None),
    (em.serial(em.Conv(3), em.GlobalAvgPool()), None),
    (em.serial(em.Conv(3), em.GlobalAvgPool()), 6),
])
def test_a_field_survives_json(net: em.Network, image: Any) -> None:
    rf = em.receptive_field(net, image=image)
    back = em.ReceptiveField.from_dict(json.loads(json.dumps(rf.to_dict())))
    assert back == rf and hash(back) == hash(rf)
    assert rf.infinite or back.on_plane().window(7) == rf.on_plane().window(7)
    assert em.ReceptiveField.from_dict(rf.on_plane().to_dict()) == rf.on_plane()


def test_every_node_and_one_node_agree() -> None:
    net = em.serial(em.Conv(3, name="stem"), em.residual(em.repeat(em.Conv(3), 2)), em.MaxPool(2))
    every = em.receptive_fields(net, image=20)
    assert tuple(every) == net.names
    for name, rf in every.items():
        assert rf == em.receptive_field(net, image=20, node=name) and rf.node == name
        assert rf.window(1) == em.receptive_field(net, node=name).window((1, 1))
    assert em.receptive_field(net) == em.receptive_fields(net)["max_pool1"]
    assert hash(every["stem"]) == hash(em.receptive_field(net, image=20, node="stem"))


def test_axes_differ_and_numpy_integers_are_units() -> None:
    net = em.serial(em.Conv((1, 3, 5), stride=(1, 2, 3)), em.Conv(3))
    rf = em.receptive_field(net)
    assert (rf.size, rf.stride, rf.padding) == ((3, 7, 11), (1, 2, 3), (1, 3, 5))
    assert rf.window(np.array([1, 2, 3])) == rf.window((1, 2, 3)) == ((0, 1, 4), (2, 7, 14))
    assert all(type(x) is int for x in rf.window(np.int64(2))[0])
    assert rf.window(2) == rf.window((2, 2, 2))


@pytest.mark.parametrize("call, message", [
    (lambda: field(em.Conv(3)).window((1, 2, 3)), r"unit=\(1, 2, 3\): must have 2 values"),
    (lambda: field(em.Conv(3)).window(1.0), r"unit=1\.0: must be an integer"),
    (lambda: field(em.Conv(3)).center(True), "unit=True: must be an integer"),
    (lambda: field(em.Conv(3)).units("12"), "pixel='12': must be an integer"),
    (lambda: field(em.Conv(3)).nearest_unit((1,)), r"pixel=\(1,\): must have 2 values"),
    (lambda: field(em.Conv(3), node="conv2"), "node='conv2': no node .* 'conv1'"),
    (lambda: field(em.Conv(3), node="input"), "node='input': must be a node"),
    (lambda: field(em.Conv(3), image=0), "image=0: must be at least 1"),
    (lambda: field(em.Conv(3), image=2.5), "image=2.5: must be an integer"),
    (lambda: field(em.Conv((3, 3)), image=(4, 4, 4)), r"image=\(4, 4, 4\): must have 2 values"),
    (lambda: field(em.Conv(5, padding=0), image=4), r"image=\(4, 4\): too small, conv1 has no"),
    (lambda: field(em.Conv(3), ndim=4), "ndim=4: this network lives in 1 or 2 or 3 dimensions"),
    (lambda: em.support(em.serial(em.Conv(3)), image=4, unit=4), "outside the node's map"),
    (lambda: em.support(em.serial(em.Conv(3)), image=4, unit=(0, -1)), "outside the node's map"),
])
def test_bad_questions(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


#: What else the verbs that ask for more than a network are given.
REST = {"border_layers": (32,), "costs": (32,), "coverage": (5,), "erf_size_map": (32,), "widening": ({},),
        "fit": (em.training.BoxMajority(9, 1),), "activities": ({}, np.zeros((1, 3, 9, 9)))}


@pytest.mark.parametrize("name", [name for name in em.__all__ if inspect.isfunction(getattr(em, name))
                                  and next(iter(inspect.signature(getattr(em, name)).parameters)) == "net"])
def test_a_layer_is_not_a_network(name: str) -> None:
    more = {"steps": 1} if name == "fit" else {}
    with pytest.raises(TypeError, match="must be a Network"):
        getattr(em, name)(em.Conv(3), *REST.get(name, ()), **more)


def test_default_units() -> None:
    assert default_unit(None, 3, None) == (0, 0, 0)
    assert default_unit((7, 4), 2, None) == (3, 2)
    assert default_unit((7, 4), 2, 3) == (3, 3)
    assert em.support(em.serial(em.Conv(3)), image=(7, 4)).origin == (2, 1)


def test_very_deep_networks() -> None:
    net = em.repeat(em.Conv(3), 10_000)
    assert em.receptive_field(net).size == (20_001, 20_001)
    assert em.support(net, image=5).mask.all()


def test_summary() -> None:
    net = em.serial(em.Conv((3, 5), stride=2, padding="same", name="stem"), em.Activation("relu"),
                    em.GlobalAvgPool())
    lines = net.summary().splitlines()
    rows = [line.split() for line in lines]
    assert rows[0] == ["node", "op", "output", "TRF", "stride", "padding"]
    assert rows[1:] == [["stem", "conv", "-", "3x5", "2", "?"],
                        ["relu1", "relu", "-", "3x5", "2", "?"],
                        ["global_avg_pool1", "global_avg_pool", "-", "whole", "0", "?"]]
    assert len({line.find(row[-1], 40) for line, row in zip(lines, rows)} - {-1}) == 1
    known = [line.split() for line in net.summary(image=(8, 9)).splitlines()]
    assert known[1] == ["stem", "conv", "4x5", "3x5", "2", "0x2"]
    assert known[3][2:5] == ["1x1", "8x9", "0"]


def test_receptive_fields_print_as_tables() -> None:
    rf = em.receptive_field(em.zoo.resnet50(), image=224)
    assert "TRF      427 px" in str(rf) and "stride   32 px" in str(rf) and "TRF centre 0, 0" in str(rf)
    assert rf._repr_html_().startswith("<table><tr><td>node</td><td>layer4</td></tr>")
    assert "whole px" in str(em.receptive_field(em.serial(em.GlobalAvgPool())))
    assert rf.shape == (7, 7) and em.receptive_field(em.zoo.resnet50()).shape is None
