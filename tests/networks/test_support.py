"""Pixels that reach a unit, one by one, against walks along every path."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from field_oracle import assert_support, assert_window, cases, hull
from helpers import EXACT, assert_close

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.layers.geometry import AxisGeometry
from erfmath.networks import support as trf_support, windows as trf_windows


@pytest.mark.parametrize("ndim, number", [(1, 100), (2, 30), (3, 5)])
def test_support_on_images_against_the_oracle(ndim: int, number: int) -> None:
    for case in cases(ndim, number):
        assert tuple(case.net.shapes(case.image).values()) == tuple(case.shapes)
        shape = case.shapes[-1]
        rng = random.Random(number)
        units = list(itertools.product(*map(range, shape)))
        for unit in {units[0], units[-1], *rng.sample(units, min(len(units), 4))}:
            assert_support(case, unit)


@pytest.mark.parametrize("ndim", [1, 2])
def test_the_oracle_catches_an_off_by_one(ndim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    true_pads = AxisGeometry.pads

    def shifted(self: AxisGeometry, n: int | None) -> tuple[int, int]:
        before, after = true_pads(self, n)
        return (before + 1, after - 1) if self.kernel == 3 else (before, after)

    monkeypatch.setattr(AxisGeometry, "pads", shifted)
    monkeypatch.setattr(trf_windows, "reads", trf_windows.reads.__wrapped__)
    monkeypatch.setattr(trf_support, "reads", trf_windows.reads)
    caught = {assert_support: 0, assert_window: 0}
    for case in cases(ndim, 40):
        unit = tuple(n // 2 for n in case.shapes[-1])
        for check, extra in ((assert_support, ()), (assert_window, (True,))):
            try:
                check(case, unit, *extra)
            except AssertionError:
                caught[check] += 1
    assert min(caught.values()) > 5


def test_where_gaps_meet_branches_in_two_dimensions_the_window_holds_the_support() -> None:
    for case in cases(2, 60, gaps=True):
        rf = em.receptive_field(case.net, image=case.image)
        for unit in itertools.product(range(2), repeat=2):
            box = hull(case.sees(unit, inside=True))
            lo, hi = rf.window(unit)
            assert box is None or all(a <= b <= c <= d for a, b, c, d in zip(lo, *box, hi))


def test_density_of_the_support() -> None:
    holes = em.support(em.serial(em.Conv(1, stride=2, padding=0), em.Conv(3, padding=1)))
    assert holes.mask.shape == (5, 5) and holes.density == 9 / 25
    dilated = em.support(em.serial(em.Conv(3, dilation=2)), ndim=1)
    assert dilated.mask.tolist() == [True, False, True, False, True]
    assert em.support(em.repeat(em.Conv(3), 4)).density == 1
    assert em.support(em.serial(em.Conv((3, 1)), em.Conv((1, 5)))).mask.shape == (3, 5)
    plus = em.support(em.add(em.Conv((3, 1)), em.Conv((1, 3))))
    assert_close(plus.mask, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool), EXACT)
    corner = em.support(em.repeat(em.Conv(3), 2), image=9, unit=0)
    assert corner.origin == (0, 0) and corner.mask.shape == (3, 3)


def test_a_support_too_large_for_memory_is_refused_unless_an_image_cuts_it() -> None:
    net = em.serial(em.Conv(3, dilation=30_000), em.Conv(3))
    with pytest.raises(SizeError, match="would need 3600360009 bytes"):
        em.support(net)
    assert em.support(net, image=5).mask.shape == (3, 3)
