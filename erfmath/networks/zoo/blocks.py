"""The few pieces that the networks of the zoo are made of."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from ...base.checks import flag, integer, real
from ...base.errors import check_count, quoted
from ...layers import Activation, BatchNorm, Conv, GlobalAvgPool, Identity
from ...layers.weights import Random
from ..building import Part, multiply, serial
from ..network import Network

__all__ = ["CLASSES", "FAN_OUT", "HEAD", "TORCH", "checked", "classifier", "conv", "documented", "entry", "fixed_std",
           "norm_relu", "scaled", "squeeze_excite"]

Builder = TypeVar("Builder", bound=Callable[..., Network])

#: Classes of ImageNet, for which `head=True` sizes the classifiers.
CLASSES = 1000

#: He's initialiser with fan-out, as most networks of torchvision have it.
FAN_OUT = Random(gain=2.0, fan="out")

#: PyTorch's default.
TORCH = Random.like("torch")

#: Arguments that say how many pieces of a network there are, and most of them.
REPEATED, MOST_REPEATED = frozenset(("blocks", "depth", "layers", "levels", "stacks")), 2**12

HEAD = "Add global average pooling and the classifier: the receptive field is the whole image."

_PAGE = """{title}: receptive field {size}{rest}.

Parameters
----------
{parameters}

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
{notes}

References
----------
{reference}

Examples
--------
>>> import erfmath as em
>>> {example}
"""


def checked(function: Builder) -> Builder:
    """Decorator of a builder: arguments that are not what its annotations say are refused by name."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def build(*arguments: Any, **options: Any) -> Network:
        for name, value in signature.bind(*arguments, **options).arguments.items():
            kind = str(signature.parameters[name].annotation)
            if kind.startswith("int") and not (value is None and "None" in kind):
                integer(value, name, int(name != "n"))
                if name in REPEATED:
                    check_count(value, MOST_REPEATED, f"{name}={quoted(value)}")
            elif kind == "bool":
                flag(value, name)
            elif kind == "float":
                real(value, name)
        return function(*arguments, **options)
    return cast("Builder", build)


def documented(family: Callable[..., Network], **words: Any) -> Callable[[Builder], Builder]:
    """Decorator of a builder: the docstring of its `family`, with the builder's own name and `words` filled in."""
    def write(builder: Builder) -> Builder:
        builder.__doc__ = (family.__doc__ or "").format(builder=builder.__name__, **words)
        return builder
    return write


def entry(title: str, size: int | tuple[int, ...] | None, rest: str = "", *, notes: str, reference: str,
          gated: bool = False, largest: int | None = None, **parameters: str) -> Callable[[Builder], Builder]:
    """Decorator of a builder: writes its docstring.

    Parameters
    ----------
    title, rest : str
        What comes before and after the receptive field of the first sentence.
    size : int, tuple of int or None
        Receptive field, one value for two axes or one per axis; None is the whole image.
    notes, reference : str
    gated : bool
        Whether the network has factors of one site, which the receptive field leaves out.
    largest : int, optional
        Receptive field of units of another phase than that of unit 0.
    **parameters : str
        By name: the type and what it means, apart by ": ".
    """
    def line(name: str, words: str) -> str:
        kind, _, meaning = words.partition(": ")
        return f"{name} : {kind}\n{textwrap.indent(textwrap.fill(meaning, 110), '    ')}"

    words = "of the whole image" if size is None else str(size) if isinstance(size, int) else " x ".join(map(str, size))
    if largest is not None:
        size = largest if isinstance(size, int) else (largest,) * len(size or ())
        words = f"{words} or {largest} by the phase of the unit"

    def write(builder: Builder) -> Builder:
        net = f"em.zoo.{builder.__name__}()"
        example = [f"{net}.output", repr("features")] if size is None else [
            f"em.receptive_field({net}{', gates=False' if gated else ''}).size",
            repr((size, size) if isinstance(size, int) else size)]
        builder.__doc__ = _PAGE.format(
            title=title, size=words, rest=rest + (" without squeeze-and-excite" if gated else ""),
            parameters="\n".join(line(*item) for item in parameters.items()), notes=textwrap.fill(notes, 114),
            reference=textwrap.fill(reference, 114), example="\n".join(example))
        return builder
    return write


def scaled(channels: int, width: int, reference: int) -> int:
    """`channels` of a published table for `width` instead of `reference` base channels."""
    return max(1, round(channels * integer(width, "width", 1) / reference))


def fixed_std(std: float, fan_in: int) -> Random:
    """Weights of a given standard deviation, written as the gain std^2 fan_in."""
    return Random(gain=std**2 * fan_in)


def conv(kernel_size: int | tuple[int, ...], channels: int | None,
         activation: str | None = "relu", *, norm: bool = True, end: str | None = None,
         **options: Any) -> Network:
    """Convolution with its `options`, batch norm, activation; `end` names the activation."""
    parts: list[Part] = [Conv(kernel_size, channels, **options)]
    if norm:
        parts.append(BatchNorm())
    if activation is not None:
        parts.append(Activation(activation, name=end))
    return serial(*parts)


def squeeze_excite(channels: int, squeezed: int, activation: str = "relu", gate: str = "sigmoid",
                   weights: Random = FAN_OUT) -> Network:
    """Each of `channels` times a number that all sites have in common, made of the means of all channels."""
    return multiply(Identity(), serial(GlobalAvgPool(), Conv(1, squeezed, weights=weights), Activation(activation),
                                       Conv(1, channels, weights=weights), Activation(gate)))


def norm_relu(end: str | None = None) -> Network:
    """Batch norm and ReLU, as pre-activation networks put them before a convolution."""
    return serial(BatchNorm(), Activation("relu", name=end))


def classifier(parts: Sequence[Part], head: bool, classes: int = CLASSES) -> Network:
    """The network of `parts`, and with `head` global average pooling and a linear classifier."""
    if head:
        last = Conv(1, classes, weights=Random(gain=1.0), name="classifier")
        parts = [*parts, GlobalAvgPool(), last]
    return serial(*parts)
