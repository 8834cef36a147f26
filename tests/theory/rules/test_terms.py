"""Terms of a sum that are convolutions of one map, as one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, REWRITE, ROUNDING, assert_close

import erfmath as em
from erfmath.theory.rules.terms import one_filter

POOL, BLUR = em.AvgPool(2), em.BlurPool(3, 2)


def fixed(array: Any, **fields: Any) -> em.Conv:
    return em.Conv(np.shape(array), groups="depthwise", weights=em.Fixed(np.asarray(array, float)), **fields)


def test_windows_that_begin_at_different_sites() -> None:
    """[1, 2, 3] from one site before, and twice [1, 1] from the site itself, two sites apart."""
    terms = [fixed([1, 2, 3], stride=2, padding=1), fixed([1, 1], stride=2, dilation=2, padding=((0, 2),))]
    whole: Any = one_filter(terms, [1.0, 2.0], (9,), 4)
    assert_close(whole.weights.array, [1, 4, 3, 2], EXACT)
    assert whole.stride == (2,)
    assert {em.serial(conv).shapes(9)["conv1"] for conv in (whole, *terms)} == {(5,)}


def test_terms_that_stay_apart() -> None:
    """Other strides, random weights, and sums of nothing."""
    one = fixed([1., 2.], stride=2, padding=0)
    for other in (fixed([1., 2.], stride=1, padding=0), em.Conv((2,), 4, stride=2, padding=0), one):
        assert one_filter([one, other], [1.0, -1.0], (8,), 4) is None


@pytest.mark.parametrize("image, unit", [(None, None), (12, 0), (12, 2)])
def test_sums_of_strided_filters(image: int | None, unit: int | None) -> None:
    """A norm after pool(x) + blur(x) / 2 knows how much they have in common: on the plane the total is 1."""
    tail = (em.Conv(1, 8, weights=em.Random(gain=1.)), em.BatchNorm(), em.Activation("tanh"))
    apart = em.serial(em.Conv(1, 8), em.add(POOL, em.serial(BLUR, em.Scale(.5))), *tail)
    whole = np.outer([1, 2, 1], [1, 2, 1]) / 32
    whole[1:, 1:] += 1 / 4
    one = em.serial(em.Conv(1, 8), fixed(whole, stride=2, padding=1), *tail)
    options: Any = {"image": image, "unit": unit, "ndim": 2}
    assert_close(em.predict(apart, **options).map, em.predict(one, **options).map, REWRITE)
    if image is None:
        linear = em.serial(em.add(POOL, em.serial(BLUR, em.Scale(.5))), *tail[:2])
        assert_close(em.predict(linear, ndim=2).total, 1.0, ROUNDING)


def test_a_map_and_its_filter_are_one_filter() -> None:
    """x - .91 f(x), averaged, is the average of both: a norm knows the patterns of either."""
    conv, pool, end = em.Conv(3, 6, padding=1), em.AvgPool(2), em.BatchNorm()
    f = em.serial(em.Conv(2, groups="depthwise", dilation=2, padding=1, weights=em.Constant()), em.Scale(-.91))
    sums = (em.add(em.Identity(), f), pool), (em.add(pool, em.serial(f, pool)),)
    one, other = (em.predict(em.serial(conv, *way, end), image=4, unit=0, channels_in=2).map for way in sums)
    assert_close(one, other, REWRITE)


def test_a_map_belongs_to_its_functions() -> None:
    """f(x) + leaky(x) + x: the last two are one function, however the sum is bracketed."""
    f, leaky = em.serial(em.AvgPool(3, 1, 1), em.Scale(.75)), em.Activation("leaky_relu", slope=.29)
    below = em.Conv(5, 4), em.MaxPool(3)
    flat = em.serial(*below, em.add(f, leaky, em.Identity()))
    nested = em.serial(*below, em.add(f, em.add(em.Identity(), leaky)))
    selu, six = em.Activation("selu"), em.Activation("relu6")
    box = em.Conv(3, groups="depthwise", weights=em.Constant())
    stem = em.Conv(3, 6), selu
    wide = em.serial(*stem, em.add(six, box, em.Identity()))
    inner = em.serial(*stem, em.add(six, em.add(em.Identity(), box)))
    for one, other in ((flat, nested), (wide, inner)):
        assert_close(*[em.predict(net, image=8, unit=1, ndim=2).map for net in (one, other)], REWRITE)
