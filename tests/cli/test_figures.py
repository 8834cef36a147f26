"""`erfmath figures`: files and table, refusals, how to go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import Ask


@pytest.mark.slow
def test_figures_command_writes_and_prints(toy, ask: Ask) -> None:
    words = ("figures", "toy", "--numbers", "table.txt", "--out", "out", "--format", "svg")
    answer = ask(*words)
    assert answer.status == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "toy: a toy" and lines[2].split() == ["part", "0", "0", "0.5"]
    assert "CPU time for 3 parts" in answer.out
    assert {path.name for path in Path("out").iterdir()} == {"toy.svg", "toy.npz", "toy.json", "parts"}
    assert "3 of them taken from out/parts" in ask(*words).out


@pytest.mark.parametrize("words, message", [
    (("fig99", "--out", "out"), "no figure is called 'fig99'"),
    (("clt",), "--out"),
    (("clt", "--out", "out", "--draws", "1"), "draws=1"),
    (("clt", "--out", "out", "--workers", "0"), "workers=0"),
    (("clt", "--out", "out", "--format", "gif"), "gif"),
    (("clt", "--out", "no/out"), "no"),
])
def test_figures_command_refuses(ask: Ask, in_tmp: Path, words: tuple[str, ...], message: str) -> None:
    answer = ask("figures", *words)
    assert answer.status == 2 and message in answer.err and len(answer.err.splitlines()) == 1
    assert not list(in_tmp.iterdir())


def test_figures_command_says_how_to_go_on(toy, ask: Ask) -> None:
    toy.stop = 1
    answer = ask("figures", "toy", "--numbers", "table.txt", "--out", "out")
    assert answer.status == 130 and "finished parts are in out/parts" in answer.err
