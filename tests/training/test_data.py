"""Tasks and images: normalised, in epochs, labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close
from training_tasks import some_images

from erfmath import training


# -- images -------------------------------------------------------------------------------------

def test_images_inputs_are_normalised() -> None:
    data = training.Images(some_images(), np.arange(6))
    x = data.inputs()
    assert x.dtype == np.float32 and data.classes == 6 and data.space == (4, 5) and data.channels == 3
    assert np.abs(x.mean(axis=(0, 2, 3))).max() < 1e-6 and np.abs(x.std(axis=(0, 2, 3)) - 1).max() < 1e-6
    other = training.Images(some_images() // 2, np.arange(6), 6, data.mean, data.std)
    assert_close(other.inputs(slice(1)), data.inputs(slice(1)) * 0 + other.inputs(slice(0, 1)), EXACT)


def test_images_batch_meets_every_image_once_an_epoch() -> None:
    data = training.Images(np.arange(10.0).reshape(10, 1, 1, 1) * np.ones((1, 1, 2, 2)), np.arange(10))
    orders = []
    for epoch in range(2):
        labels = [data.batch(3 * epoch + part, 3, entropy=1)[1] for part in range(3)]
        orders.append(np.concatenate(labels).tolist())
        assert len(set(orders[-1])) == 9  # the tenth waits
    assert orders[0] != orders[1]
    inputs, labels = data.batch(4, 3, entropy=1)
    assert_close(inputs[:, 0, 0, 0], data.inputs()[labels, 0, 0, 0], EXACT)


@pytest.mark.parametrize("images, labels, options, words", [
    (np.zeros((2, 3)), [0, 1], {}, "must be real numbers of shape"),
    (np.zeros((0, 3, 2, 2)), [], {}, "at least one"),
    (np.array([["a"]] * 2), [0, 1], {}, "must be real numbers"),
    (some_images(2), [0.0, 1.0], {}, "must be integers"),
    (some_images(2), [0, 1, 2], {}, r"must be \(2,\)"),
    (some_images(2), np.zeros((2, 4), int), {}, r"must be \(2,\) or"),
    (some_images(2), [0, -1], {}, "from -1 to 0"),
    (some_images(2), [0, 9], {"classes": 9}, "must be 0 to 8"),
    (np.full((2, 1, 2, 2), np.nan), [0, 1], {}, "images: must be finite"),
    (np.ones((2, 1, 2, 2)), [0, 1], {}, "never varies"),
    (some_images(2), [0, 1], {"mean": [0.0]}, "one finite number for each of the 3"),
])
def test_images_refuse(images: Any, labels: Any, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        training.Images(images, np.asarray(labels), **options)


def test_majority_of_blocks() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (3, 6, 9))
    found = training.majority(labels, 3, 4)
    for n, i, j in np.ndindex(found.shape):
        block = labels[n, 3 * i:3 * i + 3, 3 * j:3 * j + 3]
        assert found[n, i, j] == np.bincount(block.ravel(), minlength=4).argmax()
    with pytest.raises(ValueError, match="must divide"):
        training.majority(labels, 4, 4)


# -- the box task -------------------------------------------------------------------------------

@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_box_majority_against_the_sum(ndim: int) -> None:
    task = training.BoxMajority(7, 2, ndim)
    inputs, labels = task.batch(3, 2, entropy=0)
    assert inputs.shape == (2, 1) + (7,) * ndim and inputs.dtype == np.float32
    for at in np.ndindex(labels.shape):
        box = inputs[(at[0], 0, *(slice(max(i - 2, 0), i + 3) for i in at[1:]))]
        assert labels[at] == (box.sum(dtype=float) > 0)
    assert_close(task.batch(3, 2, entropy=0)[0], inputs, EXACT)
    assert (task.batch(4, 2, entropy=0)[0] != inputs).all()
