"""Benchmarks: the table, the stop-watch, and that every benchmark runs. No times are asserted."""

from __future__ import annotations

import pytest

from erfmath import bench


def test_table_lines_up() -> None:
    table = bench.Table("T", ("work", "ms"), (("a", 1.0), ("longer", 123.456)), ("note",))
    lines = str(table).splitlines()
    assert lines[0] == "T" and lines[-1] == "note"
    assert len({len(line) for line in lines[1:-1]}) == 1


@pytest.mark.parametrize("value, text", [
    (0.00123456, "0.00123"), (1.0, "1.00"), (123.456, "123"), (12345.6, "1.23e+04"), (7, "7"),
    ("x", "x"),
])
def test_table_numbers_have_three_digits(value: object, text: str) -> None:
    assert str(bench.Table("", ("",), ((value,),))).splitlines()[-1].strip() == text


def test_table_refuses_a_row_of_another_length() -> None:
    with pytest.raises(ValueError, match="must have 2 cells"):
        bench.Table("T", ("a", "b"), ((1,),))


def test_side_by_side_takes_turns() -> None:
    calls: list[str] = []
    timings = bench.side_by_side({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "b"] * 4  # the first round warms up
    assert timings["a"].ratio == 1 and timings["b"].ratio > 0


def test_side_by_side_gives_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    a, b = iter([9, 1, 2, 3]), iter([9, 4, 4, 30])
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now[0])

    def work(times):
        now[0] += next(times)

    timings = bench.side_by_side({"a": lambda: work(a), "b": lambda: work(b)}, rounds=3)
    assert timings == {"a": (2, 1), "b": (4, 4)}  # ratios 4, 2, 10


@pytest.mark.parametrize("work, rounds", [({}, 3), ({"a": int}, 0)])
def test_side_by_side_refuses_nothing(work: dict, rounds: int) -> None:
    with pytest.raises(ValueError, match="one at least"):
        bench.side_by_side(work, rounds=rounds)


#: What benchmarks cannot do without.
NEEDED = dict.fromkeys(("fields", "readers"), ("torch", "torchvision", "timm"))


@pytest.mark.slow
@pytest.mark.parametrize("name", bench.BENCHMARKS)
def test_run_every_benchmark(name: str) -> None:
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package)
    table = bench.run(name, quick=True)
    assert table.rows and str(table)


def test_run_refuses_an_unknown_benchmark() -> None:
    with pytest.raises(ValueError, match="there are accuracy"):
        bench.run("nothing")
