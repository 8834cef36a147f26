"""Laws that every field obeys, on random fields, against sums over single sites."""

from __future__ import annotations

import functools
import itertools
import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

from erfmath.base import errors
from erfmath.base.errors import SizeError
from erfmath.lattice.field import Field, add_on_hull

Site = tuple[int, ...]
every_dimension = pytest.mark.parametrize("ndim", [1, 2, 3])


def random_field(rng: np.random.Generator, ndim: int, kind: str = "int") -> Field:
    shape = rng.integers(1, {1: 9, 2: 6, 3: 4}[ndim], ndim)
    start = tuple(int(s) for s in rng.integers(-6, 7, ndim))
    values: Any = rng.integers(-9, 10, shape)
    if kind == "float":
        values = rng.normal(size=shape)
    if kind == "Fraction":
        values = np.vectorize(lambda v: Fraction(int(v), 7), otypes=[object])(values)
    return Field(values, start)


def sites(field: Field) -> dict[Site, Any]:
    """Values by site, zeros left out."""
    return {tuple(s + i for s, i in zip(field.start, index)): field.values[index]
            for index in np.ndindex(*field.shape) if field.values[index]}


def gathered(pairs: Any) -> dict[Site, Any]:
    total: dict[Site, Any] = defaultdict(int)
    for site, value in pairs:
        total[site] += value
    return {site: value for site, value in total.items() if value}


def three(seed: int, ndim: int, kind: str = "int") -> list[Field]:
    rng = np.random.default_rng([seed, ndim])
    return [random_field(rng, ndim, kind) for _ in range(3)]


# ---------------------------------------------------------------------------------------------
# algebra
# ---------------------------------------------------------------------------------------------

@every_dimension
@pytest.mark.parametrize("kind", ["int", "Fraction"])
@pytest.mark.parametrize("seed", range(8))
def test_field_algebra_is_exact(ndim: int, kind: str, seed: int) -> None:
    f, g, h = three(seed, ndim, kind)
    assert sites(f + g) == gathered(itertools.chain(sites(f).items(), sites(g).items()))
    product = gathered((tuple(map(sum, zip(x, y))), a * b)
                       for (x, a), (y, b) in itertools.product(sites(f).items(), sites(g).items()))
    assert sites(f.convolve(g)) == product
    assert f + g == g + f and (f + g) + h == f + (g + h)
    assert f.convolve(g) == g.convolve(f)
    assert f.convolve(g).convolve(h) == f.convolve(g.convolve(h))
    assert f.convolve(g + h) == f.convolve(g) + f.convolve(h)
    assert 3 * f == f * 3 == f + f + f and f + -1 * f == f * 0
    assert f.convolve(g).start == tuple(map(sum, zip(f.start, g.start)))
    assert f.convolve(g).mass() == f.mass() * g.mass()
    assert (f + g).mass() == f.mass() + g.mass()
    if kind == "Fraction":
        assert all(isinstance(v, Fraction) for v in sites(f.convolve(g)).values())


@every_dimension
def test_field_integers_beyond_the_floats_stay_exact(ndim: int) -> None:
    """Whatever type of integer they come in."""
    for dtype in (object, np.int64, np.uint32):
        power = functools.reduce(Field.convolve, [Field(np.full((3,) * ndim, 10**6, dtype))] * 9)
        assert power.mass() == (3**ndim * 10**6)**9
        assert power.values[(0,) * ndim] == 10**54


@every_dimension
@pytest.mark.parametrize("seed", range(3))
def test_field_floats_agree_to_rounding(ndim: int, seed: int) -> None:
    f, g, h = three(seed, ndim, "float")
    one, other = f.convolve(g).convolve(h), f.convolve(g.convolve(h))
    assert one.allclose(other, *ROUNDING) and one.start == other.start
    shift = Field(np.ones((1,) * ndim), 2)
    assert not one.allclose(other.convolve(shift), *ROUNDING)
    assert not one.allclose(other * (1 + 1e-9), *ROUNDING)


def test_field_small_values_keep_their_digits() -> None:
    """Direct sums: 300 decades of positive values, each to rounding."""
    tail = Field(10.0**-np.arange(0, 150, 10))
    exact = functools.reduce(Field.convolve, [Field([Fraction(v) for v in tail.values])] * 2)
    assert_close(tail.convolve(tail).values / exact.values.astype(float), np.ones(29), ROUNDING)


def test_add_on_hull_carries_leading_axes() -> None:
    a, b = np.ones((2, 3)), np.full((2, 2), 5.0)
    total, start = add_on_hull(a, (0,), b, (4,))
    assert start == (0,)
    assert_close(total, [[1, 1, 1, 0, 5, 5]] * 2, EXACT)
    assert_close(a, np.ones((2, 3)), EXACT)


# ---------------------------------------------------------------------------------------------
# equality
# ---------------------------------------------------------------------------------------------

@every_dimension
@pytest.mark.parametrize("seed", range(5))
def test_field_equality_does_not_see_stored_zeros(ndim: int, seed: int) -> None:
    f = three(seed, ndim)[0]
    wider = f.crop([s - 2 for s in f.start], [s + 1 for s in f.stop])
    assert wider == f and wider.shape == tuple(n + 4 for n in f.shape)
    f.values[(0,) * ndim] += 1
    assert wider != f
    shifted = Field(wider.values, [s + 1 for s in wider.start])
    assert not wider.mass() or shifted != wider


@every_dimension
def test_field_of_nothing_added_or_convolved(ndim: int) -> None:
    nothing, f = Field(np.zeros((0,) * ndim), 3), three(0, ndim)[0]
    assert f + nothing == f and nothing.mass() == 0 and nothing == f * 0
    assert f.convolve(nothing) == nothing.convolve(nothing) == nothing
    assert nothing.upsample(2) == nothing.wrap(2) == nothing.crop(0, 1) == nothing
    assert nothing.allclose(f * 0, *ROUNDING) and not nothing.allclose(f, *ROUNDING)


def test_field_of_another_kind_is_not_equal() -> None:
    assert Field(np.array([1, 2], np.uint8)) == Field([1.0, 2.0])
    assert Field(np.array([True])) + Field(np.array([True])) == Field([2])
    assert Field([1]) != Field([[1]]) and Field([1]) != [1]
    assert Field([0, 0]) == Field([0], start=9) == Field([])
    with pytest.raises(TypeError, match="unhashable"):
        hash(Field([1]))


# ---------------------------------------------------------------------------------------------
# moving and cutting
# ---------------------------------------------------------------------------------------------

@every_dimension
@pytest.mark.parametrize("seed", range(5))
def test_field_upsample_moves_sites(ndim: int, seed: int) -> None:
    f, g, _ = three(seed, ndim)
    for stride in itertools.product((1, 2, 3), repeat=ndim):
        moved = f.upsample(stride)
        assert sites(moved) == {tuple(s * x for s, x in zip(stride, site)): v for site, v in sites(f).items()}
        assert moved.convolve(g.upsample(stride)) == f.convolve(g).upsample(stride)
    assert f.upsample(2).upsample(3) == f.upsample(6) and f.upsample(1) == f


@every_dimension
@pytest.mark.parametrize("seed", range(5))
def test_field_crop_keeps_what_lies_in_the_box(ndim: int, seed: int) -> None:
    f = three(seed, ndim)[0]
    rng = np.random.default_rng(seed)
    for _ in range(20):
        lo = rng.integers(-12, 9, ndim).tolist()
        hi = [a + int(n) for a, n in zip(lo, rng.integers(-2, 10, ndim))]
        cut = f.crop(lo, hi)
        assert cut.shape == tuple(max(b - a + 1, 0) for a, b in zip(lo, hi)) and cut.start == tuple(lo)
        assert sites(cut) == {site: v for site, v in sites(f).items()
                              if all(a <= x <= b for a, x, b in zip(lo, site, hi))}
        assert cut.crop(lo, hi) == cut and cut.values.dtype == f.values.dtype


@every_dimension
@pytest.mark.parametrize("kind", ["int", "Fraction"])
@pytest.mark.parametrize("seed", range(4))
def test_field_wrap_folds_onto_a_torus(ndim: int, kind: str, seed: int) -> None:
    f, g, _ = three(seed, ndim, kind)
    for period in itertools.product((1, 2, 5), repeat=ndim):
        folded = f.wrap(period)
        assert folded.shape == period and folded.start == (0,) * ndim
        assert sites(folded) == gathered((tuple(x % p for x, p in zip(site, period)), v)
                                         for site, v in sites(f).items())
        assert folded.mass() == f.mass()
        both = f.wrap(period).convolve(g.wrap(period)).wrap(period)
        assert both == f.convolve(g).wrap(period)


# ---------------------------------------------------------------------------------------------
# numbers
# ---------------------------------------------------------------------------------------------

@every_dimension
@pytest.mark.parametrize("kind", ["int", "Fraction"])
@pytest.mark.parametrize("seed", range(4))
def test_field_marginals_and_moments(ndim: int, kind: str, seed: int) -> None:
    f, g, _ = three(seed, ndim, kind)
    for count in range(1, ndim + 1):
        for axes in itertools.combinations(range(ndim), count):
            assert sites(f.marginal(*axes)) == gathered((tuple(site[a] for a in axes), v)
                                                        for site, v in sites(f).items())
            assert f.marginal(*axes).start == tuple(f.start[a] for a in axes)
    assert f.marginal(*range(ndim)) == f and f.marginal(-1) == f.marginal(ndim - 1)
    for order in itertools.product(range(4), repeat=ndim):
        moment = sum(v * math.prod(x**p for x, p in zip(site, order)) for site, v in sites(f).items())
        assert f.moment(*order) == moment
    assert f.convolve(g).marginal(0) == f.marginal(0).convolve(g.marginal(0))
    first = [1] + [0] * (ndim - 1)
    assert f.convolve(g).moment(*first) == f.moment(*first) * g.mass() + f.mass() * g.moment(*first)


def test_field_moments_beyond_64_bits_stay_exact() -> None:
    assert Field([1, 1], start=10**6).moment(5) == 10**30 + (10**6 + 1)**5
    f = Field(np.array([Fraction(1, 3), 1], dtype=object), start=10**6)
    assert f.moment(5) == Fraction(10**30, 3) + (10**6 + 1)**5


def test_field_properties() -> None:
    f = Field([[1, 2, 3], [4, 5, 6]], start=(-1, 7))
    assert (f.ndim, f.shape, f.start, f.stop, f.mass()) == (2, (2, 3), (-1, 7), (1, 10), 21)
    assert Field([1, 2], 3).start == (3,) and Field([[1]], 3).start == (3, 3)
    assert repr(f) == "Field([[1, 2, 3], [4, 5, 6]], start=(-1, 7))"


# ---------------------------------------------------------------------------------------------
# refusals
# ---------------------------------------------------------------------------------------------

def test_field_bad_arguments() -> None:
    f = Field([1, 2, 3])
    for bad in (5, np.zeros((1, 1, 1, 1))):
        with pytest.raises(ValueError, match="a field has 1, 2 or 3"):
            Field(bad)
    with pytest.raises(ValueError, match="start=.*: must have 2 values"):
        Field([[1]], start=(1, 2, 3))
    with pytest.raises(ValueError, match="must be an integer"):
        Field([1], start=0.5)  # type: ignore[arg-type]
    for call in (f.__add__, f.convolve):
        with pytest.raises(ValueError, match="1 and 2 dimensions"):
            call(Field([[1]]))
    with pytest.raises(ValueError, match="1 and 2 dimensions"):
        f.allclose(Field([[1]]), *ROUNDING)
    for name, move in (("stride", f.upsample), ("period", f.wrap)):
        with pytest.raises(ValueError, match=f"{name}=0: must be at least 1"):
            move(0)
    with pytest.raises(ValueError, match="lo=.*one per axis"):
        f.crop((0, 0), 1)
    with pytest.raises(ValueError, match="at least one axis"):
        f.marginal()
    with pytest.raises(ValueError, match="order=.*one per axis"):
        f.moment(1, 1)
    with pytest.raises(TypeError):
        f + 1  # type: ignore[operator]
    with pytest.raises(TypeError):
        f * f


def test_field_that_would_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "MEMORY_LIMIT", 1000)
    with pytest.raises(SizeError, match="8016 bytes"):
        Field([1.0, 2.0]).upsample(1001)
    with pytest.raises(SizeError, match="8008 bytes"):
        Field([1.0]).crop(0, 1000)
