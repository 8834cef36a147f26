"""What is remembered is bounded, told by identity, and forgotten on request."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
from helpers import EXACT, assert_close

import erfmath as em
from erfmath.theory import memory
from erfmath.theory.memory import OWNERS, Recent, forget, interned, remembered
from erfmath.theory.sweep import backward


class Owner:
    """All owners are equal, none is another."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


def test_recent_values_are_made_once_per_owner_and_key() -> None:
    recent: Recent[int] = Recent(2)
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    first, second = Owner(), Owner()
    assert [recent.get(owner, key, make) for owner, key in [(first, 0), (second, 0), (first, 0), (first, 1)]] == [
        0, 1, 0, 2]
    assert recent.get(first, 1, make) == 2  # the last two are held
    forget()
    assert recent.get(first, 1, make) == len(made) - 1 == 3


def test_values_of_functions_are_dropped_as_owners_are_new() -> None:
    recent: Recent[Owner] = Recent(2)
    of_values, of_tables = (remembered(10 * OWNERS, lasting=lasting)(Owner) for lasting in (False, True))
    value, table = of_values(), of_tables()
    for _ in range(OWNERS):
        assert of_values() is value
        recent.get(Owner(), 0, Owner)
    assert of_values() is not value and of_tables() is table


def test_the_oldest_goes_even_where_it_knows_its_owner() -> None:
    """As what has been made ready for a network does: by weak references alone it would stay for ever."""
    recent: Recent[list[Owner]] = Recent(2)
    gone = []
    for key in range(3):
        owner = Owner()
        recent.put(owner, key, [owner])
        assert recent.find(owner, key) == [owner] and recent.find(owner, key + 1) is recent.find(Owner(), key) is None
        gone.append(weakref.ref(owner))
    del owner
    gc.collect()
    assert [one() is None for one in gone] == [True, False, False]


def test_threads_may_share() -> None:
    recent: Recent[int] = Recent(3)
    wrong: list[int] = []
    owners = [Owner() for _ in range(5)]

    def work() -> None:
        for n in range(2000):
            key = n % 5
            if recent.get(owners[key], key, lambda: key) != key:
                wrong.append(n)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_only_what_does_not_last_is_forgotten() -> None:
    calls: list[str] = []

    @remembered(4)
    def table(n: int) -> int:
        calls.append("table")
        return n

    @remembered(4, lasting=False)
    def value(n: int) -> int:
        calls.append("value")
        return n

    assert [table(1), value(1), table(1), value(1)] == [1] * 4
    forget()
    assert table(1) == value(1) == 1
    assert calls == ["table", "value", "value"]


def test_interned_objects_are_one_while_any_is_in_use() -> None:
    made: list[int] = []

    @interned(2)
    def make(number: int) -> Owner:
        made.append(number)
        return Owner()

    one = make(1)
    for number in range(2, 9):  # more than are kept
        make(number)
    forget()
    assert make(1) is one and made.count(1) == 1
    del one
    forget()
    gc.collect()
    make(1)
    assert made.count(1) == 2


def test_what_is_dropped_in_the_middle_of_a_prediction_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may drop what functions returned, or many values push it out: was a matmul of two sizes."""
    part = em.concat(em.Identity(), em.serial(em.BatchNorm(), em.BlurPool(5, 1), em.Conv(3, 4)))
    net = em.serial(em.Conv(3, 2), em.MaxPool(3, 3, dilation=2), em.Conv(3, groups="depthwise", padding="valid"), part,
                    em.Conv(6, 4, stride=2, padding=2))
    wanted = em.predict(net, ndim=2, channels_in=2).map
    passed = backward._Sweep._pass

    def dropping(*arguments: Any) -> Any:
        for drop in memory._values:
            drop()
        return passed(*arguments)

    monkeypatch.setattr(backward._Sweep, "_pass", dropping)
    memory.forget()
    assert_close(em.predict(net, ndim=2, channels_in=2).map, wanted, EXACT)
