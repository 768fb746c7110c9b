"""Entries of durable logs that are in memory: what was just committed, and what was loaded."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque

from bellwire.coordinator.log.protocol import Entry


class EntryCache:
    """A bound on the bytes of all cached entries of a coordinator; the oldest to come go first."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._order: deque[tuple[CachedEntries, Entry]] = deque()

    @property
    def size_bytes(self) -> int:
        """Stored bytes of what is held."""
        return self._bytes

    def note(self, owner: CachedEntries, entry: Entry) -> None:
        """Count an entry that its owner holds from now on, and let others go."""
        self._order.append((owner, entry))
        self._bytes += entry.stored_bytes
        while self._bytes > self._bytes_max and len(self._order) > 1:
            holder, oldest = self._order.popleft()
            self._bytes -= oldest.stored_bytes
            holder.forget(oldest)


class CachedEntries:
    """The cached entries of one log, found by offset."""

    def __init__(self, cache: EntryCache) -> None:
        self._cache = cache
        self._by_base: dict[int, Entry] = {}
        self._bases: list[int] = []

    def add(self, entry: Entry) -> None:
        """Hold an entry until the cache needs its room."""
        if entry.base_offset in self._by_base:
            return
        self._by_base[entry.base_offset] = entry
        if self._bases and entry.base_offset < self._bases[-1]:
            insort(self._bases, entry.base_offset)
        else:
            self._bases.append(entry.base_offset)
        self._cache.note(self, entry)

    def get(self, offset: int) -> Entry | None:
        """Return the entry that holds the offset, if it is held."""
        entry = self._by_base.get(offset)
        if entry is not None:
            return entry
        at = bisect_right(self._bases, offset) - 1
        if at < 0:
            return None
        entry = self._by_base[self._bases[at]]
        return entry if offset < entry.next_offset else None

    def forget(self, entry: Entry) -> None:
        """Let an entry go; called by the cache."""
        if self._by_base.get(entry.base_offset) is entry:
            del self._by_base[entry.base_offset]
            del self._bases[bisect_right(self._bases, entry.base_offset) - 1]

    def forget_below(self, offset: int) -> None:
        """Let everything go that ends at or below an offset; the cache's count follows in time."""
        while self._bases and self._by_base[self._bases[0]].next_offset <= offset:
            del self._by_base[self._bases.pop(0)]
