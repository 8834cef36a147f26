"""Ctrl-C and kill at any moment: nothing finished is lost, and the same command ends in the same bits."""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from erfmath.base.files import read_archive

ROOT = Path(__file__).resolve().parents[1]
MOMENTS = int(os.environ.get("MOMENTS", "20"))
pytestmark = pytest.mark.slow

#: Programs that may be started again; each takes a few seconds, writes done.npz at its end, and each finished piece of
#: work, as it is told to a progress bar, into log.txt.
PROGRAMS = {
    "measure": """
import erfmath as em
import erfmath.empirics.checkpoint as keeping
keeping.INTERVAL = 0.05
net = em.serial(em.Conv(3, 16), em.Activation("relu"), em.Conv(3, 16), em.Activation("relu"), em.Conv(3, 16))
with open("log.txt", "a") as log:
    erf = em.measure(net, image=24, draws=6000, rng=0, checkpoint="run.npz",
                     progress=lambda done, total: print(done, file=log, flush=True))
if erf.partial:
    raise SystemExit(130)
erf.save("done.npz")
""",
    "fit": """
import erfmath as em
import erfmath.training.fitting as keeping
keeping.INTERVAL = 0.05
net = em.serial(em.Conv(3, 8), em.Activation("relu"), em.Conv(3, 1))
with open("log.txt", "a") as log:
    done = em.fit(net, em.training.BoxMajority(9, 1), steps=400, batch=16, rng=0, checkpoint="run.npz", keep=(0, 100),
                  loss=em.training.BinaryCrossEntropy(),
                  progress=lambda done, total: print(done, file=log, flush=True))
if done.partial:
    raise SystemExit(130)
done.save("done.npz")
""",
    "save": """
import os
import numpy as np
import erfmath as em
erf = em.EffectiveReceptiveField(np.random.default_rng(0).random((300, 300)), origin=(0, 0), unit=(), trf=None,
                                 center=(150, 150))
if not os.path.exists("done.npz"):
    erf.save("done.npz")
for _ in range(30):
    erf.save("done.npz")
""",
    "figures": """
import pathlib
import shutil
from erfmath.cli import main
status = main(["figures", "skip", "--quick", "--out", "out", "-q"])
if status:
    raise SystemExit(status)
shutil.copy("out/skip.npz", "done.npz")
""",
    "train": """
import erfmath as em
import erfmath.training.fitting as keeping
from erfmath.cli import main
keeping.INTERVAL = 0.05
em.serial(em.Conv(3, 4), em.Activation("relu"), em.Conv(3, 1)).save("net.json")
words = "train net.json --steps 60 --validate 10 --seed 0 --checkpoint run.npz --save done.npz -q"
raise SystemExit(main(words.split()))
""",
}


def start(program: str, folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    # Shells let processes in the background ignore Ctrl-C, and these hand it on.
    return subprocess.Popen([sys.executable, "-c", PROGRAMS[program]], cwd=folder, env=environment,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def arrays(file: Path) -> dict[str, bytes]:
    with np.load(file) as stored:
        return {name: stored[name].tobytes() for name in stored.files}


class Whole(dict[str, "tuple[float, dict[str, bytes]]"]):
    """What each program takes and leaves if nobody stops it."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self.factory = factory

    def __missing__(self, name: str) -> tuple[float, dict[str, bytes]]:
        folder, begin = self.factory.mktemp(name), time.monotonic()
        process = start(name, folder)
        error = process.communicate()[1]
        assert process.returncode == 0, error.decode()
        self[name] = time.monotonic() - begin, arrays(folder / "done.npz")
        return self[name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory)


def finished(folder: Path) -> tuple[int, dict[str, int]]:
    """What a program says is finished: the last line of its log, and the parts of figures and their times."""
    lines = (folder / "log.txt").read_text().split() if (folder / "log.txt").exists() else []
    parts = [path for path in folder.glob("out/parts/*.npz") if "scratch" not in path.name]
    return int(lines[-1]) if lines else 0, {path.name: path.stat().st_mtime_ns for path in parts}


def kept(folder: Path) -> int:
    """How much of it is in the checkpoint: draws or steps."""
    if not (folder / "run.npz").exists():
        return 0
    arrays, about = read_archive(folder / "run.npz")
    return int(about["step"]) if "step" in about else max(int(array) for name, array in arrays.items()
                                                          if name.endswith("count"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_stopped_at_random_moments(name: str, how: signal.Signals, whole: Whole,
                                   tmp_path: Path) -> None:
    """Stopped, resumed, stopped again, resumed: the bits of a run that nobody stops, and nothing is lost."""
    seconds, expected = whole[name]
    draw = random.Random(f"{name} {how}")
    statuses = collections.Counter()
    for moment in range(MOMENTS):
        folder = tmp_path / str(moment)
        folder.mkdir()
        before: tuple[int, dict[str, int]] = 0, {}
        for last in (False, False, True):
            process = start(name, folder)
            if not last:
                time.sleep(draw.uniform(0.1, 1.0) * seconds)
                process.send_signal(how)
            error = process.communicate(timeout=120)[1].decode()
            statuses[process.returncode] += 1
            # Before there is a handler, Python itself dies of the signal; with one the status is 130.
            assert process.returncode in ((0,) if last else (0, 130, -how)), error
            assert process.returncode != 130 or "Traceback" not in error, error
            if name == "save" and (folder / "done.npz").exists():
                assert arrays(folder / "done.npz") == expected
            done, parts = finished(folder)
            assert {part: parts.get(part) for part in before[1]} == before[1], "a finished part was computed again"
            if not last and process.returncode == 130:  # Ctrl-C writes what is done
                assert kept(folder) >= done, "finished work is not in the checkpoint"
            assert kept(folder) >= before[0], "the checkpoint holds less than before"
            before = kept(folder), parts
        assert arrays(folder / "done.npz") == expected
    assert statuses[0] >= MOMENTS
    assert how != signal.SIGINT or name == "save" or statuses[130] >= MOMENTS // 4, statuses


@pytest.mark.parametrize("name", ["measure", "fit", "train"])
def test_a_second_process_is_told(name: str, tmp_path: Path, whole: Whole) -> None:
    """Two at once on one checkpoint: one is refused by name, the other ends in the bits of a single one."""
    first = start(name, tmp_path)
    while not (tmp_path / "run.npz.lock").exists():
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # however long the other takes to begin
    second = start(name, tmp_path)
    error = second.communicate(timeout=60)[1].decode()
    first.send_signal(signal.SIGCONT)
    assert second.returncode == (2 if name == "train" else 1)
    assert "run.npz: another run is working on this checkpoint" in error
    told = first.communicate(timeout=60)[1].decode()
    assert first.returncode == 0 and arrays(tmp_path / "done.npz") == whole[name][1], told
    assert not (tmp_path / "run.npz.lock").exists()
