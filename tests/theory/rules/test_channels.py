"""Slices, shuffles and pixel shuffles in the theory: against networks that do the same without them, and by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, Tolerance, assert_close

import erfmath as em
from erfmath.theory.rules.channels import _passed

R, G1 = em.Activation("relu"), em.Random(gain=1)


def around(*parts: Any, channels: int = 8) -> em.Network:
    """Parts in the middle of a network with gates."""
    return em.serial(em.Conv(3, channels), R, *parts, em.Conv(3, 8), R, em.Conv(3, 4))


PLACES = [{"ndim": 1}, {"ndim": 2}, {"image": (12, 12), "unit": (0, 5)}, {"image": (10,), "unit": (9,)}]


def assert_same(one: em.Network, other: em.Network, place: dict[str, Any]) -> None:
    a, b = em.predict(one, **place), em.predict(other, **place)
    if a.shape == b.shape:
        assert_close(a.map, b.map, REWRITE)
    else:  # windows of all phases are wider than those of one
        assert_close(a.crop([-9] * a.ndim, [9] * a.ndim), b.crop([-9] * a.ndim, [9] * a.ndim), REWRITE)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("parts", [
    (em.split([4, 4], em.Identity(), em.Identity()),), (em.split([1, 5, 2], *[em.Identity()] * 3),),
    (em.Shuffle(4), em.Shuffle(2)), (em.PixelUnshuffle(2), em.PixelShuffle(2)),
    (em.split([2, 6], R, em.Scale(1.0)), em.Shuffle(2))], ids=str)
def test_what_changes_nothing(parts: tuple[Any, ...], place: dict[str, Any]) -> None:
    assert_same(around(*parts), around(), place)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("k", [1, 3])
def test_pixel_shuffle_after_a_convolution_is_a_transposed_one(k: int, place: dict[str, Any]) -> None:
    ndim = place.get("ndim", len(place.get("image", ())))
    whole = em.ConvTranspose(2 * k, 8, stride=2, padding=k - 1)
    assert_same(around(em.Conv(k, 8 * 2**ndim), em.PixelShuffle(2), R), around(whole, R), place)


@pytest.mark.parametrize("image", [(6, 6), (10, 10), (4, 8)])
@pytest.mark.parametrize("first", [em.Conv(3, 8), em.serial(em.Conv(3, 8), R)], ids=str)
def test_patterns_go_through_shuffles(first: Any, image: tuple[int, int]) -> None:
    """Of an unshuffled map a convolution and a pixel shuffle are a transposed convolution; a batch norm asks for them.

    After a rectifier distant sites of one phase have something in common, which is averaged on either side of it.
    """
    shuffled = em.serial(first, em.PixelUnshuffle(2), em.Conv(1, 32), em.PixelShuffle(2), R, em.Conv(3, 4),
                         em.BatchNorm())
    transposed = em.serial(first, em.PixelUnshuffle(2), em.ConvTranspose(2, 8, stride=2), R, em.Conv(3, 4),
                           em.BatchNorm())
    one, other = (em.predict(net, image=image, channels_in=4) for net in (shuffled, transposed))
    level = REWRITE if isinstance(first, em.Conv) else Tolerance(5e-3, 1e-3)
    assert_close(one.map, other.map, level)


@pytest.mark.parametrize("place", PLACES)
def test_space_to_depth_stem_is_a_strided_convolution(place: dict[str, Any]) -> None:
    net = em.serial(em.PixelUnshuffle(2), em.Conv(3, 8), R, em.Conv(3, 4))
    same = em.serial(em.Conv(6, 8, stride=2, padding=2), R, em.Conv(3, 4))
    place = {**place, "unit": tuple(u // 2 for u in place["unit"])} if "unit" in place else place
    assert_same(net, same, place)


def test_a_part_of_the_channels_sees_its_branch_only() -> None:
    """Half of what the shuffle leaves in front are channels of the convolution, half those of the identity."""
    net = em.serial(em.Conv(3, 8), em.split([4, 4], em.Conv(3, 4), em.Identity()), em.Shuffle(2), em.Slice(0, 4),
                    em.Conv(1, 4))
    erf = em.predict(net, ndim=1)
    # Gains of 2 each: 2 (1/2 . 2 . 2 + 1/2 . 2) = 6, of which 2/3 went through two kernels of three taps.
    wide = [Fraction(n, 9) for n in (1, 2, 3, 2, 1)]
    narrow = [Fraction(n, 3) for n in (0, 1, 1, 1, 0)]
    assert_close(erf.map, np.array([float(4 * a + 2 * b) for a, b in zip(wide, narrow)]), REWRITE)


def test_groups_of_a_convolution_read_their_own_branch() -> None:
    """A grouped convolution over two unequal branches and a slice of it see one branch."""
    def net(*end: Any) -> em.Network:
        branches = em.concat(em.Conv(5, 4, weights=G1), em.Conv(1, 4, weights=em.Random(gain=3)))
        return em.serial(em.Conv(1, 4), branches, em.Conv(1, 8, groups=2, weights=G1), R, *end)
    for cut, k, gain in ((em.Slice(0, 4), 5, 1), (em.Slice(4, 8), 1, 3)):
        alone = em.serial(em.Conv(1, 4), em.Conv(k, 4, weights=em.Random(gain=gain)), em.Conv(1, 4, weights=G1), R)
        a, b = em.predict(net(cut, em.Conv(1, 2)), ndim=1), em.predict(em.serial(alone, em.Conv(1, 2)), ndim=1)
        assert_close(a.crop([-2], [2]), b.crop([-2], [2]), REWRITE)


def test_one_value_through_two_slices() -> None:
    """The sum of both halves of y beside y is 2 y, that of y beside 2 y is 3 y: gradients add, and not as powers."""
    halves = em.add(em.Slice(0, 4), em.Slice(4, 8))
    alone = em.predict(em.repeat(em.Conv(3, 4), 2)).total
    for other, factor in ((em.Identity(), 2), (em.Scale(2.), 3)):
        net = em.serial(em.Conv(3, 4), em.concat(em.Identity(), other), halves, em.Conv(3, 4))
        assert_close(em.predict(net).total, factor**2 * alone, REWRITE)


@pytest.mark.parametrize("q", [0.3, 2.0])
def test_power_that_passes_a_softmax_of_three(q: float) -> None:
    """By a product of three quadratures; and of many parts at small logits, (1 - 1 / r) / r^2."""
    z, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    a, b, c = np.meshgrid(*(np.exp(np.sqrt(q) * z),) * 3, indexing="ij")
    total = a + b + c
    squares = (a / total)**2 * ((1 - a / total)**2 + (b / total)**2 + (c / total)**2)
    assert_close(_passed(3, q), float(np.einsum("ijk,i,j,k", squares, w, w, w)), Tolerance(1e-6, 0.0))
    assert_close(_passed(50, 1e-8), (1 - 1 / 50) / 50**2, Tolerance(1e-6, 0.0))
    assert _passed(1, q) == 0
