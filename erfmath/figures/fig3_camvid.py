"""The paper's Figure 3, CamVid: a residual network for segmentation before and after training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Data, Options, Quote, Spec, digest
from .trained import by_seed, follow as compute, growth_quotes
from .trained_panels import draw_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

GROUPS = {"with batch norm": {"task": "camvid"}, "without batch norm": {"task": "camvid-plain"}}
#: Digitised from the published picture: after over before of the std, and of the width at half maximum.
PAPER = {"std": 0.171 / 0.093, "half_max": 0.183 / 0.126}


def parts(options: Options) -> dict[str, Spec]:
    changes = options.pick({}, {"steps": 2, "batch": 8})
    return by_seed(GROUPS, options, options.pick(2, 1), {**changes, "file": digest(options.files["camvid"])})


def quotes(data: Data) -> list[Quote]:
    return growth_quotes(data, list(GROUPS), PAPER)


def draw(data: Data) -> Figure:
    return draw_runs(data, list(GROUPS), "CamVid at 120×160, pre-activation ResNet of stride 8, 15 units of "
                     "one 3×3 convolution, receptive field 163 px", reach=56, paper=PAPER)
