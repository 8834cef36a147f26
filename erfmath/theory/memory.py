"""What the theory remembers from one call to the next: bounded, shared by threads, forgotten on request."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

__all__ = ["Recent", "forget", "interned", "lazy", "remembered", "replace"]

T = TypeVar("T")
_forgetters: list[Callable[[], None]] = []
_values: list[Callable[[], None]] = []  # those that drop what functions made of values
#: Owners after which they are called: networks of other values hardly ask for them again.
OWNERS = 32


if TYPE_CHECKING:
    from functools import cached_property as lazy
else:
    class lazy:
        """As `functools.cached_property`, without the lock of Pythons before 3.12.

        Threads may run it twice; what the first has found is what all get, as values are told by their identity.
        """

        def __init__(self, find: Callable[[Any], Any]) -> None:
            self._find, self.__doc__ = find, find.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, of: Any, owner: type | None = None) -> Any:
            if of is None:
                return self
            return of.__dict__.setdefault(self._name, self._find(of))


def replace(of: T, **changes: Any) -> T:
    """As `dataclasses.replace`, of what has no fields to check: states change at every layer."""
    out = object.__new__(type(of))
    known, fields = of.__dict__, of.__dataclass_fields__  # type: ignore[attr-defined]
    out.__dict__.update({name: known[name] for name in fields}, **changes)  # nothing that is `lazy`
    return out


def forget() -> None:
    """Drop what is remembered of networks and of their values; index tables that any network may use stay."""
    for drop in (*_forgetters, *_values):
        drop()


def remembered(maxsize: int, lasting: bool = True) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Decorate a function of hashable arguments to remember its last `maxsize` results.

    Those that are not `lasting` are dropped by `forget`, and as `Recent` values are made for ever new owners.
    """
    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        cached = functools.lru_cache(maxsize=maxsize)(function)
        if not lasting:
            _values.append(cached.cache_clear)
        return cached
    return decorate


def interned(maxsize: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Decorate what makes objects that are told by their identity: one for the same arguments while any is in use.

    The last `maxsize` are kept; those that networks hold on to stay the only ones, whatever is dropped meanwhile.
    """
    def decorate(make: Callable[..., T]) -> Callable[..., T]:
        alive: weakref.WeakValueDictionary[tuple[Any, ...], Any] = weakref.WeakValueDictionary()
        lock = threading.Lock()  # weak dictionaries look first and set then

        @remembered(maxsize, lasting=False)
        @functools.wraps(make)
        def found(*arguments: Any) -> T:
            known: T | None = alive.get(arguments)
            if known is None:
                made = make(*arguments)
                with lock:
                    known = alive.setdefault(arguments, made)
            return known
        return found
    return decorate


class Recent(Generic[T]):
    """The last few values made for an object, which is told by its identity, and a key.

    What is made for ever new objects makes room for itself: a sweep over thousands of networks would otherwise hold
    what `remembered` functions returned for thousands of them.
    """

    def __init__(self, size: int) -> None:
        self._size, self._lock = size, threading.Lock()
        self._held: list[tuple[Any, Any, T]] = []
        self._made = 0
        _forgetters.append(self._held.clear)

    def find(self, owner: Any, key: Any) -> T | None:
        """The value for `owner` and `key`, where it is known."""
        with self._lock:
            for place, (whose, what, value) in enumerate(self._held):
                if whose is owner and what == key:
                    self._held.insert(0, self._held.pop(place))
                    return value
        return None

    def put(self, owner: Any, key: Any, value: T) -> None:
        """Hold `value`; the one that was asked for longest ago goes where there are too many."""
        with self._lock:
            self._made += 1
            if self._made % OWNERS == 0:
                for drop in _values:
                    drop()
            self._held[:] = [(owner, key, value), *self._held[:self._size - 1]]

    def get(self, owner: Any, key: Any, make: Callable[[], T]) -> T:
        """The value for `owner` and `key`, made where it is not known."""
        value = self.find(owner, key)
        if value is None:
            value = make()
            self.put(owner, key, value)
        return value
