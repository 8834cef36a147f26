"""Networks of depthwise convolutions: MobileNet v1 and v2."""

from __future__ import annotations

from ..network import Network, Part, residual, serial
from .blocks import FAN_OUT, classifier, conv, scaled

__all__ = ["mobilenet_v1", "mobilenet_v2"]

#: MobileNet v1: channels and stride of the depthwise separable convolutions.
_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))

#: MobileNet v2: expansion, channels, units, stride of the first.
_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v1(*, width: int = 32, head: bool = False) -> Network:
    """MobileNet v1: receptive field 315, stride 32 at `Conv2d_13_pointwise`.

    TF-Slim's mobilenet_v1, padding "same"; the convolutions bear its names.  ReLU stands for ReLU6,
    which it equals for all but large inputs.  He's initialiser with fan-in instead of a truncated normal of
    standard deviation 0.09; behind every convolution a batch norm takes the difference out.

    References
    ----------
    Howard et al., MobileNets: efficient convolutional neural networks for mobile vision applications, 2017.
    """
    parts: list[Part] = [conv(3, width, stride=2, padding="same", name="Conv2d_0")]
    for i, (channels, stride) in enumerate(_V1, start=1):
        parts += [conv(3, None, groups="depthwise", stride=stride, padding="same", name=f"Conv2d_{i}_depthwise"),
                  conv(1, scaled(channels, width, 32), name=f"Conv2d_{i}_pointwise")]
    return classifier(parts, head)


def _inverted_residual(c_in: int, c_out: int, expansion: int, stride: int, name: str | None) -> Network:
    """Expand, 3x3 depthwise, project; the identity is added where the shape stays."""
    expand = [conv(1, expansion * c_in, weights=FAN_OUT)] if expansion > 1 else []
    depthwise = conv(3, None, groups="depthwise", stride=stride, weights=FAN_OUT)
    unit = serial(*expand, depthwise, Conv(1, c_out, weights=FAN_OUT), BatchNorm(name=name))
    return unit
