"""Networks from images to images: EDSR and NAFNet."""

from __future__ import annotations

from typing import Any

from ...base.checks import integer, real
from ...layers import Activation, Conv, GlobalAvgPool, Identity, LayerNorm, PixelShuffle, Scale, Slice
from ..building import Part, multiply, repeat, residual, serial
from ..network import Network
from .blocks import TORCH, checked, entry

__all__ = ["edsr", "nafnet"]


def _conv(kernel_size: int, channels: int | None = None, **options: Any) -> Conv:
    """A convolution as PyTorch begins it, with biases."""
    return Conv(kernel_size, channels, weights=TORCH, bias="weights", **options)


@entry("EDSR, baseline", 72, ", stride 1/2",
       blocks="int: Residual blocks.",
       width="int: Channels of every layer but the last.",
       scale="int: How many times larger the image becomes.",
       residual_scale="float: Factor of the residual branches: 1 in the baseline, 0.1 in the large network of 32 "
                      "blocks and width 256.",
       notes="The reference's code, without its shift of the mean: PyTorch's default initialiser. A pixel shuffle "
             "enlarges the map; `body` is the end of the residual blocks.",
       reference="Lim et al., Enhanced deep residual networks for single image super-resolution, 2017.")
@checked
def edsr(blocks: int = 16, *, width: int = 64, scale: int = 2, residual_scale: float = 1.0) -> Network:
    scale = integer(scale, "scale", 1)
    branch: list[Part] = [_conv(3, width), Activation("relu"), _conv(3, width)]
    if real(residual_scale, "residual_scale") != 1:
        branch.append(Scale(residual_scale))
    body = serial(repeat(residual(serial(*branch)), integer(blocks, "blocks", 1)), _conv(3, width))
    larger = serial(_conv(3, scale**2 * width), PixelShuffle(scale))
    return serial(_conv(3, width), residual(body, name="body"), larger, _conv(3, 3, name="image"))


#: NAFNet: blocks of the levels on the way down, at the bottom, and on the way up.
_DOWN, _BOTTOM, _UP = (2, 2, 4, 8), 12, (2, 2, 2, 2)


@entry("NAFNet", 622, ", stride 1", largest=638, gated=True,
       width="int: Channels of the first level; they double from level to level.",
       layer_scale="float: Factor of the residual branches; the reference begins with 0, where no block does "
                   "anything, and training makes it of order 1.",
       notes="The reference's code for its width of 32: products of two halves of the channels (simple gates) in "
             "place of activations, PyTorch's default initialiser. Sides of the image must be multiples of 16. Nodes "
             "`down1` ... `down4`, `bottom`, `up4` ... `up1`; `image` is the input plus the output.",
       reference="Chen et al., Simple baselines for image restoration, 2022.")
@checked
def nafnet(*, width: int = 32, layer_scale: float = 1.0) -> Network:
    width = integer(width, "width", 1)

    def gated(c: int, before: Part, after: Part = Identity()) -> Network:
        """Layer norm, twice the channels, the product of their halves, and back."""
        product = multiply(Slice(0, c), Slice(c, 2 * c))
        return residual(serial(LayerNorm(), _conv(1, 2 * c), before, product, after, _conv(1, c), Scale(layer_scale)))

    def blocks(level: int, count: int, name: str) -> Network:
        c = width << level
        attention = multiply(Identity(), serial(GlobalAvgPool(), _conv(1, c)))
        depthwise = _conv(3, groups="depthwise")
        one = serial(gated(c, depthwise, attention), gated(c, Identity()))
        return serial(repeat(one, count), Identity(name=name))

    net = blocks(4, _BOTTOM, "bottom")
    for level in reversed(range(4)):
        c = width << level
        below = serial(_conv(2, 2 * c, stride=2, padding="valid"), net, Conv(1, 4 * c, weights=TORCH),
                       PixelShuffle(2))
        net = serial(blocks(level, _DOWN[level], f"down{level + 1}"), residual(below),
                     blocks(level, _UP[level], f"up{level + 1}"))
    return residual(serial(_conv(3, width), net, _conv(3, 3)), name="image")
