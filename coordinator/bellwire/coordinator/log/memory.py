"""The memory log: entries of one partition in a deque, the oldest evicted by the partition."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from operator import attrgetter
from secrets import randbits
from typing import Final

from bellwire.coordinator.log.protocol import Entry

LOG_ID_BITS: Final = 63
_BASE_OFFSET = attrgetter("base_offset")


def _last_time(entry: Entry) -> int:
    return entry.time_reached_ns


class MemoryLog:
    """Keeps entries until they are evicted; nothing survives the process."""

    durable = False

    def __init__(self, log_id: int | None = None) -> None:
        self.log_id = log_id or randbits(LOG_ID_BITS) or 1
        self.low_offset = 0
        self.end_offset = self.high_watermark = 0
        self.stored_bytes = 0
        self._order: deque[Entry] = deque()
        self._by_base: dict[int, Entry] = {}  # The usual read is of a whole entry: one lookup.

    def __len__(self) -> int:
        return len(self._order)

    def append(self, entry: Entry) -> None:
        """Keep an entry at the end."""
        if self._order:
            entry.time_reached_ns = max(entry.time_reached_ns, self._order[-1].time_reached_ns)
        self._order.append(entry)
        self._by_base[entry.base_offset] = entry
        self.end_offset = self.high_watermark = entry.next_offset
        self.stored_bytes += entry.stored_bytes

    def read(self, offset: int) -> Entry | None:
        """Return the entry that holds the offset, or None."""
        entry = self._by_base.get(offset)
        if entry is not None:
            return entry
        if not self.low_offset <= offset < self.end_offset:
            return None
        return self._order[bisect_right(self._order, offset, key=_BASE_OFFSET) - 1]

    def find_time(self, time_unix_nano: int) -> int:
        """Return the base offset of the first entry that reaches the time, else the end offset.

        Entries are searched by bisection on the largest time so far: where publishers' clocks differ, the
        result may be too early and never too late.
        """
        at = bisect_left(self._order, time_unix_nano, key=_last_time)
        return self._order[at].base_offset if at < len(self._order) else self.end_offset

    def retain(self, messages: int, size: int, seconds: int) -> None:
        """Nothing to do: a span is one entry, whatever the bounds."""

    def oldest(self) -> Entry | None:
        """Return the entry that eviction would take next."""
        return self._order[0] if self._order else None

    def expired(self, before_ns: int) -> Entry | None:
        """Return the oldest entry if it was admitted before this time."""
        oldest = self.oldest()
        return oldest if oldest is not None and oldest.admitted_ns < before_ns else None

    def evict_oldest(self) -> Entry:
        """Drop the oldest entry and return it."""
        entry = self._order.popleft()
        del self._by_base[entry.base_offset]
        self.low_offset = entry.next_offset
        self.stored_bytes -= entry.stored_bytes
        return entry
