"""Every kind of layer has its place on each side, and one without is named.

The sides are asked by their own registries; what a side has to say of each kind is said once, here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from specs import EXAMPLES

import erfmath as em
from erfmath.empirics import rules as measured
from erfmath.layers.base import KINDS, Layer
from erfmath.networks.json import layer_from_dict, layer_to_dict
from erfmath.theory.rules import registry as predicted
from erfmath.trained import kinds as trained


def has_example(kind: type[Layer]) -> bool:
    return any(type(layer) is kind for layer in EXAMPLES)


def is_public(kind: type[Layer]) -> bool:
    return getattr(em, kind.__name__, None) is kind


def goes_through_json(kind: type[Layer]) -> bool:
    return all(type(layer_from_dict(layer_to_dict(layer))) is kind for layer in examples(kind))


def says_its_costs(kind: type[Layer]) -> bool:
    try:
        return all(math.isfinite(layer.parameters(12, 12, ndim) + layer.multiply_adds(12, 12, (8,) * ndim, (8,) * ndim))
                   for layer in examples(kind) for ndim in layer.dimensions())
    except NotImplementedError:
        return False


def has_theory_rule(kind: type[Layer]) -> bool:
    return kind.op in predicted.RULES


def has_measurement_rule(kind: type[Layer]) -> bool:
    return kind.op in measured.RULES


def has_hypotheses(kind: type[Layer]) -> bool:
    return kind.op in trained.KINDS


SIDES = {"an example in tests/specs.py": has_example, "a public name": is_public, "JSON": goes_through_json,
         "costs": says_its_costs, "a theory rule": has_theory_rule, "a measurement rule": has_measurement_rule,
         "gates of given weights": has_hypotheses}

#: Kinds whose rule on a side is still being written: (op, side).
UNFINISHED: set[tuple[str, str]] = set()


def examples(kind: type[Layer]) -> list[Layer]:
    return [layer for layer in EXAMPLES if type(layer) is kind] or [kind()]


def missing() -> set[tuple[str, str]]:
    return {(op, side) for op, kind in KINDS.items() for side, holds in SIDES.items() if not holds(kind)}


def test_every_kind_has_its_place_on_every_side() -> None:
    found = missing()
    assert not found - UNFINISHED, f"missing: {', '.join(f'{op} has not {side}' for op, side in sorted(found))}"
    assert not UNFINISHED - found, f"there is something now: {sorted(UNFINISHED - found)}"


def test_no_side_knows_what_is_no_kind() -> None:
    for rules in (measured.RULES, predicted.RULES):
        assert set(rules) <= set(KINDS), f"rules for no layer: {sorted(set(rules) - set(KINDS))}"


def test_a_new_kind_is_missed_by_name() -> None:
    @dataclass(frozen=True)
    class Novel(Layer):
        op: ClassVar[str] = "novel"
        name: Any = None

    try:
        assert {side for op, side in missing() if op == "novel"} == set(SIDES) - {"JSON"}
        net = em.serial(Novel())
        assert em.Network.from_dict(net.to_dict()) == net, "JSON asks the registry"
        with pytest.raises(NotImplementedError, match="novel: nothing says what it costs"):
            em.costs(net, image=8)
        with pytest.raises(NotImplementedError, match="novel: the theory has no rule"):
            em.predict(net)
    finally:
        del KINDS["novel"]


def test_fields_that_a_rule_does_not_know_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = predicted.rule_of(em.Conv(3))
    monkeypatch.setattr(type(rule), "fields", rule.fields - {"bias"})
    em.predict(em.serial(em.Conv(3)))
    with pytest.raises(NotImplementedError, match="conv1: bias=0.5"):
        em.predict(em.serial(em.Conv(3, bias=0.5)))
