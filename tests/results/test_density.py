"""One field in several forms: all that is asked of a density has one answer."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
from fields import ALL_SIZES, ERF, field, random_erf
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.results.density import Dense, Density, Separable


def both(statistic: str, k: int = 4) -> tuple[Any, Any]:
    """One field of a chain, as lines and as a map."""
    weights: Any = em.Random(gain=1.5, profile=[1, 2, 3, 5][:k]) if statistic == "power" else em.Constant()
    net = em.serial(em.Conv(k, padding=1, weights=weights), em.Conv(2, stride=2, padding=(0, 1), weights=weights
                                                                    if statistic == "mean" else em.Random(gain=2)))
    thin = em.predict(net, unit=(3, -1))
    return thin, ERF(thin.map, origin=thin.origin, unit=thin.unit, trf=thin.trf, statistic=statistic)


@pytest.mark.parametrize("statistic", ["power", "mean"])
@pytest.mark.parametrize("k", [3, 4])
def test_separable_and_dense_give_equal_numbers(statistic: str, k: int) -> None:
    thin, dense = both(statistic, k)
    assert thin.density.is_product and not dense.density.is_product and thin.statistic == statistic
    for name in ("map", "share", "amplitude", "total", "std", "covariance", "centroid", "center", "rms_radius"):
        assert_close(getattr(thin, name), getattr(dense, name), ROUNDING, scale=1)
    for axis in range(2):
        assert_close(thin.profile(axis), dense.profile(axis), ROUNDING)
        assert_close(thin.cut(axis), dense.cut(axis), ROUNDING)
    for lo, hi in ((-20, 20), (2, 5), ((4, -3), (6, 0))):
        assert_close(both(statistic, k)[0].crop(lo, hi), dense.crop(lo, hi), ROUNDING)
    for name, size in ALL_SIZES.items():
        assert_close(size(thin), size(dense), ROUNDING)
    assert repr(thin) == repr(dense) and thin.shape == dense.shape


def test_separable_counts_pixels_as_dense_does() -> None:
    """Thresholds at random levels, in 1 to 3 dimensions."""
    rng = np.random.default_rng(8)
    for ndim in (1, 2, 3):
        lines = [rng.random(int(n)) for n in rng.integers(3, 9, ndim)]
        lines = [line / line.sum() for line in lines]
        dense = field(math.prod(np.ix_(*lines)), (-1,) * ndim)
        thin = ERF.of(Separable(lines, (-1,) * ndim, 0.0), unit=(0,) * ndim, trf=dense.trf)
        for level, reference in itertools.product(rng.random(20), ("center", "max")):
            assert_close(thin.size(level=level, reference=reference),
                         dense.size(level=level, reference=reference), ROUNDING)


def test_separable_counts_no_zeros() -> None:
    thin = em.predict(em.serial(em.Conv(1, stride=3), em.Conv(3, weights=em.Random(gain=1))))
    assert thin.shape == (7, 7) and round(thin.size()**2) == 9
    assert_close(thin.size("participation"), 9.0, ROUNDING)


class Slow(Density):
    """The contract alone: parts and profiles of an array, all else as it follows from those."""

    kind = "slow"

    def __init__(self, map: Any, origin: tuple[int, ...]) -> None:
        self._hold(values=np.asarray(map), origin=origin, shape=np.shape(map), log_total=math.log(np.sum(map)))

    def part(self, first: tuple[int, ...], last: tuple[int, ...]) -> Any:
        whole = self.values / self.values.sum()
        return whole[tuple(slice(a - o, b - o + 1) for a, b, o in zip(first, last, self.origin))]

    @property
    def profiles(self) -> tuple[Any, ...]:
        return tuple(self.share.sum(axis=tuple(a for a in range(self.ndim) if a != axis)) for axis in range(self.ndim))

    def blocks(self, above: float = 0.0) -> Any:
        for i in range(self.shape[0]):
            yield (self.origin[0] + i, *self.origin[1:]), self.share[i:i + 1]

    def moments(self, about: Any) -> Any:
        return Dense(self.values, self.origin).moments(about)

    def largest_amplitude(self, power: int) -> float:
        return float(self.share.max()**(1 / power))

    def count_above(self, amplitude: float, power: int) -> int:
        return int((self.share > amplitude**power).sum())

    def stored(self) -> Any:
        return Dense(self.values, self.origin).stored()


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_what_follows_from_blocks_is_what_dense_has(ndim: int) -> None:
    dense = random_erf(ndim)
    slow = ERF.of(Slow(dense.map, dense.origin), unit=dense.unit, trf=dense.trf)
    for name in ("map", "share", "total", "std", "covariance", "centroid"):
        assert_close(getattr(slow, name), getattr(dense, name), ROUNDING, scale=1)
    for name, size in ALL_SIZES.items():
        assert_close(size(slow), size(dense), ROUNDING)
    for axis in range(ndim):
        assert_close(slow.cut(axis), dense.cut(axis), ROUNDING)
        assert_close(slow.density.seen[axis], dense.density.seen[axis], EXACT)
    assert not slow.density.negative
    assert_close(slow.density.folded(2), dense.density.folded(2), ROUNDING)


def test_densities_are_frozen_and_so_are_their_copies() -> None:
    for density in (Dense(np.ones((3, 3)), (0, 0)), Separable([[.5, .5]] * 2, (0, 0), 0.0)):
        for one in (density, copy.deepcopy(density), pickle.loads(pickle.dumps(density))):
            with pytest.raises(AttributeError, match="does not change"):
                one.origin = (1, 1)
            for array in (one.map, one.share, *one.profiles):
                with pytest.raises(ValueError, match="read-only"):
                    array[0] = 1
            assert_close(one.share, density.share, EXACT)


def test_every_kind_is_entered() -> None:
    assert Density.KINDS["dense"] is Dense and Density.KINDS["separable"] is Separable
