"""Gradients to the inputs of many images by tiles, against those tap by tap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, assert_close

from erfmath.empirics import winograd
from erfmath.empirics.convolution import conv_input_grad
from erfmath.empirics.winograd import fits_tiles, tiled_input_grad


def arrays(out: tuple[int, ...], images: int, channels: tuple[int, int] = (5, 3)) -> tuple[Any, Any]:
    rng = np.random.default_rng(len(out) + images)
    axes = len(out)
    return rng.standard_normal((1, channels[0], images, *out)), rng.standard_normal((1, *channels, *(3,) * axes))


@pytest.mark.parametrize("room", [0, 2**12, 2**20])
@pytest.mark.parametrize(("out", "images", "wanted"), [
    ((9,), 3, ((1, 10),)), ((1,), 2, ((0, 3),)), ((8, 5), 3, ((1, 9), (1, 6))), ((6, 11), 2, ((0, 8), (3, 9))),
    ((3, 4), 1, ((2, 5), (0, 6)))])
def test_equals_that_of_all_taps(monkeypatch: Any, out: Any, images: int, wanted: Any, room: int) -> None:
    monkeypatch.setattr(winograd, "TILE_BYTES", room)  # tiles go one by one, by rows, by images
    dy, w = arrays(out, images)
    one = (1,) * len(out)
    expected = conv_input_grad(dy, w, [n + 2 for n in out], one, one, 1, wanted)
    assert_close(tiled_input_grad(dy, w, wanted), expected, REWRITE, scale=np.abs(expected).max())


def test_rounds_a_little_more_in_single_precision() -> None:
    dy, w = arrays((12, 12), 8, (64, 48))
    wanted = ((1, 13), (1, 13))
    found = tiled_input_grad(dy.astype(np.float32), w.astype(np.float32), wanted)
    off = np.abs(found - tiled_input_grad(dy, w, wanted)).max()
    assert found.dtype == np.float32 and off < 1e-4 * found.std()


def test_is_for_many_images_of_plain_kernels() -> None:
    dy, w = (array.astype(np.float32) for array in arrays((12, 12), 8, (64, 48)))
    one, wanted = (1, 1), ((1, 13), (1, 13))
    assert fits_tiles(dy, w, one, one, 1, wanted)
    for other in ((dy[:, :, :1], w, one, one, 1), (dy.astype(float), w, one, one, 1), (dy, w[:, :, :40], one, one, 1),
                  (dy, w, (2, 1), one, 1), (dy, w, one, (1, 2), 1), (dy, w[..., :2], one, one, 1),
                  (dy[..., :3, :3], w, one, one, 1)):
        assert not fits_tiles(*other, wanted)
