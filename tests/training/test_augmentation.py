"""Crops and flips, of images and of labels per site."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import EXACT, assert_close

from erfmath import training


def test_crop_flip_shifts_and_mirrors() -> None:
    images = np.random.default_rng(0).standard_normal((64, 2, 5, 6))
    found, labels = training.CropFlip(1)(images, np.arange(64), np.random.default_rng(1))
    assert_close(labels, np.arange(64), EXACT)
    wide = np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)])
    seen = set()
    for image, other in zip(wide, found):
        fits = [(i, j, step) for i in range(3) for j in range(3) for step in (1, -1)
                if np.array_equal(image[:, i:i + 5, j:j + 6][..., ::step], other)]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) == 18


def test_crop_flip_checks_its_value() -> None:
    with pytest.raises(ValueError, match="shift=-1"):
        training.CropFlip(-1)


def test_crop_flip_mirrors_labels_per_site() -> None:
    images = np.random.default_rng(0).standard_normal((20, 1, 4, 4))
    found, labels = training.CropFlip(0)(images, images[:, 0], np.random.default_rng(0))
    assert_close(found[:, 0], labels, EXACT)
    assert (found != images).any() and (found[0] == images[0]).all() | (found[0] == images[0, :, :, ::-1]).all()
    with pytest.raises(ValueError, match="cannot shift labels per site"):
        training.CropFlip(2)(images, images[:, 0], np.random.default_rng(0))
