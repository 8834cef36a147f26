"""The BLAS that NumPy uses: which one it is, and one thread of it where every bit has to be the same.

How a matrix product is split over threads changes the last bits of its sums.  NumPy has no function that
sets the number of threads, so OpenBLAS, which its packages bring, is asked itself; other libraries stay as
they are (their environment variables, such as MKL_NUM_THREADS=1, still work).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["describe", "one_thread"]


class OpenBLAS(NamedTuple):
    """Functions of the library that is loaded already."""

    kernel: Callable[[], bytes]
    threads: Callable[[], int]
    set_threads: Callable[[int], Any]


@functools.cache
def _openblas() -> OpenBLAS | None:
    """None where NumPy works with another library."""
    from numpy.linalg import _umath_linalg
    bundled = pathlib.Path(np.__file__).parent.parent / "numpy.libs"
    # An extension module gives the names of what it is linked to, but on Windows only its own.
    for path in (pathlib.Path(_umath_linalg.__file__), *bundled.glob("*openblas*")):
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(str(path))
            for name in ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}"):
                if hasattr(library, name.format("set_num_threads")):
                    kernel, *rest = (getattr(library, name.format(what))
                                     for what in ("get_corename", "get_num_threads", "set_num_threads"))
                    kernel.restype = ctypes.c_char_p
                    return OpenBLAS(kernel, *rest)
    return None


def describe() -> str:
    """Name of the BLAS, its kernel and its threads at present if it tells.

    The kernel matters: where a processor has AVX-512 and OpenBLAS does not pick it by itself, the
    environment variable OPENBLAS_CORETYPE=SkylakeX can be worth a factor of 2.
    """
    try:
        config: Any = np.show_config(mode="dicts")
    except TypeError:  # before NumPy 1.26
        config = {}
    name = str(config.get("Build Dependencies", {}).get("blas", {}).get("name", "BLAS"))
    library = _openblas()
    if library is None:
        return name
    threads = library.threads()
    return f"{name}, kernel {library.kernel().decode()}, {threads} thread{'s' if threads > 1 else ''}"


_lock = threading.Lock()
_inside = 0   # how many are within `one_thread` now, over all threads of this process
_before = 1   # threads to go back to when the last one leaves


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within it, OpenBLAS keeps to one thread, in all of this process."""
    global _inside, _before
    library = _openblas()
    if library is None:
        yield
        return
    with _lock:
        if _inside == 0:
            _before = library.threads()
            library.set_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                library.set_threads(_before)
