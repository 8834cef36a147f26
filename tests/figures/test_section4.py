"""Training from three initialisations: parts, and what is read off their losses."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from figure_data import computed_twice, quoted

from erfmath.figures import Options, Part, section4


@pytest.mark.parametrize("figure", [section4.BOX, section4.CIFAR], ids=["section4", "section4_cifar"])
def test_compute_gives_parts(figure: Any, files: Any, tmp_path: pathlib.Path) -> None:
    assert computed_twice(figure, files, tmp_path)["std_after"].size


def test_parts_name_every_run(files: Any) -> None:
    options = Options(files=files)
    assert len(section4.BOX.parts(options)) == len(section4.CIFAR.parts(options)) == 36


def test_verdicts_compare_each_at_its_best_rate() -> None:
    """Losses by initialisation, rate and seed; a run that diverged is no candidate for the best rate."""
    losses = {"he": {1: (3, 4, 5), 2: (6, 7, 8)}, "soft": {1: (9, 9, 9), 2: (1, 3, 2)},
              "centre": {1: (4, 5, 6), 2: (np.inf, 1, 1)}}
    rest = dict.fromkeys(("steps_to_level", "test_accuracy", "std_before", "std_after"), np.array(1.0))
    data = {f"{profile}, {rate}, seed {i}": Part(
        {"profile": profile, "rate": rate},
        {**rest, "final_loss": np.array(np.nan if np.isinf(loss) else loss), "diverged": np.array(np.isinf(loss))}, 0.0)
        for profile, rates in losses.items() for rate, row in rates.items() for i, loss in enumerate(row)}
    quotes = quoted(section4.verdicts(data))
    assert [quotes[f"{name}: best rate"].value for name in section4.PROFILES.values()] == [1, 2, 1]
    assert quotes["soft rim: loss at its best rate less that of He's at He's"].value == -2
    assert quotes["soft rim, rate 1: final loss less that of He's"].value == 5
    assert quotes["centre-heavy, rate 2: final loss"].value == np.inf
