"""Networks of depthwise convolutions: MobileNet v1 and v2, ShuffleNet v2."""

from __future__ import annotations

from ...layers import BatchNorm, Conv, Identity, MaxPool, Shuffle
from ..building import Part, concat, residual, serial, split
from ..network import Network
from .blocks import FAN_OUT, HEAD, TORCH, checked, classifier, conv, entry, scaled

__all__ = ["mobilenet_v1", "mobilenet_v2", "shufflenet_v2"]

#: MobileNet v1: channels and stride of the depthwise separable convolutions.
_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))

#: MobileNet v2: expansion, channels, units, stride of the first.
_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@checked
def mobilenet_v1(*, width: int = 32, head: bool = False) -> Network:
    """MobileNet v1: receptive field 315, stride 32.

    TF-Slim's mobilenet_v1 with its padding "same" and its names of the convolutions, `Conv2d_0` to
    `Conv2d_13_pointwise`.  ReLU replaces ReLU6: after a batch norm hardly any input exceeds 6.
    He's initialiser with fan-in replaces a truncated normal of standard deviation 0.09: the
    batch norm takes the difference out.

    Parameters
    ----------
    width : int
        Channels of the first convolution; all others in proportion.
    head : bool
        Add global average pooling and the classifier: the receptive field is the whole image.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        If a size is no positive integer.

    See Also
    --------
    build : A network by its name.

    References
    ----------
    Howard et al., MobileNets: efficient convolutional neural networks for mobile vision
    applications, 2017.

    Examples
    --------
    >>> import erfmath as em
    >>> em.receptive_field(em.zoo.mobilenet_v1(), node="Conv2d_0").size
    (3, 3)
    >>> em.receptive_field(em.zoo.mobilenet_v1()).size
    (315, 315)
    """
    parts: list[Part] = [conv(3, width, stride=2, padding="same", name="Conv2d_0")]
    for i, (channels, stride) in enumerate(_V1, start=1):
        parts += [conv(3, None, groups="depthwise", stride=stride, padding="same",
                       name=f"Conv2d_{i}_depthwise"),
                  conv(1, scaled(channels, width, 32), name=f"Conv2d_{i}_pointwise")]
    return classifier(parts, head)


def _inverted_residual(c_in: int, c_out: int, expansion: int, stride: int, name: str | None) -> Network:
    """1x1 to more channels, 3x3 depthwise, linear 1x1; the identity added if the shape stays."""
    expand = [conv(1, expansion * c_in, weights=FAN_OUT)] if expansion > 1 else []
    branch = serial(*expand, conv(3, None, groups="depthwise", stride=stride, weights=FAN_OUT),
                    Conv(1, c_out, weights=FAN_OUT))
    if stride == 1 and c_in == c_out:
        return residual(serial(branch, BatchNorm()), name=name)
    return serial(branch, BatchNorm(name=name))


@checked
def mobilenet_v2(*, width: int = 32, head: bool = False) -> Network:
    """MobileNet v2: receptive field 491, stride 32.

    torchvision 0.29 mobilenet_v2: He's initialiser with fan-out.  ReLU replaces ReLU6: after a
    batch norm hardly any input exceeds 6.  `stage1` ... `stage7` are the ends of the groups of
    inverted residuals, `features` is the last map.

    Parameters
    ----------
    width : int
        Channels of the first convolution; all others in proportion.
    head : bool
        Add global average pooling and the classifier: the receptive field is the whole image.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        If a size is no positive integer.

    See Also
    --------
    build : A network by its name.

    References
    ----------
    Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, 2018.

    Examples
    --------
    >>> import erfmath as em
    >>> em.zoo.mobilenet_v2(width=8).shapes(image=224)["features"]
    (7, 7)
    """
    parts: list[Part] = [conv(3, width, stride=2, weights=FAN_OUT)]
    c_in = width
    for stage, (expansion, channels, units, stride) in enumerate(_V2, start=1):
        c_out = scaled(channels, width, 32)
        for i in range(units):
            name = f"stage{stage}" if i == units - 1 else None
            parts.append(_inverted_residual(c_in, c_out, expansion, 1 if i else stride, name))
            c_in = c_out
    parts.append(conv(1, 40 * width, weights=FAN_OUT, end="features"))
    return classifier(parts, head)


#: ShuffleNet v2: channels and units of the stages.
_SHUFFLE = ((116, 4), (232, 8), (464, 4))


def _shuffled(half: int, stride: int, name: str | None) -> Network:
    """Half of the channels as they are and half through a bottleneck, shuffled; where it strides, all through both."""
    def depthwise(stride: int) -> Network:
        return conv(3, None, None, groups="depthwise", stride=stride, weights=TORCH)

    def pointwise() -> Network:
        return conv(1, half, weights=TORCH)

    branch = serial(pointwise(), depthwise(stride), pointwise())
    if stride == 1:
        return serial(split((half, half), Identity(), branch), Shuffle(2, name=name))
    return serial(concat(serial(depthwise(stride), pointwise()), branch), Shuffle(2, name=name))


@entry("ShuffleNet v2", 527, ", stride 32, padding 263",
       width="int: Channels of the first convolution; all others in proportion.",
       head="bool: " + HEAD,
       notes="torchvision 0.29 shufflenet_v2_x1_0: PyTorch's default initialiser. Nodes `maxpool`, `stage2` ... "
             "`stage4`, and `conv5`, the last map.",
       reference="Ma et al., ShuffleNet V2: practical guidelines for efficient CNN architecture design, 2018.")
@checked
def shufflenet_v2(*, width: int = 24, head: bool = False) -> Network:
    parts: list[Part] = [conv(3, width, stride=2, weights=TORCH), MaxPool(3, 2, 1, name="maxpool")]
    for stage, (channels, units) in enumerate(_SHUFFLE, start=2):
        half = scaled(channels // 2, width, 24)
        parts += [_shuffled(half, 1 if i else 2, f"stage{stage}" if i == units - 1 else None) for i in range(units)]
    parts.append(conv(1, scaled(1024, width, 24), weights=TORCH, end="conv5"))
    return classifier(parts, head)
