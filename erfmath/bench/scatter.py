"""How single networks scatter about the mean field: `scatter` against sampled networks (docs/trained.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..empirics.measure import measure
from ..layers import (Activation, AvgPool, BatchNorm, Conv, ConvTranspose, GlobalAvgPool, GroupNorm, Identity,
                      LayerNorm, MaxPool, Random, RMSNorm, Shuffle, Upsample)
from ..networks import zoo
from ..networks.building import Part, concat, multiply, repeat, residual, serial
from ..networks.network import Network
from ..theory.scatter import scatter
from . import Table

__all__ = ["CASES", "Case", "run", "sampled"]


@dataclass(frozen=True)
class Case:
    """Networks to sample; `about` goes to `scatter` and `measure`, and `width` too.

    If `pooled`, the unit is of what the global pooling of a classifier reads.
    """

    name: str
    build: Callable[[int], Network]
    width: int = 16
    draws: int = 300
    about: dict[str, Any] = field(default_factory=dict)
    pooled: bool = True

    @property
    def node(self) -> str | None:
        """What the global pooling of a classifier reads; else the output."""
        pools = ("global_avg_pool", "adaptive_avg_pool") if self.pooled else ()
        return next((node.inputs[0] for node in self.build(self.width) if node.layer.op in pools), None)


def _chain(layers: int, *gate: Part, stride: int = 1, **conv: Any) -> Network:
    return repeat(serial(Conv(3, stride=stride, **conv), *gate), layers)


def _pre_activation(width: int) -> Network:
    branch = serial(BatchNorm(), Activation("relu"), Conv(3))
    return serial(Conv(3), repeat(residual(serial(branch, branch)), 4))


def _relu(layers: int) -> Callable[[int], Network]:
    return lambda width: _chain(layers, Activation("relu"))


def _strided(width: int) -> Network:
    relu = Activation("relu")
    return serial(*[_chain(n, relu, stride=stride) for n, stride in ((1, 2), (3, 1), (1, 2), (2, 1))])


def _pools(width: int) -> Network:
    stage = _chain(2, Activation("relu"))
    return serial(stage, MaxPool(2), stage, AvgPool(2), stage)


def _named(name: str, **options: Any) -> Callable[[int], Network]:
    return lambda width: getattr(zoo, name)(width=width, **options)


def _unit(kernel_size: int = 3, **conv: Any) -> Network:
    return serial(Conv(kernel_size, **conv), BatchNorm(), Activation("relu"))


def _post_activation(*parts: Any) -> Network:
    return serial(residual(serial(*parts)), Activation("relu"))


def _dilated(width: int) -> Network:
    return serial(_unit(), *[_post_activation(_unit(dilation=d), Conv(3, dilation=d), BatchNorm()) for d in (1, 2, 4)])


def _inception(width: int) -> Network:
    one, half = partial(_unit, 1), width // 2
    return serial(_unit(), repeat(concat(one(channels=half), serial(one(channels=half), _unit(channels=half)), serial(
        one(channels=half), _unit(5, channels=half)), serial(MaxPool(3, 1, 1), one(channels=half))), 3))


def _excited(width: int) -> Network:
    gate = serial(GlobalAvgPool(), Conv(1, width // 4), Activation("relu"), Conv(1, width), Activation("sigmoid"))
    return serial(_unit(), repeat(_post_activation(_unit(), Conv(3), BatchNorm(), multiply(Identity(), gate)), 3))


def _group_norm(width: int) -> Network:
    branch = serial(GroupNorm(4), Activation("relu"), Conv(3))
    return serial(Conv(3), repeat(residual(serial(branch, branch)), 3))


def _convnext(width: int) -> Network:
    branch = serial(Conv(7, groups="depthwise"), LayerNorm(), Conv(1, 4 * width), Activation("gelu"), Conv(1, width))
    return serial(Conv(4, stride=4, padding=0), LayerNorm(), repeat(residual(branch), 3))


def _transposed(width: int) -> Network:
    return serial(_unit(stride=2), _unit(stride=2), _unit(), ConvTranspose(2, stride=2), BatchNorm(),
                  Activation("relu"), _unit(), ConvTranspose(4, stride=2, padding=1), Activation("relu"), Conv(3))


def _bilinear(width: int) -> Network:
    return serial(_unit(stride=2), _unit(), Upsample(2, "bilinear"), _unit(), Conv(3))


def _depthwise(width: int) -> Network:
    return serial(_unit(), repeat(serial(_unit(groups="depthwise"), _unit(1)), 4))


def _shuffled(width: int) -> Network:
    part = serial(BatchNorm(), Activation("relu"), Conv(3, groups=4), Shuffle(4))
    return serial(Conv(3), repeat(part, 5))


#: Whole networks, and pixels of their images per axis.
NETWORKS = {"resnet18": 96, "vgg16": 64, "densenet121": 96, "unet": 48, "mobilenet_v2": 64, "resnet34": 64,
            "resnet50": 64, "googlenet": 64, "shufflenet_v2": 64, "mobilenet_v1": 64, "alexnet": 96, "vgg11": 48,
            "tcn": 64}

#: The eight cases by which the theory was found, another with pools, and whole networks of two widths.
CASES = (
    Case("10 linear layers", lambda width: _chain(10, weights=Random(gain=1.0))),
    Case("10 layers, ReLU", _relu(10)), Case("10 layers, ReLU", _relu(10), 64, 200),
    Case("8 layers, tanh", lambda width: _chain(8, Activation("tanh"))),
    Case("8 layers, batch norm, ReLU", lambda width: _chain(8, BatchNorm(), Activation("relu")), about={"image": 24}),
    Case("7 layers, ReLU, two of stride 2", _strided, about={"image": 48}),
    Case("4 pre-activation residual blocks", _pre_activation, about={"image": 24}),
    Case("8 layers, ReLU, corner unit", _relu(8), about={"image": 12, "unit": (0, 0)}),
    Case("6 layers, ReLU, max and mean pool", _pools, about={"image": 40}),
    Case("3 dilated residual blocks", _dilated, 16, 500, {"image": 33}),
    Case("the same, corner unit", _dilated, 16, 500, {"image": 24, "unit": (0, 0)}),
    Case("3 blocks of 4 branches", _inception, 16, 500, {"image": 24}),
    Case("3 residual blocks, squeeze and excite", _excited, 16, 500, {"image": 20}, False),
    Case("3 residual blocks, group norm", _group_norm, 16, 500, {"image": 20}),
    Case("3 ConvNeXt blocks", _convnext, 16, 500, {"image": 48}),
    Case("two transposed convolutions", _transposed, 16, 500, {"image": 32}),
    Case("bilinear upsampling", _bilinear, 16, 500, {"image": 24}),
    Case("4 depthwise separable layers", _depthwise, 16, 500, {"image": 20}),
    Case("5 grouped layers, shuffled", _shuffled, 16, 500, {"image": 16}),
    Case("6 layers, RMS norm", lambda width: _chain(6, RMSNorm()), 16, 500, {"image": 16}),
    Case("8 layers of 5 taps, ReLU, 1-D", lambda width: repeat(serial(Conv(5), Activation("relu")), 8), 16, 500,
         {"image": 48, "ndim": 1}),
    Case("4 layers, ReLU, 3-D", _relu(4), 16, 500, {"image": 11, "ndim": 3}),
    *(Case(name, _named(name), width, 200 if width < 32 else 150,
           {"image": size, **({"ndim": 1} if name == "tcn" else {})})
      for name, size in NETWORKS.items() for width in (16, 32)),
)


def sampled(case: Case, draws: int, rng: Any = 1) -> tuple[float, float]:
    """Standard deviations over networks of the size, in pixels, and of the logarithm of the total.

    A network's size is taken about the centroid of the mean field, as `scatter` takes it.
    """
    found = measure(case.build(case.width), draws=draws, rng=rng, width=case.width, node=case.node, **case.about)
    table = found.moments.table
    first, second = table[:, 1::2] / table[:, :1], table[:, 2::2] / table[:, :1]
    centre = table[:, 1::2].sum(axis=0) / table[:, 0].sum()
    sizes = np.sqrt((second - 2 * centre * first + centre**2).mean(axis=1))
    return float(sizes.std(ddof=1)), float(np.log(table[:, 0]).std(ddof=1))


def run(quick: bool = False) -> Table:
    """Theory beside what is sampled."""
    rows = []
    for case in CASES if not quick else CASES[1:2]:
        draws = 30 if quick else case.draws
        one = scatter(case.build(case.width), width=case.width, node=case.node, **case.about)
        size, total = sampled(case, draws)
        rows.append((case.name, case.width, draws, one.size, size, f"{one.size / size:.2f}", one.log_total, total,
                     f"{one.log_total / total:.2f}", f"{(2 * draws - 2)**-0.5:.2f}"))
    return Table("Scatter of single networks: standard deviations of the size in pixels and of the log total",
                 ("network", "width", "draws", "size, theory", "sampled", "ratio", "log total, theory", "sampled",
                  "ratio", "+-"), tuple(rows), ("+-: relative standard error of a sampled standard deviation",))
