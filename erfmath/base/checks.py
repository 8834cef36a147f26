"""Checks of single values: one clear error at the door, naming the argument and what is allowed."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import numbers as numbers_
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, Union, cast

import numpy as np

from .errors import quoted

__all__ = ["DIMENSIONS", "Padding", "PerAxis", "axes_of", "callback", "check_network", "choice", "flag", "hinted",
           "image_shape", "integer", "integers", "is_sequence", "meant", "numbers", "of_field", "padding_rule",
           "per_axis", "point", "real", "sizes", "unknown_argument"]

Call = TypeVar("Call", bound=Callable[..., Any])
PerAxis = Union[int, "tuple[int, ...]"]
Padding = Union[str, int, "tuple[int, int]", "tuple[tuple[int, int], ...]"]

#: Numbers of spatial dimensions that are supported.
DIMENSIONS = frozenset((1, 2, 3))


def integer(value: Any, name: str, low: int | None = None) -> int:
    """`value` as an int of at least `low`; bools, floats and strings are refused."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name}={quoted(value)}: must be an integer") from None
    if low is not None and number < low:
        raise ValueError(f"{name}={quoted(number)}: must be at least {low}")
    return number


def real(value: Any, name: str) -> float:
    """`value` as a finite float; bools and strings are refused."""
    if isinstance(value, bool) or not isinstance(value, numbers_.Real):
        raise ValueError(f"{name}={quoted(value)}: must be a real number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}={quoted(value)}: must be finite")
    return number


def integers(value: Any, name: str) -> tuple[int, ...]:
    """A sequence of integers, as a tuple."""
    if not is_sequence(value):
        raise TypeError(f"{name}={quoted(value)}: must be a sequence of integers, one per axis")
    return tuple(integer(item, f"{name}[{i}]") for i, item in enumerate(value))


def numbers(value: Any, name: str, finite: bool = True) -> np.ndarray[Any, np.dtype[np.float64]]:
    """`value` as an array of floats, finite unless told; texts, complex numbers and ragged lists are refused."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiuO" or (array.dtype.kind == "O" and not all(
                isinstance(item, numbers_.Real) for item in array.flat)):
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}={quoted(value)}: must hold real numbers") from None
    if finite and not np.isfinite(array).all():
        raise ValueError(f"{name}: holds values that are not finite")
    return array


def flag(value: Any, name: str) -> bool:
    """`value` as a bool; whatever else counts as true or false is refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}={quoted(value)}: must be True or False")
    return bool(value)


def callback(value: Any, name: str, takes: str = "(done, total)") -> None:
    """Refuse what is neither None nor a function of what `takes` says."""
    if value is not None and not callable(value):
        raise ValueError(f"{name}={quoted(value)}: must be a function of {takes}, or None")


def of_field(function: Call) -> Call:
    """Of a function of an effective receptive field: refuse anything else as the first argument."""
    @functools.wraps(function)
    def call(erf: Any, *arguments: Any, **options: Any) -> Any:
        if not hasattr(erf, "density"):
            raise TypeError(f"erf={quoted(erf)}: must be an effective receptive field, as predict and measure return")
        return function(erf, *arguments, **options)
    return cast("Call", call)


def choice(value: Any, name: str, allowed: Sequence[str], slips: Mapping[str, str] | None = None) -> None:
    """Refuse a `value` that is not one of the words `allowed`; `slips` are what others call these."""
    if not isinstance(value, str) or value not in allowed:
        near = [slips[value]] if isinstance(value, str) and slips and value in slips else meant(value, allowed)
        raise ValueError(f"{name}={quoted(value)}: must be one of {', '.join(map(repr, allowed))}"
                         + (f"; did you mean {near[0]!r}?" if near else ""))


def meant(word: Any, known: Iterable[str], most: int = 3) -> list[str]:
    """Of the words that are known those that somebody who wrote `word` may have meant, the likeliest first.

    Examples
    --------
    >>> meant("VGG-16", ["vgg11", "vgg16"]), meant("resnet", ["resnet18", "unet"]), meant("colour", ["size"])
    (['vgg16'], ['resnet18'], [])
    """
    if not isinstance(word, str) or len(word) > 80:
        return []

    def plain(text: str) -> str:
        return "".join(letter for letter in text.lower() if letter.isalnum())

    wanted = plain(word)
    words: dict[str, str] = {}
    for one in sorted(known, key=lambda one: one[:1].isupper() != word[:1].isupper()):
        words.setdefault(plain(one), one)
    if wanted in words:
        return [words[wanted]]
    near = [one for one in words if len(wanted) > 2 and one.startswith(wanted)]
    near = near or difflib.get_close_matches(wanted, words, most)
    return [words[one] for one in near[:most]]


def unknown_argument(what: str, word: str, known: Iterable[str], slips: Mapping[str, str]) -> TypeError:
    """The error for a keyword that a function does not take, with the one that was probably meant."""
    known = [name for name in known if name not in ("self", "net")]
    hint = slips.get(word) or next((name for name in known if len(name) > 2 and name in word), None) or next(
        iter(meant(word, known)), None)
    return TypeError(f"{what}() has no argument {word}=; " + (
        f"did you mean {hint}=?" if hint else f"it takes {', '.join(known)}"))


def is_sequence(value: Any) -> bool:
    """Whether `value` holds several values: a list, tuple or array, but not a string."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def sizes(value: Any, name: str, low: int) -> PerAxis:
    """One integer for all axes, or a tuple of one per axis."""
    if not is_sequence(value):
        return integer(value, name, low)
    if len(value) not in DIMENSIONS:
        raise ValueError(f"{name}={quoted(value)}: one integer, or one per axis of 1 to 3 axes")
    return tuple(integer(v, f"{name}[{i}]", low) for i, v in enumerate(value))


def padding_rule(value: Any, words: Sequence[str], low: int | None, modes: Sequence[str] = (),
                 mode: str = "padding_mode") -> Padding:
    """Check a padding rule: a word, an int, a flat pair, or one pair per axis.  `modes` are words of another field."""
    if isinstance(value, str):
        if value not in words:
            near = meant(value, words)
            if not near and (of_mode := meant(value, modes)):
                raise ValueError(f"padding={quoted(value)}: says how many sites; what they hold is "
                                 f"{mode}={of_mode[0]!r}")
            raise ValueError(f"padding={quoted(value)}: must be an integer, pairs of integers"
                             + "".join(f", {word!r}" for word in words)
                             + (f"; did you mean {near[0]!r}?" if near else ""))
        return value
    if not is_sequence(value):
        return integer(value, "padding", low)
    items = list(value)
    if items and all(is_sequence(item) for item in items):
        if len(items) not in DIMENSIONS or any(len(item) != 2 for item in items):
            raise ValueError(f"padding={quoted(value)}: one pair (before, after) per axis, 1 to 3 axes")
        return tuple((integer(a, "padding", low), integer(b, "padding", low)) for a, b in items)
    if len(items) != 2 or any(is_sequence(item) for item in items):
        raise ValueError(f"padding={quoted(value)}: a flat pair is (before, after) on every axis; "
                         "give one pair per axis for different axes, as [[1, 1], [2, 2]]")
    return integer(items[0], "padding", low), integer(items[1], "padding", low)


def per_axis(value: PerAxis, ndim: int) -> tuple[int, ...]:
    """`value` repeated for `ndim` axes if it is one int, checked if it is a tuple."""
    if isinstance(value, int):
        return (value,) * ndim
    if len(value) != ndim:
        raise ValueError(f"{quoted(value)}: has {len(value)} values, the network has {ndim} axes")
    return value


def point(value: Any, name: str, ndim: int) -> tuple[int, ...]:
    """One integer per axis; a single one means all axes."""
    if not is_sequence(value):
        return (integer(value, name),) * ndim
    if len(value) != ndim:
        raise ValueError(f"{name}={quoted(tuple(value))}: must have {ndim} values, one per axis")
    return tuple(integer(v, name) for v in value)


def check_network(net: Any) -> None:
    """Refuse what has no nodes with sources and is no network, with what was probably meant."""
    if hasattr(net, "sources"):
        return
    text, hint = quoted(net), "erfmath.serial(...) makes one of layers"
    if len(text) > 50:
        text = f"<{type(net).__name__}>"
    if isinstance(net, str):
        near = _of_zoo(net)
        hint = (f"did you mean erfmath.load({quoted(net)})?" if net.endswith(".json") else
                "did you mean " + " or ".join(f"erfmath.zoo.build({name!r})" for name in near) + "?" if near else
                f"erfmath.load({quoted(net)}) reads a JSON file, and erfmath.zoo.names() lists the networks of the zoo")
    elif callable(net) and net.__module__.startswith("erfmath.networks.zoo"):
        hint = f"did you mean erfmath.zoo.{net.__name__}(), with parentheses?"
    elif hasattr(net, "op"):
        hint = "erfmath.serial(layer) makes one of a layer"
    elif type(net).__module__.startswith(("torch", "timm")) or hasattr(net, "named_modules"):
        hint = "did you mean erfmath.from_torch(module, example).net?"
    elif type(net).__module__.startswith(("keras", "tensorflow")):
        hint = "did you mean erfmath.from_keras(model).net?"
    raise TypeError(f"net={text}: must be a Network; {hint}")


def _of_zoo(name: str) -> list[str]:
    """Networks of the zoo that may be meant."""
    from ..networks.zoo import names
    return meant(name, names())


def hinted(**slips: str) -> Callable[[Call], Call]:
    """Of a function: refuse words that people try for its arguments, each with the right one."""
    def wrap(function: Call) -> Call:
        known = inspect.signature(function).parameters

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            for word in options.keys() - known:
                raise unknown_argument(function.__name__, word, known, slips)
            if len(arguments) > 1:
                raise TypeError(f"{function.__name__}() takes all arguments but the network by keyword, as image=224")
            return function(*arguments, **options)
        return cast("Call", call)
    return wrap


def axes_of(image: Any, ndim: int) -> int:
    """The number of axes of an image that has one size per axis, else `ndim`."""
    if not is_sequence(image):
        return ndim
    if len(image) not in DIMENSIONS:
        raise ValueError(f"image={quoted(image)}: must have 1 to 3 values, one per axis")
    return len(image)


def image_shape(image: Any, ndim: int) -> tuple[int, ...]:
    """`image` as one positive int per axis."""
    if not is_sequence(image):
        return (integer(image, "image", 1),) * ndim
    if len(image) != ndim:
        raise ValueError(f"image={quoted(tuple(image))}: must have {ndim} values, one per axis")
    return tuple(integer(n, "image", 1) for n in image)
