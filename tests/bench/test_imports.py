"""Times of imports: less the bare interpreter, and in units of NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from erfmath.bench import Timing, imports


def test_run_subtracts_the_bare_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Callable[[], Any]] = {}

    def timed(work: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Timing]:
        asked.update(work)
        return {name: Timing(0.75 if name == "import erfmath" else 0.5 if name == "import numpy" else 0.25, 1.0)
                for name in work}

    monkeypatch.setattr(imports, "side_by_side", timed)
    rows = {name: cells for name, *cells in imports.run().rows}
    assert rows["import numpy"] == [250.0, 1.0] and rows["import erfmath"] == [500.0, 2.0]
    assert set(asked) == {*imports.WORK, imports.BARE}
    assert all(work().returncode == 0 for name, work in asked.items() if name in ("import erfmath", imports.BARE))
