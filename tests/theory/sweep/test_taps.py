"""The adjoint of taps against the sums that define it, site by site, in integers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

from erfmath.base import errors
from erfmath.base.errors import SizeError
from erfmath.layers.geometry import AxisGeometry
from erfmath.theory.sweep import taps as taps_module
from erfmath.theory.sweep.taps import MANY, Taps, adjoint, border_gain, forward

Array = Any
Site = tuple[int, ...]


def read_site(g: AxisGeometry, x: int, a: int, n: int | None) -> int | None:
    """Input site that output site x reads through tap a, by the definition."""
    p = g.padding[0]
    if g.padding == "same":
        span = g.dilation * (g.kernel - 1) + 1
        p = (span - 1) // 2
        if n is not None:
            p = max(g.stride * (len(range(0, n, g.stride)) - 1) + span - n, 0) // 2
    assert isinstance(p, int)
    if not g.transposed:
        return g.stride * x + g.dilation * a - p
    return (x + p - a) // g.stride if (x + p - a) % g.stride == 0 else None


def by_definition(values: Array, start: Site, taps: Taps, sizes: tuple[int | None, ...]
                  ) -> dict[Site, int]:
    """Sums at input sites, zeros left out; sites of other axes keep their coordinate."""
    sums: dict[Site, int] = {}
    for index in np.ndindex(*values.shape):
        for tap in np.ndindex(*taps.weights.shape):
            site: list[Any] = [s + i for s, i in zip(start, index)]
            for axis, g, a in zip(taps.axes, taps.geometry, tap):
                site[axis] = read_site(g, site[axis], a, sizes[axis])
            if None not in site:
                sums[tuple(site)] = sums.get(tuple(site), 0) + taps.weights[tap] * values[index]
    return {site: value for site, value in sums.items() if value}


def as_sites(values: Array, start: Site) -> dict[Site, int]:
    return {tuple(s + i for s, i in zip(start, index)): values[index]
            for index in np.ndindex(*values.shape) if values[index]}


def random_axis(rng: np.random.Generator, transposed: bool) -> AxisGeometry:
    k, s = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    if transposed:
        return AxisGeometry(k, s, 1, (int(rng.integers(-2, 3)), 0), True)
    rule = "same" if rng.random() < .3 else (int(rng.integers(-2, 4)), 0)
    return AxisGeometry(k, s, int(rng.integers(1, 4)), rule)


def random_taps(rng: np.random.Generator, axes: Site) -> Taps:
    geometry = tuple(random_axis(rng, bool(rng.integers(2))) for _ in axes[:1])
    geometry += tuple(random_axis(rng, geometry[0].transposed) for _ in axes[1:])
    return Taps(axes, geometry, rng.integers(-4, 5, [g.kernel for g in geometry]).astype(float))


@pytest.mark.parametrize("ndim, axes", [(1, (0,)), (2, (0,)), (2, (1,)), (2, (0, 1)), (3, (1,)),
                                        (3, (0, 1, 2))])
def test_adjoint_by_definition(ndim: int, axes: Site) -> None:
    rng = np.random.default_rng(ndim)
    for _ in range(25):
        taps = random_taps(rng, axes)
        values = rng.integers(-9, 10, rng.integers(1, 4, ndim)).astype(float)
        start = tuple(int(s) for s in rng.integers(-3, 4, ndim))
        sizes = tuple(None if rng.random() < .5 else int(n) for n in rng.integers(1, 9, ndim))
        below = adjoint(values, start, taps, sizes, lambda tap, part: taps.weights[tap] * part)
        assert as_sites(*below) == by_definition(values, start, taps, sizes), (taps, start, sizes)
        assert as_sites(*adjoint(values, start, taps, sizes)) == as_sites(*below)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_products_of_matrices_are_sums_over_taps(order: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order of values in memory; where there are gaps between them, taps are added."""
    monkeypatch.setattr(taps_module, "LARGE", 0)
    rng, made = np.random.default_rng(3), 0
    for _ in range(25):
        taps = random_taps(rng, (int(rng.integers(2)),))
        values = rng.integers(-9, 10, (3, 4, 5)).astype(float).transpose(order).copy().transpose(np.argsort(order))
        for part in (values, values[:2, 1:, ::2]):
            below, start = adjoint(part, (1, -2), taps, (None, None))
            plain, first = adjoint(part, (1, -2), taps, (None, None), lambda tap, part: taps.weights[tap] * part)
            assert start == first
            assert_close(below, plain, EXACT)
            flat = taps._replace(weights=np.full(taps.weights.shape, 2.0))
            assert_close(adjoint(part, (1, -2), flat, (None, None), flat=True)[0] * 2,
                         adjoint(part, (1, -2), flat, (None, None))[0], EXACT)
        made += not taps.geometry[0].transposed
    assert made > 5


@pytest.mark.parametrize("ndim, axes", [(1, (0,)), (2, (1,)), (2, (0, 1)), (3, (0, 2))])
def test_forward_by_definition(ndim: int, axes: Site) -> None:
    """What each output site reads, sites outside left out; equal weights count as 1."""
    rng, read = np.random.default_rng(ndim), 0
    for turn in range(40):
        taps = random_taps(rng, axes)
        if turn % 2:
            taps = taps._replace(weights=np.full(taps.weights.shape, 3.0))
        values = rng.integers(-9, 10, (2, *rng.integers(1, 9, ndim))).astype(float)
        sizes = values.shape[1:]
        extent = tuple(int(rng.integers(1, 9)) if axis in axes else n for axis, n in enumerate(sizes))
        wanted = np.zeros((2, *extent))
        for x, tap in itertools.product(np.ndindex(*extent), np.ndindex(*taps.weights.shape)):
            site: list[Any] = list(x)
            for axis, g, a in zip(taps.axes, taps.geometry, tap):
                site[axis] = read_site(g, x[axis], a, sizes[axis])
            if all(z is not None and 0 <= z < n for z, n in zip(site, sizes)):
                wanted[(slice(None), *x)] += (1 if taps.flat else taps.weights[tap]) * values[(slice(None), *site)]
                read += 1
        assert_close(forward(values, taps, sizes, extent), wanted, EXACT)
    assert read > 100


def test_adjoint_mixes_the_leading_axes() -> None:
    """weigh may turn three leading entries into two, differently for every tap."""
    rng = np.random.default_rng(1)
    taps = Taps((1,), (AxisGeometry(3, 2, 1, (1, 0)),), np.ones(3))
    matrix, values = rng.integers(-3, 4, (3, 2, 3)), rng.integers(-3, 4, (3, 2, 4))
    below, start = adjoint(values, (0, 5), taps, (None, None),
                           lambda tap, part: np.tensordot(matrix[tap[0]], part, 1))
    assert below.shape == (2, 2, 9) and start == (0, 9)
    expected = np.zeros((2, 2, 9))
    for a, x in itertools.product(range(3), range(4)):
        expected[..., 2 * x + a] += matrix[a] @ values[..., x]
    assert_close(below, expected, EXACT)


@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (1, 3), (3, 2)])
def test_box_sums_are_sums(stride: int, dilation: int) -> None:
    rng = np.random.default_rng(2)
    for k in range(1, 20):
        taps = Taps((1,), (AxisGeometry(k, stride, dilation),), np.full(k, 2.0))
        assert taps.flat
        values = rng.integers(0, 10, (2, 3, 4)).astype(float)
        for flat in (False, True):
            below = adjoint(values[0], (0, -1), taps, (None, None), lambda tap, part: 2 * part, flat)
            assert as_sites(*below) == by_definition(values[0], (0, -1), taps, (None, None))


@pytest.mark.parametrize("stride, dilation", [(1, 1), (3, 2)])
def test_many_uneven_taps_are_no_box(stride: int, dilation: int) -> None:
    taps = Taps((0,), (AxisGeometry(MANY + 4, stride, dilation),), np.arange(1.0, MANY + 5))
    values = np.array([2.0, 0, 5, 7])
    below = adjoint(values, (1,), taps, (None,), lambda tap, part: taps.weights[tap] * part)
    assert as_sites(*below) == by_definition(values, (1,), taps, (None,))


def test_box_sums_of_positive_values_keep_their_digits() -> None:
    """A field over 600 decades: sums by differences would lose the small end."""
    values = 10.0**-np.arange(0, 300, 10)
    taps = Taps((0,), (AxisGeometry(7),), np.ones(7))
    fast, _ = adjoint(values, (0,), taps, (None,), lambda tap, part: part, True)
    assert_close(fast / np.convolve(values, np.ones(7)), np.ones(36), ROUNDING)


@pytest.mark.parametrize("transposed", [False, True])
def test_border_gain_by_definition(transposed: bool) -> None:
    rng = np.random.default_rng(3)
    seen = 0
    for _ in range(60):
        g = random_axis(rng, transposed)
        weights = rng.integers(1, 5, g.kernel).astype(float)
        start, count, n = int(rng.integers(-2, 3)), int(rng.integers(1, 7)), int(rng.integers(1, 8))
        gain = border_gain(Taps((0,), (g,), weights), start, count, n)
        for x in range(start, start + count):
            read = [(read_site(g, x, a, n), w) for a, w in enumerate(weights)]
            total = sum(w for z, w in read if z is not None)
            inside = sum(w for z, w in read if z is not None and 0 <= z < n)
            if gain is None:
                assert inside == total
            else:
                assert gain[x - start] == (total / inside if inside else 0)
                seen += 1
    assert seen > 60
    assert border_gain(Taps((0,), (AxisGeometry(3),), np.ones(3)), -5, 4, None) is None


def test_values_that_would_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "MEMORY_LIMIT", 100)
    taps = Taps((0,), (AxisGeometry(5, 3),), np.arange(5.))
    with pytest.raises(SizeError, match=r"would need 256 bytes"):
        adjoint(np.ones(10), (0,), taps, (None,), lambda tap, part: part)
