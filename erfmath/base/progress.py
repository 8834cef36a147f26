"""A progress bar on stderr, for work that lasts."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TextIO, Union

from .errors import quoted

__all__ = ["Progress", "Report", "check_progress", "shown"]

#: What an argument `progress` may be: True for a bar on stderr, or a function of (done, total).
Report = Union[bool, Callable[[int, int], Any], None]

WIDTH = 24


class Progress:
    """Shows that work goes on, once it has gone on for `delay` seconds.

    Call it with what is done and what there is to do: then the bar has the rate and an estimate of the time that
    remains.  Until then the bar only runs to and fro beside the elapsed time.  On a terminal and in a notebook the
    bar is wiped when the work is done; elsewhere (a pipe, a log) `label` is printed once.

    Examples
    --------
    >>> with Progress("squares") as progress:
    ...     for i in range(10):
    ...         progress(i + 1, 10)
    """

    def __init__(self, label: str, *, stream: TextIO | None = None, delay: float = 1.0,
                 interval: float = 0.1) -> None:
        self._label = label
        self._stream = sys.stderr if stream is None else stream
        self._delay = delay
        self._interval = interval
        self._part: tuple[int, int] | None = None
        self._first: tuple[int, float] | None = None  # what was done when it was first told, and when: resumed work
        self._note = ""
        self._width = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __call__(self, done: int, total: int) -> None:
        """Report that `done` of `total` pieces of work are finished."""
        self._part = (done, total)
        if self._first is None:
            self._first = (done, self._elapsed()) if done < total else (0, 0.0)

    def note(self, text: str) -> None:
        """Words at the end of the bar, as the loss of a run."""
        self._note = text

    def __enter__(self) -> Progress:
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def line(self, seconds: float) -> str:
        """What the bar shows after `seconds`."""
        if self._part is None:
            step = int(seconds / self._interval) % (2 * WIDTH - 6)
            start = min(step, 2 * WIDTH - 6 - step)
            bar, told = " " * start + "###" + " " * (WIDTH - 3 - start), ""
        else:
            done, total = self._part
            bar = ("#" * round(WIDTH * done / max(total, 1))).ljust(WIDTH)
            told = f" {done}/{total}{self._pace(done, total, seconds)}"
        return f"{self._label} [{bar}]{told} {_time(seconds)}" + (f", {self._note}" if self._note else "")

    def _pace(self, done: int, total: int, seconds: float) -> str:
        """Rate, and time that remains; nothing before two reports, or at the end."""
        before, since = self._first or (done, seconds)
        if not before < done < total or seconds <= since:
            return ""
        rate = (done - before) / (seconds - since)
        return f" {rate:.3g}/s, {_time((total - done) / rate)} left,"

    def _elapsed(self) -> float:
        return time.monotonic() - getattr(self, "_start", time.monotonic())

    def _run(self) -> None:
        # A thread of its own draws, so that the bar also moves within one long piece of work.
        if self._done.wait(None if self._delay == math.inf else self._delay):
            return
        if not (self._stream.isatty() or _in_notebook(self._stream)):
            print(f"{self._label} ...", file=self._stream, flush=True)
            return
        while True:
            self._show(self.line(self._elapsed()))
            if self._done.wait(self._interval):
                return self._show("")

    def _show(self, text: str) -> None:
        # Spaces wipe what is longer: notebooks know the carriage return, but not the codes of terminals.
        print(f"\r{text.ljust(self._width)}" + ("" if text else "\r"), end="", file=self._stream, flush=True)
        self._width = len(text)


def _time(seconds: float) -> str:
    """12 s, 3:05 min, 1:02 h."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02} min" if whole < 5400 else f"{whole // 3600}:{whole % 3600 // 60:02} h"


def _in_notebook(stream: TextIO) -> bool:
    """Whether a stream is that of a Jupyter kernel."""
    return type(stream).__module__.startswith("ipykernel")


def check_progress(progress: Any) -> None:
    """Refuse what is no `Report`."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ValueError(f"progress={quoted(progress)}: must be True, False or a function of (done, total)")


@contextlib.contextmanager
def shown(progress: Any, label: str) -> Iterator[Callable[[int, int], Any]]:
    """What an argument `progress` asks for: for True a bar, for a function (done, total) itself, else nothing."""
    check_progress(progress)
    if progress is True:
        with Progress(label) as bar:
            yield bar
    elif callable(progress):
        yield progress
    else:
        yield lambda done, total: None
