"""Channels that are alike."""

from __future__ import annotations

import numpy as np
from helpers import EXACT, ROUNDING, assert_close

from erfmath.theory.sweep import groups


def test_distinct_numbers_columns_as_they_come() -> None:
    assert groups.distinct([[2, 1, 2, 1, 0], [3, 3, 3, 3, 3]]).tolist() == [0, 1, 0, 1, 2]
    assert groups.sizes(groups.distinct([[5, 5, 5]])) == groups.sizes(groups.whole(3)) == (3,)
    assert groups.sizes(np.array([0, 1, 0, 2])) == (2, 1, 1)


def test_owners_are_the_groups_that_are_read() -> None:
    """Channels 0 and 1 read channels 2 and 3 of the input, channel 2 reads nothing."""
    labels, below = np.array([0, 0, 1]), np.array([0, 0, 1, 1])
    assert groups.owners(labels, np.array([[2, 3, -1]]), below).tolist() == [[1, -1]]


def test_spread_over_is_a_share_of_the_inputs() -> None:
    """Two groups of weights, each of which reads three channels of two groups."""
    below = np.array([0, 0, 1, 1, 1, 1])
    assert_close(groups.spread_over(np.array([0, 0, 1, 1]), below, 2), [[2 / 3, 1 / 3], [0, 1]], ROUNDING)


def test_collected_adds_up_by_owner() -> None:
    values = np.arange(8.0).reshape(4, 2)
    assert_close(groups.collected(values, np.array([1, 0, 1, -1]), 2), [[2, 3], [4, 6]], EXACT)
    assert_close(groups.collected(values, np.arange(4), 4), values, EXACT)


def test_of_parts_are_alike_where_mixtures_are() -> None:
    below = np.array([0, 1, 1, 0, 1, 1])
    assert groups.of_parts(below, 3, 6).tolist() == [0, 0, 0, 0, 1, 1]  # mixtures 01, 01, 11
    assert groups.sizes(groups.of_parts(below, 1, 4)) == (4,)
