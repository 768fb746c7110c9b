"""A model of the store's contract: what is committed stays, what is not is gone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from bellwire.bus.v1.message_pb2 import Batch
from bellwire.coordinator.log import records as rec
from bellwire.coordinator.log.memory_store import MemoryStore
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.store import DeadLetterQuery


class BrokenRecord(Exception):
    """The core asked for something that a log must never hold."""


class ModelStore:
    """A `Store` in dictionaries whose transactions are atomic and whose crashes are decided outside.

    Attributes:
        incarnation: Times it was opened.
        named_ids: Ids of named producers.
    """

    durable = True
    path = "model"
    kafka_cluster = ""
    outage = None

    def __init__(self) -> None:
        self.incarnation = 0
        self.named_ids: set[int] = set()
        self._topics: dict[str, rec.TopicRecord] = {}
        self._entries: dict[int, dict[int, Entry]] = {}
        self._segments: dict[tuple[int, int], rec.SegmentRecord] = {}
        self._ends: dict[int, int] = {}
        self._producers: dict[tuple[int, int], rec.ProducerRecord] = {}
        self._names: dict[str, rec.ProducerNameRecord] = {}
        self._subscriptions: dict[str, rec.SubscriptionRecord] = {}
        self._cursors: dict[tuple[str, int], rec.CursorRecord] = {}
        self._results: dict[tuple[str, str], rec.ResultRecord] = {}
        self._letters = MemoryStore(dead_letters_max=1_000_000)
        self._letter_topics: dict[int, str] = {}
        self._last_letter = 0

    def load(self) -> rec.Snapshot:
        """Return what is committed."""
        self.incarnation += 1
        counts: dict[str, int] = {}
        for topic in self._letter_topics.values():
            counts[topic] = counts.get(topic, 0) + 1
        return rec.Snapshot(
            topics=list(self._topics.values()),
            segments=[self._segments[key] for key in sorted(self._segments)],
            producers=list(self._producers.values()),
            producer_names=list(self._names.values()),
            subscriptions=list(self._subscriptions.values()),
            cursors=list(self._cursors.values()),
            results=list(self._results.values()),
            dead_letters=counts,
            last_dead_letter_id=self._last_letter,
            incarnation=self.incarnation,
            after_crash=self.incarnation > 1,
        )

    def write(self, records: Sequence[rec.Record]) -> None:
        """Commit a transaction.

        Raises:
            BrokenRecord: It would leave a gap in a log, or segments that do not fit its entries.
        """
        for record in records:
            self._take(record)
        self._check_segments({r.log_id for r in records if isinstance(r, rec.EntryRecord)})

    def end_of(self, log_id: int) -> int:
        """Return the offset after the last message ever committed to a log."""
        return self._ends.get(log_id, 0)

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return entries from the one that holds the offset on, as copies."""
        entries = self._entries.get(log_id, {})
        bases = list(entries)
        at = bisect_right(bases, offset) - 1
        if at < 0 or offset >= entries[bases[at]].next_offset:
            return []
        found: list[Entry] = []
        size = 0
        for base in bases[at:]:
            entry = entries[base]
            size += entry.stored_bytes
            if found and size > bytes_max:
                break
            found.append(_copy(entry))
        return found

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Return the base offset of the first entry that reaches a time."""
        for base, entry in self._entries.get(log_id, {}).items():
            if first <= base <= last and entry.batch.header.last_time_unix_nano >= time_ns:
                return base
        return last

    def dead_letters(self, query: DeadLetterQuery) -> list[rec.DeadLetterRecord]:
        """Return dead letters in the order of their ids."""
        return self._letters.dead_letters(query)

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match, and the greatest id of them."""
        return self._letters.count_dead_letters(query)

    def disk_bytes(self) -> int:
        """Return 0: there is no disk."""
        return 0

    def close(self) -> None:
        """It is always ready for the next start."""

    # ------------------------------------------------------------ records

    def _take(self, record: rec.Record) -> None:
        match record:
            case rec.EntryRecord():
                self._append(record)
            case rec.SegmentRecord():
                self._segments[record.log_id, record.base_offset] = record
            case rec.CursorRecord():
                self._cursors[record.subscription, record.log_id] = record
            case rec.ProducerRecord():
                self._producers[record.log_id, record.producer_id] = record
            case rec.EvictedRecord():
                self._evict(record)
            case rec.TopicRecord():
                self._topics[record.name] = record
            case rec.TopicDeletedRecord():
                self._delete_topic(record)
            case rec.ProducerNameRecord():
                self._names[record.name] = record
                self.named_ids.add(record.producer_id)
            case rec.SubscriptionRecord():
                self._subscriptions[record.name] = record
            case rec.SubscriptionDeletedRecord():
                self._subscriptions.pop(record.name, None)
                for key in [key for key in self._cursors if key[0] == record.name]:
                    del self._cursors[key]
            case rec.ResultRecord():
                self._results[record.scope, record.request_id] = record
            case rec.ResultsExpiredRecord():
                for name in [n for n, r in self._results.items() if r.expire_ns <= record.time_ns]:
                    del self._results[name]
            case rec.DeadLetterRecord() | rec.DeadLettersRemovedRecord():
                self._take_letters(record)

    def _take_letters(self, record: rec.DeadLetterRecord | rec.DeadLettersRemovedRecord) -> None:
        self._letters.write([record])
        if isinstance(record, rec.DeadLetterRecord):
            self._last_letter = max(self._last_letter, record.id)
            self._letter_topics[record.id] = record.topic
        else:
            for letter_id in record.ids:
                self._letter_topics.pop(letter_id, None)

    def _append(self, record: rec.EntryRecord) -> None:
        entry, end = record.entry, self._ends.get(record.log_id, 0)
        if entry.base_offset != end:
            raise BrokenRecord(
                f"log {record.log_id} ends at {end}, appended at {entry.base_offset}"
            )
        self._entries.setdefault(record.log_id, {})[entry.base_offset] = _copy(entry)
        self._ends[record.log_id] = entry.next_offset

    def _evict(self, record: rec.EvictedRecord) -> None:
        entries = self._entries.get(record.log_id, {})
        for base in [b for b, e in entries.items() if e.next_offset <= record.low_offset]:
            del entries[base]
        gone = [
            key
            for key, segment in self._segments.items()
            if key[0] == record.log_id
            and segment.next_offset <= record.low_offset
            and segment.base_offset < record.low_offset  # An empty one at the end stays.
        ]
        for key in gone:
            del self._segments[key]

    def _delete_topic(self, record: rec.TopicDeletedRecord) -> None:
        self._topics.pop(record.name, None)
        for log_id in record.log_ids:
            self._entries.pop(log_id, None)
            self._ends.pop(log_id, None)
        for table in (self._segments, self._producers):
            for key in [key for key in table if key[0] in record.log_ids]:
                del table[key]
        for name in [name for name in self._cursors if name[1] in record.log_ids]:
            del self._cursors[name]

    def _check_segments(self, log_ids: set[int]) -> None:
        """Segments must cover exactly the entries: recovery trusts them."""
        for log_id in log_ids:
            segments = [s for key, s in sorted(self._segments.items()) if key[0] == log_id]
            entries = self._entries.get(log_id, {})
            covered = [(s.base_offset, s.next_offset) for s in segments]
            touching = all(a[1] == b[0] for a, b in pairwise(covered))
            held = sum(s.entries for s in segments)
            stored = sum(s.stored_bytes for s in segments)
            if (
                not touching
                or not covered
                or covered[0][0] != next(iter(entries))
                or covered[-1][1] != self._ends[log_id]
                or held != len(entries)
                or stored != sum(e.stored_bytes for e in entries.values())
            ):
                raise BrokenRecord(
                    f"segments {covered} with {held} entries do not fit log {log_id}, which holds "
                    f"{len(entries)} entries up to {self._ends[log_id]}"
                )


def _copy(entry: Entry) -> Entry:
    batch = Batch()
    batch.CopyFrom(entry.batch)
    return Entry(batch, entry.base_offset, entry.admitted_ns, entry.sampled)
