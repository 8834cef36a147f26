"""A later run goes on where an earlier one has stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from erfmath.bench.kept import Kept


class Size(NamedTuple):
    name: str
    std: float


@dataclass(frozen=True)
class Count:
    name: str
    of: list[int]


@pytest.mark.parametrize("kind, some", [(Size, [Size("a", 0.1), Size("b", 1e-300)]),
                                        (Count, [Count("a", [1, 2]), Count("ä", [])])])
def test_what_is_added_is_found_by_the_next_run(kind: Any, some: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    for k, one in enumerate(some):
        kept = Kept(str(path), kind)
        assert kept.found == some[:k]
        kept.add(one)
        assert kept.found == some[:k + 1]
    assert Kept(str(path), kind).found == some


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Kept(None, Size)
    kept.add(Size("a", 1.0))
    assert kept.found == [Size("a", 1.0)] and not list(tmp_path.iterdir())
