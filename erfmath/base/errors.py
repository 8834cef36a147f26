"""What erfmath refuses because it would not fit in memory."""

from __future__ import annotations

__all__ = ["MEMORY_LIMIT", "MOST_CHANNELS", "MOST_PHASES", "MOST_SITES", "MOST_TAPS", "MOST_WORK", "SizeError",
           "check_bytes", "check_count", "named"]

#: Largest single array, in bytes, that erfmath builds unasked.
MEMORY_LIMIT = 2**31
#: Most sites of a map along an axis, taps of a kernel along an axis, and channels of a map.
MOST_SITES, MOST_TAPS, MOST_CHANNELS = 2**24, 2**14, 2**22
#: Most sites that an upsampling makes of one along an axis, all upsamplings together: as many windows differ.
MOST_PHASES = 2**12
#: Most multiplications of one layer in a sweep: about a minute.
MOST_WORK = 2**36


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


def check_bytes(nbytes: int, what: str, remedy: str = "ask for a smaller part") -> None:
    """Refuse `what` if its `nbytes` bytes pass `MEMORY_LIMIT`.

    Raises
    ------
    SizeError
        Before anything is allocated.
    """
    if nbytes > MEMORY_LIMIT:
        raise SizeError(f"{what} would need {nbytes} bytes ({nbytes / 2**30:.3g} GiB), more than "
                        f"the limit of {MEMORY_LIMIT} (erfmath.base.errors.MEMORY_LIMIT): {remedy}")


def check_count(count: int, most: int, what: str, remedy: str = "take a smaller one", each: int = 8) -> None:
    """Refuse a `count` of things, of `each` bytes, above `most`: work that would not end, long before memory does.

    Raises
    ------
    SizeError
        Before anything is made of it.
    """
    if count > most:
        raise SizeError(f"{what}: at most {most} are taken, {count} need {each * count} bytes at least; {remedy}")


def named(error: Exception, where: object) -> ValueError:
    """The same refusal, saying of what: a `SizeError` stays one.

    Examples
    --------
    >>> named(SizeError("too large"), "conv1")
    SizeError('conv1: too large')
    """
    return (SizeError if isinstance(error, SizeError) else ValueError)(f"{where}: {error}")
