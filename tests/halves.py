"""The whole suite in two processes on two cores: one runs the files from the front, one from the back.

Each claims a file of tests by making an empty file of its number, so that they meet wherever they are level, and
every test runs once.  Only a bare `python -m pytest` (with -q or -v) does this: whoever asks for some tests, a
debugger or a report gets one process.  (pytest-xdist does more, and is no dependency of this project.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

#: Where files are claimed: set for the second process.
CLAIMS = "ERFMATH_TESTS_CLAIMED_IN"

# One thread of BLAS each: more would wait for one another on the two cores. NumPy reads these when it is imported.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")


class Halves:
    """Runs the tests of those files that this process claims; the first of the two starts the second."""

    def __init__(self) -> None:
        self.second = CLAIMS in os.environ
        self.claims = Path(os.environ.get(CLAIMS) or tempfile.mkdtemp())
        self.mine: dict[Path, bool] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.second:
            files = list(dict.fromkeys(item.path for item in items))
            items.sort(key=lambda item: -files.index(item.path))

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if not self.second:
            self.output = tempfile.TemporaryFile("w+")
            self.other = subprocess.Popen([sys.executable, "-m", "pytest", *session.config.invocation_params.args],
                                          env={**os.environ, CLAIMS: str(self.claims)}, cwd=session.config.rootpath,
                                          stdout=self.output, stderr=subprocess.STDOUT)

    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if item.path not in self.mine:
            try:
                (self.claims / str(item.path.relative_to(item.config.rootpath)).replace(os.sep, ".")).touch(
                    exist_ok=False)
                self.mine[item.path] = True
            except FileExistsError:
                self.mine[item.path] = False
        return None if self.mine[item.path] else True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.second:
            return
        status = self.other.wait()
        shutil.rmtree(self.claims)
        self.output.seek(0)
        print("\n\nthe other half:\n" + self.output.read())
        session.exitstatus = session.exitstatus or status


def pytest_configure(config: pytest.Config) -> None:
    """Both halves at once where the whole suite was asked for and there are two cores."""
    if set(config.invocation_params.args) <= {"-q", "-v"} and (os.cpu_count() or 1) > 1:
        config.pluginmanager.register(Halves())
