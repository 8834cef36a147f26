"""Files of results: what was saved comes back, and what anybody else wrote is checked value by value."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ensembles import chain, same
from fields import ERF, SHAPES, random_erf
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.base.files import read_archive, write_archive


def unknown_field(**options: Any) -> Any:
    """Of a unit of which only the centre is known."""
    return ERF(random_erf(2).map, origin=(0, 0), unit=(), trf=None, center=(2.5, 4), image=(6, 9), **options)


def saved() -> dict[str, Any]:
    return {
        "lines": em.predict(chain(4, stride=2), unit=(3, -1)),
        "beyond floats": em.predict(em.repeat(em.Conv(3), 2_000), ndim=1),
        "image": em.predict(em.serial(em.Conv(3), em.MaxPool(2), em.Upsample(2)), image=(9, 8)),
        "no trf": unknown_field(statistic="relu", stderr=np.ones((6, 9))),
        "above": random_erf(2).above_background(.1),
        "draws": em.measure(chain(2), image=9, draws=20, rng=0),
        "stderr": random_erf(3, stderr=np.full(SHAPES[3], .5), method="draws", statistic="mean"),
    }


@pytest.mark.parametrize("name", saved())
def test_saved_fields_come_back(name: str, in_tmp: Path) -> None:
    erf = saved()[name]
    erf.save("field.npz")
    back = ERF.load("field.npz")
    for key in ("origin", "unit", "image", "node", "ndim", "shape", "statistic", "method", "assumptions", "center"):
        assert getattr(back, key) == getattr(erf, key), key
    assert back.window == erf.window and back.label == erf.label
    if erf.window is not None:
        assert back.trf == erf.trf and back.trf.window((5,) * erf.ndim) == erf.trf.window((5,) * erf.ndim)
    assert back.density.kind == erf.density.kind
    assert_close(back.share, erf.share, EXACT)
    assert_close(back.std, erf.std, EXACT)
    if name != "beyond floats":
        assert_close(back.map, erf.map, EXACT)
    if erf.stderr is None:
        assert back.stderr is None
    else:
        assert_close(back.stderr, erf.stderr, EXACT)
    with np.load("field.npz", allow_pickle=False) as arrays:  # plain arrays, no pickles
        assert all(array.dtype.kind in "fui" for array in arrays.values())
    assert [path.name for path in in_tmp.iterdir()] == ["field.npz"]


def test_garbage_is_refused(in_tmp: Path) -> None:
    np.savez("other.npz", map=np.ones(3))
    np.save("array.npy", np.ones(3))
    (in_tmp / "text.npz").write_text("not a field")
    (in_tmp / "empty.npz").write_bytes(b"")
    for name in ("other.npz", "array.npy", "text.npz", "empty.npz"):
        with pytest.raises(ValueError, match=f"{name}: not an effective receptive field"):
            ERF.load(name)
    with pytest.raises(FileNotFoundError):
        ERF.load("nowhere.npz")


def test_damaged_files_are_refused_or_read_as_they_were(in_tmp: Path) -> None:
    erf = random_erf(2)
    erf.save("field.npz")
    data, rng = (in_tmp / "field.npz").read_bytes(), random.Random(1)
    refused = 0
    for trial in range(300):
        broken = bytearray(data)
        if trial % 3 == 0:
            broken = broken[:rng.randrange(len(data))]
        else:
            broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (in_tmp / "broken.npz").write_bytes(broken)
        try:
            assert_close(ERF.load("broken.npz").map, erf.map, EXACT)
        except ValueError as error:
            assert str(error).startswith("broken.npz: not an effective")
            refused += 1
    assert refused > 200


def test_a_failed_save_leaves_nothing(in_tmp: Path) -> None:
    with pytest.raises(FileNotFoundError):
        random_erf(2).save("nowhere/field.npz")
    assert not list(in_tmp.iterdir())


def forged(erf: Any, change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> None:
    """A file of this field in which one thing is changed."""
    erf.save("forged.npz")
    with np.load("forged.npz") as stored:
        arrays = dict(stored)
    about = json.loads(arrays.pop("about").tobytes())
    change(arrays, about)
    np.savez("forged.npz", **arrays, about=np.frombuffer(json.dumps(about).encode(), np.uint8))


def say(name: str, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Another value of a field, given by its path."""
    def change(_: dict[str, Any], about: dict[str, Any]) -> None:
        *path, last = name.split(".")
        for key in path:
            about = about[int(key) if key.isdigit() else key]
        about[last] = value
    return change


def hold(name: str, of: Callable[[Any], Any] | None) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Another array in place of one, or none."""
    def change(arrays: dict[str, Any], _: dict[str, Any]) -> None:
        old = arrays.pop(name, None)
        if of is not None:
            arrays[name] = of(old)
    return change


def spoilt(value: float) -> Callable[[Any], Any]:
    """An array with one other value."""
    def of(array: Any) -> Any:
        array = array.copy()
        array.flat[1] = value
        return array
    return of


LIES: list[tuple[str, Any, str]] = [
    ("image", hold("map", spoilt(math.nan)), "map: holds values that are not finite"),
    ("image", hold("map", spoilt(-1e-3)), "map: holds negative values"),
    ("image", hold("map", lambda a: a + 1j), "map: is of complex128; must hold real numbers"),
    ("image", hold("map", lambda a: a.astype(str)), "map: is of <U"),
    ("image", hold("map", lambda a: a[0]), "map: has shape (8,), must have 2 axes"),
    ("image", hold("map", lambda a: a[:-1]), "image=(9, 8): the map must cover it"),
    ("image", hold("map", None), "map: is missing"),
    ("image", say("origin", [0.5, 0]), "origin=0.5: must be an integer"),
    ("image", say("origin", ["0", "0"]), "origin='0': must be an integer"),
    ("image", say("origin", [0, 1]), "and origin (0, 1)"), ("image", say("origin", 3), "origin=3: must be list"),
    ("image", say("origin", [0] * 4), "must have 1 to 3 values"),
    ("image", say("unit", [1]), "unit=(1,): must have 2 values"), ("image", say("unit", "ab"), "unit='ab'"),
    ("image", say("image", [9, -8]), "image=-8: must be at least 1"), ("image", say("image", True), "image=True"),
    ("image", say("statistic", "median"), "statistic='median'"), ("image", say("method", 3), "method=3: must be str"),
    ("image", say("assumptions", ["MAGIC"]), "MAGIC"), ("image", say("kind", "rumour"), "kind='rumour'"),
    ("image", say("density", "walk"), "density='walk': is never stored"),
    ("image", say("density", ["dense"]), "density=['dense']"), ("image", say("center", [1, 2]), "center: needed if"),
    ("image", say("trf", None), "center: needed if"), ("image", say("trf", "x"), "trf='x': must be dict"),
    ("image", say("trf.windows", []), "windows: has 0 axes"),
    ("image", say("trf.windows.0.lo", [5]), "are no first and last pixels"),
    ("image", say("trf.windows.0.lo", []), "are no first and last pixels"),
    ("image", say("trf.windows.0.hi", ["7"]), "windows='7': must be an integer"),
    ("image", say("trf.windows.0.shift", -2), "windows.shift=-2: must be at least 0"),
    ("lines", say("trf.windows", [{"shift": 1, "lo": [0], "hi": [0], "aligned": True}]),
     "trf: has 1 axes, the map has 2"),
    ("image", say("facts", None), "facts=None: must be dict"),
    ("lines", hold("line0", spoilt(math.nan)), "line0: holds values that are not finite"),
    ("lines", hold("line1", lambda a: 3 * a), "line1: has sum 3, must have sum 1"),
    ("lines", hold("line1", lambda a: a - 2 * a[0]), "line1: holds negative values"),
    ("lines", hold("line1", None), "line1: is missing"),
    ("lines", hold("line0", lambda a: a[None]), "line0: has shape"),
    ("lines", say("log_total", "1"), "log_total='1': must be a real number"),
    ("lines", say("log_total", math.nan), "log_total=nan: must be finite"),
    ("stderr", hold("stderr", lambda a: a[0]), "stderr: has shape (5, 6), must have shape (4, 5, 6)"),
    ("stderr", hold("stderr", lambda a: -a), "stderr: holds negative values"),
    ("no trf", say("center", [1.0]), "center=[1.0]: must have 2 values"),
    ("no trf", say("center", ["a", "b"]), "center='a': must be a real number"),
    ("draws", hold("draws.table", lambda a: a[1:]), "table: has shape (19, 5), must have shape (20, 5)"),
    ("draws", hold("draws.count", lambda a: np.array(0)), "count=0: must be at least 1"),
    ("draws", hold("draws.scatter", lambda a: a[:-1]), "scatter: has shape"),
    ("draws", hold("draws.mean", lambda a: a[0]), "has shape"),
    ("draws", hold("draws.square", None), "square: is missing"),
    ("draws", hold("draws.square", lambda a: -a), "square: holds negative values"),
    ("draws", hold("map", lambda a: 2 * a), "map: is not the mean of the draws"),
    ("draws", say("facts.box", [[0, 0], [99, 99]]), "box=[[0, 0], [99, 99]]: does not fit"),
    ("draws", say("facts.sampled", 1), "sampled=1: must be bool"),
    ("draws", say("facts.partial", None), "partial=None: must be bool"),
    ("draws", say("facts", {}), "box: is missing"),
]


@pytest.mark.parametrize("name, change, message", LIES, ids=[f"{name} {message}" for name, _, message in LIES])
def test_load_names_file_and_field(name: str, change: Any, message: str, in_tmp: Path) -> None:
    forged(saved()[name], change)
    with pytest.raises(ValueError) as error:
        ERF.load("forged.npz")
    assert str(error.value).startswith("forged.npz: not an effective receptive field") and message in str(error.value)


def test_load_takes_what_is_only_unusual(in_tmp: Path) -> None:
    """An array of integers, another order of the file's parts, errors that are not known."""
    for name, change in (("image", hold("map", lambda a: np.round(1e6 * a).astype(int))),
                         ("stderr", hold("stderr", spoilt(math.nan))), ("image", lambda arrays, about: None)):
        forged(saved()[name], change)
        assert ERF.load("forged.npz").size() > 0


def test_save_replaces_no_device(in_tmp: Path) -> None:
    with pytest.raises(FileExistsError, match="is a device"):
        random_erf(2).save("/dev/null")
    assert not os.path.isfile("/dev/null")


# ---------------------------------------------------------------------------------------------
# facts that contradict each other
# ---------------------------------------------------------------------------------------------

def changed(path: str, **changes: Any) -> None:
    """The file with some of its arrays and facts replaced, as wrong.npz; dots are written as two underscores."""
    arrays, about = read_archive(path)
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            arrays[name.replace("__", ".")] = value
        else:
            about[name] = value
    write_archive("wrong.npz", arrays, about)


@pytest.mark.parametrize("changes, words", [
    ({"unit": [99, 99]}, "unit=.99, 99.: lies outside"), ({"unit": [2**60, 0]}, "sites must stay below"),
    ({"trf": "image"}, "trf: is of image"), ({"map": np.full((8, 8), 1e308)}, "sum beyond the range"),
])
def test_load_refuses_facts_that_contradict_each_other(changes: dict[str, Any], words: str, in_tmp: Path) -> None:
    erf = em.predict(em.serial(em.Conv(3)), image=8)
    erf.save("erf.npz")
    if changes.get("trf") == "image":
        changes = {"trf": {**erf.trf.to_dict(), "image": [3, 3]}}
    changed("erf.npz", **changes)
    with pytest.raises(ValueError, match=words):
        em.EffectiveReceptiveField.load("wrong.npz")


def test_load_refuses_places_beyond_counting(in_tmp: Path) -> None:
    em.predict(em.serial(em.Conv(3)), ndim=1).save("erf.npz")
    for origin in (10**30, -2**60):
        changed("erf.npz", origin=[origin])
        with pytest.raises(ValueError, match="sites must stay below"):
            em.EffectiveReceptiveField.load("wrong.npz")


def test_load_refuses_draws_that_do_not_add_up(in_tmp: Path) -> None:
    em.measure(em.serial(em.Conv(3)), image=8, draws=5, rng=0).save("erf.npz")
    arrays, _ = read_archive("erf.npz")
    for name, wrong in (("draws__count", np.array(5.5)), ("draws__total", np.array(123.0)),
                        ("draws__table", arrays["draws.table"] * 2), ("draws__square", arrays["draws.square"] * np.nan),
                        ("draws__line_cross", arrays["draws.line_cross"] + np.inf),
                        ("draws__scatter", -arrays["draws.scatter"])):
        changed("erf.npz", **{name: wrong})
        with pytest.raises(ValueError, match="count=5.5|gives a mean sum|not finite|negative variances"):
            em.EffectiveReceptiveField.load("wrong.npz")


def test_copies_are_read_only(in_tmp: Path) -> None:
    """By deepcopy, by pickle and from a file, whatever was looked at before."""
    measured, predicted = em.measure(em.serial(em.Conv(3)), image=8, draws=4, rng=0), em.predict(em.serial(em.Conv(3)))
    for erf in (measured, predicted):
        erf.std, erf.covariance, erf.share, erf.profile()
        if erf is measured:
            measured.moments.totals, measured.std_stderr
        erf.save("erf.npz")
        for other in (erf, copy.copy(erf), copy.deepcopy(erf), pickle.loads(pickle.dumps(erf)),
                      em.EffectiveReceptiveField.load("erf.npz")):
            arrays = [other.map, other.share, other.profile(), other.std, other.covariance]
            if erf is measured:
                arrays += [other.stderr, other.std_stderr, other.share_stderr, other.moments.totals,
                           other.moments.mean, other.moments.scatter]
            assert not any(array.flags.writeable for array in arrays)
            assert repr(other) == repr(erf) and np.array_equal(other.map, erf.map)


@pytest.mark.parametrize("result", [
    em.erf_size_map(em.serial(em.Conv(3)), 8), em.growth(em.zoo.plain, [2, 3, 4]),
    em.support(em.serial(em.Conv(3)), image=8)], ids=["size map", "growth", "support"])
def test_copies_of_other_results_are_read_only(result: Any) -> None:
    for other in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        for name in ("size", "std", "values", "trf", "mask"):
            array = getattr(other, name, None)
            if isinstance(array, np.ndarray):
                assert not array.flags.writeable and np.array_equal(array, getattr(result, name)), name


C, A = em.Conv, em.Activation
UNIT_GAIN = em.Random(gain=1)


@pytest.mark.parametrize("statistic", ["power", "mean", "amplitude", "magnitude", "relu"])
def test_save_keeps_what_the_draws_say(statistic: str, in_tmp: Path) -> None:
    erf = em.measure(chain(), draws=200, statistic=statistic, rng=0, image=20, unit=3)
    erf.save("erf.npz")
    again = em.EffectiveReceptiveField.load("erf.npz")
    same(again, erf)
    assert type(again) is type(erf) and repr(again) == repr(erf)
    for name in ("statistic", "method", "unit", "image", "trf", "box", "seed", "partial"):
        assert getattr(again, name) == getattr(erf, name)
    assert_close(again.total_stderr, erf.total_stderr, ROUNDING)
    for name in ("stderr", "share_stderr", "std_stderr"):
        assert np.array_equal(getattr(again, name), getattr(erf, name), equal_nan=True)
    if statistic == "power":
        theory = em.predict(chain(), image=20, unit=3)
        assert em.compare(theory, again).p_shape == em.compare(theory, erf).p_shape > 0


def test_save_keeps_deterministic_results(in_tmp: Path) -> None:
    em.measure(em.repeat(C(3, weights=em.Constant()), 2)).save("erf.npz")
    again = em.EffectiveReceptiveField.load("erf.npz")
    assert again.stderr is None and again.seed is not None and again.draws == 1


def test_load_refuses_arrays_that_do_not_fit(in_tmp: Path) -> None:
    em.measure(chain(), draws=3, rng=0).save("erf.npz")
    with np.load("erf.npz") as file:
        arrays = dict(file)
    for name in ("draws.mean", "draws.scatter"):
        np.savez("wrong.npz", **{**arrays, name: arrays[name][:-1]})
        with pytest.raises(ValueError, match="not an effective receptive field"):
            em.EffectiveReceptiveField.load("wrong.npz")
