"""The benchmark of the readers: what it says without the frameworks, and what it counts."""

from __future__ import annotations

import pytest

from erfmath.bench import readers


def test_run_without_the_frameworks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers.importlib.util, "find_spec", lambda name: None if name == "timm" else object())
    table = readers.run()
    assert table.notes == ("not installed: timm",) and table.rows[0][:2] == ("none", 0)


def test_run_counts_by_library(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"timm:a": readers.Reading("timm:a", 2.0, True, True, True, True),
             "timm:b": readers.Reading("timm:b", 4.0, True, False, True, False, "no rule"),
             "timm:c": readers.Reading("timm:c", 3.0, reason="broken")}
    monkeypatch.setattr(readers.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(readers, "read", found.__getitem__)
    table = readers.run(chosen=tuple(found))
    assert table.rows == (("timm", 3, 2, 1, 2, 1, 3.0),)
    assert table.notes == ("timm:b: no rule", "timm:c: broken")


@pytest.mark.torch
def test_read_of_a_model() -> None:
    for package in ("torch", "torchvision", "timm"):
        pytest.importorskip(package)
    reading = readers.read("torchvision:resnet18")
    assert reading.traced and reading.exact and reading.seen and reading.predicted and not reading.reason
