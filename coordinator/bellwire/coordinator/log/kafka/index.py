"""What the store knows by heart: the state, and where in Kafka the entries of every log are. No I/O."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import starmap
from typing import Final, NamedTuple

from bellwire.coordinator.log.kafka.positions import EndRecord, PlaceRecord, Positions, Written
from bellwire.coordinator.log.kafka.state import Changes, State, decode_pair
from bellwire.coordinator.log.records import (
    EntryRecord,
    EvictedRecord,
    Record,
    TopicDeletedRecord,
    TopicRecord,
)
from bellwire.wire.errors import DataCorruptError

__all__ = ["ALL", "Applied", "Index", "Removal"]

ALL: Final = -1


class Removal(NamedTuple):
    """Records of a Kafka topic that are not needed any more: those before an offset, or ALL."""

    topic: str
    partition: int
    before: int


class Applied(NamedTuple):
    """What records come to: entries that are not in Kafka yet, and what else changes in the state."""

    entries: list[EntryRecord]
    changes: Changes
    gone: list[Record]
    known: list[int]  # Logs that were not known before.

    @property
    def deleted(self) -> frozenset[int]:
        """Logs that are gone when it is written."""
        topics = (record for record in self.gone if isinstance(record, TopicDeletedRecord))
        return frozenset(log_id for topic in topics for log_id in topic.log_ids)


class Index:
    """The state, and the positions of all logs.

    Attributes:
        state: As of the last transaction, and of the one that is being written.
        lock: Around both: one thread writes, another reads.
    """

    def __init__(self) -> None:
        self.state = State()
        self.lock = threading.Lock()
        self._logs: dict[int, Positions] = {}

    # ------------------------------------------------------------ what was found

    def load(self, pairs: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Take what the state topic holds."""
        state = self.state
        for key, value in starmap(decode_pair, pairs):
            state.load(key, value)
        for topic in state.topics():
            self._know(topic)
        for place in state.places():
            if (log := self._logs.get(place.log_id)) is not None:
                log.note(place.base_offset, place.kafka_offset)
        for end in state.ends():
            if (log := self._logs.get(end.log_id)) is not None:
                log.end = end.next_offset

    def _know(self, topic: TopicRecord) -> list[int]:
        fresh = [log_id for log_id in topic.log_ids if log_id not in self._logs]
        for partition, log_id in enumerate(topic.log_ids):
            self._logs.setdefault(log_id, Positions(topic.name, partition))
        return fresh

    def partitions(self) -> dict[str, int]:
        """Return how many partitions each Kafka topic has at least."""
        wanted: dict[str, int] = {}
        for log in self._logs.values():
            wanted[log.topic] = max(wanted.get(log.topic, 0), log.partition + 1)
        return wanted

    def positions(self, log_id: int) -> Positions:
        """Return those of a log.

        Raises:
            DataCorruptError: It belongs to no topic.
        """
        found = self._logs.get(log_id)
        if found is None:
            raise DataCorruptError(f"log {log_id} belongs to no topic")
        return found

    def get(self, log_id: int) -> Positions | None:
        """Return those of a log that may be gone."""
        return self._logs.get(log_id)

    # ------------------------------------------------------------ what is written

    def apply(self, records: Sequence[Record]) -> Applied:
        """Change the state as records say; `undo` takes it back."""
        entries: dict[tuple[int, int], EntryRecord] = {}
        applied = Applied([], Changes(), [], [])
        with self.lock:
            for record in records:
                if isinstance(record, EntryRecord):
                    entries[record.log_id, record.entry.base_offset] = record
                elif isinstance(record, TopicRecord):
                    applied.known.extend(self._know(record))
                elif isinstance(record, TopicDeletedRecord | EvictedRecord):
                    applied.gone.append(record)
                self.state.apply(record, applied.changes)
                if isinstance(record, EvictedRecord) and record.log_id in self._logs:
                    places = self._logs[record.log_id].forget_below(record.low_offset)
                    self.state.forget_places(record.log_id, places, applied.changes)
        applied.entries.extend(entries.values())
        return applied

    def undo(self, applied: Applied) -> None:
        """Take back what was applied and could not be written."""
        with self.lock:
            self.state.undo(applied.changes)
            for log_id in (
                applied.known
            ):  # Else a topic that Kafka refuses would be asked for with each write.
                self._logs.pop(log_id, None)

    def is_new(self, record: EntryRecord) -> bool:
        """Tell whether an entry is not there yet: written twice it would be there twice.

        Raises:
            DataCorruptError: Its log belongs to no topic.
        """
        return record.entry.base_offset >= self.positions(record.log_id).end

    def place(
        self, by_log: dict[int, list[Written]], deleted: frozenset[int], changes: Changes
    ) -> None:
        """Note in the state where entries are about to be."""
        with self.lock:
            for log_id, written in by_log.items():
                if log_id in deleted:
                    continue
                for place in self._logs[log_id].places(written):
                    record = PlaceRecord(log_id, place.base_offset, place.kafka_offset)
                    self.state.apply(record, changes)
                self.state.apply(EndRecord(log_id, written[-1].next_offset), changes)

    def extend(self, by_log: dict[int, list[Written]]) -> None:
        """Take note of entries that are there now."""
        with self.lock:
            for log_id, written in by_log.items():
                self._logs[log_id].extend(written)

    # ------------------------------------------------------------ what is gone

    def removals(self, gone: Iterable[Record]) -> list[Removal]:
        """Forget logs that were deleted; return what takes room for nothing in Kafka."""
        found: list[Removal] = []
        for record in gone:
            if isinstance(record, EvictedRecord):
                log = self._logs.get(record.log_id)
                if log is not None and log.first is not None:
                    found.append(Removal(log.topic, log.partition, log.first))
            elif isinstance(record, TopicDeletedRecord):
                for log_id in record.log_ids:
                    with self.lock:
                        log = self._logs.pop(log_id, None)
                    if log is not None:
                        found.append(Removal(log.topic, log.partition, self._first_of_another(log)))
        return found

    def _first_of_another(self, gone: Positions) -> int:
        """Return where a log begins that has the place of a deleted one: its topic was created anew."""
        place = gone.topic, gone.partition
        others = (log.first for log in self._logs.values() if (log.topic, log.partition) == place)
        return min((offset for offset in others if offset is not None), default=ALL)


def by_log(
    entries: Sequence[EntryRecord], kafka_offsets: Sequence[int]
) -> dict[int, list[Written]]:
    """Return what was written to each log, in order; nothing as long as the offsets are not known."""
    found: defaultdict[int, list[Written]] = defaultdict(list)
    for record, kafka_offset in zip(entries, kafka_offsets, strict=False):
        entry = record.entry
        found[record.log_id].append(
            Written(entry.base_offset, entry.next_offset, entry.stored_bytes, kafka_offset)
        )
    return found
