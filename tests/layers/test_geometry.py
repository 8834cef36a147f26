"""Sizes and paddings of windowed layers against counting."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

import erfmath as em
from erfmath.layers import Layer
from erfmath.layers.geometry import AxisGeometry, window_of_windows


def axis_of(layer: Layer, ndim: int = 1, axis: int = 0) -> AxisGeometry:
    return layer.geometry(ndim)[axis]


def windows(n: int, k: int, s: int, d: int, before: int, after: int) -> int:
    """Number of windows that fit into the padded row, found by trying."""
    row, count = list(range(-before, n + after)), 0
    while s * count + d * (k - 1) < len(row):
        count += 1
    return count


GRID = [(n, k, s, d) for n in range(1, 12) for k in range(1, 6) for s in range(1, 4)
        for d in range(1, 4)]


def test_output_sizes_of_convolutions_and_pools() -> None:
    for n, k, s, d in GRID:
        for before, after in ((0, 0), (0, 1), (2, 0), (k - 1, k - 1)):
            axis = axis_of(em.Conv(k, stride=s, dilation=d, padding=(before, after)))
            count = windows(n, k, s, d, before, after)
            assert max(axis.out(n), 0) == count
            if d == 1 and max(before, after) < k:
                for pool in (em.MaxPool, em.AvgPool):
                    assert max(axis_of(pool(k, s, (before, after))).out(n), 0) == count


def test_output_sizes_of_transposed_convolutions() -> None:
    for n, k, s, _ in GRID:
        for before, after in ((0, 0), (0, -1), (k - 1, 0), (1, 1)):
            written = {s * z + a for z in range(n) for a in range(k)}
            full = max(written) - min(written) + 1
            axis = axis_of(em.ConvTranspose(k, stride=s, padding=(before, after)))
            assert axis.out(n) == full - before - after


def test_half_keeps_the_size_at_stride_one() -> None:
    for n, k, s, d in GRID:
        if d * (k - 1) % 2 == 0:
            axis = axis_of(em.Conv(k, stride=s, dilation=d))
            assert axis.pads(n) == (d * (k - 1) / 2,) * 2
            assert axis.out(n) == len(range(0, n, s))


def test_same_is_tensorflows_rule() -> None:
    """The least padding that gives ceil(n / s) sites, the site left over after."""
    for n, k, s, d in GRID:
        for layer in (em.Conv(k, stride=s, dilation=d, padding="same"),
                      *([em.MaxPool(k, s, "same"), em.AvgPool(k, s, "same")] if d == 1 else [])):
            axis = axis_of(layer)
            before, after = axis.pads(n)
            enough = math.ceil(n / s)
            total = next(t for t in range(d * k) if windows(n, k, s, d, 0, t) >= enough)
            assert (before, after) == (total // 2, (total + 1) // 2)
            assert axis.out(n) == enough
            assert axis.needs_size == (len({axis_of(layer).pads(m) for m in range(1, 60)}) > 1)


def test_same_on_the_plane_is_centred() -> None:
    for k in range(1, 7):
        for s in (1, 2, 3):
            before, after = axis_of(em.Conv(k, stride=s, padding="same")).pads(None)
            assert before == (k - 1) // 2 and before + after == k - 1


def test_same_for_transposed_convolutions() -> None:
    """n s sites: the adjoint of the "same" convolution that leads from n s sites to n."""
    for n, k, s, _ in GRID:
        axis = axis_of(em.ConvTranspose(k, stride=s, padding="same"))
        assert axis.out(n) == n * s
        assert axis.pads(n)[0] == axis_of(em.Conv(k, stride=s, padding="same")).pads(n * s)[0]


@pytest.mark.parametrize("padding, pairs", [
    (0, [(0, 0)] * 2), (2, [(2, 2)] * 2), ((1, 2), [(1, 2)] * 2), ([0, 1], [(0, 1)] * 2),
    ([[1, 2], [0, 3]], [(1, 2), (0, 3)]), ("valid", [(0, 0)] * 2), ("half", [(1, 1), (4, 4)]),
])
def test_padding_rules_per_axis(padding: Any, pairs: list[tuple[int, int]]) -> None:
    layer = em.Conv((3, 5), dilation=(1, 2), padding=padding)
    assert [axis.padding for axis in layer.geometry(2)] == pairs
    if padding not in ("half", "valid"):
        assert [axis.padding for axis in em.Pad(padding).geometry(2)] == pairs


def test_windows_of_windows() -> None:
    """The sites inside the map that two pools in a row read, against one window, for all small ones that have none."""
    def sites(g: AxisGeometry, x: int, n: int) -> set[int]:
        return {z for z in range(x * g.stride - g.pads(n)[0], x * g.stride - g.pads(n)[0] + g.kernel) if 0 <= z < n}

    found = 0
    for k, s, p, j, t, q, n in itertools.product((2, 3), (1, 2, 3), (0, 1), (2, 3), (1, 2), (0, 1), (5, 6, 8)):
        first, second = AxisGeometry(k, s, padding=(p, p)), AxisGeometry(j, t, padding=(q, q))
        m = first.out(n)
        whole = window_of_windows(first, second, n, m)
        if m + 2 * q < j or whole is None:
            continue
        found += 1
        assert whole.out(n) == second.out(m)
        for x in range(second.out(m)):
            assert sites(whole, x, n) == {z for y in sites(second, x, m) for z in sites(first, y, n)}
    assert found > 100
