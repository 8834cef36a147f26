"""What the benchmark of `measure` counts: matrix products of a draw, and memory of a chunk."""

from __future__ import annotations

import erfmath as em
from erfmath.bench import measure


def test_products_are_those_of_the_gradient() -> None:
    """Two linear layers: the gradient meets one site, then nine; no values are carried."""
    case = measure._Case("two", em.repeat(em.Conv(3), 2), 5, 4, 3)
    assert case.chain and case.batch == 1
    products = measure._products(measure._plan(case), 2)()
    assert sum(product.shape[1] for product in products) == 2 * (1 + 9)


def test_memory_holds_the_weights() -> None:
    case = measure._Case("two", em.repeat(em.Conv(3), 2), 5, 4, 3)
    peak, weights, largest = measure._memory(measure._plan(case), case)
    assert weights == 4 * 3 * (4 * 4 * 9 + 4 * 3 * 9) and peak >= weights and largest > 0


def test_batch_norms_take_a_batch() -> None:
    case = measure._Case("norm", em.serial(em.Conv(3), em.BatchNorm()), 5, 4, 3)
    assert not case.chain and case.batch == measure.BATCH
