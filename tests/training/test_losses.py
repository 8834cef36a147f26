"""Losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

from erfmath import training


def test_binary_cross_entropy_is_the_softmax_of_two() -> None:
    rng = np.random.default_rng(0)
    z, labels = rng.standard_normal((1, 3, 4, 5)), rng.integers(0, 2, (3, 4, 5))
    one = training.BinaryCrossEntropy()(z, labels)
    two = training.CrossEntropy()(np.concatenate([np.zeros_like(z), z]), labels)
    assert math.isclose(one.loss, two.loss, rel_tol=ROUNDING.rtol)
    assert_close(one.gradient[0], two.gradient[1], ROUNDING)
    assert_close(one.guess, two.guess, EXACT)


def test_losses_of_large_outputs() -> None:
    big = np.array([[[1e4, -1e4]]])
    assert training.BinaryCrossEntropy()(big, np.array([[0, 1]])).loss == 1e4
    assert training.CrossEntropy()(np.concatenate([0 * big, big]), np.array([[0, 1]])).loss == 1e4


@pytest.mark.parametrize("label", [-1, 3])
def test_cross_entropy_refuses_labels_of_no_class(label: int) -> None:
    with pytest.raises(ValueError, match="labels: from .* must be 0 to 2"):
        training.CrossEntropy(ignore=7)(np.zeros((3, 4)), np.array([0, 1, label, 7]))


def test_cross_entropy_checks_its_value() -> None:
    with pytest.raises(ValueError, match="ignore=-1"):
        training.CrossEntropy(-1)


@pytest.mark.parametrize("ignored", [0, 1, 5])
def test_labels_that_do_not_count_leave_the_mean_alone(ignored: int) -> None:
    """The loss of a batch with void labels is that of the batch without them, and so is its gradient."""
    rng = np.random.default_rng(0)
    output, labels = rng.standard_normal((4, 8)), rng.integers(0, 3, 8)
    labels[:ignored] = 3
    loss = training.CrossEntropy(ignore=3)
    whole, rest = loss(output, labels), loss(output[:, ignored:], labels[ignored:])
    assert_close(whole.loss, rest.loss, ROUNDING)
    assert_close(whole.gradient[:, ignored:], rest.gradient, ROUNDING)
    assert not whole.gradient[:, :ignored].any()
