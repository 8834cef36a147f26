"""The notebooks of the documentation run, and have been run."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
NEEDS = {"segmentation": "torch"}


def cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_outputs_are_there(path: Path) -> None:
    shown = [output for cell in cells(path) for output in cell["outputs"]]
    assert len(shown) >= 5 and not any(output["output_type"] == "error" for output in shown)
    assert any("image/png" in output.get("data", {}) for output in shown)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_cells_run(path: Path, in_tmp: Path) -> None:
    """What is printed is what was printed."""
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    names: dict[str, Any] = {}
    for cell in cells(path):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("".join(cell["source"]), path.name, "exec"), names)
        told = "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")
        assert printed.getvalue() == told


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_jupyter_runs_them(path: Path, in_tmp: Path) -> None:
    nbclient, nbformat = (pytest.importorskip(name) for name in ("nbclient", "nbformat"))
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    nbclient.NotebookClient(nbformat.read(path, 4), timeout=300, kernel_name="python3").execute()
