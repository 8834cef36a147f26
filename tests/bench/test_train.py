"""Where the time of a training step goes."""

from __future__ import annotations

import re

from erfmath.bench import train
from erfmath.empirics.rules import RULES


def test_where_names_all_of_the_time_and_leaves_no_trace() -> None:
    step, shares = train._step("cifar-plain", 1)
    found = dict(re.findall(r"(\w+) (\d+)%", shares))
    assert "conv" in found and 80 <= sum(map(int, found.values())) <= 105
    assert not any("run" in vars(rule) for rule in RULES.values())


def test_convolution_runs() -> None:
    train._convolution(3, 4, 6, 2)()
