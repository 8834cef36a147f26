"""The networks of the accuracy table."""

from __future__ import annotations

import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.bench import accuracy, cases


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=[pytest.mark.slow] * (i % 4 > 0))
                                  for i, case in enumerate(accuracy.CASES)])
def test_accuracy_cases_have_rules(case: cases.Case) -> None:
    erf = em.predict(case.build(width=case.width), method=case.method, **case.about)
    assert_close(erf.std, erf.std[::-1], ROUNDING)  # one number stands for both axes


@pytest.mark.parametrize("function, layers", [("relu", 3), ("tanh", 5)])
def test_plain_is_a_chain(function: str, layers: int) -> None:
    assert em.receptive_field(accuracy.plain(function, layers)(4)).size == (2 * layers + 1,) * 2
