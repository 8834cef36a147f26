"""Inception: GoogLeNet and Inception v3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...layers import AvgPool, MaxPool
from ..building import Part, concat, serial
from ..network import Network
from .blocks import checked, classifier, conv, scaled

__all__ = ["googlenet", "inception_v3"]


# -- GoogLeNet --------------------------------------------------------------------------------

#: Channels of a module: 1x1, 3x3 and what it is reduced from, 5x5 likewise, 1x1 after the pool.
_GOOGLENET = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128)}


@checked
def googlenet(*, width: int = 64, reduced: bool = False, head: bool = False) -> Network:
    """GoogLeNet (Inception v1): receptive field 715, stride 32.

    Parameters
    ----------
    width : int
        Channels of the first convolution.
    reduced : bool
        What torchvision and TF-Slim build: 3x3 kernels where the paper has 5x5, and a 2x2 pool
        before the last two modules; receptive field 379.
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
    Table 1 of the reference with TF-Slim's padding "same", and the batch norm of torchvision and
    TF-Slim in place of local response normalisation.  He's initialiser with fan-in replaces
    their truncated normal of fixed standard deviation: the batch norm after every convolution
    takes the difference out.  Nodes `inception3a` ... `inception5b`.

    References
    ----------
    Szegedy et al., Going deeper with convolutions, 2015.

    Examples
    --------
    >>> import erfmath as em
    >>> [em.receptive_field(em.zoo.googlenet(reduced=small)).size[0] for small in (False, True)]
    [715, 379]
    """
    def unit(kernel: int, channels: int, stride: int = 1) -> Network:
        return conv(kernel, scaled(channels, width, 64), stride=stride, padding="same")

    def pool(kernel: int, i: int) -> MaxPool:
        return MaxPool(kernel, 2, "same", name=f"maxpool{i}")

    parts: list[Part] = [unit(7, 64, stride=2), pool(3, 1), unit(1, 64), unit(3, 192), pool(3, 2)]
    for module, (c1, r3, c3, r5, c5, pooled) in _GOOGLENET.items():
        if module == "4a":
            parts.append(pool(3, 3))
        if module == "5a":
            parts.append(pool(2 if reduced else 3, 4))
        parts.append(concat(unit(1, c1), serial(unit(1, r3), unit(3, c3)),
                            serial(unit(1, r5), unit(3 if reduced else 5, c5)),
                            serial(MaxPool(3, 1, "same"), unit(1, pooled)),
                            name=f"inception{module}"))
    return classifier(parts, head)


# -- Inception v3 -----------------------------------------------------------------------------

# A module is a tuple of branches, a branch a tuple of convolutions (channels, kernel, stride if it
# is not 1), pools, and lists of convolutions that fork.  Strided layers have no padding.
_AVERAGE = AvgPool(3, 1, "same")


def _module_35(pooled: int) -> tuple[Any, ...]:
    return (((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)), (_AVERAGE, (pooled, 1)))


def _module_17(c: int) -> tuple[Any, ...]:
    row, column = (1, 7), (7, 1)
    return (((192, 1),), ((c, 1), (c, row), (192, column)),
            ((c, 1), (c, column), (c, row), (c, column), (192, row)), (_AVERAGE, (192, 1)))


def _module_8() -> tuple[Any, ...]:
    fork = [(384, (1, 3)), (384, (3, 1))]
    return ((320, 1),), ((384, 1), fork), ((448, 1), (384, 3), fork), (_AVERAGE, (192, 1))


_INCEPTION_V3 = {
    "Mixed_5b": _module_35(32), "Mixed_5c": _module_35(64), "Mixed_5d": _module_35(64),
    "Mixed_6a": (((384, 3, 2),), ((64, 1), (96, 3), (96, 3, 2)), (MaxPool(3, 2),)),
    "Mixed_6b": _module_17(128), "Mixed_6c": _module_17(160), "Mixed_6d": _module_17(160),
    "Mixed_6e": _module_17(192),
    "Mixed_7a": (((192, 1), (320, 3, 2)),
                 ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)), (MaxPool(3, 2),)),
    "Mixed_7b": _module_8(), "Mixed_7c": _module_8()}


@checked
def inception_v3(*, width: int = 32, head: bool = False) -> Network:
    """Inception v3: receptive field 1311, stride 32, padding 618.

    Parameters
    ----------
    width : int
        Channels of the first convolution.
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
    Layout of TF-Slim and Keras: no padding in the stem and in strided layers, average pools over
    the pixels inside, no auxiliary classifier.  He's initialiser with fan-in: the batch norm
    after every convolution takes the scale out.  Nodes `Mixed_5b` ... `Mixed_7c`.

    References
    ----------
    Szegedy et al., Rethinking the Inception architecture for computer vision, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> em.zoo.inception_v3(width=8).shapes(image=299)["Mixed_7c"]
    (8, 8)
    """
    def unit(channels: int, kernel: int | tuple[int, int], stride: int = 1, padding: str = "half") -> Network:
        return conv(kernel, scaled(channels, width, 32), stride=stride, padding="valid" if stride > 1 else padding)

    def branch(steps: Sequence[Any]) -> Network:
        parts = []
        for step in steps:
            if isinstance(step, list):
                step = concat(*(unit(*end) for end in step))
            parts.append(unit(*step) if isinstance(step, tuple) else step)
        return serial(*parts)

    stem: list[Part] = [unit(32, 3, stride=2), unit(32, 3, padding="valid"), unit(64, 3),
                        MaxPool(3, 2, name="maxpool1"), unit(80, 1),
                        unit(192, 3, padding="valid"), MaxPool(3, 2, name="maxpool2")]
    modules = [concat(*map(branch, branches), name=name) for name, branches in _INCEPTION_V3.items()]
    return classifier([*stem, *modules], head)
