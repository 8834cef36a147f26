"""What anybody may hand over: documents and files that are almost right end in an answer or a documented error."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import Hang, bounded, fuzz_documents, fuzz_results


def test_documents() -> None:
    told = fuzz_documents(300, seed=0, deep=False)
    assert told["accepted"] > 30 and told["refused"] > 100


def test_networks_of_documents_answer() -> None:
    assert fuzz_documents(60, seed=1)["accepted"] > 2


def test_results(tmp_path: Path) -> None:
    told = fuzz_results(100, 0, tmp_path)
    assert told["accepted"] > 10 and told["refused"] > 30


def test_hangs_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.SECONDS", 0.05)
    with pytest.raises(Hang), bounded():
        while True:
            pass


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_documents(seed: int) -> None:
    fuzz_documents(2000, seed)


@pytest.mark.slow
def test_many_results(tmp_path: Path) -> None:
    fuzz_results(5000, 1, tmp_path)
