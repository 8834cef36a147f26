"""How near `predict` comes to what `measure` samples, network by network."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..empirics.measure import measure
from ..layers import Activation, BatchNorm, Conv
from ..networks import zoo
from ..networks.building import repeat, residual, serial
from ..networks.network import Network
from ..results.field import EffectiveReceptiveField
from ..results.measured import MeasuredReceptiveField
from ..theory.predict import predict
from . import Table

__all__ = ["CASES", "Case", "plain", "row", "run", "unet"]

Array = npt.NDArray[np.float64]

WIDTH, SEED = 16, 1
#: What a row is held to: relative difference of the std, total variation of the marginal.
STD, VARIATION = 0.02, 0.02


@dataclass(frozen=True)
class Case:
    """One network, and how it is sampled.

    Attributes
    ----------
    build : callable
        Takes ``width``, the channels of the first layers.
    draws : int
        Enough for a standard error of about 0.4 % of the std.
    variation : float
        Total variation that is allowed; samples of bilinear U-Nets are heavy-tailed.
    method : str
        Of `predict`.
    """

    name: str
    build: Callable[..., Network]
    image: int
    draws: int
    unit: int | None = None
    variation: float = VARIATION
    width: int = WIDTH
    channels_in: int = 3
    batch: int | None = None
    method: str = "exact"

    @property
    def about(self) -> dict[str, Any]:
        """What theory and measurement are told alike."""
        return {"image": self.image, "unit": self.unit, "width": self.width, "channels_in": self.channels_in}


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


def run(quick: bool = False) -> Table:
    """One row a network; `quick` takes the small ones and few draws."""
    cases = [replace(case, draws=8) for case in CASES if case.image <= 48] if quick else CASES
    rows = tuple(row(case, workers=1 if quick else os.cpu_count() or 1) for case in cases)
    near = sum(cells[-1] == "yes" for cells in rows)
    return Table("accuracy", ("network", "image", "width", "draws", "theory", "sampled", "+-", "ratio", "TV", "noise",
                              "within"), rows,
                 ("std of the power map in pixels, rms over the axes, of the middle unit; ratio: theory / sampled;",
                  "TV: total variation of the marginals; noise: how much of it the draws alone would make;",
                  f"{near} of {len(rows)} within {STD:.0%} of the std and TV {VARIATION} (bilinear 0.03)"))


def row(case: Case, workers: int = 1) -> tuple[Any, ...]:
    """Theory and measurement of one case, as cells of the table."""
    net = case.build(width=case.width)
    theory = predict(net, method=case.method, **case.about)
    half, sampled = measure(net, draws=(case.draws // 2, case.draws), rng=SEED, batch=case.batch,
                            workers=workers, **case.about)
    expected = _std(theory)
    std, error = _sampled_std(sampled)
    ratio, variation = expected / std, _variation(_marginal(theory), _marginal(sampled))
    # The two halves differ by twice the noise of the whole.
    other = sampled.map * sampled.draws - half.map * half.draws
    noise = _variation(_marginal(half), _line(other)) / 2
    near = abs(ratio - 1) <= STD and variation <= case.variation
    return (case.name, case.image, case.width, case.draws, f"{expected:.3f}", f"{std:.3f}", f"{error:.3f}",
            f"{ratio:.4f}", f"{variation:.4f}", f"{noise:.4f}", "yes" if near else "no")


def _std(erf: EffectiveReceptiveField) -> float:
    """Root mean square over the axes: the networks treat them alike."""
    return float(np.sqrt((erf.std**2).mean()))


def _sampled_std(sampled: MeasuredReceptiveField) -> tuple[float, float]:
    """The same, with its standard error to first order in the fluctuations of the draws."""
    table, std = sampled.moments.table, _std(sampled)
    total, first, second = table[:, 0], table[:, 1::2], table[:, 2::2]
    centre = first.sum(axis=0) / total.sum()
    pull = (second - 2 * centre * first).mean(axis=1) + ((centre**2).mean() - std**2) * total
    return std, float(pull.std(ddof=1)) / (len(total)**0.5 * total.mean() * 2 * std)


def _line(values: Array) -> Array:
    """Marginal of a map, both axes together."""
    line = values.sum(axis=0) + values.sum(axis=1)
    return np.asarray(line / line.sum())


def _marginal(erf: EffectiveReceptiveField) -> Array:
    return _line(erf.map)


def _variation(a: Array, b: Array) -> float:
    return float(0.5 * np.abs(a - b).sum())
