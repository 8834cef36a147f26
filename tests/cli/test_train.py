"""`erfmath train`: validates, keeps the best weights, stops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from helpers import Ask

import erfmath as em


def test_train_keeps_the_best_and_stops(ask: Ask, in_tmp: Path) -> None:
    em.serial(em.Conv(3, 2), em.Activation("relu"), em.Conv(3, 1)).save("net.json")
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
