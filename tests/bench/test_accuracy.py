"""The networks of the accuracy table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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


def test_what_has_been_sampled_is_not_sampled_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A table that was stopped goes on, and one with other draws begins anew."""
    case = cases.Case("small", lambda width: em.repeat(em.Conv(3, width), 3), 9, 8, ndim=1)
    monkeypatch.setattr(accuracy, "CASES", (case,))
    monkeypatch.setattr(accuracy.kinds, "CASES", ())
    file, asked = tmp_path / "accuracy.jsonl", []
    right = accuracy.sample
    monkeypatch.setattr(accuracy, "sample", lambda case, workers: asked.append(case) or right(case, workers))
    tables = [accuracy.run(results=str(file), progress=lambda done, of: None) for _ in range(2)]
    assert tables[0] == tables[1] and asked == [case]
    monkeypatch.setattr(accuracy, "CASES", (replace(case, draws=16),))
    accuracy.run(results=str(file))
    assert len(asked) == 2 and len(file.read_text().splitlines()) == 2
