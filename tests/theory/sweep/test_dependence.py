"""Random layers that values have in common, channel by channel."""

from __future__ import annotations

import numpy as np

from erfmath.theory.sweep.dependence import SEVERAL, Dependence, Unfollowed, meet, pulled_through, read_through

HALVES = np.array([[0, 1, -1, -1], [-1, -1, 2, 3]])  # each channel reads one, from one of two halves


def test_meet_where_a_channel_comes_from_the_same_one() -> None:
    assert meet(np.array([0, 1]), np.array([2, 1])) and not meet(np.array([0, 1]), np.array([1, 0]))
    assert not meet(np.array([0, -1]), np.array([-1, 0])) and meet(np.array([SEVERAL, 0]), np.array([5, 1]))
    assert meet(None, np.array([0])) and meet(np.array([0]), np.array([0, 1]))


def test_read_through_and_pulled_through_are_adjoint() -> None:
    """Below a concatenation of halves, and above it."""
    assert read_through(np.array([5, 6, 7, 8]), HALVES).tolist() == [5, 6, 7, 8]
    assert read_through(np.arange(4), np.array([[0, 1], [2, 3]])).tolist() == [SEVERAL, SEVERAL]
    assert read_through(np.arange(4), np.array([[0, -1], [0, 3]])).tolist() == [0, 3]
    assert pulled_through(np.array([5, 6]), np.array([[1, 1]]), 3).tolist() == [-1, SEVERAL, -1]
    assert pulled_through(np.array([5, 5]), np.array([[1, 1]]), 3).tolist() == [-1, 5, -1]


def test_dependence_of_sums_and_parts() -> None:
    one, other = Dependence({3: np.array([0, 1])}), Dependence({3: np.array([2, 3]), 4: None})
    assert not one.meets(other) and not one.shares(other) and other.meets(other) and other.shares(other)
    both = one.joined(other)
    assert both.roots[3].tolist() == [SEVERAL, SEVERAL] and both.roots[4] is None
    assert both.meets(one) and not both.shares(one)
    first = other.through(np.array([[0]]))
    assert first.roots[3].tolist() == [2] and first.roots[4] is None
    assert not Dependence({3: np.array([-1, 1])}).through(np.array([[0]])).roots


def test_sources_whose_channels_are_not_followed() -> None:
    one, other = Unfollowed(0b101), Unfollowed(0b010)
    assert not one.meets(other) and not one.shares(other) and not one.followed
    both = one.joined(other).through(np.array([[0]]))
    assert both.meets(one) and both.shares(other)
