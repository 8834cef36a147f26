"""Random networks of the whole vocabulary: drawn from a seed, looked at, and counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from erfmath.bench import survey
from erfmath.bench.survey import WIDTH, Found


def test_networks_come_from_their_seed() -> None:
    (net, image), (again, other) = survey.drawn(3), survey.drawn(3)
    assert net == again and image == other
    kinds = {node.layer.op for seed in range(40) for node in survey.drawn(seed)[0]}
    assert len(kinds) > 24 and {"multiply", "group_norm", "pixel_shuffle", "slice", "conv_transpose"} <= kinds
    assert all(shape for seed in range(20) for net, image in [survey.drawn(seed)]
               for shape in net.shapes(image).values())


def test_what_is_suspect_is_off_by_much_and_by_many_errors() -> None:
    assert Found(0, 30, total=2.0, total_z=5.0).suspect and Found(0, 30, std=.9, std_z=-5.0).suspect
    assert not Found(0, 30, total=2.0, total_z=3.0).suspect and not Found(0, 30, std=1.01, std_z=9.0).suspect


def test_a_chain_of_a_survey_is_what_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratios of the theory over samples, and errors that a hundred draws of two rectified layers make."""
    import erfmath as em
    net = em.serial(em.Conv(3, WIDTH), em.Activation("relu"), em.Conv(3, WIDTH))
    monkeypatch.setattr(survey, "drawn", lambda seed: (net, (9,)))
    found = survey.look(1, 100)
    assert not found.refused and found.assumptions == ()
    assert abs(found.std_z) < 5 and abs(found.total_z) < 5
    assert abs(found.std - 1) < 0.1 and abs(found.total - 1) < 0.2 and 0 < found.noise < 0.1
    assert found.variation < 4 * found.noise


def test_a_survey_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    looked: list[int] = []
    monkeypatch.setattr(survey, "look", lambda seed, draws: looked.append(seed) or Found(seed, draws))
    file = tmp_path / "survey.jsonl"
    survey.main(0, 2, str(file))
    survey.main(0, 4, str(file))
    assert looked == [0, 1, 2, 3] and [json.loads(line)["seed"] for line in file.read_text().splitlines()] == looked
    assert "4 random networks, 0 of them refused" in capsys.readouterr().out


@pytest.mark.slow
def test_a_few_random_networks() -> None:
    """Most are within 3 % or 4 standard errors, and so is the median of the std."""
    found = [one for one in survey.survey(range(1000, 1024), 30, 120) if not one.refused]
    assert sum(one.suspect for one in found) <= len(found) / 6
    assert abs(np.median([one.std for one in found]) - 1) < 0.02
