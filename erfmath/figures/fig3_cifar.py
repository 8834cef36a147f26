"""The paper's Figure 3, CIFAR-10: a residual network of 17 units before and after training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Data, Options, Quote, Spec, digest
from .trained import by_seed, follow as compute, growth_quotes
from .trained_panels import draw_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

GROUPS = {"with batch norm": {"task": "cifar"}, "without batch norm": {"task": "cifar-plain"}}
#: Digitised from the published picture: after over before of the std, and of the width at half maximum.
PAPER = {"std": 0.21 / 0.142, "half_max": 0.37 / 0.28}


def parts(options: Options) -> dict[str, Spec]:
    changes = options.pick({}, {"steps": 2, "batch": 8})
    return by_seed(GROUPS, options, options.pick(2, 1), {**changes, "file": digest(options.files["cifar10"])})


def quotes(data: Data) -> list[Quote]:
    return growth_quotes(data, list(GROUPS), PAPER)


def draw(data: Data) -> Figure:
    return draw_runs(data, list(GROUPS), "CIFAR-10, pre-activation ResNet, 17 units of one 3×3 convolution, "
                     "receptive field 73 of 32 px", paper=PAPER)
