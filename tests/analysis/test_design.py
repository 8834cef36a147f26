"""Designs against all networks of a small choice, built by hand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from helpers import FFT, assert_close

import erfmath as em
from erfmath.analysis.design import Designs, _families
from erfmath.analysis.gridding import checkerboard, holes


def chain(stages: tuple[int, ...], kernel: int, cycle: tuple[int, ...], width: int) -> em.Network:
    parts: list[Any] = []
    for place, count in enumerate(stages):
        for i in range(count):
            last = i == count - 1 and place < len(stages) - 1
            parts += [em.Conv(kernel, width << place, dilation=cycle[i % len(cycle)], stride=1 + last),
                      em.Activation("relu")]
    return em.serial(*parts)


def stack(stages: tuple[int, ...], kernel: int, cycle: tuple[int, ...], width: int) -> em.Network:
    active = [em.BatchNorm(), em.Activation("relu")]
    parts: list[Any] = []
    for place, count in enumerate(stages):
        parts += [em.Conv(kernel, width)] if place == 0 else [*active, em.Conv(kernel, width << place, stride=2)]
        for i in range(count):
            conv = em.Conv(kernel, width << place, dilation=cycle[i % len(cycle)])
            parts.append(em.residual(em.serial(*active, conv, *active, conv)))
    return em.serial(*parts)


def cheapest(kind: str, target: float, what: str, choices: em.Choices, depth: int, image: int) -> dict[Any, Any]:
    """Per kernel, schedule and number of strides the cheapest network that reaches the target, by trying all."""
    best: dict[Any, Any] = {}
    for kernel, cycle, strides in itertools.product(choices.kernel_sizes, choices.dilations, choices.strides):
        for stages in itertools.product(range(depth + 1), repeat=strides + 1):
            layers = sum(stages) if kind == "chain" else sum(1 + 2 * n for n in stages)
            if layers > depth or (kind == "chain" and min(stages) < 1):
                continue
            net = (chain if kind == "chain" else stack)(stages, kernel, tuple(cycle), choices.width)
            if em.predict(net).size(what) < target or em.support(net, ndim=1).density < 1:
                continue
            price = em.costs(net, image)
            row = (price.total_multiply_adds, price.total_parameters, layers, stages)
            key = kernel, tuple(cycle), strides
            best[key] = min(best.get(key, row), row)
    return best


@pytest.mark.parametrize("kind, what, target, depth", [
    pytest.param("chain", "std", 4.0, 5, marks=pytest.mark.slow), ("chain", "mass", 15.0, 4),
    pytest.param("chain", "threshold", 18.0, 4, marks=pytest.mark.slow), ("residual", "std", 3.0, 7),
])
def test_ranking_against_all_networks(kind: str, what: str, target: float, depth: int) -> None:
    choices = em.Choices(kernel_sizes=(3, 5), dilations=((1,), (1, 3), (2,)), strides=(0, 1), kinds=(kind,), width=4)
    found = em.design(target, kind=what, choices=choices, budget=em.Budget(depth=depth), image=30)
    expected = cheapest(kind, target, what, choices, depth, 30)
    named = {(d.kernel_size, d.dilations, len(d.stages) - 1): d for d in found}
    for key, (adds, weights, layers, stages) in expected.items():
        twin = (chain if kind == "chain" else stack)(stages, key[0], key[1], 4)
        if key not in named:  # a schedule too long for its few layers to show: another has the same network
            assert any(d.net == twin for d in found)
            continue
        d = named.pop(key)
        assert (d.multiply_adds, d.parameters, d.depth) == (adds, weights, layers)
    assert not named
    costs = [(d.multiply_adds, d.parameters, d.depth) for d in found]
    assert costs == sorted(costs)


@pytest.mark.parametrize("kind", ("chain", "residual"))
def test_closed_forms_of_all_members(kind: str) -> None:
    """Variance, multiply-adds, parameters and depth of every network of a family, before any is chosen."""
    choices = em.Choices(kernel_sizes=(3,), dilations=((1, 2),), strides=(0, 1, 2), kinds=(kind,), width=4)
    for family in _families(choices, em.Budget(depth=6), 50, 3):
        for row, counts in enumerate(family.stages.tolist()):
            net = (chain if kind == "chain" else stack)(tuple(counts), 3, (1, 2), 4)
            price = em.costs(net, 50)
            assert family.multiply_adds[row] == price.total_multiply_adds
            assert family.parameters[row] == price.total_parameters
            assert_close(family.variance[row], em.predict(net, ndim=1).std[0]**2, FFT, scale=100)


def test_each_design_is_what_it_says() -> None:
    choices = em.Choices(dilations=((1, 2),), strides=(0, 2), width=8)
    for d in em.design(9.0, choices=choices, budget=em.Budget(depth=12), image=64):
        erf, price = em.predict(d.net), em.costs(d.net, 64)
        assert d.size == d.std == erf.size("std") >= 9.0
        assert (d.trf, d.stride) == (erf.trf.size[0], erf.trf.stride[0])
        assert (d.multiply_adds, d.parameters) == (price.total_multiply_adds, price.total_parameters)
        assert d.checkerboard == checkerboard(erf) and holes(d.net) == 0
        assert d.depth <= 12 and em.Network.from_dict(d.net.to_dict()) == d.net


@pytest.mark.slow
def test_budgets_are_kept() -> None:
    choices = em.Choices(kernel_sizes=(3, 5), strides=(1, 2), width=8)
    free = em.design(8.0, choices=choices, budget=em.Budget(depth=12), image=64)
    limit = free[len(free) // 2]
    for budget in (em.Budget(multiply_adds=limit.multiply_adds), em.Budget(parameters=limit.parameters),
                   em.Budget(depth=6)):
        for d in em.design(8.0, choices=choices, budget=budget, image=64):
            assert d.depth <= budget.depth
            assert budget.multiply_adds is None or d.multiply_adds <= budget.multiply_adds
            assert budget.parameters is None or d.parameters <= budget.parameters


def test_what_cannot_be_reached_says_how_far_one_gets() -> None:
    choices = em.Choices(kernel_sizes=(3,), dilations=((1,),), strides=(0,), kinds=("chain",))
    with pytest.raises(ValueError, match=r"nothing within .*depth=6.* has std 2 pixels"):
        em.design(50, choices=choices, budget=em.Budget(depth=6))
    with pytest.raises(ValueError, match="none of these choices, not even the shortest"):
        em.design(50, choices=choices, budget=em.Budget(multiply_adds=1))


@pytest.mark.parametrize("make, words", [
    (lambda: em.design(-1), "target=-1"), (lambda: em.design(5, kind="width"), "kind='width'"),
    (lambda: em.design(5, image=0), "image=0"), (lambda: em.Budget(depth=0), "depth=0"),
    (lambda: em.Budget(multiply_adds=0), "multiply_adds=0"), (lambda: em.Choices(kernel_sizes=(4,)), "odd"),
    (lambda: em.Choices(kernel_sizes=()), "kernel_sizes"), (lambda: em.Choices(kinds=("tree",)), "kinds='tree'"),
    (lambda: em.Choices(strides=(-1,)), "strides=-1"), (lambda: em.Choices(dilations=((0,),)), "dilations=0"),
    (lambda: em.design(5, budget=em.Budget(depth=300)), "fewer strides"),
])
def test_refusals(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_one_number_is_not_a_choice() -> None:
    with pytest.raises(TypeError, match="kernel_sizes=3: must be a sequence"):
        em.Choices(kernel_sizes=3)  # type: ignore[arg-type]


def test_table() -> None:
    found = em.design(8.0, choices=em.Choices(kernel_sizes=(3,), strides=(2,)), image=64)
    assert isinstance(found, Designs) and str(found).count("\n") == len(found) and "1,2,4" in str(found)
