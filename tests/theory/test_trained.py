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
