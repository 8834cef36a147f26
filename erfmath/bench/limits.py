"""What keeps the samples away from the theory: channels, the inputs of batch norms, pools.

The theory is that of infinitely wide networks whose batch norms know the statistics of all data.
(Plain chains, width by width: `erfmath bench width`.)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..layers import Activation, BatchNorm, Conv, MaxPool
from ..networks import zoo
from ..networks.building import repeat, residual, serial
from ..networks.network import Network
from . import Table
from .accuracy import unet
from .cases import HEADER, Case, row

__all__ = ["CASES", "run"]


def _raw_shortcuts(width: int) -> Network:
    """Pre-activation units whose shortcuts read a stream that no batch norm has touched, with one on top."""
    parts: list[Any] = [Conv(3, width)]
    for factor in (1, 2, 4):
        stride, channels = min(factor, 2), factor * width
        branch = serial(BatchNorm(), Activation("relu"), Conv(3, channels, stride=stride),
                        BatchNorm(), Activation("relu"), Conv(3, channels))
        parts.append(residual(branch, Conv(1, channels, stride=2) if stride > 1 else None))
    return serial(*parts, BatchNorm(), Activation("relu"))


def _pooled(kernel: int, stride: int, padding: int = 0) -> Callable[..., Network]:
    def build(width: int) -> Network:
        return repeat(serial(Conv(3, width), Activation("relu"), Conv(3, width), Activation("relu"),
                             MaxPool(kernel, stride, padding)), 3)
    return build


def _levels(width: int, levels: int = 5) -> Network:
    """The way down of a U-Net: two convolutions a level, maps halved and channels doubled between them."""
    down = [serial(Conv(3, width * 2**n), Activation("relu"), Conv(3, width * 2**n), Activation("relu"))
            for n in range(levels)]
    return serial(down[0], *(serial(MaxPool(2), part) for part in down[1:]))


CASES = (
    *(Case("ResNet-50", zoo.resnet50, 96, draws, width=width, batch=batch)
      for width, batch, draws in ((16, 2, 400), (16, 8, 400), (16, 32, 200), (32, 8, 300), (64, 8, 120))),
    *(Case("max pools of 2", _pooled(2, 2), 64, draws, width=width) for width, draws in ((16, 2000), (64, 500))),
    *(Case("max pools of 3, stride 2", _pooled(3, 2, 1), 64, draws, width=width)
      for width, draws in ((16, 2000), (64, 500))),
    Case("5 levels of max pools", _levels, 48, 1000), Case("U-Net of 4 levels", zoo.unet, 48, 1500),
    *(Case(f"U-Net, {name}", unet(up), 96, draws, width=width) for name, up, draws, width in (
        ("transposed", "transpose", 1500, 16), ("transposed", "transpose", 400, 64), ("bilinear", "bilinear", 2500, 16),
        ("bilinear", "bilinear", 400, 64))),
    *(Case("pre-activation, raw shortcuts", _raw_shortcuts, 32, draws, width=width, channels_in=channels)
      for draws, width, channels in ((2000, 16, 3), (400, 64, 3), (400, 64, 64))),
)


def run(quick: bool = False) -> Table:
    """One row a case; columns as in `erfmath bench accuracy`."""
    cases = [replace(case, draws=8) for case in CASES if case.image == 64 and case.width <= 16] if quick else CASES
    workers = 1 if quick else os.cpu_count() or 1
    rows = []
    for case in cases:
        name, image, width, *cells = row(case, workers)
        rows.append((name, image, width, case.channels_in, case.batch or "-", *cells[:-1]))
    header = (*HEADER[:3], "inputs", "batch", *HEADER[3:-1])
    return Table("limits", header, tuple(rows),
                 ("inputs: channels of the input; batch: inputs from which batch norms take their statistics",))
