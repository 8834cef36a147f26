"""What all answers have: JSON, CSV and LaTeX, and a bar that can be silenced."""

from __future__ import annotations

import argparse
import csv
import json

import numpy as np
import pytest
from helpers import Ask

import erfmath as em
from erfmath.base.progress import Progress
from erfmath.bench import Table
from erfmath.cli import commands, report


@pytest.mark.parametrize("words", [
    ("receptive-field", "plain"), ("predict", "plain"), ("measure", "net.json", "--draws", "4", "--seed", "0"),
    ("compare", "net.json", "--draws", "40", "--seed", "0"), ("analyse", "grads.npy"), ("design", "net.json"),
    ("design", "net.json", "--layers"), ("size-map", "net.json", "--image", "8"),
    ("signals", "net.json"), ("tiles", "net.json"),
    ("growth", "--depths", "5:9"), ("figures",), ("bench", "import", "--quick"),
    pytest.param(("zoo",), marks=pytest.mark.slow)], ids=" ".join)
def test_every_command_has_json_and_tables(ask: Ask, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """With version and command; CSV with a header and rows of one length; LaTeX with the same numbers of them."""
    monkeypatch.setattr(commands, "run", lambda name, quick: Table(name, ("work", "ms"), (("a", 1.0),)))
    monkeypatch.setattr(em.zoo, "names", lambda: ["plain", "vgg11"])
    em.repeat(em.Conv(3, 2), 2).save("net.json")
    np.save("grads.npy", np.random.default_rng(0).standard_normal((5, 1, 9, 9)))
    answer = ask(*words, "--json", "--quiet")
    assert answer.status in (0, 1) and "error" not in answer.err
    told = json.loads(answer.out)
    assert told["erfmath"] == em.__version__ and told["command"] == words[0]
    rows = list(csv.reader(ask(*words, "--table", "csv").out.strip().splitlines()))
    assert len(rows) > 1 and len({len(row) for row in rows}) == 1
    lines = ask(*words, "--table", "latex").out.strip().splitlines()
    assert lines[0].startswith(r"\begin{tabular}") and lines[-1] == r"\end{tabular}" and len(lines) == len(rows) + 5


def test_quiet_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    shown = report.progress(argparse.Namespace(quiet=True), "work")
    with shown as bar:
        bar(1, 2)
    assert not capsys.readouterr().err and not isinstance(shown, Progress)
    assert isinstance(report.progress(argparse.Namespace(quiet=False), "work"), Progress)
