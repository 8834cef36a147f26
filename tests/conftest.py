"""Shared by all tests: no test may depend on, or leave behind, global state."""

from __future__ import annotations

import re
from pathlib import Path

import halves
import pytest
from helpers import Answer, Ask

from erfmath.cli import main

pytest_configure = halves.pytest_configure


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, made the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], in_tmp: Path) -> Ask:
    """Run a command line in an empty directory; that a slow machine says what it is at does not count."""
    def run(*words: str) -> Answer:
        try:
            status: int | str | None = main(words)
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        return Answer(status, out, re.sub(r"(?m)^.* \.\.\.\n", "", err))
    return run


@pytest.fixture(scope="session")
def project() -> Path:
    """The directory of setup.cfg."""
    return Path(__file__).resolve().parent.parent
