"""Tasks of noise: labels pixel by pixel, and as many of one kind as of the other."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_statistical

from erfmath.figures.tasks import BoxEnergy, TwoPixels


def test_labels_pixel_by_pixel() -> None:
    """Whatever the thresholds, the labels order the pixels by what the task asks for."""
    x = np.random.default_rng(0).standard_normal((3, 11, 11))
    inner = [(n, i, j) for n in range(3) for i in range(2, 9) for j in range(2, 9)]
    asked = {TwoPixels: lambda n, i, j: max(x[n, i - 2, j], x[n, i + 2, j]),
             BoxEnergy: lambda n, i, j: (x[n, i - 2:i + 3, j - 2:j + 3]**2).sum()}
    for task, value in asked.items():
        values = np.array([value(*site) for site in inner])
        labels = task(7, 2).labels(x).ravel()
        assert values[labels].min() > values[~labels].max()


@pytest.mark.parametrize("task", [TwoPixels, BoxEnergy])
def test_batch_is_balanced(task: type) -> None:
    """One pixel of each image, so that labels are independent; a median up to what its approximation leaves."""
    images = 4000
    inputs, labels = task(1, 4).batch(3, images, [0, 1])
    assert inputs.shape == (images, 1, 1, 1) and labels.shape == (images, 1, 1)
    assert_statistical(labels.mean(), 0.5 / images**0.5, 0.5)
    assert np.array_equal(task(1, 4).batch(3, images, [0, 1])[0], inputs)
