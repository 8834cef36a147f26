"""Upsampling as a layer of a run."""

from __future__ import annotations

import numpy as np
import pytest
from differences import Case, check_input_gradient, check_windows
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.empirics.boxes import compile_network

C = em.Conv

CASES: dict[str, Case] = {
    "both": (em.serial(C(3), em.Upsample(2), C(3), em.Upsample(3, mode="bilinear"), C(3),
                       em.Upsample((2, 1), mode="bilinear"), em.AvgPool(3)), (4, 3)),
    "cubic": (em.serial(C(3), em.Upsample(2, "bicubic"), C(3), em.Upsample((1, 3), "bicubic")), (4, 3)),
    "any size": (em.serial(C(3), em.Upsample(size=(7, 4), mode="bilinear"), C(3), em.Upsample(size=(5, 6)), C(3),
                           em.Upsample(size=(8, 3), mode="bicubic")), (4, 5)),
    "corners": (em.serial(C(3), em.Upsample(size=(7, 4), mode="bilinear", align_corners=True), C(3),
                          em.Upsample(2, "bicubic", align_corners=True), C(3),
                          em.Upsample(size=(1, 5), mode="bilinear", align_corners=True)), (4, 5)),
    "1d any size": (em.serial(C(3), em.Upsample(size=11, mode="bicubic"), em.Upsample(size=4, mode="bilinear")), (7,)),
    "1d": (em.serial(em.Upsample(3, "bilinear"), C(3, stride=2), em.Upsample(2)), (7,)),
    "3d": (em.serial(em.Upsample((2, 1, 3), "bilinear"), C(3, stride=2), em.Upsample(2)), (3, 4, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_run_on_windows(name: str) -> None:
    check_windows(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_run_and_its_input_gradient(name: str) -> None:
    check_input_gradient(CASES[name])


@pytest.mark.parametrize("layer, expected", [
    (em.Upsample(2, "bilinear"), [0, 1, 3, 4]), (em.Upsample(2), [0, 0, 4, 4]), (em.Upsample(size=3), [0, 0, 4]),
    (em.Upsample(size=3, mode="bilinear", align_corners=True), [0, 2, 4]), (em.Upsample(size=1, mode="bilinear"), [2]),
    (em.Upsample(size=3, mode="bilinear"), [0, 2, 4]),
    (em.Upsample(2, "bicubic"), [-0.421875, 0.90625, 3.09375, 4.421875]),
])
def test_matrix_by_hand(layer: em.Upsample, expected: list[float]) -> None:
    program = compile_network(em.serial(layer), 1, image=(2,))
    assert_close(program.steps[0].forward.matrices[0] @ [0.0, 4.0], np.array(expected, float), ROUNDING)


@pytest.mark.parametrize("align", [True, False])
def test_matrix_reproduces_lines_inside(align: bool) -> None:
    n, m = 11, 17
    program = compile_network(em.serial(em.Upsample(size=m, mode="bilinear", align_corners=align)), 1, image=(n,))
    x = np.arange(m) * (n - 1) / (m - 1) if align else (np.arange(m) + 0.5) * n / m - 0.5
    y = program.steps[0].forward.matrices[0] @ np.arange(n)
    inside = (x >= 1) & (x <= n - 2)
    assert_close(y[inside], x[inside], ROUNDING, scale=10.0)
