"""Values are checked where they enter, and likely slips are answered with what was meant."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.base import checks

NET = em.zoo.plain(3)


class Module:
    """What looks like a module of PyTorch."""

    def named_modules(self) -> list[Any]:
        return []


@pytest.mark.parametrize("slip, meant", [
    (lambda: em.predict("vgg16"), r"net='vgg16': must be a Network; did you mean erfmath.zoo.build\('vgg16'\)"),
    (lambda: em.receptive_field(em.Conv(3)), r"net=<Conv>: must be a Network; erfmath.serial\(layer\) makes one"),
    (lambda: em.predict(Module()), r"did you mean erfmath.from_torch\(module, example\).net\?"),
    (lambda: em.predict([em.Conv(3)]), r"net=<list>: must be a Network; erfmath.serial\(\.\.\.\) makes one"),
    (lambda: em.serial([em.Conv(3), em.Conv(3)]), r"\[2 parts\]: .* given one by one, as in serial\(\*parts\) and add"),
    (lambda: em.serial(em.Conv), r"Conv: .* did you mean Conv\(\.\.\.\)\?"),
    (lambda: em.serial("ReLU"), r"'ReLU': .* did you mean Activation\('relu'\)\?"),
    (lambda: em.serial("nothing"), r"'nothing': a part of a network is a Layer or a Network, not str$"),
    (lambda: em.repeat(3, em.Conv(3)), r"3: .* repeat\(part, n\) takes the part first"),
    (lambda: em.measure(NET, seed=0), r"measure\(\) has no argument seed=; did you mean rng=\?"),
    (lambda: em.predict(NET, channels=3), r"predict\(\) has no argument channels=; did you mean width=\?"),
    (lambda: em.predict("VGG-16"), r"net='VGG-16': .* did you mean erfmath.zoo.build\('vgg16'\)\?"),
    (lambda: em.predict("resnet"), r"did you mean erfmath.zoo.build\('resnet\d+'\) or "),
    (lambda: em.predict("net.json"), r"did you mean erfmath.load\('net.json'\)\?$"),
    (lambda: em.predict("xyzzy"), r"erfmath.zoo.names\(\) lists the networks"),
    (lambda: em.predict(em.zoo.vgg16), r"did you mean erfmath.zoo.vgg16\(\), with parentheses\?"),
    (lambda: em.predict(NET, img_size=32), r"no argument img_size=; did you mean image=\?"),
    (lambda: em.predict(NET, imag=32), r"no argument imag=; did you mean image=\?"),
    (lambda: em.measure(NET, n_draws=3), r"no argument n_draws=; did you mean draws=\?"),
    (lambda: em.Conv(3, out_channels=3), r"no argument out_channels=; did you mean channels=\?"),  # type: ignore
    (lambda: em.Conv(3, strides=3), r"Conv\(\) has no argument strides=; did you mean stride=\?"),  # type: ignore
    (lambda: em.Conv(kernel=3), r"Conv\(\) has no argument kernel=; did you mean kernel_size=\?"),  # type: ignore
    (lambda: em.Conv(3, in_channels=3), "how many channels come in follows from the network"),  # type: ignore[call-arg]
    (lambda: em.Dropout(rate=.5), r"Dropout\(\) has no argument rate=; did you mean p=\?"),  # type: ignore[call-arg]
    (lambda: em.predict(NET, 224), "predict.. takes all arguments but the network by keyword, as image=224"),
])
def test_slips(slip: Callable[[], Any], meant: str) -> None:
    with pytest.raises(TypeError, match=meant):
        slip()


def test_hints_leave_signatures_and_words_that_exist_alone() -> None:
    assert [*inspect.signature(em.predict).parameters][:2] == ["net", "image"]
    for function, word in ((em.predict, "nothing"), (em.measure, "nothing")):
        with pytest.raises(TypeError, match=r"has no argument nothing=; it takes image, unit"):
            function(NET, **{word: 1})


@pytest.mark.parametrize("slip, meant", [
    (lambda: em.Activation("rleu"), r"did you mean 'relu'\?"),
    (lambda: em.Activation("softmax"), "no function of one value"),
    (lambda: em.Activation(np.tanh), "give its name"),
    (lambda: em.Conv(3, padding="SAME"), r"did you mean 'same'\?"),
    (lambda: em.Conv(3, weights=np.ones((3, 3))), r"did you mean Fixed\(array\)\?"),  # type: ignore[arg-type]
    (lambda: em.Conv(3, weights="he_normal"), r"did you mean Random.like\('he_normal'\)\?"),  # type: ignore[arg-type]
    (lambda: em.Conv(3, weights=em.Random), r"did you mean Random\(\) with parentheses\?"),  # type: ignore[arg-type]
    (lambda: em.predict(NET).size("Std"), r"did you mean 'std'\?"),
])
def test_near_misses_of_values(slip: Callable[[], Any], meant: str) -> None:
    with pytest.raises(ValueError, match=meant):
        slip()


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_integers_of_every_kind(value: Any) -> None:
    assert checks.integer(value, "n", 3) == 3 and type(checks.integer(value, "n")) is int
    assert checks.sizes((value, 4), "n", 1) == (3, 4) and checks.point(value, "n", 2) == (3, 3)
    assert checks.image_shape([value, 5], 2) == (3, 5) and checks.real(value, "n") == 3.0


@pytest.mark.parametrize("value, rule", [
    ("same", "same"), (2, 2), ((1, 2), (1, 2)), ([[0, 1], [2, 3]], ((0, 1), (2, 3))), ([[4, 5]], ((4, 5),))])
def test_padding_rules(value: Any, rule: Any) -> None:
    assert checks.padding_rule(value, ("same", "valid"), 0) == rule


@pytest.mark.parametrize("check, message", [
    (lambda: checks.integer(True, "n"), "n=True: must be an integer"),
    (lambda: checks.integer(3.0, "n"), "n=3.0: must be an integer"),
    (lambda: checks.integer("3", "n"), "n='3': must be an integer"),
    (lambda: checks.integer(2, "n", 3), "n=2: must be at least 3"),
    (lambda: checks.real(math.nan, "x"), "x=nan: must be finite"),
    (lambda: checks.real(10**400, "x"), "must be finite"),
    (lambda: checks.real("1", "x"), "x='1': must be a real number"),
    (lambda: checks.flag(1, "b"), "b=1: must be True or False"),
    (lambda: checks.choice("c", "w", ("a", "b")), "w='c': must be one of 'a', 'b'"),
    (lambda: checks.choice(["a"], "w", ("a", "b")), "must be one of"),
    (lambda: checks.sizes((1, 2, 3, 4), "n", 1), "one integer, or one per axis of 1 to 3 axes"),
    (lambda: checks.sizes((1, 0), "n", 1), r"n\[1\]=0: must be at least 1"),
    (lambda: checks.padding_rule("full", ("same",), 0), "padding='full': must be an integer, .*, 'same'"),
    (lambda: checks.padding_rule((1, 2, 3), ("same",), 0), r"a flat pair is \(before, after\)"),
    (lambda: checks.padding_rule([[1, 2, 3]], ("same",), 0), "one pair .* per axis"),
    (lambda: checks.padding_rule((1, -1), ("same",), 0), "padding=-1: must be at least 0"),
    (lambda: checks.per_axis((1, 2), 3), "has 2 values, the network has 3 axes"),
    (lambda: checks.point((1, 2), "unit", 1), "must have 1 values, one per axis"),
    (lambda: checks.image_shape(0, 2), "image=0: must be at least 1"),
    (lambda: checks.image_shape((5, 5), 3), "image=.* must have 3 values"),
])
def test_values_are_refused_by_name(check: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check()
