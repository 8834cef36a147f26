"""What the theory takes inputs to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close

import erfmath as em
from erfmath.theory.sweep.inputs import InputModel, input_model

LINE = [0.1, 0.5, 1.0, 0.5, 0.1]


@pytest.mark.parametrize("wraps", [False, True])
def test_values_are_the_covariances_of_pairs(wraps: bool) -> None:
    """Of each site with the one `tau` further on, if there is one."""
    model = input_model((1, 0.05), LINE, 1)
    values = model.values((3,), (6,), wraps)
    for tau in range(-3, 4):
        for x in range(6):
            far = {0: 1.0, 1: 0.5, 2: 0.1, 3: 0.05}[abs(tau)]
            assert values[0, tau + 3, x] == (far if wraps or 0 <= x + tau < 6 else 0.0)
    assert model.reach(1) == (2,)


def test_white_pixels_reach_nowhere() -> None:
    model = input_model((2.0, 0.5), None, 2)
    assert model == InputModel(2.0, 0.5) and model.reach(2) == (0, 0) and model.at([1, 0]) == 0.5


def test_natural_images_bring_moments_and_channels() -> None:
    images = em.natural_images(period=64, channel_correlation=0.7)
    model = input_model((1, 0), images, 1)
    assert (model.second, model.cov_far) == tuple(images.moments) and model.channel_correlation == 0.7
    assert_close(model.covariance, images.covariance(1), EXACT)


@pytest.mark.parametrize("moments, covariance, message", [
    (1.0, None, "must be a pair"), ((1, 2), None, "at least E"), ((0, 0), None, "must be positive"),
    ((1, 0), [0.5, 1.0], "odd number of lags"), ((1, 0), [[1.0]], "along each of 1 axes"),
    ((1, 0), [0.5, 1.0, 0.4], "the same for tau and -tau"), ((1, 0), [2.0, 1.0, 2.0], "largest at lag 0"),
    ((1, 3), LINE, "between 0 and the covariance"), ((1, 0), [np.nan, 1.0, np.nan], "not finite"),
])
def test_input_model_refuses(moments: Any, covariance: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        input_model(moments, covariance, 1)
