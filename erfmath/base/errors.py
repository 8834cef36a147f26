"""What erfmath refuses: what would not fit in memory, and what needs a package that is not installed."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["MEMORY_LIMIT", "MOST_CHANNELS", "MOST_NODES", "MOST_PHASES", "MOST_SITES", "MOST_TAPS", "MOST_WORK", "NODE",
           "SizeError", "check_bytes", "check_count", "few", "named", "optional", "quoted"]

#: Largest single array, in bytes, that erfmath builds unasked.
MEMORY_LIMIT = 2**31
#: Most nodes of a network, and the bytes of one.
MOST_NODES, NODE = 2**20, 2**10
#: Most sites of a map along an axis, taps of a kernel along an axis, and channels of a map.
MOST_SITES, MOST_TAPS, MOST_CHANNELS = 2**24, 2**14, 2**22
#: Most sites that an upsampling makes of one along an axis, all upsamplings together: as many windows differ.
MOST_PHASES = 2**12
#: Most multiplications of one layer in a sweep: about a minute.
MOST_WORK = 2**36
#: Most characters of a value that a message quotes.
QUOTED = 80


def quoted(value: Any) -> str:
    """A value as messages quote it: on one line, and at most `QUOTED` characters of it.

    Examples
    --------
    >>> quoted("3"), quoted(10**9), quoted([0] * 1000), quoted(10**5000)
    ("'3'", '1000000000', '[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,...', 'an integer of 16610 bits')
    """
    if isinstance(value, int) and value.bit_length() > 10_000:  # the interpreter refuses to print it
        return f"an integer of {value.bit_length()} bits"
    if hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, (str, bytes, list, tuple)):
        value = value[:10 * QUOTED]
    try:
        text = repr(value)
    except Exception:  # of anybody's class, or integers in a list
        text = f"<{type(value).__name__}>"
    text = re.sub(" at 0x[0-9a-fA-F]+", "", " ".join(text.split()))
    return text if len(text) <= QUOTED else text[:QUOTED - 25] + "..."


def few(names: Sequence[str]) -> str:
    """The first three, as messages list them.

    Examples
    --------
    >>> few(["conv1"]), few(["conv1", "conv2", "conv3", "conv4"])
    ('conv1', 'conv1, conv2, conv3, ...')
    """
    return ", ".join([*names[:3], *["..."] * (len(names) > 3)])


class SizeError(MemoryError, ValueError):
    """A request whose answer would not fit in memory; raised by whatever would build it.

    The message says how many bytes it needs and what to ask for instead. It is of the request as
    much as of the machine: callers catch it as `ValueError` or as `MemoryError`.

    Examples
    --------
    >>> import erfmath as em
    >>> deep = em.predict(em.repeat(em.Conv(3), 10_000), method="normal")
    >>> deep.map
    Traceback (most recent call last):
        ...
    erfmath.base.errors.SizeError: a map of shape (20001, 20001) would need ...
    """


def check_bytes(nbytes: int, what: str, remedy: str = "ask for a smaller part", arrays: int = 1) -> None:
    """Refuse `what` if its `nbytes` bytes pass `MEMORY_LIMIT` for each of so many `arrays`.

    Raises
    ------
    SizeError
        Before anything is allocated.
    """
    if nbytes > arrays * MEMORY_LIMIT:
        size = f"{quoted(nbytes)} bytes" + (f" ({nbytes / 2**30:.3g} GiB)" if nbytes < 2**999 else "")
        limit = f"{arrays} times the limit" if arrays > 1 else "the limit"
        raise SizeError(f"{what} would need {size}, more than "
                        f"{limit} of {MEMORY_LIMIT} (erfmath.base.errors.MEMORY_LIMIT): {remedy}")


def check_count(count: int, most: int, what: str, remedy: str = "take a smaller one", each: int = 8) -> None:
    """Refuse a `count` of things, of `each` bytes, above `most`: work that would not end, long before memory does.

    Raises
    ------
    SizeError
        Before anything is made of it.
    """
    if count > most:
        raise SizeError(f"{what}: at most {most} are taken, {quoted(count)} need {quoted(each * count)} bytes at "
                        f"least; {remedy}")


def named(error: Exception, where: object) -> ValueError:
    """The same refusal, saying of what: a `SizeError` stays one.

    Examples
    --------
    >>> named(SizeError("too large"), "conv1")
    SizeError('conv1: too large')
    """
    name = str(where)
    if len(name) > QUOTED:
        name = f"{name[:QUOTED - 25]}..."
    return (SizeError if isinstance(error, SizeError) else ValueError)(f"{name}: {error}")


def optional(package: str, purpose: str, remedy: str = "") -> Any:
    """A package that erfmath does not depend on, imported where it is needed.

    Parameters
    ----------
    package : str
        Name of the package to import.
    purpose : str
        What needs it, as the message says it.
    remedy : str, optional
        What to do instead of installing it.

    Raises
    ------
    ImportError
        If it is not installed, with the command that installs it; an error inside the package passes unchanged.

    Examples
    --------
    >>> optional("torche", "from_torch")
    Traceback (most recent call last):
        ...
    ImportError: from_torch needs the package torche, which is not installed: pip install torche
    """
    top = package.split(".")[0]
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != top:  # a part of the package, or something that it needs
            raise
    raise ImportError(f"{purpose} needs the package {top}, which is not installed: pip install {top}"
                      + (f", or {remedy}" if remedy else ""), name=top) from None
