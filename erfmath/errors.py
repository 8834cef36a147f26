"""What erfmath refuses because it would not fit in memory."""

from __future__ import annotations

__all__ = ["MEMORY_LIMIT", "SizeError", "check_bytes"]

#: Largest single array, in bytes, that erfmath builds unasked.
MEMORY_LIMIT = 2**31


class SizeError(MemoryError, ValueError):
    """A request whose answer would not fit in memory; the message says how many bytes it needs."""


def check_bytes(nbytes: int, what: str, remedy: str = "ask for a smaller part") -> None:
    """Refuse `what` if its `nbytes` bytes pass `MEMORY_LIMIT`.

    Raises
    ------
    SizeError
        Before anything is allocated.
    """
    if nbytes > MEMORY_LIMIT:
        raise SizeError(f"{what} would need {nbytes} bytes ({nbytes / 2**30:.3g} GiB), more than "
                        f"the limit of {MEMORY_LIMIT} (erfmath.errors.MEMORY_LIMIT): {remedy}")
