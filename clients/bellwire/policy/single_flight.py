"""Who waits for whose work: many who want the same thing at once have it done once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["SingleFlight"]

K = TypeVar("K", bound=Hashable)
W = TypeVar("W", bound=Hashable)


class SingleFlight(Generic[K, W]):
    """Flights by key, each with those who wait for it.

    Nobody leads: a flight belongs to all who wait for it, goes on while there is one, and is called off when the
    last has gone. What a flight is, and how a waiter is told, is the caller's.

    Attributes:
        waiting: Waiters of all flights.
        shared: Waiters that joined a flight under way, so far.
    """

    __slots__ = ("_flights", "shared", "waiting")

    def __init__(self) -> None:
        self._flights: dict[K, dict[W, None]] = {}
        self.waiting = 0
        self.shared = 0

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: K, waiter: W) -> bool:
        """Wait for a flight; True = there was none, and the caller must begin it."""
        waiters = self._flights.get(key)
        begins = waiters is None
        if waiters is None:
            waiters = self._flights[key] = {}
        else:
            self.shared += 1
        assert waiter not in waiters, "a waiter waits once"
        waiters[waiter] = None
        self.waiting += 1
        return begins

    def leave(self, key: K, waiter: W) -> bool:
        """Wait no longer; True = nobody does, and the caller must call the flight off.

        Does nothing for a waiter whose flight has landed.
        """
        waiters = self._flights.get(key)
        if waiters is None or waiter not in waiters:
            return False
        del waiters[waiter]
        self.waiting -= 1
        if waiters:
            return False
        del self._flights[key]
        return True

    def land(self, key: K) -> list[W]:
        """End a flight and return who is to be told, in the order they came; the next `join` begins a new one."""
        waiters = list(self._flights.pop(key, ()))
        self.waiting -= len(waiters)
        return waiters
