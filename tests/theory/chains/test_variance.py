"""The variance of a chain as a sum over its layers."""

from __future__ import annotations

import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.chains.variance import variance_terms
from erfmath.theory.sweep.plan import Graph


def test_variance_terms_by_hand() -> None:
    """(k^2 - 1) / 12 for equal taps, times the squares of the dilation and of all strides before."""
    net = em.serial(em.Conv((3, 5), stride=(2, 1)), em.AvgPool(2), em.Conv(3, dilation=(1, 3)))
    terms = variance_terms(Graph.of(net, RunSettings.of(net)).ops, 2)
    assert_close(terms, [[8 / 12, 24 / 12], [4 * 3 / 12, 3 / 12], [16 * 8 / 12, 4 * 9 * 8 / 12]], ROUNDING)


@pytest.mark.parametrize("profile", [[1, 2, 5], [3, 0, 1]])
def test_variance_terms_are_those_of_the_field(profile: list[int]) -> None:
    net = em.serial(*[em.Conv((3,), stride=s, weights=em.Random(profile=profile)) for s in (1, 2, 3)])
    terms = variance_terms(Graph.of(net, RunSettings.of(net)).ops, 1)
    assert_close(terms.sum(axis=0), em.predict(net).std**2, ROUNDING)
