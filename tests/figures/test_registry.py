"""Every figure of the registry: its parts follow the options, and it can be made."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from figure_data import QUICK

from erfmath import figures
from erfmath.figures import FIGURES, Options
from erfmath.figures.registry import recipe

every_figure = pytest.mark.parametrize("name", FIGURES)


def test_options_quick_draws_are_enough_for_an_error() -> None:
    for name, entry in FIGURES.items():
        if not entry.files:
            full, quick = (recipe(name).parts(o) for o in (Options(), QUICK))
            for part, spec in quick.items():
                assert spec.get("draws", 30) == min(30, full[part]["draws"] if "draws" in spec else 30)


@every_figure
def test_parts_are_plain_and_follow_the_options(name: str) -> None:
    if FIGURES[name].files:
        pytest.skip("needs its data files")
    figure = recipe(name)
    quick, full, other = (figure.parts(o) for o in (QUICK, Options(), Options(seed=1, draws_asked=7)))
    for specs in (quick, full, other):
        assert specs and json.loads(json.dumps(specs)).keys() == specs.keys()
    drawn = [spec for spec in other.values() if "draws" in spec]
    assert all(spec["draws"] == 7 for spec in drawn)
    assert all(spec["draws"] <= full[part]["draws"] for part, spec in quick.items() if "draws" in spec)
    seeds = [json.dumps(spec["seed"]) for spec in drawn]
    assert len(set(seeds)) == len(seeds), "every part draws numbers of its own"


@pytest.mark.slow
@every_figure
def test_make_every_figure(name: str, in_tmp: Path) -> None:
    if not FIGURES[name].files:
        result = figures.make(name, "out", QUICK)
        assert all(math.isfinite(quote.value) for quote in result.quotes)
