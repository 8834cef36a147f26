"""Small networks and tasks that are trained in tests."""

from __future__ import annotations

from typing import Any

import numpy as np

import erfmath as em
from erfmath import training


def residual_net(norm: bool, classes: int = 3) -> em.Network:
    """A small residual network with a stride, a projection and a classifier."""
    lead = [em.BatchNorm()] if norm else []
    return em.serial(
        em.Conv(3, 6), em.residual(em.serial(*lead, em.Activation("tanh"), em.Conv(3, 6))),
        em.residual(em.serial(*lead, em.Activation("tanh"), em.Conv(3, 8, stride=2)),
                    em.serial(em.AvgPool(2), em.Conv(1, 8))),
        *lead, em.Activation("tanh"), em.GlobalAvgPool(), em.Conv(1, classes))


def shapes_task(count: int, seed: int = 0, size: int = 8) -> training.Images:
    """Noise of three kinds: plain, striped along rows, striped along columns."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.standard_normal((count, 2, size, size))
    stripes = np.where(np.arange(size) % 2, 1.0, -1.0)
    images[labels == 1] += stripes
    images[labels == 2] += stripes[:, None]
    return training.Images(images, labels, 3)


def double(arrays: Any) -> dict[str, Any]:
    return {name: np.array(array, np.float64) for name, array in arrays.items()}


def every_kind() -> em.Network:
    """A network of all kinds of layers that train, or that gradients pass."""
    gate = em.serial(em.GlobalAvgPool(), em.Conv(1, 6, bias=0.1), em.Activation("hardsigmoid"))
    return em.serial(
        em.Conv(3, 12, padding_mode="reflect", bias=0.1), em.GroupNorm(2), em.Activation("prelu"), em.PixelShuffle(2),
        em.Conv(3, 6, stride=2), em.InstanceNorm(scale_var=0.1), em.multiply(em.Identity(), gate),
        em.split([2, 4], em.Identity(), em.serial(em.Conv(3, 4), em.LayerNorm(), em.Activation("mish"))),
        em.Shuffle(2), em.MaxPool(3, 2, 1, ceil_mode=True), em.Conv(1, 6), em.BatchNorm("batch"), em.GRN(),
        em.RMSNorm(), em.Softmax(2), em.Upsample(size=7, mode="bicubic"), em.Pad(1, mode="circular"), em.BlurPool(),
        em.PixelUnshuffle(2), em.ConvTranspose(3, 4, stride=2, dilation=2, output_padding=1), em.BatchNorm(),
        em.AdaptiveAvgPool(3), em.Dropout(0.1), em.AdaptiveMaxPool(2), em.Conv(2, 3, padding="valid"))


def some_images(n: int = 6) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, 3, 4, 5), np.uint8)
