"""How much wider than flat given kernels are."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em

NET = em.serial(em.Conv((3, 5), 4), em.BatchNorm(), em.ConvTranspose(2, 4, stride=2))


def test_moments_by_hand() -> None:
    """Means and variances of the mean squares; batch norms are passed over, a transposed kernel is not."""
    kernel = np.zeros((4, 3, 3, 5))
    kernel[0, 0, 0, 0], kernel[1, 2, 2, 4] = -1, 1                # half on each of two opposite corners
    ratio = em.widening(NET, {"conv1": kernel, "batch_norm1": np.ones((4, 4)),
                              "conv_transpose1": np.ones((4, 4, 2, 2))})
    assert list(ratio) == ["conv1", "conv_transpose1"]
    assert_close(ratio["conv1"], [1 / math.sqrt(8 / 12), 2 / math.sqrt(24 / 12)], ROUNDING)
    assert_close(ratio["conv_transpose1"], [1, 1], ROUNDING)


@pytest.mark.parametrize("kernel", [np.zeros((4, 3, 3, 5)), np.full((4, 3, 3, 5), np.nan), np.ones((4, 3, 5, 3)),
                                    np.ones((3, 5)), np.ones(5), np.ones((0, 3, 3, 5))])
def test_kernels_that_have_no_law_are_refused(kernel: npt.NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="weights: conv1 has an array of shape"):
        em.widening(NET, {"conv1": kernel})


def test_a_name_of_no_node_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'conv1'"):
        em.widening(NET, {"cnv1": np.ones((4, 3, 3, 5))})


@pytest.mark.parametrize("transposed", [False, True])
def test_given_arrays_of_unequal_channels(transposed: bool) -> None:
    """One layer from 3 channels to 8: the sum of all squares, over the 8 of the unit's gradient."""
    shape = (3, 8, 4) if transposed else (8, 3, 4)
    array = np.random.default_rng(0).standard_normal(shape)
    layer = em.ConvTranspose((4,), 8, name="a") if transposed else em.Conv((4,), 8, padding="valid", name="a")
    erf = em.predict(em.serial(layer), weights={"a": array})
    expected = (array**2).sum(axis=(0, 1)) / 8
    assert_close(erf.map, expected[::-1] if transposed else expected, ROUNDING)
