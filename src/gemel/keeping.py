"""Results that an object keeps, for any number of threads."""

from collections.abc import Callable
from threading import RLock
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class Keeper:
    """Keeps the results of functions of it, for any number of threads."""

    def once(self, make: Callable[[Self], T]) -> T:
        """The result of a function of this object, computed when it is first requested.

        A lock for each function, not one for all: functions request each other's results in two objects, and no
        function its own.
        """
        results: dict[Callable[[Self], T], T] = self.__dict__.setdefault("_results", {})
        if make not in results:
            locks: dict[object, RLock] = self.__dict__.setdefault("_locks", {})
            with locks.setdefault(make, RLock()):
                if make not in results:
                    results[make] = make(self)
        return results[make]


class kept(Generic[T]):
    """A property of a Keeper that is computed once. With functools.cached_property threads would wait for the
    properties of other objects (Python 3.11), or each compute their own (later)."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, keeper: Any, owner: type | None = None) -> T:
        value: T = keeper.once(self._make)
        keeper.__dict__[self._name] = value  # which is found first from now on
        return value
