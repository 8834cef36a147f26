"""What erfmath refuses because it would not fit in memory."""

from __future__ import annotations

__all__ = ["MEMORY_LIMIT", "SizeError", "check_bytes"]

#: Largest single array, in bytes, that erfmath builds unasked.
MEMORY_LIMIT = 2**31


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
