"""Networks whose nodes are read by many: HRNet and U-Net++."""

from __future__ import annotations

from ...base.checks import integer
from ...layers import Activation, MaxPool, Upsample
from ..builder import Handle, NetworkBuilder
from ..building import Part, serial
from ..network import Network
from .blocks import FAN_OUT, checked, conv, entry, scaled
from .resnets import basic, bottleneck

__all__ = ["hrnet_w18", "unet_plus_plus"]

#: HRNet: modules of each stage but the first; a stage has one branch more than the one before.
_MODULES, _UNITS = (1, 4, 3), 4


def _exchanged(b: NetworkBuilder, branches: list[Handle], channels: list[int]) -> list[Handle]:
    """Each branch plus all others, brought to its size and channels."""
    def brought(j: int, i: int) -> Handle:
        if j == i:
            return branches[j]
        if j > i:
            return b(serial(conv(1, channels[i], None, weights=FAN_OUT), Upsample(2**(j - i))), branches[j])
        down: list[Part] = [conv(3, channels[j], stride=2, weights=FAN_OUT)] * (i - j - 1)
        return b(serial(*down, conv(3, channels[i], None, stride=2, weights=FAN_OUT)), branches[j])

    count = range(len(branches))
    return [b(Activation("relu"), b.add(*(brought(j, i) for j in count))) for i in count]


@entry("HRNet-W18", 2815, ", stride 4",
       width="int: Channels of the finest branch; all others in proportion.",
       notes="timm 1.0 hrnet_w18 without its classifier: four branches at strides 4 to 32 that exchange what they "
             "have, He's initialiser with fan-out. The output, `features`, is all of them at stride 4, one after the "
             "other.",
       reference="Wang et al., Deep high-resolution representation learning for visual recognition, 2021.")
@checked
def hrnet_w18(*, width: int = 18) -> Network:
    width = integer(width, "width", 1)
    stem = scaled(64, width, 18)
    b = NetworkBuilder()
    units = [bottleneck(stem, 1, i == 0, "layer1" if i == _UNITS - 1 else None) for i in range(_UNITS)]
    x = b(serial(*[conv(3, stem, stride=2, weights=FAN_OUT)] * 2, *units), b.input)
    branches, channels = [b(conv(3, width, weights=FAN_OUT), x)], [width]
    for modules in _MODULES:
        below = x if len(branches) == 1 else branches[-1]
        channels.append(2 * channels[-1])
        branches.append(b(conv(3, channels[-1], stride=2, weights=FAN_OUT), below))
        for _ in range(modules):
            branches = [b(serial(*[basic(c, 1, False, None)] * _UNITS), branch)
                        for c, branch in zip(channels, branches)]
            branches = _exchanged(b, branches, channels)
    whole = [b(Upsample(2**i, "bilinear"), branch) if i else branch for i, branch in enumerate(branches)]
    return b.build(b.concat(*whole, name="features"))


@entry("U-Net++", 220, ", stride 1", largest=236,
       levels="int: Poolings on the way down, each followed by twice the channels.",
       width="int: Channels of the first level.",
       notes="Nodes `x0_0` ... `x4_0` on the way down and `x0_1`, `x0_2`, ..., each of which reads all before it on "
             "its level and the one below it, enlarged: two 3x3 convolutions with batch norm, bilinear upsampling, "
             "He's initialiser with fan-in. Sides of the image must be multiples of 2^levels.",
       reference="Zhou et al., UNet++: redesigning skip connections to exploit multiscale features in image "
                 "segmentation, 2020.")
@checked
def unet_plus_plus(levels: int = 4, *, width: int = 32) -> Network:
    levels, width = integer(levels, "levels", 1), integer(width, "width", 1)
    b = NetworkBuilder()

    def double(level: int, column: int, x: Handle) -> Handle:
        return b(serial(conv(3, width << level), conv(3, width << level, end=f"x{level}_{column}")), x)

    rows = [[double(0, 0, b.input)]]
    for level in range(1, levels + 1):
        rows.append([double(level, 0, b(MaxPool(2), rows[-1][0]))])
    for column in range(1, levels + 1):
        for level in range(levels - column + 1):
            below = b(Upsample(2, "bilinear"), rows[level + 1][column - 1])
            rows[level].append(double(level, column, b.concat(*rows[level], below)))
    return b.build(rows[0][-1])
