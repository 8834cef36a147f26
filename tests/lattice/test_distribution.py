"""Weights on a lattice: exact totals, offsets, mirrors, factors, refusals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

from erfmath.lattice import kernels


def test_separable_factors() -> None:
    assert kernels.from_weights([[0, 1, 0], [1, 1, 1], [0, 1, 0]]).separable_factors() is None
    assert kernels.from_weights([[1, 2], [2, 5]]).separable_factors() is None
    rounded = kernels.from_weights(np.outer([.1, .2, .7], [.3, .3, .4]))
    factors, miss = rounded.split
    assert len(factors) == 2 and 0 <= miss <= ROUNDING.rtol
    off = np.outer([.1, .2, .7], [.3, .3, .4])
    off[1, 1] *= 1 + 1e-9
    assert kernels.from_weights(off).split is None
    line = kernels.uniform(3)
    assert line.separable_factors() == (line,)


def test_kernels_exactness() -> None:
    assert kernels.from_weights([1, 2, 3]).total == 6
    thirds = kernels.from_weights([Fraction(1, 3), 1])
    assert thirds.is_exact and thirds.total == Fraction(4, 3)
    floats = kernels.from_weights([.7, .2, .1])
    assert not floats.is_exact
    assert floats.total == sum(map(Fraction, (.7, .2, .1)))
    assert kernels.from_weights(np.array([1, 2], dtype=np.int8)).is_exact
    assert not kernels.from_weights([1, .5]).is_exact
    assert kernels.from_weights([10**30, 1]).weights[0] == 10**30


def test_kernels_offsets_and_mirrors() -> None:
    kernel = kernels.from_weights([[1, 2, 3], [4, 5, 6]], offset=(-1, 4))
    assert_close(kernel.mean, np.array([15 / 21 - 1, 4 + 25 / 21]), ROUNDING)
    mirror = kernel.mirrored()
    assert_close(mirror.mean, -np.asarray(kernel.mean), ROUNDING)
    assert mirror.mirrored() == kernel
    half = kernel.mirrored([1])
    assert_close(half.mean, np.asarray(kernel.mean) * [1, -1], ROUNDING)
    assert kernels.uniform(3).centred().mean == 0
    assert kernels.uniform((3, 4)).centred().offset == (-1, -1)


def test_kernels_equality() -> None:
    assert kernels.uniform(3) == kernels.from_weights([1, 1, 1]).__class__([1, 1, 1])
    assert hash(kernels.uniform(3)) == hash(kernels.LatticeDistribution([1, 1, 1]))
    assert kernels.uniform(3) != kernels.uniform(3).centred()
    assert kernels.uniform(3) != "uniform"


def test_kernels_are_read_only() -> None:
    kernel = kernels.uniform(3)
    for array in (kernel.weights, kernel.pmf, kernels.KernelStack(np.ones((2, 2))).rows):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 2
    with pytest.raises(AttributeError):
        kernel.offset = (1,)


@pytest.mark.parametrize("weights, error, message", [
    ([], ValueError, "at least one tap"), (3, ValueError, "at least one tap"),
    ([0, 0], ValueError, "all zero"), ([1, np.nan], ValueError, "nan"),
    (["a"], TypeError, "ints, Fractions or real floats"),
    ([1j], TypeError, "ints, Fractions or real floats"),
])
def test_from_weights_refuses(weights, error, message: str) -> None:
    with pytest.raises(error, match=message):
        kernels.from_weights(weights)


@pytest.mark.parametrize("options, told", [
    ({"mass": 0}, "mass=0"), ({"mass": -1.0}, "mass=-1.0"), ({"mass": float("nan")}, "mass=nan"),
    ({"mass": "1"}, "mass='1'"), ({"offset": 1.5}, "offset=1.5"), ({"offset": (1, 2)}, "offset")])
def test_lattice_distribution_refuses(options: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        kernels.LatticeDistribution([1, 2], **options)
