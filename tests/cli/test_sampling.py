"""The commands `measure` and `compare`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import EXACT, Ask, assert_close

import erfmath as em
from erfmath.cli import report


@pytest.fixture
def ask(ask: Ask, in_tmp: Path) -> Ask:
    """Run a command line in an empty directory that holds a network of two layers."""
    em.repeat(em.Conv(3), 2).save("net.json")
    return ask


def test_measure_prints_saves_and_repeats(ask: Ask) -> None:
    words = ("measure", "net.json", "--image", "9", "--draws", "40", "--width", "4", "--seed", "3")
    answer = ask(*words, "--save", "erf.npz", "--plot", "erf.png", "--checkpoint", "run.npz")
    assert answer.status == 0 and "40, 0 of them dead" in answer.out
    expected = em.measure(em.load("net.json"), image=9, draws=40, width=4, rng=3)
    saved = em.EffectiveReceptiveField.load("erf.npz")
    assert_close(saved.map, expected.map, EXACT)
    assert_close(np.asarray(saved.stderr), np.asarray(expected.stderr), EXACT)
    assert sorted(os.listdir()) == ["erf.npz", "erf.png", "net.json", "run.npz"]
    told = json.loads(ask(*words, "--json").out)
    assert told["draws"] == 40 and told["seed"] == 3 and told["std"] == expected.std.tolist()


def test_compare_says_by_its_status_whether_they_agree(ask: Ask) -> None:
    words = ("compare", "net.json", "--draws", "3000", "--width", "4", "--seed", "0", "--checkpoint", "run.npz")
    answer = ask(*words, "--plot", "comparison.png")
    assert answer.status == 0 and "agree (level 0.01)" in answer.out and os.path.exists("comparison.png")
    strict = ask(*words, "--tolerance", "0.001")
    assert strict.status == 1 and "not shown to agree" in strict.out
    told = json.loads(ask(*words, "--json").out)
    assert told["agrees"] is True and told["draws"] == 3000 and len(told["std_ratio"]) == 2


@pytest.mark.parametrize("words, message", [
    (("measure", "net.json", "--draws", "0"), "draws=0"),
    (("measure", "net.json", "--workers", "0"), "workers=0"),
    (("measure", "net.json", "--save", "erf.txt"), "must end in .npz"),
    (("measure", "net.json", "--until", "nan"), "until"),
    (("measure", "net.json", "--unit", "9,9", "--image", "5"), "unit"),
    (("compare", "net.json", "--tolerance", "0", "--draws", "2"), "tolerance"),
    (("compare", "net.json", "--level", "0.9", "--draws", "2"), "level"),
    (("compare", "net.json", "--statistic", "magnitude"), "magnitude"),
])
def test_measure_and_compare_refuse_in_one_line(ask: Ask, words: tuple[str, ...], message: str) -> None:
    answer = ask(*words)
    assert answer.status == 2 and not answer.out and message in answer.err
    assert len(answer.err.splitlines()) == 1 and os.listdir() == ["net.json"]


@pytest.mark.parametrize("command", ["measure", "compare"])
def test_main_exits_with_130_after_an_interruption(ask: Ask, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """What was done is printed; the status says that it is not all."""
    class Bar:
        calls = 0

        def __call__(self, done: int, total: int) -> None:
            Bar.calls += 1
            if done > 5:
                raise KeyboardInterrupt

    monkeypatch.setattr(report, "progress", lambda options, label: contextlib.nullcontext(Bar()))
    answer = ask(command, "net.json", "--draws", "5000", "--width", "4", "--seed", "3", "--json")
    assert answer.status == 130 and Bar.calls
    told = json.loads(answer.out)
    assert told["partial"] is True and 0 < told["draws"] < 5000


def test_sigterm_ends_a_command_as_ctrl_c_does(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def killed(options: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr("erfmath.cli.commands.zoo_names", killed)
    assert ask("zoo").status == 130
    assert signal.getsignal(signal.SIGTERM) == before


def test_fields_on_the_map_of_a_node(ask: Ask) -> None:
    chain = em.repeat(em.Conv(3), 3)
    chain.save("net.json")
    first, last = chain.names[0], chain.names[-1]
    told = json.loads(ask("predict", "net.json", "--source", first, "--json").out)
    assert told["std"] == em.predict(chain, source=first).std.tolist()
    drawn = json.loads(ask("measure", "net.json", "--source", first, "--image", "9", "--draws", "3", "--seed", "1",
                           "--json").out)
    assert drawn["std"] == em.measure(chain, source=first, image=9, draws=3, rng=1).std.tolist()
    nodes = json.loads(ask("receptive-field", "net.json", "--source", first, "--json").out)["nodes"]
    assert [node["size"] for node in nodes if node["node"] == last] == [[5, 5]]
    words = ("compare", "net.json", "--source", first, "--draws", "30", "--image", "7", "--seed", "1")
    assert ask(*words).status in (0, 1)
    wrong = ask("predict", "net.json", "--source", "nowhere")
    assert wrong.status == 2 and "--source='nowhere'" in wrong.err
