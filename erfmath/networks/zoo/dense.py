"""Networks for dense prediction: U-Net and the dilated context module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ...base.checks import choice, integer
from ...layers import Conv, ConvTranspose, Identity, MaxPool, Upsample
from ...layers.weights import Random
from ..building import Part, concat, serial
from ..network import Network
from .blocks import checked, conv

__all__ = ["context_module", "unet"]


@checked
def unet(levels: int = 4, *, width: int = 64,
         up: Literal["transpose", "nearest", "bilinear"] = "transpose", batch_norm: bool = False,
         weights: Random = Random(), head: bool = False) -> Network:
    """U-Net; as published, receptive field 188 or 204 by the phase of the unit, stride 1.

    Parameters
    ----------
    levels : int
        Poolings on the way down, each followed by twice the channels.
    width : int
        Channels of the first level.
    up : {"transpose", "nearest", "bilinear"}
        How the size of a map is doubled and its channels halved: a 2x2 transposed convolution of
        stride 2, or an upsampling and a 3x3 convolution (receptive field 220 or 236 after
        "nearest", 252 or 268 after "bilinear").
    batch_norm : bool
        Batch norm after each of the two convolutions of a level.
    weights : Random
        The reference's initialiser, He's with fan-in; PyTorch's default for convolutions is
        ``Random(gain=1/3, law="uniform")``.
    head : bool
        Add the 1x1 convolution to the reference's two classes.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        If `levels` or `width` is no positive integer, or `up` unknown.

    See Also
    --------
    build : A network by its name.

    Notes
    -----
    Layout of the reference, but with padding that keeps the size: the sides of the image must be
    multiples of 2^levels.  Nodes `down1`, `down2`, ... before the poolings, `bottom`, and
    ..., `up2`, `up1` after the decoder's levels.

    References
    ----------
    Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation,
    2015.

    Examples
    --------
    >>> import erfmath as em
    >>> rf = em.receptive_field(em.zoo.unet())
    >>> [hi - lo + 1 for (lo, _), (hi, _) in (rf.window(u) for u in (0, 8))]
    [188, 204]
    """
    levels, width = integer(levels, "levels", 1), integer(width, "width", 1)
    choice(up, "up", ("transpose", "nearest", "bilinear"))

    def double(level: int, name: str) -> Network:
        c = width << level
        return serial(conv(3, c, norm=batch_norm, weights=weights),
                      conv(3, c, norm=batch_norm, weights=weights, end=name))

    def expand(level: int) -> Network:
        c = width << level
        if up == "transpose":
            return serial(ConvTranspose(2, c, stride=2, weights=weights))
        return serial(Upsample(2, up), Conv(3, c, weights=weights))

    net = double(levels, "bottom")
    for level in reversed(range(levels)):
        below = serial(MaxPool(2), net, expand(level))
        net = serial(double(level, f"down{level + 1}"), concat(Identity(), below), double(level, f"up{level + 1}"))
    return serial(net, Conv(1, 2, weights=weights, name="classifier")) if head else net


@checked
def context_module(dilations: Sequence[int] = (1, 1, 2, 4, 8, 16, 1), *, width: int = 21) -> Network:
    """Dilated context module: receptive field 67, stride 1, padding 33.

    Parameters
    ----------
    dilations : sequence of int
        Of the 3x3 convolutions, each followed by a ReLU.
    width : int
        Channels of every layer; 21 for the classes of Pascal VOC.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        If a dilation or the width is no positive integer.

    See Also
    --------
    build : A network by its name.

    Notes
    -----
    Table 1 of the reference, basic form; a linear 1x1 convolution ends it.  Weights: He's
    initialiser with fan-in, not the reference's identity, which sees one pixel before training.

    References
    ----------
    Yu and Koltun, Multi-scale context aggregation by dilated convolutions, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> em.receptive_field(em.zoo.context_module()).size
    (67, 67)
    >>> em.receptive_field(em.zoo.context_module(dilations=(1, 2, 4))).size
    (15, 15)
    """
    layers: list[Part] = [conv(3, width, norm=False, dilation=d) for d in dilations]
    return serial(*layers, Conv(1, width, weights=Random(gain=1.0)))
