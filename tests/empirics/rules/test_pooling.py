"""Pools as layers of a run, and their operations by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differences import Case, check_adjoint, check_input_gradient, check_windows
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.empirics.arrays import place
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.rules.pooling import along_axes, bin_max, bin_max_grad, max_pool, max_pool_grad, max_pool_winner
from erfmath.layers.geometry import Box

C, A = em.Conv, em.Activation

CASES: dict[str, Case] = {
    "pools": (em.serial(C(3), em.MaxPool(2), C(3), em.AvgPool(3, 2, 1), em.AvgPool(3, 2, "same"),
                        em.AvgPool(2, 1, 1, count_include_pad=False)), (21, 18)),
    "blurs": (em.serial(C(3), em.BlurPool(), A("relu"), C(3), em.BlurPool((4, 2), 1, (1, 1)),
                        em.BlurPool((2, 3), 2, "same")), (13, 12)),
    "the whole": (em.serial(C(3), A("softplus"), em.GlobalAvgPool(), C(1), A("sigmoid")), (5, 4)),
    "part of a window": (em.serial(C(3), em.MaxPool(3, 2, ceil_mode=True), C(3), em.AvgPool(3, 2, 1, ceil_mode=True),
                                   em.AvgPool(2, 2, ceil_mode=True, count_include_pad=False)), (14, 16)),
    "dilated": (em.serial(C(3), em.MaxPool(3, 1, 1, dilation=2), C(3), em.MaxPool(2, 2, 1, (2, 3), True)), (9, 10)),
    "bins": (em.serial(C(3), em.AdaptiveAvgPool((4, 3)), C(3), em.Upsample(2), em.AdaptiveMaxPool((3, 5)), C(1)),
             (7, 5)),
    "more bins than sites": (em.serial(C(3), em.AdaptiveMaxPool(5), C(3), em.AdaptiveAvgPool((7, 4))), (3, 4)),
    "one bin": (em.serial(C(3), em.AdaptiveMaxPool(1), C(1)), (5, 4)),
    "1d": (em.serial(em.MaxPool(3, 2, 1), C(3), em.AvgPool(2), em.BlurPool(), em.AdaptiveMaxPool(2)), (17,)),
    "3d": (em.serial(C(3), em.AdaptiveAvgPool((4, 3, 2)), em.MaxPool(3, 2, 1, ceil_mode=True),
                     em.AvgPool((1, 2, 1), 1), em.BlurPool(2, 1, (1, 0))), (4, 5, 4)),
}
every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_run_on_windows(name: str) -> None:
    check_windows(CASES[name])


@every_case
def test_run_and_its_input_gradient(name: str) -> None:
    check_input_gradient(CASES[name])


@pytest.mark.parametrize("kernel, stride, dilation", [
    ((2, 2), (2, 2), (1, 1)), ((3, 3), (2, 2), (1, 1)), ((3, 1), (1, 2), (2, 3)), ((2, 3), (4, 4), (4, 1)),
])
def test_max_pool_by_hand(kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> None:
    rng, geometry = np.random.default_rng(1), (kernel, stride, dilation)
    x = rng.permutation(2 * 3 * 81).reshape(2, 3, 1, 9, 9).astype(float)  # no ties, all integers
    y = max_pool(x, *geometry)
    winner = max_pool_winner(x, y, *geometry)
    for site in np.ndindex(*y.shape[3:]):
        window = tuple(slice(s * i, s * i + d * k, d) for s, i, k, d in zip(stride, site, kernel, dilation))
        assert_close(y[(..., *site)], x[(..., *window)].max(axis=(3, 4)), EXACT)
    # Half an integer step changes no winner, so that the difference quotient is exact.
    u, v = rng.choice([-0.25, 0.25], x.shape), rng.integers(-8, 9, y.shape).astype(float)
    quotient = max_pool(x + u, *geometry) - max_pool(x - u, *geometry)
    assert (v * quotient).sum() == (max_pool_grad(v, winner, (9, 9), *geometry) * 2 * u).sum()


def test_max_pool_takes_the_first_of_equals_and_never_the_border() -> None:
    x = np.full((1, 1, 1, 4), -3.0)
    padded = place(x, Box((0,), (3,)), Box((-1,), (4,)), -np.inf)
    y = max_pool(padded, (3,), (1,), (1,))
    winner = max_pool_winner(padded, y, (3,), (1,), (1,))
    assert_close(y, x, EXACT)
    assert winner.ravel().tolist() == [1, 0, 0, 0]


def matrix(layer: Any, n: int | None, unit: int | None = None) -> Any:
    """Of a layer along the axis of an image, or on the plane for one unit."""
    program = compile_network(em.serial(layer), 1, image=None if n is None else (n,),
                              unit=None if unit is None else (unit,))
    return program.steps[0].backward.matrices[0]


MATRICES: dict[str, Any] = {
    "average": matrix(em.AvgPool(3, 2, 0), 9),
    "average inside": matrix(em.AvgPool(3, 2, 1, count_include_pad=False), 9),
    "average same": matrix(em.AvgPool(3, 2, "same"), 9),
    "average ceil": matrix(em.AvgPool(3, 2, ceil_mode=True), 8),
    "bins": matrix(em.AdaptiveAvgPool(4), 9),
    "bins of one site": matrix(em.AdaptiveAvgPool(7), 3),
    "blur": matrix(em.BlurPool(4, 2, 0), 9),
    "nearest": matrix(em.Upsample(3), 4),
    "cubic": matrix(em.Upsample(size=7, mode="bicubic"), 4),
    "bilinear": matrix(em.Upsample(3, "bilinear"), 4),
    "bilinear on the plane": matrix(em.Upsample(2, "bilinear"), None, -3),
    "global": matrix(em.GlobalAvgPool(), 6),
}


@pytest.mark.parametrize("name", MATRICES)
def test_along_axes_averages_and_has_its_adjoint(name: str) -> None:
    rows = MATRICES[name]
    n = rows.shape[1]
    rng = np.random.default_rng(2)
    assert_close(rows.sum(axis=1), np.ones(len(rows)), ROUNDING)
    for axis in range(3):
        matrices = [rows if a == axis else None for a in range(3)]
        x = rng.standard_normal((2, 2, 1, *(n if a == axis else 2 for a in range(3))))
        y = along_axes(x, matrices)
        assert_close(y, np.moveaxis(np.tensordot(rows, x, (1, axis + 3)), 0, axis + 3), ROUNDING, scale=1.0)
        back = [rows.T if a == axis else None for a in range(3)]
        check_adjoint(lambda u: along_axes(u, matrices), lambda v: along_axes(v, back), x, rng.standard_normal(y.shape))


def test_bin_max_by_hand() -> None:
    x = np.array([[1.0, 5, 5, 0, 2]])
    bins = matrix(em.AdaptiveMaxPool(2), 5)
    y, winners = bin_max(x, [bins])
    assert y.tolist() == [[5, 5]] and winners[0].tolist() == [[1, 2]]  # of equals the first; bins share site 2
    assert bin_max_grad(np.array([[1.0, 10.0]]), winners, (5,)).tolist() == [[0, 1, 10, 0, 0]]


def test_matrix_by_hand() -> None:
    tail = matrix(em.AvgPool(3, 2, 1, ceil_mode=True), 4)[-1]
    assert_close(tail, [0, 0, 0, 0.5], EXACT)  # sites 3 and 4, the padding; what is beyond does not count
    ones = np.ones(3)
    assert_close(matrix(em.AvgPool(2, 2, (1, 0)), 3) @ ones, [0.5, 1.0], EXACT)
    assert_close(matrix(em.AvgPool(2, 2, (1, 0), count_include_pad=False), 3) @ ones, [1.0, 1.0], EXACT)
    assert_close(matrix(em.BlurPool(3, 1, 1), 3), np.array([[2, 1, 0], [1, 2, 1], [0, 1, 2]]) / 4, EXACT)
