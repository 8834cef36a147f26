"""What ``import erfmath`` costs beside ``import numpy``, each in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from . import Table, side_by_side

__all__ = ["run"]

WORK = {
    "import numpy": "import numpy",
    "import erfmath": "import erfmath",
    "import erfmath, numpy": "import erfmath, numpy",
    "... and the engine": "import erfmath as em; em.predict, em.walk, em.zoo",
    "... and the pictures": "import erfmath as em; em.plotting; import matplotlib.figure",
}
BARE = "nothing"


def run(quick: bool = False) -> Table:
    """Times less the start of a bare interpreter, and as multiples of ``import numpy``."""
    here = Path(__file__).parents[2]  # the package that runs is timed, installed or not
    work: dict[str, Callable[[], Any]] = {
        name: partial(subprocess.run, [sys.executable, "-c", code], check=True, cwd=here)
        for name, code in {**WORK, BARE: "pass"}.items()}
    timings = side_by_side(work, rounds=1 if quick else 15)
    bare = timings[BARE].seconds
    unit = timings["import numpy"].seconds - bare
    rows = tuple((name, 1e3 * (timings[name].seconds - bare), (timings[name].seconds - bare) / unit) for name in WORK)
    return Table("import", ("work", "ms", "x numpy"), rows, (f"less the {1e3 * bare:.0f} ms of a bare interpreter",))
