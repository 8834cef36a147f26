"""What the tests of several figures share: parts computed here and now, an interruption, a toy figure."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from erfmath.figures import FIGURES, Desk, Entry, Options, Part, Quote
from erfmath.figures.registry import recipe

QUICK = Options(quick=True)
DESK = Desk(lambda done, total: None, Path("scratch.npz"), {})


def data_of(name: str, options: Options = QUICK) -> dict[str, Part]:
    """The parts of a figure, computed here and now."""
    figure = recipe(name)
    return {part: Part(spec, figure.compute(spec, DESK), 0.0) for part, spec in figure.parts(options).items()}


def quoted(quotes: list[Quote]) -> dict[str, Quote]:
    return {quote.what: quote for quote in quotes}


def computed_twice(figure: Any, files: Any, folder: Path) -> dict[str, Any]:
    """The arrays of the first part, trained for two steps; the same from the finished checkpoint."""
    name, spec = next(iter(figure.parts(Options(quick=True, files=files)).items()))
    spec = {**spec, "steps": 2, **({"images": 2} if "camvid" in spec["task"] else {})}
    desk = Desk(lambda done, total: None, folder / "scratch.npz", files)
    arrays, again = figure.compute(spec, desk), figure.compute(spec, desk)
    assert name.count(", seed ") == 1
    for key, array in arrays.items():
        assert np.array_equal(array, again[key], equal_nan=True), key
    return arrays


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, in_tmp: Path) -> types.SimpleNamespace:
    """A figure called toy of three parts, which reads a file and can be interrupted."""
    record = types.SimpleNamespace(computed=[], stop=None, scratch=[])

    def compute(spec, desk):
        record.scratch.append(desk.scratch.exists())
        desk.scratch.write_bytes(b"so far")
        if spec["value"] == record.stop:
            raise KeyboardInterrupt
        record.computed.append(spec["value"])
        return {"square": np.array(spec["value"]**2), "text": np.array(desk.files["numbers"].read_text())}

    made = types.ModuleType("erfmath.figures.toy")
    made.parts = lambda options: {f"part {n}": {"value": n, "pair": (n, options.seed)} for n in range(3)}
    made.compute = compute
    made.quotes = lambda data: [Quote(name, float(part["square"]), 0.5) for name, part in data.items()]
    made.draw = lambda data: Figure(figsize=(2, 2))
    made.caption = lambda data: f"{len(data)} parts"
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setitem(FIGURES, "toy", Entry("a toy", {"numbers": "a file to read"}))
    Path("table.txt").write_text("content")
    record.options = Options(files={"numbers": Path("table.txt")})
    return record


class Interruption:
    """A progress bar on which somebody presses Ctrl-C after some calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __call__(self, done: int, total: int) -> None:
        self.calls -= 1
        if self.calls == 0:
            raise KeyboardInterrupt
