"""``erfmath analyse``: gradients and saved results from files, their numbers, and what is refused."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, Ask, assert_close

import erfmath as em
from erfmath.base import errors

Array = Any


@pytest.fixture
def grads(in_tmp: Path) -> Array:
    """Gradients of 20 samples on 41 x 41 pixels about (20, 20), also in grads.npy."""
    y, x = np.ogrid[-20:21, -20:21]
    array = np.random.default_rng(4).normal(size=(20, 3, 41, 41)) * np.exp(-(y**2 + x**2) / 36)
    np.save("grads.npy", array.astype(np.float32))
    return array.astype(np.float32)


def told(err: str) -> list[str]:
    """What stderr says, the progress of a slow machine left out."""
    return [line for line in err.splitlines() if not line.endswith(" ...")]


def test_analyse_prints_the_numbers_of_the_library(ask: Ask, grads: Array) -> None:
    erf = em.EffectiveReceptiveField.from_gradients(grads, trf=21)
    answer = ask("analyse", "grads.npy", "--trf", "21", "--json")
    assert answer.status == 0
    values = json.loads(answer.out)
    assert (values["image"], values["center"], values["trf"]) == ([41, 41], [20, 20], [21, 21])
    whole = values["whole"]
    for key in ("centroid", "std", "std_stderr", "rms_radius"):
        assert_close(whole[key], getattr(erf, key), EXACT)
    assert whole["size"] == {kind: erf.size(kind) for kind in em.sizes.KINDS}
    assert whole["ratio"] == erf.ratio() and whole["mass_radius"]["0.9"] == erf.mass_radius(.9)
    fit = erf.gaussian_fit(offset=True)
    assert_close(whole["gaussian_fit"]["std"], fit.std, EXACT)
    assert_close(whole["gaussian_fit"]["stderr"]["center"], fit.stderr.center, EXACT)
    assert whole["gaussian_distance"]["total_variation"] == em.shapes.gaussian_distance(erf).total_variation
    assert whole["kurtosis"]["joint"] == em.shapes.kurtosis(erf).joint
    assert whole["anisotropy"]["angle"] == em.shapes.anisotropy(erf).angle
    assert whole["periodicity"]["2"]["joint"] == em.shapes.periodicity(erf)[2].joint
    assert values["background"]["level"] == erf.background()
    assert_close(values["background"]["part"], np.minimum(erf.map, erf.background()).sum() / erf.total, ROUNDING)


@pytest.mark.parametrize("words, options", [
    (("--statistic", "relu"), {"statistic": "relu"}), (("--normalise", "sample"), {"normalise": "sample"}),
    (("--center", "19.5,21"), {"unit_center": (19.5, 21)}), (("--center", "19", "--trf", "9,7"),
                                                             {"unit_center": 19, "trf": (9, 7)})])
def test_analyse_options_are_those_of_the_library(ask: Ask, grads: Array, words: tuple[str, ...],
                                                  options: dict[str, Any]) -> None:
    erf = em.EffectiveReceptiveField.from_gradients(grads, **options)
    values = json.loads(ask("analyse", "grads.npy", "--json", *words).out)
    assert values["center"] == list(erf.center) and values["statistic"] == erf.statistic
    assert_close(values["whole"]["std"], erf.std, EXACT)


def test_analyse_a_table_for_people(ask: Ask, grads: Array) -> None:
    lines = ask("analyse", "grads.npy", "--center", "20", "--background").out.splitlines()
    words = {line.split("  ")[0].strip(): line.split() for line in lines}
    assert words["image"][1:] == ["41", "x", "41"] and words["TRF"][1:] == ["not", "known"]
    assert "above background" in lines[6] and "ratio to TRF" not in words
    erf = em.EffectiveReceptiveField.from_gradients(grads, unit_center=20)
    both = [f"{e.size('threshold'):.4g}" for e in (erf, erf.above_background())]
    assert words["threshold"][1:3] == both
    assert {*em.sizes.KINDS, "anisotropy", "hole density", "periodicity", "distance to CLT"} <= set(words)


def test_analyse_gradients_that_cancel_have_fewer_numbers(ask: Ask, grads: Array) -> None:
    np.save("odd.npy", grads + np.float32(.05))
    answer = ask("analyse", "odd.npy", "--statistic", "signed")
    assert answer.status == 0 and "mean, gradients of 20 samples" in answer.out
    assert "periodicity" not in answer.out and "area_ratio_log10" not in answer.out
    values = json.loads(ask("analyse", "odd.npy", "--statistic", "signed", "--json").out)
    assert values["whole"]["periodicity"] is None and values["background"] is None


def test_analyse_other_files_of_one_array(ask: Ask, grads: Array) -> None:
    plain = ask("analyse", "grads.npy", "--json").out
    np.savez("one.npz", anything=grads)
    np.save("last.npy", np.moveaxis(grads, 1, -1))
    assert json.loads(ask("analyse", "one.npz", "--json").out)["whole"] == json.loads(plain)["whole"]
    last = json.loads(ask("analyse", "last.npy", "--channels", "last", "--json").out)["whole"]
    assert_close(last["std"], json.loads(plain)["whole"]["std"], ROUNDING)


def test_analyse_saved_results_are_read_and_written(ask: Ask, grads: Array) -> None:
    erf = em.predict(em.repeat(em.Conv(3), 5))
    erf.save("theory.npz")
    values = json.loads(ask("analyse", "theory.npz", "--json").out)
    assert values["whole"]["std"] == erf.std.tolist() and values["whole"]["ratio"] == erf.ratio()
    assert values["whole"]["std_stderr"] is None and values["image"] is None
    assert "infinite plane" in ask("analyse", "theory.npz").out
    first = ask("analyse", "grads.npy", "--trf", "21", "--statistic", "relu", "--save", "back.npz", "--json")
    back = em.EffectiveReceptiveField.load("back.npz")
    assert (back.center, back.trf.size, back.statistic) == ((20, 20), (21, 21), "relu")
    second = ask("analyse", "back.npz", "--json")
    assert json.loads(first.out)["whole"] == json.loads(second.out)["whole"]


def test_analyse_deep_chains_have_what_fits(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    em.predict(em.repeat(em.Conv(3, weights=em.Random(gain=1)), 600)).save("deep.npz")
    monkeypatch.setattr(errors, "MEMORY_LIMIT", 8 * 1201**2 - 1)
    answer = ask("analyse", "deep.npz")
    assert answer.status == 0 and "std per axis" in answer.out and "area_ratio_log10" not in answer.out


def test_analyse_the_border_is_warned_of_in_one_line(ask: Ask, grads: Array) -> None:
    np.save("flat.npy", np.ones((2, 3, 9, 9)))
    answer = ask("analyse", "flat.npy")
    assert answer.status == 0
    (line,) = told(answer.err)
    assert line.startswith("erfmath: warning: grads: the map reaches the border")
    assert not told(ask("analyse", "grads.npy").err)


@pytest.mark.parametrize("words", [("theory.npz",), ("grads.npy", "--trf", "21"), ("grads.npy",)])
def test_analyse_a_picture(ask: Ask, grads: Array, in_tmp: Path, words: tuple[str, ...]) -> None:
    em.predict(em.repeat(em.Conv(3), 5)).save("theory.npz")
    answer = ask("analyse", *words, "--plot", "field.png")
    assert answer.status == 0, answer.err
    assert (in_tmp / "field.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("words, message", [
    (("nowhere.npy",), "nowhere.npy: No such file"),
    (("grads.npy", "--save", "out.npy"), "must end in .npz"),
    (("grads.npy", "--plot", "out.xyz"), "no picture format"),
    (("grads.npy", "--plot", "nowhere/out.png"), "there is no directory"),
    (("grads.npy", "--center", "a"), "must be numbers, as 111.5 or 96,112"),
    (("grads.npy", "--center", "99"), "lies outside the images"),
    (("grads.npy", "--trf", "8"), "would not begin on a pixel"),
    (("two.npz",), "two.npz: not a file of gradients (holds 2 arrays (a, b); must be one)"),
    (("text.npy",), "text.npy: not a file of gradients (it is no npz file)"),
    (("zero.npy",), "sum zero"), (("nan.npy",), "not finite in 1 of 2 samples, counted from 0: 1"),
    (("theory.npz", "--trf", "9"), "--trf: theory.npz is a saved result"),
    (("broken.npz",), "broken.npz: not a"),
])
def test_analyse_bad_input_is_one_line_and_nothing_written(ask: Ask, grads: Array, in_tmp: Path, words: tuple[str, ...],
                                                           message: str) -> None:
    np.savez("two.npz", a=grads, b=grads)
    (in_tmp / "text.npy").write_text("not an array")
    np.save("zero.npy", np.zeros((2, 3, 5, 5)))
    bad = np.ones((2, 3, 5, 5))
    bad[1, 0, 0, 0] = np.nan
    np.save("nan.npy", bad)
    em.predict(em.repeat(em.Conv(3), 2)).save("theory.npz")
    (in_tmp / "broken.npz").write_bytes((in_tmp / "theory.npz").read_bytes()[:200])
    before = sorted(path.name for path in in_tmp.iterdir())
    answer = ask("analyse", *words)
    assert answer.status == 2 and not answer.out and message in answer.err
    (line,) = told(answer.err)
    assert line.startswith("erfmath: error: ")
    assert sorted(path.name for path in in_tmp.iterdir()) == before


def test_analyse_arrays_of_objects_are_not_unpickled(ask: Ask, in_tmp: Path) -> None:
    np.save("objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    answer = ask("analyse", "objects.npy")
    assert answer.status == 2 and "objects.npy: not a file of gradients" in answer.err


def test_analyse_reads_standard_input(ask: Ask, grads: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save("g.npy", grads)
    want = json.loads(ask("analyse", "g.npy", "--json").out)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("g.npy").read_bytes())))
    found = json.loads(ask("analyse", "-", "--json").out)
    assert found.pop("file") == "-" and want.pop("file") == "g.npy" and found == want
