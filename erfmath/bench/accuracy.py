"""How near `predict` comes to what `measure` samples, network by network."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..layers import Activation, BatchNorm, Conv
from ..networks import zoo
from ..networks.building import repeat, residual, serial
from ..networks.network import Network
from . import Table, kinds
from .cases import HEADER, NOTES, STD, TOTAL, VARIATION, Case, Sampled, key, row, sample
from .kept import Kept

__all__ = ["CASES", "plain", "run", "unet"]


def plain(function: str, layers: int) -> Callable[..., Network]:
    """Builder of a chain of 3x3 convolutions, each with its activation."""
    def build(width: int) -> Network:
        return repeat(serial(Conv(3, width), Activation(function)), layers)
    return build


def _large_kernels(width: int, kernel: int = 13, blocks: int = 4) -> Network:
    """A stem and residual units around a large depthwise kernel, as in RepLKNet."""
    unit = residual(serial(BatchNorm(), Conv(1, width), BatchNorm(), Activation("relu"),
                           Conv(kernel, groups="depthwise"), BatchNorm(), Activation("relu"), Conv(1, width),
                           BatchNorm()))
    return serial(Conv(3, width, stride=2), BatchNorm(), Activation("relu"), repeat(unit, blocks))


def unet(up: Any) -> Callable[..., Network]:
    """Builder of a U-Net of three levels without batch norm."""
    return lambda width: zoo.unet(3, width=width, up=up)


CASES = (
    Case("VGG-16", zoo.vgg16, 224, 100),
    Case("VGG-16, batch norm", lambda width: zoo.vgg16(width=width, batch_norm=True), 224, 60),
    Case("ResNet-18", zoo.resnet18, 224, 200),
    Case("ResNet-34", zoo.resnet34, 224, 150),
    Case("ResNet-50", zoo.resnet50, 224, 250),
    Case("pre-activation ResNet-32", lambda width: zoo.preact_resnet(32, width=width), 32, 300),
    Case("ResNet-18 at 96 pixels", zoo.resnet18, 96, 300),
    Case("ResNet-18 at 96 pixels, natural images", zoo.resnet18, 96, 300, natural=True),
    Case("VGG-11, batch norm, natural images", lambda width: zoo.vgg11(width=width, batch_norm=True), 96, 200,
         natural=True),
    Case("CIFAR ResNet-32, unit 0,0", lambda width: zoo.cifar_resnet(32, width=width), 32, 500, unit=0),
    Case("DenseNet-121", zoo.densenet121, 224, 250),
    Case("MobileNet-v2", zoo.mobilenet_v2, 224, 200),
    Case("large depthwise kernels", _large_kernels, 96, 400),
    Case("dilated context module", zoo.context_module, 96, 1500),
    Case("U-Net, transposed", unet("transpose"), 96, 1500),
    Case("U-Net, nearest", unet("nearest"), 96, 1500),
    Case("U-Net, bilinear", unet("bilinear"), 96, 2500, variation=0.03),
    Case("20 layers, tanh", plain("tanh", 20), 48, 2000),
    Case("20 layers, sigmoid", plain("sigmoid", 20), 48, 2000),
    Case("10 layers, GELU", plain("gelu", 10), 48, 3000),
    Case("20 layers, GELU", plain("gelu", 20), 48, 2000, width=64, channels_in=64),
    Case("20 layers, GELU, finite_width", plain("gelu", 20), 48, 8000, method="finite_width"),
)


def run(quick: bool = False, *, results: str | None = None, progress: Callable[[int, int], Any] | None = None) -> Table:
    """One row a network; `quick` takes the small chains and few draws.

    Parameters
    ----------
    results : str, optional
        File of lines of JSON, one a network: what is in it is not sampled again, what is not is added.
    progress : callable, optional
        Called with the number of networks done and of all.
    """
    cases = [replace(case, draws=8) for case in CASES if case.image <= 48] if quick else (*CASES, *kinds.CASES)
    kept = Kept(results, Sampled)
    known = {one.key: one for one in kept.found}
    rows = []
    for done, case in enumerate(cases):
        if progress is not None:
            progress(done, len(cases))
        found = known.get(key(case))
        if found is None:
            found = sample(case, workers=1 if quick else os.cpu_count() or 1)
            kept.add(found)
        rows.append(row(case, known=found))
    near = sum(cells[-1] == "yes" for cells in rows)
    return Table("accuracy", HEADER, tuple(rows), (
        *NOTES, f"{near} of {len(rows)} within {STD:.0%} of the std, TV {VARIATION} (bilinear 0.03) and {TOTAL:.0%} of "
        "the total and 3 of its standard errors"))
