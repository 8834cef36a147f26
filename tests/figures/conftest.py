"""A figure that is no figure, and data in the shape of the real ones."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from figure_data import toy

__all__ = ["toy"]


@pytest.fixture
def files(tmp_path: pathlib.Path) -> dict[str, pathlib.Path]:
    """Data in the shape of the real ones, of noise."""
    rng = np.random.default_rng(0)
    cifar, camvid = tmp_path / "cifar.npz", tmp_path / "camvid.npz"
    images = rng.integers(0, 256, (30, 32, 32, 3), np.uint8)
    np.savez(cifar, x_train=images, y_train=np.arange(30) % 10, x_test=images[:20], y_test=np.arange(20) % 10)
    scenes, maps = rng.integers(0, 256, (9, 24, 32, 3), np.uint8), rng.integers(0, 12, (9, 24, 32))
    np.savez(camvid, x_train=scenes, y_train=maps, x_test=scenes[:3], y_test=maps[:3])
    return {"cifar10": cifar, "camvid": camvid}
