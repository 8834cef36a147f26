"""Residual networks: torchvision's and what was made of them, TF-Slim's, and those for CIFAR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from ...base.checks import integer
from ...base.errors import quoted
from ...layers import Activation, Conv, MaxPool
from ..building import Part, residual, serial
from ..network import Network
from .blocks import FAN_OUT, HEAD, checked, classifier, conv, documented, entry, norm_relu, scaled, squeeze_excite

__all__ = ["basic", "bottleneck", "cifar_resnet", "dilated_resnet50", "preact_resnet", "regnet_y_400mf", "resnet101",
           "resnet152", "resnet18", "resnet34", "resnet3d_18", "resnet50", "resnet50_stages", "resnet_v1_50",
           "resnet_v2_50", "resnext50", "wide_resnet50"]

#: Units per stage.
_UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class _Unit(Protocol):
    """A residual unit; `project` says whether its shortcut is a 1x1 convolution."""

    def __call__(self, channels: int, stride: int, project: bool, name: str | None) -> Network: ...


def _stage(unit: _Unit, channels: int, strides: Sequence[int], project: bool, name: str) -> Network:
    """One unit per stride; only the first may change the number of channels, the last is named."""
    last = len(strides) - 1
    return serial(*(unit(channels, stride, project and i == 0, name if i == last else None)
                    for i, stride in enumerate(strides)))


# -- torchvision ------------------------------------------------------------------------------

def _joined(branch: Network, channels: int, stride: int, project: bool, name: str | None) -> Network:
    """Addition, then activation; projections have batch norm."""
    shortcut = conv(1, channels, None, stride=stride, weights=FAN_OUT) if project else None
    return serial(residual(branch, shortcut), Activation("relu", name=name))


def basic(channels: int, stride: int, project: bool, name: str | None) -> Network:
    """Two convolutions of 3 taps along each axis, the stride in the first."""
    branch = serial(conv(3, channels, stride=stride, weights=FAN_OUT), conv(3, channels, None, weights=FAN_OUT))
    return _joined(branch, channels, stride, project, name)


def bottleneck(channels: int, stride: int, project: bool, name: str | None, *, inner: int = 1, groups: int = 1,
               dilation: int = 1) -> Network:
    """1x1, 3x3 with the stride, 1x1 to four times the channels; `inner` times as many in between."""
    between = inner * channels
    branch = serial(conv(1, between, weights=FAN_OUT),
                    conv(3, between, stride=stride, dilation=dilation, groups=math.gcd(groups, between),
                         weights=FAN_OUT),
                    conv(1, 4 * channels, None, weights=FAN_OUT))
    return _joined(branch, 4 * channels, stride, project, name)


def resnet50_stages(width: int, unit: _Unit = bottleneck) -> list[Network]:
    """The stem of ResNet-50 and its four stages, which end at `maxpool` and `layer1` ... `layer4`."""
    stages = [serial(conv(7, width, stride=2, weights=FAN_OUT), MaxPool(3, 2, 1, name="maxpool"))]
    for i, units in enumerate(_UNITS[50]):
        stages.append(_stage(unit, width << i, [2 if i else 1] + [1] * (units - 1), True, f"layer{i + 1}"))
    return stages


def dilated_resnet50(width: int) -> Network:
    """ResNet-50 at stride 8: the strides of its last two stages are dilations of all that follows."""
    parts: list[Part] = [*resnet50_stages(width)[:3]]
    for i, (first, rest) in ((2, (1, 2)), (3, (2, 4))):
        units = _UNITS[50][i]
        parts.append(bottleneck(width << i, 1, True, None, dilation=first))
        parts += [bottleneck(width << i, 1, False, f"layer{i + 1}" if n == units - 1 else None, dilation=rest)
                  for n in range(1, units)]
    return serial(*parts)


def _torchvision(depth: int, width: int, head: bool) -> Network:
    """ResNet-{depth}: receptive field {size}, stride 32, padding {padding}.

    Parameters
    ----------
    width : int
        Channels of the stem and of the first stage's 3x3 convolutions.
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
    torchvision 0.29 {builder}: units of {unit},
    projections with batch norm, He's initialiser with fan-out.  Nodes `maxpool`, `layer1` ... `layer4`.

    References
    ----------
    He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> em.receptive_field(em.zoo.{builder}()).size
    ({size}, {size})
    """
    deep = depth >= 50
    parts: list[Part] = [conv(7, width, stride=2, weights=FAN_OUT), MaxPool(3, 2, 1, name="maxpool")]
    for i, units in enumerate(_UNITS[depth]):
        strides = [2 if i else 1] + [1] * (units - 1)
        parts.append(_stage(bottleneck if deep else basic, width << i, strides,
                            deep or i > 0, f"layer{i + 1}"))
    return classifier(parts, head)


_BASIC = "two 3x3 convolutions, the stride in a stage's first"
_BOTTLENECK = 'three convolutions, the stride in the 3x3 of a stage\'s first unit ("v1.5")'


@documented(_torchvision, depth=18, size=435, padding=217, unit=_BASIC)
@checked
def resnet18(*, width: int = 64, head: bool = False) -> Network:
    return _torchvision(18, width, head)


@documented(_torchvision, depth=34, size=899, padding=449, unit=_BASIC)
@checked
def resnet34(*, width: int = 64, head: bool = False) -> Network:
    return _torchvision(34, width, head)


@documented(_torchvision, depth=50, size=427, padding=213, unit=_BOTTLENECK)
@checked
def resnet50(*, width: int = 64, head: bool = False) -> Network:
    return _torchvision(50, width, head)


@documented(_torchvision, depth=101, size=971, padding=485, unit=_BOTTLENECK)
@checked
def resnet101(*, width: int = 64, head: bool = False) -> Network:
    return _torchvision(101, width, head)


@documented(_torchvision, depth=152, size=1451, padding=725, unit=_BOTTLENECK)
@checked
def resnet152(*, width: int = 64, head: bool = False) -> Network:
    return _torchvision(152, width, head)


_FAMILY: dict[str, Any] = {"width": "int: Channels of the stem; all others in proportion.", "head": "bool: " + HEAD}


@entry("ResNeXt-50, 32 groups of 4", 427, ", stride 32, padding 213", **_FAMILY,
       notes="torchvision 0.29 resnext50_32x4d: ResNet-50 with 3x3 convolutions of twice the channels in 32 groups "
             "(in as many as divide the channels, where these are fewer), He's initialiser with fan-out. Nodes "
             "`maxpool`, `layer1` ... `layer4`.",
       reference="Xie et al., Aggregated residual transformations for deep neural networks, 2017.")
@checked
def resnext50(*, width: int = 64, head: bool = False) -> Network:
    return classifier(resnet50_stages(width, partial(bottleneck, inner=2, groups=32)), head)


@entry("Wide ResNet-50-2", 427, ", stride 32, padding 213", **_FAMILY,
       notes="torchvision 0.29 wide_resnet50_2: ResNet-50 with 3x3 convolutions of twice the channels, He's "
             "initialiser with fan-out. Nodes `maxpool`, `layer1` ... `layer4`.",
       reference="Zagoruyko and Komodakis, Wide residual networks, 2016.")
@checked
def wide_resnet50(*, width: int = 64, head: bool = False) -> Network:
    return classifier(resnet50_stages(width, partial(bottleneck, inner=2)), head)


#: RegNetY-400MF: channels and units of the stages, channels of a group.
_REGNET, _GROUP = ((48, 1), (104, 3), (208, 6), (440, 6)), 8


@entry("RegNetY-400MF", 575, ", stride 32, padding 287", gated=True, **_FAMILY,
       notes="torchvision 0.29 regnet_y_400mf: 3x3 convolutions in groups of 8 channels (of those that there are, "
             "where these are fewer), squeeze-and-excite of a quarter of the channels that a unit reads. He's "
             "initialiser with fan-out. Nodes `stem`, `stage1` ... `stage4`.",
       reference="Radosavovic et al., Designing network design spaces, 2020.")
@checked
def regnet_y_400mf(*, width: int = 32, head: bool = False) -> Network:
    parts: list[Part] = [conv(3, width, stride=2, weights=FAN_OUT, end="stem")]
    before = 32
    for stage, (channels, units) in enumerate(_REGNET, start=1):
        c = scaled(channels, width, 32)
        for i in range(units):
            stride = 1 if i else 2
            branch = serial(conv(1, c, weights=FAN_OUT),
                            conv(3, c, stride=stride, groups=c // math.gcd(_GROUP, c), weights=FAN_OUT),
                            squeeze_excite(c, scaled(before // 4, width, 32)), conv(1, c, None, weights=FAN_OUT))
            parts.append(_joined(branch, c, stride, stride > 1, f"stage{stage}" if i == units - 1 else None))
            before = channels
    return classifier(parts, head)


@entry("ResNet-18 of volumes", (109, 219, 219), ", stride 8 x 16 x 16",
       width="int: Channels of the stem and of the first stage.",
       head="bool: " + HEAD,
       notes="torchvision 0.29 r3d_18: the axes are time, height and width. The stem has 3 x 7 x 7 taps and no stride "
             "in time, and no pool follows. He's initialiser with fan-out; the classifier has the 400 classes of "
             "Kinetics. Nodes `stem`, `layer1` ... `layer4`.",
       reference="Tran et al., A closer look at spatiotemporal convolutions for action recognition, 2018.")
@checked
def resnet3d_18(*, width: int = 64, head: bool = False) -> Network:
    stem: Part = conv((3, 7, 7), width, stride=(1, 2, 2), weights=FAN_OUT, end="stem")
    stages = [_stage(basic, width << i, [2 if i else 1, 1], i > 0, f"layer{i + 1}") for i in range(4)]
    return classifier([stem, *stages], head, 400)


# -- TF-Slim ----------------------------------------------------------------------------------

def _preactivated(branch: Network, project: Conv | None, name: str | None, shortcut: Part | None = None) -> Network:
    """A pre-activation unit: projections start after its activation, other shortcuts before it."""
    if project is not None:
        return serial(norm_relu(), residual(branch, project, name=name))
    return residual(serial(norm_relu(), branch), shortcut, name=name)


def _subsample(stride: int) -> MaxPool | None:
    """The shortcut of a unit that keeps its channels."""
    return MaxPool(1, stride) if stride > 1 else None


def _slim_v1(channels: int, stride: int, project: bool, name: str | None) -> Network:
    branch = serial(conv(1, channels), conv(3, channels, stride=stride), conv(1, 4 * channels, None))
    shortcut = conv(1, 4 * channels, None, stride=stride) if project else _subsample(stride)
    return serial(residual(branch, shortcut), Activation("relu", name=name))


def _slim_v2(channels: int, stride: int, project: bool, name: str | None) -> Network:
    branch = serial(conv(1, channels), conv(3, channels, stride=stride), Conv(1, 4 * channels))
    projection = Conv(1, 4 * channels, stride=stride) if project else None
    return _preactivated(branch, projection, name, _subsample(stride))


def _slim(unit: _Unit, stem: Part, width: int) -> list[Part]:
    """Fifty layers; the stride is in the last unit of blocks 1 to 3."""
    blocks = [_stage(unit, width << i, [1] * (units - 1) + [2 if i < 3 else 1], True,
                     f"block{i + 1}") for i, units in enumerate(_UNITS[50])]
    return [stem, MaxPool(3, 2, "same", name="pool1"), *blocks]


@checked
def resnet_v1_50(*, width: int = 64, head: bool = False) -> Network:
    """TF-Slim resnet_v1_50: stride in the last unit of a block; receptive field 483, stride 32.

    At `block1` ... `block4` it is 35, 99, 291, 483 at strides 8, 16, 32, 32.  Strided convolutions,
    the 3x3 of their units, pad by (k - 1) / 2 on both sides, `pool1` by the rule "same": the
    effective padding depends on the image.  Strided shortcuts take every second site.  He's
    initialiser with fan-in, TF-Slim's default.

    Parameters
    ----------
    width : int
        Channels of the stem and of the first block's 3x3 convolutions.
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
    He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> [em.receptive_field(em.zoo.resnet_v1_50(), node=f"block{i}").size[0] for i in (1, 2, 3, 4)]
    [35, 99, 291, 483]
    """
    return classifier(_slim(_slim_v1, conv(7, width, stride=2), width), head)


@checked
def resnet_v2_50(*, width: int = 64, head: bool = False) -> Network:
    """TF-Slim resnet_v2_50: pre-activation units; receptive field 483, stride 32.

    Strides, paddings and initialiser as in `resnet_v1_50`.  Projections start after the unit's
    first activation and have no batch norm; `postnorm` is the activation after `block4` and the
    final batch norm.

    Parameters
    ----------
    width : int
        Channels of the stem and of the first block's 3x3 convolutions.
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
    He, Zhang, Ren and Sun, Identity mappings in deep residual networks, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> em.zoo.resnet_v2_50().output
    'postnorm'
    """
    parts = _slim(_slim_v2, Conv(7, width, stride=2), width)
    return classifier([*parts, norm_relu("postnorm")], head)


# -- CIFAR ------------------------------------------------------------------------------------

def _preact_basic(channels: int, stride: int, project: bool, name: str | None) -> Network:
    branch = serial(conv(3, channels, stride=stride), Conv(3, channels))
    return _preactivated(branch, Conv(1, channels, stride=stride) if project else None, name)


def _cifar(unit: _Unit, stem: Part, depth: int, width: int) -> list[Part]:
    """A stem and three stages of (depth - 2) / 6 units."""
    units, rest = divmod(integer(depth, "depth") - 2, 6)
    if units < 1 or rest:
        raise ValueError(f"depth={quoted(depth)}: must be 6 n + 2 for n units per stage, as 20, 32, 44, "
                         "56 or 110")
    stages = [_stage(unit, width << i, [2 if i else 1] + [1] * (units - 1), i > 0, f"layer{i + 1}") for i in range(3)]
    return [stem, *stages]


@checked
def cifar_resnet(depth: int = 20, *, width: int = 16, head: bool = False) -> Network:
    """CIFAR ResNet of 6 n + 2 layers (20, 32, 44, 56, 110), the activation after the addition.

    Section 4.2 of the reference with its option B: the two shortcuts that change shape are 1x1
    convolutions with batch norm (option A pads channels with zeros).  He's initialiser with
    fan-out.  Nodes `layer1` ... `layer3`.

    Parameters
    ----------
    depth : int
        6 n + 2 for n units per stage.
    width : int
        Channels of the first stage; the others have 2 and 4 times as many.
    head : bool
        Add global average pooling and the classifier of ten classes.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        If the depth is not of this form, or the width no positive integer.

    See Also
    --------
    build : A network by its name.

    References
    ----------
    He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> em.receptive_field(em.zoo.cifar_resnet(20)).size
    (81, 81)
    """
    return classifier(_cifar(basic, conv(3, width, weights=FAN_OUT), depth, width), head, 10)


@checked
def preact_resnet(depth: int = 20, *, width: int = 16, head: bool = False) -> Network:
    """Pre-activation CIFAR ResNet of 6 n + 2 layers, two 3x3 convolutions a unit.

    Shortcuts that change shape are 1x1 convolutions of the activated input, without batch norm;
    `postnorm` is the activation after `layer3` and the final batch norm.  He's initialiser with
    fan-in.

    Parameters
    ----------
    depth : int
        6 n + 2 for n units per stage.
    width : int
        Channels of the first stage; the others have 2 and 4 times as many.
    head : bool
        Add global average pooling and the classifier of ten classes.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        If the depth is not of this form, or the width no positive integer.

    See Also
    --------
    build : A network by its name.

    References
    ----------
    He, Zhang, Ren and Sun, Identity mappings in deep residual networks, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> em.zoo.preact_resnet(20).shapes(image=32)["postnorm"]
    (8, 8)
    """
    parts = _cifar(_preact_basic, Conv(3, width), depth, width)
    return classifier([*parts, norm_relu("postnorm")], head, 10)
