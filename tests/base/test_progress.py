"""The bar: when it is shown, what it says, and that it is gone in the end."""

from __future__ import annotations

import io
import time

import pytest

from erfmath.base.progress import WIDTH, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_for(stream: io.StringIO, text: str) -> None:
    for _ in range(20_000):
        if text in stream.getvalue():
            return
        time.sleep(0.001)
    pytest.fail(f"{text!r} never appeared")


def test_progress_shows_nothing_of_short_work() -> None:
    for stream in (Terminal(), io.StringIO()):
        with Progress("work", stream=stream, delay=3600) as progress:
            progress(1, 2)
        assert stream.getvalue() == ""


def test_progress_bar_is_wiped_in_the_end() -> None:
    stream = Terminal()
    with Progress("work", stream=stream, delay=0, interval=0.001) as progress:
        wait_for(stream, "work [")
        progress(3, 4)
        wait_for(stream, "3/4")
    text = stream.getvalue()
    assert "\n" not in text and text.endswith(" \r") and not text.rpartition("]")[2].rpartition("\r")[0][-1:].strip()


def test_progress_in_a_log_is_one_line() -> None:
    stream = io.StringIO()
    with Progress("work", stream=stream, delay=0):
        wait_for(stream, "\n")
    assert stream.getvalue() == "work ...\n"


def test_progress_bar_fills() -> None:
    progress = Progress("work")
    assert {len(progress.line(tenths / 10)) for tenths in range(90)} == {len(progress.line(0))}
    for done in (0, 1, 4):
        progress(done, 4)
        assert progress.line(2).count("#") == WIDTH * done // 4
    assert progress.line(2) == f"work [{'#' * WIDTH}] 4/4 2 s"


def test_progress_tells_rate_and_time_left() -> None:
    progress = Progress("work")
    progress(10, 100)                                      # as a run that is taken up again: 10 were there
    progress(30, 100)
    assert progress.line(4).endswith("30/100 5/s, 14 s left, 4 s")
    assert progress.line(400).endswith("30/100 0.05/s, 23:20 min left, 6:40 min")
    progress(100, 100)
    assert progress.line(4).endswith("100/100 4 s")
