"""`erfmath train`: validates, keeps the best weights, stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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


def test_a_resumed_run_keeps_its_validations_and_stops_where_it_would(
        ask: Ask, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted in the middle and resumed, or asked again after early stopping: the same answer."""
    em.serial(em.Conv(3, 2), em.Activation("relu"), em.Conv(3, 3), em.GlobalAvgPool()).save("net.json")
    rng = np.random.default_rng(0)
    np.savez("data.npz", **{f"{kind}_{part}": rng.integers(0, 3, 12) if kind == "y" else
                            rng.integers(0, 256, (12, 8, 8, 1), dtype=np.uint8)
                            for kind in "xy" for part in ("train", "test")})
    words = ("train net.json --data data.npz --steps 12 --batch 2 --validate 2 --rate {1} --json -q --save {0}.npz "
             "--checkpoint {0}.ck.npz")

    def told(*names: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
        values = json.loads(ask(*words.format(*names).split(), *more).out)
        del values["command"]
        return values

    whole = told("whole", "0.01")
    evaluate, calls = em.training.evaluate, []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(em.training, "evaluate", interrupted)
        first = ask(*words.format("parts", "0.01").split())
    assert first.status == 130 and len(json.loads(first.out)["validation"]) == 3
    assert told("parts", "0.01") == whole
    with np.load("whole.npz") as a, np.load("parts.npz") as b:
        assert all(np.array_equal(a[name], b[name]) for name in a.files)

    early = told("early", "5", more=("--patience", "1"))
    assert early["ended"] == "stopped early" and told("early", "5", more=("--patience", "1")) == early
