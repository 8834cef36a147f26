"""The paper's Figure 3, CamVid: a residual network for segmentation before and after training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Arrays, Data, Desk, Options, Quote, Spec, digest
from .recipes import spec
from .trained import IMAGES, follow, growth_quotes
from .trained_panels import draw_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

GROUPS = {"with batch norm": "camvid", "without batch norm": "camvid-plain"}
#: Digitised from the published picture: after over before of the std, and of the width at half maximum.
PAPER = {"std": 0.171 / 0.093, "half_max": 0.183 / 0.126}


def parts(options: Options) -> dict[str, Spec]:
    file = digest(options.files["camvid"])
    changes = options.pick({}, {"steps": 2, "batch": 8})
    return {f"{group}, seed {i}": spec(task, options.seed + i, images=options.pick(IMAGES, 20), file=file, **changes)
            for i in range(options.pick(2, 1)) for group, task in GROUPS.items()}


def compute(spec: Spec, desk: Desk) -> Arrays:
    return follow(spec, desk)


def quotes(data: Data) -> list[Quote]:
    return growth_quotes(data, list(GROUPS), PAPER)


def draw(data: Data) -> Figure:
    return draw_runs(data, list(GROUPS), "CamVid at 120×160, pre-activation ResNet of stride 8, 15 units of "
                     "one 3×3 convolution, receptive field 163 px", reach=56, paper=PAPER)
