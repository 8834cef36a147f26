"""The command `signals` against the function."""

from __future__ import annotations

import json
from pathlib import Path

from helpers import Ask

import erfmath as em


def test_signals_prints_and_draws(ask: Ask) -> None:
    answer = ask("signals", "cifar_resnet20", "--image", "16", "--unit", "0,1", "--plot", "signals.png")
    found = em.signals(em.zoo.cifar_resnet(20), image=16, unit=(0, 1))
    assert answer.status == 0 and answer.out.strip() == str(found)
    assert Path("signals.png").read_bytes().startswith(b"\x89PNG")
    values = json.loads(ask("signals", "cifar_resnet20", "--image", "16", "--unit", "0,1", "--json").out)
    assert values == json.loads(json.dumps({"erfmath": em.__version__, "command": "signals",
                                            "network": "cifar_resnet20", **found.to_dict()}))


def test_signals_refuses_in_one_line(ask: Ask) -> None:
    answer = ask("signals", "cifar_resnet20", "--image", "16", "--unit", "99")
    assert answer.status == 2 and answer.err.count("\n") == 1 and "outside" in answer.err
