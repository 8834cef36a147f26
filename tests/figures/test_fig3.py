"""Training before and after: parts, runs and captions."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from figure_data import QUICK, computed_twice

from erfmath.figures import Options, Part, base, fig3
from erfmath.figures.registry import recipe


def test_captions_come_from_the_specification() -> None:
    for name in ("fig3_box", "remedies_trained"):
        for options, layers in ((QUICK, 4), (Options(), 12)):
            spec = next(iter(recipe(name).parts(options).values()))
            part = Part(spec, {"test_accuracy": np.array(0.5)}, 0.0)
            groups = recipe(name).groups
            assert f"{layers} convolutions" in recipe(name).caption({f"{group}, seed 0": part for group in groups})


@pytest.mark.parametrize("figure", [pytest.param(fig3.BOX, id="fig3_box"),
                                    pytest.param(fig3.CAMVID, id="fig3_camvid", marks=pytest.mark.slow)])
def test_compute_gives_parts(figure: Any, files: Any, tmp_path: pathlib.Path) -> None:
    assert computed_twice(figure, files, tmp_path)["std"].size


def test_parts_name_every_run(files: Any) -> None:
    options = Options(files=files)
    assert len(fig3.BOX.parts(options)) == 4 and len(fig3.CIFAR.parts(options)) == 4
    assert all(spec["file"] == base.digest(files["cifar10"]) for spec in fig3.CIFAR.parts(options).values())
