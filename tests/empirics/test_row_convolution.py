"""Convolutions on rows beside the general ones, and by hand."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

from erfmath.empirics import row_convolution as rows
from erfmath.empirics.arrays import channels_last, per_channel, place
from erfmath.empirics.convolution import conv, conv_input_grad, conv_weight_grad
from erfmath.empirics.row_convolution import Rows, fits_rows
from erfmath.layers.geometry import Box


class Case(NamedTuple):
    """Sites, kernel, dilation, stride, (before, after) that is padded per axis, and channels in, out, groups."""

    space: tuple[int, ...]
    kernel: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    stride: tuple[int, ...]
    c_in: int = 3
    c_out: int = 2
    groups: int = 1


CASES = {
    "half": Case((5, 6), (3, 3), ((1, 1), (1, 1)), (1, 1), (1, 1)),
    "not padded": Case((5, 6), (3, 2), ((0, 0), (0, 0)), (1, 1), (1, 1)),
    "cropped": Case((7, 6), (3, 3), ((-1, 1), (2, -2)), (1, 1), (1, 1)),
    "wider than half": Case((4, 5), (2, 3), ((3, 4), (2, 3)), (1, 1), (1, 1)),
    "all before": Case((6,), (3,), ((2, 0),), (1,), (1,)),
    "all after": Case((4, 5), (3, 2), ((0, 2), (0, 1)), (1, 1), (1, 1)),
    "dilated": Case((7, 6), (3, 3), ((2, 2), (1, 1)), (2, 1), (1, 1)),
    "dilated along lines": Case((7, 6), (3, 3), ((1, 1), (2, 2)), (1, 2), (1, 1)),
    "wider than the map": Case((3, 2), (5, 5), ((2, 2), (2, 2)), (1, 1), (1, 1)),
    "stride": Case((7, 6), (3, 3), ((1, 1), (1, 1)), (1, 1), (2, 2)),
    "stride and dilation": Case((9, 7), (2, 3), ((1, 0), (2, 2)), (3, 2), (2, 3)),
    "stride past the kernel": Case((7, 8), (1, 2), ((0, 0), (0, 1)), (1, 1), (2, 3)),
    "mixed strides": Case((4, 3, 5), (1, 3, 2), ((0, 0), (1, 1), (0, 1)), (1, 1, 1), (2, 1, 3)),
    "depthwise": Case((4, 5), (3, 3), ((1, 1), (1, 1)), (1, 1), (1, 1), 3, 3, 3),
    "depthwise, stride": Case((7, 5), (3, 2), ((1, 1), (1, 0)), (1, 1), (2, 1), 3, 3, 3),
    "one channel": Case((6, 5), (3, 3), ((1, 1), (1, 1)), (1, 1), (1, 1), 1, 1),
    "from one channel": Case((6, 5), (3, 3), ((1, 1), (1, 1)), (1, 1), (2, 1), 1, 4),
    "to one channel": Case((6, 5), (3, 3), ((1, 1), (1, 1)), (1, 1), (1, 2), 4, 1),
    "3d": Case((3, 4, 2), (3, 1, 3), ((1, 1), (0, 0), (1, 1)), (1, 1, 1), (1, 1, 1)),
    "one site": Case((1, 1), (3, 3), ((1, 1), (1, 1)), (1, 1), (1, 1)),
    "a matrix": Case((4, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)),
}


def laid_out(x: Any, last: bool) -> Any:
    """The same numbers with channels last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if last else x


@pytest.mark.parametrize("tile", [1, 4, 31, None])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rows_are_the_general_way(case: Case, tile: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if tile is not None:  # one image takes several tiles, or several images one
        for name, value in (("SMALL", 1), ("LEAST", tile), ("MOST", tile), ("APART", tile * case.c_out),
                            ("ROOM", 100)):
            monkeypatch.setattr(rows, name, value)
    rng = np.random.default_rng(0)
    before, geometry = [a for a, _ in case.pads], (case.stride, case.dilation, case.groups)
    x = rng.standard_normal((1, case.c_in, 5, *case.space))
    w = rng.standard_normal((1, case.c_out, case.c_in // case.groups, *case.kernel))
    bias = rng.standard_normal((1, case.c_out))
    image, read = Box((0,) * len(case.space), tuple(n - 1 for n in case.space)), Box(
        tuple(-a for a, _ in case.pads), tuple(n - 1 + b for n, (_, b) in zip(case.space, case.pads)))
    wide = place(x, image, read)
    y = conv(wide, w, *geometry)
    dy = rng.standard_normal(y.shape)
    dw = conv_weight_grad(wide, dy, case.kernel, *geometry)
    dx = place(conv_input_grad(dy, w, wide.shape[3:], *geometry), read, image)
    for last in (False, True):
        done = Rows(laid_out(x, last), w, y.shape[3:], case.stride, case.dilation, before, case.groups)
        assert_close(done.conv(), y, ROUNDING, scale=1.0)
        assert_close(done.conv(bias), y + per_channel(bias, y), ROUNDING, scale=1.0)
        to_w, to_x = done.gradients(laid_out(dy, last), True)
        assert_close(to_w, dw, ROUNDING, scale=1.0)
        assert_close(to_x, dx, ROUNDING, scale=1.0)
        alone, nothing = done.gradients(dy, False)
        assert nothing is None
        assert_close(alone, to_w, EXACT)
        assert to_w.flags.c_contiguous  # optimisers and checkpoints keep one order


def test_rows_by_hand() -> None:
    x = np.arange(1.0, 5.0).reshape(1, 1, 1, 4)
    w = np.array([[[[1.0, 10.0, 100.0]]]])
    done = Rows(x, w, (4,), (1,), (1,), (1,), 1)
    assert done.conv(np.array([[1000.0]])).ravel().tolist() == [1210.0, 1321.0, 1432.0, 1043.0]
    to_w, to_x = done.gradients(np.array([[[[1.0, 0.0, 0.0, 2.0]]]]), True)
    assert to_w.ravel().tolist() == [6.0, 9.0, 2.0]
    assert to_x is not None and to_x.ravel().tolist() == [10.0, 100.0, 2.0, 20.0]


def test_rows_stay_in_single_precision() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 3, 2, 6, 6), np.float32), rng.standard_normal((1, 4, 3, 3, 3), np.float32)
    done = Rows(x, w, (6, 6), (1, 1), (1, 1), (1, 1), 1)
    y = done.conv(np.zeros((1, 4), np.float32))
    to_w, to_x = done.gradients(y, True)
    assert to_x is not None and {y.dtype, to_w.dtype, to_x.dtype} == {np.dtype(np.float32)}
    assert channels_last(y) and channels_last(to_x)


def test_rows_of_no_images() -> None:
    done = Rows(np.zeros((1, 3, 0, 4, 4)), np.ones((1, 2, 3, 3, 3)), (4, 4), (1, 1), (1, 1), (1, 1), 1)
    y = done.conv()
    to_w, to_x = done.gradients(y, True)
    assert y.shape == (1, 2, 0, 4, 4) and to_x is not None and to_x.shape == (1, 3, 0, 4, 4)
    assert_close(to_w, np.zeros((1, 2, 3, 3, 3)), EXACT)


@pytest.mark.parametrize("x, w, groups, expected", [
    ((1, 4), (1, 6, 4), 1, True), ((1, 4), (1, 4, 1), 4, True), ((1, 4), (1, 6, 2), 2, False),
    ((1, 4), (1, 8, 1), 4, False), ((2, 4), (1, 6, 4), 1, False), ((1, 4), (2, 6, 4), 1, False),
])
def test_fits_rows(x: tuple[int, ...], w: tuple[int, ...], groups: int, expected: bool) -> None:
    assert fits_rows(np.zeros((*x, 1, 5)), np.zeros((*w, 3)), groups) is expected
