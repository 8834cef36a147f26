"""The toy figure of the figures' own tests, and pictures that are quickly written."""

from __future__ import annotations

import pytest
from figure_data import toy

__all__ = ["coarse", "toy"]


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few dots an inch; `test_targets.py` has as many as there are."""
    monkeypatch.setattr("erfmath.cli.targets.DPI", 40)
