"""Ctrl-C and kill at any moment: nothing finished is lost, and the same command ends in the same bits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
MOMENTS = int(os.environ.get("MOMENTS", "20"))
pytestmark = pytest.mark.slow

#: Programs that may be started again; each takes a second or two, and writes done.npz at its end.
PROGRAMS = {
    "measure": """
import erfmath as em
import erfmath.empirics.checkpoint as keeping
keeping.INTERVAL = 0.05
net = em.serial(em.Conv(3, 16), em.Activation("relu"), em.Conv(3, 16), em.Activation("relu"), em.Conv(3, 16))
erf = em.measure(net, image=24, draws=3000, rng=0, checkpoint="run.npz")
if erf.partial:
    raise SystemExit(130)
erf.save("done.npz")
""",
    "fit": """
import erfmath as em
import erfmath.training.fitting as keeping
keeping.INTERVAL = 0.05
net = em.serial(em.Conv(3, 8), em.Activation("relu"), em.Conv(3, 1))
done = em.fit(net, em.training.BoxMajority(9, 1), steps=400, batch=16, rng=0, loss=em.training.BinaryCrossEntropy(),
              checkpoint="run.npz", keep=(0, 100))
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
import sys
from erfmath.cli import main
import shutil, pathlib
status = main(["figures", "skip", "--quick", "--out", "out"])
if status:
    raise SystemExit(status)
shutil.copy(next(pathlib.Path("out").glob("skip*.npz")), "done.npz")
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, dict[str, bytes]]]:
    """What each program takes and leaves if nobody stops it."""
    found = {}
    for name in PROGRAMS:
        folder, begin = tmp_path_factory.mktemp(name), time.monotonic()
        process = start(name, folder)
        error = process.communicate()[1]
        assert process.returncode == 0, error.decode()
        found[name] = time.monotonic() - begin, arrays(folder / "done.npz")
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_stopped_at_random_moments(name: str, how: signal.Signals, whole: dict[str, tuple[float, dict[str, bytes]]],
                                   tmp_path: Path) -> None:
    seconds, expected = whole[name]
    draw = random.Random(f"{name} {how}")
    for moment in range(MOMENTS):
        folder = tmp_path / str(moment)
        folder.mkdir()
        for _ in range(2):  # stopped, taken up, stopped again
            process = start(name, folder)
            time.sleep(draw.uniform(0.1, 1.0) * seconds)
            process.send_signal(how)
            error = process.communicate(timeout=60)[1].decode()
            # Before there is a handler, Python itself dies of the signal; afterwards the status is 130.
            assert process.returncode in (0, 130, 1, -how), error
            assert how == signal.SIGKILL or "Traceback" not in error or "KeyboardInterrupt" in error, error
            if name == "save" and (folder / "done.npz").exists():
                assert arrays(folder / "done.npz") == expected
        process = start(name, folder)
        error = process.communicate(timeout=120)[1].decode()
        assert process.returncode == 0, error
        assert arrays(folder / "done.npz") == expected
