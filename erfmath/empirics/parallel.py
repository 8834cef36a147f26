"""Chunks of an ensemble, here or on other processes; always handed back in order."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Union

from ..base.checks import integer
from .blas import one_thread

__all__ = ["Workers", "in_order"]

#: A number of processes, or a function like the builtin `map`.
Workers = Union[int, Callable[..., Iterable[Any]]]

# How BLAS libraries are told to keep to one thread: processes side by side would fight otherwise.
_ONE_THREAD = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS",
                                      "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS")}

#: Parts handed to a map-like callable at once.
PORTION = 64

_work: Callable[[Any], Any] | None = None  # of a worker process


def _start(work: Callable[[Any], Any]) -> None:
    """First thing in a worker process: take the work; Ctrl-C is the parent's business."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _call(part: Any) -> Any:
    assert _work is not None
    return _work(part)


class _OnOneThread:
    """`work` on one thread of BLAS, wherever a part is done: the same bits everywhere."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work

    def __call__(self, part: Any) -> Any:
        with one_thread():
            return self._work(part)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def in_order(work: Callable[[Any], Any], parts: Iterable[Any], workers: Workers) -> Iterator[Iterator[Any]]:
    """An iterator over ``work(part) for part in parts``, done by `workers`, in the order of `parts`.

    `work` must pickle if other processes are to do it; each part is worked on with one thread of BLAS.
    `parts` are asked for as they are needed.  Leaving the context drops what has not begun.

    Raises
    ------
    ValueError
        If `workers` is neither a positive int nor callable.
    """
    work = _OnOneThread(work)
    parts = iter(parts)
    if callable(workers):
        # In portions: executors' maps take all there is at once, and the run may stop early.
        portions = iter(lambda: list(itertools.islice(parts, PORTION)), [])
        yield itertools.chain.from_iterable(workers(work, portion) for portion in portions)
        return
    workers = integer(workers, "workers", 1)
    first = list(itertools.islice(parts, workers))
    parts = itertools.chain(first, parts)
    if len(first) < 2:
        yield map(work, parts)
    else:
        # "spawn" also on Linux: a fork would inherit the BLAS threads of this process.
        context = multiprocessing.get_context("spawn")
        with _environment(_ONE_THREAD):
            pool = ProcessPoolExecutor(len(first), context, _start, (work,))
            try:
                yield _sliding(pool, parts, 3 * workers)
            finally:
                pool.shutdown(cancel_futures=True)


def _sliding(pool: ProcessPoolExecutor, parts: Iterable[Any], ahead: int) -> Iterator[Any]:
    """Results in order, with no more than `ahead` parts under way."""
    waiting: deque[Future[Any]] = deque()
    for part in parts:
        waiting.append(pool.submit(_call, part))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
