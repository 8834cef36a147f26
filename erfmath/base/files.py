"""Writing files so that a reader never meets half of one, and the archives that results are kept in."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
import numpy.typing as npt

from .errors import check_bytes, quoted

__all__ = ["BROKEN", "check_archive", "check_name", "check_target", "open_regular", "read_archive", "write_archive",
           "write_atomically"]

Array = npt.NDArray[Any]

#: What reading an npz file raises, beside OSError, where it is damaged, something else, or does not fit itself.
BROKEN = (LookupError, TypeError, ValueError, AttributeError, EOFError, ArithmeticError, NotImplementedError,
          RuntimeError, MemoryError, BadZipFile, zlib.error)
#: Seconds after which a temporary file belongs to nobody.
LEFT = 3600.0
#: Bytes of a name that file systems take.
LONGEST = 255
#: Bytes that one compressed byte can become at most.
DEFLATE = 1032


def check_name(path: Any, argument: str = "path") -> None:
    """Refuse what is no name of a file.

    Raises
    ------
    TypeError, FileNotFoundError
        Naming the argument.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{argument}={quoted(path)}: must be the name of a file")
    try:
        parts = os.fsencode(path).split(os.fsencode(os.sep))
    except UnicodeEncodeError:
        parts = []
    if not any(parts) or any(b"\0" in part or len(part) > LONGEST for part in parts):
        raise FileNotFoundError(f"{argument}={quoted(os.fspath(path))}: must be the name of a file")


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse, before any work is done, a `path` that could not be written afterwards.

    Raises
    ------
    OSError
        Naming the path and what is wrong with it.
    """
    check_name(path)
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if os.path.isdir(target):
        raise IsADirectoryError(f"{os.fspath(path)}: is a directory, not a file to write")
    if os.path.exists(target) and not os.path.isfile(target):
        raise FileExistsError(f"{os.fspath(path)}: is a device, pipe or socket, which would be replaced; give the name "
                              "of a file")
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{os.fspath(path)}: there is no directory {folder}")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{os.fspath(path)}: the directory {folder} cannot be written to")


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    Whatever goes wrong on the way, `path` holds what it held before, and nothing else is left.  A
    file that is replaced hands on its permissions.

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
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        _clear(target)
    except BaseException as error:
        with contextlib.suppress(OSError):  # there is none
            os.remove(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, temporary):
            error.filename = os.fspath(path)  # the one that was asked for
        raise


def _clear(target: str) -> None:
    """Remove what writers of `target` left that were killed: nobody writes for an hour."""
    with contextlib.suppress(OSError):
        for name in os.listdir(os.path.dirname(target)):
            if re.fullmatch(re.escape(os.path.basename(target)) + r"\.[0-9a-f]{12}\.part", name):
                left = os.path.join(os.path.dirname(target), name)
                if time.time() - os.stat(left).st_mtime > LEFT:
                    os.remove(left)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """`path` opened for reading; devices and pipes, which need not end, are refused.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is no regular file.
    """
    check_name(path)
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a directory cannot be opened anyway
        raise ValueError(f"{os.fspath(path)}: is no regular file")
    return open(path, "rb")


def check_archive(file: BinaryIO) -> None:
    """Refuse what is no npz file, or claims what it cannot hold, or what does not fit in memory.

    NumPy takes what is no npz file for a pickle, and advises to trust it; and allocates whatever a
    header claims.  Only headers are read here; afterwards the file is at its beginning again.

    Raises
    ------
    ValueError
        Naming the array.
    SizeError
        If the arrays need more than `MEMORY_LIMIT` together.
    """
    if not is_zipfile(file):
        raise ValueError("it is no npz file")
    length, whole = file.seek(0, os.SEEK_END), 0
    with ZipFile(file) as archive:
        for member in archive.infolist():
            packed = min(member.compress_size, length)
            with archive.open(member) as part:
                claimed = _claimed_bytes(part, member.filename)
                if claimed + part.tell() != member.file_size or member.file_size > DEFLATE * packed:
                    raise ValueError(f"{member.filename}: claims {claimed} bytes, which the file does not hold")
            whole += claimed
    check_bytes(whole, "its arrays", "they cannot be read")
    file.seek(0)


def _claimed_bytes(part: Any, name: str) -> int:
    """Bytes of the array whose header says of what type and shape it is."""
    version = np.lib.format.read_magic(part)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name}: is of version {version} of the npy format; 1.0 and 2.0 are read")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(part)
    if dtype.hasobject:
        raise ValueError(f"{name}: holds Python objects")
    return dtype.itemsize * math.prod(shape)


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
    with open_regular(path) as file:
        try:
            check_archive(file)
            with np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            return arrays, json.loads(arrays.pop("about").tobytes())
        except (OSError, *BROKEN) as error:
            raise ValueError(str(error)) from None
