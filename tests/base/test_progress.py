"""The bar: when it is shown, what it says, and that it is gone in the end."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import pytest

import erfmath as em
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


NET = em.serial(em.Conv(3, 4), em.Activation("relu"), em.residual(em.Conv(3, 4)))
GRADS = np.pad(np.ones((2, 1, 3, 3)), ((0, 0), (0, 0), (9, 9), (9, 9)))
#: What lasts on large networks, on a small one; and whether it tells what is done.
LONG: dict[str, tuple[Any, bool]] = {
    "predict": (lambda progress: em.predict(NET, width=4, progress=progress), False),
    "tile_halo": (lambda progress: em.tile_halo(NET, progress=progress), False),
    "signals": (lambda progress: em.signals(NET, progress=progress), False),
    "scatter": (lambda progress: em.scatter(NET, progress=progress), False),
    "layer_shares": (lambda progress: em.layer_shares(NET, progress=progress), True),
    "border_layers": (lambda progress: em.border_layers(NET, 8, progress=progress), True),
    "remedies": (lambda progress: em.remedies(NET, image=8, progress=progress), True),
    "growth": (lambda progress: em.growth(em.zoo.plain, [2, 3, 4], progress=progress), True),
    "erf_size_map": (lambda progress: em.erf_size_map(NET, 3, kind="mass", progress=progress), True),
    "design": (lambda progress: em.design(
        2, budget=em.Budget(depth=3), choices=em.Choices(kernel_sizes=(3,), kinds=("chain",)),
        progress=progress), True),
    "from_gradients": (lambda progress: em.gradients.from_gradients(GRADS, progress=progress), True),
    "measure": (lambda progress: em.measure(NET, draws=2, rng=0, progress=progress), True),
    "walk": (lambda progress: em.walk(em.kernels.uniform(3), 2, method="rational", progress=progress).pmf(0), True),
}


@pytest.mark.parametrize("name", LONG)
def test_what_lasts_shows_its_progress(name: str) -> None:
    function, tells = LONG[name]
    seen: list[tuple[int, int]] = []
    plain, shown, _ = (repr(function(how)) for how in (None, lambda *told: seen.append(told), True))
    assert plain == shown
    assert bool(seen) == tells and all(0 <= done <= total for done, total in seen)
    with pytest.raises(ValueError, match="progress='yes': must be True, False or a function"):
        function("yes")
