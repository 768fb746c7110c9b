"""The durable log of one partition as the core sees it: staged, committed, cached; no I/O.

What is appended is *staged*: it has its offset and may be rolled back. A commit moves the high watermark.
Entries that are no longer in memory are asked for through `on_missing` and come back by `loaded`.
Retention works in segments, stretches of neighbouring entries, as in Kafka.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from bellwire.coordinator.log.cache import CachedEntries, EntryCache
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import EntryRecord, EvictedRecord, Record, SegmentRecord
from bellwire.wire.errors import BellwireError, DataCorruptError

SEGMENT_BYTES_MAX: Final = 8 << 20  # Dropped in one transaction: some hundred rows.
SEGMENT_MESSAGES_MAX: Final = 100_000
NANOS: Final = 1_000_000_000
SEGMENTS_PER_LOG: Final = 8  # At least: retention is exact to an eighth.


class Staging(Protocol):
    """Where a log leaves what is to be committed; the journal."""

    def stage_entry(self, log: DurableLog, record: EntryRecord) -> None:
        """Add an entry to the next group."""

    def mark(self, source: DurableLog) -> None:
        """Ask for the source's records when the next group is taken."""


@dataclass(slots=True)
class Segment:
    """A stretch of neighbouring entries; see `SegmentRecord`."""

    base_offset: int
    next_offset: int
    entries: int
    stored_bytes: int
    last_time_ns: int
    last_admitted_ns: int
    dirty: bool = True

    def record(self, log_id: int) -> SegmentRecord:
        """Return it as the store keeps it."""
        return SegmentRecord(
            log_id,
            self.base_offset,
            self.next_offset,
            self.entries,
            self.stored_bytes,
            self.last_time_ns,
            self.last_admitted_ns,
        )


class DurableLog:
    """A `PartitionLog` whose entries a store keeps.

    Attributes:
        on_missing: Called with an offset that must be loaded; answered by `loaded` or `load_failed`.
        on_readable: Called when more can be read than before.
        on_rolled_back: Called with everything staged when it was taken back.
        error: Why entries cannot be read; None = they can.
    """

    durable = True

    def __init__(
        self,
        log_id: int,
        staging: Staging,
        cache: EntryCache,
        *,
        retention_messages: int,
        retention_bytes: int,
        retention_seconds: int = 0,
        segments: Iterable[SegmentRecord] = (),
    ) -> None:
        self.log_id = log_id
        self._staging = staging
        self._cached = CachedEntries(cache)
        self.retain(retention_messages, retention_bytes, retention_seconds)
        self._segment_began_ns = 0
        self._segments = deque(
            Segment(
                s.base_offset,
                s.next_offset,
                s.entries,
                s.stored_bytes,
                s.last_time_ns,
                s.last_admitted_ns,
                dirty=False,
            )
            for s in segments
        )
        self.low_offset = self._segments[0].base_offset if self._segments else 0
        self.end_offset = self._segments[-1].next_offset if self._segments else 0
        self.high_watermark = self.end_offset
        self.stored_bytes = sum(segment.stored_bytes for segment in self._segments)
        self._evicted_to = self.low_offset  # What the store knows of `low_offset`.
        self._staged: deque[Entry] = deque()
        self._loading: set[int] = set()
        self.on_missing: Callable[[int], None] = _ignore
        self.on_readable: Callable[[], None] = _nothing
        self.on_rolled_back: Callable[[list[Entry]], None] = _forget
        self.error: BellwireError | None = None

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def last_admitted_ns(self) -> int:
        """When the last entry was admitted; 0 = there is none."""
        return self._segments[-1].last_admitted_ns if self._segments else 0

    # ------------------------------------------------------------ append and commit

    def append(self, entry: Entry) -> None:
        """Stage an entry at the end."""
        self._staged.append(entry)
        self.end_offset = entry.next_offset
        self.stored_bytes += entry.stored_bytes
        self._extend(entry)
        self._staging.stage_entry(self, EntryRecord(self.log_id, entry))
        self._staging.mark(self)

    def committed(self, through_offset: int) -> None:
        """Let everything below an offset be read: the store has it."""
        while self._staged and self._staged[0].next_offset <= through_offset:
            self._cached.add(self._staged.popleft())
        self.high_watermark = through_offset
        self.on_readable()

    def roll_back(self) -> None:
        """Forget everything at or above the high watermark: its commit has failed."""
        taken_back = list(self._staged)
        self.stored_bytes -= sum(entry.stored_bytes for entry in taken_back)
        popped: Segment | None = None
        while self._segments and self._segments[-1].base_offset >= self.high_watermark:
            popped = self._segments.pop()
        if popped is not None and not self._segments:
            self._hold_place(popped)
        if self._segments and self._segments[-1].next_offset > self.high_watermark:
            last = self._segments[-1]
            lost = [entry for entry in taken_back if entry.base_offset < last.next_offset]
            last.next_offset = self.high_watermark
            last.entries -= len(lost)
            last.stored_bytes -= sum(entry.stored_bytes for entry in lost)
            last.dirty = True
        self._staged.clear()
        self.end_offset = self.high_watermark
        self.on_rolled_back(taken_back)

    def _extend(self, entry: Entry) -> None:
        last = self._segments[-1] if self._segments else None
        last_time_ns = max(entry.time_reached_ns, last.last_time_ns if last is not None else 0)
        entry.time_reached_ns = last_time_ns
        if last is not None and not last.entries:
            self._segment_began_ns = entry.admitted_ns
        elif last is None or self._is_full(last) or self._is_old(entry):
            self._segment_began_ns = entry.admitted_ns
            last = Segment(
                entry.base_offset, entry.base_offset, 0, 0, last_time_ns, entry.admitted_ns
            )
            self._segments.append(last)
        last.next_offset = entry.next_offset
        last.entries += 1
        last.stored_bytes += entry.stored_bytes
        last.last_time_ns = last_time_ns
        last.last_admitted_ns = max(last.last_admitted_ns, entry.admitted_ns)
        last.dirty = True

    def _is_full(self, segment: Segment) -> bool:
        return (
            segment.stored_bytes >= self._segment_bytes
            or segment.next_offset - segment.base_offset >= self._segment_messages
        )

    def _is_old(self, entry: Entry) -> bool:
        """Tell whether retention by time wants a new segment; one from before a restart is old."""
        return 0 < self._segment_ns < entry.admitted_ns - self._segment_began_ns

    def records(self) -> Iterator[Record]:
        """Yield what the store does not know yet of segments and eviction."""
        if self._evicted_to != self.low_offset:
            self._evicted_to = self.low_offset
            yield EvictedRecord(self.log_id, self.low_offset)
        fresh = []
        for segment in reversed(self._segments):
            if not segment.dirty:
                break  # Only the last ones change.
            segment.dirty = False
            fresh.append(segment.record(self.log_id))
        yield from reversed(fresh)

    def saved(self) -> None:
        """Nothing waits for it."""

    def unsaved(self) -> None:
        """Take note that what `records` gave was not written."""
        self._evicted_to = -1
        for segment in self._segments:
            segment.dirty = True

    # ------------------------------------------------------------ read

    def read(self, offset: int) -> Entry | None:
        """Return the entry that holds the offset; None when it is not there, or not yet."""
        if not self.low_offset <= offset < self.high_watermark:
            return None
        entry = self._cached.get(offset)
        if entry is None and self.error is None and offset not in self._loading:
            self._loading.add(offset)
            self.on_missing(offset)
        return entry

    def loaded(self, asked: int, entries: Iterable[Entry]) -> None:
        """Take entries from the store, from the one that holds `asked` on."""
        self._loading.discard(asked)
        found = False
        for entry in entries:
            found |= entry.base_offset <= asked < entry.next_offset
            if entry.base_offset < self.high_watermark:
                self._cached.add(entry)
        if not found and self.low_offset <= asked:
            self.error = DataCorruptError(
                f"offset {asked} of log {self.log_id} is missing from the store: run `bellwire doctor`",
                metadata={"log_id": str(self.log_id), "offset": str(asked)},
            )
        self.on_readable()

    def load_failed(self, asked: int, error: BellwireError) -> None:
        """Take note that entries cannot be read; whoever needs them is told why."""
        self._loading.discard(asked)
        self.error = error
        self.on_readable()

    def find_time(self, time_unix_nano: int) -> int:
        """Return the base offset of the segment that holds the time, else the end offset."""
        at = self.segment_at(time_unix_nano)
        return self.end_offset if at is None else at.base_offset

    def segment_at(self, time_unix_nano: int) -> Segment | None:
        """Return the first segment that reaches a time."""
        at = bisect_left(self._segments, time_unix_nano, key=_last_time)
        return self._segments[at] if at < len(self._segments) else None

    # ------------------------------------------------------------ retention

    def _hold_place(self, last: Segment) -> None:
        """Keep an empty segment, which remembers where the log goes on and how late it was."""
        end = self.high_watermark
        self._segments.append(Segment(end, end, 0, 0, last.last_time_ns, last.last_admitted_ns))

    def retain(self, messages: int, size: int, seconds: int) -> None:
        """Cut segments so that some of them make up these bounds; those there are stay as they are."""
        self._segment_messages = min(SEGMENT_MESSAGES_MAX, max(1, messages // SEGMENTS_PER_LOG))
        self._segment_bytes = min(SEGMENT_BYTES_MAX, max(1, size // SEGMENTS_PER_LOG))
        self._segment_ns = seconds * NANOS // SEGMENTS_PER_LOG

    def oldest(self) -> Segment | None:
        """Return the segment that eviction would take next; never one that is not committed whole."""
        if len(self._segments) < 2 or self._segments[0].next_offset > self.high_watermark:
            return None
        return self._segments[0]

    def expired(self, before_ns: int) -> Segment | None:
        """Return the oldest segment, be it the only one, if all of it was admitted before this time."""
        oldest = self._segments[0] if self._segments else None
        if oldest is None or not oldest.entries or oldest.next_offset > self.high_watermark:
            return None
        return oldest if oldest.last_admitted_ns < before_ns else None

    def evict_oldest(self) -> Segment:
        """Drop the oldest segment and return it."""
        segment = self._segments.popleft()
        if not self._segments:
            self._hold_place(segment)
        self.low_offset = segment.next_offset
        self.stored_bytes -= segment.stored_bytes
        self._cached.forget_below(self.low_offset)
        self._staging.mark(self)
        return segment


def _last_time(segment: Segment) -> int:
    return segment.last_time_ns


def _ignore(offset: int) -> None:
    """Nobody loads."""


def _nothing() -> None:
    """Nobody waits."""


def _forget(entries: list[Entry]) -> None:
    """Nobody counts."""
