"""Chains: AlexNet, VGG, SqueezeNet, and the plain stacks of the theory."""

from __future__ import annotations

from typing import Any

from ...base.checks import integer
from ...layers import Activation, Conv, Dropout, GlobalAvgPool, MaxPool
from ...layers.weights import Random, Weights
from ..building import Part, concat, repeat, serial
from ..network import Network
from .blocks import CLASSES, FAN_OUT, checked, conv, documented, entry, fixed_std, scaled

__all__ = ["alexnet", "plain", "squeezenet", "vgg11", "vgg13", "vgg16", "vgg19"]

#: AlexNet: kernel, channels, stride, padding, pooled.
_ALEXNET = ((11, 64, 4, 2, True), (5, 192, 1, 2, True), (3, 384, 1, 1, False),
            (3, 256, 1, 1, False), (3, 256, 1, 1, True))

#: VGG: 3x3 convolutions per stage, and the channels of the stages in units of the width.
_VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_VGG_CHANNELS = (1, 2, 4, 8, 8)


def _fully_connected(side: int, hidden: int, first: Random, rest: Random) -> list[Part]:
    """The two hidden layers and the classifier of AlexNet and VGG, for a map of `side` x `side`."""
    return [Conv(side, hidden, padding="valid", weights=first, name="fc6"),
            Activation("relu"), Dropout(0.5),
            Conv(1, hidden, weights=rest, name="fc7"), Activation("relu"), Dropout(0.5),
            Conv(1, CLASSES, weights=rest, name="classifier")]


@checked
def alexnet(*, width: int = 64, head: bool = False) -> Network:
    """AlexNet as torchvision 0.29 builds it: receptive field 195, stride 32, padding 66.

    One tower, without local response normalisation, padding 2 in `conv1`; PyTorch's default
    initialiser, uniform of gain 1/3.  `head` adds the fully connected layers, the first as a 6x6
    convolution without padding (one unit at 224 pixels); dropout comes after the hidden layers.

    Parameters
    ----------
    width : int
        Channels of the first convolution; all others in proportion.
    head : bool
        Add the fully connected layers.

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
    Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.zoo.alexnet(head=True)
    >>> net.shapes(image=224)["pool5"], net.shapes(image=224)["classifier"]
    ((6, 6), (1, 1))
    """
    weights = Random(gain=1 / 3, law="uniform")
    parts: list[Part] = []
    for i, (kernel, channels, stride, padding, pooled) in enumerate(_ALEXNET, start=1):
        parts.append(conv(kernel, scaled(channels, width, 64), norm=False, stride=stride,
                          padding=padding, weights=weights, name=f"conv{i}"))
        if pooled:
            parts.append(MaxPool(3, 2, name=f"pool{i}"))
    if head:
        parts += _fully_connected(6, 64 * width, weights, weights)
    return serial(*parts)


def _vgg(depth: int, width: int, batch_norm: bool, head: bool) -> Network:
    """VGG-{depth} ({letter}): receptive field {size}, stride 32, padding {padding}.

    Parameters
    ----------
    width : int
        Channels of the first stage; the others have 2, 4, 8 and 8 times as many.
    batch_norm : bool
        Batch norm after every convolution, as torchvision's {builder}_bn.
    head : bool
        Add the fully connected layers, as a 7x7 convolution without padding (one unit at 224 pixels) and two 1x1
        convolutions.

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

    Notes
    -----
    torchvision 0.29 {builder}: He's initialiser with fan-out for the convolutions, standard deviation 0.01 for the
    fully connected layers.  Nodes `conv1_1` ... `conv5_{last}` (stride 16) and `pool1` ... `pool5`.

    References
    ----------
    Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2015.

    Examples
    --------
    >>> import erfmath as em
    >>> rf = em.receptive_field(em.zoo.{builder}())
    >>> rf.size, rf.stride, rf.padding
    (({size}, {size}), (32, 32), ({padding}, {padding}))
    """
    width = integer(width, "width", 1)
    parts: list[Part] = []
    for stage, (convs, scale) in enumerate(zip(_VGG[depth], _VGG_CHANNELS), start=1):
        for i in range(1, convs + 1):
            parts.append(conv(3, scale * width, norm=batch_norm, weights=FAN_OUT, name=f"conv{stage}_{i}"))
        parts.append(MaxPool(2, name=f"pool{stage}"))
    if head:
        hidden = 64 * width
        first, rest = fixed_std(0.01, 7 * 7 * 8 * width), fixed_std(0.01, hidden)
        parts += _fully_connected(7, hidden, first, rest)
    return serial(*parts)


@documented(_vgg, depth=11, letter="configuration A, TF-Slim's vgg_a", size=150, padding=59, last=_VGG[11][-1])
@checked
def vgg11(*, width: int = 64, batch_norm: bool = False, head: bool = False) -> Network:
    return _vgg(11, width, batch_norm, head)


@documented(_vgg, depth=13, letter="configuration B", size=156, padding=62, last=_VGG[13][-1])
@checked
def vgg13(*, width: int = 64, batch_norm: bool = False, head: bool = False) -> Network:
    return _vgg(13, width, batch_norm, head)


@documented(_vgg, depth=16, letter="configuration D", size=212, padding=90, last=_VGG[16][-1])
@checked
def vgg16(*, width: int = 64, batch_norm: bool = False, head: bool = False) -> Network:
    return _vgg(16, width, batch_norm, head)


@documented(_vgg, depth=19, letter="configuration E", size=268, padding=118, last=_VGG[19][-1])
@checked
def vgg19(*, width: int = 64, batch_norm: bool = False, head: bool = False) -> Network:
    return _vgg(19, width, batch_norm, head)


#: SqueezeNet 1.0: squeezed and expanded channels of the fire modules; a pool comes before those of these numbers.
_FIRE, _POOLED = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)), (0, 3, 7)


@entry("SqueezeNet 1.0", 155, ", stride 16, padding 60",
       width="int: Channels of the first convolution; all others in proportion.",
       head="bool: Add dropout, the 1x1 convolution to the classes with its ReLU, and global average pooling.",
       notes="torchvision 0.29 squeezenet1_0: pools round the size of the map up (`ceil_mode`). He's initialiser with "
             "fan-in, uniform; standard deviation 0.01 for the classifier. Nodes `fire2` ... `fire9`.",
       reference="Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016.")
@checked
def squeezenet(*, width: int = 96, head: bool = False) -> Network:
    weights = Random.like("he_uniform")

    def unit(kernel: int, channels: int, **options: Any) -> Network:
        return conv(kernel, scaled(channels, width, 96), norm=False, weights=weights, **options)

    parts: list[Part] = [unit(7, 96, stride=2, padding="valid")]
    for i, (squeezed, expanded) in enumerate(_FIRE):
        if i in _POOLED:
            parts.append(MaxPool(3, 2, 0, ceil_mode=True))
        parts += [unit(1, squeezed), concat(unit(1, expanded), unit(3, expanded), name=f"fire{i + 2}")]
    if head:
        last = Conv(1, CLASSES, weights=fixed_std(0.01, scaled(512, width, 96)), name="classifier")
        parts += [Dropout(0.5), last, Activation("relu"), GlobalAvgPool()]
    return serial(*parts)


@checked
def plain(n: int = 20, kernel_size: int = 3, activation: str | None = None, *,
          width: int | None = None, weights: Weights = Random()) -> Network:
    """`n` equal convolutions, each followed by `activation` if one is named: the paper's stacks.

    Receptive field n (k - 1) + 1.  ``width=None`` leaves the channels to the run;
    ``weights=Constant()`` is the paper's all-ones network.  Odd kernels keep the size of the map,
    even ones have no padding.

    Parameters
    ----------
    n : int
        Number of convolutions.
    kernel_size : int
        Their taps per axis.
    activation : str, optional
        Function of an `Activation` after each.
    width : int, optional
        Channels of every layer; left open by default.
    weights : Random, Constant or Fixed
        Of every layer.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        If a number is out of range, or there is no such activation.

    See Also
    --------
    build : A network by its name.

    References
    ----------
    Luo, Li, Urtasun and Zemel, Understanding the effective receptive field in deep convolutional
    neural networks, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> em.predict(em.zoo.plain(20)).std.round(3).tolist()
    [3.651, 3.651]
    """
    padding = "half" if integer(kernel_size, "kernel_size", 1) % 2 else "valid"
    return repeat(conv(kernel_size, width, activation, norm=False, padding=padding, weights=weights), n)
