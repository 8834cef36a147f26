"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from typing import Any, BinaryIO

__all__ = ["check_target", "write_atomically"]


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse, before any work is done, a `path` that could not be written afterwards.

    Raises
    ------
    OSError
        Naming the path and what is wrong with it.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if os.path.isdir(target):
        raise IsADirectoryError(f"{os.fspath(path)}: is a directory, not a file to write")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{os.fspath(path)}: there is no directory {folder}")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{os.fspath(path)}: the directory {folder} cannot be written to")


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    Whatever goes wrong on the way, `path` holds what it held before, and nothing else is left.

    Examples
    --------
    >>> import pathlib
    >>> write_atomically("note.txt", lambda file: file.write(b"whole or not at all"))
    >>> pathlib.Path("note.txt").read_bytes()
    b'whole or not at all'
    """
    check_target(path)
    target = os.path.realpath(path)  # a link stays a link
    temporary = f"{target}.{secrets.token_hex(6)}.part"
    try:
        with open(temporary, "xb") as file:
            write(file)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise
