"""Shared by all tests: no test may depend on, or leave behind, global state."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, made the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def project() -> Path:
    """The directory of setup.cfg."""
    return Path(__file__).resolve().parent.parent
