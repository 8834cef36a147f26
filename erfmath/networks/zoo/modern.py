"""DenseNet, ConvNeXt, RepVGG and RepLKNet."""

from __future__ import annotations

from ...base.checks import integer
from ...layers import GRN, Activation, AvgPool, BatchNorm, Conv, GlobalAvgPool, Identity, LayerNorm, MaxPool, Scale
from ...layers.weights import Random
from ..building import Part, add, concat, repeat, residual, serial
from ..network import Network
from .blocks import CLASSES, HEAD, TORCH, checked, classifier, conv, entry, fixed_std, norm_relu, scaled

__all__ = ["convnext_tiny", "convnext_v2_atto", "densenet121", "replknet31b", "repvgg_a0"]

_DENSENET = (6, 12, 24, 16)  # layers per block
_CONVNEXT, _ATTO = (3, 3, 9, 3), (2, 2, 6, 2)  # blocks per stage
_REPLKNET = ((2, 31), (2, 29), (18, 27), (2, 13))  # blocks per stage, side of the large kernels


@checked
def densenet121(*, width: int = 64, head: bool = False) -> Network:
    """DenseNet-121: receptive field 2071, stride 32.

    Parameters
    ----------
    width : int
        Channels of the stem; the growth rate is half of it, a bottleneck has four growth rates.
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

    Notes
    -----
    torchvision 0.29 densenet121: He's initialiser with fan-in.  Nodes `denseblock1` ...
    `denseblock4`, `transition1` ... `transition3`, and `norm5`, the activation after the final
    batch norm.

    References
    ----------
    Huang, Liu, van der Maaten and Weinberger, Densely connected convolutional networks, 2017.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.zoo.densenet121()
    >>> [net.channels()[f"denseblock{i}"] for i in (1, 2, 3, 4)]
    [256, 512, 1024, 1024]
    """
    growth = max(1, integer(width, "width", 1) // 2)
    branch = serial(norm_relu(), conv(1, 4 * growth), Conv(3, growth))
    parts: list[Part] = [conv(7, width, stride=2), MaxPool(3, 2, 1, name="maxpool")]
    channels = width
    for i, layers in enumerate(_DENSENET, start=1):
        if i > 1:
            channels //= 2
            parts += [norm_relu(), Conv(1, channels), AvgPool(2, name=f"transition{i - 1}")]
        parts += [repeat(concat(Identity(), branch), layers - 1), concat(Identity(), branch, name=f"denseblock{i}")]
        channels += layers * growth
    return classifier([*parts, norm_relu("norm5")], head)


@checked
def convnext_tiny(*, width: int = 96, layer_scale: float = 1e-6, head: bool = False) -> Network:
    """ConvNeXt-T: receptive field 1688, stride 32.

    Parameters
    ----------
    width : int
        Channels of the first stage; they double from stage to stage.
    layer_scale : float
        Factor of the residual branches before training; at the published 1e-6 the network is
        little more than its downsampling layers.
    head : bool
        Add global average pooling, layer norm and the classifier: the receptive field is the
        whole image.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        If the width is no positive integer, or the scale no finite number.

    See Also
    --------
    build : A network by its name.

    Notes
    -----
    Layout of the reference's code and of torchvision 0.29: 7x7 depthwise convolution, layer norm,
    1x1 to four times the channels, GELU, 1x1 back.  Weights of standard deviation 0.02, for three
    input channels.  Nodes `stem`, `stage1` ... `stage4`.

    References
    ----------
    Liu et al., A ConvNet for the 2020s, 2022.

    Examples
    --------
    >>> import erfmath as em
    >>> for scale in (1e-6, 1):
    ...     print(em.predict(em.zoo.convnext_tiny(layer_scale=scale)).std[0].round(1))
    9.2
    52.3
    """
    return _convnext(_CONVNEXT, width, head, (), (Scale(layer_scale),))


def _convnext(stages: tuple[int, ...], width: int, head: bool, before: tuple[Part, ...], after: tuple[Part, ...]
              ) -> Network:
    """What comes `before` and `after` the last convolution of a block is not the same in all versions."""
    def linear(kernel: int, c_in: int, c_out: int, stride: int = 1) -> Conv:
        return Conv(kernel, c_out, stride=stride, padding="valid", weights=fixed_std(0.02, kernel**2 * c_in))

    parts: list[Part] = [linear(4, 3, width, stride=4), LayerNorm(name="stem")]
    for i, blocks in enumerate(stages):
        c = width << i
        if i > 0:
            parts += [LayerNorm(), linear(2, c // 2, c, stride=2)]
        branch = serial(Conv(7, groups="depthwise", weights=fixed_std(0.02, 7**2)), LayerNorm(),
                        linear(1, c, 4 * c), Activation("gelu"), *before, linear(1, 4 * c, c), *after)
        parts += [repeat(residual(branch), blocks - 1), residual(branch, name=f"stage{i + 1}")]
    if head:
        last = Conv(1, CLASSES, weights=fixed_std(0.02, 8 * width), name="classifier")
        parts += [GlobalAvgPool(), LayerNorm(), last]
    return serial(*parts)


@entry("ConvNeXt V2, atto", 1136, ", stride 32, padding 552",
       width="int: Channels of the first stage; they double from stage to stage.",
       head="bool: Add global average pooling, layer norm and the classifier: the receptive field is the whole image.",
       notes="timm 1.0 convnextv2_atto: global response normalisation in place of the layer scale, the identity "
             "before training. Weights of standard deviation 0.02, for three input channels. Nodes `stem`, `stage1` "
             "... `stage4`.",
       reference="Woo et al., ConvNeXt V2: co-designing and scaling ConvNets with masked autoencoders, 2023.")
@checked
def convnext_v2_atto(*, width: int = 40, head: bool = False) -> Network:
    return _convnext(_ATTO, integer(width, "width", 1), head, (GRN(),), ())


#: RepVGG-A0: channels, in units of 64, and blocks per stage.
_REPVGG = ((48, 2), (96, 4), (192, 14), (1280, 1))


@entry("RepVGG-A0", 535, ", stride 32, padding 267",
       width="int: Channels of the stem; all others in proportion.",
       head="bool: " + HEAD,
       notes="timm 1.0 repvgg_a0 as it is trained: 3x3 and 1x1 convolutions with batch norms, and a batch norm alone "
             "where the shape stays, are added before the ReLU. PyTorch's default initialiser. Nodes `stem`, `stage1` "
             "... `stage4`.",
       reference="Ding et al., RepVGG: making VGG-style ConvNets great again, 2021.")
@checked
def repvgg_a0(*, width: int = 48, head: bool = False) -> Network:
    def block(channels: int, stride: int, same: bool, name: str | None) -> Network:
        branches: list[Part] = [conv(kernel, channels, None, stride=stride, weights=TORCH) for kernel in (3, 1)]
        return serial(add(*branches, *([BatchNorm()] if same else [])), Activation("relu", name=name))

    parts: list[Part] = [block(width, 2, False, "stem")]
    for stage, (channels, blocks) in enumerate(_REPVGG, start=1):
        c = scaled(channels, width, 48)
        parts += [block(c, 1 if i else 2, i > 0, f"stage{stage}" if i == blocks - 1 else None) for i in range(blocks)]
    return classifier(parts, head)


@checked
def replknet31b(*, width: int = 128, small_kernel: int | None = 5, head: bool = False) -> Network:
    """RepLKNet-31B: receptive field 9011, stride 32.

    Parameters
    ----------
    width : int
        Channels of the first stage; they double from stage to stage.
    small_kernel : int or None
        Side of the depthwise kernel that is trained beside each large one; both have a batch norm
        and count the same before training.  None leaves it out.
    head : bool
        Add batch norm, global average pooling and the classifier: the receptive field is the
        whole image.

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
    Layout of the reference's code: depthwise kernels of 31, 29, 27 and 13 pixels, after each a
    feed-forward block.  PyTorch's default initialiser, uniform of gain 1/3.  Nodes `stem`,
    `stage1` ... `stage4`.

    References
    ----------
    Ding, Zhang, Han and Ding, Scaling up your kernels to 31x31, 2022.

    Examples
    --------
    >>> import erfmath as em
    >>> em.receptive_field(em.zoo.replknet31b(), node="stage1").size
    (251, 251)
    """
    weights = Random(gain=1 / 3, law="uniform")

    def depthwise(kernel: int, activation: str | None = "relu", stride: int = 1, end: str | None = None) -> Network:
        return conv(kernel, None, activation, groups="depthwise", stride=stride, weights=weights, end=end)

    def pointwise(channels: int, activation: str | None = "relu") -> Network:
        return conv(1, channels, activation, weights=weights)

    parts: list[Part] = [conv(3, width, stride=2, weights=weights), depthwise(3),
                         pointwise(width), depthwise(3, stride=2, end="stem")]
    for i, (blocks, kernel) in enumerate(_REPLKNET):
        c = width << i
        if i > 0:
            parts += [pointwise(c), depthwise(3, stride=2)]
        large = depthwise(kernel, None)
        if small_kernel is not None:
            large = add(large, depthwise(small_kernel, None))
        spatial = residual(serial(BatchNorm(), pointwise(c), large, Activation("relu"), pointwise(c, None)))
        feed_forward = serial(BatchNorm(), pointwise(4 * c, "gelu"), pointwise(c, None))
        parts += [repeat(serial(spatial, residual(feed_forward)), blocks - 1),
                  spatial, residual(feed_forward, name=f"stage{i + 1}")]
    return classifier([*parts, BatchNorm()] if head else parts, head)
