"""Every command prints JSON, with the fields that docs/commands.md lists."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Ask

import erfmath as em

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
COMMANDS = {
    "receptive-field": "receptive-field net.json",
    "predict": "predict net.json",
    "measure": "measure net.json --draws 3 --seed 0",
    "compare": "compare net.json --draws 30 --seed 0",
    "analyse": "analyse grads.npy",
    "design": "design net.json --image 12",
    "design --layers": "design net.json --layers --image 12",
    "new": "new 2 --max-depth 3",
    "size-map": "size-map net.json --image 8",
    "tiles": "tiles net.json",
    "signals": "signals net.json",
    "growth": "growth --depths 3:5 --kinds std",
    "convert": "convert net.json out.json",
    "report": "report line.json --ndim 1",
    "figures": "figures",
    "bench": "bench import --quick",
    "train": "train net.json --steps 2 --batch 2",
    "zoo": "zoo",
    "completion": "completion bash",
}


def documented() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `([a-z -]+)` \| (`.*) \|$", PAGE.read_text(encoding="utf-8").partition("## JSON output")[2],
                      re.MULTILINE)
    return {name: re.findall(r"`(\w+)`", fields) for name, fields in rows}


def told(command: str, ask: Any) -> dict[str, Any]:
    em.serial(em.Conv(3, 2), em.Activation("relu"), em.Conv(3, 1)).save("net.json")
    em.zoo.plain(2).save("line.json")
    np.save("grads.npy", np.random.default_rng(0).normal(size=(4, 1, 9, 9)))
    answer = ask(*command.split(), "--json", "-q")
    assert answer.status in (0, 1), answer.err
    values: dict[str, Any] = json.loads(answer.out)
    return values


def test_all_are_documented() -> None:
    assert set(documented()) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"zoo", "bench"}))
def test_fields(name: str, ask: Ask, in_tmp: Path) -> None:
    values = told(COMMANDS[name], ask)
    assert values["erfmath"] == em.__version__ and values["command"] == name.split()[0]
    assert set(values) - {"erfmath", "command"} == set(documented()[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zoo", "bench"])
def test_fields_of_long_ones(name: str, ask: Ask, in_tmp: Path) -> None:
    values = told(COMMANDS[name], ask)
    assert set(values) - {"erfmath", "command"} == set(documented()[name])


@pytest.mark.parametrize("typed, offered", [
    ("erfmath pre", "predict"), ("erfmath predict --me", "--method"), ("erfmath predict x --method fi", "finite_width"),
    ("erfmath figures fig3_b", "fig3_box"), ("erfmath predict vgg1", "vgg11 vgg13 vgg16 vgg19")])
def test_completion(typed: str, offered: str, ask: Ask, in_tmp: Path) -> None:
    Path("script").write_text(ask("completion", "bash").out, encoding="utf-8")
    words = typed.split()
    line = (f'. ./script; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _erfmath; '
            'echo "${COMPREPLY[*]}"')
    found = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == offered and not found.stderr


def test_train_keeps_the_best_and_stops(ask: Ask, in_tmp: Path) -> None:
    told("zoo", lambda *words: type("A", (), {"status": 0, "out": "{}", "err": ""}))  # writes the files
    words = "train net.json --steps 6 --batch 2 --validate 2 --rate 5 --patience 1 --save w.npz --json -q"
    answer = ask(*words.split())
    values = json.loads(answer.out)
    losses = [row["loss"] for row in values["validation"]]
    best = int(np.argmin(losses))
    assert values["best_step"] == values["validation"][best]["step"]
    assert values["ended"] == ("stopped early" if values["steps"] < 6 else "done") and best >= len(losses) - 2
    with np.load("w.npz") as weights:
        assert sorted(weights.files) == ["conv1", "conv1.bias", "conv2", "conv2.bias"]
    assert ask("predict", "net.json", "--weights", "w.npz", "--channels-in", "1").status == 0
