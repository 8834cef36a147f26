"""Upsampling as a layer of a run."""

from __future__ import annotations

import numpy as np
import pytest
from differences import Case, check_input_gradient, check_windows
from helpers import EXACT, assert_close

import erfmath as em
from erfmath.empirics.boxes import compile_network

C = em.Conv

CASES: dict[str, Case] = {
    "both": (em.serial(C(3), em.Upsample(2), C(3), em.Upsample(3, mode="bilinear"), C(3),
                       em.Upsample((2, 1), mode="bilinear"), em.AvgPool(3)), (4, 3)),
    "1d": (em.serial(em.Upsample(3, "bilinear"), C(3, stride=2), em.Upsample(2)), (7,)),
    "3d": (em.serial(em.Upsample((2, 1, 3), "bilinear"), C(3, stride=2), em.Upsample(2)), (3, 4, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_run_on_windows(name: str) -> None:
    check_windows(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_run_and_its_input_gradient(name: str) -> None:
    check_input_gradient(CASES[name])


@pytest.mark.parametrize("mode, expected", [("bilinear", [0, 1, 3, 4]), ("nearest", [0, 0, 4, 4])])
def test_matrix_by_hand(mode: str, expected: list[float]) -> None:
    program = compile_network(em.serial(em.Upsample(2, mode)), 1, image=(2,))  # type: ignore[arg-type]
    assert_close(program.steps[0].forward.matrices[0] @ [0.0, 4.0], np.array(expected, float), EXACT)
