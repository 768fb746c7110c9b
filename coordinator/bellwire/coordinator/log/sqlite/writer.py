"""The writer: records into rows, inside a transaction that somebody else opens and commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Final, cast

from bellwire.coordinator.log.records import (
    CursorRecord,
    DeadLetterRecord,
    DeadLettersRemovedRecord,
    EntryRecord,
    EvictedRecord,
    ProducerNameRecord,
    ProducerRecord,
    Record,
    ResultRecord,
    ResultsExpiredRecord,
    SegmentRecord,
    SubscriptionDeletedRecord,
    SubscriptionRecord,
    TopicDeletedRecord,
    TopicRecord,
)
from bellwire.coordinator.log.sqlite import rows
from bellwire.coordinator.log.sqlite.connection import PAGE_BYTES
from bellwire.coordinator.log.sqlite.rows import INTEGER_MAX, Eviction, Meta
from bellwire.coordinator.log.sqlite.schema import LAST_DEAD_LETTER
from bellwire.coordinator.log.sqlite.table import Table

# Entries removed in one transaction, at least; twice as many as it adds, so that it catches up.
SWEPT_ENTRIES_MIN: Final = 64
_PAGES_PER_TRANSACTION: Final = 8  # Leaves and inner pages beside the blobs; it need not be exact.
_TABLES: Final[dict[type, Table[Any]]] = {
    EntryRecord: rows.ENTRIES,
    TopicRecord: rows.TOPICS,
    SegmentRecord: rows.SEGMENTS,
    ProducerRecord: rows.PRODUCERS,
    ProducerNameRecord: rows.PRODUCER_NAMES,
    SubscriptionRecord: rows.SUBSCRIPTIONS,
    CursorRecord: rows.CURSORS,
    DeadLetterRecord: rows.DEAD_LETTERS,
    ResultRecord: rows.RESULTS,
}


class Writer:
    """Writes records, and removes evicted entries a few at a time.

    What is evicted is hidden from readers by its row in `evictions` at once; a commit never waits for more
    than a bounded number of entries to be taken out, and after a crash the rest goes on where it stood.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        evictions: Iterable[Eviction],
        last_dead_letter_id: int,
    ) -> None:
        self._connection = connection
        self._last_dead_letter_id = last_dead_letter_id
        self._evictions = {eviction.log_id: eviction.low_offset for eviction in evictions}
        self._deletions: dict[type, Callable[[Any], None]] = {
            TopicDeletedRecord: self._delete_topic,
            EvictedRecord: lambda record: self._evict(record.log_id, record.low_offset),
            SubscriptionDeletedRecord: self._delete_subscription,
            DeadLettersRemovedRecord: self._remove_dead_letters,
            ResultsExpiredRecord: self._expire_results,
        }

    @property
    def has_evicted(self) -> bool:
        """Whether evicted entries wait to be removed."""
        return bool(self._evictions)

    def apply(self, records: Sequence[Record]) -> None:
        """Write records in their order; neighbours of one kind go through one statement."""
        for kind, run in groupby(records, type):
            table = _TABLES.get(kind)
            if table is not None:
                self._connection.executemany(table.upsert, map(table.row, run))
                continue
            delete = self._deletions[kind]
            for record in run:
                delete(record)
        self._note_last_dead_letter(records)
        entries = sum(type(record) is EntryRecord for record in records)
        self._sweep(max(SWEPT_ENTRIES_MIN, 2 * entries))

    def rolled_back(self) -> None:
        """Take note that the transaction was undone."""
        table = rows.EVICTIONS
        kept = map(table.record, self._connection.execute(table.select).fetchall())
        self._evictions = {eviction.log_id: eviction.low_offset for eviction in kept}
        meta = self._connection.execute(
            f"{rows.META.select} WHERE name = ?", (LAST_DEAD_LETTER,)
        ).fetchone()
        self._last_dead_letter_id = rows.META.record(meta).value

    def _note_last_dead_letter(self, records: Sequence[Record]) -> None:
        """Keep the greatest id ever given: a removed dead letter's id is not given again."""
        last = max((one.id for one in records if type(one) is DeadLetterRecord), default=0)
        if last > self._last_dead_letter_id:
            self._last_dead_letter_id = last
            row = rows.META.row(Meta(LAST_DEAD_LETTER, last))
            self._connection.execute(rows.META.upsert, row)

    # ------------------------------------------------------------ deletions

    def _delete_topic(self, record: TopicDeletedRecord) -> None:
        execute = self._connection.execute
        execute("DELETE FROM topics WHERE name = ?", (record.name,))
        for log_id in record.log_ids:
            execute("DELETE FROM producers WHERE log_id = ?", (log_id,))
            execute("DELETE FROM cursors WHERE log_id = ?", (log_id,))
            self._evict(log_id, INTEGER_MAX)

    def _delete_subscription(self, record: SubscriptionDeletedRecord) -> None:
        self._connection.execute("DELETE FROM subscriptions WHERE name = ?", (record.name,))
        self._connection.execute("DELETE FROM cursors WHERE subscription = ?", (record.name,))

    def _remove_dead_letters(self, record: DeadLettersRemovedRecord) -> None:
        ids = ((letter_id,) for letter_id in record.ids)
        self._connection.executemany("DELETE FROM dead_letters WHERE id = ?", ids)

    def _expire_results(self, record: ResultsExpiredRecord) -> None:
        # A time beyond SQLite's numbers is kept as the greatest of them, and never reached.
        at = min(record.time_ns, INTEGER_MAX - 1)
        self._connection.execute("DELETE FROM results WHERE expire_ns <= ?", (at,))

    # ------------------------------------------------------------ eviction

    def _evict(self, log_id: int, low_offset: int) -> None:
        low_offset = max(low_offset, self._evictions.get(log_id, 0))
        self._connection.execute(
            "DELETE FROM segments WHERE log_id = ? AND base_offset < ? AND next_offset <= ?",
            (log_id, low_offset, low_offset),
        )
        row = rows.EVICTIONS.row(Eviction(log_id, low_offset))
        self._connection.execute(rows.EVICTIONS.upsert, row)
        self._evictions[log_id] = low_offset

    def _sweep(self, entries_max: int) -> None:
        """Remove up to so many evicted entries, the oldest of each log first."""
        for log_id, low_offset in list(self._evictions.items()):
            if entries_max <= 0:
                return
            entries_max -= self._sweep_log(log_id, low_offset, entries_max)

    def _sweep_log(self, log_id: int, low_offset: int, entries_max: int) -> int:
        bounds = (log_id, low_offset, low_offset)
        last = self._connection.execute(
            "SELECT base_offset FROM entries WHERE log_id = ? AND base_offset < ? AND next_offset <= ?"
            " ORDER BY base_offset LIMIT 1 OFFSET ?",
            (*bounds, entries_max),
        ).fetchone()  # The first one that must wait.
        if last is not None:
            bounds = (log_id, cast(int, last[0]), low_offset)
        removed = self._connection.execute(
            "DELETE FROM entries WHERE log_id = ? AND base_offset < ? AND next_offset <= ?", bounds
        ).rowcount
        if last is None:
            self._connection.execute("DELETE FROM evictions WHERE log_id = ?", (log_id,))
            del self._evictions[log_id]
        return removed


def pages_of(records: Sequence[Record]) -> int:
    """Estimate the pages a transaction adds to the write-ahead log."""
    pages = _PAGES_PER_TRANSACTION
    for record in records:
        pages += 1
        if type(record) is EntryRecord:
            pages += record.entry.stored_bytes // PAGE_BYTES
    return pages
