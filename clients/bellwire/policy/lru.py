"""A bounded cache whose entries grow old."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["LruTtlCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruTtlCache(Generic[K, V]):
    """Keeps the most recently used entries, each for an absolute time since it was stored.

    Reading an entry keeps it from being evicted but never makes it live longer: a value is at most
    `ttl_seconds` old. The caller passes `now`, so tests need no clock.
    """

    __slots__ = ("_entries", "_entries_max", "_ttl_seconds", "evicted", "expired", "hits", "misses")

    def __init__(self, entries_max: int, ttl_seconds: float) -> None:
        """Set the bounds.

        Args:
            entries_max: Entries kept, ≥ 1; above, the least recently used is evicted.
            ttl_seconds: Age at which an entry is gone, > 0.

        Raises:
            ValueError: A bound is out of range.
        """
        if entries_max < 1 or not ttl_seconds > 0:
            raise ValueError(
                f"cache of {entries_max} entries for {ttl_seconds} s: both must be above 0"
            )
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()
        self._entries_max = entries_max
        self._ttl_seconds = ttl_seconds
        self.hits = 0
        self.misses = 0
        self.evicted = 0
        self.expired = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now: float) -> V | None:
        """Return the value, or None when it is absent or too old."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        value, expire_at = entry
        if now >= expire_at:
            del self._entries[key]
            self.expired += 1
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return value

    def put(self, key: K, value: V, now: float) -> None:
        """Store a value as of `now`; evict the least recently used beyond the bound."""
        self._entries[key] = (value, now + self._ttl_seconds)
        self._entries.move_to_end(key)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)
            self.evicted += 1

    def discard(self, key: K) -> None:
        """Forget one entry, if it is there."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
