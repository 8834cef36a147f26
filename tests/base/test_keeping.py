"""The file that keeps a long run: one run at a time, and a run does not end with its file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from erfmath.base.keeping import Keeper

HOLD = "import sys, erfmath.base.keeping as k; h = k.Keeper('run.npz', 0); print('held', flush=True); sys.stdin.read()"


def test_keeper_tells_the_second(in_tmp: Path) -> None:
    with Keeper("run.npz", 0):
        os.symlink("run.npz", "link.npz")
        for name in ("run.npz", "./run.npz", "link.npz"):
            with pytest.raises(BlockingIOError, match=f"{name}: another run is working on this checkpoint"):
                Keeper(name, 0)
        Keeper("other.npz", 0).__exit__(None, None, None)
    with Keeper("run.npz", 0):
        pass
    assert os.listdir() == ["link.npz"]


def test_keeper_of_a_killed_process_is_free(in_tmp: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError):
            Keeper("run.npz", 0)
        process.kill()
        process.wait()
        assert os.listdir() == ["run.npz.lock"]
        with Keeper("run.npz", 0):
            pass
    assert not os.listdir()


def test_keeper_writes_now_and_then(in_tmp: Path) -> None:
    wrote = []
    with Keeper("run.npz", 1e9) as seldom:
        seldom.write(lambda: wrote.append(1))
        assert not wrote
        seldom.write(lambda: wrote.append(1), now=True)
    with Keeper("run.npz", -1) as often:
        often.write(lambda: wrote.append(2))
    assert wrote == [1, 2]


def test_keeper_warns_once_where_nothing_can_be_written(in_tmp: Path) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")
    with Keeper("run.npz", -1) as keeper:
        with pytest.warns(UserWarning, match="run.npz.*cannot be written .No space left on device.; the run goes on"):
            keeper.write(full)
        keeper.write(full)
