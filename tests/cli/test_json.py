"""Every command prints JSON, with the fields that docs/commands.md lists."""

from __future__ import annotations

import json
import re
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


def told(command: str, ask: Any) -> dict[str, Any]:
    em.serial(em.Conv(3, 2), em.Activation("relu"), em.Conv(3, 1)).save("net.json")
    em.zoo.plain(2).save("line.json")
    np.save("grads.npy", np.random.default_rng(0).normal(size=(4, 1, 9, 9)))
    answer = ask(*command.split(), "--json", "-q")
    assert answer.status in (0, 1), answer.err
    values: dict[str, Any] = json.loads(answer.out)
    return values


def documented() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `([a-z -]+)` \| (`.*) \|$", PAGE.read_text(encoding="utf-8").partition("## JSON output")[2],
                      re.MULTILINE)
    return {name: re.findall(r"`(\w+)`", fields) for name, fields in rows}


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
