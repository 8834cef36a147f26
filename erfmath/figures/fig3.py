"""Before and after training, without any data: the sign of the sum over a box, at every pixel.

The paper's Figure 3 has two data sets, for which there are `fig3_cifar` and `fig3_camvid`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Data, Options, Quote, Spec
from .trained import by_seed, follow as compute, growth_quotes
from .trained_panels import draw_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

GROUP = "box task"


def parts(options: Options) -> dict[str, Spec]:
    changes = options.pick({}, {"steps": 20, "layers": 4, "size": 15, "radius": 3})
    return by_seed({GROUP: {"task": "box"}}, options, options.pick(4, 2), changes)


def quotes(data: Data) -> list[Quote]:
    return growth_quotes(data, [GROUP])


def draw(data: Data) -> Figure:
    some = next(iter(data.values())).spec
    side = 2 * some["radius"] + 1
    return draw_runs(data, [GROUP], f"{some['layers']} convolutions 3×3, ReLU; at every pixel: is the sum over "
                     f"{side}×{side} pixels of noise positive?")
