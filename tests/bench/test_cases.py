"""Rows of theory beside sampling: right theories are within, wrong ones are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.bench import cases


def test_sampled_std_on_one_axis_is_that_of_measure() -> None:
    sampled = em.measure(em.repeat(em.Conv(3), 5), image=15, draws=20, rng=0, ndim=1)
    std, error = cases._sampled_std(sampled)
    assert_close([std, error], [sampled.std[0], sampled.std_stderr[0]], ROUNDING)


def test_marginal_takes_both_axes_together() -> None:
    values = np.array([[1.0, 0.0], [2.0, 1.0]])
    assert_close(cases._line(values), [4 / 8, 4 / 8], EXACT)
    assert cases._variation(np.array([0.5, 0.5]), np.array([0.25, 0.75])) == 0.25


SMALL = cases.Case("small", lambda width: em.repeat(em.Conv(3, width), 6), 15, 400)


def test_row_of_a_right_theory_is_within() -> None:
    assert cases.row(SMALL)[-1] == "yes"


def test_row_of_another_network_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    right = cases.predict
    monkeypatch.setattr(cases, "predict", lambda net, **about: right(em.repeat(em.Conv(3), 7), **about))
    assert cases.row(SMALL)[-1] == "no"


def test_row_of_a_refused_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(net: em.Network, **about: object) -> None:
        raise NotImplementedError("add1: no rule")
    monkeypatch.setattr(cases, "predict", refuse)
    found = cases.row(replace(SMALL, draws=8))
    assert len(found) == len(cases.HEADER) and found[4] == "refused" and found[-1] == "no"


def test_row_noise_is_the_variation_of_a_right_theory(monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(SMALL, draws=100)
    found = []
    for seed in range(16):  # of both a single value varies by half of itself; their means by an eighth
        monkeypatch.setattr(cases, "SEED", seed)
        found.append([float(cell) for cell in cases.row(few)[8:10]])
    variation, noise = np.mean(found, axis=0)
    assert noise / 2 < variation < 2 * noise
