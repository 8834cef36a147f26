"""ERFs of modules of torchvision and timm at their own initialisation: predicted, and sampled by autograd.

For who has torch, torchvision and timm.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import Table
from .kept import Kept
from .readers import field

__all__ = ["MODELS", "Sampled", "run"]

#: Of many families, small enough to be sampled.
MODELS = (
    "torchvision:resnet18", "torchvision:vgg11_bn", "torchvision:densenet121",
    "torchvision:mobilenet_v2", "torchvision:mobilenet_v3_small",
    "torchvision:shufflenet_v2_x0_5", "torchvision:squeezenet1_1", "torchvision:efficientnet_b0",
    "torchvision:regnet_y_400mf", "torchvision:mnasnet0_5", "timm:convnext_atto", "timm:starnet_s050",
    "timm:fasternet_t0", "timm:nf_resnet26", "timm:ghostnet_100", "timm:resnet26t", "timm:repvgg_a0")


class Sampled(NamedTuple):
    """Standard deviations of a module's field: predicted, sampled, and the error of the latter."""

    name: str
    predicted: float
    sampled: float
    error: float


def run(quick: bool = False, *, models: Sequence[str] = MODELS, draws: int = 30, results: str | None = None,
        progress: Callable[[int, int], Any] | None = None) -> Table:
    """The table of `models` at 96 pixels, of `draws` fresh modules each; `quick` takes one, and two of it.

    Models in the file `results` are not sampled again; others are added.
    """
    header = ("model", "predicted", "sampled", "stderr", "sampled / predicted - 1, %")
    missing = [lib for lib in ("torch", "torchvision", "timm") if importlib.util.find_spec(lib) is None]
    if missing:
        return Table("Std of ERFs", header[:2], (("none", 0),), (f"not installed: {', '.join(missing)}",))
    kept = Kept(results, Sampled)
    known = {one.name: one for one in kept.found}
    chosen = models[:1] if quick else models
    for done, name in enumerate(chosen):
        if progress is not None:
            progress(done, len(models))
        if name not in known:
            known[name] = Sampled(name, *field(name, draws=2 if quick else draws))
            kept.add(known[name])
    rows = [(*known[name], 100 * (known[name].sampled / known[name].predicted - 1)) for name in chosen]
    return Table("Std of ERFs at initialisation, in pixels along the first axis, at 96 pixels", header, tuple(rows))
