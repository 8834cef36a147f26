"""ERFs of modules of torchvision and timm at their own initialisation: predicted, and sampled by autograd.

For who has torch, torchvision and timm.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from . import Table
from .readers import field

__all__ = ["MODELS", "run"]

#: Of many families, small enough to be sampled.
MODELS = (
    "torchvision:resnet18", "torchvision:mobilenet_v2", "torchvision:mobilenet_v3_small",
    "torchvision:shufflenet_v2_x0_5", "torchvision:squeezenet1_1", "torchvision:efficientnet_b0",
    "torchvision:regnet_y_400mf", "torchvision:mnasnet0_5", "timm:convnext_atto", "timm:starnet_s050",
    "timm:fasternet_t0", "timm:nf_resnet26", "timm:ghostnet_100", "timm:resnet26t", "timm:repvgg_a0")


def run(quick: bool = False, *, models: Sequence[str] = MODELS, draws: int = 20,
        progress: Callable[[int, int], Any] | None = None) -> Table:
    """The table of `models` at 96 pixels, of `draws` fresh modules each; `quick` takes one, and two of it."""
    header = ("model", "predicted", "sampled", "stderr", "sampled / predicted - 1, %")
    missing = [lib for lib in ("torch", "torchvision", "timm") if importlib.util.find_spec(lib) is None]
    if missing:
        return Table("Std of ERFs", header[:2], (("none", 0),), (f"not installed: {', '.join(missing)}",))
    rows = []
    for done, name in enumerate(models[:1] if quick else models):
        if progress is not None:
            progress(done, len(models))
        predicted, sampled, error = field(name, draws=2 if quick else draws)
        rows.append((name, predicted, sampled, error, 100 * (sampled / predicted - 1)))
    return Table("Std of ERFs at initialisation, in pixels along the first axis, at 96 pixels", header, tuple(rows))
