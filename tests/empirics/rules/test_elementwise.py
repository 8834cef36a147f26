"""Scale, dropout, padding, identity as layers of a run."""

from __future__ import annotations

import numpy as np
import pytest
from differences import Case, check_input_gradient, check_windows
from helpers import EXACT, assert_close

import erfmath as em
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.run import forward

CASES: dict[str, Case] = {
    "all": (em.serial(em.Pad(2), em.Conv(3), em.Scale(-0.5), em.Identity(), em.Pad((-1, 1)), em.Conv(3), em.Pad(-1),
                      em.Dropout(0.5)), (6, 7)),
    "repeating": (em.serial(em.Pad(2, mode="reflect"), em.Conv(3), em.Pad((1, -1), mode="replicate"), em.Conv(3),
                            em.Pad((0, 3), mode="circular")), (6, 5)),
    "1d": (em.serial(em.Pad((2, 0)), em.Conv(3), em.Pad((-1, -2)), em.Scale(3)), (8,)),
    "3d": (em.serial(em.Pad([[1, 0], [0, -1], [-1, 2]]), em.Conv(3), em.Pad(-1)), (4, 5, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_run_on_windows(name: str) -> None:
    check_windows(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_run_and_its_input_gradient(name: str) -> None:
    check_input_gradient(CASES[name])


def test_run_of_dropout_is_inverted_and_drawn_once() -> None:
    program = compile_network(em.serial(em.Dropout(0.75)), 1, image=(1000,))
    run = forward(program, {}, np.ones((2, 1, 1, 1000)), generators=[np.random.default_rng(seed) for seed in (0, 1)])
    assert set(np.unique(run.output)) == {0.0, 4.0}
    assert not np.array_equal(run.output[0], run.output[1])
    assert_close(run.backward(np.ones_like(run.output)), run.output, EXACT)
