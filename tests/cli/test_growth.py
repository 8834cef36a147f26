"""`erfmath growth`: the table of growth, and what it can vary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import EXACT, ROUNDING, Ask, assert_close

import erfmath as em

PNG = b"\x89PNG"


def test_growth_prints_the_table_of_growth(ask: Ask) -> None:
    answer = ask("growth", "--kernel", "3", "--depths", "5:12", "--plot", "growth.png")
    assert answer.status == 0
    assert answer.out == f"{em.growth(em.zoo.plain, range(5, 13), parameter='layers')}\n"
    assert Path("growth.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("words, make, values", [
    (("--kernels", "3:7:2", "--depth", "4"), lambda k: em.zoo.plain(4, k), (3, 5, 7)),
    (("--dilations", "1:3", "--depth", "4"), lambda d: em.repeat(em.Conv(3, dilation=d), 4), (1, 2, 3)),
    (("--stride-places", "1:4", "--depth", "4"),
     lambda at: em.serial(*(em.Conv(3, stride=1 + (i == at)) for i in range(1, 5))), (1, 2, 3, 4)),
    (("--depths", "4:8", "--every", "3", "--weights", "ones"),
     lambda n: em.serial(*(em.Conv(3, stride=1 + (i % 3 == 0), weights=em.Constant()) for i in range(1, n + 1))),
     range(4, 9)),
])
def test_growth_over_other_numbers(ask: Ask, words: tuple[str, ...], make: object, values: object) -> None:
    answer = json.loads(ask("growth", *words, "--kinds", "std,mass", "--json").out)
    over = em.growth(make, values, kinds=("std", "mass"))  # type: ignore[arg-type]
    for kind in ("std", "mass"):
        assert_close(answer["sizes"][kind], over.sizes[kind], EXACT)
        assert_close(answer["power_laws"][kind]["size"]["slope"], over.fit(kind).slope, ROUNDING)
    assert_close(answer["trf"], over.trf, EXACT)
    assert answer["crossover"] == over.crossover


def test_growth_where_a_size_is_zero(ask: Ask) -> None:
    """Kernels of one tap do not spread: no power law of the std, the rest of the table all the same."""
    answer = ask("growth", "--kernels", "1:7:2", "--depth", "4", "--plot", "growth.png")
    assert answer.status == 0 and "std: is not positive everywhere" in answer.out and answer.out.count("\n") == 7
    laws = json.loads(ask("growth", "--kernels", "1:7:2", "--depth", "4", "--json").out)["power_laws"]
    assert laws["std"] is None and laws["threshold"] is not None
