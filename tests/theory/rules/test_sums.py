"""Sums of sums, and functions of some terms of a sum."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import REWRITE, assert_close

import erfmath as em
from erfmath.layers import Add, Conv, Layer, Scale
from erfmath.theory.rules.nodes import Lists, Nodes
from erfmath.theory.rules.sums import PLACE, flattened, with_places

R, S = em.Activation("relu"), em.Activation("softsign")


def lists(layers: list[Layer], sources: list[tuple[int, ...]], last: int = -1) -> Lists:
    return Lists([f"n{i}" for i in range(len(layers))], layers, sources, [(None,)] * (len(layers) + 1),
                 [4] * (len(layers) + 1), last)


def test_factors_between_sums_go_to_the_terms() -> None:
    """-2 (x + 3 (x + a)) + b = -2 x - 6 x - 6 a + b."""
    layers: list[Layer] = [Conv(3), Add(), Scale(3.), Add(), Scale(-2.), Conv(1), Add()]
    made = lists(layers, [(-1,), (-1, 0), (1,), (-1, 2), (3,), (-1,), (4, 5)])
    assert flattened(Nodes(made, frozenset()))
    after, sources = made.layers, made.sources
    assert made.last == -1 and len(after) == len(sources) == len(made.sizes) - 1 == len(made.channels) - 1 == 10
    terms = [(after[j].factor, sources[j][0]) if isinstance(after[j], Scale) else (1.0, j) for j in sources[-1]]
    assert terms == [(-2.0, -1), (-6.0, -1), (-6.0, 0), (1.0, 5)]
    assert not flattened(Nodes(made, frozenset()))


def test_sums_that_others_read_or_that_stay_are_kept() -> None:
    layers: list[Layer] = [Add(), Scale(2.), Add()]
    for sources, steady in (([(-1, -1), (0,), (0, 1)], ()), ([(-1, -1), (0,), (-1, 1)], ("n0",))):
        assert not flattened(Nodes(lists(list(layers), list(sources)), frozenset(steady)))


def test_places_are_read_by_nothing_and_the_source_moves() -> None:
    made = lists([Conv(3), Conv(3), Add(), Conv(1), Add()], [(-1,), (-1,), (0, 1, -1), (2,), (2, 3)], 2)
    with_places(made)
    assert made.last == 3 and made.layers[2] is PLACE and not any(2 in inputs for inputs in made.sources)
    assert made.sources[3:] == [(0, 1, -1), (3,), (3, 4)] and len(made.sizes) == len(made.channels) == 7


@pytest.mark.parametrize("gate", [S, R, em.Activation("tanh")])
@pytest.mark.parametrize("pool", [em.MaxPool(3, 2, 1), R])
def test_functions_among_other_terms(gate: Layer, pool: Layer) -> None:
    """x + f(x) + g(f(x)) is (x + f(x)) + g(f(x)), also where f(x) is read by both and a pool or a gate follows."""
    branch = em.serial(gate, em.Conv(3, 4))
    nested = em.serial(em.Conv(3, 4), em.add(branch, em.add(em.Identity(), gate)), pool, em.Conv(1, 4))
    flat = em.serial(em.Conv(3, 4), em.add(branch, gate, em.Identity()), pool, em.Conv(1, 4))
    one, other = (em.predict(net, channels_in=3) for net in (nested, flat))
    np.testing.assert_allclose(other.map, one.map, rtol=1e-9)
    sampled = em.measure(em.serial(em.Conv(3, 64), em.add(em.serial(gate, em.Conv(3, 64)), gate, em.Identity()), pool,
                                   em.Conv(1, 64)), channels_in=3, draws=400, rng=0)
    assert abs(sampled.total / one.total - 1) < .15  # a tenth is what finite width makes


@pytest.mark.parametrize("factor", [1.55, -0.6])
def test_scaled_sums_of_concatenations(factor: float) -> None:
    """a c + b relu(x) + x, as a sum of three and as b ((a / b) c + relu(x)) + x; x has parts of unlike channels."""
    parts = em.concat(em.MaxPool(3, 1, 1), em.Conv(3, 6), em.Conv(1, 6))
    conv = em.serial(em.Conv(3, 8), em.Conv(1, 14))
    flat = em.serial(em.Conv(1, 2), parts, em.add(em.serial(conv, em.Scale(2.4)), em.serial(R, em.Scale(factor)),
                                                  em.Identity()), R)
    nested = em.serial(em.Conv(1, 2), parts, em.add(em.serial(em.add(em.serial(conv, em.Scale(2.4 / factor)), R),
                                                              em.Scale(factor)), em.Identity()), R)
    one, other = (em.predict(net, channels_in=4) for net in (flat, nested))
    np.testing.assert_allclose(other.map, one.map, rtol=1e-9)


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("low", [em.AvgPool(3, 1, 1), em.BlurPool(3, 1), None])
def test_terms_of_one_filter(low: Layer | None, ndim: int) -> None:
    """a p(f(x)) + b p(x) + x is b p((a / b) f(x) + x) + x."""
    low = low or em.Conv(3, weights=em.Fixed(np.arange(1.0, 3**ndim + 1).reshape((3,) * ndim) / 3**ndim))
    flat = em.add(em.serial(S, low, em.Scale(0.5)), em.serial(low, em.Scale(0.8)), em.Identity())
    nested = em.add(em.serial(em.add(em.serial(S, em.Scale(0.625)), em.Identity()), low, em.Scale(0.8)), em.Identity())
    maps = [em.predict(em.serial(em.Conv(3, 4), net, R, em.Conv(1, 4)), channels_in=3, ndim=ndim).map for net in (
        flat, nested)]
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-9)


def test_terms_that_copies_or_borders_have_in_common() -> None:
    """up(x) + up(relu(x)) + pools is one function of x, then copies of it, however the sum is bracketed."""
    relu, pools = em.Activation("relu"), em.serial(em.MaxPool(3, 1, 1), em.MaxPool(3, 1, 1))
    for layer in (em.Upsample(2), em.Pad(1)):
        stem = em.Conv(2, 4, padding=1), em.MaxPool(2), layer
        flat = em.serial(*stem, em.add(pools, relu, em.Identity()))
        inner = em.serial(*stem, em.add(pools, em.add(em.Identity(), relu)))
        assert_close(*[em.predict(net, image=4, unit=0, ndim=2).map for net in (flat, inner)], REWRITE)
