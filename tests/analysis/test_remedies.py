"""Remedies against networks changed by hand."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import EXACT, FFT, assert_close
from remedied import Conv, field, found, residual, small

import erfmath as em
from erfmath.analysis.gridding import checkerboard, holes


@pytest.mark.parametrize("name", ("small", "residual"))
def test_every_row_is_what_predict_finds(name: str) -> None:
    every = found(name)
    now = every.now
    assert_close(now.erf.map, field({"small": small, "residual": residual}[name]()), EXACT)
    assert {remedy.kind for remedy in every.changes} >= {"dilation", "kernel", "initialisation", "depth"}
    for remedy in every.changes:
        erf, price = em.predict(remedy.net, image=24), em.costs(remedy.net, 24)
        assert (remedy.size, remedy.std) == (erf.size("std"),) * 2
        assert remedy.gain == remedy.size / now.size - 1
        assert (remedy.multiply_adds, remedy.parameters) == (price.total_multiply_adds, price.total_parameters)
        assert remedy.cost == remedy.multiply_adds / now.multiply_adds - 1
        assert remedy.trf == erf.trf.size[0]
        assert remedy.net.shapes(24)[remedy.net.output] == now.net.shapes(24)[now.net.output]
        assert (remedy.holes, remedy.checkerboard) == (holes(remedy.net, image=24), checkerboard(erf))
        strength, before = (em.shapes.periodicity(e, [remedy.period])[remedy.period].joint for e in (erf, now.erf))
        assert_close(remedy.pattern, strength - before, FFT, scale=1)
        assert remedy.gridding == (remedy.holes > now.holes or remedy.pattern > 0.05)


def test_order_is_by_gain_per_cost_and_grids_come_last() -> None:
    rows = [(remedy.gridding, -remedy.value) for remedy in found("small").changes]
    assert rows == sorted(rows)
    free = [remedy for remedy in found("small").changes if remedy.cost == 0 and remedy.gain > 0]
    assert free and all(remedy.value == float("inf") for remedy in free)


def test_grids_are_flagged() -> None:
    """Twice the dilation everywhere leaves three of four pixels out; corners alone reach one parity class."""
    rows = {remedy.what: remedy for remedy in em.remedies(em.zoo.plain(8), image=40).changes}
    every = rows["double the dilation of all at stride 1"]
    assert every.gridding and round(every.holes, 2) == round(1 - 17**2 / 33**2, 2)
    corner = rows["all variance on the corners of all kernels"]
    assert corner.gridding and corner.holes == 0 and corner.checkerboard > 0.99 and corner.period == 2
    assert not rows["half of the variance on the rim of all kernels"].gridding
    text = str(em.remedies(em.zoo.plain(8), image=40))
    assert "holes 73%" in text and "grid of 2 px" in text


def test_a_network_of_ones_own() -> None:
    """From JSON, at an inner node and a corner unit, by another size, a few kinds of changes only."""
    net = em.Network.from_dict(em.zoo.cifar_resnet(8).to_dict())
    node = net.names[len(net) // 2]
    done: list[tuple[int, int]] = []
    every = em.remedies(net, 0, image=16, node=node, kind="mass", kinds=("dilation", "skip"),
                        progress=lambda i, n: done.append((i, n)))
    assert {remedy.kind for remedy in every.changes} <= {"dilation", "skip"} and every.changes
    assert every.now.erf.unit == (0, 0) and every.now.net.output == node and done[-1][0] == done[-1][1]
    assert every.now.size == em.predict(net, image=16, unit=0, node=node).size("mass")


def test_on_the_plane() -> None:
    every = em.remedies(small())
    assert every.now.erf.image is None
    assert_close(every.now.multiply_adds, em.costs(small(), 32).total_multiply_adds, EXACT)


def test_what_the_theory_refuses_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(net: em.Network, **options: Any) -> Any:
        if any(getattr(node.layer, "dilation", 1) == 2 for node in net.nodes):
            raise NotImplementedError("no rule")
        return em.predict(net, **options)

    whole = found("small")  # kept for other tests, so without what is refused here
    monkeypatch.setattr("erfmath.analysis.remedies.predict", refuse)
    every = em.remedies(small(), image=24)
    assert every.refused and all("dilation" in what and why == "no rule" for what, why in every.refused)
    assert "not known: double the dilation of all at stride 1 (no rule)" in str(every)
    assert len(every.refused) + len(every.changes) == len(whole.changes)


@pytest.mark.parametrize("options, words", [
    ({"kind": "width"}, "kind='width'"), ({"kinds": ("paint",)}, "kinds='paint'"), ({"image": 0}, "image=0"),
    ({"unit": 99}, "unit="),
])
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        em.remedies(small(), **{"image": 24, **options})


@pytest.mark.slow
def test_zoo_networks_have_remedies() -> None:
    for name in ("unet", "mobilenet_v2"):
        every = em.remedies(em.zoo.build(name, width=8), image=32, kinds=("dilation", "depth", "skip"))
        assert len(every.changes) > 8 and every.changes[0].gain > 0 and not every.refused


@pytest.mark.parametrize("call", (em.remedies, em.layer_shares))
def test_the_input_is_no_node(call: Any) -> None:
    with pytest.raises(ValueError, match="not its input"):
        call(em.zoo.plain(2), node="input")


def test_remedies_of_a_field_of_one_pixel() -> None:
    """Its size, a std, is 0, and there is no relative gain."""
    every = em.remedies(em.serial(Conv(3)), image=1)
    assert every.now.size == 0 and all(remedy.gain == 0 for remedy in every.changes)
