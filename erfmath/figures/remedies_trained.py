"""Strides, dilation and skips after training on the box task: which remedy pays?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Arrays, Data, Desk, Options, Quote, Spec
from .recipes import spec
from .trained import IMAGES, follow, growth_quotes
from .trained_panels import draw_overview

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

GROUPS = {"plain": "plain", "strided": "strided", "dilated": "dilated", "skips": "skip"}


def parts(options: Options) -> dict[str, Spec]:
    changes = options.pick({"size": 32}, {"steps": 20, "layers": 4, "size": 16, "radius": 3})
    return {f"{group}, seed {i}": spec("box", options.seed + i, variant=variant, images=options.pick(IMAGES, 20),
                                       **changes)
            for i in range(options.pick(4, 2)) for group, variant in GROUPS.items()}


def compute(spec: Spec, desk: Desk) -> Arrays:
    return follow(spec, desk)


def quotes(data: Data) -> list[Quote]:
    return growth_quotes(data, list(GROUPS))


def draw(data: Data) -> Figure:
    return draw_overview(data, list(GROUPS), "Box task, 12 convolutions 3×3: stride 2 in the middle, dilation 2 in the "
                         "middle third, or residual units")
