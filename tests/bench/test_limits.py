"""The networks of the table of limits."""

from __future__ import annotations

import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.bench import cases, limits


@pytest.mark.parametrize("case", limits.CASES, ids=lambda case: case.name)
def test_accuracy_cases_have_rules(case: cases.Case) -> None:
    erf = em.predict(case.build(width=case.width), method=case.method, **case.about)
    assert_close(erf.std, erf.std[::-1], ROUNDING)  # one number stands for both axes


def test_levels_halve_the_map() -> None:
    net = limits._levels(4, levels=4)
    assert net.shapes(48)[net.output] == (6, 6) and net.channels(4)[net.output] == 32
