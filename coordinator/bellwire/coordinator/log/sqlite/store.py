"""The durable store: one SQLite database in write-ahead-log mode, one row per batch."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from bellwire.bus.v1.message_pb2 import Batch
from bellwire.coordinator.log import records as r
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.sqlite.schema import SCHEMA_VERSION, TABLES
from bellwire.coordinator.log.store import DeadLetterQuery
from bellwire.wire.errors import (
    BellwireError,
    DataCorruptError,
    DataFolderError,
    DataLockedError,
    SchemaVersionError,
    StoreFullError,
    StoreReadOnlyError,
)

DATABASE: Final = "bellwire.db"
LOCK: Final = "LOCK"
BUSY_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0


class SqliteStore:
    """A `Store` in a folder; see `bellwire.coordinator.log.store`."""

    durable = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        checkpoint_pages: int = 20_000,
        synchronous: str = "FULL",
        exclusive_locking: bool = False,
    ) -> None:
        self.path = str(path)
        self._checkpoint_pages = checkpoint_pages
        self._synchronous = synchronous
        self._exclusive = exclusive_locking
        self._lock_fd: int | None = None
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._broken: StoreReadOnlyError | None = None

    # ------------------------------------------------------------ open and close

    def load(self) -> r.Snapshot:
        """Open the store and return what it holds."""
        self._lock()
        try:
            writer = self._writer = self._connect()
            self._prepare(writer)
            self._reader = writer if self._exclusive else self._connect()
            return self._snapshot(writer)
        except sqlite3.Error as error:
            self._abandon()
            raise _corrupt(self.path, error) from None
        except BaseException:
            self._abandon()
            raise

    def close(self) -> None:
        """Checkpoint and close."""
        if self._writer is not None and self._broken is None:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("INSERT OR REPLACE INTO facts VALUES ('clean', 1)")
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._abandon()

    def _abandon(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        self._reader = self._writer = None
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _lock(self) -> None:
        folder = Path(self.path)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataFolderError(
                f"data folder {self.path!r} cannot be used: {error.strerror or error}; name a folder that "
                "this user may write",
                metadata={"path": self.path},
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(fd, 20).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise DataLockedError(
                f"data folder {self.path!r} is in use by process {holder}: stop it, or use another folder",
                metadata={"path": self.path, "pid": holder},
            ) from None
        os.truncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
        self._lock_fd = fd

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            Path(self.path) / DATABASE,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        if self._exclusive:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint={self._checkpoint_pages}")
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA_VERSION:
            raise SchemaVersionError(
                f"data folder {self.path!r} has schema {found}, this version of Bellwire knows up to "
                f"{SCHEMA_VERSION}: use the version that wrote it",
                metadata={"found": str(found), "known": str(SCHEMA_VERSION)},
            )
        if found == 0:
            connection.executescript(f"BEGIN;{TABLES}PRAGMA user_version={SCHEMA_VERSION};COMMIT;")

    def _snapshot(self, c: sqlite3.Connection) -> r.Snapshot:
        facts = dict(c.execute("SELECT name, value FROM facts"))
        incarnation = facts.get("incarnation", 0) + 1
        c.execute("BEGIN IMMEDIATE")
        c.execute("INSERT OR REPLACE INTO facts VALUES ('incarnation', ?)", (incarnation,))
        c.execute("INSERT OR REPLACE INTO facts VALUES ('clean', 0)")
        c.execute("COMMIT")
        return r.Snapshot(
            topics=[
                r.TopicRecord(name, settings, tuple(json.loads(log_ids)))
                for name, settings, log_ids in c.execute("SELECT * FROM topics ORDER BY name")
            ],
            segments=[
                r.SegmentRecord(*row)
                for row in c.execute("SELECT * FROM segments ORDER BY log_id, base_offset")
            ],
            producers=[
                r.ProducerRecord(log_id, producer, epoch, following, _tuples(recent))
                for log_id, producer, epoch, following, recent in c.execute(
                    "SELECT * FROM producers"
                )
            ],
            producer_names=[
                r.ProducerNameRecord(*row) for row in c.execute("SELECT * FROM producer_names")
            ],
            subscriptions=[
                r.SubscriptionRecord(name, tuple(json.loads(patterns)), *rest)
                for name, patterns, *rest in c.execute("SELECT * FROM subscriptions ORDER BY name")
            ],
            cursors=[
                r.CursorRecord(subscription, log_id, following, _tuples(runs))
                for subscription, log_id, following, runs in c.execute("SELECT * FROM cursors")
            ],
            results=[r.ResultRecord(*row) for row in c.execute("SELECT * FROM results")],
            dead_letters=dict(
                c.execute("SELECT topic, count(*) FROM dead_letters GROUP BY topic").fetchall()
            ),
            last_dead_letter_id=max(
                facts.get("last_dead_letter_id", 0),
                c.execute("SELECT coalesce(max(id), 0) FROM dead_letters").fetchone()[0],
            ),
            incarnation=incarnation,
            after_crash=incarnation > 1 and not facts.get("clean", 0),
        )

    # ------------------------------------------------------------ write

    def write(self, records: Sequence[r.Record]) -> None:
        """Write all records in one durable transaction."""
        if self._broken is not None:
            raise self._broken
        assert self._writer is not None, "load comes first"
        cursor = self._writer.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
            _write_runs(cursor, records)
            cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _failed(self, error: sqlite3.Error) -> BellwireError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        try:
            if self._writer is not None and self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error:
            code = sqlite3.SQLITE_IOERR
        if code == sqlite3.SQLITE_FULL:
            return StoreFullError(
                f"disk of {self.path!r} is full: nothing of this batch was stored; free some space, and it goes on",
                metadata={"path": self.path},
                retry_delay_seconds=RETRY_SECONDS,
            )
        self._broken = StoreReadOnlyError(
            f"store {self.path!r} could not be written ({error}): what is on the disk is in doubt, so nothing "
            "durable is accepted until the coordinator is restarted; check the disk first",
            metadata={"path": self.path, "sqlite": getattr(error, "sqlite_errorname", "")},
        )
        return self._broken

    # ------------------------------------------------------------ read

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return neighbouring entries from the one that holds `offset` on."""
        assert self._reader is not None, "load comes first"
        entries: list[Entry] = []
        size = 0
        at = offset
        try:
            rows = self._reader.execute(
                "SELECT base_offset, admitted_ns, principal, batch FROM entries WHERE log_id = ?1 AND "
                "base_offset >= coalesce((SELECT max(base_offset) FROM entries WHERE log_id = ?1 AND "
                "base_offset <= ?2), ?2) ORDER BY base_offset",
                (log_id, offset),
            )
            for base, admitted_ns, principal, data in rows:
                entry = Entry(Batch.FromString(data), base, admitted_ns)
                entry.principal = principal
                if entry.next_offset <= offset:
                    continue
                if entries and (size + entry.stored_bytes > bytes_max or base != at):
                    break
                entries.append(entry)
                size += entry.stored_bytes
                at = entry.next_offset
            rows.close()
        except (sqlite3.Error, DecodeError) as error:
            if entries:
                return entries
            raise DataCorruptError(
                f"offset {offset} of log {log_id} in {self.path!r} cannot be read ({error}): run "
                f"`bellwire doctor {self.path}`",
                metadata={"path": self.path, "log_id": str(log_id), "offset": str(offset)},
            ) from None
        return entries

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Bisect entries by their last message time."""
        assert self._reader is not None, "load comes first"
        low, high = first, last
        while low < high:
            row = self._reader.execute(
                "SELECT base_offset, next_offset, last_time_ns FROM entries WHERE log_id = ? AND "
                "base_offset <= ? ORDER BY base_offset DESC LIMIT 1",
                (log_id, (low + high) // 2),
            ).fetchone()
            if row is None or row[2] < time_ns:
                low = (low + high) // 2 + 1 if row is None else max(low + 1, row[1])
            else:
                if row[0] <= low:
                    return max(first, int(row[0]))
                high = int(row[0])
        return min(low, last)

    def dead_letters(self, query: DeadLetterQuery) -> list[r.DeadLetterRecord]:
        """Return dead letters in the order of their ids."""
        where, values = _where(query)
        assert self._reader is not None, "load comes first"
        rows = self._reader.execute(
            f"SELECT * FROM dead_letters WHERE {where} ORDER BY id LIMIT ?", (*values, query.limit)
        )
        return [r.DeadLetterRecord(*row) for row in rows]

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match, and the greatest id of them."""
        where, values = _where(query)
        assert self._reader is not None, "load comes first"
        count, greatest = self._reader.execute(
            f"SELECT count(*), coalesce(max(id), 0) FROM dead_letters WHERE {where}", values
        ).fetchone()
        return count, greatest

    def disk_bytes(self) -> int:
        """Return the size of the database and its write-ahead log."""
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                total += (Path(self.path) / f"{DATABASE}{suffix}").stat().st_size
        return total


def _tuples(text: str) -> tuple[Any, ...]:
    return tuple(map(tuple, json.loads(text)))


def _corrupt(path: str, error: sqlite3.Error) -> DataCorruptError:
    return DataCorruptError(
        f"{path!r} holds no readable database ({error}): run `bellwire doctor {path}`, and restore a backup "
        "if it says so",
        metadata={"path": path, "sqlite": getattr(error, "sqlite_errorname", "")},
    )


def _where(query: DeadLetterQuery) -> tuple[str, list[Any]]:
    conditions: list[tuple[str, Any]] = [("topic = ?", query.topic), ("id > ?", query.after_id)]
    if query.up_to_id:
        conditions.append(("id <= ?", query.up_to_id))
    if query.subscription:
        conditions.append(("subscription = ?", query.subscription))
    if query.reason_contains:
        conditions.append(("instr(reason, ?)", query.reason_contains))
    if query.key:
        conditions.append(("key = ?", query.key))
    if query.before_time_ns:
        conditions.append(("time_ns < ?", query.before_time_ns))
    where = " AND ".join(text for text, _ in conditions)
    values = [value for _, value in conditions]
    if query.ids:
        where += f" AND id IN ({', '.join('?' * len(query.ids))})"
        values += query.ids
    return where, values


def _write_runs(cursor: sqlite3.Cursor, records: Sequence[r.Record]) -> None:
    """Write records of one kind together, and kinds in the order they come."""
    start = 0
    for index in range(1, len(records) + 1):
        if index == len(records) or type(records[index]) is not type(records[start]):
            _WRITERS[type(records[start])](cursor, records[start:index])
            start = index


def _rows(
    sql: str, row: Callable[[Any], tuple[Any, ...]]
) -> Callable[[sqlite3.Cursor, Sequence[Any]], None]:
    def write(cursor: sqlite3.Cursor, records: Sequence[Any]) -> None:
        cursor.executemany(sql, map(row, records))

    return write


def _delete_topics(cursor: sqlite3.Cursor, records: Sequence[r.TopicDeletedRecord]) -> None:
    for record in records:
        cursor.execute("DELETE FROM topics WHERE name = ?", (record.name,))
        for table in ("entries", "segments", "producers", "cursors"):
            cursor.executemany(
                f"DELETE FROM {table} WHERE log_id = ?", [(log_id,) for log_id in record.log_ids]
            )


def _evict(cursor: sqlite3.Cursor, records: Sequence[r.EvictedRecord]) -> None:
    for record in records:
        for table in ("entries", "segments"):
            cursor.execute(
                f"DELETE FROM {table} WHERE log_id = ? AND base_offset < ?",
                (record.log_id, record.low_offset),
            )


def _delete_subscriptions(
    cursor: sqlite3.Cursor, records: Sequence[r.SubscriptionDeletedRecord]
) -> None:
    for record in records:
        cursor.execute("DELETE FROM subscriptions WHERE name = ?", (record.name,))
        cursor.execute("DELETE FROM cursors WHERE subscription = ?", (record.name,))


def _bury(cursor: sqlite3.Cursor, records: Sequence[r.DeadLetterRecord]) -> None:
    cursor.executemany(
        "INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(x.id, x.topic, x.partition, x.offset, x.log_id, x.subscription),
                *(x.cause, x.reason, x.attempts, x.time_ns, x.key, x.message),
            )
            for x in records
        ],
    )
    cursor.execute(
        "INSERT OR REPLACE INTO facts VALUES ('last_dead_letter_id', ?)", (records[-1].id,)
    )


def _remove_letters(cursor: sqlite3.Cursor, records: Sequence[r.DeadLettersRemovedRecord]) -> None:
    for record in records:
        cursor.executemany(
            "DELETE FROM dead_letters WHERE id = ?", [(letter_id,) for letter_id in record.ids]
        )


def _entry_row(record: r.EntryRecord) -> tuple[Any, ...]:
    entry = record.entry
    return (
        record.log_id,
        entry.base_offset,
        entry.next_offset,
        entry.batch.header.last_time_unix_nano,
        entry.admitted_ns,
        entry.principal,
        entry.batch.SerializeToString(),
    )


_WRITERS: Final[dict[type, Callable[[sqlite3.Cursor, Sequence[Any]], None]]] = {
    r.TopicRecord: _rows(
        "INSERT OR REPLACE INTO topics VALUES (?, ?, ?)",
        lambda x: (x.name, x.settings, json.dumps(x.log_ids)),
    ),
    r.TopicDeletedRecord: _delete_topics,
    r.EntryRecord: _rows("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", _entry_row),
    r.SegmentRecord: _rows(
        "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
        lambda x: (
            x.log_id,
            x.base_offset,
            x.next_offset,
            x.entries,
            x.stored_bytes,
            x.last_time_ns,
            x.last_admitted_ns,
        ),
    ),
    r.EvictedRecord: _evict,
    r.ProducerRecord: _rows(
        "INSERT OR REPLACE INTO producers VALUES (?, ?, ?, ?, ?)",
        lambda x: (x.log_id, x.producer_id, x.epoch, x.next_sequence, json.dumps(x.recent)),
    ),
    r.ProducerNameRecord: _rows(
        "INSERT OR REPLACE INTO producer_names VALUES (?, ?, ?)",
        lambda x: (x.name, x.producer_id, x.epoch),
    ),
    r.SubscriptionRecord: _rows(
        "INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?, ?, ?)",
        lambda x: (x.name, json.dumps(x.patterns), x.ordering, x.overflow_policy, x.max_attempts),
    ),
    r.SubscriptionDeletedRecord: _delete_subscriptions,
    r.CursorRecord: _rows(
        "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?)",
        lambda x: (x.subscription, x.log_id, x.next_offset, json.dumps(x.open_runs)),
    ),
    r.DeadLetterRecord: _bury,
    r.DeadLettersRemovedRecord: _remove_letters,
    r.ResultRecord: _rows(
        "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)",
        lambda x: (x.scope, x.request_id, x.digest, x.response, x.expire_ns),
    ),
    r.ResultsExpiredRecord: _rows(
        "DELETE FROM results WHERE expire_ns <= ?", lambda x: (x.time_ns,)
    ),
}
