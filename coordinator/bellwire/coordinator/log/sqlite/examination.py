"""The examination of a store's tables: each row, and whether they fit together."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.log.records import (
    CursorRecord,
    ProducerRecord,
    SegmentRecord,
    TopicRecord,
)
from bellwire.coordinator.log.sqlite import rows
from bellwire.coordinator.log.sqlite.findings import LogSummary, Report, Severity
from bellwire.coordinator.log.sqlite.log_examination import RESTORE, LogExamination
from bellwire.coordinator.log.sqlite.rows import INTEGER_MAX
from bellwire.coordinator.log.sqlite.schema import CLEAN
from bellwire.coordinator.log.sqlite.table import Table
from bellwire.wire.errors import DataCorruptError

R = TypeVar("R")

_SEEK: Final = "seek the subscription to where it should go on"
_HARMLESS: Final = "nothing to do: it takes a little room"
_NEXT_LOG: Final = "SELECT min(log_id) FROM entries WHERE log_id > ?"


class Examination:
    """Reads every table once and adds what it finds to a report.

    Args:
        is_open: Whether a coordinator has the store open, so that it cannot be closed properly yet.
    """

    def __init__(self, connection: sqlite3.Connection, report: Report, *, is_open: bool) -> None:
        self._connection = connection
        self._report = report
        self._is_open = is_open
        self._logs: dict[int, LogSummary] = {}

    def run(self) -> None:
        """Examine all there is."""
        meta = {one.name: one.value for one in self._rows(rows.META)}
        if not meta.get(CLEAN, 0) and not self._is_open:
            self._add(
                Severity.INFO,
                "store",
                "it was not closed properly",
                "nothing to do: the next start recovers it",
            )
        topics = list(self._rows(rows.TOPICS))
        self._examine_logs(topics)
        self._examine_cursors()
        self._examine_producers()
        self._examine_dead_letters({topic.name for topic in topics})
        self._report.counts["results"] = sum(1 for _ in self._rows(rows.RESULTS))
        self._report.logs = list(self._logs.values())

    # ------------------------------------------------------------ logs

    def _examine_logs(self, topics: list[TopicRecord]) -> None:
        segments: dict[int, list[SegmentRecord]] = defaultdict(list)
        for segment in self._rows(rows.SEGMENTS):
            segments[segment.log_id].append(segment)
        evictions = {one.log_id: one.low_offset for one in self._rows(rows.EVICTIONS)}
        self._logs = {
            log_id: LogSummary(log_id, f"{topic.name}/{partition}")
            for topic in topics
            for partition, log_id in enumerate(topic.log_ids)
        }
        for log_id in sorted({*segments, *self._log_ids_of_entries()} - set(self._logs)):
            self._examine_orphan(log_id, bool(segments[log_id]), evictions.get(log_id, 0))
        for log_id, summary in self._logs.items():
            LogExamination(
                self._connection, summary, segments[log_id], evictions.get(log_id, 0), self._report
            ).run()

    def _examine_orphan(self, log_id: int, has_segments: bool, low_offset: int) -> None:
        name = f"log {log_id} of no topic"
        if low_offset == INTEGER_MAX and not has_segments:
            self._add(
                Severity.INFO,
                name,
                "entries of a deleted topic wait to be removed",
                "nothing to do: the coordinator removes them as it goes on",
            )
            return
        self._logs[log_id] = LogSummary(log_id, name)
        self._add(Severity.WARNING, name, "its entries belong to no topic", _HARMLESS)

    def _log_ids_of_entries(self) -> Iterator[int]:
        log_id = -1
        while True:
            try:
                found = self._connection.execute(_NEXT_LOG, (log_id,)).fetchone()[0]
            except sqlite3.DatabaseError:
                return  # The walk through each log says where and why.
            if not isinstance(found, int):
                return  # The end, or a broken page.
            log_id = found
            yield log_id

    # ------------------------------------------------------------ what points into logs

    def _examine_cursors(self) -> None:
        names = {one.name for one in self._rows(rows.SUBSCRIPTIONS)}
        cursors = list(self._rows(rows.CURSORS))
        self._report.counts |= {"subscriptions": len(names), "cursors": len(cursors)}
        for cursor in cursors:
            where = f"cursor of {cursor.subscription} in log {cursor.log_id}"
            if cursor.subscription not in names:
                self._add(Severity.WARNING, where, "there is no such subscription", _HARMLESS)
            log = self._logs.get(cursor.log_id)
            if log is None:
                self._add(Severity.WARNING, where, "there is no such log", _HARMLESS)
            else:
                self._compare_cursor(cursor, log, f"cursor of {cursor.subscription} in {log.name}")

    def _compare_cursor(self, cursor: CursorRecord, log: LogSummary, where: str) -> None:
        if cursor.next_offset > log.next_offset:
            self._add(
                Severity.ERROR,
                where,
                f"it stands at {cursor.next_offset}, the log ends at {log.next_offset}: "
                "what is published next would be skipped",
                _SEEK,
            )
        if cursor.floor < log.first_offset:
            self._add(
                Severity.WARNING,
                where,
                f"it stands at {cursor.floor}, the oldest message kept is {log.first_offset}: "
                f"{log.first_offset - cursor.floor} were evicted before they were settled",
                "raise the topic's retention, or settle faster",
            )
        ends = [offset for first, last, _, _ in cursor.open_runs for offset in (first, last)]
        if any(one > other for one, other in pairwise([*ends, cursor.next_offset])):
            self._add(Severity.ERROR, where, "its open runs are out of order", _SEEK)

    def _examine_producers(self) -> None:
        names = sum(1 for _ in self._rows(rows.PRODUCER_NAMES))
        producers = list(self._rows(rows.PRODUCERS))
        self._report.counts |= {"producers": len(producers), "named producers": names}
        for producer in producers:
            where = f"producer {producer.producer_id} in log {producer.log_id}"
            log = self._logs.get(producer.log_id)
            if log is None:
                self._add(Severity.WARNING, where, "there is no such log", _HARMLESS)
            else:
                self._compare_producer(producer, log, where)

    def _compare_producer(self, producer: ProducerRecord, log: LogSummary, where: str) -> None:
        if not producer.recent:
            return
        sequence, messages, base_offset = producer.recent[-1]
        if base_offset + messages > log.next_offset:
            self._add(
                Severity.ERROR,
                where,
                f"its latest batch ends at offset {base_offset + messages}, the log at {log.next_offset}",
                RESTORE,
            )
        if sequence + messages != producer.next_sequence:
            self._add(
                Severity.ERROR,
                where,
                f"its latest batch ends at sequence {sequence + messages}, "
                f"the next one expected is {producer.next_sequence}",
                "let the producer start with a new epoch",
            )

    def _examine_dead_letters(self, topics: set[str]) -> None:
        count = 0
        orphans: dict[str, int] = defaultdict(int)
        for letter in self._rows(rows.DEAD_LETTERS):
            count += 1
            orphans[letter.topic] += letter.topic not in topics
            try:
                Message.FromString(letter.message)
            except DecodeError:
                self._add(
                    Severity.ERROR, f"dead letter {letter.id}", "its message is damaged", RESTORE
                )
        self._report.counts["dead letters"] = count
        for topic, number in orphans.items():
            if number:
                self._add(
                    Severity.INFO,
                    f"topic {topic}",
                    f"{number} dead letters, and no durable topic of that name",
                    "purge them when nobody wants them any more",
                )

    # ------------------------------------------------------------ rows

    def _rows(self, table: Table[R]) -> Iterator[R]:
        """Yield the records of a table that can be read, and report the others."""
        try:
            for row in self._connection.execute(table.select + table.order):
                try:
                    yield table.record(row)
                except DataCorruptError as error:
                    where = f"{table.name}, {error.metadata['key']}"
                    self._add(Severity.ERROR, where, "the row is not what was written", RESTORE)
        except sqlite3.DatabaseError as error:
            self._add(
                Severity.ERROR,
                f"table {table.name}",
                f"not all of its rows can be read ({error})",
                RESTORE,
            )

    def _add(self, severity: Severity, where: str, what: str, advice: str) -> None:
        self._report.add(severity, where, what, advice)
