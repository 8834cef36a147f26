"""Small ensembles, whether two are the same bit for bit, and an interruption."""

from __future__ import annotations

from typing import Any

from helpers import EXACT, assert_close

import erfmath as em
from erfmath.results.measured import MeasuredReceptiveField


def chain(n: int = 3, kernel: int = 3, **options: Any) -> em.Network:
    return em.repeat(em.Conv(kernel, weights=em.Random(gain=1), **options), n)


def same(a: MeasuredReceptiveField, b: MeasuredReceptiveField) -> None:
    assert a.draws == b.draws and a.dead == b.dead
    assert_close(a.map, b.map, EXACT)
    assert_close(a.moments.square, b.moments.square, EXACT)
    assert_close(a.moments.scatter, b.moments.scatter, EXACT)


class Stop:
    """Progress that interrupts after some calls."""

    def __init__(self, after: int) -> None:
        self.left, self.seen = after, []

    def __call__(self, done: int, total: int) -> None:
        self.seen.append((done, total))
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
