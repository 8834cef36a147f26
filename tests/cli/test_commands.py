"""`receptive-field`, `predict`, `zoo` and `bench`: the numbers of the library, as text, JSON and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import EXACT, Ask, assert_close

import erfmath as em
from erfmath.bench import BENCHMARKS, Table
from erfmath.cli import commands


def test_receptive_field_prints_every_node_and_the_window(ask: Ask) -> None:
    answer = ask("receptive-field", "vgg16", "--image", "224", "--unit", "0,6")
    assert answer.status == 0 and not answer.err
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == list(em.zoo.vgg16().names)
    assert lines[-3].split() == ["pool5", "max_pool", "7x7", "212", "32", "90"]
    assert lines[-1] == ("unit (0, 6) of pool5 sees pixels (-90, 102) to (121, 313), "
                         "centre (15.5, 207.5)")


def test_receptive_field_json(ask: Ask) -> None:
    net, unit = em.zoo.unet(), (3, 5)
    answer = json.loads(ask("receptive-field", "unet", "--unit", "3,5", "--json").out)
    fields = em.receptive_fields(net)
    assert [node["node"] for node in answer["nodes"]] == list(net.names)
    for node in answer["nodes"]:
        assert_close(node["size"], fields[node["node"]].size, EXACT)
        assert_close(node["stride"], [float(s) for s in fields[node["node"]].stride], EXACT)
    assert_close(answer["window"], fields[net.output].window(unit), EXACT)
    assert_close(answer["center"], fields[net.output].center(unit), EXACT)


def test_receptive_field_of_a_net_that_sees_the_whole_plane(ask: Ask) -> None:
    em.serial(em.Conv(3), em.GlobalAvgPool()).save("net.json")
    assert "sees the whole plane" in ask("receptive-field", "net.json").out
    answer = json.loads(ask("receptive-field", "net.json", "--json").out)
    assert answer["window"] is None and answer["nodes"][-1]["size"] == [None, None]
    with_image = json.loads(ask("receptive-field", "net.json", "--image", "5,7", "--json").out)
    assert with_image["window"] == [[0, 0], [4, 6]]


PREDICT = ("predict", "plain", "--image", "31,41", "--unit", "3,20")


def test_predict_prints_the_numbers_of_the_library(ask: Ask) -> None:
    erf = em.predict(em.zoo.plain(), image=(31, 41), unit=(3, 20))
    answer = json.loads(ask(*PREDICT, "--json").out)
    for key in ("unit", "image", "center", "centroid", "std"):
        assert_close(answer[key], getattr(erf, key), EXACT)
    assert_close(answer["trf"]["size"], erf.trf.size, EXACT)
    assert_close(answer["window"], erf.trf.window(erf.unit), EXACT)
    assert answer["size"]["threshold"] == erf.size("threshold")
    assert answer["ratio"] == erf.ratio()
    assert answer["mass_radius"]["0.5"] == erf.mass_radius(0.5)
    assert list(answer["assumptions"]) == [assumption.name for assumption in erf.assumptions]


def test_predict_prints_a_table(ask: Ask) -> None:
    erf = em.predict(em.zoo.plain(), image=(31, 41), unit=(3, 20))
    answer = ask(*PREDICT)
    assert answer.status == 0 and not answer.err
    rows = dict(line.split("  ", 1) for line in answer.out.splitlines())
    assert rows["network"].strip() == "plain, unit (3, 20) of conv20"
    assert rows["TRF"].strip() == "41 x 41 px, pixels (-17, 0) to (23, 40)"
    assert f"{erf.std[0]:.4g} x {erf.std[1]:.4g} px" == rows["std"].strip()


def test_predict_options_reach_the_library(ask: Ask) -> None:
    em.serial(em.Conv(3, weights=em.Constant()), em.Conv(3, weights=em.Constant(), name="top"),
              em.Conv(3, weights=em.Constant())).save("net.json")
    words = ("predict", "net.json", "--json", "--node", "top", "--ndim", "1")
    mean, power = (json.loads(ask(*words, *more).out)
                   for more in ((), ("--statistic", "power", "--width", "2", "--channels-in", "1")))
    assert mean["statistic"] == "mean" and power["statistic"] == "power"
    assert mean["node"] == "top" and mean["trf"]["size"] == [5]


def test_predict_writes_picture_and_result(ask: Ask) -> None:
    answer = ask(*PREDICT, "--plot", "erf.png", "--save", "erf.npz")
    assert answer.status == 0
    assert sorted(path.name for path in Path().iterdir()) == ["erf.npz", "erf.png"]
    assert Path("erf.png").read_bytes().startswith(b"\x89PNG")
    erf = em.predict(em.zoo.plain(), image=(31, 41), unit=(3, 20))
    assert_close(em.EffectiveReceptiveField.load("erf.npz").map, erf.map, EXACT)


@pytest.mark.parametrize("name, start", [("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("A.PNG", b"\x89PNG"),])
def test_predict_plot_format(ask: Ask, name: str, start: bytes) -> None:
    assert ask("predict", "plain", "--plot", name).status == 0
    assert Path(name).read_bytes().startswith(start)


def test_zoo_lists_every_name(ask: Ask) -> None:
    lines = ask("zoo").out.splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == list(em.zoo.names())


def test_bench_prints_the_tables_asked_for(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "run", lambda name, quick, **options: Table(f"{name} {quick}", ("ms",), ()))
    asked = ask("bench", "walk", "import", "--quick").out.split("\n\n")
    assert asked[:-1] == ["walk True\n  ms", "import True\n  ms"]
    everything = ask("bench").out.split("\n\n")
    assert everything[:-1] == [f"{name} False\n  ms" for name in BENCHMARKS]


def test_bench_hands_on_which_models_are_read(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(commands, "run", lambda name, **options: given.update(options) or Table(name, ("ms",), ()))
    assert ask("bench", "readers", "--models", "timm:a*", "b", "--results", "r.jsonl", "--seconds", "9").status == 0
    assert callable(given.pop("progress"))
    assert given == {"quick": False, "models": ["timm:a*", "b"], "results": "r.jsonl", "seconds": 9.0}
    refused = ask("bench", "walk", "--results", "r.jsonl")
    assert refused.status == 2 and "--results: is for the models that are read" in refused.err
    for name in ("accuracy", "survey"):
        given.clear()
        assert ask("bench", name, "--results", "a.jsonl").status == 0 and given["results"] == "a.jsonl"


def test_predict_prints_sizes_that_there_are(ask: Ask, in_tmp: Path) -> None:
    skewed = em.Random(profile=np.array([[1, 2, 3], [4, 5, 1], [2, 2, 99.0]]))
    em.repeat(em.Conv(3, weights=skewed), 3000).save("net.json")
    answer = ask("predict", "net.json")  # its centre is far out in the tail, below the error
    assert answer.status == 0
    assert "  - px with amplitude above" in answer.out
    assert json.loads(ask("predict", "net.json", "--json").out)["size"]["threshold"] is None
