"""Layers between the convolutions of training, whichever order their maps have in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

from erfmath.empirics import ops


def channels_first(x: Any) -> Any:
    return np.ascontiguousarray(x)


def channels_last(x: Any) -> Any:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def cropped(x: Any) -> Any:
    """A view into wider lines."""
    return channels_last(np.concatenate([x, x], axis=-1))[..., :x.shape[-1]]


#: Of numbers about 1000 in single precision: three times its last bit, and of the variance, where that averages out.
LAST_BITS, AVERAGED = 2e-4, 1e-5

LAYOUTS = [channels_first, channels_last, cropped]
Layout = Callable[[Any], Any]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("space", [(5,), (4, 5), (2, 3, 4)])
@pytest.mark.parametrize("block", [1, 40, 10**6])
def test_scaled_batch_norm(block: int, space: tuple[int, ...], layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "BLOCK", block)
    rng = np.random.default_rng(0)
    x, dy = (layout(rng.standard_normal((2, 3, 4, *space)) + 1) for _ in range(2))
    scale, shift = rng.standard_normal(3), rng.standard_normal(3)
    axes, per_channel = tuple(range(2, x.ndim)), (slice(None), *(None,) * (x.ndim - 2))
    y, mean, variance = ops.scaled_batch_norm(x, scale, shift)
    unit, factor = ops.batch_norm(x)
    assert_close(y, unit * scale[per_channel] + shift[per_channel], ROUNDING, scale=1.0)
    assert_close(mean, x.mean(axis=axes), ROUNDING)
    assert_close(variance, x.var(axis=axes), ROUNDING)
    dx, to_scale, to_shift = ops.scaled_batch_norm_grad(dy, x, scale, mean, variance)
    assert_close(dx, ops.batch_norm_grad(dy * scale[per_channel], unit, factor), ROUNDING, scale=1.0)
    assert_close(to_scale, (dy * unit).sum(axis=axes), ROUNDING, scale=1.0)
    assert_close(to_shift, dy.sum(axis=axes), ROUNDING, scale=1.0)


def test_batch_norm_far_from_zero() -> None:
    """Single precision: the mean is taken away before squares are added up."""
    x = channels_last(1000 + np.random.default_rng(0).standard_normal((1, 3, 8, 16, 16))).astype(np.float32)
    y, _, variance = ops.scaled_batch_norm(x, np.ones(3, np.float32), np.zeros(3, np.float32))
    exact = x.astype(np.float64)
    assert abs(variance - exact.var(axis=(2, 3, 4))).max() < AVERAGED
    assert abs(y - ops.batch_norm(exact)[0]).max() < LAST_BITS


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("repeated", [1, 20, 10**6])
def test_numbers_per_channel(layout: Layout, repeated: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "REPEATED", repeated)
    rng = np.random.default_rng(0)
    x = layout(rng.standard_normal((2, 3, 4, 5, 6)))
    for values in (rng.standard_normal(3), rng.standard_normal((2, 3))):
        expected = x + values.reshape(-1, 3, 1, 1, 1)
        assert_close(x + ops.per_channel(values, x), expected, EXACT)
    assert_close(ops.channel_sums(x), x.sum(axis=(2, 3, 4)), ROUNDING, scale=1.0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layers_keep_the_order(layout: Layout) -> None:
    rng = np.random.default_rng(0)
    plain = rng.standard_normal((1, 3, 2, 6, 8))
    x = layout(plain)
    half = [np.kron(np.eye(n // 2), [[0.5, 0.5]]) for n in (6, 8)]

    def pooled(v: Any) -> list[Any]:
        y = ops.max_pool(v, (2, 3), (2, 1))
        winner = ops.max_pool_winner(v, y, (2, 3), (2, 1))
        spread = ops.spread(v, half)
        return [y, winner, ops.max_pool_grad(y, winner, (6, 8), (2, 3), (2, 1)), spread, ops.spread_grad(spread, half),
                ops.spread(v, [None, half[1]]), ops.fit(v, [(1, 0), (0, 2)], -1.0), *ops.activate(v, "relu")]
    for found, expected in zip(pooled(x), pooled(plain)):
        assert_close(found, expected, ROUNDING, scale=1.0)
        assert ops.channels_last(found) == ops.channels_last(x)
