"""Segmentation with ResNet-50: FCN, DeepLab v3, PSPNet, and the feature pyramid of detectors."""

from __future__ import annotations

import math
from typing import Any

from ...base.checks import integer
from ...base.errors import quoted
from ...layers import AdaptiveAvgPool, Conv, Dropout, GlobalAvgPool, Identity, Upsample
from ...layers.weights import Random
from ..builder import NetworkBuilder
from ..building import Part, concat, serial
from ..network import Network
from .blocks import TORCH, checked, conv, entry
from .resnets import dilated_resnet50, resnet50_stages

__all__ = ["deeplabv3_resnet50", "fcn", "fpn_resnet50", "pspnet"]

#: Classes of Pascal VOC with the background.
VOC = 21

_FAMILY: dict[str, Any] = {
    "width": "int: Channels of the stem; all others in proportion.",
    "head": "bool: Add dropout and the linear convolution to 21 classes; the references then enlarge the map 8 times."}
_BACKBONE = "ResNet-50 at stride 8, whose last strides are dilations, He's initialiser with fan-out"


def _headed(net: Network, head: bool, dropout: float) -> Network:
    return serial(net, Dropout(dropout), Conv(1, VOC, weights=TORCH, name="classifier")) if head else net


@entry("FCN, ResNet-50", 443, ", stride 8, padding 221", **_FAMILY,
       notes=f"torchvision 0.29 fcn_resnet50: {_BACKBONE}, and a 3x3 convolution, `features`, with PyTorch's default.",
       reference="Long, Shelhamer and Darrell, Fully convolutional networks for semantic segmentation, 2015.")
@checked
def fcn(*, width: int = 64, head: bool = False) -> Network:
    return _headed(serial(dilated_resnet50(width), conv(3, 8 * width, weights=TORCH, end="features")), head, 0.1)


@entry("DeepLab v3, ResNet-50", None, ", stride 8", **_FAMILY,
       notes=f"torchvision 0.29 deeplabv3_resnet50: {_BACKBONE}. Then side by side a 1x1 convolution, three 3x3 ones "
             "of dilation 12, 24, 36, and the mean of the whole map (`aspp`); `features` is the map before the "
             "classes.",
       reference="Chen et al., Rethinking atrous convolution for semantic image segmentation, 2017.")
@checked
def deeplabv3_resnet50(*, width: int = 64, head: bool = False) -> Network:
    def unit(kernel: int, **options: Any) -> Network:
        return conv(kernel, 4 * width, weights=TORCH, **options)

    dilated = (unit(3, dilation=d) for d in (12, 24, 36))
    pyramid = concat(unit(1), *dilated, serial(GlobalAvgPool(), unit(1)), name="aspp")
    net = serial(dilated_resnet50(width), pyramid, unit(1), Dropout(0.5), unit(3, end="features"))
    return serial(net, Conv(1, VOC, weights=TORCH, name="classifier")) if head else net


@entry("PSPNet, ResNet-50", None, ", stride 8",
       image="int: Size of the image, to which maps of bins are enlarged again.",
       bins="tuple of int: Bins along each axis of the averages of the map.",
       **_FAMILY,
       notes=f"{_BACKBONE}; averages over bins, a 1x1 convolution of each, bilinear upsampling and the map itself "
             "side by side (`pyramid`), then a 3x3 convolution, `features`. The reference's stem has three 3x3 "
             "convolutions.",
       reference="Zhao et al., Pyramid scene parsing network, 2017.")
@checked
def pspnet(image: int = 224, *, bins: tuple[int, ...] = (1, 2, 3, 6), width: int = 64, head: bool = False) -> Network:
    larger = Upsample(size=math.ceil(integer(image, "image", 1) / 8), mode="bilinear")
    branches: list[Part] = [serial(AdaptiveAvgPool(n), conv(1, 8 * width, weights=TORCH), larger) for n in bins]
    pyramid = concat(Identity(), *branches, name="pyramid")
    features = conv(3, 8 * width, weights=TORCH, end="features")
    return _headed(serial(dilated_resnet50(width), pyramid, features), head, 0.1)


@entry("Feature pyramid, ResNet-50", 459, ", stride 4",
       level="int: Which level of the pyramid is the output: 2 (stride 4) to 5 (stride 32).",
       width="int: Channels of the stem; all others in proportion.",
       notes="torchvision 0.29 resnet_fpn_backbone: stages `layer1` ... `layer4` of ResNet-50, a 1x1 convolution of "
             "each, added to the nearest upsampling of the level above it, then a 3x3 convolution. He's initialiser "
             "with fan-out, Keras' default (gain 1, fan-in, uniform) for the pyramid. Sides of the image must be "
             "multiples of 32.",
       reference="Lin et al., Feature pyramid networks for object detection, 2017.")
@checked
def fpn_resnet50(level: int = 2, *, width: int = 64) -> Network:
    if level not in (2, 3, 4, 5):
        raise ValueError(f"level={quoted(level)}: must be 2, 3, 4 or 5")
    weights, c = Random(gain=1.0, law="uniform"), 4 * integer(width, "width", 1)
    b = NetworkBuilder()
    x = b.input
    maps = [x := b(stage, x) for stage in resnet50_stages(width)][1:]
    inner = b(Conv(1, c, weights=weights), maps[3])
    for there in reversed(maps[level - 2:3]):
        inner = b.add(b(Conv(1, c, weights=weights), there), b(Upsample(2), inner))
    return b.build(b(Conv(3, c, weights=weights, name=f"p{level}"), inner))
