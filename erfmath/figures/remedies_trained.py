"""Strides, dilation and skips after training on the box task: which remedy pays?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Data, Options, Quote, Spec
from .trained import by_seed, follow as compute, growth_quotes
from .trained_panels import draw_overview

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

GROUPS = {group: {"task": "box", "variant": variant}
          for group, variant in (("plain", "plain"), ("strided", "strided"), ("dilated", "dilated"), ("skips", "skip"))}


def parts(options: Options) -> dict[str, Spec]:
    changes = options.pick({"size": 32}, {"steps": 20, "layers": 4, "size": 16, "radius": 3})
    return by_seed(GROUPS, options, options.pick(4, 2), changes)


def quotes(data: Data) -> list[Quote]:
    return growth_quotes(data, list(GROUPS))


def draw(data: Data) -> Figure:
    return draw_overview(data, list(GROUPS), "Box task, 12 convolutions 3×3: stride 2 in the middle, dilation 2 in the "
                         "middle third, or residual units")
