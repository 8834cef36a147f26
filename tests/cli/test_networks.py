"""What NET may be: files of other frameworks, what they know, and networks written as JSON beside their arrays."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_writer as onnx
import pytest
from helpers import ROUNDING, Ask, assert_close

import erfmath as em

RNG = np.random.default_rng(5)
KERNELS = RNG.normal(size=(4, 2, 3, 3)).astype(np.float32), RNG.normal(size=(4, 4, 3, 3)).astype(np.float32)


def write(path: str, *, pattern: bool = False, size: Any = 12) -> None:
    """Two convolutions, between them a ReLU, or a product with a pattern over sites, a global pool and two outputs."""
    between = onnx.node("Mul", ["a", "p"], ["b"], "between") if pattern else onnx.node("Relu", ["a"], ["b"], "between")
    attributes = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    Path(path).write_bytes(onnx.model(
        [onnx.node("Conv", ["x", "one.weight"], ["a"], **attributes), between,
         onnx.node("Conv", ["b", "two.weight"], ["map"], **attributes),
         onnx.node("GlobalAveragePool", ["map"], ["pooled"], name="pool")],
        [onnx.info("x", [1, 2, size, size])], [onnx.info("map", None), onnx.info("pooled", None)],
        [onnx.tensor("one.weight", KERNELS[0]), onnx.tensor("two.weight", KERNELS[1]),
         onnx.tensor("p", np.linspace(1, 2, 144, dtype=np.float32).reshape(12, 12))]))


def test_files_of_onnx_know_image_channels_and_arrays(ask: Ask) -> None:
    write("model.onnx")
    answer = json.loads(ask("predict", "model.onnx", "--json").out)
    model = em.from_onnx("model.onnx")
    expected = em.predict(model.net, image=12, channels_in=2,
                          weights={"one": KERNELS[0], "two": KERNELS[1]}, node="two")
    assert (answer["image"], answer["node"], model.net.output) == ([12, 12], "two", "two")
    assert_close(answer["std"], expected.std, ROUNDING)
    assert_close(model.predict().std, expected.std, ROUNDING)
    drawn = json.loads(ask("predict", "model.onnx", "--json", "--init", "module", "--node", "pooled").out)
    assert drawn["node"] == model.outputs["pooled"] != "two"
    assert_close(drawn["std"], model.predict(weights=None, node="pooled").std, ROUNDING)
    assert ask("receptive-field", "model.onnx").out.splitlines()[-1].startswith("unit (6, 6) of two sees pixels (4, 4)")
    assert ask("measure", "model.onnx", "--draws", "2", "--seed", "0").status == 0
    assert ask("size-map", "model.onnx", "--init", "module").status == 0
    assert "the file is for 12 pixels" in ask("predict", "model.onnx", "--image", "13").err


def test_convert(ask: Ask) -> None:
    write("model.onnx", size="n")
    answer = ask("convert", "model.onnx", "net.json", "--weights", "w.npz", "--image", "12")
    assert answer.status == 0 and "output 'pooled'" in answer.out
    with np.load("w.npz") as stored:
        assert {name: stored[name].tolist() for name in stored.files} == {
            "one": KERNELS[0].tolist(), "two": KERNELS[1].tolist()}
    assert em.load("net.json") == em.from_onnx("model.onnx", image=12).net
    numbers = [json.loads(ask("predict", net, "--image", "12", "--channels-in", "2", "--json", *more).out)["std"]
               for net, more in (("net.json", ("--weights", "w.npz")), ("model.onnx", ()))]
    assert_close(numbers[0], numbers[1], ROUNDING)


def test_stand_ins_are_among_the_assumptions(ask: Ask) -> None:
    write("model.onnx", pattern=True)
    refused = ask("predict", "model.onnx")
    assert refused.status == 2 and "1 x product with a constant pattern" in refused.err and "between" in refused.err
    answer = json.loads(ask("predict", "model.onnx", "--stand-in", "--json").out)
    words = answer["assumptions"]["STAND_IN_1"]
    assert "stands in for product with a constant pattern over sites at between" in words and "mean square" in words
    erf = em.from_onnx("model.onnx", unsupported="stand_in").predict()
    erf.save("field.npz")
    assert em.EffectiveReceptiveField.load("field.npz").assumptions == erf.assumptions
    before = em.from_onnx("model.onnx", unsupported="stand_in").predict(node="one")
    assert not any(a.name.startswith("STAND_IN") for a in before.assumptions)


@pytest.mark.parametrize("words, message", [
    (("predict", "no.onnx"), "no.onnx"), (("predict", "other.onnx"), "no graph"),
    (("predict", "plain", "--init", "he"), "--init"), (("predict", "a.b:c"), "image"),
    (("predict", "no_such_package_:c", "--image", "8"), "no_such_package_"),
    (("predict", "plain", "--weights", "other.onnx"), "--weights other.onnx: must be an npz file"),
    (("convert", "plain", "plain.json", "--weights", "w.npz"), "plain has no arrays"),
    (("convert", "plain", "no/plain.json"), "no directory"),
    (("convert", "model.onnx", "n.json", "--weights", "w"), ".npz"),
])
def test_what_is_wrong_is_said_in_a_line(ask: Ask, words: tuple[str, ...], message: str) -> None:
    Path("other.onnx").write_bytes(b"\x08\x07")
    write("model.onnx")
    answer = ask(*words)
    assert answer.status == 2 and not answer.out and answer.err.count("\n") == 1 and message in answer.err
    assert {path.name for path in Path().iterdir()} == {"other.onnx", "model.onnx"}


def test_json_of_keras(ask: Ask) -> None:
    start = {"class_name": "InputLayer", "config": {"name": "image", "batch_shape": [None, None, None, 3]}}
    conv = {"class_name": "Conv2D", "config": {"name": "stem", "filters": 8, "kernel_size": 5, "padding": "same"}}
    Path("keras.json").write_text(json.dumps(
        {"class_name": "Sequential", "config": {"name": "small", "layers": [start, conv]}}))
    assert "unit (5, 5) of stem sees pixels (3, 3)" in ask("receptive-field", "keras.json", "--image", "10").out
    assert "image=None" in ask("receptive-field", "keras.json").err


@pytest.mark.parametrize("words, ndim", [
    ((), 2), (("--ndim", "1"), 1), (("--ndim", "3"), 3), (("--image", "9,9,9"), 3),
    (("--image", "9", "--unit", "4"), 2), (("--image", "9", "--unit", "1,2,3"), 3),
])
def test_dimension_is_the_one_that_the_options_name(ask: Ask, words: tuple[str, ...], ndim: int) -> None:
    answer = ask("receptive-field", "plain", "--json", *words)
    assert len(json.loads(answer.out)["unit"]) == ndim


def test_network_from_standard_input(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    em.zoo.plain(3).save("net.json")
    want = json.loads(ask("predict", "net.json", "--json").out)
    monkeypatch.setattr(sys, "stdin", io.StringIO(Path("net.json").read_text()))
    found = json.loads(ask("predict", "-", "--json").out)
    assert found.pop("network") == "-" and want.pop("network") == "net.json" and found == want
    for text, told in (("{", "standard input: "), ("[1]", "standard input: ")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        answer = ask("predict", "-")
        assert answer.status == 2 and told in answer.err and answer.err.count("\n") == 1
