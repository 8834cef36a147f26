"""Fields of layers that people use, against sampling: padding modes, pools, resampling, activations, norms."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

import erfmath as em

G1 = em.Random(gain=1.0)
WIDTH, IMAGE, DRAWS = 32, 17, 250
#: Deviations of std and total that are allowed beside three standard errors.
STD, TOTAL = 0.015, 0.05


def act(name: str = "relu") -> em.Layer:
    return em.Activation(name)


def unit(kernel: int = 3, function: str | None = "relu", norm: Any = em.BatchNorm, **options: Any) -> em.Network:
    return em.serial(em.Conv(kernel, **options), norm(), *([act(function)] if function else []))


def residuals(function: str, **options: Any) -> em.Network:
    """No norms: values keep their sizes, and activations act on them."""
    block = em.residual(em.serial(em.Conv(3, **options), act(function), em.Conv(3, weights=G1, **options)))
    return em.serial(em.Conv(3, **options), act(function), block, block, act(function), em.Conv(3, **options))


def generator() -> em.Network:
    """Of CycleGAN: reflected borders and instance norms."""
    def mirrored(**options: Any) -> em.Network:
        return unit(norm=em.InstanceNorm, padding_mode="reflect", **options)
    block = em.residual(em.serial(mirrored(), mirrored(function=None)))
    return em.serial(mirrored(), mirrored(stride=2), block, em.Upsample(size=IMAGE), mirrored())


def inverted(function: str = "hardswish") -> em.Network:
    """Of MobileNet-v3, without squeeze and excite."""
    return em.residual(em.serial(unit(1, function), unit(3, function, groups="depthwise"), unit(1, None)))


def pyramid(bins: tuple[int, ...]) -> em.Network:
    branches = [em.serial(em.AdaptiveAvgPool(m), em.Conv(1, 16), em.BatchNorm(), act(),
                          em.Upsample(size=IMAGE, mode="bilinear")) for m in bins]
    return em.serial(unit(), em.concat(em.Identity(), *branches), unit(), em.Conv(1))


def groups() -> em.Layer:
    return em.GroupNorm(WIDTH // 8)


def affine() -> em.Layer:
    return em.BatchNorm(scale_var=0.2, shift_var=0.5)


BASIC = em.serial(em.residual(em.serial(unit(norm=groups), unit(function=None, norm=groups))), act())
NETWORKS: dict[str, em.Network] = {
    **{f"residual {name}": residuals(name) for name in ("relu6", "hardswish", "selu", "mish", "softsign", "prelu")},
    "reflected borders": residuals("relu", padding_mode="reflect"),
    "circular borders": residuals("relu", padding_mode="circular"),
    "biases": residuals("relu", bias=0.3),
    "CycleGAN": generator(),
    "group norms": em.serial(unit(norm=groups), BASIC, BASIC),
    "diffusion": em.serial(em.Conv(3), *[em.residual(em.serial(groups(), act("silu"), em.Conv(3))) for _ in range(3)]),
    "MobileNet-v3": em.serial(unit(), inverted(), inverted(), em.Conv(1)),
    "pyramid pooling": pyramid((1, 2, 3, 6)),
    "image pooling": pyramid((1,)),
    "bins": em.serial(unit(), em.AdaptiveAvgPool(5), unit(), em.Conv(3)),
    "ceil_mode": em.serial(unit(norm=em.Identity), em.MaxPool(2, ceil_mode=True), unit(norm=em.Identity),
                           em.AvgPool(3, 2, ceil_mode=True), em.Conv(3)),
    "bicubic": em.serial(em.Conv(3, stride=2), act(), em.Upsample(2, "bicubic"), em.Conv(3), act(), em.Conv(3)),
    "scales and shifts": em.serial(unit(norm=affine), em.residual(em.serial(unit(norm=affine), unit(norm=affine))),
                                   act(), em.Conv(3)),
    "statistics of the batch": em.serial(*[unit(norm=lambda: em.BatchNorm("batch")) for _ in range(3)], em.Conv(3)),
    "instance norms": em.serial(*[unit(norm=em.InstanceNorm) for _ in range(4)], em.Conv(3)),
    "layer norms": em.serial(*[unit(norm=em.LayerNorm) for _ in range(3)], em.Conv(3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("corner", [False, True], ids=["middle", "corner"])
@pytest.mark.parametrize("name", NETWORKS)
def test_theory_and_sampling(name: str, corner: bool) -> None:
    options: dict[str, Any] = {"image": IMAGE, "width": WIDTH, "channels_in": WIDTH, "unit": (0, 0) if corner else None}
    theory = em.predict(NETWORKS[name], **options)
    found = em.measure(NETWORKS[name], draws=DRAWS, rng=zlib.crc32(name.encode()), **options)
    error = np.abs(np.asarray(theory.std) / np.asarray(found.std) - 1)
    assert (error <= STD + 3 * np.asarray(found.std_stderr) / np.asarray(found.std)).all(), f"std off by {error}"
    off = abs(theory.total / found.total - 1)
    assert off <= TOTAL + 3 * found.total_stderr / found.total, f"total off by {off:.3f}"
