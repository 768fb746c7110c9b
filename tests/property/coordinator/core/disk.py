"""A disk for the tests of the core: what was committed, in dicts, as a store would give it back."""

from __future__ import annotations

from collections.abc import Iterable

from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import (
    CursorRecord,
    DeadLetterRecord,
    EntryRecord,
    EvictedRecord,
    ProducerRecord,
    Record,
    SegmentRecord,
    Snapshot,
    SubscriptionRecord,
    TopicRecord,
)


class Disk:
    """Keeps the latest record of each kind and key, and every entry until it is evicted.

    Attributes:
        entries: By log, in offset order without a gap.
        letters: In the order committed.
    """

    def __init__(self) -> None:
        self.entries: dict[int, list[Entry]] = {}
        self.letters: list[DeadLetterRecord] = []
        self.cursors: dict[int, CursorRecord] = {}
        self._topics: dict[str, TopicRecord] = {}
        self._segments: dict[tuple[int, int], SegmentRecord] = {}
        self._producers: dict[tuple[int, int], ProducerRecord] = {}
        self._subscriptions: dict[str, SubscriptionRecord] = {}

    def write(self, records: Iterable[Record]) -> None:
        """Take a group in, in order."""
        for record in records:
            self._write(record)

    def _write(self, record: Record) -> None:
        if isinstance(record, EntryRecord):
            kept = self.entries.setdefault(record.log_id, [])
            assert not kept or record.entry.base_offset == kept[-1].next_offset, "a gap"
            kept.append(record.entry)
        elif isinstance(record, SegmentRecord):
            self._segments[record.log_id, record.base_offset] = record
        elif isinstance(record, EvictedRecord):
            self._evict(record.log_id, record.low_offset)
        elif isinstance(record, ProducerRecord):
            self._producers[record.log_id, record.producer_id] = record
        elif isinstance(record, CursorRecord):
            self.cursors[record.log_id] = record
        elif isinstance(record, DeadLetterRecord):
            self.letters.append(record)
        elif isinstance(record, TopicRecord):
            self._topics[record.name] = record
        elif isinstance(record, SubscriptionRecord):
            self._subscriptions[record.name] = record
        else:
            raise AssertionError(f"no test stages a {type(record).__name__}")

    def _evict(self, log_id: int, low_offset: int) -> None:
        kept = self.entries.get(log_id, [])
        self.entries[log_id] = [e for e in kept if e.base_offset >= low_offset]
        for key, segment in tuple(self._segments.items()):
            # An empty one at `low_offset` remembers where the log goes on.
            if key[0] == log_id and key[1] < low_offset and segment.next_offset <= low_offset:
                del self._segments[key]

    def load(self, log_id: int, asked: int, entries_max: int) -> list[Entry]:
        """Return entries from the one that holds `asked` on."""
        found = [e for e in self.entries.get(log_id, ()) if e.next_offset > asked]
        return found[:entries_max]

    def snapshot(self) -> Snapshot:
        """Return what an engine is made of."""
        return Snapshot(
            topics=list(self._topics.values()),
            segments=[self._segments[key] for key in sorted(self._segments)],
            producers=list(self._producers.values()),
            subscriptions=list(self._subscriptions.values()),
            cursors=list(self.cursors.values()),
            last_dead_letter_id=max((letter.id for letter in self.letters), default=0),
        )
