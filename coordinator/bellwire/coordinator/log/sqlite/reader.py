"""The reader: entries, times and dead letters out of committed rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, cast

from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import DeadLetterRecord
from bellwire.coordinator.log.sqlite.connection import one_state
from bellwire.coordinator.log.sqlite.rows import DEAD_LETTERS, ENTRIES, INTEGER_MAX
from bellwire.coordinator.log.sqlite.table import Row, Value
from bellwire.coordinator.log.store import DeadLetterQuery
from bellwire.wire.errors import DataCorruptError

_LOW: Final = "SELECT low_offset FROM evictions WHERE log_id = ?"
_FIRST: Final = (
    "SELECT base_offset FROM entries WHERE log_id = ? AND base_offset <= ?"
    " ORDER BY base_offset DESC LIMIT 1"
)
_FROM: Final = f"{ENTRIES.select} WHERE log_id = ? AND base_offset >= ? ORDER BY base_offset"
_TIME_FROM: Final = (
    "SELECT base_offset, next_offset, last_time_ns FROM entries"
    " WHERE log_id = ? AND base_offset >= ? AND base_offset < ? ORDER BY base_offset LIMIT 1"
)


class Reader:
    """Reads what is committed; every call sees one state of the database.

    In a broken page any column may be of another type, so a TypeError means the same as SQLite's own errors.
    """

    def __init__(self, connection: sqlite3.Connection, database: Path) -> None:
        self._connection = connection
        self._database = database

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return neighbouring entries; see `Store.read`."""
        entries: list[Entry] = []
        try:
            with one_state(self._connection):
                first = self._first(log_id, offset)
                if first is not None:
                    for entry in self._neighbours(log_id, first, offset, bytes_max):
                        entries.append(entry)  # noqa: PERF402  # Those before an error are kept.
        except (sqlite3.DatabaseError, DataCorruptError, TypeError) as error:
            if not entries:
                raise self._unreadable(log_id, offset, error) from error
        return entries

    def _first(self, log_id: int, offset: int) -> int | None:
        execute = self._connection.execute
        found = execute(_FIRST, (log_id, offset)).fetchone()
        return None if found is None else int(found[0])

    def _neighbours(self, log_id: int, first: int, offset: int, bytes_max: int) -> Iterator[Entry]:
        low_offset = self._low(log_id)
        expected = None
        with closing(self._connection.execute(_FROM, (log_id, first))) as found:
            for row in found:
                entry = ENTRIES.record(row).entry
                bytes_max -= entry.stored_bytes
                if expected is not None and bytes_max < 0:
                    return
                if entry.next_offset <= max(offset, low_offset):
                    return  # The offset lies behind the last entry, or below the oldest that is kept.
                if expected not in (None, entry.base_offset):
                    return  # A gap: whoever asks for what is missing is told.
                expected = entry.next_offset
                yield entry

    def _low(self, log_id: int) -> int:
        found = self._connection.execute(_LOW, (log_id,)).fetchone()
        return 0 if found is None else int(found[0])

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Return where a time is reached, by bisection over the key; see `Store.find_time`."""
        wanted = min(time_ns, INTEGER_MAX)
        found, low, high = last, first, last
        try:
            with one_state(self._connection):
                evicted = self._low(log_id)
                while low < high:
                    middle = (low + high) // 2
                    row = self._connection.execute(_TIME_FROM, (log_id, middle, high)).fetchone()
                    if row is None:
                        high = middle
                    elif row[1] <= evicted or row[2] < wanted:
                        low = int(row[1])
                    else:
                        found, high = int(row[0]), middle
        except (sqlite3.DatabaseError, TypeError) as error:
            raise self._unreadable(log_id, low, error) from error
        return found

    def dead_letters(self, query: DeadLetterQuery) -> list[DeadLetterRecord]:
        """Return dead letters in the order of their ids."""
        where, values = _conditions(query)
        statement = f"{DEAD_LETTERS.select} WHERE {where} ORDER BY id LIMIT ?"
        found = self._dead_letter_rows(statement, (*values, query.limit))
        return list(map(DEAD_LETTERS.record, found))

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match, and the greatest id of them."""
        where, values = _conditions(query)
        statement = f"SELECT count(*), coalesce(max(id), 0) FROM dead_letters WHERE {where}"
        return cast("tuple[int, int]", self._dead_letter_rows(statement, values)[0])

    def _dead_letter_rows(self, statement: str, values: tuple[Value, ...]) -> list[Row]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise DataCorruptError(
                f"dead letters in {self._database} cannot be read back ({error}): "
                f"run `bellwire doctor {self._database.parent}`",
                metadata={"path": str(self._database), "cause": str(error)},
            ) from error

    def _unreadable(self, log_id: int, offset: int, error: Exception) -> DataCorruptError:
        return DataCorruptError(
            f"offset {offset} of log {log_id} cannot be read back ({error}): "
            f"run `bellwire doctor {self._database.parent}`",
            metadata={"log_id": str(log_id), "offset": str(offset), "cause": str(error)},
        )


def _conditions(query: DeadLetterQuery) -> tuple[str, tuple[Value, ...]]:
    where: list[str] = ["topic = ?", "id > ?"]
    values: list[Value] = [query.topic, query.after_id]
    optional: tuple[tuple[str, Value], ...] = (
        ("id <= ?", query.up_to_id),
        ("subscription = ?", query.subscription),
        ("instr(reason, ?) > 0", query.reason_contains),
        ("key = ?", query.key),
        ("time_ns < ?", min(query.before_time_ns, INTEGER_MAX)),
        ("id IN (SELECT value FROM json_each(?))", json.dumps(query.ids) if query.ids else ""),
    )
    for condition, value in optional:
        if value:
            where.append(condition)
            values.append(value)
    return " AND ".join(where), tuple(values)
