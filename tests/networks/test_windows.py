"""Windows of units: of every phase, at borders, where branches meet."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import pytest
from field_oracle import assert_support, assert_window, cases, field, hull, random_case, unet

import erfmath as em


@pytest.mark.parametrize("ndim, number", [(1, 100), (2, 40)])
@pytest.mark.parametrize("known", [True, False])
def test_windows_on_the_plane_against_the_oracle(ndim: int, number: int, known: bool) -> None:
    for case in cases(ndim, number, gaps=ndim == 1):
        for u in range(-3, 9) if ndim == 1 else (-1, 0, 1, 2):
            assert_window(case, (u, *(2 * u + 1,) * (ndim - 1)), known)


@pytest.mark.parametrize("ndim, number", [(1, 150), (2, 60), (3, 8)])
def test_support_and_windows_of_resized_and_folded_maps(ndim: int, number: int) -> None:
    for case in cases(ndim, number, gaps=ndim == 1, newer=True):
        assert tuple(case.net.shapes(case.image).values()) == tuple(case.shapes)
        units = list(itertools.product(*map(range, case.shapes[-1])))
        rng = random.Random(number)
        rf = em.receptive_field(case.net, image=case.image)
        for unit in {units[0], units[-1], *rng.sample(units, min(len(units), 4))}:
            assert_support(case, unit)
            lo, hi = rf.window(unit)
            seen = hull(case.sees(unit, inside=True))
            part = [(max(a, 0), min(b, n - 1)) for a, b, n in zip(lo, hi, case.image)]
            if seen is None:
                assert ndim > 1 or any(a > b for a, b in part)
            else:
                assert tuple(part) == tuple(zip(*seen))


def test_a_unit_far_from_the_border_sees_its_window() -> None:
    met = 0
    for seed in range(200):
        case = random_case(random.Random(seed), 1, (400,), nodes=5, largest=2000)
        n, = case.shapes[-1]
        lo, hi = em.receptive_field(case.net, image=case.image).window((n // 2,))
        found = em.support(case.net, image=case.image, ndim=1)  # unit n // 2
        plane = case.sees((n // 2,), inside=False)
        if plane == case.sees((n // 2,), inside=True) and plane:
            met += 1
            assert found.origin == lo
            assert found.mask.shape == (hi[0] - lo[0] + 1,)
    assert met > 150  # hardly a case was left out


def test_decoders_repeat_with_their_period() -> None:
    for up in (em.Upsample(2), em.Upsample(2, "bilinear"),
               em.ConvTranspose(4, stride=2, padding=1)):
        rf = em.receptive_field(unet(3, up), ndim=1)
        for u in range(8):
            (lo,), (hi,) = rf.window(u)
            assert rf.window(u + 8) == ((lo + 8,), (hi + 8,))


def test_fractional_strides() -> None:
    rf = field(em.Conv(3), em.Upsample(3), ndim=1)
    assert rf.stride == (Fraction(1, 3),) and rf.size == (3,) and not rf.shift_invariant
    assert [rf.window(u) for u in range(-1, 4)] == [((a,), (a + 2,)) for a in (-2, -1, -1, -1, 0)]
    back = field(em.Conv(3), em.Upsample(3), em.Conv(1, stride=3), ndim=1)
    assert back.stride == (1,) and back.shift_invariant


def test_a_branch_that_hides_the_phase_restores_shift_invariance() -> None:
    net = em.add(em.Conv(7), em.serial(em.AvgPool(2), em.Upsample(2)))
    rf = em.receptive_field(net)
    assert em.receptive_field(net, node="upsample1").shift_invariant is False
    assert rf.shift_invariant is True
    assert rf.window(0) == rf.window((0, 0)) == ((-3, -3), (3, 3))
    assert rf.window(1) == ((-2, -2), (4, 4)) and rf.size == (7, 7)


def test_same_padding_with_and_without_the_image() -> None:
    parts = (em.Conv(3, stride=2, padding="same"), em.Conv(3, padding="same"))
    assert field(*parts).padding is None
    assert field(*parts).on_plane().window(0) == ((-3, -3), (3, 3))  # (R - 1) // 2 per layer
    for question in (field(*parts).window, field(*parts).center, field(*parts).units, field(*parts).nearest_unit):
        with pytest.raises(ValueError, match="conv2: where its units look depends on the size .* give image="):
            question(0)
    for n in range(1, 12):
        before = max((math.ceil(n / 2) - 1) * 2 + 3 - n, 0) // 2
        rf = field(*parts, image=(n, n))
        assert rf.padding == (before + 2,) * 2 and rf.image == (n, n)
    assert field(em.Conv(3, padding="same")).padding == (1, 1)
    assert field(em.Conv(1, stride=2, padding="same")).padding == (0, 0)
    assert field(em.ConvTranspose(3, stride=2, padding="same")).padding is not None
    every = em.receptive_fields(em.serial(em.Conv(3), *parts))
    assert [rf.padding for rf in every.values()] == [(1, 1), None, None]


def test_misaligned_branches_are_reported_by_their_union() -> None:
    net = em.add(em.Conv(3, padding=(2, 0)), em.Conv(3, padding=(0, 2)))
    rf = em.receptive_field(net)
    assert not rf.shift_invariant and rf.size == (5, 5) and rf.window(4) == ((2, 2), (6, 6))
    assert em.support(net).density == em.support(net).mask.sum() / 25
    wider = em.receptive_field(em.add(em.Conv(1), em.Conv(7), em.Conv(3, dilation=2)))
    assert wider.shift_invariant and wider.size == (7, 7) and wider.padding == (3, 3)


def test_a_transposed_convolution_with_gaps() -> None:
    net = em.serial(em.ConvTranspose(1, stride=2))
    rf = em.receptive_field(net, ndim=1)
    assert rf.size == (1,) and rf.window(4) == ((2,), (2,))
    (lo,), (hi,) = rf.window(5)
    assert hi == lo - 1
    assert em.support(net, image=(6,), unit=5).mask.size == 0
    assert rf.units(2) == ((4,), (4,))
    deaf = em.receptive_field(em.serial(net, em.Conv(1, stride=2, padding=(1, 0))), ndim=1)
    assert deaf.size == (0,) and deaf.units(0) is None and deaf.window(3)[0] > deaf.window(3)[1]
    # Behind a union, windows of units with and without the gapped branch must not be mixed up:
    # the hull of three units is that of the widest, wherever it stands.
    sparse = em.serial(em.Conv(5), em.ConvTranspose(1, stride=2, padding=(0, -1)))
    both = em.receptive_field(em.serial(em.add(sparse, em.Upsample(2)), em.Conv(3)), ndim=1)
    assert both.window(2) == ((-1,), (3,)) and both.window(3) == ((-1,), (4,))


def test_what_all_units_see_does_not_move_with_them() -> None:
    """Of 8 pixels a valid convolution of 3 in steps of 2 leaves the last out, and so does all that is made of it."""
    gate = em.multiply(em.Identity(), em.GlobalAvgPool())
    net = em.serial(em.Conv(3, 4, stride=2, padding="valid"), gate, em.AvgPool(2, 1))
    field = em.receptive_field(net, image=8, ndim=1)
    assert [field.window(unit) for unit in (0, 1)] == [((0,), (6,))] * 2
