"""Likely slips are answered with what was meant, and results show themselves in notebooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import erfmath as em

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
    (lambda: em.serial([em.Conv(3), em.Conv(3)]), r"\[2 parts\]: .* given one by one: serial\(\*parts\)"),
    (lambda: em.serial(em.Conv), r"Conv: .* did you mean Conv\(\.\.\.\)\?"),
    (lambda: em.serial("ReLU"), r"'ReLU': .* did you mean Activation\('relu'\)\?"),
    (lambda: em.serial("nothing"), r"'nothing': a part of a network is a Layer or a Network, not str$"),
    (lambda: em.repeat(3, em.Conv(3)), r"3: .* repeat\(part, n\) takes the part first"),
    (lambda: em.measure(NET, seed=0), r"measure\(\) has no argument seed=; did you mean rng=\?"),
    (lambda: em.predict(NET, channels=3), r"predict\(\) has no argument channels=; did you mean width=\?"),
    (lambda: em.predict(NET, 224), "predict.. takes all arguments but the network by keyword, as image=224"),
])
def test_slips(slip: Callable[[], Any], meant: str) -> None:
    with pytest.raises(TypeError, match=meant):
        slip()


def test_hints_leave_signatures_and_words_that_exist_alone() -> None:
    assert [*inspect.signature(em.predict).parameters][:2] == ["net", "image"]
    for function, word in ((em.predict, "nothing"), (em.measure, "nothing")):
        with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
            function(NET, **{word: 1})


@pytest.mark.parametrize("make, held", [
    (lambda: NET, "conv3"),
    (lambda: em.serial(*[em.Conv(3)] * 80), "and 20 more nodes"),
    (lambda: em.serial(em.Conv(3), em.AdaptiveAvgPool(2)), "adaptive_avg_pool1"),
    (lambda: em.costs(NET, 32), "multiply-adds"),
    (lambda: em.coverage(NET, 5), "fraction of the ERF"),
    (lambda: em.tile_halo(NET, 0.01), "halo"),
    (lambda: em.growth(em.zoo.plain, (3, 4, 5)), "TRF"),
    (lambda: em.layer_shares(NET), "conv2"),
    (lambda: em.border_layers(NET, 32), "conv2"),
    (lambda: em.signals(NET), "gradient"),
    (lambda: em.receptive_field(NET), "stride"),
])
def test_notebooks_show_tables(make: Callable[[], Any], held: str) -> None:
    html = make()._repr_html_()
    assert html.startswith(("<table>", "<pre>")) and held in html
