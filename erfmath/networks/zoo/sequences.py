"""Networks of sequences and of volumes: WaveNet, TCN, and U-Net in three dimensions."""

from __future__ import annotations

from typing import Any

from ...base.checks import integer
from ...layers import Activation, Conv, ConvTranspose, Identity, MaxPool
from ...layers.weights import Random
from ..builder import NetworkBuilder
from ..building import Part, concat, residual, serial
from ..network import Network
from .blocks import TORCH, checked, conv, entry

__all__ = ["tcn", "unet3d", "wavenet"]


def _causal(kernel_size: int, channels: int, dilation: int = 1, weights: Random = Random(), bias: Any = 0.0) -> Conv:
    """A convolution along one axis that reads nothing later."""
    return Conv((kernel_size,), channels, dilation=dilation, padding=(dilation * (kernel_size - 1), 0), weights=weights,
                bias=bias)


@entry("WaveNet", (3071,), ", stride 1",
       stacks="int: How often the dilations 1, 2, 4, ... are run through.",
       layers="int: Dilations of a stack.",
       width="int: Channels of the residual stream; the skip connections have 16 times as many.",
       head="bool: Add the two layers that make the 256 classes of a sample.",
       notes="Gated units tanh(f) sigmoid(g) of causal convolutions of two taps, read by the next unit and by the "
             "output; PyTorch's default initialiser. `skips` is the sum that the head reads. Sizes are those of a "
             "known implementation (32 and 512 channels); the reference gives none.",
       reference="Van den Oord et al., WaveNet: a generative model for raw audio, 2016.")
@checked
def wavenet(stacks: int = 3, layers: int = 10, *, width: int = 32, head: bool = False) -> Network:
    stacks, layers, width = integer(stacks, "stacks", 1), integer(layers, "layers", 1), integer(width, "width", 1)
    torch: dict[str, Any] = {"weights": TORCH, "bias": "weights"}
    b = NetworkBuilder()

    def causal(dilation: int) -> Conv:
        return _causal(2, width, dilation, **torch)

    def pointwise(channels: int, name: str | None = None) -> Conv:
        return Conv(1, channels, name=name, **torch)

    x, skips = b(causal(1), b.input), []
    for i in range(stacks * layers):
        d = 2**(i % layers)
        z = b.multiply(b(serial(causal(d), Activation("tanh")), x),
                       b(serial(causal(d), Activation("sigmoid")), x))
        skips.append(b(pointwise(16 * width), z))
        x = b.add(x, b(pointwise(width), z))
    end = b.add(*skips, name="skips")
    if head:
        relu, last = Activation("relu"), pointwise(256, name="classifier")
        end = b(serial(relu, pointwise(16 * width), relu, last), end)
    return b.build(end)


@entry("Temporal convolutional network", (3061,), ", stride 1",
       levels="int: Residual units, of dilations 1, 2, 4, ...",
       kernel_size="int: Taps of the convolutions.",
       width="int: Channels of every layer.",
       notes="Two causal convolutions with ReLU a unit, the sum with what came in, and ReLU again; dropout and weight "
             "norm are left out. The first unit's shortcut is a 1x1 convolution. He's initialiser with fan-in. Nodes "
             "`level1`, `level2`, ... Defaults are those of the reference for sequential MNIST.",
       reference="Bai, Kolter and Koltun, An empirical evaluation of generic convolutional and recurrent networks for "
                 "sequence modeling, 2018.")
@checked
def tcn(levels: int = 8, kernel_size: int = 7, *, width: int = 25) -> Network:
    relu = Activation("relu")
    parts: list[Part] = []
    for i in range(integer(levels, "levels", 1)):
        branch = serial(_causal(kernel_size, width, 2**i), relu, _causal(kernel_size, width, 2**i), relu)
        parts.append(serial(residual(branch, None if i else Conv(1, width)), Activation("relu", name=f"level{i + 1}")))
    return serial(*parts)


@entry("3-D U-Net", (92, 92, 92), ", stride 1", largest=100,
       levels="int: Poolings on the way down, each followed by twice the channels.",
       width="int: Half of the channels of the first level: its two convolutions have `width` and twice as many.",
       head="bool: Add the 1x1x1 convolution to the reference's three classes.",
       notes="Layout of the reference with padding that keeps the size: 3x3x3 convolutions with batch norm, "
             "transposed ones of 2x2x2 that keep the channels. He's initialiser with fan-in. Nodes `down1`, `down2`, "
             "..., `bottom`, ..., `up1`; sides must be multiples of 2^levels.",
       reference="Cicek et al., 3D U-Net: learning dense volumetric segmentation from sparse annotation, 2016.")
@checked
def unet3d(levels: int = 3, *, width: int = 32, head: bool = False) -> Network:
    levels, width = integer(levels, "levels", 1), integer(width, "width", 1)
    cube = (3, 3, 3)

    def down(level: int, name: str) -> Network:
        return serial(conv(cube, width << level), conv(cube, width << level + 1, end=name))

    net = down(levels, "bottom")
    for level in reversed(range(levels)):
        c = width << level + 1
        below = serial(MaxPool((2, 2, 2)), net, ConvTranspose((2, 2, 2), 2 * c, stride=2))
        net = serial(down(level, f"down{level + 1}"), concat(Identity(), below),
                     conv(cube, c), conv(cube, c, end=f"up{level + 1}"))
    return serial(net, Conv(1, 3, name="classifier")) if head else net
