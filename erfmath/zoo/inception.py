"""Inception: GoogLeNet and Inception v3."""

from __future__ import annotations

from typing import Union

from ..layers import AvgPool, MaxPool
from ..network import Network, Part, concat, serial
from .blocks import classifier, conv, scaled

__all__ = ["googlenet", "inception_v3"]

#: A layer of a table: a pool, or a convolution's channels, kernel, stride; a list forks.
Step = Union[Part, "tuple[int, int | tuple[int, int], int]", "list[Step]"]


# -- GoogLeNet --------------------------------------------------------------------------------

#: Module: 1x1, 3x3 reduced from, 3x3, 5x5 reduced from, 5x5, 1x1 behind the pool.
_GOOGLENET = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128)}


def googlenet(*, width: int = 64, reduced: bool = False, head: bool = False) -> Network:
    """GoogLeNet (Inception v1): receptive field 715, stride 32 at `inception5b`.

    Parameters
    ----------
    width : int
        Channels of the stem.
    reduced : bool
        Build what torchvision and TF-Slim build: 3x3 kernels where the paper has 5x5, and a 2x2 pool
        before the last two modules; receptive field 379.
    head : bool
        Add global average pooling and the classifier; the receptive field is then the whole image.

    Notes
    -----
    Table 1 of the reference with padding "same", as TF-Slim, and its batch norm behind each
    convolution, as torchvision and TF-Slim, instead of the paper's local response normalisation.
    Weights: He's initialiser with fan-in where the references draw from a truncated normal of fixed
    standard deviation; behind every convolution a batch norm takes the difference out.

    References
    ----------
    Szegedy et al., Going deeper with convolutions, 2015.
    """
    def unit(kernel: int, channels: int, stride: int = 1) -> Network:
        return conv(kernel, scaled(channels, width, 64), stride=stride, padding="same")

    parts: list[Part] = [unit(7, 64, 2), MaxPool(3, 2, "same", name="maxpool1"), unit(1, 64), unit(3, 192),
                         MaxPool(3, 2, "same", name="maxpool2")]
    for module, (c1, r3, c3, r5, c5, pooled) in _GOOGLENET.items():
        if module == "4a":
            parts.append(MaxPool(3, 2, "same", name="maxpool3"))
        if module == "5a":
            parts.append(MaxPool(2 if reduced else 3, 2, "same", name="maxpool4"))
        parts.append(concat(unit(1, c1), serial(unit(1, r3), unit(3, c3)),
                            serial(unit(1, r5), unit(3 if reduced else 5, c5)),
                            serial(MaxPool(3, 1, "same"), unit(1, pooled)), name=f"inception{module}"))
    return classifier(parts, head)
