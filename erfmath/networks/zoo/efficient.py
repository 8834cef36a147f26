"""Networks of inverted residuals with squeeze-and-excite: MNASNet, MobileNet v3, EfficientNet."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...layers import Activation, BatchNorm, Conv, GlobalAvgPool
from ...layers.weights import Random
from ..building import Part, residual, serial
from ..network import Network
from .blocks import CLASSES, FAN_OUT, HEAD, checked, classifier, conv, entry, scaled, squeeze_excite

__all__ = ["efficientnet_b0", "efficientnet_v2_s", "mnasnet", "mobilenet_v3_large", "mobilenet_v3_small"]


class _Block(NamedTuple):
    """An inverted residual: its kernel, channels in between and after it, stride, and what makes it one of its kind."""

    kernel: int
    inner: int
    channels: int
    stride: int
    activation: str = "relu"
    squeezed: int | None = None
    gate: str = "sigmoid"
    fused: bool = False


def _inverted(block: _Block, c_in: int, width: int, reference: int, name: str | None) -> Network:
    """1x1 to more channels, depthwise convolution, squeeze-and-excite, linear 1x1; fused: one convolution for two.

    The identity is added if the shape stays.
    """
    def c(channels: int) -> int:
        return scaled(channels, width, reference)

    expands, (kernel, inner, c_out, stride, act, squeezed, gate, fused) = block.inner != c_in, block
    parts: list[Part] = []
    if fused:
        parts.append(conv(kernel, c(inner), act, stride=stride, weights=FAN_OUT))
    else:
        if expands:
            parts.append(conv(1, c(inner), act, weights=FAN_OUT))
        parts.append(conv(kernel, None, act, groups="depthwise", stride=stride, weights=FAN_OUT))
    if squeezed is not None:
        parts.append(squeeze_excite(c(inner), c(squeezed), "silu" if act == "silu" else "relu", gate))
    identity = stride == 1 and c_in == c_out
    if not fused or expands:
        parts += [Conv(1, c(c_out), weights=FAN_OUT), BatchNorm(name=None if identity else name)]
    branch = serial(*parts)
    return residual(branch, name=name) if identity else branch


def _body(stages: list[list[_Block]], stem: int, last: int, activation: str, width: int, end: str = "features"
          ) -> list[Part]:
    """A 3x3 convolution of stride 2, the stages, of which the last units are named, and a 1x1 convolution."""
    parts: list[Part] = [conv(3, width, activation, stride=2, weights=FAN_OUT)]
    c_in = stem
    for i, blocks in enumerate(stages, start=1):
        for block in blocks:
            parts.append(_inverted(block, c_in, width, stem, f"stage{i}" if block is blocks[-1] else None))
            c_in = block.channels
    parts.append(conv(1, scaled(last, width, stem), activation, weights=FAN_OUT, end=end))
    return parts


_WIDTH = "int: Channels of the first convolution; all others in proportion."

# -- MNASNet ------------------------------------------------------------------------------------

#: MNASNet: kernel, channels, stride, expansion, units.
_MNASNET = ((3, 24, 2, 3, 3), (5, 40, 2, 3, 3), (5, 80, 2, 6, 3), (3, 96, 1, 6, 2), (5, 192, 2, 6, 4),
            (3, 320, 1, 6, 1))


def _units(kernel: int, c_in: int, channels: int, stride: int, expansion: int, units: int, activation: str = "relu",
           squeezes: bool = False, fused: bool = False) -> list[_Block]:
    """The units of a stage; squeeze-and-excite has a quarter of the channels that a unit reads."""
    sizes = [c_in] + [channels] * (units - 1)
    return [_Block(kernel, expansion * c, channels, 1 if i else stride, activation, c // 4 if squeezes else None,
                   fused=fused) for i, c in enumerate(sizes)]


@entry("MNASNet-B1", 843, ", stride 32, padding 421", width=_WIDTH, head="bool: " + HEAD,
       notes="torchvision 0.29 mnasnet1_0: He's initialiser with fan-out. Nodes `stage1` ... `stage7` are the ends of "
             "the groups of inverted residuals, `features` is the last map.",
       reference="Tan et al., MnasNet: platform-aware neural architecture search for mobile, 2019.")
@checked
def mnasnet(*, width: int = 32, head: bool = False) -> Network:
    stages, c_in = [[_Block(3, 32, 16, 1)]], 16
    for kernel, channels, stride, expansion, units in _MNASNET:
        stages.append(_units(kernel, c_in, channels, stride, expansion, units))
        c_in = channels
    return classifier(_body(stages, 32, 1280, "relu", width), head)


# -- MobileNet v3 -------------------------------------------------------------------------------

#: MobileNet v3: kernel, channels in between and after it, stride, channels of squeeze-and-excite; hard swish or ReLU.
_LARGE = ([(3, 16, 16, 1, None)], [(3, 64, 24, 2, None), (3, 72, 24, 1, None)],
          [(5, 72, 40, 2, 24), (5, 120, 40, 1, 32), (5, 120, 40, 1, 32)],
          [(3, 240, 80, 2, None), (3, 200, 80, 1, None), (3, 184, 80, 1, None), (3, 184, 80, 1, None),
           (3, 480, 112, 1, 120), (3, 672, 112, 1, 168)],
          [(5, 672, 160, 2, 168), (5, 960, 160, 1, 240), (5, 960, 160, 1, 240)])
_SMALL = ([(3, 16, 16, 2, 8)], [(3, 72, 24, 2, None), (3, 88, 24, 1, None)],
          [(5, 96, 40, 2, 24), (5, 240, 40, 1, 64), (5, 240, 40, 1, 64), (5, 120, 48, 1, 32), (5, 144, 48, 1, 40)],
          [(5, 288, 96, 2, 72), (5, 576, 96, 1, 144), (5, 576, 96, 1, 144)])


def _mobilenet_v3(table: Any, hard: int, last: int, hidden: int,
                  width: int, head: bool) -> Network:
    """Stages from number `hard` on have hard swish."""
    stages = [[_Block(kernel, inner, channels, stride, "hardswish" if i >= hard else "relu", squeezed, "hardsigmoid")
               for kernel, inner, channels, stride, squeezed in blocks] for i, blocks in enumerate(table)]
    parts = _body(stages, 16, last, "hardswish", width)
    if head:
        small = Random(gain=0.01**2 * scaled(last, width, 16)), Random(gain=0.01**2 * scaled(hidden, width, 16))
        parts += [GlobalAvgPool(), Conv(1, scaled(hidden, width, 16), weights=small[0], name="hidden"),
                  Activation("hardswish"), Conv(1, CLASSES, weights=small[1], name="classifier")]
    return serial(*parts)


_V3: dict[str, Any] = {
    "width": _WIDTH, "reference": "Howard et al., Searching for MobileNetV3, 2019.",
    "head": "bool: Add global average pooling and the two layers of the classifier, which see the whole image."}


@entry("MobileNet v3, large", 595, ", stride 32, padding 297", gated=True,
       notes="torchvision 0.29 mobilenet_v3_large: He's initialiser with fan-out. Nodes `stage1` ... `stage5` and "
             "`features`.",
       **_V3)
@checked
def mobilenet_v3_large(*, width: int = 16, head: bool = False) -> Network:
    return _mobilenet_v3(_LARGE, 3, 960, 1280, width, head)


@entry("MobileNet v3, small", 639, ", stride 32, padding 319", gated=True,
       notes="torchvision 0.29 mobilenet_v3_small: He's initialiser with fan-out. Nodes `stage1` ... `stage4` and "
             "`features`.",
       **_V3)
@checked
def mobilenet_v3_small(*, width: int = 16, head: bool = False) -> Network:
    return _mobilenet_v3(_SMALL, 2, 576, 1024, width, head)


# -- EfficientNet -------------------------------------------------------------------------------

#: EfficientNet: kernel, channels, stride, expansion, units, fused.
_B0 = ((3, 16, 1, 1, 1, False), (3, 24, 2, 6, 2, False), (5, 40, 2, 6, 2, False), (3, 80, 2, 6, 3, False),
       (5, 112, 1, 6, 3, False), (5, 192, 2, 6, 4, False), (3, 320, 1, 6, 1, False))
_V2_S = ((3, 24, 1, 1, 2, True), (3, 48, 2, 4, 4, True), (3, 64, 2, 4, 4, True), (3, 128, 2, 4, 6, False),
         (3, 160, 1, 6, 9, False), (3, 256, 2, 6, 15, False))


def _efficientnet(table: tuple[tuple[int, int, int, int, int, bool], ...], stem: int, width: int, head: bool
                  ) -> Network:
    stages, c_in = [], stem
    for kernel, channels, stride, expansion, units, fused in table:
        stages.append(_units(kernel, c_in, channels, stride, expansion, units, "silu", not fused, fused))
        c_in = channels
    return classifier(_body(stages, stem, 1280, "silu", width), head)


_EFFICIENT: dict[str, Any] = {"width": _WIDTH, "head": "bool: " + HEAD}


@entry("EfficientNet-B0", 851, ", stride 32, padding 425", gated=True, **_EFFICIENT,
       notes="torchvision 0.29 efficientnet_b0: He's initialiser with fan-out. Nodes `stage1` ... `stage7` and "
             "`features`.",
       reference="Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019.")
@checked
def efficientnet_b0(*, width: int = 32, head: bool = False) -> Network:
    return _efficientnet(_B0, 32, width, head)


@entry("EfficientNet-v2, small", 1487, ", stride 32, padding 743", gated=True, **_EFFICIENT,
       notes="torchvision 0.29 efficientnet_v2_s: stages 1 to 3 of fused units, which have one 3x3 convolution in "
             "place of a 1x1 and a depthwise one. He's initialiser with fan-out. Nodes `stage1` ... `stage6` and "
             "`features`.",
       reference="Tan and Le, EfficientNetV2: smaller models and faster training, 2021.")
@checked
def efficientnet_v2_s(*, width: int = 24, head: bool = False) -> Network:
    return _efficientnet(_V2_S, 24, width, head)
