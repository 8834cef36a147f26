"""The picture of how costs grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from erfmath.bench.walk import growth, picture
from erfmath.cli import main


def test_growth_and_its_picture() -> None:
    """Every method is timed at rising depths, and every line is in the picture, on logarithmic axes."""
    times = growth(quick=True)
    assert all([n for n, _ in points] == [10, 100, 1000] for points in times.values())
    ax, = picture(quick=True).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [line.get_label() for line in ax.get_lines()] == list(times)


def test_bench_walk_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "walk", "--quick", "--plot", str(tmp_path / "growth.png")]) == 0
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    assert main(["bench", "--plot", str(tmp_path / "all.png")]) == 2
    assert "bench walk --plot" in capsys.readouterr().err and not (tmp_path / "all.png").exists()
