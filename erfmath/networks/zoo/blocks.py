"""The few pieces that the networks of the zoo are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ...base.checks import integer
from ...layers import Activation, BatchNorm, Conv, GlobalAvgPool
from ...layers.weights import Random
from ..building import Part, serial
from ..network import Network

__all__ = ["CLASSES", "FAN_OUT", "classifier", "conv", "documented", "fixed_std", "norm_relu", "scaled"]

Builder = TypeVar("Builder", bound=Callable[..., Network])

#: Classes of ImageNet, for which `head=True` sizes the classifiers.
CLASSES = 1000

#: He's initialiser with fan-out, as most networks of torchvision have it.
FAN_OUT = Random(gain=2.0, fan="out")


def documented(family: Callable[..., Network], **words: Any) -> Callable[[Builder], Builder]:
    """Decorator of a builder: the docstring of its `family`, with the builder's own name and `words` filled in."""
    def write(builder: Builder) -> Builder:
        builder.__doc__ = (family.__doc__ or "").format(builder=builder.__name__, **words)
        return builder
    return write


def scaled(channels: int, width: int, reference: int) -> int:
    """`channels` of a published table for `width` instead of `reference` base channels."""
    return max(1, round(channels * integer(width, "width", 1) / reference))


def fixed_std(std: float, fan_in: int) -> Random:
    """Weights of a given standard deviation, written as the gain std^2 fan_in."""
    return Random(gain=std**2 * fan_in)


def conv(kernel_size: int | tuple[int, int], channels: int | None,
         activation: str | None = "relu", *, norm: bool = True, end: str | None = None,
         **options: Any) -> Network:
    """Convolution with its `options`, batch norm, activation; `end` names the activation."""
    parts: list[Part] = [Conv(kernel_size, channels, **options)]
    if norm:
        parts.append(BatchNorm())
    if activation is not None:
        parts.append(Activation(activation, name=end))
    return serial(*parts)


def norm_relu(end: str | None = None) -> Network:
    """Batch norm and ReLU, as pre-activation networks put them before a convolution."""
    return serial(BatchNorm(), Activation("relu", name=end))


def classifier(parts: Sequence[Part], head: bool, classes: int = CLASSES) -> Network:
    """The network of `parts`, and with `head` global average pooling and a linear classifier."""
    if head:
        last = Conv(1, classes, weights=Random(gain=1.0), name="classifier")
        parts = [*parts, GlobalAvgPool(), last]
    return serial(*parts)
