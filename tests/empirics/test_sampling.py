"""Numbers of one draw: seeds, normal numbers, images in turn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ensembles import same
from helpers import EXACT, STATISTICAL, assert_close, assert_statistical
from scipy.stats import kstest

import erfmath as em
from erfmath.empirics.sampling import BLOCK, Recipe, fill_normal, generator, seed_entropy

C, A = em.Conv, em.Activation


def test_measure_seeds(small_chunks: None) -> None:
    net = em.serial(C(3), A("relu"), em.Dropout(0.2), C(3))
    first = em.measure(net, draws=10, rng=5)
    same(em.measure(net, draws=10, rng=5), first)
    same(em.measure(net, draws=10, rng=first.seed), first)
    assert not np.array_equal(em.measure(net, draws=10, rng=6).map, first.map)
    assert not np.array_equal(em.measure(net, draws=10).map, em.measure(net, draws=10).map)
    generators = [em.measure(net, draws=10, rng=np.random.default_rng(1)) for _ in range(2)]
    same(*generators)


@pytest.mark.parametrize("size", [5, BLOCK // 4 + 1, 2 * BLOCK + 3])
def test_fill_normal(size: int) -> None:
    """Their law, also that of neighbours in a pair, and that none is left out."""
    rng = np.random.default_rng(0)
    x = np.full((400_000 // size + 1, size), np.nan, np.float32)
    for row in x:
        fill_normal(rng, row)
    x = x.astype(float)
    flat = x.ravel()
    moments = [(flat**p).mean() for p in (1, 2, 3, 4)]
    errors = np.sqrt(np.array([1, 2, 15, 96]) / flat.size)  # E[x^2p] - E[x^p]^2
    assert_statistical(moments, errors, [0, 1, 0, 3])
    assert kstest(flat, "norm").pvalue > STATISTICAL
    half = (min(size, BLOCK) + 1) // 2
    for power in (1, 2):  # the two of a pair, and neighbours
        y = (x**power - x.__pow__(power).mean()) / (x**power).std()
        for a, b in ((y[:, 0], y[:, half if half < size else 1]), (y[:, :-1].ravel(), y[:, 1:].ravel())):
            assert_statistical((a * b).mean(), 1 / math.sqrt(a.size), 0)


def test_recipe_takes_images_in_turn() -> None:
    """Draw i of two images each starts at image 2 i, wherever its chunk begins, and after the last comes the first."""
    images = np.arange(5.0).reshape(1, 5, 1)
    recipe = Recipe({}, {}, (1, 2, 1), 1, "float64", 0, images)
    for start in range(3):
        batch = recipe.batch(start, [generator(0, start), generator(0, start + 1)])
        assert_close(batch.ravel(), np.arange(2 * start, 2 * start + 4) % 5, EXACT)


def test_seeds_from_generators_are_all_different() -> None:
    one = np.random.default_rng(0)
    seeds = {tuple(seed_entropy(rng)) for rng in [one, one, *map(np.random.default_rng, range(1, 60))]}
    assert len(seeds) == 61 and max(map(max, seeds)) > 2**31
