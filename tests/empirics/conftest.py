"""Small chunks, so that few draws are many."""

from __future__ import annotations

import pytest

from erfmath.empirics import plan


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK_DRAWS", 4)
