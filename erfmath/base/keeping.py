"""A file that keeps what a long run has done: written now and then, by one run at a time."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from .files import check_name, check_target

try:
    import fcntl
except ImportError:  # Windows: nobody is kept out
    fcntl = None  # type: ignore[assignment]

__all__ = ["Keeper"]

Kept = TypeVar("Kept", bound="Keeper")


class Keeper:
    """The checkpoint at `path`, as a context: refused at the door rather than after the work.

    While the context lasts, nobody else gets this file; a lock of the operating system says so, on
    ``path.lock``, and ends with the process however that ends.

    Parameters
    ----------
    path : path
    interval : float
        Seconds between two writes.

    Raises
    ------
    OSError
        If the file could not be written, or another run works on it (`BlockingIOError`).
    """

    def __init__(self, path: str | os.PathLike[str], interval: float) -> None:
        check_name(path, "checkpoint")
        check_target(path)
        self.path, self._interval = path, interval
        self._warned, self._lock = False, _lock(path)
        self._written = time.monotonic()

    def __enter__(self: Kept) -> Kept:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._lock is not None:
            try:
                os.remove(_lock_of(self.path))
            except OSError:
                pass  # somebody has cleared up
            os.close(self._lock)
            self._lock = None

    def write(self, write: Callable[[], Any], now: bool = False) -> None:
        """Call `write`, unless the last time was a moment ago.

        Where it cannot write (the disk is full), the run goes on: what it has done is worth more than
        its file.

        Warns
        -----
        UserWarning
            The first time that it cannot.
        """
        if not (now or time.monotonic() - self._written > self._interval):
            return
        try:
            write()
        except OSError as error:
            if not self._warned:
                warnings.warn(f"checkpoint={os.fspath(self.path)!r}: cannot be written ({error.strerror}); the run "
                              "goes on, and is lost if it is stopped", stacklevel=3)
            self._warned = True
        self._written = time.monotonic()


def _lock_of(path: str | os.PathLike[str]) -> str:
    return os.path.realpath(path) + ".lock"


def _lock(path: str | os.PathLike[str]) -> int | None:
    """A descriptor that holds the lock, or None where there are no locks."""
    if fcntl is None:
        return None
    while True:
        file = os.open(_lock_of(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise BlockingIOError(f"{os.fspath(path)}: another run is working on this checkpoint; wait for it, or give "
                                  "another file name") from None
        except OSError:  # a file system without locks
            return file
        try:
            if os.path.samestat(os.fstat(file), os.stat(_lock_of(path))):
                return file
        except FileNotFoundError:
            pass
        os.close(file)  # whoever had it removed it in between
