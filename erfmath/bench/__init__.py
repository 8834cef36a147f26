"""Benchmarks against other implementations, interleaved in time, printed as tables.

Each module of this package is one benchmark and has a function ``run(quick=False) -> Table``.
Machines differ and are noisy, so what counts is the ratio of times taken in the same round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from ..base.errors import quoted
from ..base.tables import text_table
from ..empirics.blas import one_thread

__all__ = ["BENCHMARKS", "Table", "Timing", "run", "side_by_side"]

#: Name on the command line -> module of this package.
BENCHMARKS = {"accuracy": "accuracy", "agreement": "agreement", "dependence": "dependence",
              "fields": "fields", "import": "imports", "inputs": "inputs",
              "limits": "limits",
              "measure": "measure", "predict": "predict", "pretrained": "pretrained", "probes": "probes",
              "readers": "coverage",
              "scatter": "scatter",
              "survey": "survey", "trained": "trained",
              "train": "train", "walk": "walk", "width": "width"}


@dataclass(frozen=True)
class Table:
    """Rows under a header, with a title above and notes below.

    Examples
    --------
    >>> print(Table("Times", ("work", "ms"), (("short", 0.123456), ("longer", 12.0)), ("noisy",)))
    Times
      work       ms
      short   0.123
      longer   12.0
    noisy
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"rows: {quoted(row)} must have {len(self.header)} cells, as the header")

    def __str__(self) -> str:
        table = text_table([self.header, *(tuple(map(_cell, row)) for row in self.rows)], "lr")
        return "\n".join([self.title, *(f"  {line}" for line in table.splitlines()), *self.notes])


def _cell(value: Any) -> str:
    return f"{value:#.3g}".rstrip(".") if isinstance(value, float) else str(value)


class Timing(NamedTuple):
    """Median time of a piece of work, and the median of its ratio to the first one of the round."""

    seconds: float
    ratio: float


def side_by_side(work: Mapping[str, Callable[[], Any]], *, rounds: int = 7,
                 clock: Callable[[], float] | None = None) -> dict[str, Timing]:
    """Time pieces of work in turn, `rounds` times over, after one round that does not count.

    Taking turns spreads the noise of the machine evenly; the ratio of two times of one round
    suffers less from it than the times.  The `clock` is the wall's; `time.process_time` leaves out
    what other processes do.

    Examples
    --------
    >>> timings = side_by_side({"a": lambda: sum(range(10)), "b": lambda: sum(range(1000))})
    >>> timings["a"].ratio
    1.0
    """
    if rounds < 1 or not work:
        raise ValueError(f"rounds={quoted(rounds)}, {len(work)} pieces of work: must be one at least")
    clock = clock or time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, piece in work.items():
            start = clock()
            piece()
            if turn:
                times[name].append(clock() - start)
    first = times[next(iter(work))]
    return {name: Timing(statistics.median(taken),
                         statistics.median(t / base for t, base in zip(taken, first)))
            for name, taken in times.items()}


def run(name: str, *, quick: bool = False, **options: Any) -> Table:
    """Run the benchmark called `name` on one thread of BLAS; `quick` only shows that it works.

    `options` are those of its own function `run`, if it has any.
    """
    if name not in BENCHMARKS:
        raise ValueError(f"name={quoted(name)}: no such benchmark; there are {', '.join(BENCHMARKS)}")
    with one_thread():
        return import_module(f"{__name__}.{BENCHMARKS[name]}").run(quick=quick, **options)
