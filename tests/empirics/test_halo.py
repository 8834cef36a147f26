"""The fast paths of training beside the plain ones: convolutions that keep the size, scaled batch norm."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

from erfmath.empirics import ops
from erfmath.empirics.convolution import (Halo, conv, conv_input_grad, conv_same, conv_same_weight_grad,
                                          conv_weight_grad, mirrored)
from helpers import ROUNDING, assert_close


class Case(NamedTuple):
    """Sites, kernel, dilation, zeros before the first site per axis, and channels in, out, groups."""

    space: tuple[int, ...]
    kernel: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    c_in: int = 3
    c_out: int = 2
    groups: int = 1


CASES = {
    "half": Case((5, 6), (3, 3), (1, 1), (1, 1)),
    "uneven padding": Case((5, 4), (2, 4), (1, 1), (1, 2)),
    "all before": Case((6,), (3,), (1,), (2,)),
    "all behind": Case((4, 5), (3, 2), (1, 1), (0, 0)),
    "dilated": Case((7, 6), (3, 3), (2, 1), (2, 1)),
    "wider than the map": Case((3, 2), (5, 5), (1, 1), (2, 2)),
    "grouped": Case((4, 5), (3, 3), (1, 1), (1, 1), 4, 6, 2),
    "depthwise": Case((4, 5), (3, 3), (1, 1), (1, 1), 3, 3, 3),
    "3d": Case((3, 4, 2), (3, 1, 3), (1, 1, 1), (1, 0, 1)),
    "one site": Case((1, 1), (3, 3), (1, 1), (1, 1)),
}


@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_same_size_against_padding_first(case: Case, draws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erfmath.empirics.convolution.TILE_SITES", 13)  # several tiles
    rng, one = np.random.default_rng(0), (1,) * len(case.space)
    x = rng.standard_normal((2, case.c_in, 3, *case.space))
    w = rng.standard_normal((draws, case.c_out, case.c_in // case.groups, *case.kernel))
    dy = rng.standard_normal((2, case.c_out, 3, *case.space))
    after = tuple(d * (k - 1) - b for d, k, b in zip(case.dilation, case.kernel, case.before))
    pads = list(zip(case.before, after))
    gaps = [max(pair) for pair in pads]
    wide = ops.fit(x, pads)
    halo, back = Halo.of(x, gaps), Halo.of(dy, gaps)
    assert_close(conv_same(halo, w, case.before, case.dilation, case.groups),
                 conv(wide, w, one, case.dilation, case.groups), ROUNDING, scale=1.0)
    assert_close(conv_same(back, mirrored(w, case.groups), after, case.dilation, case.groups),
                 ops.fit(conv_input_grad(dy, w, wide.shape[3:], one, case.dilation, case.groups),
                         [(-a, -b) for a, b in pads]), ROUNDING, scale=1.0)
    assert_close(conv_same_weight_grad(halo, back, case.kernel, case.before, case.dilation, case.groups),
                 conv_weight_grad(wide, dy, case.kernel, one, case.dilation, case.groups), ROUNDING, scale=1.0)


def test_same_size_by_hand() -> None:
    x = np.arange(1.0, 5.0).reshape(1, 1, 1, 4)
    w = np.array([[[[1.0, 10.0, 100.0]]]])
    assert conv_same(Halo.of(x, [1]), w, [1], [1]).ravel().tolist() == [210.0, 321.0, 432.0, 43.0]


@pytest.mark.parametrize("block", [1, 20, 10**6])
def test_scaled_batch_norm(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "BLOCK", block)
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((2, 3, 4, 5)) + 1 for _ in range(2))
    scale, shift = rng.standard_normal(3), rng.standard_normal(3)
    per_channel: Any = (slice(None), None, None)
    y, mean, variance = ops.scaled_batch_norm(x, scale, shift)
    unit, factor = ops.batch_norm(x)
    assert_close(y, unit * scale[per_channel] + shift[per_channel], ROUNDING, scale=1.0)
    assert_close(mean, x.mean(axis=(2, 3)), ROUNDING)
    assert_close(variance, x.var(axis=(2, 3)), ROUNDING)
    dx, to_scale, to_shift = ops.scaled_batch_norm_grad(dy, x, scale, mean, variance)
    assert_close(dx, ops.batch_norm_grad(dy * scale[per_channel], unit, factor), ROUNDING, scale=1.0)
    assert_close(to_scale, (dy * unit).sum(axis=(2, 3)), ROUNDING, scale=1.0)
    assert_close(to_shift, dy.sum(axis=(2, 3)), ROUNDING, scale=1.0)


def test_cropped_views_are_read_right() -> None:
    """Outputs of convolutions are views into wider arrays."""
    wide = np.random.default_rng(0).standard_normal((1, 2, 3, 6, 6))
    view = wide[..., :5, :5]
    for a, b in itertools.pairwise([ops.scaled_batch_norm(x, np.ones(2), np.zeros(2))[0] for x in (view, view.copy())]):
        assert_close(a, b, ROUNDING, scale=1.0)
    assert_close(Halo.of(view, [1, 1]).flat, Halo.of(view.copy(), [1, 1]).flat, ROUNDING)
