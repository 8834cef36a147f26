"""Writing files so that a reader never meets half of one, and the archives that results are kept in."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO
from zipfile import BadZipFile, is_zipfile

import numpy as np
import numpy.typing as npt

__all__ = ["BROKEN", "check_archive", "check_target", "read_archive", "write_archive", "write_atomically"]

Array = npt.NDArray[Any]

#: What NumPy raises, beside OSError, for npz files that are damaged or something else.
BROKEN = (KeyError, TypeError, ValueError, AttributeError, EOFError, OverflowError, NotImplementedError,
          RuntimeError, BadZipFile, zlib.error)


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
    except BaseException as error:
        with contextlib.suppress(OSError):  # there is none
            os.remove(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            error.filename = os.fspath(path)  # the one that was asked for
        raise


def check_archive(file: BinaryIO) -> None:
    """Refuse what is no npz file, which NumPy takes for a pickle and advises to trust.

    Raises
    ------
    ValueError
        Otherwise the file is at its beginning again.
    """
    if not is_zipfile(file):
        raise ValueError("it is no npz file")
    file.seek(0)


def write_archive(path: str | os.PathLike[str], arrays: Mapping[str, Any], about: Mapping[str, Any], *,
                  compressed: bool = False) -> None:
    """Named `arrays`, and a JSON-ready `about` that says what they are, as one npz file without pickles."""
    text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    save: Any = np.savez_compressed if compressed else np.savez
    write_atomically(path, lambda file: save(file, **arrays, about=text))


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and `about` that `write_archive` wrote.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, or something else; the caller says what it should have been.

    Examples
    --------
    >>> import numpy as np
    >>> write_archive("one.npz", {"x": np.arange(3)}, {"unit": "px"})
    >>> arrays, about = read_archive("one.npz")
    >>> arrays["x"].tolist(), about
    ([0, 1, 2], {'unit': 'px'})
    """
    with open(path, "rb") as file:
        try:
            check_archive(file)
            with np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            return arrays, json.loads(arrays.pop("about").tobytes())
        except (OSError, *BROKEN) as error:
            raise ValueError(str(error)) from None
